"""The frame recogniser's network: a trunk that treats all pitches alike, and heads that read it.

Not part of MT3. Weights are shared over pitches, so every note teaches all 88 keys, and a fifth as many
examples are enough (docs/experiments.md). The trunk looks at log-frequency spectra (`audio.logfrequency`)
through blocks of one harmonic layer and two small convolutions (`model.pitch_convolution`), then along time
both ways through a gated recurrence. Its heads say, for each pitch and frame, whether a note begins, sounds
or ends, and how many cents it is off; where there is a head for it, also whether the sustain pedal is down.
Drums have a network of their own on spectra that are finer in time.

Source: HPPNet (arXiv 2208.14819), Harmonica (arXiv 2609.04640); the recurrence is the minimal gated unit
without a hidden state in its gates (arXiv 2410.01201).

B segments, F pitch frames, T = F / 2 trunk frames, R rows of the spectra, P = 88 pitches, C channels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.model.pitch_convolution import HARMONIC_SHIFTS, convolve, mix_harmonics
from mt3x.music.checks import check_at_least

NUM_PITCHES, LOWEST_PITCH = 88, 21
"""The piano's keys; row r is MIDI pitch r + 21."""

DRUM_KEYS = tuple(range(35, 82))
"""General MIDI's percussion keys, one column each in the drums' roll."""

FRAMES_PER_TRUNK_FRAME = 2

_RARE_LOGIT, _COMMON_LOGIT = -5.0, -2.5  # about the share of cells with an onset, and of those that sound
_PEDAL_LOGIT = -1.0


@dataclass(frozen=True)
class TrunkConfig:
    """Sizes.

    Attributes:
      channels: C, of the trunk; num_blocks: of them.
      patch_channels: of the first layer, which reads the spectra.
      recurrent_channels: of the recurrence, each way.
      roll_width: of the layer before the rolls.
      note_width: of the head that classifies onset candidates.
      pedal_width: of the head for the sustain pedal; 0 for none, as in weights that were written before it.
      drum_channels: of the drums' two convolutions over time and frequency; drum_width: of their layers over
        time.

    Raises:
      ValueError: a size below 1, a pedal_width below 0, or a note_width that is not a multiple of 4.
    """

    channels: int = 32
    num_blocks: int = 3
    patch_channels: int = 64
    recurrent_channels: int = 24
    roll_width: int = 64
    note_width: int = 128
    drum_channels: tuple[int, int] = (16, 32)
    drum_width: int = 96
    pedal_width: int = 0

    def __post_init__(self) -> None:
        # A config read from JSON has a list.
        object.__setattr__(self, "drum_channels", tuple(self.drum_channels))
        check_at_least(
            1,
            channels=self.channels,
            num_blocks=self.num_blocks,
            patch_channels=self.patch_channels,
            recurrent_channels=self.recurrent_channels,
            roll_width=self.roll_width,
            drum_width=self.drum_width,
        )
        check_at_least(0, pedal_width=self.pedal_width)
        if len(self.drum_channels) != 2 or min(self.drum_channels) < 1:
            raise ValueError(f"drum_channels is {self.drum_channels}; give two sizes of at least 1")
        if self.note_width < 4 or self.note_width % 4:
            raise ValueError(f"note_width is {self.note_width}; it must be a multiple of 4, at least 4")

    @property
    def feature_channels(self) -> int:
        """Channels of the trunk's features."""
        return self.channels + 2 * self.recurrent_channels


class Rolls(NamedTuple):
    """Logits float32 [B, F, 88] of a note's onset, of its sounding and of its offset, and `cents` float32
    [B, T, 88]: how far from the pitch it sounds, -100 to 100. `pedal` float32 [B, T]: logits of a sustain
    pedal that is down; None of a network without a head for it.
    """

    onset: jax.Array
    active: jax.Array
    offset: jax.Array
    cents: jax.Array
    pedal: jax.Array | None = None


class Block(nn.Module):
    """A harmonic layer and two convolutions, both added to what came in."""

    channels: int
    dilation: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size = self.channels
        kernel = self.param("harmonics", _variance(1.0, (0, 1)), (len(HARMONIC_SHIFTS), size, size))
        x = x + nn.relu(mix_harmonics(nn.LayerNorm(epsilon=1e-3, name="harmonics_norm")(x), kernel))
        y = nn.LayerNorm(epsilon=1e-3, name="convolution_norm")(x)
        first = self.param("first", _variance(2.0, (0, 1, 2)), (3, 3, size, size))
        second = self.param("second", _variance(0.25, (0, 1, 2)), (3, 3, size, size))
        first_bias, second_bias = (
            self.param(f"{name}_bias", nn.initializers.zeros, (size,)) for name in ("first", "second")
        )
        y = nn.relu(convolve(y, first, 1) + first_bias[None, None, None])
        return x + convolve(y, second, self.dilation) + second_bias[None, None, None]


def _variance(gain: float, inputs: tuple[int, ...]) -> nn.initializers.Initializer:
    """Normal values whose variance is gain over the number of inputs, the product of these axes."""

    def initialize(key: jax.Array, shape: tuple[int, ...], dtype: type = jnp.float32) -> jax.Array:
        count = 1
        for axis in inputs:
            count *= shape[axis]
        return jax.random.normal(key, shape, dtype) * (gain / count) ** 0.5

    return initialize


class Trunk(nn.Module):
    """Spectra -> features and rolls."""

    config: TrunkConfig

    @nn.compact
    def __call__(self, spectra: jax.Array) -> tuple[jax.Array, Rolls]:
        """Features float32 [B, T, 88, `feature_channels`] and rolls.

        Args:
          spectra: float32 [B, F, 3 R + 6, 2] of `audio.logfrequency`; F is even.
        """
        config = self.config
        patch = nn.Conv(config.patch_channels, (6, 9), (2, 3), ((2, 2), (0, 0)), name="patch")
        x = nn.relu(patch(spectra))  # [B, T, R, E]
        x = nn.Dense(config.channels, name="embed")(x)
        for index in range(config.num_blocks):
            x = Block(config.channels, 2 ** min(index, 3), name=f"block_{index}")(x)
        x = nn.LayerNorm(epsilon=1e-3, name="final_norm")(x[:, :, :NUM_PITCHES])
        size = config.recurrent_channels
        gates = nn.Dense(2 * size, bias_init=nn.initializers.constant(1.5), name="forget")(x)
        values = nn.Dense(2 * size, name="candidate")(x)
        keep, values = nn.sigmoid(gates), jnp.tanh(values)
        forward = _recur(keep[..., :size], values[..., :size], reverse=False)
        backward = _recur(keep[..., size:], values[..., size:], reverse=True)
        features = jnp.concatenate([x, forward, backward], axis=-1)
        return features, self._read(features)

    def _read(self, features: jax.Array) -> Rolls:
        x = nn.relu(nn.Dense(self.config.roll_width, name="roll_hidden")(features))

        def read(name: str, logit: float) -> jax.Array:
            y = nn.Dense(FRAMES_PER_TRUNK_FRAME, bias_init=nn.initializers.constant(logit), name=name)(x)
            y = jnp.moveaxis(y, -1, 2)  # [B, T, 2, P]
            return y.reshape(len(y), -1, NUM_PITCHES)

        cents = 100 * jnp.tanh(nn.Dense(1, name="cents")(x)[..., 0])
        return Rolls(
            read("onset", _RARE_LOGIT),
            read("active", _COMMON_LOGIT),
            read("offset", _RARE_LOGIT),
            cents,
            self._read_pedal(features) if self.config.pedal_width else None,
        )

    def _read_pedal(self, features: jax.Array) -> jax.Array:
        x = jnp.concatenate([jnp.mean(features, axis=2), jnp.max(features, axis=2)], axis=-1)  # [B, T, 2 C]
        x = nn.relu(nn.Dense(self.config.pedal_width, name="pedal_hidden")(x))
        return nn.Dense(1, bias_init=nn.initializers.constant(_PEDAL_LOGIT), name="pedal")(x)[..., 0]


def _recur(keep: jax.Array, values: jax.Array, reverse: bool) -> jax.Array:
    """h = keep * h + (1 - keep) * value along time, from 0: float32 [B, T, P, H]."""
    shape = jnp.moveaxis(keep, 1, 0).shape  # [T, B, P, H]; the loop runs over one flat row a frame
    keep, new = (jnp.moveaxis(x, 1, 0).reshape(shape[0], -1) for x in (keep, (1 - keep) * values))

    def step(state: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        state = now[0] * state + now[1]
        return state, state

    states = jax.lax.scan(step, jnp.zeros(keep.shape[1]), (keep, new), reverse=reverse)[1]
    return jnp.moveaxis(states.reshape(shape), 0, 1)


class DrumNetwork(nn.Module):
    """The drums' spectra [B, 2 F, bands] -> logits of hits, float32 [B, 2 F, len(DRUM_KEYS)]."""

    config: TrunkConfig

    @nn.compact
    def __call__(self, spectra: jax.Array) -> jax.Array:
        first, second = self.config.drum_channels
        x = spectra[..., None]
        x = nn.relu(nn.Conv(first, (5, 7), (1, 2), name="first")(x))
        x = nn.LayerNorm(epsilon=1e-3, name="first_norm")(x)
        x = nn.relu(nn.Conv(second, (3, 3), (1, 2), name="second")(x))
        x = x.reshape(*x.shape[:2], -1)
        x = nn.Dense(self.config.drum_width, name="embed")(x)
        for index, dilation in enumerate((1, 2, 4, 8, 16)):
            y = nn.LayerNorm(epsilon=1e-3, name=f"norm_{index}")(x)
            y = nn.Conv(self.config.drum_width, (3,), kernel_dilation=(dilation,), name=f"time_{index}")(y)
            x = x + nn.Dense(self.config.drum_width, name=f"mix_{index}")(nn.relu(y))
        x = nn.LayerNorm(epsilon=1e-3, name="final_norm")(x)
        return nn.Dense(len(DRUM_KEYS), bias_init=nn.initializers.constant(_RARE_LOGIT - 1), name="hits")(x)
