"""Tokens to notes: whatever a network wrote, segment after segment, into one list of notes.

Velocity, program and sounding notes carry over from segment to segment. Shifts in a row add up, count from
the segment's start, and begin anew after any other event, even a rejected one. With ties, every pitch up to
the tie event names a note that goes on; sounding notes that were not named end at the tie. A token without
sense (no event has its index; an offset of a note that is not sounding; a time before the latest event; a
second tie) is counted and skipped: no token stream makes decoding raise.

Source: MT3 `note_sequences.py`, `run_length_encoding.py`, `metrics_utils.py`; arXiv 2111.03017, section 3.2.
"""

import dataclasses
import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mt3x.music.checks import check_at_least
from mt3x.music.notes import make_notes, sort_notes
from mt3x.music.timegrid import floor_to_steps
from mt3x.tokens.codec import Codec, EventRange
from mt3x.tokens.report import DecodeReport
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import bin_to_velocity, num_velocity_bins_from_codec, trim_eos

MIN_NOTE_SECONDS = 0.01
"""Shortest note: rounding to steps can leave a note no time. Drum hits and bare onsets get this length."""

DEFAULT_VELOCITY = 100
"""Velocity of notes before any velocity token."""


@dataclasses.dataclass(slots=True, eq=False)
class DecodedNote:
    """A note while it is decoded; times are seconds, and `end` is None as long as it sounds."""

    start: float
    end: float | None
    pitch: int
    velocity: int
    program: int
    is_drum: bool


def decode_segments(
    segments: Sequence[npt.ArrayLike],
    start_seconds: npt.ArrayLike,
    codec: Codec,
    spec: NoteSpec,
    mt3_compatible: bool = False,
) -> tuple[np.ndarray, DecodeReport]:
    """The notes that the tokens of a recording's segments say; `SegmentDecoder` fed with all of them.

    Args:
      segments: S arrays of codec indexes, int [T] each, in any order of time; all from `DECODED_EOS_ID` on is
        ignored.
      start_seconds: float64 [S], floored to the step grid (see `timegrid.segment_start_seconds`; pass what it
        returns with the same `mt3_compatible`).
      mt3_compatible: see `SegmentDecoder`.

    Returns:
      notes `NOTE_DTYPE` [N] in the order of `sort_notes`, and the report.

    Raises:
      ValueError: there are not as many starts as segments, or a start is not finite.
    """
    starts = np.asarray(start_seconds, np.float64)
    if starts.shape != (len(segments),):
        raise ValueError(f"{len(segments)} segments need as many start times, got shape {list(starts.shape)}")
    decoder = SegmentDecoder(codec, spec, mt3_compatible)
    order = np.argsort(starts, kind="stable")
    in_time = starts[order].tolist()
    for i, (start, next_start) in zip(order, zip_longest(in_time, in_time[1:]), strict=True):
        decoder.feed(segments[i], start, next_start)
    decoder.finish()
    decoded = decoder.take_notes()
    names = ("start", "end", "pitch", "velocity", "program", "is_drum")
    notes = make_notes(*([getattr(note, name) for note in decoded] for name in names))
    return sort_notes(notes), decoder.report


class SegmentDecoder:
    """Decodes the segments of one recording as they come, and forgets the notes that are taken from it.

    Events at or after the next segment's start are dropped: segments are half-open, as in encoding. The last
    segment has no end; what it says past the place where the next one would start counts once `finish` is
    called. MT3 compares float times there and so keeps or drops an event exactly at the next start by
    accident of rounding, and knows no end where the next start is 0.0; `mt3_compatible=True` restores that,
    and its float32 times.

    Attributes:
      known_until_seconds: notes that begin before it have all begun; what follows can only end them.
    """

    def __init__(self, codec: Codec, spec: NoteSpec, mt3_compatible: bool = False):
        clock = _Mt3Clock if mt3_compatible else _StepClock
        self.known_until_seconds = -math.inf
        self._spec = spec
        self._clock = clock(codec.steps_per_second)
        self._events = _event_table(codec)
        num_bins = num_velocity_bins_from_codec(codec)
        self._velocities = bin_to_velocity(np.arange(num_bins + 1), num_bins).tolist()
        self._invalid_events = 0
        self._dropped_events = 0
        self._next_start_seconds = -math.inf
        self._rest = _Rest()
        self._notes: list[DecodedNote] = []  # begun and not taken yet
        self._time: Any = 0
        self._velocity = DEFAULT_VELOCITY
        self._program = 0
        self._sounding: dict[tuple[int, int], tuple[Any, DecodedNote]] = {}  # (program, pitch): (onset, note)
        self._tied: set[tuple[int, int]] = set()
        self._in_ties = False

    def feed(
        self, tokens: npt.ArrayLike, start_seconds: float, next_start_seconds: float | None = None
    ) -> None:
        """Decodes the next segment.

        Args:
          tokens: codec indexes, int [T]; all from `DECODED_EOS_ID` on is ignored.
          start_seconds: floored to the step grid.
          next_start_seconds: where the next segment starts, if there is one; None if none can follow.

        Raises:
          ValueError: a start is not finite, or lies before what was fed already.
        """
        for seconds in (start_seconds, next_start_seconds):
            if seconds is not None and not math.isfinite(seconds):
                raise ValueError(f"start_seconds must be finite, got {seconds}")
        if start_seconds < self._next_start_seconds:
            raise ValueError(
                f"a segment starts at {start_seconds} s, but those before it reach to "
                f"{self._next_start_seconds} s; feed segments in the order of time, and none after the last"
            )
        self._dropped_events += len(self._rest.tokens)
        start, end, known_until = self._clock.start(start_seconds), None, math.inf
        if next_start_seconds is not None:
            end = self._clock.start(next_start_seconds)
            known_until = self._clock.seconds(end)
        self._next_start_seconds = math.inf if next_start_seconds is None else next_start_seconds
        self._tied = set()
        self._in_ties = self._spec.has_ties
        self._rest = self._decode(_Rest(trim_eos(tokens).tolist(), start), end)
        if self._rest.tokens and not self._spec.has_offsets:  # onsets may go back in time
            known_until = self._clock.seconds(start)
        self.known_until_seconds = known_until

    def finish(self) -> None:
        """Takes the last segment for one without an end, and ends what sounds at the latest time known."""
        self._rest = self._decode(self._rest, None)
        for onset, _ in self._sounding.values():
            self._time = max(self._time, onset + self._clock.shortest_note)
        for key in list(self._sounding):
            self._end_note(key)
        self._next_start_seconds = self.known_until_seconds = math.inf

    def take_notes(self) -> list[DecodedNote]:
        """The notes that have begun since the last call, in the order of the tokens.

        Those that sound are ended in place while segments follow; nothing else of a note changes.
        """
        notes, self._notes = self._notes, []
        return notes

    @property
    def report(self) -> DecodeReport:
        """What could not be used so far; of the last segment's events beyond its end, nothing yet."""
        return DecodeReport(self._invalid_events, self._dropped_events)

    def _decode(self, rest: "_Rest", end: Any) -> "_Rest":
        """Decodes up to the first shift past the end; returns what is left."""
        accept = self._note_event if self._spec.has_offsets else self._onset_event
        start, time, shift_steps = rest.start, rest.start, rest.shift_steps
        for i, token in enumerate(rest.tokens):
            if not 0 <= token < len(self._events):
                self._invalid_events += 1
                continue
            event_type, value = self._events[token]
            if event_type == "shift":
                time = self._clock.after(start, shift_steps + value)
                if self._clock.is_past(time, end):
                    return _Rest(rest.tokens[i:], start, shift_steps)
                shift_steps += value
            else:
                shift_steps = 0
                self._invalid_events += not accept(time, event_type, value)
        return _Rest()

    def _onset_event(self, time: Any, event_type: str, value: int) -> bool:
        """Takes an event where only onsets are written; says whether it made sense."""
        if event_type == "pitch":
            self._add_hit(time, value, DEFAULT_VELOCITY)
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
                self._begin_note((self._program, value))
            case "drum":
                if self._velocity == 0:
                    return False
                self._add_hit(time, value, self._velocity, is_drum=True)
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

    def _begin_note(self, key: tuple[int, int]) -> None:
        program, pitch = key
        start_seconds = self._clock.seconds(self._time)
        note = DecodedNote(start_seconds, None, pitch, self._velocity, program, is_drum=False)
        self._sounding[key] = self._time, note
        self._notes.append(note)

    def _end_note(self, key: tuple[int, int]) -> bool:
        if key not in self._sounding:
            return False
        onset, note = self._sounding.pop(key)
        note.end = self._clock.seconds(max(self._time, onset + self._clock.shortest_note))
        return True

    def _add_hit(self, time: Any, pitch: int, velocity: int, is_drum: bool = False) -> None:
        """Adds a note without a length of its own."""
        start, end = self._clock.seconds(time), self._clock.seconds(time + self._clock.shortest_note)
        self._notes.append(DecodedNote(start, end, pitch, velocity, 0, is_drum))


class _Rest(NamedTuple):
    """Tokens of a segment that are still to be decoded, its start, and the shifts just before them."""

    tokens: Sequence[int] = ()
    start: Any = 0
    shift_steps: int = 0


class _StepClock:
    """Counts time in whole steps."""

    def __init__(self, steps_per_second: int):
        self._steps_per_second = steps_per_second
        self.shortest_note = MIN_NOTE_SECONDS * steps_per_second

    def start(self, seconds: float) -> Any:
        return int(floor_to_steps(seconds, self._steps_per_second))

    def after(self, start: Any, steps: int) -> Any:
        return start + steps

    def is_past(self, time: Any, end: Any) -> bool:
        return end is not None and time >= end

    def seconds(self, time: Any) -> float:
        return time / self._steps_per_second


class _Mt3Clock(_StepClock):
    """Counts time as MT3 does under NumPy 2: float32 up to a segment's first shift, float64 after it."""

    def __init__(self, steps_per_second: int):
        super().__init__(steps_per_second)
        self.shortest_note = MIN_NOTE_SECONDS

    def start(self, seconds: float) -> Any:
        return np.float32(seconds)

    def after(self, start: Any, steps: int) -> Any:
        return start + np.float64(steps / self._steps_per_second)

    def is_past(self, time: Any, end: Any) -> bool:
        return bool(end) and bool(time > end)

    def seconds(self, time: Any) -> float:
        return float(time)


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
    check_at_least(0, max_gap_seconds=max_gap_seconds)
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
