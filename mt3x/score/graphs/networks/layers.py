"""The building blocks of networks on score graphs: SAGE, MusGConv, the metrical convolution, GraphNorm.

Conventions: nodes are rows, float32 [N, D]; edges are int32 [2, E], row 0 the sources, row 1 the targets, and
messages flow from source to target. An edge whose target is outside of the target's rows is padding: it
changes nothing, whatever its source. Letters: N nodes, E edges, M metrical nodes (beats or measures), D width
in, H width out.

Source: GraphMuse (Karystinaios and Widmer 2024) and the PyTorch Geometric layers that it is made of. Kernels
start as Flax starts them (LeCun normal, zero bias) where they start there from a uniform distribution.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

NORM_EPSILON = 1e-6
GRAPH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.9
"""The running average's own share at each step. PyTorch counts the other share, 0.1."""

AGGREGATIONS = ("cat", "add", "mul")

_xavier = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")  # for a ReLU: gain sqrt(2)


def rows_at(x: jax.Array, indices: jax.Array) -> jax.Array:
    """Rows of x [N, ...] at int indices [E]: [E, ...]. Padding reads some row, which nobody reads on."""
    return jnp.take(x, indices, axis=0, mode="clip")


def neighbour_sum(messages: jax.Array, targets: jax.Array, num_targets: int) -> jax.Array:
    """Sum of the messages [E, D] that arrive at each target: [num_targets, D]; padding is left out."""
    return jax.ops.segment_sum(messages, targets, num_targets)


def neighbour_mean(messages: jax.Array, targets: jax.Array, num_targets: int) -> jax.Array:
    """Mean of the messages [E, D] that arrive at each target: [num_targets, D], 0 where none does."""
    count = neighbour_sum(jnp.ones_like(messages[:, :1]), targets, num_targets)  # [N, 1]
    return neighbour_sum(messages, targets, num_targets) / jnp.maximum(count, 1.0)


def unit_rows(x: jax.Array) -> jax.Array:
    """Rows of x [N, D], divided by their length. The epsilon keeps the gradient at a zero row finite."""
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + NORM_EPSILON)


class SageConvLayer(nn.Module):
    """GraphSAGE: W_l mean(neighbours) + b + W_r x.

    Attributes:
      output_channels: H.
      project: the sources go through a linear layer and ReLU first, as in a network's first layer.
      normalize: the result's rows get length 1.
      aggregate: neighbour_mean or neighbour_sum.
    """

    output_channels: int
    project: bool = False
    normalize: bool = False
    aggregate: Callable[[jax.Array, jax.Array, int], jax.Array] = neighbour_mean

    @nn.compact
    def __call__(self, sources: jax.Array, targets: jax.Array, edges: jax.Array) -> jax.Array:
        """sources [N_s, D], targets [N, D'], edges int [2, E] -> [N, H]. For one node type give it twice."""
        if self.project:
            sources = nn.relu(nn.Dense(sources.shape[-1], name="project_source")(sources))  # [N_s, D]
        gathered = self.aggregate(rows_at(sources, edges[0]), edges[1], len(targets))  # [N, D]
        out = nn.Dense(self.output_channels, name="neighbours")(gathered)  # [N, H]
        out += nn.Dense(self.output_channels, use_bias=False, name="itself")(targets)
        return unit_rows(out) if self.normalize else out


class MusGConv(nn.Module):
    """A convolution whose messages know the interval between two notes (Karystinaios et al. 2024).

    An MLP reads the edge's features, or |x_target - x_source|; what it says is joined to the projected
    source; messages are summed, and a linear layer reads the sum beside the projected note.

    Attributes:
      output_channels: H.
      aggregation: "cat", "add" or "mul", how a message joins its two halves.
    """

    output_channels: int
    aggregation: str = "cat"

    @nn.compact
    def __call__(
        self, x: jax.Array, edges: jax.Array, edge_features: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """x [N, D], edges int [2, E], edge_features [E, K] -> [N, H] and what the MLP says of edges [E, H].

        The second can be the next layer's edge features.

        Raises:
          ValueError: an unknown aggregation.
        """
        if self.aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation {self.aggregation!r}: give one of {', '.join(AGGREGATIONS)}")
        if edge_features is None:
            edge_features = jnp.abs(rows_at(x, edges[1]) - rows_at(x, edges[0]))  # [E, D]
        width = self.output_channels
        x = nn.Dense(width, kernel_init=_xavier, name="project")(x)  # [N, H]
        said = nn.Dense(width, kernel_init=_xavier, name="edge_hidden")(edge_features)  # [E, H]
        said = nn.LayerNorm(name="edge_norm")(nn.relu(said))
        said = nn.Dense(width, kernel_init=_xavier, name="edge_out")(said)
        source = rows_at(x, edges[0])  # [E, H]
        if self.aggregation == "cat":
            messages = jnp.concatenate([source, said], axis=-1)  # [E, 2H]
        else:
            messages = source + said if self.aggregation == "add" else source * said
        heard = neighbour_sum(messages, edges[1], len(x))  # [N, 2H] or [N, H]
        out = nn.Dense(width, kernel_init=_xavier, name="out")(jnp.concatenate([x, heard], axis=-1))
        return out, said


class MetricalConvLayer(nn.Module):
    """Notes tell their beats or measures, which look along their sequence and tell their notes.

    Deviation: GraphMuse looks forward in a batch of one piece and both ways in one of several; here it is as
    the edges say.

    Attributes:
      output_channels: H.
      activation: on the metrical nodes, before BatchNorm and dropout.
    """

    output_channels: int
    activation: Callable[[jax.Array], jax.Array] | None = None
    dropout: float = 0.2

    @nn.compact
    def __call__(
        self,
        metrical: jax.Array,
        notes: jax.Array,
        connects: jax.Array,
        following: jax.Array,
        metrical_mask: jax.Array | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """metrical [M, D], notes [N, D'] -> [N, H].

        connects: int [2, E], (note, the metrical node that it is in). following: int [2, F], (metrical node,
        the next one). metrical_mask: bool [M], those that BatchNorm counts.
        """
        width = metrical.shape[-1]
        told = nn.Dense(width, name="tell")(notes)  # [N, D]
        told = neighbour_sum(rows_at(told, connects[0]), connects[1], len(metrical))  # [M, D]
        along = SageConvLayer(width, aggregate=neighbour_sum, name="along")(metrical, metrical, following)
        x = jnp.concatenate([told, metrical, along], axis=-1)  # [M, 3D]
        x = nn.Dense(self.output_channels, name="out")(x)  # [M, H]
        x = x if self.activation is None else self.activation(x)
        norm = nn.BatchNorm(use_running_average=deterministic, momentum=BATCH_NORM_MOMENTUM, name="norm")
        x = norm(x, mask=None if metrical_mask is None else metrical_mask[:, jnp.newaxis])
        x = nn.Dropout(self.dropout)(x, deterministic=deterministic)
        # The other way round padding leads from nowhere to a real note.
        is_edge = (connects[1] >= 0) & (connects[1] < len(metrical))
        back = jnp.where(is_edge, connects[0], len(notes))
        return neighbour_sum(rows_at(x, connects[1]), back, len(notes))


class NormMlp(nn.Module):
    """Linear, ReLU, LayerNorm, dropout, linear: [N, D] -> [N, output_channels]."""

    hidden_channels: int
    output_channels: int
    dropout: float

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        x = nn.LayerNorm(name="norm")(nn.relu(nn.Dense(self.hidden_channels, name="hidden")(x)))
        x = nn.Dropout(self.dropout)(x, deterministic=deterministic)
        return nn.Dense(self.output_channels, name="out")(x)


def masked_head(
    x: jax.Array, mask: jax.Array | None, widths: tuple[int, int], dropout: float, deterministic: bool
) -> jax.Array:
    """Linear, ReLU, BatchNorm, dropout, linear, in the module that calls it: [N, D] -> [N, widths[1]].

    Args:
      mask: bool [N], the rows that BatchNorm counts; None: all of them.
      widths: between, and of the result.
    """
    x = nn.relu(nn.Dense(widths[0], name="hidden")(x))  # [N, widths[0]]
    norm = nn.BatchNorm(use_running_average=deterministic, momentum=BATCH_NORM_MOMENTUM, name="norm")
    x = norm(x, mask=None if mask is None else mask[:, jnp.newaxis])
    x = nn.Dropout(dropout)(x, deterministic=deterministic)
    return nn.Dense(widths[1], name="out")(x)


class GraphNorm(nn.Module):
    """Normalises each feature over a piece's notes; takes off a learnt share of the mean (2009.03294)."""

    @nn.compact
    def __call__(self, x: jax.Array, piece: jax.Array, num_pieces: int) -> jax.Array:
        """x [N, D], piece int [N] (outside of 0 .. num_pieces - 1: padding) -> [N, D]."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],), jnp.float32)
        mean_scale = self.param("mean_scale", nn.initializers.ones, (x.shape[-1],), jnp.float32)
        mean = neighbour_mean(x, piece, num_pieces)  # [pieces, D]
        centred = x - rows_at(mean, piece) * mean_scale[jnp.newaxis]  # [N, D]
        variance = neighbour_mean(jnp.square(centred), piece, num_pieces)  # [pieces, D]
        spread = jax.lax.rsqrt(variance + GRAPH_NORM_EPSILON)
        return centred * rows_at(spread, piece) * scale[jnp.newaxis] + bias[jnp.newaxis]
