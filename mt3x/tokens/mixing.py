"""The target tokens of several tracks, put together as the targets of their mix.

Each track is the tokens of the same segment of another recording, shifts counted from the segment's start.

Source: MT3 `mixing.py` and `run_length_encoding.py` (`merge_run_length_encoded_targets`).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mt3x.tokens.codec import Codec
from mt3x.tokens.encode import ABSENT, shifts_from_start, split_long_shifts
from mt3x.tokens.stages import remove_redundant_state_changes

_PADDING = 0
"""A shift of no steps; never written, so it can only be padding."""


def mix_targets(
    tracks: Sequence[npt.ArrayLike], codec: Codec, mt3_compatible: bool = False, keep_redundant: bool = False
) -> np.ndarray:
    """One track that says what all tracks say.

    The default opens with the held notes of all tracks, sorted and each once, and ONE tie if any track has
    one; events follow in order of time, at equal times in order of the tracks. Tracks may have their
    redundant programs and velocities or not. MT3 (`mt3_compatible=True`; needs them) keeps one tie per
    track, takes shifts beyond the longest one apart (more than 10 s), and puts the later track first at the
    segment's very start.

    Args:
      tracks: arrays of codec indexes, int [T] each; zeros are padding.
      keep_redundant: say program and velocity for every note, as MT3 does between mixing and reduction.

    Returns:
      int32 [T], without end token.

    Raises:
      ValueError: a token is outside the codec.
    """
    padded = [np.asarray(track, np.int32) for track in tracks]
    stripped = [track[track != _PADDING] for track in padded]
    for track in stripped:
        bad = (track < 0) | (track >= codec.num_classes)
        if bad.any():
            raise ValueError(f"index {track[bad][0]} does not exist; indexes are 0..{codec.num_classes - 1}")
    mixed = _merge_as_mt3(stripped, codec) if mt3_compatible else _merge(stripped, codec)
    return mixed if keep_redundant else remove_redundant_state_changes(mixed, codec)


def _merge(tracks: list[np.ndarray], codec: Codec) -> np.ndarray:
    parsed = [_parse(track, codec) for track in tracks]
    empty = np.zeros((0, 3), np.int32)
    held = np.unique(np.concatenate([empty, *(held for held, _, _ in parsed)]), axis=0)
    rows = np.concatenate([empty, *(rows for _, _, rows in parsed)])
    steps = np.concatenate([np.zeros(0, np.int64), *(steps for _, steps, _ in parsed)])
    order = np.argsort(steps, kind="stable")
    rows, steps = rows[order], steps[order]
    segment = np.zeros(len(steps), np.int64)
    columns = np.column_stack([shifts_from_start(steps, segment), rows]).astype(np.int32)
    columns, _ = split_long_shifts(columns, segment, codec.max_shift_steps)
    tie = codec.event_type_range("tie")[0]
    ties = [tie] if any(tie in track for track in tracks) else []
    return np.concatenate([held[held != ABSENT], np.array(ties, np.int32), columns[columns != ABSENT]])


def _parse(track: np.ndarray, codec: Codec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Held notes, and events with their steps: rows of (program, velocity, note), `ABSENT` where untold.

    Returns:
      held int32 [H, 3] and steps int64 [E], rows int32 [E, 3].
    """
    steps = _steps_from_start(track, codec.max_shift_steps)
    is_drum = _is_within(track, codec.event_type_range("drum"))
    is_note = is_drum | _is_within(track, codec.event_type_range("pitch"))
    program = _latest(track, codec.event_type_range("program"))
    velocity = _latest(track, codec.event_type_range("velocity"))
    rows = np.stack([np.where(is_drum, ABSENT, program), velocity, track], axis=1)
    tie = codec.event_type_range("tie")[0]
    num_opening = int(np.argmax(track == tie)) if tie in track else 0
    is_opening = np.arange(len(track)) < num_opening
    held = rows[is_note & is_opening]
    held[:, 1] = ABSENT
    return held, steps[is_note & ~is_opening], rows[is_note & ~is_opening]


def _steps_from_start(track: np.ndarray, longest: int) -> np.ndarray:
    """Where each token stands: the sum of the latest run of shifts. int64 [T]."""
    is_shift = track <= longest
    starts_run = is_shift.copy()
    starts_run[1:] &= ~is_shift[:-1]
    total = np.cumsum(np.where(is_shift, track, 0), dtype=np.int64)
    before_run = np.where(starts_run, total - track, 0)
    return total - np.maximum.accumulate(before_run)


def _latest(track: np.ndarray, index_range: tuple[int, int]) -> np.ndarray:
    """The latest token of a type at each token, `ABSENT` before the first: int32 [T]."""
    is_type = _is_within(track, index_range)
    place = np.maximum.accumulate(np.where(is_type, np.arange(len(track)), -1))
    return np.where(place >= 0, track[place], ABSENT)


def _is_within(track: np.ndarray, index_range: tuple[int, int]) -> np.ndarray:
    first, last = index_range
    return (track >= first) & (track <= last)


def _merge_as_mt3(tracks: list[np.ndarray], codec: Codec) -> np.ndarray:
    """Takes, over and over, the run up to the next shift from the track whose next shift is smallest."""
    shift_places = [np.append(np.flatnonzero(track <= codec.max_shift_steps), len(track)) for track in tracks]
    offsets = [0] * len(tracks)
    current_step = 0
    mixed = [np.zeros(0, np.int32)]
    while True:
        next_step, next_track = codec.max_shift_steps + 1, -1
        for i, track in enumerate(tracks):
            if offsets[i] >= len(track):
                continue
            token = int(track[offsets[i]])
            if not codec.is_shift_event_index(token):
                next_step, next_track = 0, i
            elif token < next_step:
                next_step, next_track = token, i
        if next_track < 0:
            return np.concatenate(mixed)
        start = offsets[next_track] + (next_step == current_step and next_step > 0)
        places = shift_places[next_track]
        end = int(places[min(np.searchsorted(places, start + 1), len(places) - 1)])
        mixed.append(tracks[next_track][start:end])
        current_step, offsets[next_track] = next_step, end
