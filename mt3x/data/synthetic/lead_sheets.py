"""Lead sheets: a melody under chord symbols, read from MusicXML.

Conventions: times are quarter notes, shifted so that bar lines lie at multiples of `quarters_per_bar`: a
pickup measure ends at the first of them. Repeats are not unfolded. Pitches are sounding MIDI pitches, pitch
classes count from C, intervals are semitones above the root (a ninth is 14).
"""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mt3x.data.synthetic.scores import piece_of_score, score_name
from mt3x.score.io.musicxml_files import musicxml_content, parse_musicxml, timed_score
from mt3x.score.io.musicxml_reading import score_of_element
from mt3x.score.score import STEP_PITCH_CLASSES

MELODY_NOTE_DTYPE = np.dtype([("onset_quarters", "f4"), ("duration_quarters", "f4"), ("pitch", "i2")])

_MAJOR_TRIAD = (0, 4, 7)
_KIND_INTERVALS: dict[str, tuple[int, ...]] = {
    "major": _MAJOR_TRIAD,
    "minor": (0, 3, 7),
    "augmented": (0, 4, 8),
    "diminished": (0, 3, 6),
    "dominant": (0, 4, 7, 10),
    "major-seventh": (0, 4, 7, 11),
    "minor-seventh": (0, 3, 7, 10),
    "diminished-seventh": (0, 3, 6, 9),
    "augmented-seventh": (0, 4, 8, 10),
    "half-diminished": (0, 3, 6, 10),
    "major-minor": (0, 3, 7, 11),
    "minor-major": (0, 3, 7, 11),
    "major-sixth": (0, 4, 7, 9),
    "minor-sixth": (0, 3, 7, 9),
    "dominant-ninth": (0, 4, 7, 10, 14),
    "augmented-ninth": (0, 4, 8, 10, 14),
    "major-ninth": (0, 4, 7, 11, 14),
    "minor-ninth": (0, 3, 7, 10, 14),
    "dominant-11th": (0, 4, 7, 10, 14, 17),
    "major-11th": (0, 4, 7, 11, 14, 17),
    "minor-11th": (0, 3, 7, 10, 14, 17),
    "dominant-13th": (0, 4, 7, 10, 14, 21),
    "major-13th": (0, 4, 7, 11, 14, 21),
    "minor-13th": (0, 3, 7, 10, 14, 21),
    "suspended-second": (0, 2, 7),
    "suspended-fourth": (0, 5, 7),
    "power": (0, 7),
    "none": (),
}
"""Other kinds are read as major triads."""

# Semitones of a degree in a dominant chord, against which MusicXML counts alterations.
_DEGREE_INTERVALS = {1: 0, 2: 2, 3: 4, 4: 5, 5: 7, 6: 9, 7: 10, 9: 14, 11: 17, 13: 21}
_DEGREE_OF_INTERVAL = {3: 3, 4: 3, 6: 5, 7: 5, 8: 5, 9: 6, 10: 7, 11: 7, 13: 9, 14: 9, 15: 9, 17: 11, 21: 13}


@dataclass(frozen=True)
class Chord:
    """A chord from `onset_quarters` until the next one; without intervals nothing is played."""

    onset_quarters: float
    root: int
    intervals: tuple[int, ...]
    bass: int


@dataclass(frozen=True, eq=False)
class LeadSheet:
    """A song.

    melody: `MELODY_NOTE_DTYPE` [N], ordered by onset, at least one note.
    chords: ordered by onset, at least one.
    bpm: quarters per minute where the sheet gives a tempo.
    """

    name: str
    melody: np.ndarray
    chords: tuple[Chord, ...]
    quarters_per_bar: float
    bpm: float | None

    @property
    def num_bars(self) -> int:
        """Bars until the end of the last note."""
        end = (self.melody["onset_quarters"] + self.melody["duration_quarters"]).max()
        return int(np.ceil(float(end) / self.quarters_per_bar - 1e-3))


def read_lead_sheet(path: str | Path) -> LeadSheet:
    """Reads a partwise MusicXML file, compressed (.mxl) or plain; the melody is its first part.

    Raises:
      ValueError: the file cannot be read (`MusicXmlError` is one), or holds no note, no chord symbol or no
        time signature.
    """
    root = parse_musicxml(musicxml_content(path), str(path))
    sheet = piece_of_score(score_of_element(root, str(path)), score_name(path))
    if not len(sheet.notes):
        raise ValueError(f"{path} holds no pitched note; a lead sheet must have at least one")
    time = root.find("part//time")
    try:
        beats = int(time.findtext("beats") or "") if time is not None else 0
        beat_type = int(time.findtext("beat-type") or "") if time is not None else 0
        quarters_per_bar = 4 * beats / beat_type
        chords = _read_chords(root)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"{path} has a missing or malformed time signature or chord symbol ({error}); export it again"
        ) from error
    own = sheet.notes[sheet.notes["part"] == 0]
    if not chords or not len(own) or quarters_per_bar <= 0:
        raise ValueError(
            f"{path} has {len(own)} notes, {len(chords)} chord symbols and {quarters_per_bar} quarters in a "
            "bar; a lead sheet must have at least one note and one chord, and a time signature"
        )
    pickup = float(sheet.bars[1] - sheet.bars[0]) if len(sheet.bars) > 1 else quarters_per_bar
    shift = quarters_per_bar - pickup if 0 < pickup < quarters_per_bar else 0.0
    melody = np.zeros(len(own), MELODY_NOTE_DTYPE)
    melody["onset_quarters"] = own["onset_quarters"] + shift
    melody["duration_quarters"] = own["duration_quarters"]
    melody["pitch"] = own["pitch"]
    shifted = (Chord(c.onset_quarters + shift, c.root, c.intervals, c.bass) for c in chords)
    bpm = float(sheet.tempos[0, 1]) if len(sheet.tempos) else None
    return LeadSheet(sheet.name, melody, tuple(shifted), quarters_per_bar, bpm)


def read_lead_sheets(folder: str | Path) -> tuple[tuple[LeadSheet, ...], int]:
    """The readable lead sheets (.mxl) of a folder, by name, and how many could not be read.

    Raises:
      ValueError: not one of them can be read.
    """
    paths = sorted(Path(folder).glob("*.mxl"))
    sheets = []
    for path in paths:
        try:
            sheets.append(read_lead_sheet(path))
        except ValueError:
            continue
    if not sheets:
        raise ValueError(
            f"{folder} has {len(paths)} files .mxl, of which none is a readable lead sheet; give at least one"
        )
    return tuple(sheets), len(paths) - len(sheets)


def _read_chords(root: ElementTree.Element) -> list[Chord]:
    """Chord symbols of the first part by onset; of several at one onset the last stays."""
    divs, starts, parts = timed_score(root)
    chords: dict[float, Chord] = {}
    for measure, time, _, element in parts[0]:
        if element.tag == "harmony":
            chord = _read_chord(element, (starts[measure] + time) / divs)
            if chord is not None:
                chords[chord.onset_quarters] = chord
    return [chords[onset] for onset in sorted(chords)]


def _read_chord(harmony: ElementTree.Element, onset: float) -> Chord | None:
    root = _pitch_class(harmony, "root")
    if root is None:
        return None
    kind = (harmony.findtext("kind") or "").strip()
    intervals = set(_KIND_INTERVALS.get(kind, _MAJOR_TRIAD))
    for degree in harmony.iterfind("degree"):
        value = int(degree.findtext("degree-value") or 0)
        change = (degree.findtext("degree-type") or "").strip()
        if value not in _DEGREE_INTERVALS:
            continue
        if change in ("alter", "subtract"):
            intervals -= {i for i in intervals if _DEGREE_OF_INTERVAL.get(i, 0) == value}
        if change in ("alter", "add"):
            intervals.add(_DEGREE_INTERVALS[value] + round(float(degree.findtext("degree-alter") or 0)))
    bass = _pitch_class(harmony, "bass")
    played = tuple(sorted(interval for interval in intervals if 0 <= interval < 24))
    return Chord(onset, root, played, root if bass is None else bass)


def _pitch_class(harmony: ElementTree.Element, name: str) -> int | None:
    step = harmony.findtext(f"{name}/{name}-step")
    if step is None:
        return None
    alter = round(float(harmony.findtext(f"{name}/{name}-alter") or 0))
    return (STEP_PITCH_CLASSES[step.strip()] + alter) % 12
