"""The best sequence of beats under a bar: Viterbi over beat position and tempo.

Frames are `FRAMES_PER_SECOND` per second. A path is a chain of beats; each has a position in its bar and the
interval, in frames, since the beat before. Its score sums, over beats, the log-probability of a beat (or
downbeat) where it falls and of none in between, and a cost of every change of the interval. The number of
beats in a bar is the same throughout.

Source: the bar-pointer model (Whiteley et al. 2006; Krebs et al. 2015), written over beats instead of frames:
phases inside of a beat need no states, because nothing is decided there.
"""

from dataclasses import dataclass

import numpy as np

FRAMES_PER_SECOND = 50
MAX_INTERVAL_CHANGE = 0.35
"""Neighbouring beat intervals differ by at most this, in natural logarithm."""
QUIET_MARGIN = 0.7
"""The interval changes only at frames whose log-probability of a beat is by so much above the least one's."""


@dataclass(frozen=True)
class DecodingSettings:
    """What the search believes before it sees any music.

    shortest_seconds, longest_seconds: limits of the interval between beats.
    tempo_change: standard deviation of the logarithm of an interval's ratio to the one before.
    usual_seconds: the commonest interval; `usual_spread` is the standard deviation of its logarithm.
    bars: beats in a bar, each with the logarithm of its prior.
    beat_bonus: added for every beat, against the many frames that are none.
    """

    shortest_seconds: float = 0.28
    longest_seconds: float = 1.6
    tempo_change: float = 0.07
    usual_seconds: float = 0.6
    usual_spread: float = 0.45
    bars: tuple[tuple[int, float], ...] = ((2, -1.5), (3, -1.0), (4, 0.0))
    beat_bonus: float = 2.0


def decode_beats(
    beat: np.ndarray, downbeat: np.ndarray, settings: DecodingSettings | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """The most probable beats.

    Args:
      beat: float [F], probability of a beat at each frame.
      downbeat: float [F], probability that a beat there is the first of a bar.

    Returns:
      frames int64 [K] of the beats, position in the bar int64 [K] (0: downbeat), beats in a bar. K is 0 where
      there are fewer frames than the shortest interval.
    """
    settings = settings or DecodingSettings()
    beat = np.clip(np.asarray(beat, np.float64), 1e-4, 1 - 1e-4)
    downbeat = np.clip(np.asarray(downbeat, np.float64), 1e-2, 1 - 1e-2)
    intervals = _intervals(settings)
    if len(beat) <= intervals[0]:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), 0
    at_beat = np.log(beat) + settings.beat_bonus
    none_before = np.concatenate([[0.0], np.cumsum(np.log1p(-beat))])
    log_downbeat = np.stack([np.log1p(-downbeat), np.log(downbeat)], axis=1)

    # States: (position of every bar length, interval); `previous` is the position one beat earlier.
    position = np.concatenate([np.arange(size) for size, _ in settings.bars])
    sizes = np.concatenate([np.full(size, size) for size, _ in settings.bars])
    previous = np.arange(len(position)) - 1 + np.where(position == 0, sizes, 0)
    prior = np.concatenate([np.full(size, log_prior) for size, log_prior in settings.bars])
    at_position = at_beat[:, None] + log_downbeat[:, (position == 0).astype(int)]  # [F, P]

    score, best_interval = _forward(at_position, none_before, intervals, previous, prior, settings)
    frames, states = _backtrack(score, best_interval, none_before, intervals, previous)
    size = int(sizes[states[0]])
    return frames, position[states], size


def _intervals(settings: DecodingSettings) -> np.ndarray:
    """Every whole number of frames at short intervals, about 2.5 % apart at long ones: int64 [I]."""
    first, last = (
        round(seconds * FRAMES_PER_SECOND)
        for seconds in (settings.shortest_seconds, settings.longest_seconds)
    )
    count = int(np.log(last / first) / 0.025) + 1
    return np.unique(np.rint(np.geomspace(first, last, count)).astype(np.int64))


def _forward(
    at_position: np.ndarray,
    none_before: np.ndarray,
    intervals: np.ndarray,
    previous: np.ndarray,
    prior: np.ndarray,
    settings: DecodingSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores [F, P, I] of the best path to a beat at a frame that goes on with an interval, and the index of
    the interval that it came with; -1 marks a path's first beat.
    """
    log_intervals = np.log(intervals / FRAMES_PER_SECOND)
    change = log_intervals[:, None] - log_intervals
    cost = (-0.5 * (change / settings.tempo_change) ** 2).astype(np.float32)
    cost[np.abs(change) > MAX_INTERVAL_CHANGE] = -np.inf  # [earlier, later]
    usual = -0.5 * ((log_intervals - np.log(settings.usual_seconds)) / settings.usual_spread) ** 2
    num_frames, num_positions = at_position.shape
    onward = np.full((num_frames, num_positions, len(intervals)), -np.inf, np.float32)
    best_interval = np.full(onward.shape, -1, np.int8)
    columns = np.arange(len(intervals))
    may_change = at_position.max(1) > at_position.max(1).min() + QUIET_MARGIN
    for frame in range(num_frames):
        usable = columns[: np.searchsorted(intervals, frame, side="right")]
        if len(usable):
            back = frame - intervals[usable]
            arrived = onward[back, :, usable].T[previous]  # [P, usable]
            arrived += (none_before[frame] - none_before[back + 1] + at_position[frame][:, None]).astype("f4")
            if may_change[frame]:
                candidates = arrived[:, :, None] + cost[usable]
                choice = candidates.argmax(1)
                onward[frame] = np.take_along_axis(candidates, choice[:, None], 1)[:, 0]
                best_interval[frame] = choice
            else:
                onward[frame][:, usable] = arrived
                best_interval[frame][:, usable] = usable
        if frame < 2 * intervals[-1]:
            first = at_position[frame][:, None] + prior[:, None] + 4 * usual + none_before[frame]
            is_first = first > onward[frame]
            onward[frame] = np.where(is_first, first, onward[frame])
            best_interval[frame] = np.where(is_first, -1, best_interval[frame])
    return onward, best_interval


def _backtrack(
    onward: np.ndarray,
    best_interval: np.ndarray,
    none_before: np.ndarray,
    intervals: np.ndarray,
    previous: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Frames and positions of the best path: its last beat leaves no room for another one."""
    num_frames = len(onward)
    begin = max(0, num_frames - int(intervals[-1]))
    last = onward[begin:].max(2) + (none_before[-1] - none_before[begin + 1 : num_frames + 1])[:, None]
    frame, state = (int(i) for i in np.unravel_index(last.argmax(), last.shape))
    frame += begin
    column = int(onward[frame, state].argmax())
    frames, states = [frame], [state]
    while True:
        column = int(best_interval[frame, state, column])
        if column < 0:
            break
        frame, state = frame - int(intervals[column]), int(previous[state])
        frames.append(frame)
        states.append(state)
    return np.array(frames[::-1]), np.array(states[::-1])
