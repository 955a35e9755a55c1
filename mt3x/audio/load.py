"""Any recording becomes mono float32 samples at one rate.

What a file is, and how much sound there is in it, its bytes say, not its name nor its header (`files/`). It
is decoded, made mono and resampled block by block: memory does not grow with its length. `samples.py` has the
conventions.
"""

import contextlib
import os
import re
from collections.abc import Generator, Iterator
from io import BufferedIOBase

import numpy as np

from mt3x.audio import formats
from mt3x.audio.arrays import bits_of_floats
from mt3x.audio.channels import Mixer
from mt3x.audio.errors import AudioError
from mt3x.audio.files.contents import find_parts
from mt3x.audio.files.ffmpeg import FFmpegDecoder
from mt3x.audio.files.parts import Part
from mt3x.audio.files.sndfile import SndfileDecoder
from mt3x.audio.files.sources import Source, name_of, open_source
from mt3x.audio.files.window import SteadyFile, Window, read_at
from mt3x.audio.samples import (
    DEFAULT_SAMPLE_RATE,
    AudioStream,
    block_frames,
    check_finite,
    check_rate,
    resample,
)

_SEARCH_BYTES = 2**16  # behind a FLAC file's stated end


def load_audio(source: Source, sample_rate: int = DEFAULT_SAMPLE_RATE) -> np.ndarray:
    """Reads a whole recording, strictly; for its notices, or what there is of a damaged one, `stream_audio`.

    Returns:
      float32 [N], mono, at `sample_rate`.

    Raises:
      AudioError: as `stream_audio`.
    """
    return np.concatenate(list(stream_audio(source, sample_rate)))


def stream_audio(
    source: Source,
    sample_rate: int = DEFAULT_SAMPLE_RATE,
    block_seconds: float = 30.0,
    *,
    strict: bool = True,
) -> AudioStream:
    """Reads a recording of any length in bounded memory.

    Args:
      source: a path, an open file, or the bytes of a file, of sound or video, as `formats.py` lists them.
      block_seconds: how long a block is at most, or a little more.
      strict: refuse a file that is cut off or damaged. Else what there is is read, and a notice says what is
        not.

    Returns:
      Blocks, float32 [n], mono, at `sample_rate`; joined they equal `load_audio`. The file is opened when the
      first is asked for.

    Raises:
      AudioError: while iterating: the file is missing, a folder, empty, not audio, without samples, with
        samples that are not finite, at a rate outside 4 to 384 kHz, or, if strict, cut off or damaged. Some
        of that is found only when reading gets there.
      ValueError: block_seconds is not positive and finite.
    """
    target_rate = check_rate(sample_rate, "the wanted sample rate")
    if not 0.0 < block_seconds < float("inf"):
        raise ValueError(f"block_seconds is {block_seconds}; it must be positive and finite.")
    stream = AudioStream()
    blocks = resample(_Reading(source, stream, strict).mono_blocks(), target_rate)
    stream.blocks = _cut(blocks, max(1, int(block_seconds * target_rate)))
    return stream


def _cut(blocks: Iterator[np.ndarray], most_samples: int) -> Generator[np.ndarray, None, None]:
    """The same samples in blocks that are no longer than so many."""
    for block in blocks:
        yield from (block[start : start + most_samples] for start in range(0, len(block), most_samples))


class _Reading:
    """One recording while it is read; what is found out about it goes into its stream."""

    def __init__(self, source: Source, stream: AudioStream, strict: bool):
        self._source, self._stream, self._strict = source, stream, strict
        self._name = name_of(source)
        self._seconds = 0.0  # read so far
        self._problems: dict[str, None] = {}

    def mono_blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Blocks at the file's own rate, each with that rate, checked."""
        mixer = Mixer()
        for rate, block in self._decoded():
            with np.errstate(invalid="ignore"):  # samples that are not finite are reported
                mono = mixer.mix(block, rate)
            check_finite(mono, round(self._seconds * rate), rate, self._name)
            self._seconds += len(block) / rate
            yield rate, mono
        self._stream.notices += filter(None, [*self._problems, mixer.notice()])

    def _decoded(self) -> Iterator[tuple[int, np.ndarray]]:
        """Blocks of all channels, [n, C]."""
        with open_source(self._source, self._name) as file:
            parts = find_parts(file, file.seek(0, os.SEEK_END))
            for part in parts:
                try:
                    decoder = self._open(file, part)
                except AudioError:
                    if self._strict or not self._seconds:
                        raise
                    self._report(_cut_off(self._seconds, "another file follows, which cannot be read"))
                    break
                num_frames = decoder.num_frames if part.num_frames is None else part.num_frames
                if len(parts) == 1 and num_frames:
                    self._stream.seconds = num_frames / decoder.sample_rate
                if part.missing is not None and self._strict:
                    found_seconds = self._seconds + (num_frames or 0) / decoder.sample_rate
                    raise self._refusal(_cut_off(found_seconds, part.missing))
                yield from self._decode(file, part, decoder)
        if not self._seconds:
            raise self._refusal(next(iter(self._problems), "holds no samples; at least one is needed"))

    def _open(self, file: BufferedIOBase, part: Part) -> SndfileDecoder | FFmpegDecoder:
        """The decoder of a part."""
        if part.is_regular:
            is_whole = part.start == 0 and part.end == file.seek(0, os.SEEK_END)
            is_steady = isinstance(file, SteadyFile)
            view = file if is_whole and is_steady else Window(file, part.start, part.end)
            view.seek(0)
            with contextlib.suppress(ValueError):
                return SndfileDecoder(view, part.samples)
        try:
            return FFmpegDecoder(Window(file, part.start, part.end))
        except ValueError as error:
            if part.missing is not None:
                raise self._refusal(_cut_off(self._seconds, part.missing)) from error
            kind = formats.name_by_first_bytes(read_at(file, 0, 16))
            if kind is None:
                found = "is not audio in a known format, or its header is damaged"
                raise AudioError(f"{self._name}: {found}; {formats.KINDS} can be read.") from error
            reason = "it was not finished, or not copied to its end" if _lacks_index(file) else error
            raise AudioError(f"{self._name}: is {kind}, but {reason}. Copy or export it again.") from error

    def _decode(
        self, file: BufferedIOBase, part: Part, decoder: SndfileDecoder | FFmpegDecoder
    ) -> Iterator[tuple[int, np.ndarray]]:
        """What one part holds."""
        rate = check_rate(decoder.sample_rate, f"{self._name}: the sample rate", " Convert it first.")
        most = block_frames(rate, decoder.num_channels)
        num_read, full_scale = 0, 1.0
        for block in decoder.blocks(most):
            if decoder.is_float and not num_read and (bits := bits_of_floats(float(np.abs(block).max()))):
                full_scale = 2.0 ** (bits - 1)
                self._stream.notices.append(
                    f"the samples are floats in the range of {bits} bits: taken for these"
                )
            num_read += len(block)
            yield rate, block if full_scale == 1.0 else block / np.float32(full_scale)
        if decoder.is_flac and (decoder.missing is not None or _has_more_flac(file, part)):
            # The same samples again, without those that were read: FFmpeg goes on where libFLAC gives up.
            with contextlib.suppress(ValueError):
                other = FFmpegDecoder(Window(file, part.start, part.end), skip_frames=num_read)
                for block in other.blocks(most):
                    yield rate, block
                decoder = other if decoder.missing is not None or other.num_read > num_read else decoder
        if isinstance(file, SteadyFile) and file.error is not None:
            reason = file.error.strerror
            raise AudioError(f"{self._name}: cannot be read to its end ({reason}).") from file.error
        if missing := part.missing or decoder.missing:
            self._report(_cut_off(self._seconds, missing))
        elif decoder.num_damaged:
            places = "in one place" if decoder.num_damaged == 1 else f"in {decoder.num_damaged} places"
            self._report(f"is damaged: it cannot be decoded {places}")
        if isinstance(decoder, FFmpegDecoder) and decoder.num_tracks > 1:
            self._stream.notices.append(f"the file holds {decoder.num_tracks} tracks of sound: one was read")

    def _report(self, problem: str) -> None:
        """Refuses the recording for a problem, or keeps it as a notice."""
        if self._strict:
            raise self._refusal(problem)
        self._problems[f"the recording {problem}"] = None

    def _refusal(self, problem: str) -> AudioError:
        return AudioError(
            f"{self._name}: {problem.removeprefix('the recording ')}. Record, export or copy it again."
        )


def _cut_off(seconds: float, reason: str) -> str:
    return f"is cut off after {seconds:.1f} s: {reason}"


def _has_more_flac(file: BufferedIOBase, part: Part) -> bool:
    """Whether frames or another file follow the place to which a FLAC file was read."""
    place = file.tell()
    rest = read_at(file, place, max(0, min(_SEARCH_BYTES, part.end - place)))
    return re.search(rb"\xff[\xf8\xf9]|fLaC", rest) is not None


def _lacks_index(file: BufferedIOBase) -> bool:
    """Whether an MPEG-4 file has no index (`moov`), which cameras write last."""
    place, size = 0, file.seek(0, os.SEEK_END)
    while place + 8 <= size:
        head = read_at(file, place, 16)
        if head[4:8] == b"moov":
            return False
        num_bytes = int.from_bytes(head[:4], "big")
        if num_bytes == 1:  # the size is too large for its field and follows
            num_bytes = int.from_bytes(head[8:16], "big")
        if num_bytes < 8:
            break
        place += num_bytes
    return read_at(file, 4, 4) == b"ftyp"
