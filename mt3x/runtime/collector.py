"""Collects the tokens of a recording's segments, and says which notes are final while more may follow.

A note is final when no later segment can change it: it has ended before the start of the next segment, and a
re-strike that would be merged into it can't begin any more. Times are seconds from the recording's start.
"""

from collections import Counter

import numpy as np

from mt3x.music.notes import empty_notes, sort_notes, trim_overlapping_notes
from mt3x.music.timegrid import segment_start_seconds
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.tokens.codec import Event
from mt3x.tokens.decode import DecodeReport, decode_segments, merge_restrikes
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec


class NoteCollector:
    """The tokens of one recording so far, segment after segment."""

    def __init__(self, config: TranscriptionConfig, mt3_compatible: bool = False):
        self._config = config
        self._mt3_compatible = mt3_compatible
        self._codec = build_codec(config.vocabulary)
        self._vocabulary = vocabulary_from_codec(self._codec)
        self._tokens: list[np.ndarray] = []
        self._first_frames: list[int] = []
        self._final_before = -np.inf
        self._taken: Counter[tuple] = Counter()
        self._programs: dict[tuple[float, int, bool], int] = {}

    def add(self, ids: np.ndarray, first_frame: int) -> None:
        """Adds a segment by its ids, int [T]."""
        self._tokens.append(self._vocabulary.decode(ids))
        self._first_frames.append(first_frame)

    def begun_last(self) -> np.ndarray:
        """The notes that begin in the segment that was added last, by its tokens alone: `NOTE_DTYPE` [N]."""
        starts = self._start_seconds(self._first_frames[-1:])
        return decode_segments(
            self._tokens[-1:], starts, self._codec, self._config.spec, self._mt3_compatible
        )[0]

    def name_instruments(self, notes: np.ndarray, programs: np.ndarray) -> None:
        """Says which programs, int [N], notes of `begun_last` have in place of those that the tokens say."""
        keys = zip(notes["start"].tolist(), notes["pitch"].tolist(), notes["is_drum"].tolist(), strict=True)
        self._programs.update(zip(keys, programs.tolist(), strict=True))

    def add_silence(self, first_frame: int) -> None:
        """Adds a segment in which nothing sounds: the notes before it end at its start."""
        ending = ["tie"] if self._config.spec.has_ties else []
        self._tokens.append(np.array([self._codec.event_type_range(name)[0] for name in ending], np.int32))
        self._first_frames.append(first_frame)

    def notes(self) -> tuple[np.ndarray, DecodeReport]:
        """All notes, sorted, and the report; no segment may follow."""
        return self._decode(self._tokens, self._first_frames)

    def take_final(self) -> np.ndarray:
        """The notes that have become final since the last call, sorted; more segments may follow.

        Everything is decoded anew, some 0.1 s for an hour of music: no state of the decoder is kept.
        """
        if not self._tokens:
            return empty_notes()
        # An event at the next segment's start makes the decoder end there, not before, what still sounds.
        next_frame = self._first_frames[-1] + self._config.segment_frames
        now = np.array([self._codec.encode_event(Event("velocity", 1))], np.int32)
        notes, _ = self._decode([*self._tokens, now], [*self._first_frames, next_frame])
        next_start = float(self._start_seconds([next_frame])[0])
        final = notes[self._is_final(notes, next_start) & ~self._is_final(notes, self._final_before)]
        self._final_before = next_start
        self._taken.update(final.tolist())
        return final

    def take_rest(self) -> np.ndarray:
        """The notes that no call of `take_final` returned, sorted; no segment may follow."""
        notes, _ = self.notes()
        taken = self._taken.copy()
        is_left = np.ones(len(notes), bool)
        for i, note in enumerate(notes.tolist()):
            if taken[note]:
                taken[note] -= 1
                is_left[i] = False
        return notes[is_left]

    def _is_final(self, notes: np.ndarray, next_start: float) -> np.ndarray:
        """bool [N]: nothing that begins at `next_start` or later can change the note."""
        return (notes["end"] < next_start) & (
            notes["start"] + self._config.merge_restrikes_seconds <= next_start
        )

    def _decode(self, tokens: list[np.ndarray], first_frames: list[int]) -> tuple[np.ndarray, DecodeReport]:
        notes, report = decode_segments(
            tokens, self._start_seconds(first_frames), self._codec, self._config.spec, self._mt3_compatible
        )
        if self._programs:
            notes = self._renamed(notes)
        if self._config.merge_restrikes_seconds:
            notes = merge_restrikes(notes, self._config.merge_restrikes_seconds)
        return (trim_overlapping_notes(notes) if self._programs else notes), report

    def _renamed(self, notes: np.ndarray) -> np.ndarray:
        """Notes with the programs of `name_instruments`, sorted."""
        rows = zip(*(notes[name].tolist() for name in ("start", "pitch", "is_drum", "program")), strict=True)
        notes["program"] = [self._programs.get((start, *key), program) for start, *key, program in rows]
        return sort_notes(notes)

    def _start_seconds(self, first_frames: list[int]) -> np.ndarray:
        spectrogram = self._config.spectrogram
        return segment_start_seconds(
            first_frames,
            spectrogram.hop_width,
            spectrogram.sample_rate,
            self._config.vocabulary.steps_per_second,
            self._mt3_compatible,
        )
