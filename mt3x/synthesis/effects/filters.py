"""Filters of synthesised audio: tone controls, smooth equaliser curves, and rooms.

Every function takes samples: float32 [N], mono, and returns float32 [N]. The filters are minimum-phase, so
that what they emphasise never sounds before the onset, and the direct sound of a room stays at lag 0.
"""

import numpy as np
import scipy

from mt3x.synthesis.effects import levels

_DECAY_60_DB = float(np.log(1000.0))

# A curve over 1,025 bins resolves 8 Hz at 16 kHz.
_CURVE_BINS = 1025


def low_pass(samples: np.ndarray, sample_rate: int, hz: float, order: int = 2) -> np.ndarray:
    """Butterworth low-pass at `hz`, which is kept below the Nyquist frequency."""
    return _butterworth(samples, sample_rate, min(hz, 0.48 * sample_rate), "lowpass", order)


def high_pass(samples: np.ndarray, sample_rate: int, hz: float, order: int = 2) -> np.ndarray:
    """Butterworth high-pass at `hz`."""
    return _butterworth(samples, sample_rate, hz, "highpass", order)


def _butterworth(samples: np.ndarray, sample_rate: int, hz: float, kind: str, order: int) -> np.ndarray:
    sections = scipy.signal.butter(order, hz, kind, fs=sample_rate, output="sos")
    return np.asarray(scipy.signal.sosfilt(sections, samples), np.float32)


def minimum_phase(samples: np.ndarray, gain_db: np.ndarray) -> np.ndarray:
    """Filters by a gain over frequency, with the minimum phase that the gain allows.

    Args:
      samples: float32 [N].
      gain_db: float [K + 1], at K + 1 equally spaced frequencies from 0 to the Nyquist frequency.
    """
    size = 2 * (len(gain_db) - 1)
    cepstrum = np.fft.irfft(gain_db * (np.log(10.0) / 20), n=size)
    cepstrum[1 : size // 2] *= 2
    cepstrum[size // 2 + 1 :] = 0
    impulse_response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), n=size)
    return convolve(samples, impulse_response.astype(np.float32))


def fast_length(length: int) -> int:
    """The least length from `length` on that a Fourier transform handles fast."""
    return int(scipy.fft.next_fast_len(length, real=True) or length)


def convolve(samples: np.ndarray, impulse_response: np.ndarray) -> np.ndarray:
    """Causal convolution with float32 [K], cut off at the length of the samples: float32 [N]."""
    length = len(samples)
    if not length:
        return samples
    impulse_response = impulse_response[:length]
    size = fast_length(length + len(impulse_response))
    spectrum = np.fft.rfft(samples, n=size) * np.fft.rfft(impulse_response, n=size)
    return np.fft.irfft(spectrum, n=size)[:length].astype(np.float32)


def peaks_db(
    hz: np.ndarray, centres_hz: np.ndarray, widths_octaves: np.ndarray, heights_db: np.ndarray
) -> np.ndarray:
    """Sum of bell curves over log frequency, in dB: float64 [K] at frequencies float [K]."""
    octaves = np.log2(np.maximum(hz, 20.0)[:, None] / centres_hz[None, :])
    return np.exp(-0.5 * (octaves / widths_octaves) ** 2) @ heights_db


def equaliser(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """A random smooth curve: shelves of -9..9 dB below 60-400 Hz and above 1.5-6 kHz, and three bells.

    The bells have their centres at 80-6000 Hz, widths of 0.2-1.2 octaves, and heights of -7..7 dB.
    """
    hz = np.linspace(0.0, sample_rate / 2, _CURVE_BINS)
    centres = 80.0 * 75.0 ** rng.random(3)
    gain_db = peaks_db(hz, centres, rng.uniform(0.2, 1.2, 3), rng.uniform(-7.0, 7.0, 3))
    low_hz, high_hz = rng.uniform(60.0, 400.0), rng.uniform(1500.0, 6000.0)
    low_db, high_db = rng.uniform(-9.0, 9.0, 2)
    gain_db += low_db / (1 + (hz / low_hz) ** 2)
    gain_db += high_db / (1 + (high_hz / np.maximum(hz, 1.0)) ** 2)
    return minimum_phase(samples, gain_db)


def room_response(rng: np.random.Generator, sample_rate: int, decay_seconds: float) -> np.ndarray:
    """The reflections of a synthetic room, float32 [K], with an energy of 1 and nothing at lag 0.

    Four to twelve early reflections arrive within 2-60 ms; the decaying noise that follows loses its treble
    up to four times as fast as its bass.

    Args:
      decay_seconds: time in which the bass falls by 60 dB.
    """
    length = max(int(decay_seconds * sample_rate), 2)
    seconds = np.arange(length, dtype=np.float32) / sample_rate
    noise = rng.standard_normal(length, dtype=np.float32)
    cutoff = np.exp(-2 * np.pi * rng.uniform(500.0, 3000.0) / sample_rate)
    bass = np.asarray(scipy.signal.lfilter([1 - cutoff], [1, -cutoff], noise), np.float32)
    treble_speed = rng.uniform(1.0, 4.0)
    response = bass * np.exp(-_DECAY_60_DB / decay_seconds * seconds)
    response += (noise - bass) * np.exp(-_DECAY_60_DB * treble_speed / decay_seconds * seconds)
    late_from = int(rng.uniform(0.002, 0.03) * sample_rate)
    response[:late_from] = 0
    response /= np.linalg.norm(response) + 1e-9

    lags = (rng.uniform(0.002, 0.06, rng.integers(4, 13)) * sample_rate).astype(np.int64)
    lags = lags[lags < length]
    signs = rng.choice([-1.0, 1.0], len(lags))
    np.add.at(response, lags, (0.4 * signs * np.exp(-lags / (0.03 * sample_rate))).astype(np.float32))
    response[0] = 0
    return response / (np.linalg.norm(response) + 1e-9)


def room(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Plays the samples in a random room that decays in 0.1-2.5 s, mostly short.

    The direct sound is 20 to -3 dB over the reverberation (its energies compared).
    """
    decay_seconds = 0.1 * 25.0 ** rng.beta(1.2, 1.5)
    response = room_response(rng, sample_rate, decay_seconds)
    response *= levels.from_db(-rng.uniform(-3.0, 20.0))
    response[0] = 1.0
    return convolve(samples, response)
