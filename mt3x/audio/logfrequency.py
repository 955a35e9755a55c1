"""Log-frequency spectra: samples to what the frame recogniser reads, for pitches and for drums.

Not part of MT3. Pitches are read from `SpectraConfig.rows` semitones from 27.5 Hz (A0) up, three bins each,
so that a change of key is a shift along one axis. Two spectra lie side by side: one of long windows, in which
neighbouring semitones are apart (4,096 samples below 400 Hz, 2,048 above), and one of short windows, in which
onsets are sharp. Drums are read from spectra of their own, twice as dense in time and up to 8 kHz.

A recording that is not tuned to 440 Hz is read through filters that are moved by as much: `FilterBank` holds
them for detunings from -48 to 48 cents.

Real arithmetic only, apart from the Fourier transform whose real and imaginary parts are taken at once.
B segments, N samples, F frames; frame f is centred at (f + 0.5) hops. Outside the samples is silence.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

BINS_PER_SEMITONE = 3
MARGIN_BINS = 3
"""Bins on either side of the rows, so that the first and the last row have neighbours."""

DETUNINGS = tuple(range(-48, 49, 16))
"""Cents; `FilterBank.pitch_long` and the others hold one filter bank for each."""

IN_TUNE = DETUNINGS.index(0)

_LONG_WINDOW, _MIDDLE_WINDOW, _SHORT_WINDOW, _DRUM_WINDOW = 4096, 2048, 1024, 512
_LONG_WINDOW_BELOW_HZ = 400.0
_LOWEST_HZ, _LOWEST_DRUM_HZ, _HIGHEST_HZ = 27.5, 40.0, 7800.0


@dataclass(frozen=True)
class SpectraConfig:
    """Sizes of the spectra.

    Attributes:
      sample_rate: Hz.
      hop_samples: of pitch frames; drum frames are half as long.
      rows: semitones from 27.5 Hz up; the first 88 are the piano's keys, the others only help to hear them.
      drum_bands: of the drums' spectrum.
      log_floor: added to magnitudes before the logarithm; a full-scale sine has 1.
      offset, scale: the logarithm is shifted, then scaled, to about -1 to 1.

    Raises:
      ValueError: a size out of its limits.
    """

    sample_rate: int = 16000
    hop_samples: int = 256
    rows: int = 98
    drum_bands: int = 72
    log_floor: float = 1e-5
    offset: float = 8.0
    scale: float = 0.4

    def __post_init__(self) -> None:
        if self.hop_samples % 2 or not 2 <= self.hop_samples <= _DRUM_WINDOW:
            raise ValueError(f"hop_samples is {self.hop_samples}; it must be even, from 2 to {_DRUM_WINDOW}")
        if _SHORT_WINDOW % self.hop_samples:
            raise ValueError(f"hop_samples is {self.hop_samples}; it must divide {_SHORT_WINDOW}")
        if not 88 <= self.rows <= 98:
            raise ValueError(f"rows is {self.rows}; it must be from 88 to 98, where 8 kHz are reached")
        if self.drum_bands < 4:
            raise ValueError(f"drum_bands is {self.drum_bands}; it must be at least 4")
        if not self.log_floor > 0:
            raise ValueError(f"log_floor is {self.log_floor}; it must be positive")

    @property
    def frames_per_second(self) -> float:
        """Pitch frames in a second."""
        return self.sample_rate / self.hop_samples

    @property
    def num_bins(self) -> int:
        """Bins of the pitch spectra, margins included."""
        return self.rows * BINS_PER_SEMITONE + 2 * MARGIN_BINS


class FilterBank(NamedTuple):
    """Weights that map magnitudes to bins, the sum of each column 1, or 0 where nothing is read; D detunings,
    K bins.

    Attributes:
      pitch_long: float32 [D, bins of the long window below 440 Hz, K_low]; for the K_low lowest bins.
      pitch_middle: float32 [D, window / 2 + 1, K - K_low]; for the others.
      pitch_short: float32 [D, window / 2 + 1, K].
      drums: float32 [257, drum_bands].
    """

    pitch_long: jax.Array | np.ndarray
    pitch_middle: jax.Array | np.ndarray
    pitch_short: jax.Array | np.ndarray
    drums: jax.Array | np.ndarray


class Spectra(NamedTuple):
    """`pitch`: float32 [B, F, num_bins, 2], long and short windows; `drums`: float32 [B, 2 F, drum_bands]."""

    pitch: jax.Array
    drums: jax.Array


def make_filter_bank(config: SpectraConfig, detunings: tuple[int, ...] = DETUNINGS) -> FilterBank:
    """The filters for each detuning, in cents that a recording lies above 440 Hz."""
    banks = [_pitch_filters(config, cents) for cents in detunings]
    long, middle, short = (np.stack(filters) for filters in zip(*banks, strict=True))
    return FilterBank(long, middle, short, _drum_filters(config))


def _pitch_filters(config: SpectraConfig, cents: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Filters of the long (low bins), middle (the other bins) and short window (all bins)."""
    place = np.arange(-MARGIN_BINS, config.rows * BINS_PER_SEMITONE + MARGIN_BINS)
    # The middle one of a semitone's three bins lies on its pitch.
    centre = _LOWEST_HZ * 2 ** (((place - 1) / BINS_PER_SEMITONE + cents / 100) / 12)
    num_low = _num_low(config)
    last_long = int(1.1 * _LONG_WINDOW_BELOW_HZ / config.sample_rate * _LONG_WINDOW)
    half_bin = 2 ** (1 / (12 * BINS_PER_SEMITONE)) - 1
    long = _triangles(config, _LONG_WINDOW, centre[:num_low], half_bin * centre[:num_low])[:last_long]
    middle = _triangles(config, _MIDDLE_WINDOW, centre[num_low:], half_bin * centre[num_low:])
    short = _triangles(config, _SHORT_WINDOW, centre, half_bin * centre)
    return long, middle, short


def _num_low(config: SpectraConfig) -> int:
    """How many bins the long window is for, whatever the detuning."""
    place = np.arange(-MARGIN_BINS, config.rows * BINS_PER_SEMITONE + MARGIN_BINS)
    hz = _LOWEST_HZ * 2 ** ((place - 1) / BINS_PER_SEMITONE / 12)
    return int((hz < _LONG_WINDOW_BELOW_HZ).sum())


def _drum_filters(config: SpectraConfig) -> np.ndarray:
    """float32 [257, bands]: evenly spaced on a scale that is linear up to 300 Hz and logarithmic above."""
    knee = 300.0
    low, high = (np.arcsinh(hz / knee) for hz in (_LOWEST_DRUM_HZ, _HIGHEST_HZ))
    places = np.linspace(low, high, config.drum_bands)
    centre = knee * np.sinh(places)
    half = knee * np.sinh(places + (places[1] - places[0])) - centre
    return _triangles(config, _DRUM_WINDOW, centre, half)


def _triangles(config: SpectraConfig, window: int, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """float32 [window / 2 + 1, K]: triangles over frequency, none narrower than two bins of the transform."""
    hz = np.fft.rfftfreq(window, 1 / config.sample_rate)
    half = np.maximum(half, config.sample_rate / window)
    weights = np.maximum(0.0, 1 - np.abs(hz[:, None] - centre[None, :]) / half[None, :])
    total = weights.sum(axis=0, keepdims=True)
    # Above half the sample rate, where the highest bins of a sharp recording lie, there is nothing to weigh.
    return (weights / np.where(total > 0, total, 1.0)).astype(np.float32)


def compute_spectra(
    samples: jax.Array, bank: FilterBank, config: SpectraConfig, detuning: jax.Array | None = None
) -> Spectra:
    """The spectra of segments.

    Args:
      samples: float32 [B, N]; N is a multiple of the hop.
      detuning: int32 [B], which of the bank's detunings to read each segment with; None for the first one.

    Raises:
      ValueError: N is not a multiple of the hop.
    """
    hop = config.hop_samples
    if samples.shape[1] % hop:
        raise ValueError(f"segments have {samples.shape[1]} samples; it must be a multiple of {hop}")
    frames = samples.shape[1] // hop
    low = _low_magnitudes(samples, _LONG_WINDOW, hop, frames, bank.pitch_long.shape[1])
    long = jnp.concatenate(
        [
            _apply(bank.pitch_long, detuning, low),
            _apply(bank.pitch_middle, detuning, _magnitudes(samples, _MIDDLE_WINDOW, hop, frames)),
        ],
        axis=-1,
    )
    short = _apply(bank.pitch_short, detuning, _magnitudes(samples, _SHORT_WINDOW, hop, frames))
    drums = _magnitudes(samples, _DRUM_WINDOW, hop // 2, 2 * frames) @ jnp.asarray(bank.drums)
    scaled = functools.partial(_logarithm, config=config)
    return Spectra(scaled(jnp.stack([long, short], axis=-1)), scaled(drums))


def _apply(filters: jax.Array | np.ndarray, detuning: jax.Array | None, magnitudes: jax.Array) -> jax.Array:
    if detuning is None:
        return magnitudes @ jnp.asarray(filters)[0]
    bank = jnp.asarray(filters)
    # One segment after the other: on a CPU a batched product takes twice the time of plain ones.
    return jax.lax.map(lambda segment: segment[0] @ bank[segment[1]], (magnitudes, detuning))


def _magnitudes(samples: jax.Array, window: int, hop: int, frames: int) -> jax.Array:
    """float32 [B, F, window / 2 + 1], Hann windows; a sine of amplitude 1 has 1."""
    hops = _hops(samples, window, hop, frames)
    cut = jnp.concatenate([hops[:, i : i + frames] for i in range(window // hop)], axis=2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    spectrum = jnp.fft.rfft(cut * (2 * hann / hann.sum()).astype(np.float32)[None, None])
    return _absolute(spectrum.real, spectrum.imag)


def _low_magnitudes(samples: jax.Array, window: int, hop: int, frames: int, count: int) -> jax.Array:
    """The `count` lowest bins of `_magnitudes`, float32 [B, F, count], in an eighth of the time.

    Every hop is transformed once, to these bins alone; windows that share it turn its phases and add. What
    a Hann window does to samples is, between bins, a sum over three neighbours.
    """
    bins = np.arange(-1, count + 1)
    angle = 2 * np.pi / window * np.outer(np.arange(hop), bins)
    amplitude = 2 / (window / 2)  # over the sum of a Hann window
    transform = amplitude * np.concatenate([np.cos(angle), -np.sin(angle)], axis=1)
    of_hops = _hops(samples, window, hop, frames) @ transform.astype(np.float32)  # [B, hops, 2 bins]
    real, imaginary = of_hops[..., : len(bins)], of_hops[..., len(bins) :]
    sums = [jnp.zeros((len(samples), frames, len(bins)))] * 2
    for index in range(window // hop):
        turn = 2 * np.pi / window * index * hop * bins
        cosine, sine = (f(turn).astype(np.float32)[None, None] for f in (np.cos, np.sin))
        x, y = real[:, index : index + frames], imaginary[:, index : index + frames]
        sums = [sums[0] + x * cosine + y * sine, sums[1] + y * cosine - x * sine]
    return _absolute(*(0.5 * x[..., 1:-1] - 0.25 * (x[..., :-2] + x[..., 2:]) for x in sums))


def _hops(samples: jax.Array, window: int, hop: int, frames: int) -> jax.Array:
    """Samples of all frames' windows, with silence around: float32 [B, frames - 1 + window / hop, hop]."""
    before = window // 2 - hop // 2
    total = (frames - 1) * hop + window
    padded = jnp.pad(samples, ((0, 0), (before, total - before - samples.shape[1])))
    return padded.reshape(len(samples), -1, hop)


def _absolute(real: jax.Array, imaginary: jax.Array) -> jax.Array:
    # At 0 the square root's gradient has no end.
    return jnp.sqrt(jnp.square(real) + jnp.square(imaginary) + 1e-14)


def _logarithm(magnitudes: jax.Array, config: SpectraConfig) -> jax.Array:
    return (jnp.log(magnitudes + config.log_floor) + config.offset) * config.scale
