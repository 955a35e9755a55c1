"""Hands and voices: which staff a note of a keyboard belongs to, and which of two voices in its staff.

Notes that begin together are divided by pitch: the upper ones to the right hand (or the first voice), the
lower ones to the left (or the second). Where to divide each such group is chosen for the whole piece at once,
by dynamic programming over the groups. Onsets are whole divs, 24 to a quarter; ends are divs too, with
fractions where they were heard and not yet written.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mt3x.score.rhythm.grids import DIVS_PER_QUARTER

UPPER, LOWER = 0, 1

_ONE_VOICE_PROGRAMS = frozenset([*range(56, 61), *range(64, 80), 40, 41, 42, 43, 52, 53])
_TWO_STAVES_PROGRAMS = frozenset([*range(8), 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 46])


def has_two_staves(program: int) -> bool:
    """Whether players of a General MIDI program read from two staves: keyboards and the harp."""
    return program in _TWO_STAVES_PROGRAMS


def has_one_voice(program: int) -> bool:
    """Whether a General MIDI program sounds one note at a time: winds, and string solos for the most part."""
    return program in _ONE_VOICE_PROGRAMS


@dataclass(frozen=True)
class Line:
    """What one of two lines (a hand or a voice) does when a group begins.

    start, end: onset and latest end of its latest notes, -inf before the first; low, high: their pitches.
    """

    start: float
    end: float
    low: int
    high: int


_OVERLAP_DIVS = 3
_MELODY_SEMITONES = 24
_SILENT = Line(-np.inf, -np.inf, 60, 60)


@dataclass(frozen=True)
class Group:
    """Notes of one onset, by pitch: end float64 [n], pitch int [n]."""

    onset: float
    end: np.ndarray
    pitch: np.ndarray


Cost = Callable[[Group, int, Line, Line], float]
"""What it costs to give a group's `k` lowest notes to the lower line, after what (upper, lower) did."""


def split_hands(onset: np.ndarray, end: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """The staff of each note, 1 for the right hand and 2 for the left: int32 [N].

    Hands reach about an octave, move little, and stay on their side of each other and of the keyboard.
    """
    return split_groups(onset, end, pitch, _hands_cost) + 1


def is_melody(onset: np.ndarray, end: np.ndarray, pitch: np.ndarray) -> bool:
    """Whether notes come one after another, within two octaves: one hand plays them. A tenth may sound on."""
    if len(onset) < 2:
        return True
    order = np.argsort(onset, kind="stable")
    sounds_on = end[order][:-1] > onset[order][1:] + _OVERLAP_DIVS
    is_alone = np.diff(onset[order]) > 0
    return bool(is_alone.all() and sounds_on.mean() <= 0.1 and np.ptp(pitch) <= _MELODY_SEMITONES)


def split_voices(onset: np.ndarray, end: np.ndarray, pitch: np.ndarray, ends_are_exact: bool) -> np.ndarray:
    """The voice of each note in a staff, 1 or 2: int32 [N].

    One voice while it can hold the music: notes of a voice that begin together end together, and none
    sounds on when the next begins. A second voice costs something, and so does a note cut short.

    Args:
      ends_are_exact: ends are as written, so no note may be cut short; heard ones may.
    """
    weight = 60.0 if ends_are_exact else 1.0

    def cost(group: Group, k: int, upper: Line, lower: Line) -> float:
        return _voices_cost(group, k, upper, lower, weight)

    return split_groups(onset, end, pitch, cost) + 1


def split_groups(onset: np.ndarray, end: np.ndarray, pitch: np.ndarray, cost: Cost) -> np.ndarray:
    """UPPER or LOWER for each note, at the least total cost: int32 [N]."""
    order = np.lexsort((pitch, onset))
    groups = [
        Group(float(onset[rows[0]]), end[rows].astype(np.float64), pitch[rows].astype(np.int64))
        for rows in np.split(order, np.flatnonzero(np.diff(onset[order])) + 1)
        if len(rows)
    ]
    # One path for each number of low notes in the latest group; it carries what both lines last did.
    paths: list[tuple[float, Line, Line]] = [(0.0, _SILENT, _SILENT)]
    choices: list[list[int]] = []
    for group in groups:
        extended, origins = [], []
        for k in range(len(group.pitch) + 1):
            totals = [total + cost(group, k, upper, lower) for total, upper, lower in paths]
            origin = int(np.argmin(totals))
            _, upper, lower = paths[origin]
            extended.append((totals[origin], _extend(upper, group, k, None), _extend(lower, group, 0, k)))
            origins.append(origin)
        paths = extended
        choices.append(origins)
    line = np.zeros(len(onset), np.int32)
    k = int(np.argmin([path[0] for path in paths]))
    first = len(order)
    for group, origins in zip(reversed(groups), reversed(choices), strict=True):
        first -= len(group.pitch)
        line[order[first : first + k]] = LOWER
        k = origins[k]
    return line


def _extend(line: Line, group: Group, begin: int, stop: int | None) -> Line:
    pitch, end = group.pitch[begin:stop], group.end[begin:stop]
    if not len(pitch):
        return line
    return Line(group.onset, float(end.max()), int(pitch[0]), int(pitch[-1]))


def _hands_cost(group: Group, k: int, upper: Line, lower: Line) -> float:
    right, left = group.pitch[k:], group.pitch[:k]
    total = _hand_cost(right, group.onset, upper) + _hand_cost(left, group.onset, lower)
    total += 0.05 * float(np.maximum(left - 62, 0).sum() + np.maximum(58 - right, 0).sum())
    if len(right) and lower.end > group.onset:
        total += 0.3 * max(lower.high - int(right[0]), 0)
    if len(left) and upper.end > group.onset:
        total += 0.3 * max(int(left[-1]) - upper.low, 0)
    return total


def _hand_cost(pitch: np.ndarray, onset: float, before: Line) -> float:
    if not len(pitch):
        return 0.0
    span = int(pitch[-1] - pitch[0])
    total = 1.5 * max(span - 12, 0) + 0.05 * span + 3.0 * max(len(pitch) - 5, 0)
    if before.end > onset + _OVERLAP_DIVS:
        total += 0.6
    if np.isfinite(before.start):
        # A hand that rests for long may come back anywhere.
        memory = np.exp(-(onset - before.start) / (4 * DIVS_PER_QUARTER))
        middle = (int(pitch[0]) + int(pitch[-1])) / 2
        total += 0.15 * memory * abs(middle - (before.low + before.high) / 2)
    return total


def _voices_cost(group: Group, k: int, upper: Line, lower: Line, weight: float) -> float:
    total = 0.0
    for begin, stop, line in ((k, len(group.pitch), upper), (0, k, lower)):
        if stop == begin:
            continue
        length = group.end[begin:stop] - group.onset
        total += weight * float(np.log2((length.max() + 1) / (length.min() + 1)))
        if line.end > group.onset:
            total += weight * float(np.log2((line.end - line.start) / (group.onset - line.start)))
        if np.isfinite(line.start):
            middle = (int(group.pitch[begin]) + int(group.pitch[stop - 1])) / 2
            total += 0.03 * min(abs(middle - (line.low + line.high) / 2), 12)
    if k:
        total += 0.3 + (1.0 if lower.end <= group.onset else 0.0)
        total += 0.5 * (k == len(group.pitch) and upper.end <= group.onset)
        if upper.end > group.onset:
            total += 0.1 * max(int(group.pitch[k - 1]) - upper.low, 0)
    if k < len(group.pitch) and lower.end > group.onset:
        total += 0.1 * max(lower.high - int(group.pitch[k]), 0)
    return total
