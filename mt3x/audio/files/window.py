"""Files as the decoders need them: bytes whose reading never raises inside a callback from C."""

import io
import os
from typing import Any

_BUFFER_BYTES = 2**17


class _Bytes(io.FileIO):
    """A file that ends where it cannot be read on."""

    error: OSError | None = None

    def readinto(self, buffer: Any, /) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:
            self.error = error
            return 0


class SteadyFile(io.BufferedReader):
    """A file that stays where it is when a damaged header sends a decoder to an impossible place.

    Errors raised inside a callback from C would be printed and not caught.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Opens it."""
        self._bytes = _Bytes(path)
        super().__init__(self._bytes, _BUFFER_BYTES)

    @property
    def error(self) -> OSError | None:
        """What ended reading before the end, such as a disk that fails."""
        return self._bytes.error

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()


class Window(io.RawIOBase):
    """The bytes from `start` to `end` of another file, as a file of their own."""

    def __init__(self, file: io.BufferedIOBase, start: int, end: int):
        self._file = file
        self._start, self._end = start, end
        self._place = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._place, os.SEEK_END: self._end}[whence]
        if self._start <= base + offset:
            self._place = base + offset
        return self.tell()

    def readinto(self, buffer: Any, /) -> int:
        wanted = max(0, min(len(buffer), self._end - self._place))
        self._file.seek(self._place)
        num_read = self._file.readinto(memoryview(buffer)[:wanted])
        self._place += num_read
        return num_read


def read_at(file: io.BufferedIOBase, place: int, num_bytes: int) -> bytes:
    """Up to `num_bytes` from a place in a file."""
    file.seek(place)
    return file.read(num_bytes)
