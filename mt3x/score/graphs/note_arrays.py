"""Note arrays: scores in files, notated scores and transcriptions as one structured array, and their graphs.

Times in divs are whole numbers from the start of the score; times in beats count the beats of the time
signature from the first downbeat, so that a pickup is negative. MusicXML, kern and MEI are read through
partitura, ABC through music21, which turns it into MusicXML, MIDI through `mt3x.music.midi`.

Source: the fields are partitura's (Cancino-Chacón et al. 2022, arXiv 2206.01071), so that its users and
GraphMuse's find them under the names they know.
"""

import math
import os
import tempfile
import urllib.parse
import urllib.request
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mt3x.music.midi import MIDI_SUFFIXES, MidiContent, read_midi_content
from mt3x.music.notes import sort_notes, validate_notes
from mt3x.score.graphs.features import get_score_features
from mt3x.score.graphs.graph import ScoreGraph, create_score_graph
from mt3x.score.graphs.labels import score_labels
from mt3x.score.io.abc_reading import abc_as_musicxml
from mt3x.score.io.partitura_import import import_partitura
from mt3x.score.score import Score

NOTE_ARRAY_DTYPE = np.dtype(
    [
        ("onset_beat", np.float64),
        ("duration_beat", np.float64),
        ("onset_div", np.int64),
        ("duration_div", np.int64),  # 0: a grace note
        ("pitch", np.int32),
        ("voice", np.int32),
        ("staff", np.int32),
        ("part", np.int32),  # from 0
        ("step", "U1"),  # "": not spelled
        ("alter", np.int32),
        ("octave", np.int32),
        ("ks_fifths", np.int32),
        ("ts_beats", np.int32),
        ("ts_beat_type", np.int32),
        ("divs_pq", np.int32),  # divs of a quarter note, the same for all notes
    ]
)
"""One record a note; ties are joined."""

READERS = {
    **dict.fromkeys((".musicxml", ".xml", ".mxl"), "load_musicxml"),
    **dict.fromkeys((".krn", ".kern"), "load_kern"),
    ".mei": "load_mei",
    ".abc": "load_musicxml",
}
"""Functions of partitura by the ends of file names."""

MAX_DOWNLOAD_BYTES = 50_000_000
DOWNLOAD_SECONDS = 30.0
MAX_DIVS_PER_QUARTER = 1_000_000
MAX_MEASURES = 1_000_000


@dataclass(frozen=True, eq=False)
class ScoreNotes:
    """The notes of a score.

    Attributes:
      note_array: `NOTE_ARRAY_DTYPE` [N], sorted by (onset_div, pitch).
      measures: int64 [M, 2], starts and ends in divs; [0, 2] where measures are not known.
    """

    note_array: np.ndarray
    measures: np.ndarray

    @property
    def is_spelled(self) -> bool:
        """Whether every note has a name."""
        return bool((self.note_array["step"] != "").all())

    def graph(
        self,
        add_beats: bool = True,
        add_measures: bool = True,
        add_reverse: bool | Literal["undirected"] = True,
        add_labels: bool = True,
    ) -> ScoreGraph:
        """The graph with the 25 features, and with labels if the notes are spelled.

        Measure nodes are left out where measures are not known.

        Raises:
          ValueError: no notes; or a name or key signature that has no label (then leave out the labels).
        """
        features, _ = get_score_features(self.note_array)
        labels = score_labels(self.note_array) if add_labels and self.is_spelled else None
        measures = self.measures if add_measures and len(self.measures) else None
        return create_score_graph(
            features,
            self.note_array,
            labels,
            add_reverse=add_reverse,
            measures=measures,
            add_beats=add_beats,
        )


def load_midi_to_graph(
    path: str | os.PathLike, add_beats: bool = False, add_measures: bool = False
) -> ScoreGraph:
    """The graph of a MIDI file, a path or a URL; without labels, for MIDI has no spelling.

    Raises:
      ValueError: not the name of a MIDI file, and what `read_score` raises.
    """
    if _suffix(path) not in MIDI_SUFFIXES:
        raise ValueError(f"{path} is no MIDI file by its name; it must end in {', '.join(MIDI_SUFFIXES)}")
    return read_score(path).graph(add_beats, add_measures)


def read_score(path: str | os.PathLike) -> ScoreNotes:
    """The notes of a score: a path, or an address that starts with http:, https: or file:.

    By the end of the name: .musicxml, .xml, .mxl; `MIDI_SUFFIXES`; .krn, .kern; .mei; .abc (one tune). Notes
    of MIDI files are not spelled.

    Raises:
      FileNotFoundError: no such file.
      ValueError: another ending; a file that can't be read or is without notes; a download of more than
        `MAX_DOWNLOAD_BYTES`; several tunes.
      OSError: a download failed or took too long.
      ImportError: partitura, or for ABC music21, is not installed.
    """
    suffix = _suffix(path)
    if suffix not in READERS and suffix not in MIDI_SUFFIXES:
        known = ", ".join((*READERS, *MIDI_SUFFIXES))
        raise ValueError(f"{path} ends in {suffix!r}; scores are read from {known}")
    if not _is_url(path) and not Path(path).is_file():
        raise FileNotFoundError(f"{path} is no file")
    with tempfile.TemporaryDirectory() as folder:
        local = Path(path)
        if _is_url(path):
            local = Path(folder) / f"score{suffix}"
            local.write_bytes(_download(str(path)))
        if suffix in MIDI_SUFFIXES:
            return _read_midi(local, str(path))
        if suffix == ".abc":
            musicxml = abc_as_musicxml(local.read_bytes(), str(path))
            local = Path(folder) / "abc.musicxml"  # partitura finds no measures in what music21 reads itself
            local.write_bytes(musicxml)
        return _read_file(local, READERS[suffix], str(path))


def _suffix(path: str | os.PathLike) -> str:
    name = urllib.parse.urlsplit(str(path)).path if _is_url(path) else os.fspath(path)
    return os.path.splitext(name)[1].lower()


def _is_url(path: str | os.PathLike) -> bool:
    return str(path).split(":", 1)[0].lower() in ("http", "https", "file")


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as response:
        data = response.read(MAX_DOWNLOAD_BYTES + 1)
    if len(data) > MAX_DOWNLOAD_BYTES:
        raise ValueError(f"{url} is larger than {MAX_DOWNLOAD_BYTES} bytes; download it and give the file")
    return data


def _read_file(path: Path, reader: str, name: str) -> ScoreNotes:
    partitura = import_partitura()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it passes over in a file
            score = getattr(partitura, reader)(str(path))
            return _from_partitura(score)
    except Exception as error:  # partitura raises whatever a broken file makes its code do
        raise ValueError(f"{name} can't be read: {type(error).__name__}: {error}") from error


def _from_partitura(score: Any) -> ScoreNotes:
    """Notes of all parts, in divs of the least common multiple of theirs."""
    divs = int(np.lcm.reduce([int(q) for part in score.parts for _, q in part.quarter_durations()]))
    if not 0 < divs <= MAX_DIVS_PER_QUARTER:
        raise ValueError(
            f"the parts need {divs} divs per quarter in common, more than {MAX_DIVS_PER_QUARTER}"
        )
    arrays, measures = [], np.zeros((0, 2), np.int64)
    for number, part in enumerate(score.parts):
        if part.notes_tied:
            arrays.append(_part_notes(part, number, divs))
        if not len(measures) and part.measures:
            bars = [(m.start.t, m.end.t) for m in part.measures if m.end.t > m.start.t]
            measures = _divs(part, bars, divs).reshape(-1, 2)
    if not arrays:
        raise ValueError("it has no notes")
    notes = np.concatenate(arrays)
    notes = notes[np.lexsort((notes["duration_div"], notes["pitch"], notes["onset_div"]))]
    if len(measures):  # a last note may start after the last bar line that a file gives
        measures[-1, 1] = max(measures[-1, 1], notes["onset_div"][-1] + 1)
    return ScoreNotes(notes, measures)


def _part_notes(part: Any, number: int, divs: int) -> np.ndarray:
    found = part.note_array(
        include_pitch_spelling=True,
        include_key_signature=True,
        include_time_signature=True,
        include_staff=True,
    )
    notes = np.zeros(len(found), NOTE_ARRAY_DTYPE)
    for name in NOTE_ARRAY_DTYPE.names or ():
        if name in (found.dtype.names or ()):
            notes[name] = found[name]
    notes["onset_div"] = _divs(part, found["onset_div"], divs)
    notes["duration_div"] = _divs(part, found["onset_div"] + found["duration_div"], divs) - notes["onset_div"]
    notes["part"], notes["divs_pq"] = number, divs
    return notes


def _divs(part: Any, times: Any, divs: int) -> np.ndarray:
    """Times of a part in its own divs, which may change on the way, in divs of the whole score."""
    return np.rint(divs * (part.quarter_map(times) - part.quarter_map(0))).astype(np.int64)


def _read_midi(path: Path, name: str) -> ScoreNotes:
    try:
        return notes_of_midi(read_midi_content(path, apply_sustain=False))
    except ValueError as error:
        raise ValueError(f"{name} can't be read: {error}") from error


def notes_of_midi(content: MidiContent) -> ScoreNotes:
    """The pitched notes of a MIDI file on its own grid; its drums are left out.

    A track is a part, a channel in it a voice. Where no time signature is given it is 4/4. A track that gives
    no key signature has those of tracks without notes, or else of all.

    Raises:
      ValueError: no pitched notes, or more than `MAX_MEASURES`.
    """
    is_pitched = ~content.notes["is_drum"]
    pitched, origins = content.notes[is_pitched], content.origins[is_pitched]
    if not len(pitched):
        raise ValueError("it has no pitched notes")
    divs = content.clock.ticks_per_quarter
    notes = np.zeros(len(pitched), NOTE_ARRAY_DTYPE)
    notes["pitch"], notes["divs_pq"] = pitched["pitch"], divs
    onset, end = origins["start_tick"], origins["end_tick"]
    notes["onset_div"], notes["duration_div"] = onset, end - onset
    tracks, notes["part"] = np.unique(origins["track"], return_inverse=True)
    channels, channel = np.unique(origins[["track", "port", "channel"]], return_inverse=True)
    notes["voice"] = channel - np.searchsorted(channels["track"], origins["track"]) + 1
    keys, is_shared = content.key_signatures, ~np.isin(content.key_signatures["track"], tracks)
    for track in tracks.tolist():
        mine = origins["track"] == track
        own = keys["track"] == track
        known = keys[own if own.any() else is_shared if is_shared.any() else ~own]
        if len(known):
            notes["ks_fifths"][mine] = _values_at(onset[mine], tuple(known[["tick", "fifths"]].tolist()))[
                :, 0
            ]
    signatures = {0: (4, 4)}
    signatures |= {tick: (beats, kind) for tick, _, beats, kind in content.time_signatures.tolist()}
    changes = tuple((tick, *signature) for tick, signature in signatures.items())
    notes["ts_beats"], notes["ts_beat_type"] = _values_at(onset, changes).T
    measures = _measures(changes, divs, int(end.max()))
    notes["onset_beat"] = _beats_at(changes, divs, measures, onset)
    notes["duration_beat"] = _beats_at(changes, divs, measures, end) - notes["onset_beat"]
    return ScoreNotes(notes[np.lexsort((notes["duration_div"], notes["pitch"], onset))], measures)


def _measures(changes: tuple[tuple[int, int, int], ...], divs: int, end: int) -> np.ndarray:
    """Starts and ends until the end: int64 [M, 2]; a new time signature begins a measure."""
    starts = []
    for (tick, beats, beat_type), stop in zip(changes, [c[0] for c in changes[1:]] + [end], strict=True):
        length = 4 * divs * beats / beat_type
        count = max(math.ceil((min(stop, end) - tick) / length), 0)
        if count > MAX_MEASURES:
            raise ValueError(f"it has {count} measures of {beats}/{beat_type}, more than {MAX_MEASURES}")
        starts.append(tick + np.floor(np.arange(count) * length).astype(np.int64))
    start = np.unique(np.concatenate(starts))
    return np.stack([start, np.append(start[1:], end)], axis=1)


def notes_of_score(score: Score) -> ScoreNotes:
    """The pitched notes of a notated score; its drums are left out.

    Key signatures are 0 where none is known.

    Raises:
      ValueError: no pitched notes.
    """
    parts = [(number, part.notes) for number, part in enumerate(score.parts) if not part.is_drum]
    total = sum(len(found) for _, found in parts)
    if not total:
        raise ValueError("the score has no pitched notes")
    notes = np.zeros(total, NOTE_ARRAY_DTYPE)
    start = 0
    for number, found in parts:
        rows = notes[start : start + len(found)]
        for name in found.dtype.names or ():
            rows[name] = found[name]
        rows["part"] = number
        start += len(found)
    notes = notes[np.lexsort((notes["duration_div"], notes["pitch"], notes["onset_div"]))]
    notes["divs_pq"] = score.divs_per_quarter
    onset = notes["onset_div"]
    if score.key_signatures:
        notes["ks_fifths"] = _values_at(onset, score.key_signatures)[:, 0]
    signatures = _values_at(onset, score.time_signatures)
    notes["ts_beats"], notes["ts_beat_type"] = signatures.T
    grid = score.time_signatures, score.divs_per_quarter, score.measures
    notes["onset_beat"] = _beats_at(*grid, onset)
    notes["duration_beat"] = _beats_at(*grid, onset + notes["duration_div"]) - notes["onset_beat"]
    return ScoreNotes(notes, score.measures.astype(np.int64))


def _values_at(onset: np.ndarray, changes: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """What holds at each onset, int [N, values]; before the first change, what that one says."""
    table = np.array(changes)
    return table[np.maximum(np.searchsorted(table[:, 0], onset, side="right") - 1, 0), 1:]


def _beats_at(
    time_signatures: tuple[tuple[int, int, int], ...], divs: int, measures: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """Beats of the time signature from the first downbeat, float64 [N]."""
    changes = np.array(time_signatures)
    divs_per_beat = 4 * divs / changes[:, 2]
    at_change = np.concatenate(([0], np.cumsum(np.diff(changes[:, 0]) / divs_per_beat[:-1])))
    which = np.searchsorted(changes[:, 0], times, side="right") - 1
    beats = at_change[which] + (times - changes[which, 0]) / divs_per_beat[which]
    first = (measures[0, 1] - measures[0, 0]) / divs_per_beat[0]
    return beats - (first if first < changes[0, 1] else 0)


def notes_of_transcription(
    notes: np.ndarray, divs_per_second: int = 1000, quarters_per_minute: float = 120.0, beats: int = 4
) -> ScoreNotes:
    """Transcribed notes, their times rounded to divs, on beats of a steady tempo; drums are left out.

    Nothing is known of metre or spelling: beats are quarter notes of the tempo given, measures unknown.

    Args:
      notes: `mt3x.music.notes.NOTE_DTYPE` [N], in any order.
      divs_per_second: coarser divs make notes that are struck nearly together start together.

    Raises:
      ValueError: unsound notes, none that are pitched, or a tempo, resolution or number of beats below 1.
    """
    if divs_per_second < 1 or quarters_per_minute < 1 or beats < 1:
        raise ValueError(
            f"divs_per_second {divs_per_second}, quarters_per_minute {quarters_per_minute} and beats {beats} "
            "must be at least 1"
        )
    pitched = sort_notes(validate_notes(notes)[~notes["is_drum"]])
    if not len(pitched):
        raise ValueError("there are no pitched notes; a graph needs at least one")
    array = np.zeros(len(pitched), NOTE_ARRAY_DTYPE)
    array["onset_div"] = np.rint(pitched["start"] * divs_per_second)
    array["duration_div"] = np.maximum(np.rint(pitched["end"] * divs_per_second) - array["onset_div"], 1)
    array["pitch"] = pitched["pitch"]
    array["part"] = np.unique(pitched["program"], return_inverse=True)[1]
    array["voice"] = array["staff"] = 1
    divs_per_quarter = divs_per_second * 60 / quarters_per_minute
    array["divs_pq"] = round(divs_per_quarter)
    array["ts_beats"], array["ts_beat_type"] = beats, 4
    array["onset_beat"] = array["onset_div"] / divs_per_quarter
    array["duration_beat"] = array["duration_div"] / divs_per_quarter
    array = array[np.lexsort((array["duration_div"], array["pitch"], array["onset_div"]))]
    return ScoreNotes(array, np.zeros((0, 2), np.int64))
