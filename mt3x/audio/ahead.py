"""Several recordings read ahead, in processes of their own, so that a network never waits for decoding.

Worker w of n reads recordings w, w + n, w + 2n, ... and sends their blocks through a pipe; the parent takes
recording after recording, in order. A worker is at most `BLOCKS_AHEAD` blocks ahead: four minutes of audio,
15 MB at 16 kHz. So n workers are n times as fast as long as recordings are not much longer than that.

Workers are plain programs (`python -m mt3x.audio.ahead`), not forks, and import neither JAX nor the program
that started them: scripts need no `if __name__ == "__main__"`. A worker whose parent is gone, even by
`kill -9`, ends at its next block, because nobody reads its pipe.

What a worker writes: a byte that says what follows, its size in bytes (int64), the content. `r`: it runs.
`l`: the recording's length in seconds, float64, before its first block, if it is known. `b`: a block,
float32. `s`: a notice, UTF-8. `e`: the recording's AudioError, UTF-8. `n`: the recording ended, the next
follows.
"""

import contextlib
import io
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Sequence

import numpy as np

from mt3x.audio.errors import AudioError
from mt3x.audio.files.sources import name_of
from mt3x.audio.load import stream_audio
from mt3x.audio.samples import AudioStream

BLOCKS_AHEAD = 8
"""Blocks of 30 s that a worker holds until they are asked for."""

_HEADER = struct.Struct("=cq")
_RUNS, _LENGTH, _BLOCK, _NOTICE, _ERROR, _NEXT = b"r", b"l", b"b", b"s", b"e", b"n"

_Recordings = Generator[tuple[int, AudioStream], None, None]


def read_recordings(
    paths: Sequence[str | os.PathLike[str]], target_rate: int, num_workers: int = 0, *, strict: bool = True
) -> _Recordings:
    """The blocks of each recording, in the order of the paths.

        for number, blocks in read_recordings(paths, 16000, num_workers=2):
            try:
                for block in blocks: ...
            except AudioError as error: ...

    Blocks that were not taken are gone when the next recording is asked for, as with `itertools.groupby`.
    Workers start with the first recording that is asked for, and end when the generator is closed.

    Args:
      num_workers: processes that read ahead; 0 reads in this one, which is best where the network runs on
        the CPU: decoding is less than 2 % of the work there.
      strict: as for `stream_audio`.

    Yields:
      (index of the path, its blocks); the blocks are those of `stream_audio`, float32 [n], mono, at
      `target_rate`. They raise AudioError as it does, also for a recording that kills its worker.

    Raises:
      ValueError: num_workers is negative.
      RuntimeError: a worker can't start, while iterating.
    """
    if num_workers < 0:
        raise ValueError(f"num_workers is {num_workers}; it must be 0 or more")
    if num_workers == 0:
        return _read_here(paths, target_rate, strict)
    return _read_ahead([os.fspath(path) for path in paths], target_rate, min(num_workers, len(paths)), strict)


def _read_here(paths: Sequence[str | os.PathLike[str]], target_rate: int, strict: bool) -> _Recordings:
    for number, path in enumerate(paths):
        yield number, stream_audio(path, target_rate, strict=strict)


def _read_ahead(paths: list[str], target_rate: int, num_workers: int, strict: bool) -> _Recordings:
    with contextlib.ExitStack() as stack:
        workers = []
        for first in range(num_workers):
            workers.append(_Worker(paths[first::num_workers], target_rate, strict))
            stack.callback(workers[-1].stop)
        for number in range(len(paths)):
            blocks = workers[number % num_workers].read_next()
            yield number, blocks
            with contextlib.suppress(AudioError):
                for _ in blocks:
                    pass


class _Worker:
    """The parent's end of a process that reads recordings ahead."""

    def __init__(self, paths: list[str], target_rate: int, strict: bool):
        self._paths = deque(paths)  # those that were not asked for yet
        self._target_rate, self._strict = target_rate, strict
        self._start()

    def read_next(self) -> AudioStream:
        """The next recording; all of its blocks are taken before the one after it is asked for."""
        stream = AudioStream()
        stream.blocks = self._receive(self._paths.popleft(), stream)
        return stream

    def _receive(self, path: str, stream: AudioStream) -> Generator[np.ndarray, None, None]:
        """The blocks of a recording, whose stream is told what else comes."""
        while True:
            header = self._pipe.read(_HEADER.size)
            if len(header) < _HEADER.size:
                raise self._replace(path)
            kind, size = _HEADER.unpack(header)
            if kind == _RUNS:
                self._has_run = True
            elif kind == _NEXT:
                return
            elif kind == _LENGTH:
                (stream.seconds,) = struct.unpack("=d", self._pipe.read(size))
            elif kind == _NOTICE:
                stream.notices.append(self._pipe.read(size).decode())
            elif kind == _ERROR:
                raise AudioError(self._pipe.read(size).decode())
            else:
                block = np.empty(size // 4, np.float32)
                if self._pipe.readinto(block.view(np.uint8).data) == size:
                    yield block

    def stop(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def _start(self) -> None:
        # -P and the parent's own path: whatever lies in the current folder is not imported by accident.
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        self._has_run = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mt3x.audio.ahead"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            process_group=0,  # Ctrl-C is for the parent, who ends its workers
        )
        assert self._process.stdin is not None and isinstance(self._process.stdout, io.BufferedReader)
        self._pipe = self._process.stdout
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(json.dumps([self._target_rate, self._strict, *self._paths]).encode())

    def _replace(self, path: str) -> Exception:
        """Starts a new process for what follows the recording that ended this one; the error to raise."""
        code = self._process.wait()
        if not self._has_run:
            return RuntimeError(
                f"a process that reads audio ended with code {code} before it began; see what it printed, or "
                "read with num_workers=0"
            )
        self._pipe.close()
        self._start()
        return AudioError(
            f"{name_of(path)}: the process that read it ended with code {code}; convert it "
            "to WAV, or leave it out."
        )


def _work() -> None:
    """What a worker does: reads a line of JSON, [rate, strict, path, ...], and writes to standard output."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no audio
    target_rate, strict, *paths = json.load(sys.stdin)
    waiting: queue.Queue[tuple[bytes, np.ndarray] | None] = queue.Queue(BLOCKS_AHEAD)
    sender = threading.Thread(target=_send, args=(waiting, pipe), daemon=True)
    sender.start()
    nothing = np.zeros(0, np.uint8)
    waiting.put((_RUNS, nothing))
    for path in paths:
        stream = stream_audio(path, target_rate, strict=strict)
        try:
            is_told = False
            for block in stream:
                if stream.seconds is not None and not is_told:
                    waiting.put((_LENGTH, np.array([stream.seconds])))
                    is_told = True
                waiting.put((_BLOCK, np.ascontiguousarray(block)))
            for notice in stream.notices:
                waiting.put((_NOTICE, _as_bytes(notice)))
            waiting.put((_NEXT, nothing))
        except AudioError as error:
            waiting.put((_ERROR, _as_bytes(str(error))))
    waiting.put(None)
    sender.join()


def _as_bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(errors="backslashreplace"), np.uint8)


def _send(waiting: "queue.Queue[tuple[bytes, np.ndarray] | None]", pipe: io.BufferedWriter) -> None:
    try:
        while (item := waiting.get()) is not None:
            kind, content = item
            pipe.write(_HEADER.pack(kind, content.nbytes))
            pipe.write(content.view(np.uint8).data)
            pipe.flush()
    except OSError:
        os._exit(1)  # nobody reads: the parent is gone


if __name__ == "__main__":
    _work()
