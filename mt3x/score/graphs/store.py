"""Many score graphs as one set of arrays, made once, so that pieces of a batch are sampled together.

Nodes of a type are concatenated over the graphs; node numbers in edges stay those within a graph. Edges are
stored by target (compressed sparse columns): the in-neighbours of a node are one run of sources.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mt3x.score.graphs.graph import BEAT, MEASURE, NOTE, EdgeType, ScoreGraph

ALL_NEIGHBORS = -1
NOTE_FIELDS = ("onset_div", "duration_div", "pitch")


@dataclass(frozen=True)
class Incoming:
    """In-edges by target: of node t of all graphs, sources[pointers[t]:pointers[t + 1]].

    Attributes:
      pointers: int64 [nodes + 1], nodes of all graphs.
      sources: int32 [E], numbers within the graph.
    """

    pointers: np.ndarray
    sources: np.ndarray

    def draw(self, nodes: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """For each node up to `most` in-neighbours, each set equally likely; or `ALL_NEIGHBORS`.

        Args:
          nodes: int64 [F], of all graphs.

        Returns:
          int64 [E] which of `nodes` an edge leads into, in order, and int32 [E] its source.
        """
        starts = self.pointers[nodes]
        degrees = self.pointers[nodes + 1] - starts
        highest = int(degrees.max(initial=0))
        if most == ALL_NEIGHBORS or most >= highest:
            which = np.repeat(np.arange(len(nodes)), degrees)
            places = np.arange(len(which)) + np.repeat(starts - (np.cumsum(degrees) - degrees), degrees)
            return which, self.sources[places]
        picks = np.tile(np.arange(most), (len(nodes), 1))
        crowded = np.flatnonzero(degrees > most)
        picks[crowded] = _draw_subsets(degrees[crowded], most, rng)
        is_drawn = np.arange(most) < degrees[:, np.newaxis]
        return np.nonzero(is_drawn)[0], self.sources[(starts[:, np.newaxis] + picks)[is_drawn]]


def _draw_subsets(sizes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Of 0 .. size - 1 a random subset of `count` a size, int64 [F, count]; sizes are at least `count`.

    Floyd's algorithm (Bentley and Floyd 1987): the j-th draw is from one number more than the one before, and
    a number already drawn is replaced by the newest one.
    """
    drawn = np.empty((len(sizes), count), np.int64)
    uniform = rng.random((count, len(sizes)))
    for j in range(count):
        newest = sizes - count + j
        number = (uniform[j] * (newest + 1)).astype(np.int64)
        is_taken = (drawn[:, :j] == number[:, np.newaxis]).any(axis=1)
        drawn[:, j] = np.where(is_taken, newest, number)
    return drawn


@dataclass(frozen=True)
class GraphStore:
    """G graphs, concatenated.

    Attributes:
      starts: int64 [G + 1] by node type, where the nodes of each graph start.
      features: float32 [nodes, D] by node type.
      incoming: in-edges by edge type.
      labels, notes: int32 [notes] by name and by field.
      group_starts, group_stops: int64 [notes], the first note of a note's onset group and the one after its
        last, numbered within the graph.
      clusters: int64 [notes] by node type, the beat and measure of each note, numbered within the graph.
    """

    starts: Mapping[str, np.ndarray]
    features: Mapping[str, np.ndarray]
    incoming: Mapping[EdgeType, Incoming]
    labels: Mapping[str, np.ndarray]
    notes: Mapping[str, np.ndarray]
    group_starts: np.ndarray
    group_stops: np.ndarray
    clusters: Mapping[str, np.ndarray]

    def sizes(self, node_type: str = NOTE) -> np.ndarray:
        """How many nodes of a type each graph has, int64 [G]."""
        return np.diff(self.starts[node_type])


def store_graphs(graphs: Sequence[ScoreGraph]) -> GraphStore:
    """The graphs as a store.

    Raises:
      ValueError: no graphs, or graphs of different node types, edge types, feature widths or labels.
    """
    if not graphs:
        raise ValueError("there are no graphs; give at least one")
    first = graphs[0]
    for number, graph in enumerate(graphs):
        for what, one, other in (
            ("node and edge types", first.metadata(), graph.metadata()),
            ("features", _widths(first), _widths(graph)),
            ("labels", set(first.labels), set(graph.labels)),
        ):
            if one != other:
                raise ValueError(f"graph {number} has other {what} than graph 0: {other}, not {one}")
    node_types, edge_types = first.metadata()
    starts = {t: _starts([graph.num_nodes(t) for graph in graphs]) for t in node_types}
    groups = [_onset_groups(graph.note_array["onset_div"]) for graph in graphs]
    return GraphStore(
        starts,
        {t: np.concatenate([graph.features[t] for graph in graphs]) for t in node_types},
        {t: _incoming([graph.edges[t] for graph in graphs], starts[t[2]]) for t in edge_types},
        {n: np.concatenate([graph.labels[n] for graph in graphs]).astype(np.int32) for n in first.labels},
        {n: np.concatenate([graph.note_array[n] for graph in graphs]).astype(np.int32) for n in NOTE_FIELDS},
        np.concatenate([group[0] for group in groups]),
        np.concatenate([group[1] for group in groups]),
        {
            t: np.concatenate([graph.clusters(t) for graph in graphs])
            for t in (BEAT, MEASURE)
            if t in node_types
        },
    )


def _widths(graph: ScoreGraph) -> dict[str, int]:
    return {node_type: values.shape[1] for node_type, values in graph.features.items()}


def _starts(counts: npt.ArrayLike) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def _incoming(edges: Sequence[np.ndarray], starts: np.ndarray) -> Incoming:
    degrees, sources = np.zeros(starts[-1], np.int64), []
    for (source, target), start, stop in zip(edges, starts, starts[1:], strict=False):
        sources.append(source[np.argsort(target, kind="stable")].astype(np.int32))
        degrees[start:stop] = np.bincount(target, minlength=stop - start)
    return Incoming(_starts(degrees), np.concatenate(sources))


def _onset_groups(onset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.searchsorted(onset, onset, side="left"), np.searchsorted(onset, onset, side="right")
