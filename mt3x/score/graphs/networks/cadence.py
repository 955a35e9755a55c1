"""Cadences: a class for each note, decided together by all notes that start at once.

Conventions as in network.py. Source: GraphMuse's CadenceGNN (Karystinaios and Widmer 2024), which returns
probabilities; these are logits, as the losses want them.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.score.graphs.networks.hetero import Edges, Features, Hops, Metadata
from mt3x.score.graphs.networks.hybrid import JoinedReading
from mt3x.score.graphs.networks.layers import NormMlp, masked_head, neighbour_mean, rows_at
from mt3x.score.graphs.networks.network import MetricalGNN


def onset_groups(piece: jax.Array, onset: jax.Array) -> jax.Array:
    """A number for each (piece, onset), in their order: int32 [N] from piece and onset, int [N]."""
    order = jnp.lexsort((onset, piece))
    piece, onset = rows_at(piece, order), rows_at(onset, order)
    differs = (piece[1:] != piece[:-1]) | (onset[1:] != onset[:-1])
    group = jnp.cumsum(differs.astype(jnp.int32))
    return jnp.zeros(len(order), jnp.int32).at[order[1:]].set(group)  # the first one's is 0


class CadenceGNN(nn.Module):
    """MetricalGNN of width H // 2; the mean over notes of an onset, LayerNorm, NormMlp, a classifier a note.

    Attributes:
      hidden_channels: H. output_channels: C, classes.
      longest: with a number a GRU over each piece's notes joins in (GraphMuse's hybrid); no piece may have
        more target notes. 0: without.
      others: see MetricalGNN.
    """

    hidden_channels: int
    output_channels: int
    num_layers: int
    metadata: Metadata
    dropout: float = 0.5
    fast: bool = False
    longest: int = 0

    @nn.compact
    def __call__(
        self,
        features: Features,
        edges: Edges,
        piece: jax.Array,
        num_pieces: int,
        onset: jax.Array,
        hops: Hops | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """Features {type: [N, D]}, edges {type: [2, E]}, piece, onset int32 [N_note] -> logits [N_note, C].

        With `fast` only notes of hop 0. Raises as MetricalGNN.
        """
        width = self.hidden_channels // 2
        if self.fast and hops is not None:
            piece = piece[: hops.nodes["note"][0]]
        is_target = (piece >= 0) & (piece < num_pieces)
        gnn = MetricalGNN(
            self.hidden_channels, width, self.num_layers, self.metadata, self.dropout, self.fast, name="gnn"
        )
        x = gnn(features, edges, is_target, hops, deterministic)  # [N, H / 2]
        if self.longest:
            join = JoinedReading(width, self.longest, 2, self.dropout, name="reading")
            x = join(x, features["note"], piece, num_pieces, deterministic)
        group = onset_groups(piece, onset[: len(x)])
        pooled = nn.LayerNorm(name="pool_norm")(neighbour_mean(x, group, len(x)))  # [groups, H / 2]
        pooled = NormMlp(width, width, self.dropout, name="pool_mlp")(pooled, deterministic)
        widths = (self.hidden_channels // 4, self.output_channels)
        return masked_head(rows_at(pooled, group), is_target, widths, self.dropout, deterministic)
