"""Scores as notes in quarters: MusicXML in, one packed archive out, and the split by piece.

Conventions: times are quarter notes counted from the start of the score, in written order (repeats are not
unfolded, later voltas follow earlier ones); pitches are sounding MIDI pitches (`transpose` applied). Tied
notes are one note. Grace notes last `GRACE_QUARTERS` each, just before the note that they lean on; those that
would begin before the score does are dropped. Unpitched and cue notes are left out. Where two voices of a
part strike the same pitch together, the longer note stays.

MusicXML is read with the standard library: the notes need little of the format, and partitura 1.9 fetches a
soundfont over FTP when it is imported and fails on chords of grace notes under NumPy 2.4. Measured on 60
songs (55,982 notes), the two agree but for 9 ambiguous ties, cue notes (partitura plays them) and grace
notes (it leaves them without duration).
"""

import hashlib
import os
import unicodedata
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

SCORE_NOTE_DTYPE = np.dtype(
    [("onset_quarters", "f4"), ("duration_quarters", "f4"), ("pitch", "i2"), ("part", "i2")]
)
GRACE_QUARTERS = 0.125
HELD_OUT_PERCENT = 6

_SUFFIXES = (".mxl", ".musicxml", ".xml")
_STEP_PITCH = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SAME_TIME_QUARTERS = 1e-3


@dataclass(frozen=True, eq=False)
class Score:
    """A piece: its notes, and what is needed to perform them.

    name: the file's stem, by which the piece is split (`is_held_out`).
    part_names: one for each part; `notes["part"]` counts into them.
    notes: `SCORE_NOTE_DTYPE` [N], ordered by (onset, part, pitch).
    bars: float32 [M], where each measure of the first part starts, in quarters.
    tempos: float32 [T, 2], tempo marks that a player program follows: (quarters, quarter notes per minute).
    """

    name: str
    title: str
    composer: str
    part_names: tuple[str, ...]
    notes: np.ndarray
    bars: np.ndarray
    tempos: np.ndarray


@dataclass(frozen=True)
class PackReport:
    """What `pack_scores` did: scores and notes packed, bytes written, and (name, reason) of each failure."""

    scores: int
    notes: int
    bytes: int
    failures: tuple[tuple[str, str], ...]


def score_name(path: str | Path) -> str:
    """The stem of a score's file name; other dots than the one before the suffix stay.

    >>> score_name("quartets/No.12__Op.127.mxl"), score_name("No.12__Op.127")
    ('No.12__Op.127', 'No.12__Op.127')
    """
    name = Path(path).name
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return unicodedata.normalize("NFC", name)


def is_held_out(name: str | Path) -> bool:
    """Whether a piece is kept from training: about 6 %, always the same ones, told by the name alone."""
    digest = hashlib.sha256(score_name(name).encode("utf-8")).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def read_score(path: str | Path) -> Score:
    """Reads a partwise MusicXML file, compressed (.mxl) or plain.

    Raises:
      ValueError: the file is missing, isn't MusicXML, or holds no pitched note.
    """
    path = Path(path)
    root = _parse_xml(path)
    try:
        parts = [_read_part(part) for part in root.findall("part")]
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"{path} has a malformed note or measure ({error}); export the score again"
        ) from error
    columns = [(*note, index) for index, part in enumerate(parts) for note in part.notes]
    if not columns:
        raise ValueError(f"{path} holds no pitched note; give a score with at least one")
    notes = np.array(columns, SCORE_NOTE_DTYPE)
    names = {p.get("id"): _text(p, "part-name") for p in root.iterfind("part-list/score-part")}
    tempos = sorted({tempo for part in parts for tempo in part.tempos})
    title = _text(root, "movement-title") or _text(root, "work/work-title")
    composer = next((_text(c, ".") for c in root.iterfind("identification/creator[@type='composer']")), "")
    return Score(
        name=score_name(path),
        title=title,
        composer=composer,
        part_names=tuple(names.get(part.get("id"), "") for part in root.findall("part")),
        notes=_longest_of_unisons(notes),
        bars=np.array(parts[0].bars, np.float32),
        tempos=np.array(tempos, np.float32).reshape(-1, 2),
    )


def pack_scores(paths: Iterable[str | Path], out_npz: str | Path, workers: int = 1) -> PackReport:
    """Reads all scores and saves those that can be read, in the order of `paths`.

    Raises:
      ValueError: not one of them can be read.
    """
    paths = list(paths)
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            outcomes = list(pool.map(_try_read, paths, chunksize=8))
    else:
        outcomes = [_try_read(path) for path in paths]
    scores = [outcome for outcome in outcomes if isinstance(outcome, Score)]
    failures = tuple(
        (score_name(path), outcome)
        for path, outcome in zip(paths, outcomes, strict=True)
        if isinstance(outcome, str)
    )
    if not scores:
        first = failures[0][1] if failures else "no path was given"
        raise ValueError(
            f"none of {len(paths)} scores can be read ({first}); give at least one readable score"
        )
    save_scores(scores, out_npz)
    return PackReport(len(scores), sum(len(s.notes) for s in scores), Path(out_npz).stat().st_size, failures)


def _try_read(path: str | Path) -> Score | str:
    try:
        return read_score(path)
    except ValueError as error:
        return str(error)


def save_scores(scores: Sequence[Score], out_npz: str | Path) -> None:
    """Writes scores to one compressed archive; it appears whole or not at all."""
    out_npz = Path(out_npz)
    notes = np.concatenate([score.notes for score in scores])
    arrays = {
        "names": np.array([s.name for s in scores]),
        "titles": np.array([s.title for s in scores]),
        "composers": np.array([s.composer for s in scores]),
        "part_names": np.array([name for s in scores for name in s.part_names]),
        "num_parts": np.array([len(s.part_names) for s in scores], np.int32),
        "num_notes": np.array([len(s.notes) for s in scores], np.int32),
        "num_bars": np.array([len(s.bars) for s in scores], np.int32),
        "num_tempos": np.array([len(s.tempos) for s in scores], np.int32),
        "bars": np.concatenate([s.bars for s in scores]),
        "tempos": np.concatenate([s.tempos for s in scores]),
        **{f"note_{column}": notes[column] for column in SCORE_NOTE_DTYPE.names or ()},
    }
    half_written = out_npz.with_name(out_npz.name + ".part")
    with open(half_written, "wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(half_written, out_npz)


def load_scores(npz: str | Path) -> list[Score]:
    """Reads an archive of `save_scores` or `pack_scores`.

    Raises:
      ValueError: the file is missing or isn't such an archive.
    """
    try:
        with np.load(npz, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        notes = np.zeros(len(arrays["note_pitch"]), SCORE_NOTE_DTYPE)
        for column in SCORE_NOTE_DTYPE.names or ():
            notes[column] = arrays[f"note_{column}"]
        pieces = {
            key: np.split(values, np.cumsum(arrays[f"num_{counts}"])[:-1])
            for key, values, counts in (
                ("notes", notes, "notes"),
                ("bars", arrays["bars"], "bars"),
                ("tempos", arrays["tempos"], "tempos"),
                ("part_names", arrays["part_names"], "parts"),
            )
        }
        named = [arrays["names"].tolist(), arrays["titles"].tolist(), arrays["composers"].tolist()]
    except (OSError, KeyError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{npz} is not an archive of scores ({error}); write one with pack_scores"
        ) from error
    return [
        Score(
            name=name,
            title=title,
            composer=composer,
            part_names=tuple(pieces["part_names"][i].tolist()),
            notes=pieces["notes"][i],
            bars=pieces["bars"][i],
            tempos=pieces["tempos"][i],
        )
        for i, (name, title, composer) in enumerate(zip(*named, strict=True))
    ]


def _parse_xml(path: Path) -> ElementTree.Element:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
                root_file = container.find(".//{*}rootfile")
                data = archive.read("" if root_file is None else root_file.get("full-path", ""))
        else:
            data = path.read_bytes()
        root = ElementTree.fromstring(data)
    except (OSError, KeyError, ElementTree.ParseError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} can't be read as MusicXML ({error}); give a .mxl or .musicxml file"
        ) from error
    if root.tag != "score-partwise":
        raise ValueError(
            f"{path} has root <{root.tag}>, not <score-partwise>; export it as partwise MusicXML"
        )
    return root


def _text(element: ElementTree.Element, path: str) -> str:
    return " ".join((element.findtext(path) or "").split())


def _longest_of_unisons(notes: np.ndarray) -> np.ndarray:
    """Notes ordered by (onset, part, pitch), one for each such triple: the longest."""
    order = np.lexsort((-notes["duration_quarters"], notes["pitch"], notes["part"], notes["onset_quarters"]))
    notes = notes[order]
    first = np.ones(len(notes), bool)
    first[1:] = False
    for column in ("onset_quarters", "part", "pitch"):
        first[1:] |= notes[column][1:] != notes[column][:-1]
    return notes[first]


class _Part:
    """Reads one <part>, measure by measure: a cursor in quarters, and what it has met so far."""

    def __init__(self) -> None:
        self.notes: list[list] = []  # [onset, duration, pitch], in quarters
        self.bars: list[float] = []
        self.tempos: list[tuple[float, float]] = []
        self.divisions = 1.0
        self.transpose = 0
        self.onset = 0.0  # of the latest note that isn't a further note of a chord
        self.open_ties: dict[int, list[list]] = {}
        self.graces: list[list[int]] = []  # groups of pitches that wait for their main note

    def read_measure(self, measure: ElementTree.Element, start: float) -> float:
        """Reads a measure that starts at `start`; returns where it ends."""
        self.bars.append(start)
        now = end = start
        for element in measure:
            tag = element.tag
            if tag == "note":
                now = self._read_note(element, now)
            elif tag in ("backup", "forward"):
                quarters = self._quarters(element)
                now = max(start, now - quarters) if tag == "backup" else now + quarters
            elif tag == "attributes":
                self._read_attributes(element)
            elif tag in ("direction", "sound"):
                sound = element if tag == "sound" else element.find("sound")
                if sound is not None and float(sound.get("tempo") or 0) > 0:
                    self.tempos.append((now, float(sound.get("tempo") or 0)))
            end = max(end, now)
        return end

    def _quarters(self, element: ElementTree.Element) -> float:
        return float(element.findtext("duration") or 0) / self.divisions

    def _read_attributes(self, element: ElementTree.Element) -> None:
        self.divisions = float(element.findtext("divisions") or self.divisions)
        transpose = element.find("transpose")
        if transpose is not None:
            octaves = float(transpose.findtext("octave-change") or 0)
            self.transpose = round(float(transpose.findtext("chromatic") or 0) + 12 * octaves)

    def _read_note(self, element: ElementTree.Element, now: float) -> float:
        """Reads a note or rest at the cursor; returns the cursor after it."""
        is_grace = element.find("grace") is not None
        is_chord = element.find("chord") is not None
        quarters = 0.0 if is_grace else self._quarters(element)
        onset = self.onset if is_chord else now
        pitch = None if element.find("cue") is not None else self._pitch(element)
        if is_grace:
            if pitch is not None and is_chord and self.graces:
                self.graces[-1].append(pitch)
            elif pitch is not None:
                self.graces.append([pitch])
            return now
        if pitch is not None:
            self._place_graces(onset)
            ties = {tie.get("type") for tie in element.iterfind("tie")}
            self._add_note(onset, quarters, pitch, ties)
        self.onset = onset
        return now if is_chord else now + quarters

    def _pitch(self, element: ElementTree.Element) -> int | None:
        written = element.find("pitch")
        if written is None:
            return None
        step = _STEP_PITCH[written.findtext("step") or ""]
        pitch = step + 12 * int(written.findtext("octave") or 0) + 12
        pitch = round(pitch + float(written.findtext("alter") or 0)) + self.transpose
        return pitch if 0 <= pitch <= 127 else None

    def _add_note(self, onset: float, quarters: float, pitch: int, ties: set) -> None:
        tied = self.open_ties.get(pitch, [])
        earlier = [note for note in tied if abs(note[0] + note[1] - onset) < _SAME_TIME_QUARTERS]
        if "stop" in ties and earlier:
            note = earlier[0]
            note[1] += quarters
            if "start" not in ties:
                tied.remove(note)
        elif quarters > 0:
            note = [onset, quarters, pitch]
            self.notes.append(note)
            if "start" in ties:
                self.open_ties.setdefault(pitch, []).append(note)

    def _place_graces(self, onset: float) -> None:
        for position, pitches in enumerate(self.graces):
            start = onset - GRACE_QUARTERS * (len(self.graces) - position)
            if start >= 0:
                self.notes.extend([start, GRACE_QUARTERS, pitch] for pitch in pitches)
        self.graces = []


def _read_part(element: ElementTree.Element) -> _Part:
    part = _Part()
    end = 0.0
    for measure in element.iterfind("measure"):
        end = part.read_measure(measure, end)
    return part
