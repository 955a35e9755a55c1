"""Notes to target tokens, segment by segment, without a Python loop over notes.

A segment's tokens are codec indexes: with ties, the notes that are held over its start and a tie; then its
events in time order. A shift before an event says how many steps the event lies after the segment's START
(not after the event before). A program or velocity equal to the latest one in the same segment is left out,
and so are shifts after the last event. Segments are half-open, [start, next start); the last may be
open-ended.

Events are ordered by time (seconds, not steps); at equal times offsets come before onsets, each by (is_drum,
program, pitch). Tokens can hold one note per pitch and program: pass notes through `trim_overlapping_notes`
first, and where a coarse granularity merges instruments, through `apply_granularity` before that.

Source: MT3 `note_sequences.py`, `run_length_encoding.py`; arXiv 2111.03017, section 3.2. `stages.py` has
MT3's steps one by one.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from mt3x.music.instruments import Granularity, map_programs
from mt3x.music.timegrid import floor_to_steps, seconds_to_steps
from mt3x.tokens.codec import Codec
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import num_velocity_bins_from_codec, velocity_to_bin

ABSENT = -1
"""In a table of tokens: nothing is said here."""

_NUM_PITCHES = 128


@dataclasses.dataclass(frozen=True)
class NoteEvents:
    """Onsets and offsets in the order of their tokens: columns of shape [E].

    Attributes:
      steps: int64, counted from the start of the recording; never falls.
      pitch, program: int32.
      velocity_bin: int32; 0 is an offset. All 0 where the spec writes onsets only.
      is_drum: bool; never true where the spec writes onsets only.
    """

    steps: np.ndarray
    pitch: np.ndarray
    program: np.ndarray
    velocity_bin: np.ndarray
    is_drum: np.ndarray


def note_events(notes: np.ndarray, codec: Codec, spec: NoteSpec) -> NoteEvents:
    """The events of notes, in the order of their tokens."""
    if not spec.has_offsets:
        order = np.lexsort((notes["pitch"], notes["start"]))
        nothing = np.zeros(len(notes), np.int32)
        steps = seconds_to_steps(notes["start"][order], codec.steps_per_second)
        return NoteEvents(steps, notes["pitch"][order], nothing, nothing, nothing.astype(bool))
    (pitched,) = (~notes["is_drum"]).nonzero()
    num_offsets = len(pitched)
    times = np.concatenate([notes["end"][pitched], notes["start"]])
    source = np.concatenate([pitched, np.arange(len(notes))])
    is_drum = notes["is_drum"][source]
    instrument_and_pitch = (notes["program"] * _NUM_PITCHES + notes["pitch"])[source]
    rank = instrument_and_pitch + (_NUM_PITCHES * _NUM_PITCHES) * is_drum
    rank[num_offsets:] += 2 * _NUM_PITCHES * _NUM_PITCHES
    order = np.lexsort((rank, times))
    velocity_bin = velocity_to_bin(notes["velocity"], num_velocity_bins_from_codec(codec))[source]
    velocity_bin[:num_offsets] = 0
    program, pitch = np.divmod(instrument_and_pitch[order], _NUM_PITCHES)
    return NoteEvents(
        seconds_to_steps(times[order], codec.steps_per_second),
        pitch,
        program,
        velocity_bin[order],
        is_drum[order],
    )


def held_notes(events: NoteEvents, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The notes that sound just before each of some events.

    A pitch of a program sounds from its onset to the next event, onset or offset, of that pitch and program.

    Args:
      positions: int64 [P] in rising order, places in `events`; len(events) stands for the end.

    Returns:
      (which, program, pitch), int [H] each: for every held note the place in `positions`, then its program
      and pitch. Sorted by all three.
    """
    (pitched,) = (~events.is_drum).nonzero()
    keys = (events.program * _NUM_PITCHES + events.pitch)[pitched]
    by_key = keys.argsort(kind="stable")
    keys, places = keys[by_key], pitched[by_key]
    next_place = np.empty_like(places)
    next_place[-1:] = len(events.steps)
    next_place[:-1] = np.where(keys[1:] == keys[:-1], places[1:], len(events.steps))
    first = positions.searchsorted(places, side="right")
    count = positions.searchsorted(next_place, side="right") - first
    count *= events.velocity_bin[places] > 0
    which = first.repeat(count)
    held_keys = keys.repeat(count)
    # The first of each onset's positions, then the ones after it: 0, 1, 2, ... within each run.
    which += np.arange(len(which)) - (count.cumsum() - count).repeat(count)
    if len(positions) > 1:
        order = np.lexsort((held_keys, which))
        which, held_keys = which[order], held_keys[order]
    program, pitch = np.divmod(held_keys, _NUM_PITCHES)
    return which, program, pitch


def event_tokens(events: NoteEvents, codec: Codec, spec: NoteSpec) -> np.ndarray:
    """What each event says beside shifts: int32 [E, 3], columns program, velocity, note, with `ABSENT`."""
    tokens = np.empty((len(events.steps), 3), np.int32)
    first_pitch = codec.event_type_range("pitch")[0]
    if not spec.has_offsets:
        tokens[:, :2] = ABSENT
        tokens[:, 2] = first_pitch + events.pitch
        return tokens
    first_program = codec.event_type_range("program")[0]
    first_drum = codec.event_type_range("drum")[0]
    tokens[:, 0] = np.where(events.is_drum, ABSENT, first_program + events.program)
    tokens[:, 1] = codec.event_type_range("velocity")[0] + events.velocity_bin
    tokens[:, 2] = np.where(events.is_drum, first_drum, first_pitch) + events.pitch
    return tokens


def encode_segments(
    notes: np.ndarray,
    start_seconds: npt.ArrayLike,
    codec: Codec,
    spec: NoteSpec,
    granularity: Granularity = Granularity.FULL,
    end_seconds: float | None = None,
    mt3_compatible: bool = False,
    keep_redundant: bool = False,
) -> list[np.ndarray]:
    """The target tokens of all segments of a recording.

    MT3 deviations (`mt3_compatible=True` restores MT3): after the last event MT3 repeats the held notes from
    before that event, so that finished notes are claimed as held in every later segment; and it fails on a
    recording without notes when ties are asked for, where the default says a lone tie per segment.

    Args:
      notes: `NOTE_DTYPE` [N], in any order.
      start_seconds: float64 [S], rising; floored to the step grid (see `timegrid.segment_start_seconds`).
      end_seconds: where the last segment ends, floored likewise; None keeps all that follows, as MT3 does.
      keep_redundant: keep repeated programs and velocities, as wanted before mixing MT3's way.

    Returns:
      S arrays of codec indexes, int32 [T] each, without end tokens.

    Raises:
      ValueError: `start_seconds` is not 1-D and rising; or MT3's failure on no notes is asked for.
    """
    start_steps = floor_to_steps(start_seconds, codec.steps_per_second)
    if start_steps.ndim != 1 or (start_steps[1:] < start_steps[:-1]).any():
        raise ValueError(f"start_seconds must be 1-D and rising, got {start_seconds!r}; sort the segments")
    events = note_events(notes, codec, spec)
    if mt3_compatible and spec.has_ties and not len(notes):
        raise ValueError("MT3 cannot write ties for a recording of 0 notes; use mt3_compatible=False")
    end_step = None if end_seconds is None else int(floor_to_steps(end_seconds, codec.steps_per_second))
    if not len(start_steps):
        return []
    columns, segment = _segment_table(events, start_steps, end_step, codec, spec, granularity, mt3_compatible)
    if not keep_redundant:
        _drop_repeats(columns[:, 1], segment)
        _drop_repeats(columns[:, 2], segment)
    said = columns != ABSENT
    tokens = columns[said]
    if len(start_steps) == 1:
        return [tokens]
    lengths = np.bincount(segment, weights=said.sum(axis=1), minlength=len(start_steps)).astype(np.int64)
    ends = np.cumsum(lengths).tolist()
    return [tokens[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def encode_segment(
    notes: np.ndarray,
    start_seconds: float,
    end_seconds: float,
    codec: Codec,
    spec: NoteSpec,
    granularity: Granularity = Granularity.FULL,
) -> np.ndarray:
    """The target tokens of one segment, [start, end): int32 [T], without end token.

    Equal to `encode_segments` on the same notes; quick when few notes lie outside the segment.
    """
    return encode_segments(notes, [start_seconds], codec, spec, granularity, end_seconds)[0]


def _segment_table(
    events: NoteEvents,
    start_steps: np.ndarray,
    end_step: int | None,
    codec: Codec,
    spec: NoteSpec,
    granularity: Granularity,
    mt3_compatible: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """All that the segments say, redundancy included, one row per event, held note and tie, in order.

    Returns:
      columns int32 [R, 4], shift, program, velocity, note, with `ABSENT`; segment int64 [R], rising.
    """
    num_segments = len(start_steps)
    bounds = events.steps.searchsorted(start_steps)
    stop = len(events.steps) if end_step is None else events.steps.searchsorted(end_step)
    next_bounds = np.append(bounds[1:], max(stop, bounds[-1]))
    inside = slice(bounds[0], next_bounds[-1])
    segment = np.arange(num_segments).repeat(next_bounds - bounds)
    columns = np.empty((len(segment), 4), np.int32)
    columns[:, 1:] = event_tokens(events, codec, spec)[inside]
    relative = events.steps[inside] - start_steps[segment]
    columns[:, 0] = shifts_from_start(relative, segment)
    if len(relative) and relative.max() > codec.max_shift_steps:
        columns, segment = split_long_shifts(columns, segment, codec.max_shift_steps)
    if spec.has_ties:
        if mt3_compatible:
            bounds = np.minimum(bounds, events.steps.searchsorted(events.steps[-1]))
        which, program, pitch = held_notes(events, bounds)
        ties = np.empty((len(which) + num_segments, 4), np.int32)
        ties.fill(ABSENT)
        ties[: len(which), 1] = codec.event_type_range("program")[0] + program
        ties[: len(which), 3] = codec.event_type_range("pitch")[0] + pitch
        ties[len(which) :, 3] = codec.event_type_range("tie")[0]
        columns = np.concatenate([ties, columns])
        segment = np.concatenate([which, np.arange(num_segments), segment])
        if num_segments > 1:
            order = segment.argsort(kind="stable")
            columns, segment = columns[order], segment[order]
    _map_programs(columns[:, 1], codec, granularity)
    return columns, segment


def shifts_from_start(relative: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Steps since the segment's start where they changed since the event before, `ABSENT` elsewhere."""
    previous = np.zeros_like(relative)
    previous[1:] = relative[:-1]
    previous[1:] *= segment[1:] == segment[:-1]
    return np.where(relative != previous, relative, ABSENT)


def split_long_shifts(
    columns: np.ndarray, segment: np.ndarray, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Says a shift of 2300 as 1000, 1000, 300: all but the last in rows of their own."""
    num_rows = np.maximum(-(-columns[:, 0] // longest), 1)
    is_last = np.zeros(num_rows.sum(), bool)
    is_last[np.cumsum(num_rows) - 1] = True
    split = np.repeat(columns, num_rows, axis=0)
    split[~is_last] = (longest, ABSENT, ABSENT, ABSENT)
    split[is_last, 0] -= (num_rows - 1) * longest
    return split, np.repeat(segment, num_rows)


def _map_programs(program_tokens: np.ndarray, codec: Codec, granularity: Granularity) -> None:
    """Maps a column of program tokens in place; flat granularity says no programs."""
    if granularity is Granularity.FLAT:
        program_tokens[:] = ABSENT
    elif granularity is not Granularity.FULL:
        first = codec.event_type_range("program")[0]
        said = program_tokens != ABSENT
        program_tokens[said] = first + map_programs(program_tokens[said] - first, granularity)


def _drop_repeats(column: np.ndarray, segment: np.ndarray) -> None:
    """Clears, in place, the tokens of a column that repeat the latest one of the same segment."""
    (said,) = (column != ABSENT).nonzero()
    tokens, segment = column[said], segment[said]
    repeats = (tokens[1:] == tokens[:-1]) & (segment[1:] == segment[:-1])
    column[said[1:][repeats]] = ABSENT
