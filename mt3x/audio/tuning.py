"""How far a recording's tuning lies from 440 Hz, from its spectral peaks, as it goes on.

Peaks of the spectrum between 150 and 1,000 Hz, where most fundamentals lie and partials are hardly
inharmonic, point around a circle of 100 cents, each with the weight of its magnitude's square root; the
direction of their sum is the tuning. Where they point everywhere (voices, drums, glides) the sum is short,
and the recording counts as in tune. The same samples in the same blocks give the same estimates, whether they
come from a file or live.

Source: the circular mean is that of Degani et al. (ISMIR 2014), "Comparison of methods for reference
frequency estimation".
"""

import numpy as np

_WINDOW, _HOP = 4096, 2048
_LOWEST_HZ, _HIGHEST_HZ = 150.0, 1000.0
_FLOOR_DECIBELS = 40.0  # peaks so far under the block's loudest don't count
_LEAST_CONCENTRATION = 0.3
"""The least length of the sum, as a share of what it would be if all peaks agreed."""

_FORGETTING = 0.98  # of a block's weight after another; some fifty blocks count
LARGEST_CENTS = 48.0


class TuningTracker:
    """Follows the tuning of one recording."""

    def __init__(self, sample_rate: int):
        self._sample_rate = sample_rate
        self._sum, self._weight = 0j, 0.0
        self._window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)

    def add(self, samples: np.ndarray) -> float:
        """The tuning in cents, -48 to 48, by all blocks so far and this one: float32 [N]."""
        if len(samples) >= _WINDOW:
            direction, weight = self._peaks(samples)
            self._sum = _FORGETTING * self._sum + direction
            self._weight = _FORGETTING * self._weight + weight
        return self.cents

    @property
    def cents(self) -> float:
        """The tuning by all blocks so far."""
        if not self._weight or abs(self._sum) < _LEAST_CONCENTRATION * self._weight:
            return 0.0
        cents = float(np.angle(self._sum)) / (2 * np.pi) * 100
        return float(np.clip(cents, -LARGEST_CENTS, LARGEST_CENTS))

    def _peaks(self, samples: np.ndarray) -> tuple[complex, float]:
        """The sum of the block's peaks around the circle, and of their weights."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
        first = int(_LOWEST_HZ / self._sample_rate * _WINDOW)
        last = int(np.ceil(_HIGHEST_HZ / self._sample_rate * _WINDOW))
        magnitude = np.abs(np.fft.rfft(frames * self._window))[:, first - 1 : last + 2]
        loudest = float(magnitude.max())
        if loudest < 1e-3:
            return 0j, 0.0
        middle, below, above = magnitude[:, 1:-1], magnitude[:, :-2], magnitude[:, 2:]
        is_peak = (middle > below) & (middle >= above)
        is_peak &= middle > loudest * 10 ** (-_FLOOR_DECIBELS / 20)
        left, centre, right = (np.log(np.maximum(part[is_peak], 1e-9)) for part in (below, middle, above))
        curvature = left - 2 * centre + right
        shift = 0.5 * (left - right) / np.where(curvature < -1e-9, curvature, -1.0)
        place = np.nonzero(is_peak)[1] + first + np.clip(shift, -0.5, 0.5)
        cents = 1200 * np.log2(place * self._sample_rate / _WINDOW / 440.0)
        weight = np.sqrt(middle[is_peak])
        return complex(np.sum(weight * np.exp(2j * np.pi * cents / 100))), float(weight.sum())
