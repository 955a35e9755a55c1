"""A small network that tells from the notes around an event whether it is a beat, and a downbeat, and what
the metre of the piece is.

An event is what is struck together (`mt3x.score.rhythm.beat_salience.onset_events`). Besides its own notes it
is told what is struck at fixed times before and after it, how often such distances occur around, and how much
comes again after them. Residual dilated convolutions over events join that. The network is written for any
array library with NumPy's functions: NumPy runs it, JAX trains it. Moments without an event are held for
beats with probability `SILENT_BEAT`.
"""

import functools
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np

from mt3x.score.rhythm.beat_decoding import FRAMES_PER_SECOND
from mt3x.score.rhythm.beat_salience import depth_of_bass, harmony_change, onset_events

DILATIONS = (1, 2, 4, 8, 16, 32)
TAPS = (-2, -1, 0, 1, 2)
LAG_SECONDS = np.geomspace(0.15, 4.8, 61)
"""Distances in time at which other events are looked for: a twelfth of an octave apart."""
METRES = ((2, False), (3, False), (4, False), (2, True), (3, True), (4, True))
"""What the network tells apart: beats in a bar, and whether they fall into three."""

SILENT_BEAT = 0.03
METRE_WEIGHT = 4.0
"""How much the logarithm of a metre's probability counts beside those of the many downbeats of a piece."""

_OWN_FEATURES = 36
NUM_FEATURES = _OWN_FEATURES + 4 * len(LAG_SECONDS)

_LONGEST_SECONDS = 2.0
_AROUND_SECONDS = 8.0
_ENOUGH_EVENTS = 32
_LOWEST_BIT = 28
"""The pitch of the first of 64 bits; lower and higher ones have the outer bits."""
_KICKS, _SNARES = (35, 36), (37, 38, 39, 40)


def detect_beats(notes: np.ndarray, num_frames: int) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
    """What the network that comes with mt3x says of a piece.

    Returns:
      probabilities of a beat float64 [num_frames], of a downbeat where there is a beat float64 [num_frames],
      and for each number of beats in a bar what is added to its prior.

    Args:
      notes: `NOTE_DTYPE` [N], sorted by start, at least one.
    """
    times, _ = onset_events(notes)
    logits = beat_logits(shipped_params(), event_features(notes)).astype(np.float64)
    at_events = 1 / (1 + np.exp(-logits[:, :2]))
    beat, downbeat = np.full(num_frames, SILENT_BEAT), np.full(num_frames, 0.3)
    frame = np.minimum(np.rint(times * FRAMES_PER_SECOND).astype(np.int64), num_frames - 1)
    for offset, share in ((0, 1.0), (-1, 0.6), (1, 0.6)):
        at = np.clip(frame + offset, 0, num_frames - 1)
        np.maximum.at(beat, at, share * at_events[:, 0])
    for offset in (-1, 1, 0):
        downbeat[np.clip(frame + offset, 0, num_frames - 1)] = at_events[:, 1]
    return beat, downbeat, _bars(logits[:, 2:])


def _bars(metre_logits: np.ndarray) -> dict[int, float]:
    """Of logits [E, M], what they add to the prior of each number of beats in a bar."""
    mean = metre_logits.mean(0)
    log_metre = mean - np.logaddexp.reduce(mean)
    weight = METRE_WEIGHT * min(len(metre_logits) / _ENOUGH_EVENTS, 1.0)
    sizes = np.array([size for size, _ in METRES])
    return {
        size: weight * float(np.logaddexp.reduce(log_metre[sizes == size]))
        for size in sorted({*sizes.tolist()})
    }


@functools.cache
def shipped_params() -> dict[str, np.ndarray]:
    """The weights that come with mt3x, float32; `gin/run/beats.gin` tells how they are trained."""
    with (files("mt3x") / "models" / "beats" / "network.npz").open("rb") as file, np.load(file) as archive:
        return {name: archive[name].astype(np.float32) for name in archive.files}


def event_features(notes: np.ndarray) -> np.ndarray:
    """What the network reads of each of E events: float32 [E, NUM_FEATURES].

    Args:
      notes: `NOTE_DTYPE` [N], sorted by start, at least one.
    """
    times, event = onset_events(notes)
    own = _own_features(notes, times, event)
    accent = 0.3 + 0.5 * own[:, 7] + 0.3 * own[:, 1] + 0.3 * np.clip(own[:, 5] + 1, 0, 2)
    pitches = np.zeros(len(times), np.uint64)
    bits = np.uint64(1) << np.clip(notes["pitch"] - _LOWEST_BIT, 0, 63).astype(np.uint64)
    np.bitwise_or.at(pitches, event, bits)
    return np.concatenate([own, _lag_features(times, accent.astype(np.float32), pitches)], axis=1)


def _own_features(notes: np.ndarray, times: np.ndarray, event: np.ndarray) -> np.ndarray:
    num_events = len(times)
    gap = np.diff(times)
    length = np.clip(notes["end"] - notes["start"], 0.03, _LONGEST_SECONDS)
    lowest, highest, longest = np.full(num_events, 127), np.zeros(num_events), np.zeros(num_events)
    pitched = ~notes["is_drum"]
    np.minimum.at(lowest, event[pitched], notes["pitch"][pitched])
    np.maximum.at(highest, event[pitched], notes["pitch"][pitched])
    np.maximum.at(longest, event, length)
    size = np.bincount(event, minlength=num_events)
    own = np.zeros((num_events, _OWN_FEATURES), np.float32)
    own[:, 0] = 1
    own[:, 1] = np.log(size)
    own[:, 2] = np.bincount(event, notes["velocity"] / 100, num_events) / size
    own[:, 3] = np.log(longest / 0.3)
    own[:, 4] = np.bincount(event, np.log(length / 0.3), num_events) / size
    own[:, 5] = np.log(np.append(gap, _LONGEST_SECONDS).clip(0.02, _LONGEST_SECONDS) / 0.3)
    own[:, 6] = np.log(np.append(_LONGEST_SECONDS, gap).clip(0.02, _LONGEST_SECONDS) / 0.3)
    own[:, 7] = depth_of_bass(times, lowest)
    own[:, 8] = harmony_change(notes, event, num_events)
    own[:, 9] = (lowest - 60) / 30
    own[:, 10] = np.where(highest > 0, (highest - 60) / 30, 0)
    np.add.at(own, (event[pitched], 11 + notes["pitch"][pitched] % 12), 1)
    np.add.at(own, (event[pitched], 23 + np.clip(notes["pitch"][pitched] // 12 - 1, 0, 8)), 1)
    kind = np.where(np.isin(notes["pitch"], _KICKS), 32, np.where(np.isin(notes["pitch"], _SNARES), 33, 34))
    np.add.at(own, (event[~pitched], kind[~pitched]), 1)
    own[:, 35] = np.where(highest > 0, 0, 1)
    return own


def _lag_features(times: np.ndarray, accent: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """Accents at each lag before and after an event, how usual the lag is around it, and how much of what is
    struck comes again after it: float32 [E, 4L].

    Args:
      accent: float32 [E].
      pitches: uint64 [E], a bit for each pitch.
    """
    frame = np.rint(times * FRAMES_PER_SECOND).astype(np.int64)
    lags = np.rint(LAG_SECONDS * FRAMES_PER_SECOND).astype(np.int64)
    # A lag means anything up to halfway to its neighbours, a frame at least.
    halves = np.maximum(np.rint(lags * (LAG_SECONDS[1] / LAG_SECONDS[0] - 1) / 2).astype(np.int64), 1)
    reach = int(lags[-1] + halves[-1])
    track = np.zeros(frame[-1] + 2 * reach + 1, np.float32)
    struck = np.zeros(len(track), np.uint64)
    np.maximum.at(track, frame + reach, accent)
    np.bitwise_or.at(struck, frame + reach, pitches)
    at = frame + reach
    before, after, again = np.zeros((3, len(times), len(lags)), np.float32)
    size = np.bitwise_count(pitches).astype(np.float32)
    for half in np.unique(halves).tolist():
        wide, wide_struck = track.copy(), struck.copy()
        for shift in range(1, half + 1):
            for side in (-shift, shift):
                np.maximum(wide, (1 - 0.3 * shift / half) * np.roll(track, side), out=wide)
                wide_struck |= np.roll(struck, side)
        for column in np.flatnonzero(halves == half).tolist():
            before[:, column] = wide[at - lags[column]]
            after[:, column] = wide[at + lags[column]]
            again[:, column] = np.bitwise_count(pitches & wide_struck[at - lags[column]]) / size
    usual = _around(times, np.minimum(before, accent[:, None]))
    usual = 2 * (usual / (usual.mean(1, keepdims=True) + np.float32(1e-3)) - 1)
    again = _around(times, again)
    again = 2 * (again / (again.mean(1, keepdims=True) + np.float32(0.02)) - 1)
    return np.concatenate([before, after, usual, again], axis=1).astype(np.float32)


def _around(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Means of rows over the events at most `_AROUND_SECONDS` away: float32 [E, L]."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    begin = np.searchsorted(times, times - _AROUND_SECONDS)
    end = np.searchsorted(times, times + _AROUND_SECONDS, side="right")
    return ((total[end] - total[begin]) / (end - begin)[:, None]).astype(np.float32)


def beat_logits(params: Mapping[str, Any], features: Any, xp: Any = np) -> Any:
    """Logits of (beat, downbeat if it is a beat, each of `METRES`): float32 [..., E, 2 + M] of features.

    A metre belongs to the piece: its logits are the mean over events.

    Args:
      params: "input" [features, width], "mix" [layers, taps, width, width], "out" [layers, width, width],
        "head" [width, 2 + M], "head_bias" [2 + M].
      features: float32 [..., E, NUM_FEATURES]; rows of zeros are no events.
      xp: numpy or jax.numpy.
    """
    is_event = features[..., :1]
    hidden = features @ params["input"]
    for layer, dilation in enumerate(DILATIONS):
        inner = _convolve(_normalise(hidden, xp) * is_event, params["mix"][layer], dilation, xp)
        hidden = hidden + xp.maximum(inner, 0) @ params["out"][layer]
    bias = params["head_bias"].reshape((1,) * (hidden.ndim - 1) + (-1,))
    return _normalise(hidden, xp) @ params["head"] + bias


def _normalise(hidden: Any, xp: Any) -> Any:
    return hidden * (xp.mean(hidden**2, axis=-1, keepdims=True) + 1e-5) ** -0.5


def _convolve(inputs: Any, kernels: Any, dilation: int, xp: Any) -> Any:
    """Sum over taps of the inputs so many events away, 0 beyond either end, times the tap's matrix."""
    num_events, reach = inputs.shape[-2], TAPS[-1] * dilation
    padded = xp.pad(inputs, [(0, 0)] * (inputs.ndim - 2) + [(reach, reach), (0, 0)])
    shifts = [padded[..., reach + tap * dilation :, :][..., :num_events, :] for tap in TAPS]
    width = kernels.shape[-1]
    return xp.concatenate(shifts, axis=-1) @ kernels.reshape(-1, width)
