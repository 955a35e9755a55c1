"""Decoding by FFmpeg's libraries, which PyAV brings: what libsndfile does not read, and what is not regular.

PyAV is imported when a file needs it: that takes a tenth of a second.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np

from mt3x.audio.files.window import Window

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# Those that hold other files or addresses (playlists, streams) are left out: a recording opens nothing else.
_DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,iff,loas,matroska,mov,mp3,mpc,"
    "mpc8,mpeg,mpegts,oga,ogg,oma,rm,shn,tak,truehd,tta,voc,w64,wav,wtv,wv,xwma"
)
_STATES_LENGTH = ("mov", "matroska", "asf", "avi", "flac", "wav", "w64", "aiff", "caf", "tta", "wv")
_MOST_FAILURES = 1000  # in a row
_SHORTFALL_SECONDS = 0.5  # by which other lengths than FLAC's may differ from what is decoded

_SCALES = {"u8": (128, 2.0**7), "s16": (0, 2.0**15), "s32": (0, 2.0**31), "s64": (0, 2.0**63)}
"""Silence and full scale of FFmpeg's integer samples; their planar forms have a `p` at the end."""


class FFmpegDecoder:
    """Reads the sound of a file from its beginning.

    Attributes:
      sample_rate: Hz.
      num_channels: of every block; frames that have others are mixed to these.
      num_frames: that its header states, if it does.
      num_read: sample frames that were decoded so far.
      num_tracks: of sound; one is read.
      missing: after the last block, what it lacks, in words.
      num_damaged: after the last block, packets within it that could not be decoded.
    """

    is_flac = is_float = False

    def __init__(self, file: Window, skip_frames: int = 0):
        """Opens a file and decodes its first samples.

        Args:
          skip_frames: that are left out of the blocks, from the beginning.

        Raises:
          ValueError: FFmpeg cannot read it, or it holds no sound.
        """
        import av
        from av.error import FFmpegError

        self.missing: str | None = None
        self.num_damaged = self.num_read = 0
        self._skip_frames = skip_frames
        options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": ""}
        try:
            opened = av.open(file, options=options, metadata_errors="replace")
        except (FFmpegError, OSError) as error:
            raise ValueError("no sound is found in it") from error
        self._container = cast("InputContainer", opened)
        self.num_tracks = len(self._container.streams.audio)
        stream = self._container.streams.best("audio")
        if stream is None:
            self._container.close()
            raise ValueError("it holds no sound")
        self._stream = cast("AudioStream", stream)
        self._frames = self._decode()
        first = next(self._frames, None)
        if first is None:
            self._container.close()
            raise ValueError("none of its sound can be decoded: it is damaged, or protected against copying")
        self._first = first
        self.sample_rate = first.sample_rate
        self.num_channels = first.layout.nb_channels
        stated_seconds = _stated_seconds(self._container, self._stream)
        self.num_frames = None if stated_seconds is None else round(stated_seconds * self.sample_rate)

    def blocks(self, most_frames: int) -> Iterator[np.ndarray]:
        """float32 [n, C]; all but the last of `most_frames`."""
        num_waiting = 0
        waiting: list[np.ndarray] = []
        with contextlib.closing(self._container):
            for frame in self._like_first():
                block = _values(frame)
                self.num_read += len(block)
                if self.num_read <= self._skip_frames:
                    continue
                waiting.append(block[-(self.num_read - self._skip_frames) :])
                num_waiting += len(waiting[-1])
                while num_waiting >= most_frames:
                    joined = np.concatenate(waiting)
                    yield joined[:most_frames]
                    waiting = [joined[most_frames:]]
                    num_waiting -= most_frames
            if num_waiting:
                yield np.concatenate(waiting)
        shortfall = 0 if self._container.format.name == "flac" else _SHORTFALL_SECONDS * self.sample_rate
        if self.num_frames is not None and self.num_read + shortfall < self.num_frames:
            self.missing = f"its stated length is {self.num_frames / self.sample_rate:.1f} s"

    def _decode(self) -> "Iterator[av.AudioFrame]":
        """Frame after frame; what cannot be decoded is passed over and counted."""
        from av.error import FFmpegError, InvalidDataError

        num_failed, is_begun = 0, False
        packets = self._container.demux(self._stream)
        while num_failed < _MOST_FAILURES:
            try:
                packet = next(packets, None)
            except (FFmpegError, OSError, IndexError) as error:  # IndexError: of a stream that begins late
                num_failed += 1
                if not isinstance(error, InvalidDataError):
                    break
                packets = self._container.demux(self._stream)  # goes on; the error has ended the other
                continue
            if packet is None:
                break
            try:
                frames = cast("list[av.AudioFrame]", packet.decode())
            except (FFmpegError, OSError):
                num_failed += 1
                continue
            if frames:
                self.num_damaged += num_failed if is_begun else 0
                num_failed, is_begun = 0, True
            yield from frames
        if num_failed and is_begun:
            self.missing = "its data is damaged there"

    def _like_first(self) -> "Iterator[av.AudioFrame]":
        """The frames, all at the rate and with the channels of the first one."""
        import av

        resampler, source = None, None
        yield self._first
        for frame in self._frames:
            form = frame.sample_rate, frame.layout.name
            if form == (self.sample_rate, self._first.layout.name):
                yield frame
                continue
            if resampler is None or form != source:
                resampler = av.AudioResampler("fltp", self._first.layout, self.sample_rate)
                source = form
            yield from resampler.resample(frame)


def _values(frame: "av.AudioFrame") -> np.ndarray:
    """The samples of a frame: float32 [n, C]."""
    values = frame.to_ndarray()  # [C, n] if planar, else [1, n C]
    block = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    name = frame.format.name.removesuffix("p")
    if name not in _SCALES:
        return block.astype(np.float32)
    silence, full_scale = _SCALES[name]
    return (block.astype(np.float32) - np.float32(silence)) / np.float32(full_scale)


def _stated_seconds(container: "InputContainer", stream: "AudioStream") -> float | None:
    """How long the sound is by a header; None where there is none, or where FFmpeg only estimates it."""
    if container.format.name.split(",")[0] not in _STATES_LENGTH:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if match := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, match.groups())  # of Matroska
        return 3600 * hours + 60 * minutes + seconds
    if container.duration is None or container.streams.video:
        return None  # of a video, whose pictures may last longer
    return container.duration / 1e6
