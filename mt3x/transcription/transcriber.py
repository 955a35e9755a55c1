"""The transcriber: a recording in, a `Transcription` out, in memory that hardly grows with its length.

A recording is read in blocks, cut into segments, and forgotten once these are recognised; only notes are
kept. There are two kinds of models, told apart by their configuration: frame recognisers
(`transcription.frames`) and those that write tokens (`transcription.tokens.engine`,
`transcription.tokens.collector`). Segments without any sound are not shown to the network (MT3 shows them,
and it may write notes there): `mt3_compatible=True` shows them.
"""

import contextlib
import dataclasses
import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mt3x.audio.ahead import read_recordings
from mt3x.audio.live import audio_seconds, from_blocks
from mt3x.audio.load import AudioError, from_array, stream_audio
from mt3x.audio.segments import iter_segments
from mt3x.audio.tuning import TuningTracker
from mt3x.music.instruments import parse_instruments
from mt3x.music.notes import empty_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.frames.assembly import NoteAssembler
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.frames.recogniser import FrameRecogniser
from mt3x.transcription.models import ModelConfig, resolve_model
from mt3x.transcription.result import Transcription
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.collector import NoteCollector
from mt3x.transcription.tokens.config import SearchName
from mt3x.transcription.tokens.engine import Engine

SILENCE_PEAK = 1e-4
"""Samples up to this size (-80 dB of full scale) are silence."""

Progress = Callable[[float, float | None], None]
"""Called with the seconds done and the seconds of the whole recording (None where unknown)."""


def load(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    preset: str | None = None,
    search: SearchName | None = None,
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
    is_frames = isinstance(config, FrameConfig)
    if is_frames and search is not None:
        raise ValueError(f"search is {search!r}, but {name} writes no tokens to search among; leave it out")
    changes = {
        "search": search,
        "merge_seconds" if is_frames else "merge_restrikes_seconds": merge_restrikes_seconds,
        "instruments": None if instruments is None else parse_instruments(instruments),
    }
    config = dataclasses.replace(config, **{key: new for key, new in changes.items() if new is not None})
    return Transcriber(config, params, name, batch_size, mt3_compatible, dtype)


def transcribe(
    recording: str | os.PathLike[str] | np.ndarray,
    sample_rate: int | None = None,
    name_or_path: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Transcription:
    """Transcribes one recording; for more than one, `load` once and use `Transcriber.transcribe`.

    Args and errors are those of the two; `options` are for `load`.
    """
    return load(name_or_path, **options).transcribe(recording, sample_rate)


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
        if isinstance(config, FrameConfig):
            if dtype not in (None, "float32"):
                raise ValueError(f"dtype is {dtype!r}, but {name} computes in float32 only; leave it out")
            self._recogniser = FrameRecogniser(config, params, batch_size)
        else:
            self._recogniser = Engine(config, params, batch_size, dtype)

    @property
    def knows_bends(self) -> bool:
        """Whether it can say how notes bend."""
        return isinstance(self.config, FrameConfig)

    def transcribe(
        self,
        recording: str | os.PathLike[str] | np.ndarray,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        *,
        bends: bool = False,
    ) -> Transcription:
        """The notes of a recording.

        Args:
          recording: a file, or samples [N] or [N, C], floats in -1 to 1 or integers.
          sample_rate: of the samples, Hz; a file knows its own.
          progress: called after each segment with (seconds done, seconds of the recording).
          bends: say how each note bends, too; for a frame recogniser.

        Raises:
          AudioError: the recording can't be read or used; it is a ValueError and says why in one line.
          ValueError: samples without sample_rate, a file with one, or bends of a model that knows none.
        """
        blocks, total_seconds = self._open(recording, sample_rate)
        take = self._take(bends=bends)
        for segment, found in self._recognise(take.segments(blocks)):
            self._collect(segment, found)
            if progress is not None:
                progress(self._end_seconds(segment), total_seconds)
        return self._finish(take)

    def transcribe_all(
        self,
        recordings: Sequence[str | os.PathLike[str]],
        num_workers: int = 0,
        progress: Callable[[int, float, float | None], None] | None = None,
        *,
        bends: bool = False,
    ) -> Iterator[Transcription | AudioError]:
        """The notes of many recordings, as of each by `transcribe`, in less time where they are short.

        Their segments are recognised together: none waits for the end of the recording before it.

        Args:
          recordings: files.
          num_workers: processes that read and resample them ahead (`audio.ahead`); 0 reads in this one, which
            is enough where the network runs on a CPU.
          progress: called after each segment with (number of the recording, seconds of it that are done,
            seconds of the whole, None where unknown).
          bends: as for `transcribe`.

        Yields:
          For each recording, in order, its transcription, or the error that says why there is none.

        Raises:
          ValueError: num_workers is negative, or bends of a model that knows none.
        """
        takes: deque[_Take] = deque()
        read = read_recordings(recordings, self.config.sample_rate, num_workers)

        def segments() -> Iterator[Segment]:
            for number, blocks in read:
                takes.append(self._take(number, bends))
                try:
                    if progress is not None:
                        takes[-1].total_seconds = audio_seconds(recordings[number])
                    yield from takes[-1].segments(blocks)
                except AudioError as error:
                    takes[-1].error = error

        def finished() -> Iterator[Transcription | AudioError]:
            while takes and takes[0].is_done:
                take = takes.popleft()
                if take.error is not None:
                    yield take.error
                else:
                    yield self._finish(take)

        with contextlib.closing(read):
            for segment, found in self._recognise(segments()):
                self._collect(segment, found)
                if progress is not None:
                    take = segment.source
                    progress(take.number, self._end_seconds(segment), take.total_seconds)
                yield from finished()
            yield from finished()

    def stream(
        self, blocks: Iterable[np.ndarray], sample_rate: int
    ) -> Generator[np.ndarray, None, Transcription]:
        """The notes of a recording that still goes on, once nothing that follows can change them.

        Together they are the notes of `transcribe`. With `batch_size=1` a note comes when the segment in
        which it ends has been read and recognised; if it ends with the segment, or would take in a repeated
        onset after it, one segment later. Memory does not grow with the recording.

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
        take = self._take()
        mono = from_blocks(blocks, sample_rate, self.config.sample_rate)
        for segment, found in self._recognise(take.segments(mono)):
            self._collect(segment, found)
            if len(notes := take.collector.take_final()):
                take.num_notes += len(notes)
                yield notes
        notes, report = take.collector.notes()
        if len(notes):
            take.num_notes += len(notes)
            yield notes
        return self._transcription(take, empty_notes(), report)

    def _open(
        self, recording: str | os.PathLike[str] | np.ndarray, sample_rate: int | None
    ) -> tuple[Iterable[np.ndarray], float | None]:
        """Blocks of mono samples at the network's rate, and the length of all in seconds, if known."""
        target_rate = self.config.sample_rate
        if isinstance(recording, (str, os.PathLike)):
            if sample_rate is not None:
                raise ValueError(
                    f"sample_rate is {sample_rate} for a file, which knows its own; leave it out"
                )
            return stream_audio(recording, target_rate), audio_seconds(recording)
        if sample_rate is None:
            raise ValueError("sample_rate is missing; samples need it, as in transcribe(samples, 44100)")
        samples = from_array(recording, sample_rate, target_rate)
        return [samples], len(samples) / target_rate

    def _take(self, number: int = 0, bends: bool = False) -> "_Take":
        if bends and not self.knows_bends:
            raise ValueError(f"{self.name} writes tokens, which hold no bends; leave bends out")
        return _Take(number, self.config, self._mt3_compatible, bends)

    def _recognise(self, segments: Iterable[Segment]) -> Iterator[tuple[Segment, Any]]:
        """Each segment with what its recording's collector takes: predictions, or ids; in order."""
        if isinstance(self._recogniser, FrameRecogniser):
            return self._recogniser.recognise(segments)
        return self._recogniser.decode(segments)

    def _collect(self, segment: Segment, found: Any) -> None:
        """Gives what was found in a segment to the take that it is from."""
        take: _Take = segment.source
        take.num_recognised += 1
        take.num_sounding += not segment.is_silent
        take.collector.add(segment, found)

    def _finish(self, take: "_Take") -> Transcription:
        """The transcription of a recording whose segments are all collected."""
        if take.has_bends and isinstance(take.collector, NoteAssembler):
            notes, bends = take.collector.notes_with_bends()
            found = self._transcription(take, notes, DecodeReport(0, 0))
            return dataclasses.replace(found, bends=tuple(bends))
        return self._transcription(take, *take.collector.notes())

    def _transcription(self, take: "_Take", notes: np.ndarray, report: DecodeReport) -> Transcription:
        duration_seconds = take.num_samples / self.config.sample_rate
        num_cut = take.collector.num_cut if isinstance(take.collector, NoteCollector) else 0
        notices = _notices(take.num_notes + len(notes), take.num_sounding, num_cut)
        return Transcription(notes, report, duration_seconds, self.name, notices, take.tuning_cents)

    def _end_seconds(self, segment: Segment) -> float:
        return (segment.first_frame + segment.num_frames) / self.config.frames_per_second


class _Take:
    """One recording on its way.

    Attributes:
      number: among recordings that are transcribed together.
      has_bends: whether its notes' bends are kept.
      total_seconds: of the recording, if known.
      num_samples, num_segments: read so far.
      num_recognised, num_sounding: segments that are done, and those of them that sound.
      num_notes: notes that were handed out before the end.
      is_read, error: whether its end was reached, and what ended it before.
    """

    def __init__(self, number: int, config: ModelConfig, mt3_compatible: bool, has_bends: bool = False):
        self.number, self.has_bends = number, has_bends
        self._lead_frames = self._overlap_frames = 0
        self._tuning: TuningTracker | None = None
        if isinstance(config, FrameConfig):
            self.collector = NoteAssembler(config, follow_bends=has_bends)
            self._lead_frames = config.lead_frames
            self._overlap_frames = config.lead_frames + config.tail_frames
            self._tuning = TuningTracker(config.sample_rate)
        else:
            self.collector = NoteCollector(config, mt3_compatible)
        self.num_samples = self.num_segments = 0
        self.num_recognised = self.num_sounding = self.num_notes = 0
        self.total_seconds: float | None = None
        self.is_read = False
        self.error: AudioError | None = None
        self._config = config
        self._shows_silence = mt3_compatible

    @property
    def tuning_cents(self) -> float | None:
        """How far it lies above 440 Hz, as far as it is read; None where that is not followed."""
        return None if self._tuning is None else self._tuning.cents

    @property
    def is_done(self) -> bool:
        return self.error is not None or (self.is_read and self.num_recognised == self.num_segments)

    def segments(self, blocks: Iterable[np.ndarray]) -> Iterator[Segment]:
        """Cuts blocks of mono samples at the network's rate."""
        hop_samples = round(self._config.sample_rate / self._config.frames_per_second)
        silence = np.zeros(self._lead_frames * hop_samples, np.float32)
        for cut in iter_segments(
            itertools.chain([silence], self._counted(blocks)),
            self._config.segment_frames,
            hop_samples,
            self._overlap_frames,
        ):
            for samples, num_frames, first_frame in zip(
                cut.samples, cut.num_frames.tolist(), cut.first_frames.tolist(), strict=True
            ):
                self.num_segments += 1
                is_silent = bool(np.abs(samples).max() <= SILENCE_PEAK) and not self._shows_silence
                tuning_cents = self._tuning.add(samples) if self._tuning is not None else 0.0
                first_frame -= self._lead_frames
                yield Segment(samples, num_frames, first_frame, is_silent, self, tuning_cents)
        self.is_read = True

    def _counted(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            self.num_samples += len(block)
            yield block


def _notices(num_notes: int, num_sounding: int, num_cut: int) -> tuple[str, ...]:
    """What a person should know of a transcription."""
    notices = []
    if num_sounding == 0:
        notices.append("the recording is silent: no sample exceeds -80 dB of full scale")
    elif num_notes == 0:
        notices.append("no notes were found")
    if num_cut:
        notices.append(f"{num_cut} of {num_sounding} segments need more tokens than the model may write")
    return tuple(notices)
