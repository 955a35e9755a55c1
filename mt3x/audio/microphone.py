"""A microphone as a source of blocks of samples, by PortAudio (the package `sounddevice`, extra `live`).

Blocks wait in a queue while nobody takes them, so that a slow listener loses nothing.
"""

import queue
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from mt3x.audio.errors import AudioError

BLOCK_SECONDS = 0.02
_WAIT_SECONDS = 0.1
_LIST_DEVICES = "`python -m sounddevice` lists the devices"


class Microphone:
    """An input device; it records from the moment it is entered as a context manager.

    Attributes:
      name: what the system calls it.
      sample_rate: of the blocks, Hz.
      num_lost: how often the system dropped samples because the machine was too busy to take them.
    """

    def __init__(
        self, device: str | int | None = None, sample_rate: int | None = None, num_channels: int = 1
    ):
        """Opens the device.

        Args:
          device: its number or a part of its name; the system's default without.
          sample_rate: Hz; the device's own without.

        Raises:
          AudioError: sounddevice, PortAudio or the device is missing, or the device can't do what is asked.
        """
        sounddevice = _sounddevice()
        self._blocks: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        self.num_lost = 0
        try:
            found = sounddevice.query_devices(device, "input")
            self.name = str(found["name"])
            self.sample_rate = sample_rate or round(found["default_samplerate"])
            self._stream = sounddevice.InputStream(
                samplerate=self.sample_rate,
                blocksize=round(self.sample_rate * BLOCK_SECONDS),
                device=device,
                channels=num_channels,
                dtype="float32",
                callback=self._take,
            )
        except (ValueError, sounddevice.PortAudioError) as error:
            wanted = "no microphone can be used" if device is None else f"device {device!r} cannot be used"
            raise AudioError(f"{wanted}: {_one_line(error)}; {_LIST_DEVICES}") from error

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def blocks(self, is_over: Callable[[], bool]) -> Iterator[np.ndarray]:
        """What it records, until `is_over`: float32 [n, C] each.

        Raises:
          AudioError: the device has stopped by itself, after all that it recorded has been yielded.
        """
        has_stopped = False
        while not (is_over() or has_stopped):
            try:
                yield self._blocks.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                has_stopped = not self._stream.active
        self._stream.stop()
        while not self._blocks.empty():
            yield self._blocks.get()
        if has_stopped:
            raise AudioError(f"{self.name} has stopped; is it still connected? {_LIST_DEVICES}")

    def _take(self, samples: np.ndarray, _num_frames: int, _times: Any, status: Any) -> None:
        """Called by PortAudio's thread, with an array that it uses again."""
        self.num_lost += bool(status.input_overflow)
        self._blocks.put(samples.copy())


def _sounddevice() -> Any:
    try:
        import sounddevice  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise AudioError(
            "recording needs the package sounddevice: pip install 'mt3x[live]'; or pipe raw PCM in"
        ) from error
    except OSError as error:  # the package is there, the library that it wraps is not
        raise AudioError(
            f"recording needs PortAudio ({_one_line(error)}): apt-get install libportaudio2; or pipe raw "
            "PCM in"
        ) from error
    return sounddevice


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
