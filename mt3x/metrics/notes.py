"""Note scores: how many notes of an estimate match a reference one to one.

Two notes match if their pitches are equal and their onsets at most 50 ms apart; if asked for, also if their
offsets differ by at most 20 % of the reference's length or 50 ms, whichever is more, and if their velocities
agree to 10 % after the estimate's have been fitted to the reference's by least squares. Instruments are
looked at only if asked for. Notes that last no time are left out, as in MT3.

Precision, recall and F1 of nothing are 0, as in mir_eval: an empty estimate of an empty reference scores 0.

Source: mir_eval `transcription` and `transcription_velocity` for the rules, with whose results these are
equal; MT3 `metrics.py` for the names and the parameters.
"""

import dataclasses
from collections.abc import Iterator
from typing import TypedDict, Unpack

import numpy as np

from mt3x.metrics.matching import candidate_pairs, largest_matching
from mt3x.music.checks import check_at_least
from mt3x.music.notes import validate_notes

ONSET_TOLERANCE_SECONDS = 0.05
OFFSET_RATIO = 0.2
VELOCITY_TOLERANCE = 0.1
"""Of the range of the reference's velocities."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """Fractions between 0 and 1."""

    precision: float
    recall: float
    f1: float

    def named(self, name: str) -> Iterator[tuple[str, float]]:
        """MT3's names with their values: ("Onset precision", 0.9), ..., for the name "Onset"."""
        yield f"{name} precision", self.precision
        yield f"{name} recall", self.recall
        yield f"{name} F1", self.f1


@dataclasses.dataclass(frozen=True)
class MatchCounts:
    """Numbers of notes: matched, in the reference, in the estimate. They add up over tracks or pieces."""

    matched: int = 0
    reference: int = 0
    estimate: int = 0

    def __add__(self, other: "MatchCounts") -> "MatchCounts":
        return MatchCounts(
            self.matched + other.matched, self.reference + other.reference, self.estimate + other.estimate
        )

    def scores(self) -> Scores:
        """Scores of the pooled notes; 0 where nothing was to be counted."""
        precision = self.matched / self.estimate if self.estimate else 0.0
        recall = self.matched / self.reference if self.reference else 0.0
        f1 = 2 * precision * recall / (precision + recall) if self.matched else 0.0
        return Scores(precision, recall, f1)


class MatchOptions(TypedDict, total=False):
    """Options of `match_notes`, which has their defaults, for the functions that hand them on."""

    use_offsets: bool
    use_velocities: bool
    onset_tolerance_seconds: float
    offset_ratio: float
    offset_min_tolerance_seconds: float
    use_programs: bool


def match_notes(
    reference: np.ndarray,
    estimate: np.ndarray,
    use_offsets: bool = False,
    use_velocities: bool = False,
    onset_tolerance_seconds: float = ONSET_TOLERANCE_SECONDS,
    offset_ratio: float = OFFSET_RATIO,
    offset_min_tolerance_seconds: float = ONSET_TOLERANCE_SECONDS,
    use_programs: bool = False,
) -> np.ndarray:
    """A largest one-to-one matching: int64 [K, 2], rows of (position in the reference, in the estimate).

    Args:
      reference: notes [N].
      estimate: notes [M]; neither side needs an order.
      use_offsets: notes must end together, too.
      use_velocities: notes must be equally loud, too. Which of several largest matchings the velocities are
        fitted to depends on the order of the notes.
      use_programs: notes must have the same program, too; drum hits match drum hits, whatever their programs.

    Raises:
      ValueError: the notes are unsound, or a tolerance is negative.
    """
    check_at_least(
        0,
        onset_tolerance_seconds=onset_tolerance_seconds,
        offset_ratio=offset_ratio,
        offset_min_tolerance_seconds=offset_min_tolerance_seconds,
    )
    lasting = [_lasting(notes) for notes in (reference, estimate)]
    reference, estimate = reference[lasting[0]], estimate[lasting[1]]
    candidates = candidate_pairs(
        reference,
        estimate,
        _keys(reference, use_programs),
        _keys(estimate, use_programs),
        onset_tolerance_seconds,
        offset_ratio if use_offsets else None,
        offset_min_tolerance_seconds,
    )
    pairs = largest_matching(candidates)
    if use_velocities and len(pairs):
        pairs = pairs[_equally_loud(reference["velocity"], estimate["velocity"], pairs)]
    return np.stack([lasting[0][pairs[:, 0]], lasting[1][pairs[:, 1]]], axis=1)


def count_matches(
    reference: np.ndarray, estimate: np.ndarray, **options: Unpack[MatchOptions]
) -> MatchCounts:
    """The size of the largest matching, and of both sides; options and errors as in `match_notes`."""
    matched = match_notes(reference, estimate, **options)
    return MatchCounts(len(matched), len(_lasting(reference)), len(_lasting(estimate)))


def note_scores(reference: np.ndarray, estimate: np.ndarray, **options: Unpack[MatchOptions]) -> Scores:
    """Precision, recall and F1 of an estimate; options and errors as in `match_notes`.

    >>> from mt3x.music.notes import make_notes
    >>> note_scores(make_notes([0.0, 1.0], 2.0, 60), make_notes(0.04, 1.0, 60)).recall
    0.5
    """
    return count_matches(reference, estimate, **options).scores()


def evaluate(
    reference: np.ndarray, estimate: np.ndarray, use_offsets: bool = True, use_velocities: bool = True
) -> dict[str, float]:
    """All scores of these notes, whatever plays them, under MT3's names ("Onset + offset F1", ...).

    Args:
      use_offsets: include the names with offsets; drums have none.
      use_velocities: include the names with velocities.

    Raises:
      ValueError: the notes are unsound.
    """
    kinds: dict[str, MatchOptions] = {"Onset": {}}
    if use_offsets:
        kinds["Onset + offset"] = {"use_offsets": True}
    if use_velocities:
        kinds["Onset + velocity"] = {"use_velocities": True}
    if use_offsets and use_velocities:
        kinds["Onset + offset + velocity"] = {"use_offsets": True, "use_velocities": True}
    scores = {}
    for name, options in kinds.items():
        scores.update(note_scores(reference, estimate, **options).named(name))
    return scores


def _lasting(notes: np.ndarray) -> np.ndarray:
    """int64 [K]: positions of the notes that last some time."""
    validate_notes(notes)
    return np.flatnonzero(notes["end"] > notes["start"])


def _keys(notes: np.ndarray, use_programs: bool) -> np.ndarray:
    """int64 [N]: equal for notes of the same pitch, and of the same instrument if that matters."""
    if not use_programs:
        return notes["pitch"].astype(np.int64)
    instrument = np.where(notes["is_drum"], 0, notes["program"] + 1)
    return instrument.astype(np.int64) * 128 + notes["pitch"]


def _equally_loud(ours: np.ndarray, theirs: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """bool [K]: pairs whose velocities agree, ours scaled to 0..1, theirs fitted to them by a line."""
    lowest = ours.min()
    scaled = (ours[pairs[:, 0]] - lowest) / max(1, ours.max() - lowest)
    heard = theirs[pairs[:, 1]].astype(np.float64)
    line, *_ = np.linalg.lstsq(np.stack([heard, np.ones_like(heard)], axis=1), scaled, rcond=None)
    return np.abs(line[0] * heard + line[1] - scaled) < VELOCITY_TOLERANCE
