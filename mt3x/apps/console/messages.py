"""What commands say: paths, summaries and complaints, each in one line that any terminal can print."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mt3x.transcription.result import Transcription

LEAST_ELAPSED_SECONDS = 0.1
"""Before, a speed says nothing but how soon the clock was read."""


def why_unwritable(folder: Path) -> str | None:
    """Why files cannot be written into a folder, which need not exist yet; None where they can."""
    folder = Path(os.path.abspath(folder))
    while not os.path.lexists(folder):
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


def shown(path: Path) -> str:
    """A path as people expect it, in one line that any terminal can print."""
    name = str(near(path))
    return name if name.isprintable() else ascii(name)


def summary(transcription: "Transcription", audio_seconds: float, elapsed_seconds: float) -> str:
    """Such as `812 notes, 2 instruments (Violin, Drums), 183.2 s of audio, 12.3x real time`.

    Args:
      audio_seconds: what was transcribed in `elapsed_seconds`; too short a time tells no speed.
    """
    notes, instruments = len(transcription.notes), transcription.instruments
    parts = f"{len(instruments)} instrument{'s' if len(instruments) != 1 else ''}"
    if instruments:
        parts += f" ({', '.join(instruments)})"
    is_known = elapsed_seconds >= LEAST_ELAPSED_SECONDS
    speed = f", {audio_seconds / elapsed_seconds:.1f}x real time" if is_known else ""
    length = f"{transcription.duration_seconds:.1f} s of audio"
    return f"{notes} note{'s' if notes != 1 else ''}, {parts}, {length}{speed}"


def complain(line: str) -> None:
    """Says what is wrong, on standard error."""
    print(f"mt3x: {line}", file=sys.stderr, flush=True)


def near(path: Path) -> Path:
    """The same path, relative to where people are, if it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
