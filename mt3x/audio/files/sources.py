"""Whatever a recording may come from, as a binary file: a path, bytes, or an open file."""

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeAlias, TypeGuard

from mt3x.audio.errors import AudioError
from mt3x.audio.files.window import SteadyFile

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""A path, what a file holds, or a file that is open for reading its bytes; it is read from its beginning."""


def is_source(value: Any) -> TypeGuard[Source]:
    """Whether something is a path, the bytes of a file, or an open file."""
    return isinstance(value, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(value, "read")


def name_of(source: Source) -> str:
    """What to call it, in one line that any terminal can print."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"the file of {len(source)} bytes"
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else getattr(source, "name", None)
    if not isinstance(name, str):
        return "the open file"
    return name if name.isprintable() else ascii(name)


@contextlib.contextmanager
def open_source(source: Source, name: str) -> Iterator[io.BufferedIOBase]:
    """Its bytes; what was open stays open.

    Raises:
      AudioError: it is missing, a folder, no regular file, empty, or cannot be opened.
    """
    if isinstance(source, (str, os.PathLike)):
        with _open_path(source, name) as file:
            yield file
        return
    file = io.BytesIO(source) if isinstance(source, (bytes, bytearray, memoryview)) else _binary(source, name)
    if not file.seek(0, os.SEEK_END):
        raise AudioError(f"{name}: is empty (0 bytes); record or copy it again.")
    yield file


def _binary(source: Any, name: str) -> io.BufferedIOBase:
    """The open file itself if it can be read anywhere, else a copy in memory."""
    if isinstance(source, (io.BufferedReader, io.BufferedRandom, io.BytesIO)) and source.seekable():
        return source
    try:
        if hasattr(source, "seekable") and source.seekable():
            source.seek(0)
        content = source.read()
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: cannot be read ({error}); open it again.") from error
    if not isinstance(content, bytes):
        raise AudioError(f'{name}: is open as text; open it for reading bytes, as open(path, "rb") does.')
    return io.BytesIO(content)


def _open_path(path: str | os.PathLike[str], name: str) -> io.BufferedIOBase:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{name}: is a folder; name a recording inside it.")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{name}: is not a regular file; write the audio to a file first.")
        if status.st_size == 0:
            raise AudioError(f"{name}: is empty (0 bytes); record or copy it again.")
        return SteadyFile(path)
    except FileNotFoundError as error:
        raise AudioError(f"{name}: there is no such file; check the name and the folder.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error  # ValueError: a NUL in the name
        raise AudioError(f"{name}: cannot be opened ({reason}); check name and permissions.") from error
