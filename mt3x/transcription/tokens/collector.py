"""Collects the tokens of a recording's segments, and gives its notes out as they become final.

A note is final when no later segment can change it: it has ended, and a repeated onset that would be merged
into it can't come any more. Notes that are not final are all that is kept, so memory does not grow with the
recording as long as notes are taken. Times are seconds from the recording's start.
"""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from mt3x.music.notes import empty_notes, make_notes, sort_notes
from mt3x.music.timegrid import segment_start_seconds
from mt3x.tokens.decode import DecodedNote, SegmentDecoder, merge_restrikes
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec
from mt3x.transcription.recogniser import Collected
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.config import TranscriptionConfig


class NoteCollector:
    """The notes of one recording, segment after segment. Segments follow each other without a gap.

    Attributes:
      num_cut: segments whose ids reached the longest length.
    """

    def __init__(self, config: TranscriptionConfig, mt3_compatible: bool = False):
        self._config = config
        self._mt3_compatible = mt3_compatible
        self._codec = build_codec(config.vocabulary)
        self._vocabulary = vocabulary_from_codec(self._codec)
        self._decoder = SegmentDecoder(self._codec, config.spec, mt3_compatible)
        self._programs_that_play = config.programs
        self._begun: list[DecodedNote] = []  # in no group yet
        self._groups: list[_Group] = []  # not final, by start
        self.num_cut = 0

    def add(self, segment: Segment, ids: np.ndarray) -> None:
        """Adds the next segment by its ids, int [T]; in a silent one the notes before it end at its start."""
        if segment.is_silent:
            ending = ["tie"] if self._config.spec.has_ties else []
            tokens = np.array([self._codec.event_type_range(name)[0] for name in ending], np.int32)
        else:
            self.num_cut += len(ids) == self._config.max_target_length
            tokens = self._vocabulary.decode(ids)
        spectrogram = self._config.spectrogram
        start, next_start = segment_start_seconds(
            [segment.first_frame, segment.first_frame + self._config.segment_frames],
            spectrogram.hop_width,
            spectrogram.sample_rate,
            self._config.vocabulary.steps_per_second,
            self._mt3_compatible,
        ).tolist()
        self._decoder.feed(tokens, start, next_start)
        self._begun += self._decoder.take_notes()

    def take_final(self) -> np.ndarray:
        """The notes that have become final since the last call, sorted; more segments may follow."""
        return self._take(self._decoder.known_until_seconds)

    def finish(self) -> Collected:
        """All notes that were not taken, sorted, and the report on all; no segment may follow."""
        self._decoder.finish()
        self._begun += self._decoder.take_notes()
        return Collected(self._take(math.inf), self._decoder.report, num_cut=self.num_cut)

    @property
    def num_waiting(self) -> int:
        """How many notes are kept, because they sound or what follows could change them."""
        return len(self._begun) + sum(len(group.notes) for group in self._groups)

    def _take(self, known_until: float) -> np.ndarray:
        """What is final if no note begins before `known_until` but those that have begun, sorted."""
        begun = sorted(self._begun, key=lambda note: note.start)
        num_known = sum(note.start < known_until for note in begun)
        self._begun = begun[num_known:]
        self._gather(begun[:num_known])
        final, waiting = [], []
        for group in self._groups:
            (final if self._is_final(group, known_until) else waiting).append(group)
        self._groups = waiting
        return self._notes_of(final)

    def _gather(self, begun: Iterable[DecodedNote]) -> None:
        """Puts notes, in the order of their starts, into groups of those that are merged."""
        latest = {group.kind: group for group in self._groups}
        for note in begun:
            program = note.program
            if not note.is_drum and program not in self._programs_that_play:
                program = self._programs_that_play[0]  # a note may be written before any program is
            kind = (note.is_drum, program, note.pitch)
            group = latest.get(kind)
            if group is not None and note.start - group.start < self._config.merge_restrikes_seconds:
                group.notes.append(note)
                continue
            latest[kind] = _Group(kind, note.start, [note])
            self._groups.append(latest[kind])

    def _is_final(self, group: "_Group", known_until: float) -> bool:
        is_closed = known_until - group.start >= self._config.merge_restrikes_seconds
        return is_closed and all(note.end is not None for note in group.notes)

    def _notes_of(self, groups: Iterable["_Group"]) -> np.ndarray:
        rows = [
            (note.start, _end(note), note.pitch, note.velocity, group.kind[1], note.is_drum)
            for group in groups
            for note in sorted(group.notes, key=lambda note: (_end(note), note.program))
        ]
        notes = sort_notes(make_notes(*zip(*rows, strict=True))) if rows else empty_notes()
        if self._config.merge_restrikes_seconds:
            notes = merge_restrikes(notes, self._config.merge_restrikes_seconds)
        return notes


@dataclasses.dataclass(eq=False)
class _Group:
    """Notes that become one: of one drum flag, program and pitch, and begun within the merging time."""

    kind: tuple[bool, int, int]
    start: float
    notes: list[DecodedNote]


def _end(note: DecodedNote) -> float:
    assert note.end is not None  # a final note has ended
    return note.end
