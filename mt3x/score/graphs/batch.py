"""A batch of sampled pieces of score graphs as one graph of fixed shape, for programs compiled by JAX.

A piece is a region of one graph (or all of it) with neighbours sampled around it. The nodes of all pieces are
rows of one array a type, and no edge joins two pieces. Rows are in the order of hops: first all targets (hop
0), then their neighbours (hop 1), and so on, within a hop by piece, within a piece as in its graph. An edge
of hop h leads into a node of hop h. Each hop of each type is padded at its end; padded sizes (`Hops`) are
part of a batch's structure, so that a jitted function is compiled once for each of them.

Padding: features 0, pieces -1, labels -1, note fields and node ids 0 and -1; edges lead from row 0 to the row
after the last one of the target's type, which segment sums drop. Layers may cut rows off at the end
(`mt3x.score.graphs.networks.hetero.trim_to_layer`), and such an edge still leads nowhere.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np
from flax.core import FrozenDict

from mt3x.score.graphs.graph import NOTE, EdgeType
from mt3x.score.graphs.networks.hetero import Hops

STEPS_PER_DOUBLING = 2
ROUNDING = 32


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        *("features", "edges", "target_piece", "pieces", "labels", "notes", "node_ids"),
        *("graph_ids", "target_counts"),
    ],
    meta_fields=["hops"],
)
@dataclass(frozen=True)
class GraphBatch:
    """B pieces; see the module for the order of rows and for padding.

    Attributes:
      features: float32 [N, D] by node type.
      edges: int32 [2, E] (source row, target row) by edge type.
      target_piece: int32 [N_note], the piece that a note is a target of; -1 for neighbours and padding.
      pieces: int32 [N] by node type, the piece that a node belongs to; -1 for padding.
      labels: int32 [N_note] by name, neighbours' too; -1 for padding.
      notes: int32 [N_note] by field: onset_div, duration_div, pitch.
      node_ids: int32 [N] by node type, the node's index in its graph; -1 for padding.
      graph_ids: int32 [B], the graph that a piece is from; -1 for no piece, in a last batch that is not full.
      target_counts: int32 [B], target notes of each piece, falling if the loader orders its batches.
      hops: padded sizes; of type t rows sum(hops.nodes[t][:h]) and on are of hop h. Static under jit.
    """

    features: Mapping[str, jax.Array | np.ndarray]
    edges: Mapping[EdgeType, jax.Array | np.ndarray]
    target_piece: jax.Array | np.ndarray
    pieces: Mapping[str, jax.Array | np.ndarray]
    labels: Mapping[str, jax.Array | np.ndarray]
    notes: Mapping[str, jax.Array | np.ndarray]
    node_ids: Mapping[str, jax.Array | np.ndarray]
    graph_ids: jax.Array | np.ndarray
    target_counts: jax.Array | np.ndarray
    hops: Hops

    @property
    def num_pieces(self) -> int:
        """B, empty places of a last batch included."""
        return len(self.graph_ids)

    def node_hops(self, node_type: str = NOTE) -> np.ndarray:
        """The hop of each row of a node type, int32 [N]; 0 for targets."""
        return _numbers(self.hops.nodes[node_type])

    def edge_hops(self, edge_type: EdgeType) -> np.ndarray:
        """The hop of each edge of a type, int32 [E]."""
        return _numbers(self.hops.edges[edge_type])


def _numbers(sizes: tuple[int, ...]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


def fitting_sizes(base: Hops, needed: Hops) -> Hops:
    """Sizes that hold what is needed: those of `base`, all times one power of the square root of 2.

    So that batches of about one size share few shapes. Sizes are multiples of `ROUNDING`, and at least that.
    """
    ratios = [
        need / max(size, ROUNDING)
        for kind in ("nodes", "edges")
        for name, sizes in getattr(base, kind).items()
        for size, need in zip(sizes, getattr(needed, kind)[name], strict=True)
    ]
    step = math.ceil(STEPS_PER_DOUBLING * math.log2(max(max(ratios), 1e-6)) - 1e-9)
    scale = 2 ** (step / STEPS_PER_DOUBLING)

    def enlarge(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(ROUNDING * math.ceil(max(size, ROUNDING) * scale / ROUNDING) for size in sizes)

    return make_hops(
        {name: enlarge(sizes) for name, sizes in base.nodes.items()},
        {name: enlarge(sizes) for name, sizes in base.edges.items()},
    )


def make_hops(nodes: Mapping[str, tuple[int, ...]], edges: Mapping[EdgeType, tuple[int, ...]]) -> Hops:
    """Hops that are hashable, as a static part of a batch must be."""
    return Hops(FrozenDict(nodes), FrozenDict(edges))
