"""One recording while it is transcribed: it is cut into segments, and what is found in them is collected."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mt3x.audio.errors import AudioError
from mt3x.audio.samples import AudioStream
from mt3x.audio.segments import iter_segments
from mt3x.transcription.config import ModelConfig
from mt3x.transcription.recogniser import NOTES_ALONE, Recogniser, Request
from mt3x.transcription.result import Transcription
from mt3x.transcription.segment import Segment

SILENCE_PEAK = 1e-4
"""Samples up to this size (-80 dB of full scale) are silence."""


class Recording:
    """The state of one recording.

    Attributes:
      number: among recordings that are transcribed together.
      source: what is said about it while it is read, if that is anything.
      is_read, error: whether its end was reached, and what ended it before.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        config: ModelConfig,
        number: int = 0,
        request: Request = NOTES_ALONE,
        shows_silence: bool = False,
    ):
        """Begins with nothing read.

        Args:
          shows_silence: show the network segments without sound, too.
        """
        self.number = number
        self.source = AudioStream()
        self.is_read = False
        self.error: AudioError | None = None
        self._collector = recogniser.new_collector(request)
        self._tuning = recogniser.new_tuning_tracker()
        self._lead_frames, self._tail_frames = recogniser.lead_frames, recogniser.tail_frames
        self._config, self._shows_silence = config, shows_silence
        self._num_samples = self._num_segments = 0  # read so far
        self._num_recognised = self._num_sounding = 0  # segments that are done, and those of them that sound
        self._num_taken = 0  # notes that were handed out before the end

    @property
    def is_done(self) -> bool:
        """Whether nothing more will be found in it."""
        return self.error is not None or (self.is_read and self._num_recognised == self._num_segments)

    def segments(self, blocks: Iterable[np.ndarray]) -> Iterator[Segment]:
        """Cuts blocks of mono samples at the network's rate."""
        hop_samples = round(self._config.sample_rate / self._config.frames_per_second)
        silence = np.zeros(self._lead_frames * hop_samples, np.float32)
        for cut in iter_segments(
            itertools.chain([silence], self._counted(blocks)),
            self._config.segment_frames,
            hop_samples,
            self._lead_frames + self._tail_frames,
        ):
            for samples, num_frames, first_frame in zip(
                cut.samples, cut.num_frames.tolist(), cut.first_frames.tolist(), strict=True
            ):
                self._num_segments += 1
                is_silent = bool(np.abs(samples).max() <= SILENCE_PEAK) and not self._shows_silence
                tuning_cents = self._tuning.add(samples) if self._tuning is not None else 0.0
                first_frame -= self._lead_frames
                yield Segment(samples, num_frames, first_frame, is_silent, self, tuning_cents)
        self.is_read = True

    def collect(self, segment: Segment, predicted: Any) -> None:
        """Takes what is predicted of its next segment."""
        self._num_recognised += 1
        self._num_sounding += not segment.is_silent
        self._collector.add(segment, predicted)

    def take_final(self) -> np.ndarray:
        """The notes that have become final since the last call, sorted."""
        notes = self._collector.take_final()
        self._num_taken += len(notes)
        return notes

    def finish(self, model: str) -> Transcription:
        """The transcription, with the notes that were not taken, once all segments are collected.

        Args:
          model: the name of the model.
        """
        found = self._collector.finish()
        num_notes = self._num_taken + len(found.notes)
        notices = (*self.source.notices, *_notices(num_notes, self._num_sounding, found.num_cut))
        tuning_cents = None if self._tuning is None else self._tuning.cents
        seconds = self._num_samples / self._config.sample_rate
        return Transcription(
            found.notes, found.report, seconds, model, notices, tuning_cents, found.bends, found.pedal
        )

    def _counted(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            self._num_samples += len(block)
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
