"""Any recording becomes mono float32 samples at one rate.

Conventions: samples are float32 in -1 to 1 (files whose floats go beyond are left so); channels are averaged,
then resampled by soxr at its HQ setting. Files are decoded, averaged and resampled block by block: memory
does not grow with their length, and however they are cut, the joined blocks are the same to the last bit.

Deviation from MT3: it resamples by librosa (a Kaiser-windowed sinc at its time; soxr HQ since librosa 0.10).
"""

import contextlib
import io
import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mt3x.audio import containers

if TYPE_CHECKING:
    import soundfile

DEFAULT_SAMPLE_RATE = 16000
LOWEST_SAMPLE_RATE, HIGHEST_SAMPLE_RATE = 4000, 384000
MOST_CHANNELS = 64  # of an array; more is an array that lies on its side
_MOST_VALUES_READ = 2**22  # samples times channels in memory at once
_FRAMES_UNKNOWN = 2**62  # libsndfile gives 2**63 - 1 sample frames to a FLAC stream of unknown length
_MP3_FRAMES_LEFT = 8  # of 1152 samples; the last few may hold nothing but an encoder's padding

_INTEGER_SCALES = {"int8": (0, 2**7), "uint8": (2**7, 2**7), "int16": (0, 2**15), "int32": (0, 2**31)}


class AudioError(ValueError):
    """A recording that cannot be used. One line: the file, what was found, the limit, and what to do."""


def load_audio(path: str | os.PathLike[str], sample_rate: int = DEFAULT_SAMPLE_RATE) -> np.ndarray:
    """Read a recording: WAV, FLAC, OGG, MP3, AIFF and whatever else libsndfile reads.

    Returns:
      float32 [N], mono, at `sample_rate`.

    Raises:
      AudioError: the file is missing, a folder, empty, cut off, not audio, without samples, with samples that
        are not finite, or at a rate outside 4 to 384 kHz.
    """
    return np.concatenate(list(stream_audio(path, sample_rate)))


def stream_audio(
    path: str | os.PathLike[str], sample_rate: int = DEFAULT_SAMPLE_RATE, block_seconds: float = 30.0
) -> Iterator[np.ndarray]:
    """Read a recording of any length in bounded memory.

    Yields:
      float32 [n], mono, at `sample_rate`, of about `block_seconds` or less; joined they equal `load_audio`.

    Raises:
      AudioError: as `load_audio`, while iterating. A FLAC or MP3 file that breaks off, or a sample that is
        not finite, is found only when reading gets there.
    """
    name = _printable(path)
    _check_rate(sample_rate, "the wanted sample rate")
    if not 0.0 < block_seconds < float("inf"):
        raise ValueError(f"block_seconds is {block_seconds}; it must be positive and finite.")
    with _open(path, name) as (bytes_, file):
        source_rate = file.samplerate
        _check_rate(source_rate, f"{name}: the sample rate", f" Convert it first: {_ffmpeg(name)}")
        yield from _resample(_read_mono(bytes_, file, name, block_seconds), source_rate, sample_rate)


def from_array(samples: np.ndarray, sample_rate: int, target_rate: int = DEFAULT_SAMPLE_RATE) -> np.ndarray:
    """What `load_audio` makes of a file, made of an array.

    Args:
      samples: [N] or [N, C]. Floats are taken as they are; int8, int16, int32 and uint8 (silence at 128) are
        scaled to -1 to 1.

    Returns:
      float32 [M], mono, at `target_rate`; not a view of `samples`.

    Raises:
      AudioError: another shape or type, no samples, samples that are not finite, or a rate outside 4 to
        384 kHz.
    """
    samples = np.asarray(samples)
    _check_rate(sample_rate, "sample_rate")
    _check_rate(target_rate, "target_rate")
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= MOST_CHANNELS):
        raise AudioError(
            f"samples have shape {samples.shape}; expected [N] or [N, C] with 1 to {MOST_CHANNELS} channels: "
            "transpose an array whose channels come first."
        )
    if not len(samples):
        raise AudioError("the array holds no samples; at least one is needed.")
    mono = _scale(samples)
    if mono.ndim == 2:
        mono = _average(mono)
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is reported so
        mono = mono.astype(np.float32)
    _check_finite(mono, 0, sample_rate, "the array")
    return np.concatenate(list(_resample([mono], sample_rate, target_rate)))


def _scale(samples: np.ndarray) -> np.ndarray:
    """Floats of the same shape, integers scaled to -1 to 1."""
    if np.issubdtype(samples.dtype, np.floating):
        return samples if samples.dtype == np.float64 else samples.astype(np.float32)
    if samples.dtype.name not in _INTEGER_SCALES:
        raise AudioError(
            f"samples are of type {samples.dtype}, whose full scale is not known; expected floats in -1 to 1 "
            f"or {', '.join(_INTEGER_SCALES)}."
        )
    silence, full_scale = _INTEGER_SCALES[samples.dtype.name]
    return (samples.astype(np.float64) - silence) / full_scale


def _average(samples: np.ndarray) -> np.ndarray:
    """[N, C] -> [N]; eight times faster than `mean` over so few columns."""
    return sum(samples.T[1:], start=samples[:, 0]) / samples.shape[1]


def _resample(blocks: Iterable[np.ndarray], source_rate: int, target_rate: int) -> Iterator[np.ndarray]:
    """float32 [n] blocks at another rate; how they were cut does not change a sample."""
    if source_rate == target_rate:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _read_mono(
    bytes_: BinaryIO, file: "soundfile.SoundFile", name: str, block_seconds: float
) -> Iterator[np.ndarray]:
    """float32 [n] blocks at the file's own rate, checked."""
    import soundfile

    rate = file.samplerate
    most = max(1, min(int(block_seconds * rate), _MOST_VALUES_READ // file.channels))
    num_read = 0
    while num_read < file.frames:
        try:
            # Asked for more, libsndfile would decode past the stated length and throw that away.
            block = file.read(min(most, file.frames - num_read), dtype="float32", always_2d=True)  # [n, C]
        except soundfile.LibsndfileError as error:
            raise _cut_off(name, "its data is damaged there", file.tell(), rate) from error
        if not len(block):
            break
        mono = _average(block)
        _check_finite(mono, num_read, rate, name)
        num_read += len(block)
        yield mono
    if not num_read:
        raise AudioError(f"{name}: holds no samples; at least one is needed. Record or export it again.")
    is_mp3 = file.format == "MP3"
    is_length_known = containers.mp3_states_length(bytes_) if is_mp3 else file.frames < _FRAMES_UNKNOWN
    if is_length_known and num_read < file.frames:
        raise _cut_off(name, f"its stated length is {file.frames / rate:.1f} s", num_read, rate)
    if is_mp3 and containers.unread_mp3_share(bytes_) * num_read > _MP3_FRAMES_LEFT * 1152:
        raise AudioError(
            f"{name}: only the first {num_read / rate:.1f} s can be read: its length header is missing or "
            f"wrong, and more follows. Rewrite it: {_ffmpeg(name)}"
        )


class _Bytes(io.BufferedReader):
    """A file that stays where it is when a damaged header sends libsndfile to an impossible place."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError:  # raised inside a callback from C, it would be printed and not caught
            return self.tell()


@contextlib.contextmanager
def _open(path: str | os.PathLike[str], name: str) -> Iterator[tuple[BinaryIO, "soundfile.SoundFile"]]:
    """The file's bytes and libsndfile's reader on them."""
    import soundfile

    class Sequential(soundfile.SoundFile):
        # Else soundfile seeks to where it is after each block, which damages MP3 and fails at the end of a
        # FLAC stream of unknown length.
        def seekable(self) -> bool:
            return False

    with _open_bytes(path, name) as bytes_:
        head = bytes_.read(16)
        bytes_.seek(0)
        try:
            file = Sequential(bytes_)
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: the name ends in .raw
            what = containers.name_other_container(head)
            found = f"is {what}" if what else "is not audio in a known format, or its header is damaged"
            raise AudioError(
                f"{name}: {found}; WAV, FLAC, OGG, MP3 and AIFF can be read. If it is audio, convert it: "
                f"{_ffmpeg(name)}"
            ) from error
        with file:
            if missing := containers.find_missing_part(bytes_, file.extra_info):
                raise _cut_off(name, missing, file.frames, file.samplerate)
            yield bytes_, file


def _open_bytes(path: str | os.PathLike[str], name: str) -> BinaryIO:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{name}: is a folder; name a recording inside it.")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{name}: is not a regular file; write the audio to a file first.")
        if status.st_size == 0:
            raise AudioError(f"{name}: is empty (0 bytes); record or copy it again.")
        return _Bytes(io.FileIO(path))
    except FileNotFoundError as error:
        raise AudioError(f"{name}: there is no such file; check the name and the folder.") from error
    except OSError as error:
        raise AudioError(
            f"{name}: cannot be opened ({error.strerror}); check name and permissions."
        ) from error


def _cut_off(name: str, reason: str, num_found: int, rate: int) -> AudioError:
    return AudioError(
        f"{name}: is cut off after {num_found / rate:.1f} s: {reason}. Copy it again, or keep what is there: "
        f"{_ffmpeg(name)}"
    )


def _check_rate(rate: int, what: str, fix: str = "") -> None:
    if not LOWEST_SAMPLE_RATE <= rate <= HIGHEST_SAMPLE_RATE:
        raise AudioError(
            f"{what} is {rate} Hz, outside {LOWEST_SAMPLE_RATE} to {HIGHEST_SAMPLE_RATE} Hz.{fix}"
        )


def _check_finite(samples: np.ndarray, first_sample: int, rate: int, name: str) -> None:
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


def _printable(path: str | os.PathLike[str]) -> str:
    """The path in one line that any terminal can print."""
    name = os.fspath(path)
    return name if name.isprintable() else ascii(name)


def _ffmpeg(name: str) -> str:
    """The command that rewrites a file."""
    output = f"{Path(name).stem}-{DEFAULT_SAMPLE_RATE // 1000}k.wav"
    return f"ffmpeg -i {shlex.quote(name)} -ac 1 -ar {DEFAULT_SAMPLE_RATE} {shlex.quote(output)}"
