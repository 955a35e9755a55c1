"""Channels become one: their average, or something better where they cancel each other.

A microphone cable that is wired the wrong way round, or a phone that inverts one of its microphones, makes a
recording that is loud on each channel and silent in their average. So for each ten seconds the average is
compared with half the difference (of two channels) and with each channel alone. Where it has less than a
tenth of the power of the best of them, that one takes its place. Everything else is averaged, as by MT3.
"""

import numpy as np

_WINDOW_SECONDS = 10.0
_FADE_SECONDS = 0.01  # from one mixture to another
_LEAST_POWER = 0.1  # of the average, as a part of the best of the others
_SILENT_POWER = 1e-10  # full scale is 1; below, nothing is compared
_SAMPLES_COMPARED = 2**12  # of a window, spread over it


_DIFFERENCE = -1


class Mixer:
    """Makes the blocks of a recording mono, in order."""

    def __init__(self) -> None:
        """Begins with the average."""
        self._num_channels, self._choice = 0, None  # of the window before; see `_choose`
        self._seconds = self._replaced_seconds = 0.0
        self._replacements: dict[str, None] = {}

    def mix(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """[N, C] to [N]; windows are counted from the block's beginning."""
        self._seconds += len(samples) / sample_rate
        if samples.shape[1] == 1:
            self._num_channels, self._choice = 1, None
            return samples[:, 0]
        window = round(_WINDOW_SECONDS * sample_rate)
        windows = [samples[start : start + window] for start in range(0, len(samples), window)]
        choices = [_choose(some) for some in windows]
        if not any(choice is not None for choice in (self._choice, *choices)):
            self._num_channels = samples.shape[1]
            return average(samples)
        mixed = [self._mix(*pair, sample_rate) for pair in zip(windows, choices, strict=True)]
        return np.concatenate(mixed)

    def notice(self) -> str | None:
        """In a sentence, what took the place of the average, if anything did."""
        if not self._replacements:
            return None
        return (
            f"the channels cancel each other for {self._replaced_seconds:.1f} of {self._seconds:.1f} s, as "
            f"where one is inverted: {' and '.join(self._replacements)} took the place of their average there"
        )

    def _mix(self, samples: np.ndarray, choice: int | None, sample_rate: int) -> np.ndarray:
        if choice is not None:
            self._replaced_seconds += len(samples) / sample_rate
            self._replacements[_name(choice)] = None
        mixed = _mixture(samples, choice)
        if self._num_channels == samples.shape[1] and choice != self._choice:
            num_fading = min(len(samples), round(_FADE_SECONDS * sample_rate))
            share = np.linspace(0, 1, num_fading, dtype=mixed.dtype)
            old = _mixture(samples[:num_fading], self._choice)
            mixed = np.concatenate([old + share * (mixed[:num_fading] - old), mixed[num_fading:]])
        self._num_channels, self._choice = samples.shape[1], choice
        return mixed


def _choose(samples: np.ndarray) -> int | None:
    """None for the average of [N, C], `_DIFFERENCE`, or the number of the channel to take alone."""
    some = samples[:: max(1, len(samples) // _SAMPLES_COMPARED)].astype(np.float64)
    with np.errstate(all="ignore"):  # samples that are not finite are reported later
        means = np.ones(len(some)) @ some / len(some)
        covariance = some.T @ some / len(some) - np.outer(means, means)
    channels = np.diagonal(covariance)
    best, average = channels.max(), covariance.mean()
    if not (best > _SILENT_POWER and average < _LEAST_POWER * best):
        return None
    if len(channels) == 2 and channels.sum() - 2 * covariance[0, 1] > 3.2 * best:
        return _DIFFERENCE  # a quarter of that sum is its power
    return int(channels.argmax())


def average(samples: np.ndarray) -> np.ndarray:
    """[N, C], C at least 2, to [N]; eight times faster than `mean` over so few columns."""
    total = samples[:, 0] + samples[:, 1]
    for channel in samples.T[2:]:
        total += channel
    total /= samples.shape[1]
    return total


def _mixture(samples: np.ndarray, choice: int | None) -> np.ndarray:
    if choice is None:
        return average(samples)
    if choice == _DIFFERENCE:
        return (samples[:, 0] - samples[:, 1]) / 2
    return samples[:, choice]


def _name(choice: int) -> str:
    return "half their difference" if choice == _DIFFERENCE else f"channel {choice + 1}"
