"""Levels of audio: decibels, root mean square, peaks; and the check of what enters the effects."""

import numpy as np

MIN_SAMPLE_RATE = 8000
"""The effects' filters reach up to 3.4 kHz; a rate under 8 kHz has no room for them."""


def from_db(decibels: float) -> float:
    """The factor of an amplitude."""
    return float(10.0 ** (decibels / 20))


def rms(samples: np.ndarray) -> float:
    """Root mean square of float32 [N]; 0.0 without samples."""
    return float(np.sqrt(np.mean(np.square(samples), dtype=np.float64))) if len(samples) else 0.0


def peak(samples: np.ndarray) -> float:
    """Largest absolute value of float32 [N]; 0.0 without samples."""
    return float(np.max(np.abs(samples))) if len(samples) else 0.0


def match_rms(samples: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The samples at the root mean square of the reference; silence stays silence."""
    level = rms(samples)
    return samples * np.float32(rms(reference) / level) if level > 1e-9 else samples


def check_sample_rate(sample_rate: int) -> None:
    """Raises ValueError for a sample rate under `MIN_SAMPLE_RATE`."""
    if sample_rate < MIN_SAMPLE_RATE:
        raise ValueError(
            f"sample_rate is {sample_rate} Hz; it must be at least {MIN_SAMPLE_RATE}; resample the audio"
        )


def check_audio(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """The samples as float32 [N].

    Raises:
      ValueError: the samples are not one-dimensional or not finite, or the rate is under `MIN_SAMPLE_RATE`.
    """
    check_sample_rate(sample_rate)
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1:
        raise ValueError(f"samples have shape {list(samples.shape)}; they must be mono [N]: average channels")
    if not np.isfinite(samples).all():
        position = int(np.argmin(np.isfinite(samples)))
        raise ValueError(
            f"sample {position} is {samples[position]}; samples must be finite; check their source"
        )
    return samples
