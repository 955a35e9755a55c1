"""Decoding by libsndfile: WAV and its relatives, AIFF, FLAC, Ogg, and MP3 that is regular."""

import contextlib
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any, BinaryIO, cast

import numpy as np

from mt3x.audio.files.parts import Samples
from mt3x.audio.files.stderr import taking_lines
from mt3x.audio.files.window import Window

_QUIET = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"caff", b".snd", b"fLaC", b"OggS")
"""How files begin that libmpg123 has no part in."""

_FRAMES_UNKNOWN = 2**62  # libsndfile gives 2**63 - 1 sample frames to a FLAC stream of unknown length


class SndfileDecoder:
    """Reads a file from its beginning.

    Attributes:
      sample_rate: Hz.
      num_channels: of every block.
      num_frames: that its header states, if it does.
      is_float: whether its samples are floats, of any range.
      is_flac: whether FFmpeg can go on where this decoder stops, without a sample's difference.
      missing: after the last block, what it lacks, in words.
      num_damaged: after the last block, in how many places it could not be decoded.
    """

    def __init__(self, file: BufferedIOBase | Window, samples: Samples | None = None):
        """Opens a file, or one of plain samples.

        Raises:
          ValueError: libsndfile cannot read it.
        """
        import soundfile

        class Sequential(soundfile.SoundFile):
            # Else soundfile seeks to where it is after each block, which damages MP3 and fails at the end of
            # a FLAC stream of unknown length.
            def seekable(self) -> bool:
                return False

        options: dict[str, Any] = {}
        if samples is not None:
            options = {
                "samplerate": samples.sample_rate,
                "channels": samples.num_channels,
                "subtype": samples.subtype,
                "endian": samples.endian,
                "format": "RAW",
            }
        head = file.read(4)
        file.seek(0)
        try:
            with contextlib.nullcontext() if samples or head in _QUIET else taking_lines():
                self._file = Sequential(cast(BinaryIO, file), **options)
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: the name ends in .raw
            raise ValueError(str(error)) from error
        self.sample_rate: int = self._file.samplerate
        self.num_channels: int = self._file.channels
        self.num_frames = self._file.frames if self._file.frames < _FRAMES_UNKNOWN else None
        self.is_flac = self._file.format == "FLAC"
        self.is_float = self._file.subtype in ("FLOAT", "DOUBLE")
        self.missing: str | None = None
        self.num_damaged = 0

    def blocks(self, most_frames: int) -> Iterator[np.ndarray]:
        """float32 [n, C]; all but the last of `most_frames`."""
        import soundfile

        num_read = 0
        with contextlib.closing(self._file) as file:
            while num_read < file.frames:
                try:
                    # Asked for more, libsndfile would decode past the stated length and throw that away.
                    wanted = min(most_frames, file.frames - num_read)
                    with taking_lines() if file.format == "MP3" else contextlib.nullcontext([]) as errors:
                        block = file.read(wanted, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError:
                    self.missing = "its data is damaged there"
                    return
                if not len(block):
                    break
                num_read += len(block)
                self.num_damaged += len(errors)
                yield block
        if self.num_frames is not None and num_read < self.num_frames:
            self.missing = f"its stated length is {self.num_frames / self.sample_rate:.1f} s"
