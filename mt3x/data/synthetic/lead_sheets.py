"""Lead sheets: a melody under chord symbols, read from MusicXML.

Conventions: times are quarter notes, shifted so that bar lines lie at multiples of `quarters_per_bar`: a
pickup measure ends at the first of them. Repeats are not unfolded. Pitches are sounding MIDI pitches, pitch
classes count from C, intervals are semitones above the root (a ninth is 14).
"""

import io
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mt3x.data.synthetic.scores import Score, read_score, score_name
from mt3x.score.io.musicxml_reading import MusicXmlError, musicxml_content

MELODY_NOTE_DTYPE = np.dtype([("onset_quarters", "f4"), ("duration_quarters", "f4"), ("pitch", "i2")])

_STEP_PITCH = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
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
    score, part = _read_score_and_part(path)
    time = part.find(".//time")
    try:
        beats = int(time.findtext("beats") or "") if time is not None else 0
        beat_type = int(time.findtext("beat-type") or "") if time is not None else 0
        quarters_per_bar = 4 * beats / beat_type
        chords = _read_chords(part)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"{path} has a missing or malformed time signature or chord symbol ({error}); export it again"
        ) from error
    own = score.notes[score.notes["part"] == 0]
    if not chords or not len(own) or quarters_per_bar <= 0:
        raise ValueError(
            f"{path} has {len(own)} notes, {len(chords)} chord symbols and {quarters_per_bar} quarters in a "
            "bar; a lead sheet must have at least one note and one chord, and a time signature"
        )
    pickup = float(score.bars[1] - score.bars[0]) if len(score.bars) > 1 else quarters_per_bar
    shift = quarters_per_bar - pickup if 0 < pickup < quarters_per_bar else 0.0
    melody = np.zeros(len(own), MELODY_NOTE_DTYPE)
    melody["onset_quarters"] = own["onset_quarters"] + shift
    melody["duration_quarters"] = own["duration_quarters"]
    melody["pitch"] = own["pitch"]
    shifted = (Chord(c.onset_quarters + shift, c.root, c.intervals, c.bass) for c in chords)
    bpm = float(score.tempos[0, 1]) if len(score.tempos) else None
    return LeadSheet(score_name(path), melody, tuple(shifted), quarters_per_bar, bpm)


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


def _read_score_and_part(path: str | Path) -> tuple[Score, ElementTree.Element]:
    """The notes of a file and the element of its first part."""
    content = _content(path)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "sheet.musicxml"
        plain.write_bytes(content)
        try:
            score = read_score(plain)
        except ValueError as error:
            raise ValueError(
                f"{path} can't be read: {str(error).replace(str(plain), 'its score')}"
            ) from error
    part = ElementTree.fromstring(content).find("part")
    assert part is not None  # read_score found notes
    return score, part


def _content(path: str | Path) -> bytes:
    """The MusicXML of a file. Where an archive's container is malformed, its only score is taken.

    In OpenEWLD that is so wherever a title has an apostrophe: 72 of 399 files.
    """
    try:
        return musicxml_content(path)
    except MusicXmlError as error:
        data = Path(path).read_bytes() if Path(path).is_file() else b""
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            scores = [
                name
                for name in archive.namelist()
                if name.lower().endswith((".xml", ".musicxml")) and not name.startswith("META-INF/")
            ]
            if len(scores) != 1:
                raise ValueError(
                    f"{path} has no readable container and {len(scores)} scores; give an archive of one score"
                ) from error
            return archive.read(scores[0])


def _read_chords(part: ElementTree.Element) -> list[Chord]:
    """Chord symbols by onset; of several at one onset the last stays."""
    chords: dict[float, Chord] = {}
    divisions, end = 1.0, 0.0
    for measure in part.iterfind("measure"):
        start = now = end
        for element in measure:
            quarters = float(element.findtext("duration") or 0) / divisions
            if element.tag == "attributes":
                divisions = float(element.findtext("divisions") or divisions)
            elif element.tag == "harmony":
                offset = float(element.findtext("offset") or 0) / divisions
                chord = _read_chord(element, max(now + offset, start))
                if chord is not None:
                    chords[chord.onset_quarters] = chord
            elif element.tag == "backup":
                now = max(start, now - quarters)
            elif element.tag == "forward" or (element.tag == "note" and _moves_on(element)):
                now += quarters
            end = max(end, now)
    return [chords[onset] for onset in sorted(chords)]


def _moves_on(note: ElementTree.Element) -> bool:
    return note.find("chord") is None and note.find("grace") is None


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
    return (_STEP_PITCH[step.strip()] + round(float(harmony.findtext(f"{name}/{name}-alter") or 0))) % 12
