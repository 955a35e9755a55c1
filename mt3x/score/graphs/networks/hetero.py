"""Typed graphs: one convolution per edge type, and the hops that a layer does not need.

Conventions: features by node type, {"note": float32 [N, D]}; edges by type, {(source, relation, target):
int32 [2, E]}; padding as in layers.py.

Hops: a sampled graph holds its targets (hop 0), their sampled neighbours (hop 1), and so on; an edge of hop h
leads into a node of hop h. Where the rows are in the order of hops, layer i of L computes nothing but hops 0
to L - 1 - i, from edges of the same hops, and the last layer the targets alone.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
import jax

from mt3x.score.graphs.graph import EdgeType
from mt3x.score.graphs.networks.layers import neighbour_mean, rows_at

Metadata = tuple[Sequence[str], Sequence[EdgeType]]
"""Node types and edge types, as ScoreGraph.metadata() gives them."""

Features = Mapping[str, jax.Array]
Edges = Mapping[EdgeType, jax.Array]


@dataclasses.dataclass(frozen=True)
class Hops:
    """Rows of each hop, padding included: they are part of a compiled program's shapes.

    Attributes:
      nodes: by node type, rows of hop 0, 1, ...
      edges: by edge type, edges of hop 0, 1, ... (those that lead into nodes of that hop).
    With flax.core.FrozenDict for both it is hashable, as jit wants a static argument.
    """

    nodes: Mapping[str, tuple[int, ...]]
    edges: Mapping[EdgeType, tuple[int, ...]]


def trim_to_layer(
    layer: int, num_layers: int, hops: Hops, features: Features, edges: Edges
) -> tuple[dict[str, jax.Array], dict[EdgeType, jax.Array], dict[str, int]]:
    """What layer 0 .. num_layers - 1 reads, and how many nodes of each type it has to compute.

    Rows are cut off at the end, none is renumbered: an edge can't come to lead elsewhere (GraphMuse sends
    edges of dropped nodes to node 0 of the batch, which lets one piece read another).

    Returns:
      features [hops 0 .. num_layers - layer], edges [:, hops 0 .. num_layers - layer - 1], and the number of
      rows of hops 0 .. num_layers - layer - 1 by node type.

    Raises:
      ValueError: the layer is not one of the network's.
    """
    if not 0 <= layer < num_layers:
        raise ValueError(f"layer {layer} of a network of {num_layers}: give 0 to {num_layers - 1}")
    left = num_layers - layer
    kept = {kind: x[: sum(hops.nodes[kind][: left + 1])] for kind, x in features.items()}
    kept_edges = {kind: pairs[:, : sum(hops.edges[kind][:left])] for kind, pairs in edges.items()}
    return kept, kept_edges, {kind: sum(hops.nodes[kind][:left]) for kind in features}


def name_of(edge_type: EdgeType) -> str:
    """("note", "onset", "note") -> "note__onset__note", for parameters and files."""
    return "__".join(edge_type)


class HeteroConv(nn.Module):
    """One convolution per edge type; a node gets the mean of those that lead into its type.

    Attributes:
      edge_types: all of them, also those that a graph may have no edge of.
      make_conv: called with `name=`, gives a module of (sources, targets, edges), as SageConvLayer is.
    """

    edge_types: Sequence[EdgeType]
    make_conv: Callable[..., Callable[..., jax.Array]]

    @nn.compact
    def __call__(
        self, features: Features, edges: Edges, num_targets: Mapping[str, int] | None = None
    ) -> dict[str, jax.Array]:
        """features {type: [N, D]}, edges {type: [2, E]} -> {type: [N, H]}.

        num_targets: rows to compute, the first ones of each type; all of them where it is None.
        """
        arriving: dict[str, list[jax.Array]] = {}
        for edge_type in self.edge_types:
            source, _, target = edge_type
            targets = features[target]
            if num_targets is not None:
                targets = targets[: num_targets[target]]
            conv = self.make_conv(name=name_of(edge_type))
            out = conv(features[source], targets, edges[edge_type])  # [N, H]
            arriving.setdefault(target, []).append(out)
        return {target: _mean(values) for target, values in arriving.items()}


class HeteroSage(nn.Module):
    """GraphSAGE per edge type and the mean over types, for every layer but a network's first.

    The mean over types of W_r x is one linear map of x: a node type has one W_r here, where GraphMuse has one
    for each edge type that leads into it. That is half of the products.
    """

    edge_types: Sequence[EdgeType]
    output_channels: int

    @nn.compact
    def __call__(
        self, features: Features, edges: Edges, num_targets: Mapping[str, int] | None = None
    ) -> dict[str, jax.Array]:
        """As HeteroConv."""
        heard: dict[str, list[jax.Array]] = {}
        for edge_type in self.edge_types:
            source, _, target = edge_type
            rows = len(features[target]) if num_targets is None else num_targets[target]
            sources, targets = edges[edge_type][0], edges[edge_type][1]
            mean = neighbour_mean(rows_at(features[source], sources), targets, rows)  # [N, D]
            heard.setdefault(target, []).append(nn.Dense(self.output_channels, name=name_of(edge_type))(mean))
        out = {}
        for target, values in heard.items():
            itself = nn.Dense(self.output_channels, use_bias=False, name=f"{target}__itself")
            out[target] = itself(features[target][: len(values[0])]) + _mean(values)
        return out


def _mean(values: list[jax.Array]) -> jax.Array:
    return sum(values[1:], values[0]) / len(values)


def check_graph(metadata: Metadata, features: Features, edges: Edges) -> None:
    """Raises:
    ValueError: a node type or an edge type of the metadata is missing in the graph, or a node type is no
      edge type's target, so that it would get no value.
    """
    node_types, edge_types = metadata
    for missing in [kind for kind in node_types if kind not in features]:
        raise ValueError(
            f"no features of {missing!r}: give {list(node_types)}, without rows where there is none"
        )
    for missing in [kind for kind in edge_types if kind not in edges]:
        raise ValueError(f"no edges {missing}: give int32 [2, 0] where a graph has none")
    for unreached in set(node_types) - {target for _, _, target in edge_types}:
        raise ValueError(f"no edge type leads into {unreached!r}: leave it out of the metadata or add one")
