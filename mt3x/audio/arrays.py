"""Arrays as recordings: whatever shape and scale they have is found, or assumed with a notice."""

from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np

from mt3x.audio.channels import Mixer, average
from mt3x.audio.errors import AudioError
from mt3x.audio.samples import (
    DEFAULT_SAMPLE_RATE,
    MOST_CHANNELS,
    AudioStream,
    block_frames,
    check_finite,
    check_rate,
    resample,
)

_INTEGER_SCALES = {"int8": (0, 2**7), "uint8": (2**7, 2**7), "int16": (0, 2**15), "int32": (0, 2**31)}
_EXPECTED = f"expected floats in -1 to 1 or {', '.join(_INTEGER_SCALES)}"
_LOUDEST_FLOAT = 32.0  # 30 dB above full scale; floats beyond were never meant to be in -1 to 1


def from_array(samples: np.ndarray, sample_rate: int, target_rate: int = DEFAULT_SAMPLE_RATE) -> np.ndarray:
    """What `load_audio` makes of a file, made of an array: `stream_array` in one piece.

    Returns:
      float32 [M], mono, at `target_rate`; not a view of `samples`.

    Raises:
      AudioError: as `stream_array`.
    """
    return np.concatenate(list(stream_array(samples, sample_rate, target_rate)))


def stream_array(samples: Any, sample_rate: int, target_rate: int = DEFAULT_SAMPLE_RATE) -> AudioStream:
    """The recording that an array holds.

    Args:
      samples: [N], [N, C] or [C, N]; the longer side is time. Floats in -1 to 1 are taken as they are; int8,
        int16, int32 and uint8 (silence at 128) are scaled to that. Floats that reach as far as integers of
        16, 24 or 32 bits, and int32 that reach only as far as 16 or 24 bits, are scaled, with a notice.

    Raises:
      AudioError: another shape or type, no samples, samples that are not finite, or a rate outside 4 to
        384 kHz.
    """
    source_rate = check_rate(sample_rate, "sample_rate")
    check_rate(target_rate, "target_rate")
    columns = _columns(samples)
    silence, full_scale, notice = _scale_of(columns, source_rate)
    stream = AudioStream()
    stream.seconds = len(columns) / source_rate
    stream.notices += filter(None, [notice])

    def mono_blocks() -> Iterator[tuple[int, np.ndarray]]:
        mixer = Mixer()
        most = block_frames(source_rate, columns.shape[1])
        for start in range(0, len(columns), most):
            mono = mixer.mix(_scaled(columns[start : start + most], silence, full_scale), source_rate)
            yield source_rate, mono.astype(np.float32)
        stream.notices += filter(None, [mixer.notice()])

    stream.blocks = resample(mono_blocks(), target_rate)
    return stream


def average_blocks(
    blocks: Iterable[np.ndarray], sample_rate: int
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Blocks that arrive one by one, [n] or [n, C], each as its average with its rate.

    No block tells how loud the whole is or whether its channels cancel: types are scaled, channels averaged.
    """
    num_read = 0
    for block in blocks:
        if block.ndim not in (1, 2):
            raise AudioError(f"a block has shape {block.shape}; expected [n] or [n, channels].")
        scaled = _scaled(block, *_type_scale(block))
        mono = scaled if scaled.ndim == 1 else scaled[:, 0] if scaled.shape[1] == 1 else average(scaled)
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is reported so
            mono = mono.astype(np.float32)
        check_finite(mono, num_read, sample_rate, "the stream")
        num_read += len(mono)
        yield sample_rate, mono


def _columns(samples: Any) -> np.ndarray:
    """[N, C], with a type that sound can have."""
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(
            f"a {type(samples).__name__} is no array of samples ({error}); {_EXPECTED}, of shape [N], [N, C] "
            "or [C, N]."
        ) from error
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise AudioError(
            f"a recording is a path, an open file, the bytes of a file, or samples, not a "
            f"{type(samples).__name__} of type {array.dtype} and shape {array.shape}; {_EXPECTED}."
        )
    if not array.size:
        raise AudioError(f"the array holds no samples, but has shape {array.shape}; at least one is needed.")
    if array.ndim == 1:
        return array[:, np.newaxis]
    if array.ndim != 2 or min(array.shape) > MOST_CHANNELS:
        raise AudioError(
            f"samples have shape {array.shape}; expected [N], [N, C] or [C, N] with 1 to {MOST_CHANNELS} "
            "channels."
        )
    return array if array.shape[0] >= array.shape[1] else array.T


def bits_of_floats(peak: float) -> int | None:
    """The bits of the integers in whose range floats are that reach so far; None where full scale is 1."""
    if peak <= _LOUDEST_FLOAT:
        return None
    return _bits(peak)


def _scale_of(columns: np.ndarray, rate: int) -> tuple[float, float, str | None]:
    """What silence is, what full scale is, and a notice if the type alone does not tell that."""
    silence, full_scale = _type_scale(columns)
    kind = columns.dtype.name
    if kind != "int32" and columns.dtype.kind != "f":
        return silence, full_scale, None
    peak = max(float(columns.max()), -float(columns.min()))
    if not peak <= float(np.finfo(np.float32).max):
        with np.errstate(over="ignore", invalid="ignore"):
            check_finite(columns.astype(np.float32).sum(axis=1), 0, rate, "the array")
    if kind == "int32":
        bits = _bits(peak) if peak else 32
        if bits == 32:
            return silence, full_scale, None
    else:
        if peak <= _LOUDEST_FLOAT:
            return silence, full_scale, None
        bits = _bits(peak)
    if bits is None:
        raise AudioError(f"samples reach {peak:.4g}; {_EXPECTED}.")
    notice = f"the {kind} samples reach {peak:.6g}: they were taken for samples of {bits} bits"
    return silence, 2.0 ** (bits - 1), notice


def _bits(peak: float) -> int | None:
    return next((bits for bits in (16, 24, 32) if peak <= 2.0 ** (bits - 1)), None)


def _type_scale(samples: np.ndarray) -> tuple[float, float]:
    """What silence is and what full scale is, by the type alone."""
    if samples.dtype.kind == "f":
        return 0.0, 1.0
    if samples.dtype.name not in _INTEGER_SCALES:
        raise AudioError(f"samples are of type {samples.dtype}, whose full scale is not known; {_EXPECTED}.")
    return _INTEGER_SCALES[samples.dtype.name]


def _scaled(samples: np.ndarray, silence: float, full_scale: float) -> np.ndarray:
    """Floats of the same shape."""
    if samples.dtype.kind != "f":
        return (samples.astype(np.float64) - silence) / full_scale
    floats = samples if samples.dtype == np.float64 else samples.astype(np.float32)
    return floats if full_scale == 1.0 else floats / np.float32(full_scale)
