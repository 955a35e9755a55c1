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
from mt3x.score.graphs.networks.stack import LayerStack


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


class Hybrid(nn.Module):
    """An encoder of graphs beside a GRU; subclasses choose both.

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
        encoded = self.make_encoder()(features, edges, hops if self.fast else None, deterministic)
        layers = self.gru_layers
        join = JoinedReading(self.hidden_channels, self.longest, layers, self.dropout, name="reading")
        return join(encoded, features["note"], piece, num_pieces, deterministic)

    def make_encoder(self) -> LayerStack:
        """The encoder, to be named `encoder`."""
        raise NotImplementedError

    @property
    def gru_layers(self) -> int:
        """Layers of the GRU."""
        raise NotImplementedError


class HybridGNN(Hybrid):
    """GraphEncoder beside a GRU of two layers. Attributes as Hybrid."""

    @property
    def gru_layers(self) -> int:
        return 2

    def make_encoder(self) -> GraphEncoder:
        sizes = (self.hidden_channels, self.num_layers, self.metadata)
        return GraphEncoder(*sizes, self.dropout, self.use_jk, name="encoder")


class HybridHGT(Hybrid):
    """HgtEncoder beside a GRU of as many layers.

    Attributes:
      num_heads: of attention. Others: see Hybrid.
    """

    num_heads: int = 4

    @property
    def gru_layers(self) -> int:
        return self.num_layers

    def make_encoder(self) -> HgtEncoder:
        sizes = (self.hidden_channels, self.num_layers, self.metadata)
        return HgtEncoder(*sizes, self.dropout, self.use_jk, self.num_heads, name="encoder")
