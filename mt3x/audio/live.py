"""Samples that arrive block by block, for those who read along and can't wait.

Conventions are those of `samples.py`. Raw PCM is interleaved samples and nothing else, as `ffmpeg -f s16le`
writes it.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mt3x.audio.arrays import average_blocks
from mt3x.audio.errors import AudioError
from mt3x.audio.formats import name_by_first_bytes
from mt3x.audio.samples import DEFAULT_SAMPLE_RATE, check_rate, resample

PCM_ENCODINGS = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}
"""Encodings of raw PCM by FFmpeg's names."""

_MOST_BYTES_READ = 2**16


def pcm_blocks(
    read: Callable[[int], bytes], num_channels: int = 1, encoding: str = "s16le"
) -> Iterator[np.ndarray]:
    """Raw PCM as blocks of samples, as soon as its bytes arrive.

    Args:
      read: returns some of the bytes that follow, at most as many as it is asked for, and none at the end,
        such as `sys.stdin.buffer.read1`.
      encoding: one of `PCM_ENCODINGS`.

    Yields:
      int16 or float32 [n, C], n >= 1.

    Raises:
      ValueError: an unknown encoding, or no channels, while iterating like all of these.
      AudioError: the bytes begin as an audio file does; a sample is not finite; or the bytes end within a
        sample, after all that are whole have been yielded.
    """
    if encoding not in PCM_ENCODINGS:
        raise ValueError(f"encoding is {encoding!r}; choose one of {', '.join(PCM_ENCODINGS)}")
    if num_channels < 1:
        raise ValueError(f"num_channels is {num_channels}; it must be at least 1")
    dtype = PCM_ENCODINGS[encoding]
    frame_bytes = num_channels * dtype.itemsize
    what = f"{encoding} with {num_channels} channel{'s' if num_channels > 1 else ''}"
    rest, num_read = b"", 0
    while new := read(_MOST_BYTES_READ):
        if not num_read and (kind := name_by_first_bytes(new)):
            raise AudioError(
                f"the stream is {kind}, not raw PCM; transcribe it as a file, or decode it first"
            )
        num_read += len(new)
        whole = len(rest + new) // frame_bytes * frame_bytes
        block = np.frombuffer((rest + new)[:whole], dtype).reshape(-1, num_channels)
        rest = (rest + new)[whole:]
        if not np.isfinite(block).all():
            raise AudioError(f"the stream holds a sample that is not finite; is it really {what}?")
        if len(block):
            yield block
    if rest:
        raise AudioError(
            f"the stream ends within a sample: {len(rest)} of {frame_bytes} bytes; is it really {what}?"
        )


def from_blocks(
    blocks: Iterable[np.ndarray], sample_rate: int, target_rate: int = DEFAULT_SAMPLE_RATE
) -> Iterator[np.ndarray]:
    """What `from_array` makes of the joined blocks, while they arrive.

    Only what takes a look ahead is left out: channels are averaged even where they cancel, and floats are in
    -1 to 1.

    Args:
      blocks: [n] or [n, C] each, of any length, zero included; types as in `stream_array`.

    Yields:
      float32 [m], mono, at `target_rate`; the last one ends the resampler.

    Raises:
      AudioError: as `from_array`, while iterating; no blocks at all are no error.
    """
    rate = check_rate(sample_rate, "sample_rate")
    yield from resample(average_blocks(blocks, rate), target_rate)
