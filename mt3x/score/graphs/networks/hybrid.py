"""Hybrids: a graph network beside a GRU that reads each piece's notes in their order, joined note by note.

Conventions as in network.py. Source: GraphMuse's HybridGNN and HybridHGT (Karystinaios and Widmer 2024).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.score.graphs.networks.hetero import Edges, Features, Hops, Metadata
from mt3x.score.graphs.networks.hgt import HgtEncoder
from mt3x.score.graphs.networks.layers import NormMlp
from mt3x.score.graphs.networks.network import GraphEncoder, check_fast
from mt3x.score.graphs.networks.recurrent import PieceGru


class JoinedReading(nn.Module):
    """PieceGru, LayerNorm and NormMlp beside an encoding, and a linear layer of both.

    Attributes:
      hidden_channels: H. longest: see PieceGru. num_layers: of the GRU.
    """

    hidden_channels: int
    longest: int
    num_layers: int
    dropout: float

    @nn.compact
    def __call__(
        self, encoded: jax.Array, notes: jax.Array, piece: jax.Array, num_pieces: int, deterministic: bool
    ) -> jax.Array:
        """encoded [N, H], notes [N, D] (more rows are not read), piece int32 [N] likewise -> [N, H]."""
        width, rows = self.hidden_channels, len(encoded)
        gru = PieceGru(width, self.longest, self.num_layers, self.dropout, name="gru")
        read = gru(notes[:rows], piece[:rows], num_pieces, deterministic)  # [N, H]
        read = NormMlp(width, width, self.dropout, name="mlp")(nn.LayerNorm(name="norm")(read), deterministic)
        return nn.Dense(width, name="join")(jnp.concatenate([read, encoded], axis=-1))  # [N, 2H] -> [N, H]


class HybridGNN(nn.Module):
    """GraphEncoder beside a GRU of two layers.

    Attributes:
      longest: the most target notes of a piece.
      others: see MetricalGNN.
    """

    hidden_channels: int
    num_layers: int
    metadata: Metadata
    longest: int
    dropout: float = 0.5
    fast: bool = False
    use_jk: bool = False

    @nn.compact
    def __call__(
        self,
        features: Features,
        edges: Edges,
        piece: jax.Array,
        num_pieces: int,
        hops: Hops | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """Features {type: [N, D]}, edges {type: [2, E]}, piece int32 [N_note] -> [N_note, H].

        With `fast` only notes of hop 0. Raises as MetricalGNN.
        """
        check_fast(self.fast, hops)
        width = self.hidden_channels
        encoder = GraphEncoder(
            width, self.num_layers, self.metadata, self.dropout, self.use_jk, name="encoder"
        )
        encoded = encoder(features, edges, hops if self.fast else None, deterministic)
        join = JoinedReading(width, self.longest, 2, self.dropout, name="reading")
        return join(encoded, features["note"], piece, num_pieces, deterministic)


class HybridHGT(nn.Module):
    """HgtEncoder beside a GRU of as many layers.

    Attributes:
      num_heads: of attention. Others: see HybridGNN.
    """

    hidden_channels: int
    num_layers: int
    metadata: Metadata
    longest: int
    num_heads: int = 4
    dropout: float = 0.5
    fast: bool = False
    use_jk: bool = False

    @nn.compact
    def __call__(
        self,
        features: Features,
        edges: Edges,
        piece: jax.Array,
        num_pieces: int,
        hops: Hops | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """As HybridGNN."""
        check_fast(self.fast, hops)
        width = self.hidden_channels
        encoder = HgtEncoder(
            width,
            self.num_layers,
            self.metadata,
            self.num_heads,
            self.dropout,
            self.use_jk,
            name="encoder",
        )
        encoded = encoder(features, edges, hops if self.fast else None, deterministic)
        join = JoinedReading(width, self.longest, self.num_layers, self.dropout, name="reading")
        return join(encoded, features["note"], piece, num_pieces, deterministic)
