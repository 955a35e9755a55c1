"""Scores in files: one function for every format, by the end of the file's name."""

import os
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from mt3x.music.midi import MIDI_SUFFIXES, read_midi_content
from mt3x.score.graphs.graph import ScoreGraph
from mt3x.score.graphs.note_arrays import notes_of_score
from mt3x.score.io import musicxml_files, partitura_reading
from mt3x.score.io.abc_reading import abc_as_musicxml
from mt3x.score.io.midi_reading import score_of_midi
from mt3x.score.io.musicxml_reading import score_of_musicxml
from mt3x.score.score import Score

ABC_SUFFIXES = (".abc",)
SUFFIXES = (*musicxml_files.SUFFIXES, *MIDI_SUFFIXES, *partitura_reading.SUFFIXES, *ABC_SUFFIXES)
MAX_DOWNLOAD_BYTES = 50_000_000
DOWNLOAD_SECONDS = 30.0


class MissingScoreError(FileNotFoundError, ValueError):
    """No such file. As a ValueError it is caught where files are sorted out that are no scores."""


def read_score(path: str | os.PathLike[str]) -> Score:
    """The score in a file: a path, or an address that starts with http:, https: or file:.

    By the end of the name: .musicxml, .xml, .mxl; `MIDI_SUFFIXES`; .krn, .kern; .mei; .abc (one tune). Of a
    MIDI file this is the grid that it has, its notes not spelled (`mt3x.score.io.midi_reading`).

    Raises:
      MissingScoreError: no such file.
      ValueError: another ending; a file that can't be read or, but for MusicXML, is without notes; a download
        of more than `MAX_DOWNLOAD_BYTES`; several tunes.
      OSError: a download failed or took too long.
      ImportError: for kern and MEI partitura, for ABC music21, is not installed.
    """
    suffix, name = _suffix(path), os.fspath(path)
    if suffix not in SUFFIXES:
        raise ValueError(f"{name} ends in {suffix!r}; scores are read from {', '.join(SUFFIXES)}")
    if _is_url(path):
        return _score_of(_download(name), suffix, name)
    if not Path(path).is_file():
        raise MissingScoreError(f"{name} is no file")
    return _score_of(Path(path).read_bytes(), suffix, name)


def load_midi_to_graph(
    path: str | os.PathLike[str], add_beats: bool = False, add_measures: bool = False
) -> ScoreGraph:
    """The graph of a MIDI file, a path or a URL; without labels, for MIDI has no spelling.

    Raises:
      ValueError: not the name of a MIDI file, and what `read_score` raises.
    """
    if _suffix(path) not in MIDI_SUFFIXES:
        raise ValueError(f"{path} is no MIDI file by its name; it must end in {', '.join(MIDI_SUFFIXES)}")
    return notes_of_score(read_score(path)).graph(add_beats, add_measures)


def _score_of(content: bytes, suffix: str, name: str) -> Score:
    if suffix in ABC_SUFFIXES:
        return score_of_musicxml(abc_as_musicxml(content, name), name)
    if suffix in musicxml_files.SUFFIXES:
        return score_of_musicxml(musicxml_files.unpack_musicxml(content, name), name)
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / f"score{suffix}"
        local.write_bytes(content)
        if suffix in MIDI_SUFFIXES:
            return _score_of_midi(local, name)
        return partitura_reading.score_of_file(local, name)


def _score_of_midi(path: Path, name: str) -> Score:
    try:
        return score_of_midi(read_midi_content(path, apply_sustain=False))
    except ValueError as error:
        raise ValueError(f"{name} can't be read: {error}") from error


def _suffix(path: str | os.PathLike[str]) -> str:
    name = urllib.parse.urlsplit(str(path)).path if _is_url(path) else os.fspath(path)
    return os.path.splitext(name)[1].lower()


def _is_url(path: str | os.PathLike[str]) -> bool:
    return str(path).split(":", 1)[0].lower() in ("http", "https", "file")


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as response:
        data = response.read(MAX_DOWNLOAD_BYTES + 1)
    if len(data) > MAX_DOWNLOAD_BYTES:
        raise ValueError(f"{url} is larger than {MAX_DOWNLOAD_BYTES} bytes; download it and give the file")
    return data
