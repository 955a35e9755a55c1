"""Effects on loudness and wave shape: guitar amplifier, compressor, limiter, and clipping.

Every effect takes samples: float32 [N], mono, and returns float32 [N] without a delay.
"""

import numpy as np
import scipy

from mt3x.synthesis.effects import filters, levels

_BLOCK_SECONDS = 0.004

# Half-band filter for twice the sample rate: 31 taps pass up to 0.2 of the doubled rate.
_HALF_BAND = (np.sinc(np.arange(-15, 16) / 2) * np.kaiser(31, 6.0)).astype(np.float32)


def amplifier(
    rng: np.random.Generator, samples: np.ndarray, sample_rate: int, gain_db: tuple[float, float] = (0, 45)
) -> np.ndarray:
    """A guitar amplifier and its cabinet, at the level (root mean square) of its input.

    The input, brought to a peak of 1, is cut below 40-250 Hz, driven by `gain_db` into one of three curves
    (tanh, asymmetric tanh, hard clipping) at twice the sample rate, and played through a cabinet.
    """
    peak = levels.peak(samples)
    if peak < 1e-6:
        return samples
    bright = filters.high_pass(samples, sample_rate, rng.uniform(40.0, 250.0), order=1)
    drive = levels.from_db(rng.uniform(*gain_db)) / peak
    doubled = scipy.signal.upfirdn(_HALF_BAND, bright * np.float32(drive), up=2)
    shaped = _waveshape(rng, doubled.astype(np.float32))
    # The two filters delay by 15 samples each at the doubled rate, which is 15 at the original one.
    halved = scipy.signal.upfirdn(_HALF_BAND / 2, shaped, down=2)[15 : 15 + len(samples)]
    halved = filters.high_pass(halved, sample_rate, 30.0, order=1)
    return levels.match_rms(cabinet(rng, halved, sample_rate), samples)


def _waveshape(rng: np.random.Generator, driven: np.ndarray) -> np.ndarray:
    kind = rng.integers(3)
    if kind == 0:
        return np.tanh(driven)
    if kind == 1:
        bias = np.float32(rng.uniform(0.1, 0.6))
        return np.tanh(driven + bias) - np.tanh(bias)
    return np.clip(driven, -1.0, 1.0)


def cabinet(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """A loudspeaker: a band from 60-120 Hz to 3-6 kHz, and three to seven resonances of -10..8 dB."""
    hz = np.linspace(0.0, sample_rate / 2, 513)
    peaks = rng.integers(3, 8)
    centres = 90.0 * 50.0 ** rng.random(peaks)
    gain_db = filters.peaks_db(hz, centres, rng.uniform(0.08, 0.5, peaks), rng.uniform(-10.0, 8.0, peaks))
    low_hz, high_hz = rng.uniform(60.0, 120.0), rng.uniform(3000.0, 6000.0)
    gain_db -= 10 * np.log10(1 + (low_hz / np.maximum(hz, 10.0)) ** 4)
    gain_db -= 10 * np.log10(1 + (hz / high_hz) ** 8)
    return filters.minimum_phase(samples, gain_db)


def compressor(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Feed-forward compression at the level of its input: ratio 1.5-10, threshold 5-25 dB below the peak.

    Its attack takes 1-30 ms and its release 50-500 ms; gains are found per block of 4 ms.
    """
    if levels.peak(samples) < 1e-6:
        return samples
    block = max(int(_BLOCK_SECONDS * sample_rate), 1)
    level_db = 20 * np.log10(_block_peaks(samples, block) + 1e-6)
    threshold_db = level_db.max() - rng.uniform(5.0, 25.0)
    slope = 1 - 1 / rng.uniform(1.5, 10.0)
    wanted_db = -slope * np.maximum(level_db - threshold_db, 0.0)
    attack = np.exp(-_BLOCK_SECONDS / rng.uniform(0.001, 0.03))
    release = np.exp(-_BLOCK_SECONDS / rng.uniform(0.05, 0.5))
    gain_db, state = [], float(wanted_db[0])
    for wanted in wanted_db.tolist():
        keep = attack if wanted < state else release
        state = keep * state + (1 - keep) * wanted
        gain_db.append(state)
    gains = (10.0 ** (np.array(gain_db) / 20)).astype(np.float32)
    return levels.match_rms(samples * _interpolate(gains, block, len(samples)), samples)


def limiter(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Keeps peaks 2-14 dB under the loudest one, with gains that move within 8 ms around each peak."""
    block = max(int(_BLOCK_SECONDS * sample_rate), 1)
    peaks = _block_peaks(samples, block)
    if not len(peaks) or peaks.max() < 1e-6:
        return samples
    ceiling = peaks.max() * levels.from_db(-rng.uniform(2.0, 14.0))
    padded = np.pad(peaks, 1, mode="edge")
    around = np.maximum(np.maximum(padded[:-2], padded[2:]), peaks)
    gains = (ceiling / np.maximum(around, ceiling)).astype(np.float32)
    return samples * _interpolate(gains, block, len(samples))


def _block_peaks(samples: np.ndarray, block: int) -> np.ndarray:
    padded = np.pad(np.abs(samples), (0, -len(samples) % block))
    return padded.reshape(-1, block).max(axis=1)


def _interpolate(gains: np.ndarray, block: int, length: int) -> np.ndarray:
    """Linear between the middles of blocks: float32 [length]."""
    following = np.append(gains[1:], gains[-1])
    fraction = np.arange(block, dtype=np.float32) / block
    ramps = (gains[:, None] + (following - gains)[:, None] * fraction).ravel()
    half = block // 2
    return np.concatenate([np.full(half, gains[0], np.float32), ramps])[:length]


def clipping(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Clips the loudest 1-10 dB, softly (tanh) or hard."""
    del sample_rate  # Every effect has the same signature.
    ceiling = np.float32(levels.peak(samples) * levels.from_db(-rng.uniform(1.0, 10.0)))
    if ceiling < 1e-6:
        return samples
    if rng.random() < 0.5:
        return np.tanh(samples / ceiling) * ceiling
    return np.clip(samples, -ceiling, ceiling)
