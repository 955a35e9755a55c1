"""How likely each moment of a transcription is a beat, from its notes alone and without training.

Long notes, loud notes, big chords and low notes fall on beats more often than others, and harmony changes on
downbeats. Frames are those of `mt3x.score.rhythm.beat_decoding`; frame f is the time f / FRAMES_PER_SECOND.
"""

import numpy as np

from mt3x.score.rhythm.beat_decoding import FRAMES_PER_SECOND

CHORD_SECONDS = 0.04
"""Onsets closer than this to the one before belong to one event: a chord, however it was struck."""

_LONGEST_SECONDS = 2.0
_WINDOW_SECONDS = 3.0


def onset_events(notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Events of notes struck together: times float64 [E] (medians), and the event of each note int64 [N].

    Notes are sorted by start. An event lasts at most two `CHORD_SECONDS`, so that a run stays a run.
    """
    start = notes["start"]
    event = np.zeros(len(notes), np.int64)
    begin, latest, current = -np.inf, -np.inf, -1
    for i, time in enumerate(start.tolist()):
        if time - latest > CHORD_SECONDS or time - begin > 2 * CHORD_SECONDS:
            current += 1
            begin = time
        event[i], latest = current, time
    first = np.flatnonzero(np.diff(event, prepend=-1))
    last = np.append(first[1:], len(event)) - 1
    times = (start[(first + last) // 2] + start[(first + last + 1) // 2]) / 2
    return times, event


def beat_salience(notes: np.ndarray, num_frames: int) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
    """Probabilities of a beat, and of a downbeat where there is a beat, float64 [num_frames] each; of
    the number of beats in a bar, nothing.

    Args:
      notes: `NOTE_DTYPE` [N], sorted by start, at least one.
    """
    times, event = onset_events(notes)
    num_events = len(times)
    gap = np.append(np.diff(times), _LONGEST_SECONDS)
    length = np.minimum(np.maximum(notes["end"] - notes["start"], 0.05), _LONGEST_SECONDS)
    longest = np.zeros(num_events)
    np.maximum.at(longest, event, length)
    # What sounds long is what is followed late; a pedal makes everything long.
    lasting = np.sqrt(np.minimum(gap, _LONGEST_SECONDS) * longest)
    loudness = np.bincount(event, notes["velocity"] / 100, num_events)
    size = np.bincount(event, minlength=num_events)
    lowest = np.full(num_events, 127)
    np.minimum.at(lowest, event, np.where(notes["is_drum"], 127, notes["pitch"]))
    depth = depth_of_bass(times, lowest)
    change = harmony_change(notes, event, num_events)

    accent = 0.6 + 1.2 * np.sqrt(lasting) + 0.25 * np.log1p(loudness) + 0.5 * depth + 0.2 * np.log(size)
    strength = 1.5 * depth + 1.0 * change + 1.0 * np.sqrt(lasting) + 0.3 * np.log(size)
    frame = np.minimum(np.rint(times * FRAMES_PER_SECOND).astype(np.int64), num_frames - 1)
    accent /= _local_mean(times, accent)
    spread = strength - _local_mean(times, strength)
    beat, downbeat = np.full(num_frames, 0.01), np.full(num_frames, 0.25)
    certain = np.clip(0.35 * accent**1.5, 0.02, 0.9)
    for offset, share in ((0, 1.0), (-1, 0.6), (1, 0.6)):
        at = np.clip(frame + offset, 0, num_frames - 1)
        np.maximum.at(beat, at, share * certain)
        downbeat[at] = 1 / (1 + np.exp(1.0 - 1.6 * spread))
    return beat, downbeat, {}


def depth_of_bass(times: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """1 for events whose lowest note is the lowest around, falling to 0 an octave and a half above it."""
    depth = np.zeros(len(times))
    begin = np.searchsorted(times, times - _WINDOW_SECONDS / 2)
    end = np.searchsorted(times, times + _WINDOW_SECONDS / 2, side="right")
    for i, (first, last) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):
        depth[i] = np.clip(1 - (lowest[i] - lowest[first:last].min()) / 18, 0, 1)
    return depth


def harmony_change(notes: np.ndarray, event: np.ndarray, num_events: int) -> np.ndarray:
    """How much of an event's pitch classes are new against the events just before: float64 [E], 0..1."""
    chroma = np.zeros((num_events, 12))
    pitched = ~notes["is_drum"]
    np.add.at(chroma, (event[pitched], notes["pitch"][pitched] % 12), 1.0)
    change = np.zeros(num_events)
    memory = np.zeros(12)
    for i, present in enumerate(chroma):
        total = present.sum()
        if total:
            change[i] = 1 - (present * np.minimum(memory, 1)).sum() / total
        memory = 0.6 * memory + present
    return change


def _local_mean(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(values)])
    begin = np.searchsorted(times, times - _WINDOW_SECONDS)
    end = np.searchsorted(times, times + _WINDOW_SECONDS, side="right")
    return (total[end] - total[begin]) / (end - begin)
