"""Batches of regions sampled from score graphs, with neighbours around them.

A region is a run of whole onset groups of about `subgraph_size` notes; its notes, and the beats and measures
that they are in, are the targets. From hop to hop, up to k in-neighbours of each new node are drawn without
replacement for each edge type. A graph of no more notes than `subgraph_size` is taken whole, with all edges.

Source: GraphMuse's `MuseNeighborLoader` (Karystinaios and Widmer 2024). Deviations: the last beat and
measure of a region are targets too (there they are left out, and measures are mistaken for beats); with
`num_neighbors=None` a region keeps the edges between its own nodes; `target_counts` are in the order of the
batch; a region ends with a whole onset group, as it starts with one.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mt3x.score.graphs.batch import GraphBatch, Hops, fitting_sizes, make_hops
from mt3x.score.graphs.graph import NOTE, EdgeType, ScoreGraph
from mt3x.score.graphs.piece_sample import PieceSample, sample_pieces
from mt3x.score.graphs.store import ALL_NEIGHBORS, GraphStore, store_graphs

COPIES = (2, 4, 10, 20, 40)
COPY_LIMITS = (2, 5, 10, 20)
MEASURED_BATCHES = 8
SPARE, SPARE_ROWS = 1.1, 128
TYPICAL_NOTES = 1024
TYPICAL_EDGES = {"onset": 4, "consecutive": 4, "during": 2, "rest": 1}
"""Edges a note of scores, rounded up; of what is not named here one a note."""

NumNeighbors = Sequence[int] | Mapping[EdgeType, Sequence[int]] | None


class MuseNeighborLoader:
    """An iterable of batches; each time over it is one epoch, and the same seed gives the same epochs."""

    def __init__(
        self,
        graphs: Sequence[ScoreGraph],
        num_neighbors: NumNeighbors,
        subgraph_size: int = 100,
        subgraph_sample_ratio: float = 2,
        transform: Callable[[GraphBatch], Any] | None = None,
        order_batch: bool = True,
        batch_size: int = 1,
        seed: int = 0,
    ):
        """A loader over graphs that have the same node types, edge types, features and labels.

        Args:
          num_neighbors: most neighbours of a node, one number a hop; by edge type or for all of them; -1
            takes all neighbours. None: no neighbours, and all edges within the region.
          subgraph_size: S, the notes of a region; more where an onset group ends later.
          subgraph_sample_ratio: a graph of N notes is in an epoch int(c * ratio) times, with c = 2 for
            N < 2 S, 4 for N < 5 S, 10 for N < 10 S, 20 for N < 20 S, and 40 for more.
          transform: applied to each batch.
          order_batch: pieces of a batch by falling number of targets.
          batch_size: pieces a batch; the last batch of an epoch may have fewer.

        Raises:
          ValueError: graphs that don't go together, an argument below 1, an epoch without any piece, or
            numbers of neighbours that are not one list for each edge type.
        """
        if subgraph_size < 1 or batch_size < 1:
            raise ValueError(f"subgraph_size {subgraph_size} and batch_size {batch_size} must be at least 1")
        self._store = store_graphs(graphs)
        self._num_neighbors = _by_edge_type(num_neighbors, graphs[0].metadata()[1])
        self._subgraph_size = subgraph_size
        self._transform = transform
        self._order_batch = order_batch
        self._batch_size = batch_size
        self._seed = seed
        self._next_epoch = 0
        self._base: Hops | None = None
        bucket = np.searchsorted(np.array(COPY_LIMITS) * subgraph_size, self._store.sizes(), side="right")
        copies = (np.array(COPIES) * subgraph_sample_ratio).astype(np.int64)[bucket]
        self._graph_ids = np.repeat(np.arange(len(graphs)), copies)
        if not len(self._graph_ids):
            raise ValueError(
                f"subgraph_sample_ratio {subgraph_sample_ratio} leaves no piece; give 0.5 or more"
            )

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(self._graph_ids) / self._batch_size)

    def __iter__(self) -> Iterator[Any]:
        epoch = self._next_epoch
        self._next_epoch += 1
        return self.epoch(epoch)

    def epoch(self, number: int) -> Iterator[Any]:
        """The batches of an epoch, whatever was drawn before."""
        for sample in self._samples(number):
            batch = sample.pad(fitting_sizes(self.base_sizes(), sample.sizes()), self._batch_size)
            yield self._transform(batch) if self._transform else batch

    def base_sizes(self) -> Hops:
        """Sizes that most batches fit: those of the first batches of epoch 0, a tenth and 128 rows more.

        Another shape is compiled anew, which takes longer than many batches with spare rows.
        """
        if self._base is None:
            samples = self._samples(0)
            self._base = _spare([next(samples).sizes() for _ in range(min(MEASURED_BATCHES, len(self)))])
        return self._base

    def _samples(self, epoch: int) -> Iterator[PieceSample]:
        order = np.random.default_rng((self._seed, epoch)).permutation(self._graph_ids)
        for number in range(len(self)):
            rng = np.random.default_rng((self._seed, epoch, number))
            ids = order[number * self._batch_size : (number + 1) * self._batch_size]
            starts, stops = draw_regions(self._store, ids, self._subgraph_size, rng)
            if self._order_batch:
                falling = np.argsort(starts - stops, kind="stable")
                ids, starts, stops = ids[falling], starts[falling], stops[falling]
            yield sample_pieces(self._store, ids, starts, stops, self._num_neighbors, rng)


def draw_regions(
    store: GraphStore, graph_ids: np.ndarray, subgraph_size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A region of each graph: first note and the one after the last, int64 [B] each.

    It starts with the onset group of a random note and ends with that of the note S - 1 after its first.
    A graph of no more than S notes is one region.
    """
    sizes = store.sizes()[graph_ids]
    offsets = store.starts[NOTE][graph_ids]
    is_whole = sizes <= subgraph_size
    notes = rng.integers(0, np.maximum(sizes - subgraph_size, 0) + 1)
    starts = store.group_starts[offsets + notes]
    lasts = np.where(is_whole, sizes, starts + subgraph_size) - 1
    return np.where(is_whole, 0, starts), store.group_stops[offsets + lasts]


def batch_graphs(graphs: Sequence[ScoreGraph]) -> GraphBatch:
    """Whole graphs as one batch, in their order, all nodes targets: for evaluation and prediction.

    Sizes are those of typical scores times a power of the square root of 2, so that pieces of all lengths
    share few shapes.

    Raises:
      ValueError: graphs that don't go together.
    """
    store = store_graphs(graphs)
    ids = np.arange(len(graphs))
    neighbors = {edge_type: (ALL_NEIGHBORS,) for edge_type in store.incoming}
    sizes = store.sizes()
    sample = sample_pieces(store, ids, np.zeros_like(sizes), sizes, neighbors, np.random.default_rng(0))
    nodes = {t: (TYPICAL_NOTES, 0) if t == NOTE else (TYPICAL_NOTES // 2, 0) for t in store.starts}
    edges = {t: (TYPICAL_NOTES * TYPICAL_EDGES.get(t[1].removesuffix("_rev"), 1),) for t in store.incoming}
    return sample.pad(fitting_sizes(make_hops(nodes, edges), sample.sizes()), len(graphs))


def _spare(sizes: Sequence[Hops]) -> Hops:
    def most(rows: list[tuple[int, ...]]) -> tuple[int, ...]:
        largest = (max(column) for column in zip(*rows, strict=True))
        return tuple(math.ceil(SPARE * count) + SPARE_ROWS if count else 0 for count in largest)

    return make_hops(
        {t: most([each.nodes[t] for each in sizes]) for t in sizes[0].nodes},
        {t: most([each.edges[t] for each in sizes]) for t in sizes[0].edges},
    )


def _by_edge_type(
    num_neighbors: NumNeighbors, edge_types: Sequence[EdgeType]
) -> dict[EdgeType, tuple[int, ...]] | None:
    if num_neighbors is None:
        return None
    if not isinstance(num_neighbors, Mapping):
        num_neighbors = dict.fromkeys(edge_types, num_neighbors)
    if set(num_neighbors) != set(edge_types):
        differing = sorted(set(num_neighbors) ^ set(edge_types))
        raise ValueError(f"num_neighbors and the graphs differ in edge types {differing}; name all of them")
    numbers = {edge_type: tuple(num_neighbors[edge_type]) for edge_type in edge_types}
    hops = {len(counts) for counts in numbers.values()}
    if len(hops) != 1 or 0 in hops or min(min(counts) for counts in numbers.values()) < ALL_NEIGHBORS:
        raise ValueError(
            f"num_neighbors must be one number a hop, {ALL_NEIGHBORS} or more, as many for each type; "
            f"got {num_neighbors}"
        )
    return numbers
