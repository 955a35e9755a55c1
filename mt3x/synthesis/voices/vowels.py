"""Vowels as formants, and the partials of a glottal source through them.

Source: formants of male speakers after Peterson and Barney 1952, with the fourth and fifth at 3.3 and 4 kHz.
"""

import numpy as np

VOWELS = {
    "i": np.array([290.0, 2250.0, 2950.0, 3400.0, 4000.0]),
    "e": np.array([450.0, 1950.0, 2550.0, 3300.0, 4000.0]),
    "ae": np.array([660.0, 1720.0, 2410.0, 3300.0, 4000.0]),
    "a": np.array([730.0, 1150.0, 2440.0, 3300.0, 4000.0]),
    "o": np.array([500.0, 850.0, 2410.0, 3200.0, 4000.0]),
    "u": np.array([310.0, 800.0, 2240.0, 3200.0, 3900.0]),
    "er": np.array([490.0, 1350.0, 1690.0, 3200.0, 4000.0]),
    "schwa": np.array([500.0, 1500.0, 2500.0, 3400.0, 4100.0]),
}
"""Formants 1..5 in Hz of a low voice."""

NASAL = np.array([250.0, 1000.0, 2200.0, 3200.0, 4000.0])
"""Formants of a hum."""

_BANDWIDTHS = np.array([80.0, 100.0, 140.0, 200.0, 250.0])


def vowel_spectra(formants: np.ndarray, hz: np.ndarray, tilt: float, sample_rate: int) -> np.ndarray:
    """Partials of a voice: complex64 [K, H], each frame with an energy of 1.

    Args:
      formants: float [K, 5], in Hz.
      hz: float [K], the fundamental; H follows from the lowest one, and partials over 0.47 of the sample
        rate are 0.
      tilt: the source falls as 1 / h ** tilt.
      sample_rate: in Hz.
    """
    limit = 0.47 * sample_rate
    number = np.arange(1, max(int(limit / max(float(hz.min()), 40.0)), 1) + 1, dtype=np.float32)
    frequency = number[None, :] * hz[:, None].astype(np.float32)
    source = np.where(frequency < limit, number**-tilt, 0).astype(np.complex64)
    for column, bandwidth in enumerate(_BANDWIDTHS):
        centre = formants[:, column, None].astype(np.float32)
        ratio = frequency / centre
        source /= 1 - ratio**2 + 1j * ratio * (np.float32(bandwidth) / centre)
    # Five resonances leave out all higher ones, which together lift the treble; the fall is limited here.
    source *= 1 + (frequency / 3500) ** 2
    return source / (np.linalg.norm(source, axis=1, keepdims=True) + 1e-12)
