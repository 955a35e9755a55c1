"""A recording of a few notes with predictions made by hand, for the programs that score."""

import numpy as np
from thresholds import EXAMPLE, Item

from mt3x.model.trunk import DRUM_KEYS
from mt3x.music.notes import make_notes
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.frames.network import FramePredictions
from mt3x.transcription.segment import Segment

CONFIG = FrameConfig(segment_frames=32, lead_frames=4, tail_frames=4)


def predictions(onset_probability, hit_probability):
    """A C at 72 ms that is there, a D at 72 ms that is not, and a kick at 128 ms that is there."""
    active = np.zeros((32, 88))
    active[8:20, [39, 41]] = 1
    drums = np.zeros((64, len(DRUM_KEYS)))
    drums[24, DRUM_KEYS.index(36)] = hit_probability
    return FramePredictions(
        onset=np.array([8.5, 8.5], np.float32),
        row=np.array([39, 41]),
        probability=np.array([onset_probability, 0.6]),
        is_note=np.array([0.95, 0.95]),
        programs=np.zeros((2, 128)),
        velocity=np.array([80.0, 80.0]),
        active=active,
        offset=np.zeros((32, 88)),
        cents=np.zeros((16, 88)),
        drums=drums,
    )


def item(onset_probability=0.9, hit_probability=0.3):
    kick = make_notes(0.132, 0.142, 36, is_drum=True)
    notes = np.concatenate([make_notes(0.072, 0.25, 60), kick])
    segment = Segment(np.ones(32 * 256, np.float32), 32, -4)
    return Item(EXAMPLE, notes, [(segment, predictions(onset_probability, hit_probability))])
