"""Notes for MIDI files, drawn at random, and notes as rows to compare."""

import numpy as np

from mt3x.music.notes import make_notes


def random_notes(seed: int, count: int = 400, num_programs: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 60, count)
    is_drum = rng.random(count) < 0.2
    program = np.where(is_drum, 0, rng.integers(0, num_programs, count))
    pitch, velocity = rng.integers(0, 128, count), rng.integers(1, 128, count)
    return make_notes(start, start + rng.uniform(0.05, 2, count), pitch, velocity, program, is_drum)


def rows(notes, *names):
    return [tuple(row) for row in notes[list(names)].tolist()]
