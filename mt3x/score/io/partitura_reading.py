"""Kern and MEI -> scores, by partitura.

These stay with a library's parsers, which are well kept and large; MusicXML, of which scores for training are
made, has a reader of our own (`musicxml_reading`, which says why). Drums are left out.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mt3x.score.io.musicxml_files import MAX_DIVS_PER_QUARTER
from mt3x.score.io.partitura_import import import_partitura
from mt3x.score.score import SCORE_NOTE_DTYPE, Part, Score, sort_score_notes

_LOADERS = {
    **dict.fromkeys((".krn", ".kern"), "load_kern"),
    ".mei": "load_mei",
}
SUFFIXES = tuple(_LOADERS)


def score_of_file(path: Path, name: str) -> Score:
    """The score in a file that ends in one of `SUFFIXES`.

    Args:
      name: of the file, for errors.

    Raises:
      ValueError: partitura can't read it, or it has no notes.
      ImportError: partitura is not installed; the message names the extra that brings it.
    """
    partitura = import_partitura()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it passes over in a file
            loaded = getattr(partitura, _LOADERS[path.suffix.lower()])(str(path))
            return _to_score(loaded.parts)
    except Exception as error:  # partitura raises whatever a broken file makes its code do
        raise ValueError(f"{name} can't be read: {type(error).__name__}: {error}") from error


def _to_score(loaded: list[Any]) -> Score:
    partitura = import_partitura()
    divs = math.lcm(1, *(int(q) for part in loaded for q in part.quarter_durations()[:, 1]))
    if divs > MAX_DIVS_PER_QUARTER:
        raise ValueError(f"it needs {divs} divs per quarter in common, more than {MAX_DIVS_PER_QUARTER}")
    clocks = [_clock(part, divs) for part in loaded]
    parts = tuple(
        Part(part.part_name or "", _program(part), False, _notes(part, to_div))
        for part, to_div in zip(loaded, clocks, strict=True)
    )
    if not any(len(part.notes) for part in parts):
        raise ValueError("it has no notes")
    first, to_div = next(
        ((part, clock) for part, clock in zip(loaded, clocks, strict=True) if part.measures),
        (loaded[0], clocks[0]),
    )
    bars = [(to_div(measure.start.t), to_div(measure.end.t)) for measure in first.measures]
    starts = sorted({0, *(start for start, end in bars if start < end)})
    notes = np.concatenate([part.notes for part in parts])
    last_end = int((notes["onset_div"] + notes["duration_div"]).max())
    edges = [*starts, max(last_end, starts[-1] + 1, *(end for _, end in bars))]

    def at_measures(kind: Any) -> dict[int, Any]:
        found = {to_div(item.start.t): item for item in first.iter_all(kind)}
        return {onset: found[onset] for onset in sorted(found) if onset in starts}

    times = {0: (0, 4, 4)}
    for onset, time in at_measures(partitura.score.TimeSignature).items():
        times[onset] = (onset, int(time.beats), int(time.beat_type))
    keys = at_measures(partitura.score.KeySignature)
    tempos = {
        to_div(tempo.start.t): _quarters_per_minute(tempo) for tempo in first.iter_all(partitura.score.Tempo)
    }
    return Score(
        divs,
        parts,
        np.array(list(pairwise(edges)), np.int64),
        tuple(times.values()),
        tuple((onset, int(key.fifths or 0)) for onset, key in keys.items()),
        tuple((onset, tempo) for onset, tempo in sorted(tempos.items()) if onset < edges[-1] and tempo > 0),
    )


def _quarters_per_minute(tempo: Any) -> float:
    return float(tempo.bpm if tempo.unit is None else 60e6 / tempo.microseconds_per_quarter)


def _program(part: Any) -> int:
    program = getattr(part, "program", None)
    return int(program) if program is not None and 0 <= int(program) <= 127 else 0


def _clock(part: Any, divs_per_quarter: int) -> Callable[[int], int]:
    """A function from partitura's time to divs of the score; a part's divisions may change on its way."""
    starts, sizes = part.quarter_durations().astype(int).T.tolist()
    quarters = [Fraction(0)]
    for i in range(1, len(starts)):
        quarters.append(quarters[-1] + Fraction(starts[i] - starts[i - 1], sizes[i - 1]))

    def to_div(time: int) -> int:
        i = max(k for k, start in enumerate(starts) if start <= time or k == 0)
        return int((quarters[i] + Fraction(int(time) - starts[i], sizes[i])) * divs_per_quarter)

    return to_div


def _notes(part: Any, to_div: Callable[[int], int]) -> np.ndarray:
    """`SCORE_NOTE_DTYPE` [N], tied notes as one; grace notes of a voice one after another."""
    rows = []
    graces: Counter[tuple[int, int]] = Counter()
    for note in reversed(part.notes_tied):
        onset, end = to_div(note.start.t), to_div(note.start.t + note.duration_tied)
        name = (note.step, note.alter or 0, note.octave)
        voice = note.voice or 1
        graces[voice, onset] += end == onset
        place = graces[voice, onset] if end == onset else 0
        rows.append((onset, end - onset, note.midi_pitch, *name, voice, note.staff or 1, place))
    return sort_score_notes(np.array(rows, SCORE_NOTE_DTYPE))
