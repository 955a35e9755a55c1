"""MusicXML files (.musicxml, .xml, .mxl) -> scores, read by partitura.

Notes keep what a `Score` holds: sounding pitch and name, time, voice, staff. Repeats are not unfolded; slurs,
dynamics and words are left out. What partitura leaves out of a file, its ties by voice, the sounds of drums
and transpositions by octaves, is read beside it: every note gets an id that leads back to its element.
"""

import io
import math
import os
import warnings
import zipfile
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from mt3x.score.io.partitura_import import import_partitura
from mt3x.score.notation.engraving import DRUMS, Transposition, name_at, pitch_at, place_of
from mt3x.score.score import SCORE_NOTE_DTYPE, Part, Score, sort_score_notes

SUFFIXES = (".musicxml", ".xml", ".mxl")

_UNKNOWN_DRUM = 38


class MusicXmlError(ValueError):
    """A file that cannot be read as MusicXML; the message names it and says why."""


def read_musicxml(path: str | os.PathLike[str]) -> Score:
    """The score in a file.

    Raises:
      MusicXmlError: the file is missing, not MusicXML by parts, or partitura cannot read it.
      ImportError: partitura is not installed; the message names the extra that brings it.
    """
    return score_of_musicxml(musicxml_content(path), str(path))


def score_of_musicxml(content: bytes, name: str) -> Score:
    """The score in the content of a .musicxml file.

    Args:
      name: of the file, for errors.

    Raises:
      MusicXmlError, ImportError: as `read_musicxml`.
    """
    root = _parse(name, content)
    notes = _number_notes(root)
    for transpose in root.iter("transpose"):
        _fold_octaves(transpose)
    partitura = import_partitura()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # partitura tells of what it leaves out
            loaded = partitura.load_musicxml(io.BytesIO(ElementTree.tostring(root)))
        return _to_score(loaded.parts, root, notes)
    except Exception as error:  # partitura lets whatever its parsing meets escape
        raise MusicXmlError(f"{name}: cannot be read as a score ({error})") from error


def musicxml_content(path: str | os.PathLike[str]) -> bytes:
    """The MusicXML of a file, compressed or not.

    Raises:
      MusicXmlError: the file is missing or unreadable, or an archive without a score.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if not zipfile.is_zipfile(io.BytesIO(data)):
            return data
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
            rootfile = next(e for e in container.iter() if e.tag.rpartition("}")[2] == "rootfile")
            return archive.read(rootfile.get("full-path", ""))
    except OSError as error:
        raise MusicXmlError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, StopIteration, ElementTree.ParseError, zipfile.BadZipFile) as error:
        raise MusicXmlError(f"{path}: is an archive, but holds no MusicXML ({error})") from error


def _parse(name: str, content: bytes) -> Element:
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise MusicXmlError(f"{name}: is no XML ({error})") from error
    if root.tag != "score-partwise":
        raise MusicXmlError(
            f"{name}: begins with <{root.tag}>; only MusicXML by parts, <score-partwise>, is read"
        )
    return root


def _number_notes(root: Element) -> list[tuple[Element, int | None]]:
    """Every note element with its drum key, None if it is pitched, in the order of the ids that they get.

    Drums are made pitched: partitura 1.9 fails at chords of unpitched notes.
    """
    keys, notes = _drum_keys(root), []
    for number, note in enumerate(root.iter("note")):
        note.set("id", f"n{number}")
        unpitched = note.find("unpitched")
        notes.append((note, None if unpitched is None else _drum_key(note, keys)))
        if unpitched is not None:
            step, octave = unpitched.findtext("display-step"), unpitched.findtext("display-octave")
            unpitched.clear()
            unpitched.tag = "pitch"
            for tag, value in (("step", step or "B"), ("octave", octave or "4")):
                ElementTree.SubElement(unpitched, tag).text = value
    return notes


def _fold_octaves(transpose: Element) -> None:
    """Writes <octave-change>, which partitura does not read, as steps and semitones."""
    octaves = int(transpose.findtext("octave-change") or 0)
    chromatic = int(float(transpose.findtext("chromatic") or 0))
    diatonic = int(transpose.findtext("diatonic") or round(chromatic * 7 / 12))
    for child in list(transpose):
        transpose.remove(child)
    for tag, value in (("diatonic", diatonic + 7 * octaves), ("chromatic", chromatic + 12 * octaves)):
        ElementTree.SubElement(transpose, tag).text = str(value)


def _to_score(loaded: list[Any], root: Element, notes: list[tuple[Element, int | None]]) -> Score:
    partitura = import_partitura()
    divisions = [int(q) for part in loaded for q in part.quarter_durations()[:, 1]]
    divs = math.lcm(1, *divisions)
    first, to_div = loaded[0], _clock(loaded[0], divs)
    bars = [(to_div(m.start.t), to_div(m.end.t)) for m in first.iter_all(partitura.score.Measure)]
    parts, all_keys, tempos = [], {}, _tempos(root, [start for start, _ in bars], divs)
    for part in loaded:
        to_div = _clock(part, divs)
        transpositions = [
            (to_div(t.start.t), Transposition(-t.diatonic, -t.chromatic))
            for t in part.iter_all(partitura.score.Transposition)
        ]
        rows, is_drum = _rows(partitura, part, notes, to_div, transpositions)
        name, program = _name_and_program(root, part.id)
        parts.append(Part(name, program, is_drum, sort_score_notes(np.array(rows, SCORE_NOTE_DTYPE))))
        for key in part.iter_all(partitura.score.KeySignature) if not is_drum else ():
            onset = to_div(key.start.t)
            fifths = (key.fifths or 0) - _at(transpositions, onset).fifths
            all_keys.setdefault(onset, (fifths + 6) % 12 - 6 if abs(fifths) > 7 else fifths)
        for tempo in part.iter_all(partitura.score.Tempo):
            quarters = tempo.bpm if tempo.unit is None else 60e6 / tempo.microseconds_per_quarter
            tempos.setdefault(to_div(tempo.start.t), float(quarters))
    to_div = _clock(first, divs)
    measures = np.array([bar for bar in bars if bar[0] < bar[1]], np.int64).reshape(-1, 2)
    starts = set(measures[:, 0].tolist())
    times = {to_div(t.start.t): (t.beats, t.beat_type) for t in first.iter_all(partitura.score.TimeSignature)}
    times.setdefault(0, (4, 4))
    return Score(
        divs,
        tuple(parts),
        measures,
        tuple((onset, *metre) for onset, metre in sorted(times.items()) if onset in starts),
        tuple((onset, fifths) for onset, fifths in sorted(all_keys.items()) if onset in starts),
        tuple((onset, tempo) for onset, tempo in sorted(tempos.items()) if onset < measures[-1, 1]),
    )


def _tempos(root: Element, starts: list[int], divs_per_quarter: int) -> dict[int, float]:
    """Quarters per minute by div; partitura drops one where no note before it in the file begins or ends."""
    tempos: dict[int, float] = {}
    for part in root.findall("part"):
        divisions = 1
        for start, measure in zip(starts, part.findall("measure"), strict=False):
            time = 0
            for element in measure:
                divisions = int(element.findtext("divisions") or divisions)
                sound = element if element.tag == "sound" else element.find("sound")
                if sound is not None and sound.get("tempo"):
                    onset = start + round(Fraction(time * divs_per_quarter, divisions))
                    tempos.setdefault(onset, float(sound.get("tempo", "0")))
                if element.find("chord") is None:
                    duration = int(element.findtext("duration") or 0)
                    time += -duration if element.tag == "backup" else duration
    return tempos


def _clock(part: Any, divs_per_quarter: int) -> Any:
    """A function from partitura's time to divs of the score; a part's divisions may change on its way."""
    starts, sizes = part.quarter_durations().astype(int).T.tolist()
    quarters = [Fraction(0)]
    for i in range(1, len(starts)):
        quarters.append(quarters[-1] + Fraction(starts[i] - starts[i - 1], sizes[i - 1]))

    def to_div(time: int) -> int:
        i = max(k for k, start in enumerate(starts) if start <= time or k == 0)
        return int((quarters[i] + Fraction(int(time) - starts[i], sizes[i])) * divs_per_quarter)

    return to_div


def _rows(
    partitura: Any,
    part: Any,
    notes: list[tuple[Element, int | None]],
    to_div: Any,
    transpositions: list[tuple[int, Transposition]],
) -> tuple[list[tuple[Any, ...]], bool]:
    """Rows of `SCORE_NOTE_DTYPE`, tied notes as one; whether they are drums."""
    is_drum = False
    rows: list[list[Any]] = []
    waiting: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for note in part.iter_all(partitura.score.GenericNote, include_subclasses=True):
        if isinstance(note, partitura.score.Rest):
            continue
        element, drum_key = notes[int(note.id[1:])]
        onset, end = to_div(note.start.t), to_div(note.end.t)
        is_drum |= drum_key is not None
        name = (drum_key, "", 0, 0) if drum_key is not None else _sounding(note, _at(transpositions, onset))
        is_grace = isinstance(note, partitura.score.GraceNote)
        ties = {tie.get("type") for tie in element.findall("tie")}
        row = [onset, 0 if is_grace else end - onset, *name, note.voice or 1, note.staff or 1]
        tied_from = _tied_from(waiting[name[0], onset], rows, row) if "stop" in ties else None
        if tied_from is None:
            rows.append(row)
            tied_from = len(rows) - 1
        else:
            rows[tied_from][1] = end - rows[tied_from][0]
        if "start" in ties and not is_grace:
            waiting[name[0], end].append(tied_from)
    if is_drum:  # a pitched note on a drum staff has no name either
        rows = [[*row[:3], "", 0, 0, *row[6:]] for row in rows]
    return [tuple(row) for row in rows], is_drum


def _tied_from(candidates: list[int], rows: list[list[Any]], row: list[Any]) -> int | None:
    """The note that a row goes on: of the same voice if there is one, else any of the same pitch."""
    if not candidates:
        return None
    best = max(candidates, key=lambda i: (rows[i][6:] == row[6:], rows[i][3:6] == row[3:6]))
    candidates.remove(best)
    return best


def _sounding(note: Any, transposition: Transposition) -> tuple[int, str, int, int]:
    """Pitch, step, alteration and octave of a written note as it sounds."""
    place = place_of(note.step, note.octave)
    pitch = pitch_at(place) + (note.alter or 0) - transposition.chromatic
    return pitch, *name_at(place - transposition.diatonic, pitch)


def _at(transpositions: list[tuple[int, Transposition]], onset: int) -> Transposition:
    """The transposition that holds at an onset."""
    return next((t for start, t in reversed(transpositions) if start <= onset), Transposition())


def _name_and_program(root: Element, part_id: str) -> tuple[str, int]:
    part = next(e for e in root.iter("score-part") if e.get("id") == part_id)
    program = int(part.findtext(".//midi-program") or 1) - 1
    return (part.findtext("part-name") or "").strip(), program if 0 <= program < 128 else 0


def _drum_keys(root: Element) -> dict[str, int]:
    """General MIDI percussion keys by instrument id."""
    return {
        midi.get("id", ""): int(midi.findtext("midi-unpitched") or 0) - 1
        for midi in root.iter("midi-instrument")
        if midi.findtext("midi-unpitched")
    }


def _drum_key(note: Element, keys: dict[str, int]) -> int:
    """The key of a drum: by its instrument, else by its place on the staff, else a snare."""
    instrument = note.find("instrument")
    if instrument is not None and instrument.get("id", "") in keys:
        return keys[instrument.get("id", "")]
    step, octave = note.findtext("unpitched/display-step"), note.findtext("unpitched/display-octave")
    head = note.findtext("notehead") or "normal"
    near = [(d.head != head, key) for key, d in DRUMS.items() if (d.step, str(d.octave)) == (step, octave)]
    return min(near)[1] if near else _UNKNOWN_DRUM
