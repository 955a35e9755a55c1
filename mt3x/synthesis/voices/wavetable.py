"""Band-limited periods of sound, looked up by phase and cross-faded over time.

A table holds one period per frame; a sound whose partials change slowly costs four look-ups per sample,
however many partials it has.
"""

import numpy as np


def make_tables(spectra: np.ndarray) -> np.ndarray:
    """Periods of K frames by their partials.

    Args:
      spectra: complex or float [K, H], the partials 1..H: their amplitude, and phase relative to a sine.

    Returns:
      float32 [K, S + 1]; the last sample repeats the first.
    """
    frames, partials = spectra.shape
    # Twenty samples per period of the highest partial keep the images of linear interpolation 35 dB low.
    size = max(256, 1 << int(np.ceil(np.log2(20 * partials))))
    bins = np.zeros((frames, size // 2 + 1), np.complex64)
    bins[:, 1 : partials + 1] = spectra * (-0.5j * size)
    periods = np.fft.irfft(bins, n=size, axis=1)
    return np.concatenate([periods, periods[:, :1]], axis=1).astype(np.float32)


def look_up(tables: np.ndarray, turns: np.ndarray, frames: np.ndarray | None = None) -> np.ndarray:
    """Samples float32 [N] of the tables [K, S + 1] at phases.

    Args:
      turns: float64 [N], the phase in turns; 1.25 is a quarter of the second period.
      frames: float [N], positions between frames, within 0..K - 1; None for the first frame throughout.
    """
    size = tables.shape[1] - 1
    position = (turns - np.floor(turns)) * size
    whole = np.minimum(position.astype(np.int32), size - 1)
    fraction = (position - whole).astype(np.float32)
    flat = tables.ravel()
    if frames is None or len(tables) == 1:
        first = flat[whole]
        return first + (flat[whole + 1] - first) * fraction
    frame = np.minimum(frames.astype(np.int32), len(tables) - 2)
    weight = (frames - frame).astype(np.float32)
    whole += frame * (size + 1)
    first = flat[whole]
    early = first + (flat[whole + 1] - first) * fraction
    whole += size + 1
    first = flat[whole]
    late = first + (flat[whole + 1] - first) * fraction
    return early + (late - early) * weight
