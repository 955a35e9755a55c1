"""Networks that read score graphs: the SAGE stack, MetricalGNN, and PitchSpellingGNN on it.

Conventions: graphs as in hetero.py, padding as in layers.py; `piece` is int32 [N_note], the piece of a batch
that a note is a target of, outside of 0 .. num_pieces - 1 for padding (and for notes that are there only as
neighbours). Collections: "params" and "batch_stats"; training draws from the rng "dropout" and updates
"batch_stats" (`deterministic=False, mutable=["batch_stats"]`).

Source: GraphMuse (Karystinaios and Widmer 2024); what differs is said where it does. The numbers of input
features are read off the first graph and are no arguments.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mt3x.score.graphs.batch import GraphBatch
from mt3x.score.graphs.labels import NUM_KEYS, NUM_SPELLINGS
from mt3x.score.graphs.networks.hetero import (
    Edges,
    Features,
    HeteroConv,
    HeteroSage,
    Hops,
    Metadata,
)
from mt3x.score.graphs.networks.layers import GraphNorm, NormMlp, SageConvLayer, masked_head
from mt3x.score.graphs.networks.recurrent import PieceGru
from mt3x.score.graphs.networks.stack import LayerStack


def check_fast(fast: bool, hops: Hops | None) -> None:
    """Raises:
    ValueError: a network drops hops, but is not told of any.
    """
    if fast and hops is None:
        raise ValueError("fast drops hops: give hops, or make the network with fast=False")


class GraphEncoder(LayerStack):
    """SAGE layers over a typed graph; the first projects and normalises; ReLU before each LayerNorm."""

    def make_layer(self, layer: int) -> HeteroConv | HeteroSage:
        if layer:
            return HeteroSage(self.metadata[1], self.hidden_channels, name=f"layer_{layer}")
        sage = functools.partial(SageConvLayer, self.hidden_channels, project=True, normalize=True)
        return HeteroConv(self.metadata[1], sage, name="layer_0")

    def activate(self, x: jax.Array) -> jax.Array:
        return nn.relu(x)


class MetricalGNN(nn.Module):
    """GraphEncoder, then for each note linear, ReLU, BatchNorm, dropout, linear.

    Attributes:
      output_channels: O.
      fast: before each layer, drop the hops that it does not need. The call needs `hops`, and gives the notes
        of hop 0 alone.
      others: see LayerStack.
    """

    hidden_channels: int
    output_channels: int
    num_layers: int
    metadata: Metadata
    dropout: float = 0.5
    fast: bool = False
    use_jk: bool = False

    @nn.compact
    def __call__(
        self,
        features: Features,
        edges: Edges,
        note_mask: jax.Array | None = None,
        hops: Hops | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """Features {type: [N, D]}, edges {type: [2, E]} -> [N_note, O], with `fast` those of hop 0.

        note_mask: bool, as many as there are results; those that BatchNorm counts. None: all of them.
        hops: used where `fast` is set.

        Raises:
          ValueError: `fast` without hops, or a graph that lacks a type of the metadata.
        """
        check_fast(self.fast, hops)
        encoder = GraphEncoder(
            self.hidden_channels, self.num_layers, self.metadata, self.dropout, self.use_jk, name="encoder"
        )
        x = encoder(features, edges, hops if self.fast else None, deterministic)  # [N_note, H]
        widths = (self.hidden_channels, self.output_channels)
        return masked_head(x, note_mask, widths, self.dropout, deterministic)  # [N_note, O]


class PitchSpellingGNN(nn.Module):
    """Spells each note and names the key signature around it: the key head reads the spelling's logits too.

    MetricalGNN gives E values a note, GraphNorm normalises them over each piece, two NormMlps of width
    E // 2 read them.

    Attributes:
      encoding_channels: E.
      longest: with a number, GRUs over the notes of each piece join in, before the spelling and before the
        key (GraphMuse's add_seq); no piece may have more target notes. 0: without.
      others: see MetricalGNN.
    """

    hidden_channels: int
    encoding_channels: int
    num_layers: int
    metadata: Metadata
    dropout: float = 0.5
    fast: bool = False
    use_jk: bool = False
    longest: int = 0

    @nn.compact
    def __call__(
        self,
        features: Features,
        edges: Edges,
        piece: jax.Array,
        num_pieces: int,
        hops: Hops | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, jax.Array]:
        """Features {type: [N, D]}, edges {type: [2, E]}, piece int32 [N_note] -> logits, float32.

        piece: with `fast` the first rows are read, those of hop 0. num_pieces: in the batch, a plain number.

        Returns:
          spellings [N_note, 35] and key signatures [N_note, 15], in the order of mt3x.score.graphs.labels.

        Raises:
          ValueError: as MetricalGNN.
        """
        width = self.encoding_channels
        if self.fast and hops is not None:
            piece = piece[: hops.nodes["note"][0]]
        gnn = MetricalGNN(
            self.hidden_channels,
            width,
            self.num_layers,
            self.metadata,
            self.dropout,
            self.fast,
            self.use_jk,
            name="gnn",
        )
        is_target = (piece >= 0) & (piece < num_pieces)
        x = gnn(features, edges, is_target, hops, deterministic)  # [N_note, E]
        x = GraphNorm(name="piece_norm")(x, piece, num_pieces)
        if self.longest:
            heard = self._read_in_order("notes", features["note"][: len(piece)], piece, num_pieces, width)
            x = nn.Dense(width, name="join")(jnp.concatenate([x, heard], axis=-1))  # [N, 2E] -> [N, E]
        spelling = NormMlp(width // 2, NUM_SPELLINGS, self.dropout, name="spelling")(x, deterministic)
        x = jnp.concatenate([x, spelling], axis=-1)  # [N, E + 35]
        if self.longest:
            x = self._read_in_order("keys", x, piece, num_pieces, x.shape[-1])
        return spelling, NormMlp(width // 2, NUM_KEYS, self.dropout, name="key")(x, deterministic)

    def _read_in_order(
        self, name: str, x: jax.Array, piece: jax.Array, num_pieces: int, width: int
    ) -> jax.Array:
        """GRU over pieces, LayerNorm, linear: [N, D] -> [N, width]."""
        gru = PieceGru(self.hidden_channels, self.longest, name=f"{name}_gru")
        x = nn.LayerNorm(name=f"{name}_norm")(gru(x, piece, num_pieces))
        return nn.Dense(width, name=f"{name}_out")(x)


def spell_batch(network: PitchSpellingGNN, variables: Any, batch: GraphBatch, **options: Any) -> Any:
    """What `network.apply` returns for a batch: spellings and keys; `options` are those of flax."""
    return network.apply(
        variables,
        batch.features,
        batch.edges,
        batch.target_piece,
        batch.num_pieces,
        batch.hops,
        **options,
    )
