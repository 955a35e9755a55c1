"""Recurrent readings: of a piece's notes in their order (GRU), of a node's values after each layer (LSTM).

Conventions: notes are rows [N, D] with an int piece [N], outside of 0 .. num_pieces - 1 for padding; the
notes of a piece are in its order but need not be next to each other. Letters as in layers.py; P pieces, T
longest piece, L layers.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.score.graphs.networks.layers import rows_at


def places_in_piece(piece: jax.Array, num_pieces: int) -> tuple[jax.Array, jax.Array]:
    """piece int32 [N] -> (place of each note in its piece, int32 [N]; notes of each piece, int32 [P])."""
    member = (piece[:, jnp.newaxis] == jnp.arange(num_pieces)[jnp.newaxis]).astype(jnp.int32)  # [N, P]
    before = jnp.cumsum(member, axis=0) - member
    return jnp.sum(before * member, axis=1), jnp.sum(member, axis=0)


class PieceGru(nn.Module):
    """A bidirectional GRU over the notes of each piece.

    Attributes:
      features: of both directions together, even.
      longest: T, the most notes that a piece may have. Notes after them are not read and get 0.
      num_layers, dropout: of stacked GRUs, with dropout between them.
    """

    features: int
    longest: int
    num_layers: int = 1
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: jax.Array, piece: jax.Array, num_pieces: int, deterministic: bool = True
    ) -> jax.Array:
        """x [N, D], piece int32 [N] of P = num_pieces -> [N, features]; 0 at padding."""
        place, length = places_in_piece(piece, num_pieces)
        is_note = (piece >= 0) & (piece < num_pieces) & (place < self.longest)  # [N]
        row = jnp.where(is_note, piece * self.longest + place, num_pieces * self.longest)
        sequences = jnp.zeros((num_pieces * self.longest, x.shape[-1]), x.dtype)
        sequences = sequences.at[row].set(x, mode="drop").reshape(num_pieces, self.longest, -1)  # [P, T, D]
        for layer in range(self.num_layers):
            if layer:
                sequences = nn.Dropout(self.dropout)(sequences, deterministic=deterministic)
            cells = [nn.GRUCell(self.features // 2, name=f"{way}_{layer}") for way in ("forward", "backward")]
            both = nn.Bidirectional(nn.RNN(cells[0]), nn.RNN(cells[1]), name=f"both_{layer}")
            lengths = jnp.minimum(length, self.longest)
            sequences: Any = both(sequences, seq_lengths=lengths)  # [P, T, features]
        read = rows_at(sequences.reshape(-1, sequences.shape[-1]), row)  # [N, features]
        return jnp.where(is_note[:, jnp.newaxis], read, 0.0)


class JumpingKnowledge(nn.Module):
    """A node's values after each layer, weighted by a bidirectional LSTM over layers (arXiv 1806.03536)."""

    @nn.compact
    def __call__(self, by_layer: Sequence[jax.Array]) -> jax.Array:
        """L arrays [N, H], of which extra rows are cut off -> [N, H]. The LSTM has L * H // 2 units a way."""
        rows = len(by_layer[-1])
        x = jnp.stack([values[:rows] for values in by_layer], axis=1)  # [N, L, H]
        units = x.shape[1] * x.shape[2] // 2
        cells = [nn.OptimizedLSTMCell(units, name=way) for way in ("forward", "backward")]
        read = nn.Bidirectional(nn.RNN(cells[0]), nn.RNN(cells[1]), name="both")(x)  # [N, L, 2 * units]
        weights = nn.softmax(nn.Dense(1, name="weigh")(read), axis=1)  # [N, L, 1]
        return jnp.sum(x * weights, axis=1)
