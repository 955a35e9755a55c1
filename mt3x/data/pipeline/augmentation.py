"""Rooms, equalisers, noise and gain for rendered training audio, in JAX, for the CPU and inside a GPU's step.

All of it happens in one trip through the frequency domain: the spectrum of the audio is multiplied by that of
a synthetic room and by a smooth equaliser curve, coloured noise is added, and the result is scaled.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mt3x.music.checks import check_at_least, check_shares

_DECAY_60_DB = float(np.log(1000.0))


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Ranges to draw from, uniformly, once per example.

    Attributes:
      room_probability: share of examples that get a room at all.
      room_decay_seconds: time in which its exponentially decaying noise falls by 60 dB.
      room_direct_to_reverberant_db: level of the direct sound over the room's.
      room_seconds: length at which the room is cut off.
      equaliser_db: largest boost or cut of each of the curve's four cosines over log frequency.
      noise_probability: share of examples that get noise.
      noise_snr_db: level of the audio over the noise.
      gain_db: applied to everything at the end.

    Raises:
      ValueError: a share outside 0..1, a range that falls, a room or decay of no length, or a negative
        equaliser_db.
    """

    room_probability: float = 0.6
    room_decay_seconds: tuple[float, float] = (0.1, 1.0)
    room_direct_to_reverberant_db: tuple[float, float] = (0.0, 20.0)
    room_seconds: float = 0.7
    equaliser_db: float = 5.0
    noise_probability: float = 0.7
    noise_snr_db: tuple[float, float] = (15.0, 60.0)
    gain_db: tuple[float, float] = (-24.0, 6.0)

    def __post_init__(self) -> None:
        check_shares(room_probability=self.room_probability, noise_probability=self.noise_probability)
        for name in ("room_decay_seconds", "room_direct_to_reverberant_db", "noise_snr_db", "gain_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name} is {(low, high)}; give the lower end first")
        for name in ("room_decay_seconds", "room_seconds"):
            if not np.min(getattr(self, name)) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")
        check_at_least(0, equaliser_db=self.equaliser_db)


def augment(
    rng: jax.Array, samples: jax.Array, num_samples: int, sample_rate: int, config: AugmentationConfig
) -> jax.Array:
    """Plays rendered audio in random rooms, through random equalisers, over random noise.

    Args:
      rng: a JAX random key.
      samples: float32 [B, L + N], mono; the first L samples lead in, so that the room already sounds when the
        segment begins.
      num_samples: N, the segment's own samples, which are returned.

    Returns:
      float32 [B, N].
    """
    batch, length = samples.shape
    room_length = int(config.room_seconds * sample_rate)
    size = length + room_length  # no wrap-around
    keys = jax.random.split(rng, 4)

    room = jnp.fft.rfft(_rooms(keys[0], batch, room_length, sample_rate, config), n=size)
    curve = _equaliser_curves(keys[1], batch, size // 2 + 1, sample_rate, config)
    spectrum = jnp.fft.rfft(samples, n=size) * room * curve.astype(jnp.complex64)
    clean = jnp.fft.irfft(spectrum, n=size)[:, length - num_samples : length]

    noise = _noise(keys[2], batch, num_samples, clean, config)
    low, high = config.gain_db
    gain = _from_db(jax.random.uniform(keys[3], (batch, 1), minval=low, maxval=high))
    return (clean + noise) * gain


def _rooms(
    rng: jax.Array, batch: int, length: int, sample_rate: int, config: AugmentationConfig
) -> jax.Array:
    """Impulse responses float32 [B, length]: the direct sound, then decaying noise."""
    keys = jax.random.split(rng, 4)
    decay = jax.random.uniform(
        keys[0], (batch, 1), minval=config.room_decay_seconds[0], maxval=config.room_decay_seconds[1]
    )
    level_db = jax.random.uniform(
        keys[1],
        (batch, 1),
        minval=config.room_direct_to_reverberant_db[0],
        maxval=config.room_direct_to_reverberant_db[1],
    )
    has_room = jax.random.bernoulli(keys[2], config.room_probability, (batch, 1))
    seconds = jnp.arange(length, dtype=jnp.float32)[None, :] / sample_rate
    tail = jax.random.normal(keys[3], (batch, length)) * jnp.exp(-_DECAY_60_DB * seconds / decay)
    tail = tail / jnp.linalg.norm(tail, axis=1, keepdims=True) * _from_db(-level_db)
    direct = jnp.zeros((batch, length)).at[:, 0].set(1.0)
    return direct + jnp.where(has_room, tail, 0.0)


def _equaliser_curves(
    rng: jax.Array, batch: int, bins: int, sample_rate: int, config: AugmentationConfig
) -> jax.Array:
    """Gains float32 [B, bins]: random cosines over log frequency from 50 Hz up, the first half a tilt."""
    hz = np.linspace(0.0, sample_rate / 2, bins)
    octave = np.log2(np.maximum(hz, 50.0) / 50.0)
    waves = np.cos(np.pi * np.arange(1, 5)[:, None] * octave[None, :] / octave[-1]).astype(np.float32)
    amounts = jax.random.uniform(
        rng, (batch, len(waves)), minval=-config.equaliser_db, maxval=config.equaliser_db
    )
    return _from_db(amounts @ waves)


def _noise(
    rng: jax.Array, batch: int, num_samples: int, clean: jax.Array, config: AugmentationConfig
) -> jax.Array:
    """Noise float32 [B, num_samples] between white and pink, at a random level under the audio's."""
    keys = jax.random.split(rng, 4)
    bins = num_samples // 2 + 1
    real, imaginary = jax.random.normal(keys[0], (2, batch, bins))
    colour = jax.random.uniform(keys[1], (batch, 1))  # 0 white, 1 pink (power falls as 1 / f)
    falloff = -0.5 * np.log(np.maximum(np.arange(bins), 8.0) / 8.0).astype(np.float32)
    shape = jnp.exp(colour * falloff[None, :])
    noise = jnp.fft.irfft(jax.lax.complex(real * shape, imaginary * shape), n=num_samples)
    low, high = config.noise_snr_db
    snr_db = jax.random.uniform(keys[2], (batch, 1), minval=low, maxval=high)
    has_noise = jax.random.bernoulli(keys[3], config.noise_probability, (batch, 1))
    level = jnp.maximum(_rms(clean), 1e-3) * _from_db(-snr_db)
    return jnp.where(has_noise, noise / _rms(noise) * level, 0.0)


def _rms(samples: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(samples), axis=1, keepdims=True))


def _from_db(decibels: jax.Array) -> jax.Array:
    return jnp.power(jnp.float32(10.0), decibels / 20)


def make_prepare(
    num_samples: int, sample_rate: int, config: AugmentationConfig | None = None
) -> Callable[[jax.Array, dict[str, jax.Array], Any], jax.Array]:
    """Makes a step's samples [B, N] of a batch's [B, L + N]: the lead-in cut off, augmented if wanted."""

    def prepare(key: jax.Array, batch: dict[str, jax.Array], resources: Any) -> jax.Array:
        if config is None:
            return batch["samples"][:, -num_samples:]
        return augment(key, batch["samples"], num_samples, sample_rate, config)

    return prepare
