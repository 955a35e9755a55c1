"""Effects by delayed copies: chorus, echo, tremolo, rotating loudspeaker, doubled tracks, and folded stereo.

Every effect takes samples: float32 [N], mono, and returns float32 [N]; the undelayed sound stays in place.
"""

import numpy as np
import scipy

from mt3x.synthesis.effects import filters, levels


def delayed(samples: np.ndarray, delay_samples: np.ndarray | float) -> np.ndarray:
    """The samples as they were a varying time ago, by linear interpolation; silence before the first.

    Args:
      samples: float32 [N].
      delay_samples: at least 0, a number or float [N].
    """
    positions = np.arange(len(samples)) - delay_samples
    whole = np.floor(positions).astype(np.int64)
    fraction = (positions - whole).astype(np.float32)
    padded = np.concatenate([np.zeros(1, np.float32), samples, samples[-1:]])
    whole = np.maximum(whole + 1, 0)
    first = padded[whole]
    return first + (padded[whole + 1] - first) * fraction


def _sine(rng: np.random.Generator, length: int, sample_rate: int, hz: float) -> np.ndarray:
    """A slow sine with a random phase, float32 [length]."""
    phase = rng.uniform(0, 2 * np.pi)
    return np.sin(np.arange(length, dtype=np.float32) * np.float32(2 * np.pi * hz / sample_rate) + phase)


def chorus(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Adds one or two copies 3-20 ms late, moved by 0.5-3 ms at 0.2-4 Hz, at -12..-2 dB."""
    mixed = samples.copy()
    for _ in range(rng.integers(1, 3)):
        depth_ms = rng.uniform(0.5, 3.0)
        middle_ms = depth_ms + rng.uniform(3.0, 17.0)
        wave = _sine(rng, len(samples), sample_rate, 0.2 * 20.0 ** rng.random())
        delay_samples = (middle_ms + depth_ms * wave) * (sample_rate / 1000)
        mixed += delayed(samples, delay_samples) * np.float32(levels.from_db(rng.uniform(-12.0, -2.0)))
    return mixed


def delay(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Echoes every 60-600 ms, the first at -22..-7 dB, each later one 0.2-0.6 times as loud."""
    lag = int(rng.uniform(0.06, 0.6) * sample_rate)
    feedback = np.float32(rng.uniform(0.2, 0.6))
    gain = np.float32(levels.from_db(rng.uniform(-22.0, -7.0)))
    dark = filters.low_pass(samples, sample_rate, rng.uniform(1500.0, 7000.0), order=1)
    mixed = samples.copy()
    for start in range(lag, len(samples), lag):
        mixed[start:] += gain * dark[: len(samples) - start]
        gain *= feedback
    return mixed


def tremolo(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Loudness that falls by 10-80 % and returns, at 3-9 Hz."""
    depth = np.float32(rng.uniform(0.1, 0.8))
    wave = _sine(rng, len(samples), sample_rate, rng.uniform(3.0, 9.0))
    return samples * (1 - depth * (0.5 + 0.5 * wave))


def rotor(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """A rotating loudspeaker: a horn over 800 Hz and a drum under it, slow (0.7 Hz) or fast (6-7 Hz).

    The horn's path changes by up to 0.5 ms (a shift in pitch), its loudness by 20-60 %; the drum's loudness
    changes by 5-30 %.
    """
    horn_hz = rng.uniform(0.6, 0.9) if rng.random() < 0.5 else rng.uniform(5.8, 7.2)
    low = filters.low_pass(samples, sample_rate, 800.0, order=1)
    high = samples - low
    turn = _sine(rng, len(samples), sample_rate, horn_hz)
    depth = np.float32(rng.uniform(0.2, 0.6))
    path_samples = rng.uniform(0.1, 0.25) * sample_rate / 1000 * (1 + turn)
    horn = delayed(high, path_samples) * (1 - depth * (0.5 + 0.5 * turn))
    drum_turn = _sine(rng, len(samples), sample_rate, horn_hz * rng.uniform(0.8, 0.95))
    return horn + low * (1 - np.float32(rng.uniform(0.05, 0.3)) * (0.5 + 0.5 * drum_turn))


def double_track(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Adds a second take: a copy at -10..-1 dB, late by 10-35 ms, which drifts by up to 4 ms."""
    middle_ms, drift_ms = rng.uniform(14.0, 31.0), rng.uniform(0.5, 4.0)
    wave = _sine(rng, len(samples), sample_rate, rng.uniform(0.1, 0.8))
    copy = delayed(samples, (middle_ms + drift_ms * wave) * (sample_rate / 1000))
    return samples + copy * np.float32(levels.from_db(rng.uniform(-10.0, -1.0)))


def fold_stereo(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Two channels summed to one where they differ in phase: notches as of a comb.

    The second channel, at -12..-1.5 dB and of either sign, is late by 0.1-2 ms or went through two all-pass
    filters.
    """
    gain = np.float32(rng.choice([-1.0, 1.0]) * levels.from_db(rng.uniform(-12.0, -1.5)))
    if rng.random() < 0.5:
        return samples + gain * delayed(samples, rng.uniform(0.1, 2.0) * sample_rate / 1000)
    other = samples
    for coefficient in rng.uniform(-0.9, 0.9, 2):
        other = np.asarray(scipy.signal.lfilter([coefficient, 1.0], [1.0, coefficient], other))
    return samples + gain * other.astype(np.float32)
