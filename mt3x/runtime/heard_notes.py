"""Makes notes of what is heard in segments, and gives them out as they become final.

Segments overlap: each one decides in its own part, away from its edges, where what comes before and after is
heard too. A note ends where its pitch sounds no more, or begins again.
"""

from collections.abc import Iterable

import numpy as np

from mt3x.music.notes import empty_notes, make_notes, sort_notes
from mt3x.runtime.frames.instrument_prior import InstrumentPrior
from mt3x.runtime.hearing import Heard
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.runtime.segment import Segment
from mt3x.tokens.decode import DecodeReport

LEAST_PROBABILITY = 0.5
"""Of a place, for it to be a note."""

LEAST_DRUM_PROBABILITY = 0.8
"""Of a drum hit; the roll was taught to miss none rather than to say none too many."""

LEAST_ACTIVE = 0.4
"""Of a frame, for a note to sound on."""

LEAST_GAP_SECONDS = 0.05
"""Between two beginnings at one pitch, or as long as re-strikes are merged: two segments may hear one on
either side of where their parts meet."""

_COMMON_PROGRAMS = (
    *(0, 4, 6, 11, 16, 19, 21, 24, 25, 27, 30, 32, 33, 40, 41, 42, 43, 46, 48, 52, 56, 57, 58, 60),
    *(64, 65, 66, 67, 68, 70, 71, 73, 74, 81),
)
"""Of each class, those that are played: a bright piano that sounds like a piano is a piano."""

DRUM_SECONDS = 0.01
"""The length of a drum hit, as MT3 writes it."""

_LEAD_SHARE, _TAIL_SHARE = 12, 8
"""So many-th parts of a segment lie before and after its own part."""

_Row = tuple[float, float, int, int, int, bool]
"""Start, end, pitch, velocity, program, is_drum."""


def edge_frames(segment_frames: int) -> tuple[int, int]:
    """Frames at the beginning and at the end of a segment that are its neighbours' to decide on."""
    return segment_frames // _LEAD_SHARE, segment_frames // _TAIL_SHARE


class HeardNotes:
    """The notes of one recording, from its segments in order.

    Segments are `segment_frames` long and share the sum of `edge_frames` with the next one; the last one may
    be shorter.
    """

    def __init__(self, config: TranscriptionConfig):
        self._fps = config.spectrogram.frames_per_second
        self._least_gap = max(LEAST_GAP_SECONDS, config.merge_restrikes_seconds)
        self._tail = edge_frames(config.segment_frames)[1]
        self._decided = 0  # frames of the recording about which nothing changes any more
        self._last: tuple[Segment, Heard | None] | None = None
        self._open: dict[int, tuple[float, int, int]] = {}  # by pitch: start, velocity, program
        self._programs, self._has_drums = config.programs, config.has_drums
        self._prior = InstrumentPrior(config.programs, _COMMON_PROGRAMS)
        self._begun: dict[tuple[bool, int], float] = {}  # by is_drum and pitch: the last beginning
        self._rows: list[_Row] = []

    def add(self, segment: Segment, heard: Heard | None) -> None:
        """Adds the next segment; nothing is heard in a silent one."""
        self._last = segment, heard
        self._decide(segment.first_frame + segment.num_frames - self._tail)

    def take_final(self) -> np.ndarray:
        """The notes that have ended since the last call, sorted; more segments may follow."""
        rows, self._rows = self._rows, []
        return _notes(rows)

    def notes(self) -> tuple[np.ndarray, DecodeReport]:
        """All notes that were not taken, sorted, and a report without complaints; no segment may follow."""
        if self._last is not None:
            segment = self._last[0]
            self._decide(segment.first_frame + segment.num_frames)
        for pitch in list(self._open):
            self._end(pitch, self._decided / self._fps)
        return self.take_final(), DecodeReport(0, 0)

    def _decide(self, end: int) -> None:
        """Decides on the recording's frames up to `end` by the last segment."""
        assert self._last is not None
        segment, heard = self._last
        if end <= self._decided:
            return
        if heard is None:
            for pitch in list(self._open):
                self._end(pitch, self._decided / self._fps)
        else:
            if self._has_drums:
                self._strike_drums(heard, segment.first_frame, end)
            if self._programs:
                self._follow_pitches(heard, segment.first_frame, end)
        self._decided = end

    def _strike_drums(self, heard: Heard, first_frame: int, end: int) -> None:
        hits = self._within(
            heard.drum_onset, heard.drum_probability, LEAST_DRUM_PROBABILITY, first_frame, end
        )
        for hit in hits[np.argsort(heard.drum_onset[hits], kind="stable")].tolist():
            start = first_frame / self._fps + float(heard.drum_onset[hit])
            if self._is_new(True, int(heard.drum_pitch[hit]), start):
                self._rows.append((start, start + DRUM_SECONDS, int(heard.drum_pitch[hit]), 100, 0, True))

    def _is_new(self, is_drum: bool, pitch: int, start: float) -> bool:
        """Whether this is not the last beginning at the pitch once more; then it is the last one now."""
        if start - self._begun.get((is_drum, pitch), -1.0) < self._least_gap:
            return False
        self._begun[is_drum, pitch] = start
        return True

    def _follow_pitches(self, heard: Heard, first_frame: int, end: int) -> None:
        """Begins and ends notes in frames `_decided` to `end`."""
        begun = self._within(heard.onset, heard.probability, LEAST_PROBABILITY, first_frame, end)
        begun = begun[np.argsort(heard.onset[begun], kind="stable")]
        sounds = np.asarray(heard.active)[self._decided - first_frame : end - first_frame] >= LEAST_ACTIVE
        for pitch in sorted({*self._open, *heard.pitch[begun].tolist()}):
            frame = self._decided  # from which on the open note is looked for
            for place in begun[heard.pitch[begun] == pitch].tolist():
                start = first_frame / self._fps + float(heard.onset[place])
                if not self._is_new(False, pitch, start):
                    continue
                self._look_for_end(pitch, sounds[:, pitch], frame, int(start * self._fps), start)
                velocity = int(np.clip(np.rint(heard.velocity[place]), 1, 127))
                program = int(self._prior.choose(heard.programs[place : place + 1])[0])
                self._open[pitch] = start, velocity, program
                frame = int(start * self._fps) + 2  # a note sounds in the frame after its beginning
            self._look_for_end(pitch, sounds[:, pitch], frame, end, None)

    def _look_for_end(
        self, pitch: int, sounds: np.ndarray, first: int, end: int, next_start: float | None
    ) -> None:
        """Ends the pitch's open note where it is silent in frames `first` to `end`, else at the next one."""
        if pitch not in self._open:
            return
        silent = np.flatnonzero(~sounds[max(first - self._decided, 0) : max(end - self._decided, 0)])
        if len(silent):
            self._end(pitch, (first + int(silent[0]) - 0.5) / self._fps)
        elif next_start is not None:
            self._end(pitch, next_start)

    def _end(self, pitch: int, seconds: float) -> None:
        start, velocity, program = self._open.pop(pitch)
        self._rows.append((start, max(seconds, start + 0.5 / self._fps), pitch, velocity, program, False))

    def _within(
        self, onset: np.ndarray, probability: np.ndarray, least: float, first_frame: int, end: int
    ) -> np.ndarray:
        """int64 [K]: places likely enough that begin in frames `_decided` to `end`, or just before."""
        frame = first_frame + onset * self._fps
        return np.flatnonzero((probability >= least) & (frame >= self._decided - 1) & (frame < end))


def _notes(rows: Iterable[_Row]) -> np.ndarray:
    columns = list(zip(*rows, strict=True))
    return sort_notes(make_notes(*columns)) if columns else empty_notes()
