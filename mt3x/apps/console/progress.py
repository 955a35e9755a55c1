"""Progress of one file on a terminal: a bar that redraws itself, or plain lines where nobody watches.

Times are seconds of audio.
"""

import shutil
import time
from typing import Self, TextIO

_BAR_WIDTH = 24
_TERMINAL_INTERVAL_SECONDS = 0.1
_PLAIN_INTERVAL_SECONDS = 10.0
_LEAST_ELAPSED_SECONDS = 1.0  # before, a speed says nothing: segments of several recordings are done together


class Progress:
    """Shows how far one recording is transcribed; call it as `progress(done_seconds, total_seconds)`.

    On a terminal it is one line, redrawn in place and wiped at the end; elsewhere (a log file, a pipe) a
    plain line, at most every ten seconds. Use as a context manager.
    """

    def __init__(self, name: str, stream: TextIO):
        self._name = name
        self._stream = stream
        self._on_terminal = stream.isatty()
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        if self._on_terminal:
            self._shown = 0.0  # the first call shows
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def begin(self, name: str) -> None:
        """Goes on with another recording."""
        self._name = name
        self._started = time.monotonic()

    def clear(self) -> None:
        """Makes room for other lines."""
        if self._on_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def __call__(self, done_seconds: float, total_seconds: float | None) -> None:
        now = time.monotonic()
        if now - self._shown < (_TERMINAL_INTERVAL_SECONDS if self._on_terminal else _PLAIN_INTERVAL_SECONDS):
            return
        self._shown = now
        state = _state(done_seconds, total_seconds, now - self._started)
        if self._on_terminal:
            bar = _bar(done_seconds, total_seconds)
            room = shutil.get_terminal_size().columns - len(bar) - len(state) - 3
            self._stream.write(f"\r{_shorten(self._name, room)} {bar} {state}\x1b[K")
        else:
            self._stream.write(f"{self._name}: {state}\n")
        self._stream.flush()


def clock(seconds: float) -> str:
    """Minutes and seconds, hours where there are any.

    >>> clock(61.2), clock(3600)
    ('1:01', '1:00:00')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _state(done_seconds: float, total_seconds: float | None, elapsed_seconds: float) -> str:
    """Such as `1:02 / 3:30, 29 %, 12.3x`; without the total, `1:02, 12.3x`; no speed in the first second."""
    speed = f", {done_seconds / elapsed_seconds:.1f}x" if elapsed_seconds >= _LEAST_ELAPSED_SECONDS else ""
    if not total_seconds:
        return f"{clock(done_seconds)}{speed}"
    share = min(done_seconds / total_seconds, 1.0)
    return f"{clock(done_seconds)} / {clock(total_seconds)}, {share:.0%}{speed}"


def _bar(done_seconds: float, total_seconds: float | None) -> str:
    filled = round(_BAR_WIDTH * min(done_seconds / total_seconds, 1.0)) if total_seconds else 0
    return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}]"


def _shorten(name: str, columns: int) -> str:
    """The end of a long name, which tells more than its beginning."""
    return name if len(name) <= columns else "..." + name[len(name) - max(columns - 3, 0) :]
