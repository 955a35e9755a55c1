"""Samples that arrive block by block, and how long a file is, for those who read along and can't wait.

Conventions are those of `load.py`: mono float32 in -1 to 1, channels averaged, resampled by soxr.
"""

import os
from collections.abc import Iterable, Iterator

import numpy as np

from mt3x.audio import load
from mt3x.audio.load import DEFAULT_SAMPLE_RATE, AudioError


def from_blocks(
    blocks: Iterable[np.ndarray], sample_rate: int, target_rate: int = DEFAULT_SAMPLE_RATE
) -> Iterator[np.ndarray]:
    """What `from_array` makes of the joined blocks, while they arrive.

    Args:
      blocks: [n] or [n, C] each, of any length, zero included; types as in `from_array`.

    Yields:
      float32 [m], mono, at `target_rate`; the last one ends the resampler.

    Raises:
      AudioError: as `from_array`, while iterating; no blocks at all are no error.
    """
    load._check_rate(sample_rate, "sample_rate")
    yield from load._resample(_mono(blocks, sample_rate), sample_rate, target_rate)


def _mono(blocks: Iterable[np.ndarray], sample_rate: int) -> Iterator[np.ndarray]:
    num_read = 0
    for block in blocks:
        if block.ndim not in (1, 2):
            raise AudioError(f"a block has shape {block.shape}; expected [n] or [n, channels].")
        scaled = load._scale(block)
        mono = (scaled if scaled.ndim == 1 else load._average(scaled)).astype(np.float32)
        load._check_finite(mono, num_read, sample_rate, "the stream")
        num_read += len(mono)
        yield mono


def audio_seconds(path: str | os.PathLike[str]) -> float | None:
    """How long a recording is by its header (for MP3 perhaps an estimate); None where it doesn't say.

    Raises:
      AudioError: the file can't be opened as audio; see `load_audio`.
    """
    with load._open(path, load._printable(path)) as (_, file):
        return file.frames / file.samplerate if 0 < file.frames < load._FRAMES_UNKNOWN else None
