"""Collects the tokens of a recording's segments, and gives its notes out as they become final.

A note is final when no later segment can change it: it has ended; a re-strike that would be merged into it
can't begin any more; and where the note head names the notes, none of the same name can begin before
its end. Notes that are not final are all that is kept, so memory does not grow with the recording as long as
notes are taken. Times are seconds from the recording's start.
"""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from mt3x.music.notes import empty_notes, make_notes, sort_notes, trim_overlapping_notes
from mt3x.music.timegrid import segment_start_seconds
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.tokens.decode import (
    DecodedNote,
    DecodeReport,
    SegmentDecoder,
    decode_segments,
    merge_restrikes,
)
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec


class NoteCollector:
    """The notes of one recording, segment after segment. Segments follow each other without a gap."""

    def __init__(self, config: TranscriptionConfig, mt3_compatible: bool = False):
        self._config = config
        self._mt3_compatible = mt3_compatible
        self._codec = build_codec(config.vocabulary)
        self._vocabulary = vocabulary_from_codec(self._codec)
        self._decoder = SegmentDecoder(self._codec, config.spec, mt3_compatible)
        self._programs_that_play = config.programs
        self._last_segment = np.zeros(0, np.int32), 0.0  # tokens, start
        self._begun: list[DecodedNote] = []  # in no group yet
        self._groups: list[_Group] = []  # not final, by start
        self._programs: dict[tuple[float, int, bool], int] = {}

    def add(self, ids: np.ndarray, first_frame: int) -> None:
        """Adds the next segment by its ids, int [T]."""
        self._add(self._vocabulary.decode(ids), first_frame)

    def add_silence(self, first_frame: int) -> None:
        """Adds a segment in which nothing sounds: the notes before it end at its start."""
        ending = ["tie"] if self._config.spec.has_ties else []
        self._add(np.array([self._codec.event_type_range(name)[0] for name in ending], np.int32), first_frame)

    def begun_last(self) -> np.ndarray:
        """The notes that begin in the segment that was added last, by its tokens alone: `NOTE_DTYPE` [N]."""
        tokens, start = self._last_segment
        return decode_segments([tokens], [start], self._codec, self._config.spec, self._mt3_compatible)[0]

    def name_instruments(self, notes: np.ndarray, programs: np.ndarray) -> None:
        """Says which programs, int [N], notes of `begun_last` have in place of those that the tokens say.

        Call it before `take_final`. Where the config has a note head, notes that overlap because they
        are one instrument now are cut.
        """
        keys = zip(notes["start"].tolist(), notes["pitch"].tolist(), notes["is_drum"].tolist(), strict=True)
        self._programs.update(zip(keys, programs.tolist(), strict=True))

    def take_final(self) -> np.ndarray:
        """The notes that have become final since the last call, sorted; more segments may follow."""
        return self._take(self._decoder.known_until_seconds)

    def notes(self) -> tuple[np.ndarray, DecodeReport]:
        """All notes that were not taken, sorted, and the report on all; no segment may follow."""
        self._decoder.finish()
        self._begun += self._decoder.take_notes()
        return self._take(math.inf), self._decoder.report

    @property
    def num_waiting(self) -> int:
        """How many notes are kept, because they sound or what follows could change them."""
        return len(self._begun) + sum(len(group.notes) for group in self._groups)

    def _add(self, tokens: np.ndarray, first_frame: int) -> None:
        spectrogram = self._config.spectrogram
        start, next_start = segment_start_seconds(
            [first_frame, first_frame + self._config.segment_frames],
            spectrogram.hop_width,
            spectrogram.sample_rate,
            self._config.vocabulary.steps_per_second,
            self._mt3_compatible,
        ).tolist()
        self._last_segment = tokens, start
        self._decoder.feed(tokens, start, next_start)
        self._begun += self._decoder.take_notes()

    @property
    def _is_cut(self) -> bool:
        """Whether notes end where the next of the same kind begins; without a head they do so anyway."""
        return self._config.note_head_width > 0

    def _take(self, known_until: float) -> np.ndarray:
        """What is final if no note begins before `known_until` but those that have begun, sorted."""
        begun = sorted(self._begun, key=lambda note: note.start)
        num_known = sum(note.start < known_until for note in begun)
        self._begun = begun[num_known:]
        self._gather(begun[:num_known])
        self._programs = {key: value for key, value in self._programs.items() if key[0] >= known_until}
        final, waiting = [], []
        for group in self._groups:
            (final if self._is_final(group, known_until) else waiting).append(group)
        self._groups = waiting
        return self._notes_of(final)

    def _gather(self, begun: Iterable[DecodedNote]) -> None:
        """Puts notes, in the order of their starts, into groups of those that are merged."""
        latest = {group.kind: group for group in self._groups if group.cut == math.inf}
        for note in begun:
            program = self._programs.get((note.start, note.pitch, note.is_drum), note.program)
            if not note.is_drum and program not in self._programs_that_play:
                program = self._programs_that_play[0]  # a note may be written before any program is
            kind = (note.is_drum, program, note.pitch)
            group = latest.get(kind)
            if group is not None and (
                note.start - group.start < self._config.merge_restrikes_seconds
                or (self._is_cut and note.start == group.start)
            ):
                group.notes.append(note)
                continue
            if group is not None and self._is_cut:
                group.cut = note.start
            latest[kind] = _Group(kind, note.start, [note])
            self._groups.append(latest[kind])

    def _is_final(self, group: "_Group", known_until: float) -> bool:
        if group.cut < math.inf:
            # What begins it together differs in velocity only, and the order of the ends chooses.
            strikes = [note for note in group.notes if note.start == group.start]
            is_known = len({note.velocity for note in strikes}) == 1
            return is_known or all(note.end is not None for note in strikes)
        last_end = max(_end(note) for note in group.notes)
        is_closed = known_until - group.start >= self._config.merge_restrikes_seconds
        return is_closed and (last_end <= known_until if self._is_cut else last_end < math.inf)

    def _notes_of(self, groups: Iterable["_Group"]) -> np.ndarray:
        rows = [
            (note.start, min(_end(note), group.cut), note.pitch, note.velocity, group.kind[1], note.is_drum)
            for group in groups
            for note in sorted(group.notes, key=lambda note: (_end(note), note.program))
        ]
        notes = sort_notes(make_notes(*zip(*rows, strict=True))) if rows else empty_notes()
        if self._config.merge_restrikes_seconds:
            notes = merge_restrikes(notes, self._config.merge_restrikes_seconds)
        return trim_overlapping_notes(notes) if self._is_cut else notes


@dataclasses.dataclass(eq=False)
class _Group:
    """Notes that become one: of one drum flag, program and pitch, and begun within the merging time.

    Attributes:
      cut: where the next group of the kind begins, if that ends this one.
    """

    kind: tuple[bool, int, int]
    start: float
    notes: list[DecodedNote]
    cut: float = math.inf


def _end(note: DecodedNote) -> float:
    return math.inf if note.end is None else note.end
