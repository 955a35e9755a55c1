"""Drawing the pieces of one batch, all at once, from a store of graphs.

Every piece has its own copy of its graph's numbers: node v of piece p has the id offsets[p] + v, for each
type of nodes, so that two pieces of one graph share nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mt3x.score.graphs.batch import GraphBatch, Hops, make_hops
from mt3x.score.graphs.graph import NOTE, EdgeType
from mt3x.score.graphs.store import ALL_NEIGHBORS, GraphStore

_ABSENT, _NEW, _PRESENT = 0, 1, 2


@dataclass(frozen=True)
class PieceSample:
    """What a batch is made of.

    Attributes:
      offsets: int64 [B + 1] by node type, where the ids of each piece start.
      nodes: ids by node type, int64 [n] for each hop.
      edges: (source id, target id) by edge type, int64 [2, e] for each hop.
    """

    store: GraphStore
    graph_ids: np.ndarray
    target_counts: np.ndarray
    offsets: Mapping[str, np.ndarray]
    nodes: Mapping[str, list[np.ndarray]]
    edges: Mapping[EdgeType, list[np.ndarray]]

    def sizes(self) -> Hops:
        """How many nodes and edges each hop has, of each type."""
        return make_hops(
            {t: tuple(len(ids) for ids in hops) for t, hops in self.nodes.items()},
            {t: tuple(pairs.shape[1] for pairs in hops) for t, hops in self.edges.items()},
        )

    def pad(self, hops: Hops, num_pieces: int) -> GraphBatch:
        """The batch, with rows in the order of hops, each hop padded to its size."""
        features, pieces, node_ids, rows, stored, places = {}, {}, {}, {}, {}, {}
        for t, found in self.nodes.items():
            count, offsets = sum(hops.nodes[t]), self.offsets[t]
            ids = np.concatenate(found)
            piece = np.searchsorted(offsets, ids, side="right") - 1
            local = ids - offsets[piece]
            stored[t] = local + self.store.starts[t][self.graph_ids][piece]
            places[t] = _places([len(ids) for ids in found], hops.nodes[t])
            features[t] = _scatter(count, places[t], self.store.features[t][stored[t]], 0)
            pieces[t] = _scatter(count, places[t], piece.astype(np.int32), -1)
            node_ids[t] = _scatter(count, places[t], local.astype(np.int32), -1)
            rows[t] = np.empty(offsets[-1], np.int32)
            rows[t][ids] = places[t]
        target_piece = pieces[NOTE].copy()
        target_piece[hops.nodes[NOTE][0] :] = -1

        def note_values(values: np.ndarray, padding: int) -> np.ndarray:
            return _scatter(len(target_piece), places[NOTE], values[stored[NOTE]], padding)

        def piece_values(values: np.ndarray, padding: int) -> np.ndarray:
            return _scatter(num_pieces, np.arange(len(values)), values.astype(np.int32), padding)

        return GraphBatch(
            features=features,
            edges={t: self._pad_edges(t, hops, rows) for t in self.edges},
            target_piece=target_piece,
            pieces=pieces,
            labels={name: note_values(values, -1) for name, values in self.store.labels.items()},
            notes={name: note_values(values, 0) for name, values in self.store.notes.items()},
            node_ids=node_ids,
            graph_ids=piece_values(self.graph_ids, -1),
            target_counts=piece_values(self.target_counts, 0),
            hops=hops,
        )

    def _pad_edges(self, edge_type: EdgeType, hops: Hops, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        source, _, target = edge_type
        sizes = hops.edges[edge_type]
        edges = np.zeros((2, sum(sizes)), np.int32)
        edges[1] = sum(hops.nodes[target])
        start = 0
        for pairs, size in zip(self.edges[edge_type], sizes, strict=True):
            stop = start + pairs.shape[1]
            edges[0, start:stop] = rows[source][pairs[0]]
            edges[1, start:stop] = rows[target][pairs[1]]
            start += size
        return edges


def _places(counts: list[int], sizes: tuple[int, ...]) -> np.ndarray:
    """Rows of the nodes of all hops, int64 [n]: each hop starts where its padded size says."""
    starts = np.cumsum((0, *sizes[:-1]))
    return np.concatenate([start + np.arange(count) for start, count in zip(starts, counts, strict=True)])


def _scatter(count: int, places: np.ndarray, values: np.ndarray, padding: int) -> np.ndarray:
    padded = np.full((count, *values.shape[1:]), padding, values.dtype)
    padded[places] = values
    return padded


def sample_pieces(
    store: GraphStore,
    graph_ids: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    num_neighbors: Mapping[EdgeType, tuple[int, ...]] | None,
    rng: np.random.Generator,
) -> PieceSample:
    """Pieces with the notes starts .. stops - 1 of their graphs as targets, and neighbours hop by hop.

    Args:
      graph_ids, starts, stops: int64 [B], of whole onset groups. All notes: all nodes and edges are targets.
      num_neighbors: one number a hop by edge type; None keeps the edges between targets.
    """
    offsets = {t: np.concatenate(([0], np.cumsum(store.sizes(t)[graph_ids]))) for t in store.starts}
    targets = _targets(store, graph_ids, starts, stops, offsets)
    nodes = {t: [ids] for t, ids in targets.items()}
    edges: dict[EdgeType, list[np.ndarray]] = {t: [] for t in store.incoming}
    is_whole = stops - starts == store.sizes()[graph_ids]
    state = {t: np.full(o[-1], _ABSENT, np.int8) for t, o in offsets.items()}
    for t, ids in targets.items():
        state[t][ids] = _PRESENT
    num_hops = 1 if num_neighbors is None else len(next(iter(num_neighbors.values())))
    for hop in range(num_hops):
        frontier = {t: _frontier(store, t, found[hop], graph_ids, offsets[t]) for t, found in nodes.items()}
        for edge_type in store.incoming:
            source, _, target = edge_type
            ids, pieces, stored = frontier[target]
            most = ALL_NEIGHBORS if num_neighbors is None else num_neighbors[edge_type][hop]
            which, neighbors = _draw(store, edge_type, stored, is_whole[pieces], most, rng)
            sources = neighbors + offsets[source][pieces[which]]
            if num_neighbors is None:
                is_inside = state[source][sources] != _ABSENT
                which, sources = which[is_inside], sources[is_inside]
            else:
                state[source][sources[state[source][sources] == _ABSENT]] = _NEW
            edges[edge_type].append(np.stack((sources, ids[which])))
        if num_neighbors is not None:
            for t, found in nodes.items():
                found.append(np.flatnonzero(state[t] == _NEW))
                state[t][found[-1]] = _PRESENT
    return PieceSample(store, graph_ids, stops - starts, offsets, nodes, edges)


def _targets(
    store: GraphStore,
    graph_ids: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    offsets: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Ids of the notes, and of the beats and measures from the first note's to the last one's."""
    targets = {NOTE: _runs(offsets[NOTE][:-1] + starts, stops - starts)}
    first_note = store.starts[NOTE][graph_ids]
    is_whole = stops - starts == store.sizes()[graph_ids]
    for t, clusters in store.clusters.items():
        first = np.where(is_whole, 0, clusters[first_note + starts])
        last = np.where(is_whole, store.sizes(t)[graph_ids] - 1, clusters[first_note + stops - 1])
        targets[t] = _runs(offsets[t][:-1] + first, last - first + 1)
    return {t: targets[t] for t in store.starts}


def _runs(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)


def _frontier(
    store: GraphStore, node_type: str, ids: np.ndarray, graph_ids: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of ids: themselves, their pieces, and their numbers in the store."""
    pieces = np.searchsorted(offsets, ids, side="right") - 1
    return ids, pieces, ids + (store.starts[node_type][graph_ids] - offsets[:-1])[pieces]


def _draw(
    store: GraphStore,
    edge_type: EdgeType,
    stored: np.ndarray,
    is_whole: np.ndarray,
    most: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of the frontier; all of them in pieces that are whole graphs."""
    incoming = store.incoming[edge_type]
    if not is_whole.any():
        return incoming.draw(stored, most, rng)
    parts = []
    for chosen, limit in ((np.flatnonzero(~is_whole), most), (np.flatnonzero(is_whole), ALL_NEIGHBORS)):
        which, sources = incoming.draw(stored[chosen], limit, rng)
        parts.append((chosen[which], sources))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
