"""A piano's sustain pedal, drawn beside the notes: when it is down, and how long notes sound for it.

Legato pedalling: at an onset where the harmony changes, the pedal is lifted and pressed again a moment later,
so that what is struck there sounds on until the next change. Now and then a stretch is played without it.

A pedal is float64 [K, 2], rows of seconds when it goes down and up, in order, none overlapping the next.
"""

import math

import numpy as np

from mt3x.music.instruments import is_piano
from mt3x.music.notes import apply_sustain, trim_overlapping_notes

_SPACING_SECONDS = 0.4, 4.0  # between changes: a beat to a long bar
_SPACING_FACTORS = 0.8, 1.25
_LIFT_SECONDS = -0.03, 0.12  # from the onset
_PRESS_SECONDS = 0.05, 0.3  # from the lift
_MOST_WITHOUT = 0.5
"""The most changes that leave the pedal up, as a share of all."""

_SHORTEST_SECONDS = 0.05
_MOST_PER_SECOND = 4  # more than changes that are 0.4 s * 0.8 apart


def draw_pedal(rng: np.random.Generator, notes: np.ndarray, seconds: float) -> np.ndarray:
    """A pedal for the notes of pianos: float64 [K, 2]; the last row may end later than `seconds`.

    It is up before the first note; where notes begin at 0, the music goes on from before, and it may be down.
    """
    onsets = np.unique(notes["start"][notes["start"] < seconds])
    if not len(onsets):
        return np.zeros((0, 2))
    spacing = math.exp(rng.uniform(*np.log(_SPACING_SECONDS)))
    changes, wait = [float(onsets[0])], max(spacing * rng.random(), _SPACING_SECONDS[0])
    while (place := int(np.searchsorted(onsets, changes[-1] + wait))) < len(onsets):
        changes.append(float(onsets[place]))
        wait = spacing * rng.uniform(*_SPACING_FACTORS)
    changes.append(changes[-1] + wait)
    lifted = np.array(changes) + rng.uniform(*_LIFT_SECONDS, len(changes))
    down, up = lifted[:-1] + rng.uniform(*_PRESS_SECONDS, len(changes) - 1), lifted[1:]
    if changes[0] == 0:
        down[0] = 0.0
    is_used = rng.random(len(down)) >= rng.uniform(0, _MOST_WITHOUT)
    return np.stack([down, up], axis=1)[is_used & (up - down >= _SHORTEST_SECONDS)]


def under_pedal(notes: np.ndarray, pedal: np.ndarray) -> np.ndarray:
    """The notes, those of pianos lengthened to where the pedal is lifted or their pitch is struck again."""
    control = np.stack([pedal.ravel(), np.tile([127.0, 0.0], len(pedal))], axis=1)
    has_pedal = is_piano(notes)
    parts = [notes[~has_pedal]]
    parts += [
        apply_sustain(notes[has_pedal & (notes["program"] == program)], control)
        for program in np.unique(notes["program"][has_pedal]).tolist()
    ]
    return trim_overlapping_notes(np.concatenate(parts))


def pedal_within(pedal: np.ndarray, begin_seconds: float, end_seconds: float) -> np.ndarray:
    """A drawn pedal as a segment's label: float32 [M, 2], seconds from `begin_seconds`.

    Rows are clipped to the segment; rows of zeros follow them, for M depends on the segment's length alone.
    """
    length = end_seconds - begin_seconds
    rows = np.clip(pedal - begin_seconds, 0.0, length)
    rows = rows[rows[:, 1] > rows[:, 0]]
    label = np.zeros((math.ceil(_MOST_PER_SECOND * length) + 2, 2), np.float32)
    label[: len(rows)] = rows
    return label
