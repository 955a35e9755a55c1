"""Which recordings a command line names, and where the transcription of each goes.

The rule of names: `song.wav` becomes `song.mid`, beside it or below the output directory. There, the folders
of the recordings are mirrored from the deepest folder that holds all of them. Where a folder holds two
recordings that differ only in their suffix (`song.wav`, `song.mp3`), both keep it: `song.wav.mid`,
`song.mp3.mid`. So no two recordings of a run share an output, and whether the suffix is kept does not depend
on what else is transcribed in the same run.
"""

import argparse
import dataclasses
import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mt3x.audio.formats import AUDIO_SUFFIXES


@dataclasses.dataclass(frozen=True)
class Job:
    """One recording and the files that its transcription is written to."""

    recording: Path
    outputs: tuple[Path, ...]

    def is_done(self) -> bool:
        """Whether every output exists and is at least as new as the recording."""
        try:
            made_at = min(output.stat().st_mtime_ns for output in self.outputs)
            return made_at >= self.recording.stat().st_mtime_ns
        except OSError:
            return False


def read_formats(text: str) -> tuple[str, ...]:
    """Suffixes of outputs from a word such as `mid,json`.

    Raises:
      argparse.ArgumentTypeError: there is no such format.
    """
    from mt3x.transcription.result import FORMATS

    formats = tuple(dict.fromkeys(text.lower().split(",")))
    for name in formats:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"unknown format {name!r}; choose from {', '.join(FORMATS)}")
    return formats


def plan(
    inputs: Sequence[str], formats: Sequence[str], output_directory: Path | None = None
) -> tuple[list[Job], list[str]]:
    """The jobs for files, folders (searched to any depth) and glob patterns, each recording once, in order.

    Args:
      inputs: paths or patterns; a path that exists is never read as a pattern.
      formats: suffixes of the outputs without the dot.
      output_directory: None puts each output beside its recording.

    Returns:
      The jobs, and one sentence for each input that named no recording.
    """
    recordings: dict[Path, None] = {}
    folders: list[Path] = []
    complaints = []
    for name in inputs:
        try:
            found = list(_recordings(name))
        except FileNotFoundError as error:
            complaints.append(f"{name}: {error}")
            continue
        path = Path(os.path.abspath(name))
        folders += [path] if path.is_dir() else [recording.parent for recording in found]
        recordings.update(dict.fromkeys(found))
    base = Path(os.path.commonpath(folders)) if folders else Path.cwd()
    names = output_names(list(recordings))
    jobs = []
    for recording in recordings:
        folder = recording.parent
        if output_directory is not None:
            folder = output_directory / folder.relative_to(base)
        jobs.append(Job(recording, tuple(folder / f"{names[recording]}.{suffix}" for suffix in formats)))
    return jobs, complaints


def output_names(recordings: Sequence[Path]) -> dict[Path, str]:
    """The name of each recording's outputs, without their suffix: the module's rule, case ignored."""
    neighbours: dict[Path, set[str]] = {}
    for recording in recordings:
        folder = recording.parent
        if folder not in neighbours:
            neighbours[folder] = {
                name for name in _list(folder) if Path(name).suffix.lower() in AUDIO_SUFFIXES
            }
        neighbours[folder].add(recording.name)
    # A stem is taken when another file has it too, or is named exactly so (`a.wav.flac` beside `a.wav`).
    taken = {
        folder: Counter(word.casefold() for name in names for word in {Path(name).stem, name})
        for folder, names in neighbours.items()
    }
    return {
        recording: recording.stem
        if taken[recording.parent][recording.stem.casefold()] == 1
        else recording.name
        for recording in recordings
    }


def _recordings(name: str) -> Iterator[Path]:
    """Absolute paths of the recordings that one word of the command line names.

    Raises:
      FileNotFoundError: there are none.
    """
    if os.path.isdir(name):
        found = sorted(_walk(name))
        if not found:
            raise FileNotFoundError("no recordings in this folder")
    elif os.path.lexists(name):
        found = [name]
    elif glob.has_magic(name):
        found = sorted(filter(os.path.isfile, glob.glob(name, recursive=True)))
        if not found:
            raise FileNotFoundError("no file matches this pattern")
    else:
        raise FileNotFoundError("no such file or folder")
    for path in found:
        yield Path(os.path.abspath(path))


def _walk(folder: str) -> Iterator[str]:
    """Audio files below a folder; hidden files and folders are left out."""
    for parent, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in AUDIO_SUFFIXES:
                yield os.path.join(parent, name)


def _list(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # readable files in an unreadable folder
        return []
