"""The transcriber: a recording in, a `Transcription` out, in memory that hardly grows with its length.

A recording is read in blocks, cut into segments, and forgotten once these are recognised; only notes are
kept. There are two kinds of recognisers (`transcription.frames`, `transcription.tokens`), which look alike
from here (`transcription.recogniser`). Segments without any sound are not shown to the network (MT3 shows
them, and it may write notes there):
`mt3_compatible=True` shows them.
"""

import contextlib
import dataclasses
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mt3x.audio.ahead import read_recordings
from mt3x.audio.arrays import stream_array
from mt3x.audio.errors import AudioError
from mt3x.audio.files.sources import Source, is_source
from mt3x.audio.live import from_blocks
from mt3x.audio.load import stream_audio
from mt3x.audio.samples import AudioStream
from mt3x.music.instruments import parse_instruments
from mt3x.music.notes import empty_notes
from mt3x.transcription.config import ModelConfig
from mt3x.transcription.models import make_recogniser, resolve_model
from mt3x.transcription.recogniser import NOTES_ALONE, Request
from mt3x.transcription.recording import Recording
from mt3x.transcription.result import Transcription
from mt3x.transcription.segment import Segment

if TYPE_CHECKING:
    from mt3x.transcription.tokens.config import SearchName

Progress = Callable[[float, float | None], None]
"""Called with the seconds done and the seconds of the whole recording (None where unknown)."""


def load(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    preset: str | None = None,
    search: "SearchName | None" = None,
    merge_restrikes_seconds: float | None = None,
    instruments: str | Iterable[str | int] | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    mt3_compatible: bool = False,
) -> "Transcriber":
    """A transcriber with the weights of a checkpoint, or of the model inside the package.

    Args:
      name_or_path: the folder of a T5X or Orbax checkpoint; "default", as None, is the model inside the
        package.
      preset: the settings of a checkpoint that carries no `config.json`: "mt3" or "ismir2021".
      search, merge_restrikes_seconds: instead of the model's own; see `TranscriptionConfig`. A frame
        recogniser takes no search, and the second as its `merge_seconds`.
      instruments: what plays, if you know: "piano, flute, drums" (`music.instruments.parse_instruments`).
      batch_size, dtype, mt3_compatible: see `Transcriber`.

    Raises:
      ValueError: no such model, a broken checkpoint (`CheckpointError`), or a bad option.
    """
    config, params, name = resolve_model(name_or_path, preset)
    programs = None if instruments is None else parse_instruments(instruments)
    config = config.with_options(name, search, merge_restrikes_seconds, programs)
    return Transcriber(config, params, name, batch_size, mt3_compatible, dtype)


def transcribe(
    recording: Source | npt.ArrayLike,
    sample_rate: int | None = None,
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    strict: bool = False,
    **options: Any,
) -> Transcription:
    """Transcribes one recording; for more than one, `load` once and use `Transcriber.transcribe`.

    Args and errors are those of the two; `options` are for `load`.
    """
    return load(name_or_path, **options).transcribe(recording, sample_rate, strict=strict)


class Transcriber:
    """A network that is ready to transcribe.

    Attributes:
      config: what the network needs beside its weights.
      name: of the model, for reports.
    """

    def __init__(
        self,
        config: ModelConfig,
        params: Mapping[str, Any],
        name: str = "unnamed",
        batch_size: int | None = None,
        mt3_compatible: bool = False,
        dtype: str | None = None,
    ):
        """Takes the weights as they are; `load` checks them.

        Args:
          params: nested dict of float32 arrays by T5X's names.
          batch_size: segments that are recognised together at most; None for what suits the device.
          mt3_compatible: repeat what MT3 does where it errs: segment starts 10 ms early, events at the edges
            of segments lost or kept by accident, silence shown to the network.
          dtype: of the computation: "float32", "bfloat16", or "int8" for the decoder's weights. None:
            bfloat16 on an accelerator, float32 on a CPU. A frame recogniser always computes in float32.

        Raises:
          ValueError: batch_size is less than 1, or a dtype that the model does not compute in.
        """
        self.config = config
        self.name = name
        self._mt3_compatible = mt3_compatible
        self._recogniser = make_recogniser(config, params, name, batch_size, mt3_compatible, dtype)

    @property
    def knows_bends(self) -> bool:
        """Whether it can say how notes bend."""
        return self._recogniser.knows_bends

    @property
    def knows_pedal(self) -> bool:
        """Whether it can say when a piano's sustain pedal is down."""
        return self._recogniser.knows_pedal

    def transcribe(
        self,
        recording: Source | npt.ArrayLike,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        *,
        bends: bool = False,
        pedal: bool = False,
        keep_all: bool = False,
        strict: bool = False,
    ) -> Transcription:
        """The notes of a recording.

        Args:
          recording: a path, an open file, the bytes of a file, or samples: [N], [N, C] or [C, N], floats in
            -1 to 1 or integers (`audio.arrays.stream_array`).
          sample_rate: of the samples, Hz; a file knows its own.
          progress: called after each segment with (seconds done, seconds of the recording).
          bends: say how each note bends, too; for a frame recogniser.
          pedal: say when the pianos' sustain pedal is down, too; for a frame recogniser that has learned it.
          keep_all: keep instruments with a few notes that another one explains nearly as well, as `stream`
            does; by default these notes go to the other one. A token recogniser keeps all.
          strict: refuse a file that is cut off or damaged; else what there is of it is transcribed, and a
            notice says what is not there.

        Raises:
          AudioError: the recording can't be read or used; it is a ValueError and says why in one line.
          ValueError: samples without sample_rate, a file with one, or bends or a pedal of a model that knows
            none.
        """
        source = self._open(recording, sample_rate, strict)
        opened = self._begin(Request(bends, pedal, keep_all))
        opened.source = source
        for segment, predicted in self._recogniser.recognise(opened.segments(source)):
            opened.collect(segment, predicted)
            if progress is not None:
                progress(self._end_seconds(segment), source.seconds)
        return opened.finish(self.name)

    def transcribe_all(
        self,
        recordings: Sequence[str | os.PathLike[str]],
        num_workers: int = 0,
        progress: Callable[[int, float, float | None], None] | None = None,
        *,
        bends: bool = False,
        pedal: bool = False,
        keep_all: bool = False,
        strict: bool = False,
    ) -> Iterator[Transcription | AudioError]:
        """The notes of many recordings, as of each by `transcribe`, in less time where they are short.

        Their segments are recognised together: none waits for the end of the recording before it.

        Args:
          recordings: files.
          num_workers: processes that read and resample them ahead (`audio.ahead`); 0 reads in this one, which
            is enough where the network runs on a CPU.
          progress: called after each segment with (number of the recording, seconds of it that are done,
            seconds of the whole, None where unknown).
          bends, pedal, keep_all, strict: as for `transcribe`.

        Yields:
          For each recording, in order, its transcription, or the error that says why there is none.

        Raises:
          ValueError: num_workers is negative, or bends or a pedal of a model that knows none.
        """
        opened: deque[Recording] = deque()
        read = read_recordings(recordings, self.config.sample_rate, num_workers, strict=strict)

        def segments() -> Iterator[Segment]:
            for number, source in read:
                opened.append(self._begin(Request(bends, pedal, keep_all), number))
                opened[-1].source = source
                try:
                    yield from opened[-1].segments(source)
                except AudioError as error:
                    opened[-1].error = error

        def finished() -> Iterator[Transcription | AudioError]:
            while opened and opened[0].is_done:
                recording = opened.popleft()
                yield recording.finish(self.name) if recording.error is None else recording.error

        with contextlib.closing(read):
            for segment, predicted in self._recogniser.recognise(segments()):
                recording: Recording = segment.source
                recording.collect(segment, predicted)
                if progress is not None:
                    progress(recording.number, self._end_seconds(segment), recording.source.seconds)
                yield from finished()
            yield from finished()

    def stream(
        self, blocks: Iterable[np.ndarray], sample_rate: int
    ) -> Generator[np.ndarray, None, Transcription]:
        """The notes of a recording that still goes on, once nothing that follows can change them.

        Together they are the notes of `transcribe` with `keep_all`. With `batch_size=1` a note comes when the
        segment in which it ends has been read and recognised; if it ends with the segment, or would take in a
        repeated onset after it, one segment later. Memory does not grow with the recording.

        Args:
          blocks: samples [n] or [n, C] each, of any length.
          sample_rate: of the samples, Hz.

        Yields:
          `NOTE_DTYPE` [n], n >= 1, sorted.

        Returns:
          What `transcribe` returns, but without notes: to `yield from`, and as the value of StopIteration.

        Raises:
          AudioError: samples that can't be used, while iterating.
        """
        opened = self._begin(NOTES_ALONE)
        mono = from_blocks(blocks, sample_rate, self.config.sample_rate)
        for segment, predicted in self._recogniser.recognise(opened.segments(mono)):
            opened.collect(segment, predicted)
            if len(notes := opened.take_final()):
                yield notes
        found = opened.finish(self.name)
        if len(found.notes):
            yield found.notes
        return dataclasses.replace(found, notes=empty_notes())

    def _open(self, recording: Source | npt.ArrayLike, sample_rate: int | None, strict: bool) -> AudioStream:
        """Blocks of mono samples at the network's rate."""
        target_rate = self.config.sample_rate
        if is_source(recording):
            if sample_rate is not None:
                raise ValueError(
                    f"sample_rate is {sample_rate} for a file, which knows its own; leave it out"
                )
            return stream_audio(recording, target_rate, strict=strict)
        if sample_rate is None:
            raise ValueError("sample_rate is missing; samples need it, as in transcribe(samples, 44100)")
        return stream_array(recording, sample_rate, target_rate)

    def _begin(self, request: Request, number: int = 0) -> Recording:
        if request.bends and not self.knows_bends:
            raise ValueError(f"{self.name} writes tokens, which hold no bends; leave bends out")
        if request.pedal and not self.knows_pedal:
            raise ValueError(f"{self.name} has not learned the sustain pedal; leave pedal out")
        return Recording(self._recogniser, self.config, number, request, self._mt3_compatible)

    def _end_seconds(self, segment: Segment) -> float:
        return (segment.first_frame + segment.num_frames) / self.config.frames_per_second
