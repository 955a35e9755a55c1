"""A library of instruments whose recordings are sines, for tests of those who play it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mt3x.synthesis.sampled.instruments import FULL_SCALE, ONSET_SECONDS, RECORDING_DTYPE, SampleLibrary

RATE = 16000


class Recorded(NamedTuple):
    """One recording: a sine that begins at once and stays as loud as it is."""

    instrument: str
    program: int
    pitch: int
    velocity: int = 100
    is_drum: bool = False
    exact_pitch: float | None = None
    seconds: float = 1.0
    gain: float = 0.5
    articulation: str = "sustain"


def sine(pitch: float, seconds: float, lead_seconds: float = ONSET_SECONDS, rate: int = RATE) -> np.ndarray:
    """float64 [N]: silence, then a cosine of a MIDI pitch with a peak of 1."""
    hz = 440 * 2 ** ((pitch - 69) / 12)
    tone = np.cos(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.concatenate([np.zeros(round(lead_seconds * rate)), tone])


def make_library(recorded: Sequence[Recorded]) -> SampleLibrary:
    instruments = sorted({entry.instrument for entry in recorded})
    articulations = sorted({entry.articulation for entry in recorded})
    recordings, pieces, first = np.zeros(len(recorded), RECORDING_DTYPE), [], 0
    for row, entry in zip(recordings, recorded, strict=True):
        exact_pitch = float(entry.pitch) if entry.exact_pitch is None else entry.exact_pitch
        pieces.append(np.rint(FULL_SCALE * sine(exact_pitch, entry.seconds)).astype(np.int16))
        row["first"], row["count"], row["gain"] = first, len(pieces[-1]), entry.gain
        row["instrument"] = instruments.index(entry.instrument)
        row["articulation"] = articulations.index(entry.articulation)
        row["exact_pitch"] = exact_pitch
        for name in ("program", "pitch", "velocity", "is_drum"):
            row[name] = getattr(entry, name)
        first += len(pieces[-1])
    return SampleLibrary(np.concatenate(pieces), recordings, tuple(instruments), tuple(articulations), RATE)
