"""Which files an evaluation compares, and the notes in them.

Files of two folders, searched to any depth, are one piece where their paths in the folder are equal up to the
suffix: `mozart/k331.mid` and `mozart/k331.tsv`; or recordings and notes. Two single files are one piece,
whatever their names. Notes are Standard MIDI Files, or tables (`.tsv`): a line is onset and offset in
seconds, MIDI pitch and velocity, separated by tabs or spaces; velocity may be left out, and a first line of
names is passed over.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from mt3x.apps.console import batch
from mt3x.apps.console.messages import shown
from mt3x.music.midi import MIDI_SUFFIXES, read_midi_content
from mt3x.music.notes import make_notes, validate_notes

TABLE_SUFFIX = ".tsv"
MAX_NAMES = 5
"""How many pieces a complaint names; it counts the others."""

_DEFAULT_VELOCITY = 100


@dataclasses.dataclass(frozen=True)
class Pair:
    """A piece: its reference, and what is compared with it, notes or a recording."""

    name: str
    reference: Path
    other: Path


class NothingToCompare(ValueError):
    """No piece is on both sides; the message says what is."""


def find_pairs(reference: Path, other: Path, are_recordings: bool = False) -> tuple[list[Pair], list[str]]:
    """The pieces that are on both sides, by name, and a sentence for each thing that is wrong with others.

    Args:
      reference: a file of notes, or a folder of them.
      other: a file, or a folder, of notes or of recordings.

    Raises:
      NothingToCompare: there is no piece, or one side is a file and the other a folder.
    """
    for path in (reference, other):
        if not path.exists():
            raise NothingToCompare(f"{path}: no such file or folder")
    if reference.is_dir() != other.is_dir():
        folder, file = (reference, other) if reference.is_dir() else (other, reference)
        raise NothingToCompare(f"{folder} is a folder and {file} is a file; give two folders or two files")
    if not reference.is_dir():
        return [Pair(other.stem, reference, other)], []
    ours, complaints = _by_name(reference, _note_files(reference))
    found = _recordings(other) if are_recordings else _note_files(other)
    theirs, more = _by_name(other, found)
    kind = "recording" if are_recordings else "file of notes"
    names = [name for name in ours if name in theirs]
    if not names:
        raise NothingToCompare(
            f"no piece is in both folders: {reference} holds {_listed(ours, 'file of notes')}, {other} holds "
            f"{_listed(theirs, kind)}; names must be equal up to the suffix"
        )
    complaints += more
    for folder, missing, what in (
        (other, [name for name in ours if name not in theirs], kind),
        (reference, [name for name in theirs if name not in ours], "reference"),
    ):
        if missing:
            complaints.append(
                f"{folder}: no {what} for {_listed(missing)}; names must be equal up to the suffix"
            )
    return [Pair(name, ours[name], theirs[name]) for name in names], complaints


def read_notes(path: Path, tell: Callable[[str], None]) -> np.ndarray:
    """The notes of a MIDI file or a table.

    Args:
      tell: is called with a sentence that names the file, if something in it was mended.

    Raises:
      ValueError: the file cannot be read; the message names it and says why.
    """
    if path.suffix.lower() == TABLE_SUFFIX:
        return _read_table(path)
    content = read_midi_content(path)
    if content.mending:
        tell(f"{shown(path)}: {content.mending}")
    return content.notes


def _read_table(path: Path) -> np.ndarray:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{path}: cannot be read as a table of notes: {error}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        try:
            row = [float(word) for word in words]
        except ValueError as error:
            if number == 1:
                continue
            raise ValueError(f"{path}: line {number} is {line!r}; it must be numbers") from error
        if len(row) not in (0, 3, 4):
            raise ValueError(
                f"{path}: line {number} has {len(row)} columns; it must have 3 or 4: onset and offset in "
                "seconds, pitch, velocity"
            )
        if row:
            rows.append(row if len(row) == 4 else [*row, _DEFAULT_VELOCITY])
    onset, offset, pitch, velocity = np.array(rows, np.float64).reshape(-1, 4).T
    try:
        # Tables of datasets write the softest notes with velocity 0, which MIDI cannot.
        return validate_notes(make_notes(onset, offset, np.rint(pitch), np.maximum(np.rint(velocity), 1)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _note_files(folder: Path) -> Iterable[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in (*MIDI_SUFFIXES, TABLE_SUFFIX):
                yield Path(parent, name)


def _recordings(folder: Path) -> list[Path]:
    jobs, _ = batch.plan([str(folder)], ())
    absolute = Path(os.path.abspath(folder))
    return [folder / job.recording.relative_to(absolute) for job in jobs]


def _by_name(folder: Path, files: Iterable[Path]) -> tuple[dict[str, Path], list[str]]:
    """Files by their path in the folder without its suffix; a name that two have is no piece."""
    found: dict[str, list[Path]] = {}
    for path in files:
        found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    complaints = [
        f"{folder}: {' and '.join(path.name for path in paths)} have one name; keep one of them"
        for paths in found.values()
        if len(paths) > 1
    ]
    return {name: paths[0] for name, paths in sorted(found.items()) if len(paths) == 1}, complaints


def _listed(names: Iterable[str], kind: str = "piece") -> str:
    """Such as `7 pieces: a, b, c, d, e, ...`."""
    names = list(names)
    shown = ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
    plural = kind.replace("file", "files") if "file" in kind else f"{kind}s"
    return f"{len(names)} {kind if len(names) == 1 else plural}{': ' if names else ''}{shown}"
