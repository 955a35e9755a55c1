"""What all sources of samples share: limits, checks, resampling, and the stream that they become.

Conventions: samples are float32 in -1 to 1 (files whose floats go beyond are left so); channels become one
(`channels.py`), which is resampled by soxr at its HQ setting. However blocks are cut, joined they are the
same to the last bit.

Deviation from MT3: it resamples by librosa (a Kaiser-windowed sinc at its time; soxr HQ since librosa 0.10).
"""

import numbers
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np

from mt3x.audio.errors import AudioError

DEFAULT_SAMPLE_RATE = 16000
LOWEST_SAMPLE_RATE, HIGHEST_SAMPLE_RATE = 4000, 384000
MOST_CHANNELS = 64  # of an array; more is an array that lies on its side

_BLOCK_SECONDS = 30.0
_MOST_VALUES_READ = 2**22  # samples times channels in memory at once


class AudioStream(Iterator[np.ndarray]):
    """A recording while it is read: float32 [n], mono, block after block.

    Attributes:
      seconds: how long it is by its header; None before the first block, and where that is not told.
      notices: sentences about the recording that a person should read; all of them after the last block.
    """

    def __init__(self) -> None:
        """A recording of which nothing is known yet; `blocks` are to be set."""
        self.seconds: float | None = None
        self.notices: list[str] = []
        self.blocks: Generator[np.ndarray, None, None] | None = None

    def __next__(self) -> np.ndarray:
        assert self.blocks is not None
        return next(self.blocks)

    def close(self) -> None:
        """Closes its file, where the end was not reached."""
        if self.blocks is not None:
            self.blocks.close()


def block_frames(sample_rate: int, num_channels: int) -> int:
    """Sample frames that are read at once."""
    return max(1, min(int(_BLOCK_SECONDS * sample_rate), _MOST_VALUES_READ // num_channels))


def check_rate(rate: Any, what: str, fix: str = "") -> int:
    """The rate as an integer.

    Raises:
      AudioError: it is no whole number, or outside the limits.
    """
    if not isinstance(rate, numbers.Real) or float(rate) != np.rint(float(rate)):
        raise AudioError(f"{what} is {rate!r}; expected a whole number of Hz, such as 44100.")
    rate = int(float(rate))
    if not LOWEST_SAMPLE_RATE <= rate <= HIGHEST_SAMPLE_RATE:
        raise AudioError(
            f"{what} is {rate} Hz, outside {LOWEST_SAMPLE_RATE} to {HIGHEST_SAMPLE_RATE} Hz.{fix}"
        )
    return rate


def check_finite(samples: np.ndarray, first_sample: int, rate: int, name: str) -> None:
    """Raises AudioError for the first sample that is not finite."""
    with np.errstate(all="ignore"):
        if np.isfinite(samples @ samples):  # four times faster than a look at each
            return
    is_finite = np.isfinite(samples)
    if is_finite.all():
        return
    index = int(np.argmin(is_finite))
    kind = "NaN" if np.isnan(samples[index]) else "infinite"
    place = first_sample + index
    raise AudioError(
        f"{name}: sample {place} (at {place / rate:.3f} s) is {kind}; all must be finite. Export it again, "
        "or replace such samples by 0."
    )


def resample(blocks: Iterable[tuple[int, np.ndarray]], target_rate: int) -> Generator[np.ndarray, None, None]:
    """Blocks at one rate, made of blocks with their rate: float32 [n] each."""
    import soxr

    rate, stream = target_rate, None
    for block_rate, block in blocks:
        if block_rate != rate:
            if stream is not None:
                yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
            rate, stream = block_rate, None
            if rate != target_rate:
                stream = soxr.ResampleStream(rate, target_rate, 1, dtype="float32", quality="HQ")
        yield block if stream is None else stream.resample_chunk(block)
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
