"""Note scores: how many notes of an estimate match a reference one to one.

Two notes match if their pitches are equal and their onsets at most 50 ms apart; if asked for, also if their
offsets differ by at most 20 % of the reference's length or 50 ms, whichever is more, and if their velocities
agree to 10 % after the estimate's have been fitted to the reference's by least squares. Instruments are not
looked at: `metrics.instruments` does that. Notes that last no time are left out, as in MT3.

Precision, recall and F1 of nothing are 0, as in mir_eval: an empty estimate of an empty reference scores 0.

Source: mir_eval `transcription` and `transcription_velocity`, which do the matching; MT3 `metrics.py` for the
names and the parameters.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from mt3x.music.notes import validate_notes

ONSET_TOLERANCE_SECONDS = 0.05
OFFSET_RATIO = 0.2


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


def count_matches(
    reference: np.ndarray,
    estimate: np.ndarray,
    use_offsets: bool = False,
    use_velocities: bool = False,
    onset_tolerance_seconds: float = ONSET_TOLERANCE_SECONDS,
    offset_ratio: float = OFFSET_RATIO,
    offset_min_tolerance_seconds: float = ONSET_TOLERANCE_SECONDS,
) -> MatchCounts:
    """The size of the largest one-to-one matching, and of both sides.

    Args:
      reference: notes [N].
      estimate: notes [M]; neither side needs an order.
      use_offsets: notes must end together, too.
      use_velocities: notes must be equally loud, too. Which of several largest matchings the velocities are
        fitted to depends on the order of the notes.

    Raises:
      ValueError: the notes are unsound.
      ImportError: mir_eval is not installed.
    """
    reference, estimate = _lasting(reference), _lasting(estimate)
    if not len(reference) or not len(estimate):
        return MatchCounts(0, len(reference), len(estimate))
    mir_eval = _import_mir_eval()
    matching = {
        "onset_tolerance": onset_tolerance_seconds,
        "offset_ratio": offset_ratio if use_offsets else None,
        "offset_min_tolerance": offset_min_tolerance_seconds,
    }
    columns = [_intervals(reference), _hertz(reference), _intervals(estimate), _hertz(estimate)]
    if use_velocities:
        columns.insert(2, reference["velocity"])
        columns.append(estimate["velocity"])
        matched = mir_eval.transcription_velocity.match_notes(*columns, **matching)
    else:
        matched = mir_eval.transcription.match_notes(*columns, **matching)
    return MatchCounts(len(matched), len(reference), len(estimate))


def note_scores(
    reference: np.ndarray,
    estimate: np.ndarray,
    use_offsets: bool = False,
    use_velocities: bool = False,
    onset_tolerance_seconds: float = ONSET_TOLERANCE_SECONDS,
    offset_ratio: float = OFFSET_RATIO,
    offset_min_tolerance_seconds: float = ONSET_TOLERANCE_SECONDS,
) -> Scores:
    """Precision, recall and F1 of an estimate; arguments and errors as in `count_matches`.

    >>> from mt3x.music.notes import make_notes
    >>> note_scores(make_notes([0.0, 1.0], 2.0, 60), make_notes(0.04, 1.0, 60)).recall
    0.5
    """
    return count_matches(
        reference,
        estimate,
        use_offsets,
        use_velocities,
        onset_tolerance_seconds,
        offset_ratio,
        offset_min_tolerance_seconds,
    ).scores()


def evaluate(
    reference: np.ndarray, estimate: np.ndarray, use_offsets: bool = True, use_velocities: bool = True
) -> dict[str, float]:
    """All scores of these notes, whatever plays them, under MT3's names ("Onset + offset F1", ...).

    Args:
      use_offsets: include the names with offsets; drums have none.
      use_velocities: include the names with velocities.

    Raises:
      ValueError: the notes are unsound.
      ImportError: mir_eval is not installed.
    """
    kinds = {"Onset": (False, False)}
    if use_offsets:
        kinds["Onset + offset"] = (True, False)
    if use_velocities:
        kinds["Onset + velocity"] = (False, True)
    if use_offsets and use_velocities:
        kinds["Onset + offset + velocity"] = (True, True)
    scores = {}
    for name, (with_offsets, with_velocities) in kinds.items():
        scores.update(note_scores(reference, estimate, with_offsets, with_velocities).named(name))
    return scores


def _lasting(notes: np.ndarray) -> np.ndarray:
    validate_notes(notes)
    return notes[notes["end"] > notes["start"]]


def _intervals(notes: np.ndarray) -> np.ndarray:
    """float64 [N, 2], seconds."""
    return np.stack([notes["start"], notes["end"]], axis=1)


def _hertz(notes: np.ndarray) -> np.ndarray:
    """float64 [N], equal temperament, A4 (pitch 69) at 440 Hz."""
    return 440.0 * 2.0 ** ((notes["pitch"] - 69) / 12.0)


def _import_mir_eval() -> Any:
    try:
        import mir_eval
    except ImportError as error:
        raise ImportError("scores need mir_eval: pip install mir_eval") from error
    return mir_eval
