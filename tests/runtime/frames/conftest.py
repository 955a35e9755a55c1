"""The notes of two segments for a tiny frame recogniser."""

import numpy as np
import pytest


def note_columns(*segments, places=4):
    """A batch's note columns from (start, end, pitch, velocity, program, is_drum) rows of each segment."""
    padding = (0.0, 0.0, -1, 0, 0, False)
    rows = [[*notes, *[padding] * (places - len(notes))] for notes in segments]
    names = ("start", "end", "pitch", "velocity", "program", "is_drum")
    types = (np.float32, np.float32, np.int32, np.int32, np.int32, bool)
    return {
        f"note_{name}": np.array([[row[index] for row in notes] for notes in rows], kind)
        for index, (name, kind) in enumerate(zip(names, types, strict=True))
    }


@pytest.fixture(scope="session")
def make_note_columns():
    return note_columns


@pytest.fixture(scope="session")
def tiny_batch(tiny_config):
    """Two segments of 0.256 s: a tone with a drum hit in noise, and a tone."""
    seconds = np.arange(tiny_config.segment_samples) / tiny_config.sample_rate
    random = np.random.default_rng(0)
    samples = [
        0.2 * np.sin(2 * np.pi * hz * seconds) * (seconds >= start) for hz, start in ((440, 0.1), (660, 0.05))
    ]
    hit = 0.3 * random.standard_normal(len(seconds)) * ((seconds >= 0.15) & (seconds < 0.17))
    return {
        "samples": np.stack([samples[0] + hit, samples[1]]).astype(np.float32),
        "num_frames": np.full(2, tiny_config.segment_frames, np.int32),
        **note_columns(
            [(0.1, 0.3, 69, 100, 0, False), (0.15, 0.2, 38, 90, 0, True)],
            [(0.05, 0.3, 76, 60, 73, False)],
        ),
    }
