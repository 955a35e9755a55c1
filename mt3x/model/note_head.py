"""Classifies onset candidates: whether each is a note, which program plays it, and how hard.

Not part of MT3. The peaks of a roll of onsets (`model.trunk`) are notes and much that is none: harmonics,
echoes, the same note twice. Here each candidate's features are read closely, then compared with those of the
others of its segment.

Letters: B segments, Q onset candidates (fewer are padded).
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

NUM_PROGRAMS = 128

_REACH = 32
"""Semitones, and steps of time, up to which distances of notes are told apart."""

_TIME_STEP_SECONDS = 0.0625


class Classification(NamedTuple):
    """Logits, float32: `is_note` [B, Q]; `programs` [B, Q, 128], General MIDI's; `velocity` [B, Q], of its
    share of 127.
    """

    is_note: jax.Array
    programs: jax.Array
    velocity: jax.Array


class NoteHead(nn.Module):
    """Features, onsets and pitches of candidates -> their classification."""

    width: int
    num_layers: int = 2
    num_heads: int = 4

    @nn.compact
    def __call__(
        self,
        patches: jax.Array,
        features: jax.Array,
        onset: jax.Array,
        pitch: jax.Array,
        is_place: jax.Array,
    ) -> Classification:
        """The classification of each candidate.

        Args:
          patches: float [B, Q, ...], the spectrum of each, all of one size; features: float [B, Q, E], what
            else is known of it.
          onset: float [B, Q], seconds; pitch: int [B, Q], 0 to 127.
          is_place: bool [B, Q], False for padding, which changes nothing elsewhere.
        """
        table = self.param("pitch_table", nn.initializers.zeros, (128, 2 * self.width), jnp.float32)
        known = jnp.concatenate(
            [patches.reshape(*patches.shape[:2], -1), features, _simultaneous_onsets(onset, pitch, is_place)],
            axis=-1,
        )
        # "hear" and the tables named "nearness" are the names of weights that ship.
        x = nn.gelu(nn.Dense(2 * self.width, name="hear")(known) + table[pitch])
        x = nn.Dense(self.width, name="compress")(x)
        bias = self._relative_position_bias(onset, pitch)
        mask = is_place[:, jnp.newaxis, jnp.newaxis, :]  # [B, 1, 1, Q]
        by_head = (*pitch.shape, self.num_heads, self.width // self.num_heads)
        for index in range(self.num_layers):
            y = nn.LayerNorm(name=f"attention_norm_{index}")(x)
            joined = nn.Dense(3 * self.width, name=f"attention_in_{index}")(y)
            query, key, value = (part.reshape(by_head) for part in jnp.split(joined, 3, axis=-1))
            y = jax.nn.dot_product_attention(query, key, value, bias, mask)
            x = x + nn.Dense(self.width, name=f"attention_out_{index}")(y.reshape(x.shape))
            y = nn.LayerNorm(name=f"mlp_norm_{index}")(x)
            y = nn.gelu(nn.Dense(3 * self.width, name=f"mlp_in_{index}")(y))
            x = x + nn.Dense(self.width, name=f"mlp_out_{index}")(y)
        x = nn.LayerNorm(name="final_norm")(x)
        return Classification(
            nn.Dense(1, name="is_note")(x)[..., 0],
            nn.Dense(NUM_PROGRAMS, name="programs")(x),
            nn.Dense(1, name="velocity")(x)[..., 0],
        )

    def _relative_position_bias(self, onset: jax.Array, pitch: jax.Array) -> jax.Array:
        """What attention adds for how far notes are apart in pitch and time: float32 [B, heads, Q, Q].

        What lies close is often played by the same instrument.
        """

        def table(name: str, distance: jax.Array, reach: int) -> jax.Array:
            values = self.param(name, nn.initializers.zeros, (2 * reach + 1, self.num_heads), jnp.float32)
            return values[jnp.clip(distance, -reach, reach) + reach]

        steps = jnp.rint(_differences(onset) / _TIME_STEP_SECONDS).astype(jnp.int32)
        bias = table("pitch_nearness", _differences(pitch), _REACH) + table("time_nearness", steps, _REACH)
        return jnp.moveaxis(bias, -1, 1)


def _differences(x: jax.Array) -> jax.Array:
    """[B, Q] -> [B, Q, Q]: how much more the second has than the first."""
    return x[:, jnp.newaxis, :] - x[:, :, jnp.newaxis]


def _simultaneous_onsets(onset: jax.Array, pitch: jax.Array, is_place: jax.Array) -> jax.Array:
    """How many others begin with each (within 50 ms), by their distance: float32 [B, Q, 2 * _REACH + 1]."""
    distance = jnp.clip(_differences(pitch), -_REACH, _REACH)  # [B, Q, Q]
    is_together = jnp.abs(_differences(onset)) < 0.05
    counts = is_together & is_place[:, jnp.newaxis, :]
    by_distance = jax.nn.one_hot(distance + _REACH, 2 * _REACH + 1, dtype=jnp.float32)
    return jnp.sum(by_distance * counts[..., jnp.newaxis].astype(jnp.float32), axis=2)
