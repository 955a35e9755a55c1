"""Scores of short labelled clips of real recordings: bands, drums, voice, guitar, violin, saxophone, choir.

A folder of clips holds MANIFEST.tsv with a row for each clip (of its columns `MANIFEST_COLUMNS` are read),
SOURCE/CLIP.flac, and SOURCE/CLIP.tsv with the columns `NOTE_COLUMNS`: seconds, whole MIDI pitches, velocity 0
and program -1 where they are unknown, is_drum 0 or 1. The kind of a clip follows from its source, and where a
source has several kinds, from its instruments or the end of its name. Only what is labelled is scored:

    kind                  source and clips                   figures
    mix                   medleydb_mix                       drums, recall of the labelled pitched part
    drums                 mdb_drums                          drums, pitched notes a minute
    voice                 medleydb_pitch, of a singer        onset F1
    guitar                medleydb_pitch, of a guitar        onset F1
    violin                bach_violin                        onset F1 at 100 ms
    saxophone             filosax, *_sax                     onset F1
    saxophone_in_a_band   filosax, *_band                    recall of the labelled pitched part
    choir                 dagstuhl_choir_libsoni             onset F1 at 100 ms
    lied                  schubert_libsoni                   onset F1 at 100 ms
    piano                 madmom                             onset F1

Onset F1 and recall are of pitched notes, whatever their programs: pitches must be equal and onsets at most
50 ms apart (100 ms where labels are loose), ends are not looked at, and drum hits are not counted. Drums are
onset F1 at 50 ms by `DRUM_GROUPS`: any key of a group stands for any other, and hits on other keys are left
out on both sides. The F1 of the three groups together is that of one clip's counts, summed over the groups.
Pitched notes a minute are the estimated notes, all of them wrong, of a clip in which only drums play.

A value of the table is the mean over the clips of the row; a clip with nothing to be counted on either side
has no score and is left out. The first note of a recording counts where labelled notes (pitched, or drum hits
of a group) begin in its first 100 ms; it is found if at least one of them is, pitched or by group as above:
which of several is the very first is a matter of a few milliseconds, which labels do not know.
"""

import csv
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mt3x.metrics.notes import ONSET_TOLERANCE_SECONDS, MatchCounts, count_matches, match_notes
from mt3x.metrics.tables import FoundCounts
from mt3x.music.notes import make_notes, validate_notes

MANIFEST = "MANIFEST.tsv"
MANIFEST_COLUMNS = ("source", "clip", "seconds", "instruments")
NOTE_COLUMNS = ("onset_seconds", "offset_seconds", "midi_pitch", "velocity", "program", "is_drum")

DRUM_GROUPS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "kick": (35, 36),
        "snare": (37, 38, 39, 40),
        "cymbals and hats": (42, 44, 46, 49, 51, 52, 53, 54, 55, 57, 59),
    }
)
"""General MIDI percussion keys that count as the same instrument."""

LOOSE_TOLERANCE_SECONDS = 0.1
"""For labels that were aligned with a recording, not taken from it."""

FIRST_SECONDS = 0.1
"""How long after the beginning of a recording a note still counts as its first."""

# Drum hits have no end; any length keeps them from being left out as notes that last no time.
_HIT_SECONDS = 0.05


class Kind(StrEnum):
    """What a clip holds, which decides how it is scored."""

    MIX = "mix"
    DRUMS = "drums"
    VOICE = "voice"
    GUITAR = "guitar"
    VIOLIN = "violin"
    SAXOPHONE = "saxophone"
    SAXOPHONE_IN_A_BAND = "saxophone_in_a_band"
    CHOIR = "choir"
    LIED = "lied"
    PIANO = "piano"


_LOOSE = (Kind.VIOLIN, Kind.CHOIR, Kind.LIED)

_KINDS_OF_SOURCES: Mapping[str, Kind] = MappingProxyType(
    {
        "medleydb_mix": Kind.MIX,
        "mdb_drums": Kind.DRUMS,
        "bach_violin": Kind.VIOLIN,
        "dagstuhl_choir_libsoni": Kind.CHOIR,
        "schubert_libsoni": Kind.LIED,
        "madmom": Kind.PIANO,
    }
)
_SEVERAL_KINDS = ("medleydb_pitch", "filosax")


@dataclasses.dataclass(frozen=True)
class LabelledClip:
    """A clip and its labels.

    Attributes:
      name: of its file, without folder and ending; no other clip has it.
      audio: the recording.
      seconds: how long the recording is.
      notes: what is labelled, notes [N]; unknown velocities are 1, unknown programs 0.
    """

    name: str
    kind: Kind
    audio: Path
    seconds: float
    notes: np.ndarray


@dataclasses.dataclass(frozen=True)
class ClipScores:
    """The figures of one clip.

    Attributes:
      figures: those of its kind by name; None where nothing was to be counted.
      first_note: labelled notes of the first 100 ms, found and in all.
    """

    kind: Kind
    figures: Mapping[str, float | None]
    first_note: FoundCounts


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A row of the table: the mean of a figure over the clips of some kinds."""

    kinds: tuple[Kind, ...]
    figure: str
    decimals: int = 3


ONSET_F1, ONSET_RECALL, PITCHED_PER_MINUTE = "onset F1", "onset recall", "pitched notes a minute"
THREE_GROUPS = "three groups"
DRUM_FIGURES = (THREE_GROUPS, *DRUM_GROUPS)

QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        **{f"drums in the mix, {name}: onset F1": Quantity((Kind.MIX,), name) for name in DRUM_FIGURES},
        **{f"drums alone, {name}: onset F1": Quantity((Kind.DRUMS,), name) for name in DRUM_FIGURES},
        "drums alone: pitched notes a minute": Quantity((Kind.DRUMS,), PITCHED_PER_MINUTE, 1),
        "voice alone: onset F1": Quantity((Kind.VOICE,), ONSET_F1),
        "electric guitar alone: onset F1": Quantity((Kind.GUITAR,), ONSET_F1),
        "violin alone: onset F1 at 100 ms": Quantity((Kind.VIOLIN,), ONSET_F1),
        "saxophone alone: onset F1": Quantity((Kind.SAXOPHONE,), ONSET_F1),
        "labelled part in the band: onset recall": Quantity(
            (Kind.MIX, Kind.SAXOPHONE_IN_A_BAND), ONSET_RECALL
        ),
        "choir: onset F1 at 100 ms": Quantity((Kind.CHOIR,), ONSET_F1),
        "Schubert song: onset F1 at 100 ms": Quantity((Kind.LIED,), ONSET_F1),
        "piano: onset F1": Quantity((Kind.PIANO,), ONSET_F1),
    }
)
"""The rows of the table by their titles, in its order."""


def read_clips(folder: Path) -> list[LabelledClip]:
    """The clips of a folder in the order of its manifest.

    Raises:
      ValueError: the manifest, a recording or a table of notes is missing, or one of them is unsound.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise ValueError(f"{manifest} was not found; a folder of clips needs it, with a row for each clip")
    header, rows = _read_table(manifest)
    if missing := [column for column in MANIFEST_COLUMNS if column not in header]:
        raise ValueError(f"{manifest} has no column {missing[0]}; it needs {', '.join(MANIFEST_COLUMNS)}")
    clips: dict[str, LabelledClip] = {}
    for row in rows:
        entry = dict(zip(header, row, strict=True))
        name, source = entry["clip"], entry["source"]
        if name in clips:
            raise ValueError(f"{manifest} has the clip {name} twice; each needs a name of its own")
        audio = folder / source / f"{name}.flac"
        if not audio.is_file():
            raise ValueError(f"{audio} was not found; {MANIFEST} names it")
        kind = kind_of(source, name, entry["instruments"])
        notes = read_notes(folder / source / f"{name}.tsv")
        clips[name] = LabelledClip(name, kind, audio, _read_seconds(manifest, entry), notes)
    if not clips:
        raise ValueError(f"{manifest} has 0 clips; it needs a row for each, and at least 1")
    return list(clips.values())


def kind_of(source: str, name: str, instruments: str) -> Kind:
    """The kind of a clip.

    >>> kind_of("filosax", "P1_01_band", "tenor sax+piano+bass+drums").value
    'saxophone_in_a_band'

    Raises:
      ValueError: there is no rule for the source, or for this clip of it.
    """
    if source in _KINDS_OF_SOURCES:
        return _KINDS_OF_SOURCES[source]
    if source == "medleydb_pitch":
        if instruments.endswith("singer"):
            return Kind.VOICE
        if instruments.endswith("electric guitar"):
            return Kind.GUITAR
        raise ValueError(f"{source}/{name} is of {instruments!r}; it must be a singer or an electric guitar")
    if source == "filosax":
        if name.endswith("_sax"):
            return Kind.SAXOPHONE
        if name.endswith("_band"):
            return Kind.SAXOPHONE_IN_A_BAND
        raise ValueError(f"{source}/{name} ends in neither _sax nor _band; its kind is not known")
    known = ", ".join(sorted([*_KINDS_OF_SOURCES, *_SEVERAL_KINDS]))
    raise ValueError(f"{source}/{name} is of the unknown source {source}; the sources are {known}")


def read_notes(table: Path) -> np.ndarray:
    """The labels in a table: notes [N].

    Raises:
      ValueError: the table is missing, its columns are not `NOTE_COLUMNS`, or a cell is unsound.
    """
    if not table.is_file():
        raise ValueError(f"{table} was not found; each clip needs a table of notes")
    header, rows = _read_table(table)
    if tuple(header) != NOTE_COLUMNS:
        unknown = [column for column in header if column not in NOTE_COLUMNS]
        problem = f"the unknown column {unknown[0]!r}" if unknown else f"the columns {', '.join(header)}"
        raise ValueError(f"{table} has {problem}; its columns must be {', '.join(NOTE_COLUMNS)}")
    try:
        cells = np.array(rows, np.float64).reshape(-1, len(NOTE_COLUMNS))
    except ValueError as error:
        raise ValueError(f"{table} has a cell that is not a number: {error}") from error
    if not np.isfinite(cells).all():
        raise ValueError(f"{table} has a cell that is {cells[~np.isfinite(cells)][0]}; all must be finite")
    onset, offset, pitch, velocity, program, is_drum = cells.T
    for name, values, is_sound, limit in (
        ("midi_pitch", pitch, pitch == np.round(pitch), "a whole number"),
        ("is_drum", is_drum, np.isin(is_drum, (0, 1)), "0 or 1"),
    ):
        if not is_sound.all():
            raise ValueError(f"{table} has {name} {values[~is_sound][0]:g}; it must be {limit}")
    notes = make_notes(onset, offset, pitch, np.maximum(velocity, 1), np.maximum(program, 0), is_drum > 0)
    try:
        return validate_notes(notes)
    except ValueError as error:
        raise ValueError(f"{table}: {error}") from error


def _read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header of a table and its rows, all of the header's length."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    for i, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"{path}, line {i}, has {len(row)} cells; its header has {len(header)}")
    return header, rows


def _read_seconds(manifest: Path, entry: Mapping[str, str]) -> float:
    try:
        seconds = float(entry["seconds"])
    except ValueError:
        seconds = 0.0
    if not (np.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{manifest}: {entry['clip']} has seconds {entry['seconds']!r}; it must be above 0")
    return seconds


def score_clip(clip: LabelledClip, estimate: np.ndarray) -> ClipScores:
    """The figures that the clip's kind has, of an estimate: notes [M] in any order.

    Raises:
      ValueError: the notes are unsound.
    """
    reference, kind = clip.notes, clip.kind
    tolerance = LOOSE_TOLERANCE_SECONDS if kind in _LOOSE else ONSET_TOLERANCE_SECONDS
    figures: dict[str, float | None] = {}
    if kind in (Kind.MIX, Kind.DRUMS):
        figures |= drum_figures(reference, estimate)
    if kind == Kind.DRUMS:
        figures[PITCHED_PER_MINUTE] = len(_pitched(estimate)) * 60 / clip.seconds
    else:
        counts = count_matches(_pitched(reference), _pitched(estimate), onset_tolerance_seconds=tolerance)
        if kind in (Kind.MIX, Kind.SAXOPHONE_IN_A_BAND):
            figures[ONSET_RECALL] = counts.scores().recall if counts.reference else None
        else:
            figures[ONSET_F1] = _f1(counts)
    return ClipScores(kind, figures, first_note(reference, estimate, tolerance))


def drum_figures(reference: np.ndarray, estimate: np.ndarray) -> dict[str, float | None]:
    """Onset F1 of the three groups of drums together, and of each, by the names of `DRUM_FIGURES`."""
    counts = {
        name: count_matches(_hits(reference, keys), _hits(estimate, keys))
        for name, keys in DRUM_GROUPS.items()
    }
    together = sum(counts.values(), MatchCounts())
    return {THREE_GROUPS: _f1(together), **{name: _f1(found) for name, found in counts.items()}}


def first_note(
    reference: np.ndarray, estimate: np.ndarray, tolerance_seconds: float = ONSET_TOLERANCE_SECONDS
) -> FoundCounts:
    """Reference notes of the first 100 ms, found and in all: pitched ones, and drum hits of a group.

    Args:
      reference: notes [N].
      estimate: notes [M].
      tolerance_seconds: of the onsets of pitched notes; that of drum hits is 50 ms.
    """
    sides = [(_pitched(reference), _pitched(estimate), tolerance_seconds)]
    sides += [
        (_hits(reference, keys), _hits(estimate, keys), ONSET_TOLERANCE_SECONDS)
        for keys in DRUM_GROUPS.values()
    ]
    total = FoundCounts()
    for ours, theirs, tolerance in sides:
        pairs = match_notes(ours, theirs, onset_tolerance_seconds=tolerance)
        is_first = (ours["start"] <= FIRST_SECONDS) & (ours["end"] > ours["start"])
        total += FoundCounts(int(is_first[pairs[:, 0]].sum()), int(is_first.sum()))
    return total


def summarize_clips(scores: Sequence[ClipScores]) -> dict[str, tuple[float | None, int]]:
    """The mean of each of `QUANTITIES` and how many clips are in it; None where there are none."""
    means = {}
    for title, quantity in QUANTITIES.items():
        values = [score.figures[quantity.figure] for score in scores if score.kind in quantity.kinds]
        counted = [value for value in values if value is not None]
        means[title] = (float(np.mean(counted)) if counted else None, len(counted))
    return means


def count_first_notes(counts: Iterable[FoundCounts]) -> FoundCounts:
    """Recordings with notes in their first 100 ms: those with at least one of them found, and all."""
    return sum((FoundCounts(int(count.found > 0), 1) for count in counts if count.reference), FoundCounts())


def table_rows(scores: Sequence[ClipScores], real: Sequence[FoundCounts]) -> dict[str, tuple[int, str]]:
    """The rows of the table by title: how many recordings are in the value, and the value as it is printed.

    Args:
      scores: of clips; without any the table has only the row of `real`.
      real: first notes of other recordings; without any that row is left out.
    """
    rows: dict[str, tuple[int, str]] = {}
    for title, (value, number) in summarize_clips(scores).items() if scores else ():
        rows[title] = number, "-" if value is None else f"{value:.{QUANTITIES[title].decimals}f}"
    firsts = {"clips": [score.first_note for score in scores], "real recordings": real}
    for name, counts in firsts.items():
        if counts:
            found = count_first_notes(counts)
            rows[f"first note found, {name}"] = len(counts), f"{found.found} of {found.reference}"
    return rows


def clips_entry(scores: Mapping[str, ClipScores]) -> dict[str, Any]:
    """All figures for a JSON file: the rows, the first notes, and those of every clip by its name."""
    found = count_first_notes(score.first_note for score in scores.values())
    means = summarize_clips(list(scores.values()))
    return {
        "quantities": {title: {"value": value, "clips": number} for title, (value, number) in means.items()},
        "first_note": dataclasses.asdict(found),
        "clips": {name: dataclasses.asdict(score) for name, score in scores.items()},
    }


def _pitched(notes: np.ndarray) -> np.ndarray:
    return notes[~notes["is_drum"]]


def _hits(notes: np.ndarray, keys: Sequence[int]) -> np.ndarray:
    """The drum hits on these keys, all of them on the first key and of one nominal length."""
    hits = notes[notes["is_drum"] & np.isin(notes["pitch"], keys)]
    hits["pitch"] = keys[0]
    hits["end"] = hits["start"] + _HIT_SECONDS
    return hits


def _f1(counts: MatchCounts) -> float | None:
    """F1, or None where there was nothing on either side."""
    return counts.scores().f1 if counts.reference or counts.estimate else None
