"""The choice of thresholds, on predictions made by hand."""

import dataclasses

import numpy as np
import pytest
from clips import Kind
from thresholds import EXAMPLE, Item, choose, group_f1, mean_by_kind, onset_f1, recall

from mt3x.model.trunk import DRUM_KEYS
from mt3x.music.notes import make_notes
from mt3x.transcription.frames.config import FrameConfig, Thresholds
from mt3x.transcription.frames.predictions import FramePredictions
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


def test_thresholds_move_to_where_right_and_wrong_part():
    chosen = choose(CONFIG, [item()]).thresholds
    assert 0.6 < chosen.onset <= 0.9 or chosen.note > 0.6
    assert chosen.kick <= 0.3


def test_hits_where_no_drums_play_raise_their_threshold():
    voice = item(hit_probability=0.5)._replace(kind=Kind.VOICE, notes=make_notes(0.072, 0.25, 60))
    drums = item(hit_probability=0.7)
    assert choose(CONFIG, [drums]).thresholds.kick <= 0.5
    assert 0.5 < choose(CONFIG, [drums, voice]).thresholds.kick <= 0.7


def test_a_threshold_without_evidence_stays_valid():
    chosen = choose(CONFIG, [item()])
    assert all(0 < value < 1 for value in dataclasses.astuple(chosen.thresholds))
    assert FrameConfig.from_json(chosen.to_json()) == chosen


def test_scores_by_hand():
    found = np.concatenate([make_notes(0.08, 0.2, [60, 62]), make_notes(0.13, 0.14, 35, is_drum=True)])
    one = item()
    assert onset_f1(one, found) == pytest.approx(2 / 3)
    assert recall(one, found) == 1.0
    assert group_f1(one, found, "kick") == 1.0
    assert group_f1(one, found, "snare") is None


def test_kinds_count_the_same_however_many_recordings_they_have():
    items = [item()._replace(kind="a"), item()._replace(kind="a"), item()._replace(kind="b")]
    scores = iter([0.0, 0.0, 1.0])
    assert mean_by_kind(items, lambda _: next(scores)) == 0.5
    assert mean_by_kind(items, lambda _: None) == 0.0


def test_the_thresholds_of_a_fresh_configuration_are_probabilities():
    assert all(0 < value < 1 for value in dataclasses.astuple(Thresholds()))
