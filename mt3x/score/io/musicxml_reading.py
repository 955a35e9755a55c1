"""MusicXML -> scores: the one reader of MusicXML.

Notes keep what a `Score` holds: sounding pitch and name, time, voice, staff. Repeats are not unfolded; cue
notes, slurs, dynamics and words are left out. What follows from a file's order, where a file is odd:

- Parts are kept together at their measures, each as long as in the part where it is longest.
- A tied note goes on with one that begins where it ends: of its own voice if there is one, else of its pitch.
- Grace notes stand at the cursor: after a note that ends its measure, they lead to the next measure.
- A part is one of drums if most of its notes are unpitched; in other parts unpitched notes are left out.
- A key or time signature inside a measure holds from the next one on. All parts share one key signature as it
  sounds, and that of the uppermost part holds where they differ.

Only the standard library and NumPy are used: scores for training are read by the thousand. partitura 1.9,
which reads kern and MEI for us (`partitura_reading`), fails on chords of unpitched or of grace notes and on
durations that are not whole; it leaves out transpositions, drums, ties by voice and some tempos.
"""

import functools
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from mt3x.score.io.musicxml_files import (
    MusicXmlError,
    TimedElement,
    parse_musicxml,
    time_signature,
    timed_score,
)
from mt3x.score.notation.engraving import DRUMS, Transposition, name_at, pitch_at, place_of
from mt3x.score.notation.written_values import VALUE_NAMES
from mt3x.score.score import SCORE_NOTE_DTYPE, Part, Score, sort_score_notes

_UNKNOWN_DRUM = 38
_NUMBER = re.compile(r"\d+(\.\d+)?")
_QUARTERS = {name: float(quarters) for quarters, name in VALUE_NAMES.items()}


def score_of_musicxml(content: bytes, name: str) -> Score:
    """The score in the content of a .musicxml file.

    Args:
      name: of the file, for errors.

    Raises:
      MusicXmlError: not MusicXML by parts, or malformed.
    """
    return score_of_element(parse_musicxml(content, name), name)


def score_of_element(root: Element, name: str) -> Score:
    """The score below a <score-partwise>; arguments and errors as `score_of_musicxml`."""
    try:
        return _read(root, name)
    except MusicXmlError:
        raise
    except (KeyError, ValueError, OverflowError) as error:
        raise MusicXmlError(
            f"{name} can't be read as a score: it has a malformed note or measure ({error})"
        ) from error


def _read(root: Element, name: str) -> Score:
    divs, starts, elements = timed_score(root)
    if not starts[-1]:
        raise MusicXmlError(f"{name} can't be read as a score: it holds no pitched note, drum or rest")
    about, drum_keys = {e.get("id"): e for e in root.iterfind("part-list/score-part")}, _drum_keys(root)
    readings = [_Reading(found, starts, drum_keys) for found in elements]
    parts = []
    for part, reading in zip(root.iterfind("part"), readings, strict=True):
        part_name, program = _name_and_program(about.get(part.get("id")))
        parts.append(Part(part_name, program, reading.is_drum, reading.notes()))
    times = next((reading.times for reading in readings if reading.times), {0: (4, 4)})
    keys: dict[int, int] = {}
    for reading in readings:
        keys = ({} if reading.is_drum else reading.keys) | keys
    tempos: dict[int, float] = {}
    for found in [reading.tempos for reading in readings] + [reading.marks for reading in readings]:
        tempos = found | tempos
    first = min(times)
    return Score(
        divs,
        tuple(parts),
        np.array([bar for bar in pairwise(starts) if bar[0] < bar[1]], np.int64).reshape(-1, 2),
        tuple((0 if onset == first else onset, *metre) for onset, metre in sorted(times.items())),
        tuple(sorted(keys.items())),
        tuple((onset, tempo) for onset, tempo in sorted(tempos.items()) if onset < starts[-1]),
        _text(root, "movement-title") or _text(root, "work/work-title"),
        next((_text(e, ".") for e in root.iterfind("identification/creator[@type='composer']")), ""),
    )


class _Reading:
    """What the elements of one part say.

    Attributes:
      keys, times: fifths as they sound, and (beats, beat type), by the div at which they begin to hold.
      tempos, marks: quarters per minute by div: as they are to be played, and as metronome marks show them.
    """

    def __init__(
        self, elements: Iterable[TimedElement], starts: Sequence[int], drum_keys: dict[str, int]
    ) -> None:
        self.keys: dict[int, int] = {}
        self.times: dict[int, tuple[int, int]] = {}
        self.tempos: dict[int, float] = {}
        self.marks: dict[int, float] = {}
        self._starts, self._drum_keys = starts, drum_keys
        self._transposition = Transposition()
        self._pitched: list[_Row] = []
        self._drums: list[_Row] = []
        self._graces: dict[tuple[int, int], list[list[_Row]]] = defaultdict(list)
        for measure, time, duration, element in elements:
            onset = starts[measure] + time
            if element.tag == "note":
                self._read_note(element, onset, duration)
            elif element.tag == "attributes":
                self._read_attributes(element, onset)
            elif element.tag in ("direction", "sound"):
                self._read_tempo(element, onset)
        for places in self._graces.values():
            for place, rows in enumerate(reversed(places), start=1):
                for row in rows:
                    row.fields[-1] = place

    @property
    def is_drum(self) -> bool:
        """Whether most of its notes are unpitched."""
        return len(self._drums) > len(self._pitched)

    def notes(self) -> np.ndarray:
        """`SCORE_NOTE_DTYPE` [N], tied notes as one."""
        rows = self._pitched
        if self.is_drum:  # a pitched note on a drum staff has no name either
            for row in rows:
                row.fields[3:6] = "", 0, 0
            rows = rows + self._drums
        return sort_score_notes(np.array([tuple(row) for row in _join_ties(rows)], SCORE_NOTE_DTYPE))

    def _read_attributes(self, element: Element, onset: int) -> None:
        transpose = element.find("transpose")
        if transpose is not None:
            self._transposition = _transposition(transpose)
        start = self._starts[bisect_left(self._starts, onset)]
        if start == self._starts[-1]:
            return
        fifths = element.findtext("key/fifths")
        if fifths is not None:
            sounding = int(fifths) - self._transposition.fifths
            self.keys[start] = (sounding + 6) % 12 - 6 if abs(sounding) > 7 else sounding
        time = element.find("time")
        metre = None if time is None else time_signature(time)
        if metre is not None:
            self.times[start] = metre

    def _read_tempo(self, element: Element, onset: int) -> None:
        """The first one at an onset holds."""
        sound = element if element.tag == "sound" else element.find("sound")
        tempo = float(sound.get("tempo") or 0) if sound is not None else 0.0
        if tempo > 0:
            self.tempos.setdefault(onset, tempo)
        for metronome in element.iterfind("direction-type/metronome"):
            number = _NUMBER.search(metronome.findtext("per-minute") or "")
            unit = _QUARTERS.get(metronome.findtext("beat-unit") or "")
            if number and unit and float(number[0]) > 0:
                dotted = unit * (2 - 0.5 ** len(metronome.findall("beat-unit-dot")))
                self.marks.setdefault(onset, float(number[0]) * dotted)

    def _read_note(self, element: Element, onset: int, duration: int) -> None:
        is_grace = element.find("grace") is not None
        pitch, unpitched = element.find("pitch"), element.find("unpitched")
        if not (is_grace or duration) or element.find("cue") is not None:
            return
        if pitch is not None:
            rows, name = self._pitched, _sounding(pitch, self._transposition)
        elif unpitched is not None:
            rows, name = self._drums, (_drum_key(element, self._drum_keys), "", 0, 0)
        else:
            return
        if not 0 <= name[0] <= 127:
            return
        voice, staff = (_counted(element.findtext(tag)) for tag in ("voice", "staff"))
        row = _Row([onset, duration, *name, voice, staff, 0], element.findall("tie"))
        rows.append(row)
        if is_grace:
            places = self._graces[voice, onset]
            if places and element.find("chord") is not None:
                places[-1].append(row)
            else:
                places.append([row])


class _Row:
    """A note as it is written: the fields of `SCORE_NOTE_DTYPE` and how it is tied."""

    def __init__(self, fields: list[Any], ties: list[Element]) -> None:
        self.fields = fields
        types = [tie.get("type") for tie in ties]
        self.goes_on, self.is_begun = "start" in types, "stop" in types


def _join_ties(rows: Iterable[_Row]) -> list[list[Any]]:
    joined: list[list[Any]] = []
    waiting: dict[tuple[int, int], list[list[Any]]] = defaultdict(list)  # by pitch and end
    for row in sorted(rows, key=lambda row: row.fields[0]):
        onset, duration, pitch = row.fields[:3]
        candidates = waiting[pitch, onset] if row.is_begun else []
        if candidates:
            # Of the same voice and staff if there is one, else of the same name, else of the same pitch.
            place, name = row.fields[6:8], row.fields[3:6]
            note = max(candidates, key=lambda other: (other[6:8] == place, other[3:6] == name))
            candidates.remove(note)
            note[1] += duration
        else:
            note = row.fields
            joined.append(note)
        if row.goes_on and duration:
            waiting[pitch, onset + duration].append(note)
    return joined


def _transposition(element: Element) -> Transposition:
    """What a <transpose> says, octaves included; it leads from what is written to what sounds."""
    octaves = int(element.findtext("octave-change") or 0)
    chromatic = int(float(element.findtext("chromatic") or 0))
    diatonic = int(element.findtext("diatonic") or round(chromatic * 7 / 12))
    return Transposition(-diatonic - 7 * octaves, -chromatic - 12 * octaves)


def _sounding(pitch: Element, transposition: Transposition) -> tuple[int, str, int, int]:
    """Pitch, step, alteration and octave of a written note as it sounds."""
    step, alter, octave = (pitch.findtext(tag) or "" for tag in ("step", "alter", "octave"))
    return _sounding_name(step, alter, octave, transposition)


@functools.lru_cache(maxsize=1024)
def _sounding_name(
    step: str, alter: str, octave: str, transposition: Transposition
) -> tuple[int, str, int, int]:
    place = place_of(step.strip(), int(octave or 0))
    sounding = pitch_at(place) + round(float(alter or 0)) - transposition.chromatic
    return sounding, *name_at(place - transposition.diatonic, sounding)


def _counted(text: str | None) -> int:
    """A voice or staff, counted from 1; 1 where none is named by a number."""
    return max(int(text), 1) if text and text.isdecimal() else 1


def _name_and_program(element: Element | None) -> tuple[str, int]:
    if element is None:
        return "", 0
    program = int(element.findtext(".//midi-program") or 1) - 1
    return _text(element, "part-name"), program if 0 <= program < 128 else 0


def _text(element: Element, path: str) -> str:
    return " ".join((element.findtext(path) or "").split())


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
