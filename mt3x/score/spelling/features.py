"""What the spelling network sees of a note: which intervals sound around it, and when.

Pitch classes are counted on the circle of fifths from the note itself: 0 is its own, 1 the one a fifth above,
5 the one a semitone below. So nothing here changes when music is transposed, but the height. Windows hold so
many notes, not so much time: tempo and the unit of note values hardly matter.
"""

import numpy as np

WINDOWS = (2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Notes before a note, and after it, whose pitch classes are counted."""

NEIGHBOURS = (-2, -1, 0, 1, 2)
"""Semitones from a note to those whose distance in time, before and after, it is told."""

NUM_FEATURES = 12 * (2 * len(WINDOWS) + 2) + 2 * len(NEIGHBOURS) + 5


def note_features(onset_quarters: np.ndarray, duration_quarters: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Features float32 [N, NUM_FEATURES] of N notes sorted by (onset, pitch).

    In this order: square roots of the shares of the twelve pitch classes in the 2 windows before and after
    of each size, among the notes of the same onset, in the whole piece; how near the neighbours are (1 at
    once, 1/e after a quarter), before and after; the logarithm of the duration; height; whether the note
    begins on a beat; whether it is the lowest, the highest of its onset.
    """
    if not len(pitch):
        return np.zeros((0, NUM_FEATURES), np.float32)
    circle, here = 7 * pitch % 12, np.arange(len(pitch))
    sums = np.zeros((len(pitch) + 1, 12), np.float32)
    np.cumsum(np.eye(12, dtype=np.float32)[circle], 0, out=sums[1:])
    is_first = np.diff(onset_quarters, prepend=-np.inf) > 0
    is_last = np.diff(onset_quarters, append=np.inf) > 0
    chord = np.cumsum(is_first) - 1
    firsts, ends = np.flatnonzero(is_first)[chord], np.flatnonzero(is_last)[chord] + 1
    ranges = [(firsts, ends, 12), (here * 0, here * 0 + len(pitch), len(pitch))]
    for size in WINDOWS:
        ranges += [
            (np.maximum(here - size, 0), here, size),
            (here + 1, np.minimum(here + 1 + size, len(pitch)), size),
        ]
    from_note = (circle[:, None] + np.arange(12)) % 12
    shares = [np.take_along_axis(sums[end] - sums[begin], from_note, 1) / size for begin, end, size in ranges]
    plain = [
        *_nearness(onset_quarters, pitch),
        np.log2(duration_quarters + 1 / 16) / 4,
        (pitch - 60) / 24,
        np.abs(onset_quarters - np.rint(onset_quarters)) < 0.02,
        is_first,
        is_last,
    ]
    return np.concatenate([np.sqrt(np.concatenate(shares, 1)), np.stack(plain, 1)], 1, dtype=np.float32)


def _nearness(onset: np.ndarray, pitch: np.ndarray) -> list[np.ndarray]:
    """For each of `NEIGHBOURS`, before and after: exp(-quarters) to the nearest note of that pitch."""
    onset = onset - onset.min()
    stride = 2 * onset.max() + 100  # keys of different pitches lie farther apart than any two onsets
    keys = pitch * stride + onset
    by_key = np.sort(keys)
    nearness = []
    for semitones in NEIGHBOURS:
        wanted = keys + semitones * stride
        after = np.searchsorted(by_key, wanted + 1e-3)
        before = np.searchsorted(by_key, wanted - 1e-3) - 1
        for place in (before, after):
            found = np.clip(place, 0, len(by_key) - 1)
            nearness.append(np.where(found == place, np.exp(-np.abs(by_key[found] - wanted)), 0))
    return nearness
