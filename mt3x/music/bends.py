"""How notes bend in MIDI: which channels they need, and the pitch wheel's positions.

A pitch wheel moves all notes of its channel. So an instrument that plays one note at a time bends on one
channel, and one that plays chords needs a channel for every note that sounds at once, as in MIDI Polyphonic
Expression (MPE 1.0). If such an instrument plays alone, the file says so to MPE synthesisers; where others
play, too, its channels are plain ones, which any synthesiser understands. Keyboards and mallets do not bend.

A bend is float32 [K, 2]: seconds from the beginning of the recording, and cents above the note's pitch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RANGE_CENTS = 200.0
"""A wheel's reach up and down: what General MIDI's synthesisers begin with."""

MOST_VOICES = 6
"""Channels of one instrument; a guitar's strings."""

_RIGID_PROGRAMS = range(0, 24)  # pianos, mallets, organs
_LEGATO_SECONDS = 0.06  # a line's notes may overlap by so much
_LEAST_STEP = round(2 / RANGE_CENTS * 8192)  # of the wheel: 2 cents


@dataclass(frozen=True)
class Voices:
    """The channels of one instrument.

    Attributes:
      voice: int64 [N], which of its channels each note takes.
      count: how many there are.
      bends: whether its notes bend.
    """

    voice: np.ndarray
    count: int
    bends: bool


def plan_voices(instruments: Sequence[np.ndarray], num_channels: int) -> list[Voices]:
    """The voices of a file's pitched instruments, at most `num_channels` altogether if that can be.

    The instruments with most voices stop bending first.

    Args:
      instruments: the notes of each, `NOTE_DTYPE` [N], N >= 1, sorted, of one program.
    """
    plans = []
    for notes in instruments:
        count = _most_at_once(notes)
        if int(notes["program"][0]) in _RIGID_PROGRAMS or count > MOST_VOICES:
            plans.append(_one_voice(len(notes), bends=False))
        else:
            plans.append(Voices(_take_turns(notes, count), count, bends=True))
    while sum(plan.count for plan in plans) > num_channels and any(plan.bends for plan in plans):
        widest = max((i for i, plan in enumerate(plans) if plan.bends), key=lambda i: plans[i].count)
        plans[widest] = _one_voice(len(plans[widest].voice), bends=False)
    return plans


def wheel_positions(bend: np.ndarray, start_seconds: float, end_seconds: float) -> list[tuple[float, int]]:
    """(seconds, wheel position -8192 to 8191) of a note: one at its start, then where it moves."""
    inside = bend[(bend[:, 0] >= start_seconds) & (bend[:, 0] < end_seconds)]
    if not len(inside):
        return [(start_seconds, 0)]
    wheel = np.clip(np.rint(inside[:, 1] / RANGE_CENTS * 8192), -8192, 8191).astype(int)
    positions = [(start_seconds, int(wheel[0]))]
    for seconds, position in zip(inside[1:, 0].tolist(), wheel[1:].tolist(), strict=True):
        if abs(position - positions[-1][1]) >= _LEAST_STEP:
            positions.append((seconds, position))
    return positions


def _one_voice(num_notes: int, bends: bool) -> Voices:
    return Voices(np.zeros(num_notes, np.int64), 1, bends)


def _most_at_once(notes: np.ndarray) -> int:
    """The most notes that sound together."""
    times = np.concatenate([notes["start"], _ends(notes)])
    steps = np.repeat([1, -1], len(notes))
    return int(np.cumsum(steps[np.lexsort((steps, times))]).max())


def _take_turns(notes: np.ndarray, count: int) -> np.ndarray:
    """A voice for each note, the one that has been silent for longest: int64 [N]."""
    free = np.full(count, -np.inf)
    voice = np.zeros(len(notes), np.int64)
    for index, (start, end) in enumerate(zip(notes["start"].tolist(), _ends(notes).tolist(), strict=True)):
        voice[index] = int(np.argmin(free))
        free[voice[index]] = max(end, start)
    return voice


def _ends(notes: np.ndarray) -> np.ndarray:
    """When notes leave their channel to the next: float64 [N], seconds, after their starts."""
    return np.maximum(notes["end"] - _LEGATO_SECONDS, (notes["start"] + notes["end"]) / 2)
