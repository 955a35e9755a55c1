"""Scores as spelled notes: what pitch spelling is trained on. MusicXML in, one packed archive out.

Conventions: times are quarter notes from the start of the score, in written order. Tied notes are one note,
grace notes last 0 quarters at the onset of the note they lean on, cue notes are left out. A spelling is a
position on the line of fifths (F -1, C 0, G 1, ..., `mt3x.score.spelling.names`), a key signature its number
of fifths. Parts for instruments that transpose by other intervals than octaves are left out, since their
signatures are not those of the score. Pieces are held out by name, as in `data.synthetic.scores`.
"""

import os
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mt3x.data.synthetic.scores import score_name

SPELLED_DTYPE = np.dtype(
    [
        ("onset_quarters", "f4"),
        ("duration_quarters", "f4"),
        ("pitch", "i2"),
        ("position", "i1"),
        ("fifths", "i1"),
        ("staff", "i2"),
    ]
)
_STEP_POSITION = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_SAME_TIME_QUARTERS = 1e-3


@dataclass(frozen=True, eq=False)
class SpelledScore:
    """A piece: its name, by which it is split, its composer, and its notes.

    notes: `SPELLED_DTYPE` [N] ordered by (onset, pitch); `staff` counts the staves of all parts.
    """

    name: str
    composer: str
    notes: np.ndarray


def read_spelled_score(path: str | Path) -> SpelledScore:
    """Reads a partwise MusicXML file, compressed (.mxl) or plain.

    Raises:
      ValueError: the file is missing, isn't MusicXML, or holds no note with a name.
    """
    try:
        root = ElementTree.fromstring(_xml_bytes(Path(path)))
        staves: dict[tuple[int, str], int] = {}
        notes = [
            note
            for index, part in enumerate(root.iterfind("part"))
            for note in _Part(index, staves).read(part)
        ]
    except (OSError, KeyError, ValueError, ZeroDivisionError, ElementTree.ParseError) as error:
        raise ValueError(f"{path} can't be read as MusicXML ({error}); export the score again") from error
    if not notes:
        raise ValueError(f"{path} holds no note with a name; give a partwise score with at least one")
    array = np.array([tuple(note) for note in notes], SPELLED_DTYPE)
    creator = root.find("identification/creator[@type='composer']")
    composer = " ".join((creator.text or "").split()) if creator is not None else ""
    return SpelledScore(
        score_name(path), composer, array[np.lexsort((array["pitch"], array["onset_quarters"]))]
    )


def save_spelled_scores(scores: Sequence[SpelledScore], out_npz: str | Path) -> None:
    """Writes scores to one compressed archive; it appears whole or not at all."""
    out_npz = Path(out_npz)
    notes = np.concatenate([score.notes for score in scores])
    arrays: dict[str, Any] = {
        "names": np.array([score.name for score in scores]),
        "composers": np.array([score.composer for score in scores]),
        "num_notes": np.array([len(score.notes) for score in scores], np.int32),
        **{name: notes[name] for name in SPELLED_DTYPE.names or ()},
    }
    half_written = out_npz.with_name(out_npz.name + ".part")
    with open(half_written, "wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(half_written, out_npz)


def load_spelled_scores(npz: str | Path) -> list[SpelledScore]:
    """Reads an archive of `save_spelled_scores`.

    Raises:
      ValueError: the file is missing or isn't such an archive.
    """
    try:
        with np.load(npz, allow_pickle=False) as archive:
            notes = np.zeros(len(archive["pitch"]), SPELLED_DTYPE)
            for name in SPELLED_DTYPE.names or ():
                notes[name] = archive[name]
            pieces = np.split(notes, np.cumsum(archive["num_notes"])[:-1])
            labels = zip(archive["names"].tolist(), archive["composers"].tolist(), pieces, strict=True)
            return [SpelledScore(*fields) for fields in labels]
    except (OSError, KeyError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{npz} is not an archive of spelled scores ({error}); write one with save_spelled_scores"
        ) from error


def _xml_bytes(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        root_file = ElementTree.fromstring(archive.read("META-INF/container.xml")).find(".//{*}rootfile")
        return archive.read("" if root_file is None else root_file.get("full-path", ""))


class _Part:
    """Reads one <part>: a cursor in quarters, and what it has met so far."""

    def __init__(self, index: int, staves: dict[tuple[int, str], int]) -> None:
        self.index, self.staves = index, staves
        self.notes: list[list] = []  # fields of SPELLED_DTYPE
        self.open_ties: dict[int, list] = {}
        self.divisions, self.fifths, self.onset = 1.0, 0, 0.0
        self.transposes = False

    def read(self, part: ElementTree.Element) -> list[list]:
        now = 0.0
        for measure in part.iterfind("measure"):
            start = end = now
            for element in measure:
                if element.tag == "note":
                    now = self._read_note(element, now)
                elif element.tag in ("backup", "forward"):
                    quarters = self._quarters(element)
                    now = max(start, now - quarters) if element.tag == "backup" else now + quarters
                elif element.tag == "attributes":
                    self._read_attributes(element)
                end = max(end, now)
            now = end
        return self.notes

    def _quarters(self, element: ElementTree.Element) -> float:
        return float(element.findtext("duration") or 0) / self.divisions

    def _read_attributes(self, element: ElementTree.Element) -> None:
        self.divisions = float(element.findtext("divisions") or self.divisions)
        self.fifths = int(element.findtext("key/fifths") or self.fifths)
        chromatic = element.findtext("transpose/chromatic")
        if chromatic is not None:
            self.transposes = int(chromatic) % 12 != 0

    def _read_note(self, element: ElementTree.Element, now: float) -> float:
        """Reads a note or rest at the cursor; returns the cursor after it."""
        is_chord = element.find("chord") is not None
        quarters = 0.0 if element.find("grace") is not None else self._quarters(element)
        onset = self.onset if is_chord else now
        self.onset = onset
        pitch = element.find("pitch")
        if pitch is not None and element.find("cue") is None and not self.transposes:
            staff = self.staves.setdefault((self.index, element.findtext("staff") or "1"), len(self.staves))
            ties = {tie.get("type") for tie in element.iterfind("tie")}
            self._add_note(onset, quarters, pitch, staff, ties)
        return now if is_chord else now + quarters

    def _add_note(
        self, onset: float, quarters: float, pitch: ElementTree.Element, staff: int, ties: set
    ) -> None:
        alter = float(pitch.findtext("alter") or 0)
        position = _STEP_POSITION[pitch.findtext("step") or ""] + 7 * round(alter)
        natural = _STEP_POSITION[pitch.findtext("step") or ""] * 7 % 12
        midi = natural + 12 * (int(pitch.findtext("octave") or 0) + 1) + round(alter)
        if not 0 <= midi <= 127 or abs(alter) > 2:
            return
        earlier = self.open_ties.pop(midi, None) if "stop" in ties else None
        if earlier is not None and abs(earlier[0] + earlier[1] - onset) < _SAME_TIME_QUARTERS:
            note = earlier
            note[1] += quarters
        else:
            note = [onset, quarters, midi, position, self.fifths, staff]
            self.notes.append(note)
        if "start" in ties:
            self.open_ties[midi] = note
