"""Tokens to notes: whatever a network wrote, segment after segment, into one list of notes.

Velocity, program and sounding notes carry over from segment to segment. Shifts in a row add up, count from
the segment's start, and begin anew after any other event, even a rejected one. With ties, every pitch up to
the tie event names a note that goes on; sounding notes that were not named end at the tie. A token without
sense (no event has its index; an offset of a note that is not sounding; a time before the latest event; a
second tie) is counted and skipped: no token stream makes decoding raise.

Source: MT3 `note_sequences.py`, `run_length_encoding.py`, `metrics_utils.py`; arXiv 2111.03017, section 3.2.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mt3x.music.notes import make_notes, sort_notes
from mt3x.music.timegrid import floor_to_steps
from mt3x.tokens.codec import Codec, EventRange
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import bin_to_velocity, num_velocity_bins_from_codec, trim_eos

MIN_NOTE_SECONDS = 0.01
"""Shortest note: rounding to steps can leave a note no time. Drum hits and bare onsets get this length."""

DEFAULT_VELOCITY = 100
"""Velocity of notes before any velocity token."""


@dataclasses.dataclass(frozen=True)
class DecodeReport:
    """Tokens that could not be used: those without sense, and those beyond the end of their segment."""

    invalid_events: int
    dropped_events: int


def decode_segments(
    segments: Sequence[npt.ArrayLike],
    start_seconds: npt.ArrayLike,
    codec: Codec,
    spec: NoteSpec,
    mt3_compatible: bool = False,
) -> tuple[np.ndarray, DecodeReport]:
    """The notes that the tokens of a recording's segments say.

    Events at or after the next segment's start are dropped: segments are half-open, as in encoding. MT3
    compares float times there and so keeps or drops an event exactly at the next start by accident of
    rounding, and knows no end where the next start is 0.0; `mt3_compatible=True` restores that, and its
    float32 times.

    Args:
      segments: S arrays of codec indexes, int [T] each, in any order of time; all from `DECODED_EOS_ID` on is
        ignored.
      start_seconds: float64 [S], floored to the step grid (see `timegrid.segment_start_seconds`; pass what it
        returns with the same `mt3_compatible`).

    Returns:
      notes `NOTE_DTYPE` [N] in the order of `sort_notes`, and the report.

    Raises:
      ValueError: there are not as many starts as segments, or a start is not finite.
    """
    starts = np.asarray(start_seconds, np.float64)
    if starts.shape != (len(segments),):
        raise ValueError(f"{len(segments)} segments need as many start times, got shape {list(starts.shape)}")
    if not np.isfinite(starts).all():
        raise ValueError(f"start_seconds must be finite, got {starts[~np.isfinite(starts)][0]}")
    clock = _Mt3Clock(codec.steps_per_second) if mt3_compatible else _StepClock(codec.steps_per_second)
    decoder = _Decoder(codec, spec, clock)
    order = np.argsort(starts, kind="stable")
    times = [*clock.starts(starts[order]), None]
    for i, time, next_time in zip(order, times[:-1], times[1:], strict=True):
        decoder.decode_segment(trim_eos(segments[i]).tolist(), time, next_time)
    decoder.end_all_notes()
    return decoder.notes(), DecodeReport(decoder.invalid_events, decoder.dropped_events)


class _StepClock:
    """Counts time in whole steps."""

    def __init__(self, steps_per_second: int):
        self._steps_per_second = steps_per_second
        self.shortest_note = MIN_NOTE_SECONDS * steps_per_second

    def starts(self, seconds: np.ndarray) -> list[int]:
        return floor_to_steps(seconds, self._steps_per_second).tolist()

    def after(self, start: Any, steps: int) -> Any:
        return start + steps

    def is_past(self, time: Any, end: Any) -> bool:
        return end is not None and time >= end

    def seconds(self, times: list) -> np.ndarray:
        return np.array(times, np.float64) / self._steps_per_second


class _Mt3Clock(_StepClock):
    """Counts time as MT3 does under NumPy 2: float32 up to a segment's first shift, float64 after it."""

    def __init__(self, steps_per_second: int):
        super().__init__(steps_per_second)
        self.shortest_note = MIN_NOTE_SECONDS

    def starts(self, seconds: np.ndarray) -> list[np.float32]:
        return list(seconds.astype(np.float32))

    def after(self, start: Any, steps: int) -> Any:
        return start + np.float64(steps / self._steps_per_second)

    def is_past(self, time: Any, end: Any) -> bool:
        return bool(end) and bool(time > end)

    def seconds(self, times: list) -> np.ndarray:
        return np.array(times, np.float64)


class _Decoder:
    """What is known between two tokens: the time, what applies to the next pitch, and which notes sound."""

    def __init__(self, codec: Codec, spec: NoteSpec, clock: _StepClock):
        self.invalid_events = 0
        self.dropped_events = 0
        self._spec = spec
        self._clock = clock
        self._events = _event_table(codec)
        num_bins = num_velocity_bins_from_codec(codec)
        self._velocities = bin_to_velocity(np.arange(num_bins + 1), num_bins).tolist()
        self._rows: list[tuple] = []  # start, end, pitch, velocity, program, is_drum
        self._time: Any = 0
        self._velocity = DEFAULT_VELOCITY
        self._program = 0
        self._sounding: dict[tuple[int, int], tuple[Any, int]] = {}  # (program, pitch): (onset, velocity)
        self._tied: set[tuple[int, int]] = set()
        self._in_ties = False

    def decode_segment(self, tokens: list[int], start: Any, next_start: Any) -> None:
        self._tied = set()
        self._in_ties = self._spec.has_ties
        accept = self._note_event if self._spec.has_offsets else self._onset_event
        time = start
        shift_steps = 0
        for i, token in enumerate(tokens):
            if not 0 <= token < len(self._events):
                self.invalid_events += 1
                continue
            event_type, value = self._events[token]
            if event_type == "shift":
                shift_steps += value
                time = self._clock.after(start, shift_steps)
                if self._clock.is_past(time, next_start):
                    self.dropped_events += len(tokens) - i
                    return
            else:
                shift_steps = 0
                self.invalid_events += not accept(time, event_type, value)

    def _onset_event(self, time: Any, event_type: str, value: int) -> bool:
        """Takes an event where only onsets are written; says whether it made sense."""
        if event_type == "pitch":
            self._add(time, time, value, DEFAULT_VELOCITY)
        return event_type == "pitch"

    def _note_event(self, time: Any, event_type: str, value: int) -> bool:
        """Takes an event; says whether it made sense."""
        if time < self._time:
            return False
        self._time = time
        match event_type:
            case "pitch" if self._in_ties:
                return self._tie_note((self._program, value))
            case "pitch" if self._velocity == 0:
                return self._end_note((self._program, value))
            case "pitch":
                self._end_note((self._program, value))  # struck again without an offset
                self._sounding[self._program, value] = (time, self._velocity)
            case "drum":
                if self._velocity == 0:
                    return False
                self._add(time, time, value, self._velocity, is_drum=True)
            case "velocity":
                self._velocity = self._velocities[value]
            case "program":
                self._program = value
            case _:
                return self._end_ties()
        return True

    def _tie_note(self, key: tuple[int, int]) -> bool:
        if key not in self._sounding or key in self._tied:
            return False
        self._tied.add(key)
        return True

    def _end_ties(self) -> bool:
        if not self._in_ties:
            return False
        for key in self._sounding.keys() - self._tied:
            self._end_note(key)
        self._in_ties = False
        return True

    def _end_note(self, key: tuple[int, int]) -> bool:
        if key not in self._sounding:
            return False
        onset, velocity = self._sounding.pop(key)
        program, pitch = key
        self._add(onset, self._time, pitch, velocity, program)
        return True

    def _add(self, start: Any, end: Any, pitch: int, velocity: int, program: int = 0, is_drum: bool = False):
        end = max(end, start + self._clock.shortest_note)
        self._rows.append((start, end, pitch, velocity, program, is_drum))

    def end_all_notes(self) -> None:
        """Ends what still sounds at the latest time known, all together."""
        for onset, _ in self._sounding.values():
            self._time = max(self._time, onset + self._clock.shortest_note)
        for key in list(self._sounding):
            self._end_note(key)

    def notes(self) -> np.ndarray:
        """All notes that have ended, sorted."""
        columns = [list(column) for column in zip(*self._rows, strict=True)] or [[] for _ in range(6)]
        starts, ends, *others = columns
        return sort_notes(make_notes(self._clock.seconds(starts), self._clock.seconds(ends), *others))


def _event_table(codec: Codec) -> list[tuple[str, int]]:
    """Type and value of every index."""
    ranges = (EventRange("shift", 0, codec.max_shift_steps), *codec.event_ranges)
    return [(r.type, value) for r in ranges for value in range(r.min_value, r.max_value + 1)]


def merge_restrikes(notes: np.ndarray, max_gap_seconds: float = 0.1) -> np.ndarray:
    """Takes a note that is struck again within a moment for the same note.

    A note whose onset lies less than `max_gap_seconds` after the onset of a kept note of the same pitch,
    program and drum flag is merged into it: the kept note keeps its onset and velocity and lasts to the
    later offset. Networks write such doubles where an attack is unclear; trills and drum rolls faster than
    that are merged too, so it is off by default wherever it is used.

    >>> merge_restrikes(make_notes([0.0, 0.05], [0.05, 1.0], 60))["end"].tolist()
    [1.0]

    Raises:
      ValueError: `max_gap_seconds` is negative.
    """
    if max_gap_seconds < 0:
        raise ValueError(f"max_gap_seconds is {max_gap_seconds}; it must be at least 0")
    order = np.lexsort((notes["start"], notes["pitch"], notes["program"], notes["is_drum"]))
    kept: list[int] = []
    key = None
    merged = notes[order]
    names = ("is_drum", "program", "pitch", "start", "end")
    for i, (*note_key, start, end) in enumerate(zip(*(merged[name].tolist() for name in names), strict=True)):
        if kept and note_key == key and start - merged["start"][kept[-1]] < max_gap_seconds:
            merged["end"][kept[-1]] = max(merged["end"][kept[-1]], end)
        else:
            kept.append(i)
            key = note_key
    return sort_notes(merged[kept])
