"""Note scores taken apart: by class of instruments, and by how much else sounds.

By class, a note counts only if an instrument of the right class plays it; drums are a class of their own, in
which only onsets must match. By polyphony, instruments are not looked at. Counts of pieces add up.

Source: MT3's (arXiv 2111.03017) pooled scores by class; the classes and the multi F1 of YourMT3+ (arXiv
2407.04822) as its `utils/metrics.py`, `config/vocabulary.py` and `config/data_presets.py` (Slakh) have them.
"""

import dataclasses
from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np

from mt3x.metrics.instruments import extract_track
from mt3x.metrics.notes import (
    ONSET_TOLERANCE_SECONDS,
    MatchCounts,
    count_matches,
    match_notes,
)
from mt3x.music.checks import check_at_least
from mt3x.music.instruments import CLASS_NAMES, DRUMS_NAME, PROGRAMS_PER_CLASS
from mt3x.music.notes import validate_notes

GM_CLASSES: Mapping[str, Collection[int]] = MappingProxyType(
    {
        name: range(first, first + PROGRAMS_PER_CLASS)
        for name, first in zip(CLASS_NAMES, range(0, 128, PROGRAMS_PER_CLASS), strict=True)
    }
)
"""The 16 General MIDI classes and their programs."""

YOURMT3_CLASSES: Mapping[str, Collection[int]] = MappingProxyType(
    {name: GM_CLASSES[name] for name in CLASS_NAMES[:5]}
    | {"Strings": range(40, 56)}
    | {name: GM_CLASSES[name] for name in CLASS_NAMES[7:12]}
)
"""The 11 classes by which YourMT3+ scores Slakh: strings with ensembles, and nothing from program 96 on."""

YOURMT3_DRUMS: tuple[tuple[int, ...], ...] = (
    *((36, 35), (37, 2), (38, 40), (42, 44, 22), (46, 26), (49, 57)),
    *((key,) for key in (41, 43, 45, 47, 48, 50, 51, 52, 53, 55, 56, 58, 59)),
)
"""The percussion keys that YourMT3+ takes for the same instrument on Slakh; others it leaves out."""


@dataclasses.dataclass(frozen=True)
class FoundCounts:
    """Numbers of reference notes: found, and in all. They add up over pieces."""

    found: int = 0
    reference: int = 0

    def __add__(self, other: "FoundCounts") -> "FoundCounts":
        return FoundCounts(self.found + other.found, self.reference + other.reference)

    @property
    def recall(self) -> float:
        """0 where there was nothing to be found."""
        return self.found / self.reference if self.reference else 0.0


def count_by_class(
    reference: np.ndarray,
    estimate: np.ndarray,
    classes: Mapping[str, Collection[int]] = GM_CLASSES,
    use_offsets: bool = True,
    tolerance_seconds: float = ONSET_TOLERANCE_SECONDS,
) -> dict[str, MatchCounts]:
    """Matches by class name, in the order of the classes, then "Drums".

    Summed up over `GM_CLASSES` they are those of `metrics.instruments.program_scores` by MIDI class.

    Args:
      reference: notes [N].
      estimate: notes [M].
      classes: the programs of each class; notes of programs in none are left out on both sides.
      use_offsets: pitched notes must end together, too.
      tolerance_seconds: of onsets, and the least one of offsets.

    Raises:
      ValueError: the notes are unsound, or a program is in two classes.
    """
    class_of = np.full(128, -1)
    for number, (name, members) in enumerate(classes.items()):
        programs = sorted(members)
        if (class_of[programs] >= 0).any():
            twice = programs[int(np.argmax(class_of[programs] >= 0))]
            raise ValueError(f"program {twice} is in 2 classes or more, {name!r} among them; it may be in 1")
        class_of[programs] = number
    sides = [_by_class(notes, class_of) for notes in (reference, estimate)]
    pairs = match_notes(
        *sides,
        use_offsets=use_offsets,
        onset_tolerance_seconds=tolerance_seconds,
        offset_min_tolerance_seconds=tolerance_seconds,
        use_programs=True,
    )
    matched, ours, theirs = (
        np.bincount(programs, minlength=len(classes)).tolist()
        for programs in (sides[0]["program"][pairs[:, 0]], sides[0]["program"], sides[1]["program"])
    )
    counts = {
        name: MatchCounts(*numbers) for name, *numbers in zip(classes, matched, ours, theirs, strict=True)
    }
    drums, heard = (extract_track(notes, 0, is_drum=True) for notes in (reference, estimate))
    counts[DRUMS_NAME] = count_matches(drums, heard, onset_tolerance_seconds=tolerance_seconds)
    return counts


def count_multi(
    reference: np.ndarray, estimate: np.ndarray, tolerance_seconds: float = ONSET_TOLERANCE_SECONDS
) -> MatchCounts:
    """Notes of one piece as YourMT3+ counts them for its multi F1, which `.scores()` holds.

    Onset, offset and class (of `YOURMT3_CLASSES`) must match, for drum hits onset and kind (of
    `YOURMT3_DRUMS`); all notes of the piece are pooled. YourMT3+ reports the mean of the F1 over pieces.
    Deviation: a piece without estimated notes scores 0; there it is left out of the mean.

    Raises:
      ValueError: the notes are unsound.
    """
    counts = count_by_class(
        _merge_drums(reference),
        _merge_drums(estimate),
        YOURMT3_CLASSES,
        tolerance_seconds=tolerance_seconds,
    )
    return sum(counts.values(), MatchCounts())


def count_found_by_polyphony(
    reference: np.ndarray,
    estimate: np.ndarray,
    max_polyphony: int = 8,
    use_offsets: bool = False,
    onset_tolerance_seconds: float = ONSET_TOLERANCE_SECONDS,
) -> dict[int, FoundCounts]:
    """Pitched reference notes, found and in all, by how many of them sound at the onset.

    The note itself counts, and so do notes that begin up to a tolerance later, as in a chord that is not
    quite together. Keys are 1 to `max_polyphony`, which stands for that many or more.

    Args:
      reference: notes [N]; those that last no time are left out.
      estimate: notes [M].
      use_offsets: notes must end together, too.

    Raises:
      ValueError: the notes are unsound, or `max_polyphony` is below 1.
    """
    check_at_least(1, max_polyphony=max_polyphony)
    reference, estimate = (notes[~notes["is_drum"]] for notes in (reference, estimate))
    pairs = match_notes(reference, estimate, use_offsets, onset_tolerance_seconds=onset_tolerance_seconds)
    is_found = np.isin(np.arange(len(reference)), pairs[:, 0])
    lasting = reference["end"] > reference["start"]
    reference, is_found = reference[lasting], is_found[lasting]
    begun = np.searchsorted(
        np.sort(reference["start"]), reference["start"] + onset_tolerance_seconds, side="right"
    )
    ended = np.searchsorted(np.sort(reference["end"]), reference["start"], side="right")
    level = np.minimum(begun - ended, max_polyphony)
    return {
        polyphony: FoundCounts(int(is_found[level == polyphony].sum()), int((level == polyphony).sum()))
        for polyphony in range(1, max_polyphony + 1)
    }


def _by_class(notes: np.ndarray, class_of: np.ndarray) -> np.ndarray:
    """The pitched notes that last some time and are of a class, with its number as their program."""
    validate_notes(notes)
    chosen = notes[~notes["is_drum"] & (notes["end"] > notes["start"])]
    chosen["program"] = class_of[chosen["program"]]
    return chosen[chosen["program"] >= 0]


def _merge_drums(notes: np.ndarray) -> np.ndarray:
    """The notes with each kind of drum on its first key, and without the drums that are of no kind."""
    kind_of = np.full(128, -1)
    for keys in YOURMT3_DRUMS:
        kind_of[list(keys)] = keys[0]
    merged = validate_notes(notes).copy()
    merged["pitch"] = np.where(notes["is_drum"], kind_of[notes["pitch"]], notes["pitch"])
    return merged[merged["pitch"] >= 0]
