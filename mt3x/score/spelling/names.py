"""Pitch spelling: which of C sharp and D flat a note is, and under which key signature it stands.

A spelled pitch class is a position on the line of fifths: ... B flat -2, F -1, C 0, G 1, D 2 ..., twelve
positions apart for the same key of the piano. A key signature is its number of fifths, as in MusicXML.

A trained network tells from what surrounds a note where it stands in its key (`spelling_network`). The
signatures are chosen along the whole piece (`key_path`), and the notes' names follow the signatures.
docs/spelling.md has the training and the scores.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mt3x.score.spelling.answers import SpellingModel, best_positions, key_evidence
from mt3x.score.spelling.key_path import PathCosts, key_path

LOWEST, HIGHEST = -15, 19
"""F double flat and B double sharp: the positions that have a name with at most two accidentals."""

_STEPS = np.array(["F", "C", "G", "D", "A", "E", "B"])
_STEP_PITCHES = np.array([5, 0, 7, 2, 9, 4, 11])
_SHIPPED = Path(__file__).parents[2] / "models" / "spelling" / "weights.npz"


@dataclass(frozen=True, eq=False)
class Spelling:
    """Names of N notes.

    Attributes:
      step: "U1" [N], A to G.
      alter: int32 [N], -2 (double flat) to 2.
      octave: int32 [N], of the written note: B sharp 3 and C 4 sound the same.
      fifths: int32 [N], -7 to 7, the key signature at each note.
    """

    step: np.ndarray
    alter: np.ndarray
    octave: np.ndarray
    fifths: np.ndarray


def positions_of(step: np.ndarray, alter: np.ndarray) -> np.ndarray:
    """Positions on the line of fifths, int32 [N].

    >>> positions_of(np.array(["C", "B", "G"]), np.array([0, -1, 1])).tolist()
    [0, -2, 8]

    Raises:
      ValueError: a step that isn't one of A to G.
    """
    index = np.array(["FCGDAEB".find(name) if name else -1 for name in step.tolist()], np.int32)
    if (index < 0).any():
        raise ValueError(f"step is {step[index < 0][0]!r}; it must be one of A, B, C, D, E, F, G")
    return (index - 1 + 7 * np.asarray(alter)).astype(np.int32)


def name_notes(pitch: np.ndarray, position: np.ndarray, fifths: np.ndarray) -> Spelling:
    """Steps, alterations and octaves of MIDI pitches at their positions on the line of fifths.

    Raises:
      ValueError: a position that sounds another pitch class, or would need three accidentals.
    """
    pitch, position = np.asarray(pitch, np.int64), np.asarray(position, np.int64)
    wrong = (7 * position - pitch) % 12 != 0
    if wrong.any():
        raise ValueError(
            f"position {position[wrong][0]} on the line of fifths is not pitch {pitch[wrong][0]}"
        )
    far = (position < LOWEST) | (position > HIGHEST)
    if far.any():
        raise ValueError(
            f"position {position[far][0]} needs three accidentals; it must be from {LOWEST} to {HIGHEST}"
        )
    alter, index = np.divmod(position + 1, 7)
    octave = (pitch - alter - _STEP_PITCHES[index]) // 12 - 1
    return Spelling(
        _STEPS[index], alter.astype(np.int32), octave.astype(np.int32), np.asarray(fifths, np.int32)
    )


def spell(
    onset_quarters: np.ndarray,
    duration_quarters: np.ndarray,
    pitch: np.ndarray,
    model: SpellingModel | None = None,
) -> Spelling:
    """Names notes and finds the key signature at each, in the order in which they are given.

    Args:
      onset_quarters: float [N], in quarter notes from anywhere; any order.
      duration_quarters: float [N]; 0 for grace notes.
      pitch: int [N], MIDI pitches as they sound.
      model: the shipped one if not given.

    Raises:
      ValueError: lengths differ, a time is not finite, a duration is negative, a pitch is not in 0 to 127.
    """
    onset, duration, pitch = _checked(onset_quarters, duration_quarters, pitch)
    order = np.lexsort((pitch, onset))
    answers = (model or shipped_model()).answer(onset[order], duration[order], pitch[order])
    positions, fifths = np.zeros((2, len(order)), np.int32)
    fifths[order] = key_path(key_evidence(answers, pitch[order]), PathCosts())
    positions[order] = best_positions(answers, pitch[order], fifths[order], LOWEST, HIGHEST)
    return name_notes(pitch, positions, fifths)


@functools.cache
def shipped_model() -> SpellingModel:
    """The model that comes with the package, read once."""
    return SpellingModel.load(_SHIPPED)


def _checked(
    onset_quarters: np.ndarray, duration_quarters: np.ndarray, pitch: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    onset, duration = np.asarray(onset_quarters, float), np.asarray(duration_quarters, float)
    pitch = np.asarray(pitch)
    if not onset.shape == duration.shape == pitch.shape == (len(pitch),):
        raise ValueError(
            f"onsets {onset.shape}, durations {duration.shape} and pitches {pitch.shape} must be three lists "
            "of one length"
        )
    if not len(pitch):
        return onset, duration, pitch.astype(np.int64)
    for name, times in (("onset", onset), ("duration", duration)):
        if not np.isfinite(times).all():
            raise ValueError(f"a note's {name} is {times[~np.isfinite(times)][0]}; times must be finite")
    if duration.min() < 0:
        raise ValueError(f"a note's duration is {duration.min()}; it must be 0 or more")
    if not np.issubdtype(pitch.dtype, np.integer) or pitch.min() < 0 or pitch.max() > 127:
        raise ValueError(
            f"pitches are {pitch.dtype} from {pitch.min()} to {pitch.max()}; give ints in 0 to 127"
        )
    return onset, duration, pitch.astype(np.int64)
