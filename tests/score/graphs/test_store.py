"""Graphs side by side in one store, and drawing neighbours from it."""

import dataclasses

import numpy as np
import pytest

from mt3x.score.graphs.graph import create_random_music_graph
from mt3x.score.graphs.store import ALL_NEIGHBORS, Incoming, store_graphs

GRAPHS = [create_random_music_graph(size, 1, 7, feature_size=2, seed=size) for size in (20, 30)]


def test_stored_in_edges_are_those_of_each_graph():
    store = store_graphs(GRAPHS)
    for edge_type, incoming in store.incoming.items():
        found, source_type, target_type = [], edge_type[0], edge_type[2]
        for number, graph in enumerate(GRAPHS):
            for node in range(graph.num_nodes(target_type)):
                at = store.starts[target_type][number] + node
                sources = incoming.sources[incoming.pointers[at] : incoming.pointers[at + 1]]
                found += [(number, int(source), node) for source in sources]
            assert graph.num_nodes(source_type) == store.sizes(source_type)[number]
        expected = [
            (number, *pair)
            for number, graph in enumerate(GRAPHS)
            for pair in graph.edges[edge_type].T.tolist()
        ]
        assert sorted(found) == sorted(expected)


def test_onset_groups_are_whole():
    store = store_graphs(GRAPHS)
    onset = GRAPHS[1].note_array["onset_div"]
    starts, stops = store.group_starts[20:], store.group_stops[20:]
    for note in range(30):
        assert np.flatnonzero(onset == onset[note]).tolist() == list(range(starts[note], stops[note]))


# Node 0 has 5 in-neighbours, node 1 none, node 2 two.
INCOMING = Incoming(np.array([0, 5, 5, 7]), np.array([10, 11, 12, 13, 14, 20, 21], np.int32))


def test_few_neighbours_are_all_taken():
    for most in (5, 9, ALL_NEIGHBORS):
        which, sources = INCOMING.draw(np.array([2, 1, 0]), most, np.random.default_rng(0))
        assert which.tolist() == [0, 0, 2, 2, 2, 2, 2]
        assert sources.tolist() == [20, 21, 10, 11, 12, 13, 14]
    assert INCOMING.draw(np.zeros(0, int), 3, np.random.default_rng(0))[0].tolist() == []
    assert INCOMING.draw(np.array([0, 2]), 0, np.random.default_rng(0))[0].tolist() == []


def test_of_many_neighbours_each_set_is_equally_likely():
    rng = np.random.default_rng(1)
    which, sources = INCOMING.draw(np.zeros(20_000, int), 2, rng)
    pairs = np.sort(sources.reshape(-1, 2), axis=1)
    assert which.tolist() == np.repeat(np.arange(20_000), 2).tolist()
    names, counts = np.unique(pairs[:, 0] * 100 + pairs[:, 1], return_counts=True)
    assert len(names) == 10  # of 5 take 2, never one twice
    assert abs(counts - 2000).max() < 5 * np.sqrt(2000 * 0.9)


def test_graphs_that_do_not_go_together_are_errors():
    first = GRAPHS[0]
    with pytest.raises(ValueError, match="no graphs"):
        store_graphs([])
    with pytest.raises(ValueError, match="graph 1 has other node and edge types than graph 0"):
        store_graphs([first, create_random_music_graph(9, 1, 5, 2, add_beat_nodes=False)])
    with pytest.raises(ValueError, match="graph 1 has other features"):
        store_graphs([first, create_random_music_graph(9, 1, 5, 3)])
    with pytest.raises(ValueError, match="graph 1 has other labels"):
        store_graphs([first, dataclasses.replace(first, labels={"key": np.zeros(20, int)})])
