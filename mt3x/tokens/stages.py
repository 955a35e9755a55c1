"""MT3's encoding in its own steps: a recording's events, indexed by spectrogram frame, then cut and reduced.

`encode_segments` goes the whole way at once. These steps are for pipelines that store a recording's events
once and cut segments at random frames later, as MT3's seqio tasks do: `index_events` (stored),
`extract_segment`, `map_program_tokens`, `run_length_encode_shifts`, mixing,
`remove_redundant_state_changes`. Before `run_length_encode_shifts`, time is told by shifts of one step
each.

Source: MT3 `run_length_encoding.py` and the order of preprocessors in `tasks.py`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mt3x.music.instruments import Granularity, map_programs
from mt3x.music.timegrid import seconds_to_steps, segment_start_seconds
from mt3x.tokens.codec import Codec, Event
from mt3x.tokens.encode import (
    ABSENT,
    NoteEvents,
    event_tokens,
    held_notes,
    note_events,
    shifts_from_start,
    split_long_shifts,
)
from mt3x.tokens.spec import NoteSpec

STATE_CHANGE_TYPES = ("velocity", "program")


@dataclasses.dataclass(frozen=True)
class IndexedEvents:
    """A recording's events and where each frame finds its own; all int32, names as in MT3's examples.

    Attributes:
      events: [T] codec indexes, every shift one step.
      event_start_indices, event_end_indices: [F]; a run of frames from i to j, j included, spans
        events[event_start_indices[i] : event_end_indices[j]].
      state_events: held notes and a tie, for each event; empty without ties.
      state_event_indices: [F], where in `state_events` the frame's held notes begin; they end with a tie.
    """

    events: np.ndarray
    event_start_indices: np.ndarray
    event_end_indices: np.ndarray
    state_events: np.ndarray
    state_event_indices: np.ndarray


def index_events(
    notes: np.ndarray,
    num_frames: int,
    hop_samples: int,
    sample_rate: int,
    codec: Codec,
    spec: NoteSpec,
    mt3_compatible: bool = False,
) -> IndexedEvents:
    """The events of a whole recording, indexed by frame.

    By default one more state, that after the last event, closes `state_events` and serves the frames after
    it; MT3 serves them a stale one (see `encode_segments`), and has none at all for a recording without
    notes.

    Args:
      notes: `NOTE_DTYPE` [N], in any order.
      num_frames: frames of the recording, at least 1.

    Raises:
      ValueError: there are no frames.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; a recording has at least 1 frame")
    note_list = note_events(notes, codec, spec)
    tokens = event_tokens(note_list, codec, spec)
    said = tokens != ABSENT
    tokens_before = np.concatenate([[0], np.cumsum(said.sum(axis=1))])
    frame_starts = segment_start_seconds(
        np.arange(num_frames), hop_samples, sample_rate, codec.steps_per_second
    )
    frame_steps = seconds_to_steps(frame_starts, codec.steps_per_second)
    last_step = max(note_list.steps[-1:].max(initial=0), frame_steps[-1] + 1)
    events = np.full(last_step + tokens_before[-1], codec.encode_event(Event("shift", 1)), np.int32)
    token_steps = np.repeat(note_list.steps, np.diff(tokens_before))
    events[token_steps + np.arange(len(token_steps))] = tokens[said]
    places = np.searchsorted(note_list.steps, frame_steps)
    starts = frame_steps + tokens_before[places]
    state_events, state_indices = np.zeros(0, np.int32), np.zeros(num_frames, np.int64)
    if spec.has_ties:
        num_states = len(note_list.steps) + (not mt3_compatible)
        state_events, state_starts = _state_events(note_list, num_states, codec)
        if mt3_compatible:
            places = np.minimum(places, np.searchsorted(note_list.steps, note_list.steps[-1:].max(initial=0)))
        state_indices = state_starts[places] if num_states else state_indices
    return IndexedEvents(
        events,
        starts.astype(np.int32),
        np.append(starts[1:], len(events)).astype(np.int32),
        state_events,
        state_indices.astype(np.int32),
    )


def _state_events(note_list: NoteEvents, num_states: int, codec: Codec) -> tuple[np.ndarray, np.ndarray]:
    """The held notes before each of the first events, ties included, and where each of those lists begins."""
    which, program, pitch = held_notes(note_list, np.arange(num_states))
    lengths = 2 * np.bincount(which, minlength=num_states) + 1
    ends = np.cumsum(lengths)
    states = np.empty(lengths.sum(), np.int32)
    is_tie = np.zeros(len(states), bool)
    is_tie[ends - 1] = True
    states[is_tie] = codec.encode_event(Event("tie", 0))
    first_program, first_pitch = (codec.event_type_range(name)[0] for name in ("program", "pitch"))
    states[~is_tie] = np.stack([first_program + program, first_pitch + pitch], axis=1).ravel()
    return states, ends - lengths


def extract_segment(
    indexed: IndexedEvents, first_frame: int, last_frame: int, tie_index: int | None
) -> np.ndarray:
    """What a run of frames, `last_frame` included, says: int32 [T].

    Args:
      tie_index: codec index of the tie event, to open with the held notes; None without ties.

    Raises:
      ValueError: ties are asked for where none were stored (MT3's failure on a recording without notes).
    """
    events = indexed.events[indexed.event_start_indices[first_frame] : indexed.event_end_indices[last_frame]]
    if tie_index is None:
        return events
    state = indexed.state_events[indexed.state_event_indices[first_frame] :]
    ties = np.flatnonzero(state == tie_index)
    if not len(ties):
        raise ValueError("these events hold no ties; write them with NOTES_WITH_TIES, not mt3_compatible")
    return np.concatenate([state[: ties[0] + 1], events])


def map_program_tokens(indexes: np.ndarray, codec: Codec, granularity: Granularity) -> np.ndarray:
    """Tokens with programs as coarse as wanted; flat granularity takes program tokens out: int32 [T']."""
    first, last = codec.event_type_range("program")
    is_program = (indexes >= first) & (indexes <= last)
    if granularity is Granularity.FLAT:
        return indexes[~is_program]
    mapped = first + map_programs(np.where(is_program, indexes - first, 0), granularity)
    return np.where(is_program, mapped, indexes)


def run_length_encode_shifts(indexes: np.ndarray, codec: Codec) -> np.ndarray:
    """Counts one-step shifts into shifts from the segment's start, trailing ones left out: int32 [T'].

    >>> run_length_encode_shifts(np.array([1, 1, 1061, 1, 1062, 1]), Codec(1000, 100, ())).tolist()
    [2, 1061, 3, 1062]
    """
    is_shift = (indexes >= 0) & (indexes <= codec.max_shift_steps)
    steps = np.cumsum(is_shift)[~is_shift]
    rows = np.full((len(steps), 4), ABSENT, np.int32)
    segment = np.zeros(len(steps), np.int64)
    rows[:, 0] = shifts_from_start(steps, segment)
    rows[:, 3] = indexes[~is_shift]
    rows, _ = split_long_shifts(rows, segment, codec.max_shift_steps)
    return rows[rows != ABSENT]


def remove_redundant_state_changes(
    indexes: np.ndarray, codec: Codec, event_types: Sequence[str] = STATE_CHANGE_TYPES
) -> np.ndarray:
    """Takes out each token that repeats the latest one of its type, for the types given: int32 [T']."""
    keep = np.ones(len(indexes), bool)
    for event_type in event_types:
        first, last = codec.event_type_range(event_type)
        (said,) = ((indexes >= first) & (indexes <= last)).nonzero()
        keep[said[1:][indexes[said[1:]] == indexes[said[:-1]]]] = False
    return indexes[keep]
