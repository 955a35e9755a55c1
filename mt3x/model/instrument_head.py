"""Which class of instruments plays each note, from what the notes of a segment sound like.

Not part of MT3. Its decoder names an instrument when it changes, by what it remembers of the whole segment:
a small network learns that last, and calls a flute above a piano a piano. Here each note is looked at where
it sounds, then compared with the others of its segment. Notes are those that the decoder wrote.

Letters: B segments, Q notes (fewer are padded), C classes.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.model.config import TransformerConfig
from mt3x.model.layers import Attention, Mlp, RMSNorm

NUM_CLASSES = 16
"""General MIDI's classes of eight programs."""

_REACH = 36
"""Semitones in which other notes are told apart; those further away count as this far."""


class InstrumentHead(nn.Module):
    """Patches, onsets and pitches of notes -> logits of their classes."""

    width: int
    num_layers: int = 2
    num_heads: int = 4

    @nn.compact
    def __call__(
        self, patches: jax.Array, onset: jax.Array, pitch: jax.Array, is_note: jax.Array
    ) -> jax.Array:
        """Logits float32 [B, Q, C].

        Args:
          patches: float [B, Q, ...], what each note sounds like, all of one size.
          onset: float [B, Q], seconds; pitch: int [B, Q], 0 to 127.
          is_note: bool [B, Q], False where a place is empty: it changes nothing elsewhere.
        """
        table = self.param("pitch_table", nn.initializers.zeros, (128, 2 * self.width), jnp.float32)
        heard = jnp.concatenate(
            [patches.reshape(*patches.shape[:2], -1), _company(onset, pitch, is_note)], axis=-1
        )
        x = nn.gelu(nn.Dense(2 * self.width, name="hear")(heard) + table[pitch])
        x = nn.Dense(self.width, name="compress")(x)
        sizes = TransformerConfig(
            emb_dim=self.width,
            num_heads=self.num_heads,
            head_dim=self.width // self.num_heads,
            mlp_dim=2 * self.width,
            dropout_rate=0.0,
        )
        seen = is_note[:, jnp.newaxis, jnp.newaxis, :]  # [B, 1, 1, Q]
        for index in range(self.num_layers):
            attention = Attention(sizes, name=f"attention_{index}")
            y = RMSNorm(name=f"attention_norm_{index}")(x)
            x = x + attention(y, attention.keys_values(y), seen)
            y = RMSNorm(name=f"mlp_norm_{index}")(x)
            x = x + Mlp(sizes, name=f"mlp_{index}")(y, True)
        return nn.Dense(NUM_CLASSES, name="classes")(RMSNorm(name="final_norm")(x))


def _company(onset: jax.Array, pitch: jax.Array, is_note: jax.Array) -> jax.Array:
    """How many notes begin with each (within 50 ms), by their distance: float32 [B, Q, 2 * _REACH + 1]."""
    distance = jnp.clip(pitch[:, jnp.newaxis, :] - pitch[:, :, jnp.newaxis], -_REACH, _REACH)  # [B, Q, Q]
    is_together = jnp.abs(onset[:, jnp.newaxis, :] - onset[:, :, jnp.newaxis]) < 0.05
    counts = is_together & is_note[:, jnp.newaxis, :]
    by_distance = jax.nn.one_hot(distance + _REACH, 2 * _REACH + 1, dtype=jnp.float32)
    return jnp.sum(by_distance * counts[..., jnp.newaxis].astype(jnp.float32), axis=2)
