"""Sampled batches: what holds for each of them, whatever was drawn."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mt3x.score.graphs.graph import create_random_music_graph, create_score_graph
from mt3x.score.graphs.sampling import MuseNeighborLoader, batch_graphs, draw_regions
from mt3x.score.graphs.store import store_graphs


def make_graph(size, seed):
    """A random graph with beats, measures of 16 divs and labels that name the note."""
    graph = create_random_music_graph(size, 1, 9, feature_size=3, seed=seed)
    notes = graph.note_array
    starts = np.arange(0, notes["onset_div"].max() + 1, 16)
    measures = np.stack((starts, starts + 16), axis=1)
    labels = {"name": 1000 * seed + np.arange(size)}
    return create_score_graph(graph.features["note"], notes, labels, measures=measures, add_beats=True)


GRAPHS = [make_graph(size, seed) for seed, size in enumerate((30, 80, 200))]
NODE_TYPES, EDGE_TYPES = GRAPHS[0].metadata()


def real_edges(batch, edge_type):
    """(source row, target row, hop) of the edges that are no padding."""
    source, target = batch.edges[edge_type]
    is_real = target < len(batch.pieces[edge_type[2]])
    return source[is_real], target[is_real], batch.edge_hops(edge_type)[is_real]


def check_batch(batch, limits, graphs=GRAPHS):
    """What holds for every batch; `limits` are the most neighbours by hop."""
    for kind in NODE_TYPES:
        piece, node = batch.pieces[kind], batch.node_ids[kind]
        is_real = piece >= 0
        assert (is_real == (node >= 0)).all()
        named = list(zip(piece[is_real].tolist(), node[is_real].tolist(), strict=True))
        assert len(set(named)) == len(named)  # no node twice in a piece
        for row in np.flatnonzero(is_real):
            graph = graphs[batch.graph_ids[piece[row]]]
            np.testing.assert_array_equal(batch.features[kind][row], graph.features[kind][node[row]])
        assert not batch.features[kind][~is_real].any()
    for edge_type in EDGE_TYPES:
        source_type, _, target_type = edge_type
        source, target, hop = real_edges(batch, edge_type)
        source_piece = batch.pieces[source_type][source]
        assert (source_piece == batch.pieces[target_type][target]).all() and (source_piece >= 0).all()
        assert (batch.node_hops(target_type)[target] == hop).all()
        assert (batch.node_hops(source_type)[source] <= hop + 1).all()
        edges = {
            number: set(map(tuple, graphs[number].edges[edge_type].T.tolist()))
            for number in range(len(graphs))
        }
        ends = zip(
            batch.node_ids[source_type][source].tolist(),
            batch.node_ids[target_type][target].tolist(),
            strict=True,
        )
        drawn = list(zip(source_piece.tolist(), ends, strict=True))
        assert len(set(drawn)) == len(drawn)  # without replacement
        assert all(pair in edges[batch.graph_ids[piece]] for piece, pair in drawn)
        for row, count in Counter(target.tolist()).items():
            piece = batch.pieces[target_type][row]
            graph = graphs[batch.graph_ids[piece]]
            degree = (graph.edges[edge_type][1] == batch.node_ids[target_type][row]).sum()
            is_whole = batch.target_counts[piece] == graph.num_nodes()
            assert count == (degree if is_whole else min(degree, limits[batch.node_hops(target_type)[row]]))


def check_targets(batch, graphs=GRAPHS):
    for piece, count in enumerate(batch.target_counts.tolist()):
        graph = graphs[batch.graph_ids[piece]]
        rows = np.flatnonzero(batch.target_piece == piece)
        notes = batch.node_ids["note"][rows]
        assert (np.diff(rows) == 1).all() and (np.diff(notes) == 1).all() and len(rows) == count
        onset = graph.note_array["onset_div"]
        chosen = np.isin(onset, onset[notes])
        assert np.flatnonzero(chosen).tolist() == notes.tolist()  # whole onset groups
        for kind in ("beat", "measure"):
            is_target = (batch.pieces[kind] == piece) & (batch.node_hops(kind) == 0)
            clusters = graph.clusters(kind)[notes]
            nodes = batch.node_ids[kind][is_target].tolist()
            if count < graph.num_nodes():
                assert nodes == list(range(clusters[0], clusters[-1] + 1))
            else:
                assert nodes == list(range(graph.num_nodes(kind)))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(10, 60))
def test_every_batch_holds_real_edges_of_real_pieces(seed, limits, size):
    loader = MuseNeighborLoader(GRAPHS, limits, size, batch_size=4, seed=seed)
    batch = next(iter(loader))
    check_batch(batch, [*limits, 0])
    check_targets(batch)


def test_new_nodes_are_the_neighbours_of_the_hop_before():
    batch = next(iter(MuseNeighborLoader(GRAPHS[2:], [2, 2], 40, batch_size=2)))
    for kind in NODE_TYPES:
        for hop in (1, 2):
            rows = np.flatnonzero((batch.node_hops(kind) == hop) & (batch.pieces[kind] >= 0))
            reached = [
                source[edge_hop == hop - 1]
                for source, _, edge_hop in (real_edges(batch, t) for t in EDGE_TYPES if t[0] == kind)
            ]
            assert set(rows) <= set(np.concatenate(reached))


def test_labels_and_note_fields_stay_with_their_notes():
    batch = next(iter(MuseNeighborLoader(GRAPHS, [3], 40, batch_size=4)))
    for row, piece in enumerate(batch.pieces["note"]):
        node = batch.node_ids["note"][row]
        if piece < 0:
            assert batch.labels["name"][row] == -1
            continue
        graph = GRAPHS[batch.graph_ids[piece]]
        assert batch.labels["name"][row] == graph.labels["name"][node]
        for name in ("onset_div", "duration_div", "pitch"):
            assert batch.notes[name][row] == graph.note_array[name][node]


def contents(batch):
    return [batch.graph_ids, batch.target_piece, *batch.features.values(), *batch.edges.values()]


def test_the_same_seed_gives_the_same_epochs_and_another_one_others():
    def epochs(seed):
        loader = MuseNeighborLoader(GRAPHS, [3, 3], 40, batch_size=4, seed=seed)
        return [[contents(batch) for batch in loader] for _ in range(2)]

    one, again, other = epochs(3), epochs(3), epochs(4)
    for batches, same in zip(one, again, strict=True):
        for values, copies in zip(batches, same, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(values, copies, strict=True))
    for different in (other[0], one[1]):
        assert not all(np.array_equal(a, b) for a, b in zip(one[0][0], different[0], strict=True))
    third = next(MuseNeighborLoader(GRAPHS, [3, 3], 40, batch_size=4, seed=3).epoch(1))
    assert all(np.array_equal(a, b) for a, b in zip(one[1][0], contents(third), strict=True))


def test_an_epoch_takes_long_pieces_more_often():
    loader = MuseNeighborLoader(GRAPHS, [1], 20, subgraph_sample_ratio=0.5, batch_size=7)
    taken = [graph for batch in loader for graph in batch.graph_ids.tolist() if graph >= 0]
    # 30 < 2 * 20; 80 < 5 * 20; 200 is 10 * 20
    assert Counter(taken) == {0: 1, 1: 2, 2: 10}
    assert len(loader) == 2


def test_batches_share_few_shapes():
    loader = MuseNeighborLoader(GRAPHS[1:], [3, 3], 30, batch_size=4)
    shapes = {batch.hops for _ in range(4) for batch in loader}
    assert len(shapes) <= 3


def test_pieces_come_by_falling_size_or_as_drawn():
    ordered = [batch.target_counts for batch in MuseNeighborLoader(GRAPHS, [1], 40, batch_size=8)]
    assert all((np.diff(counts) <= 0).all() for counts in ordered)
    drawn = MuseNeighborLoader(GRAPHS, [1], 40, batch_size=8, order_batch=False)
    assert not all((np.diff(batch.target_counts) <= 0).all() for batch in drawn)


def test_small_graphs_are_taken_whole():
    batch = next(iter(MuseNeighborLoader(GRAPHS[:1], [1, 1], 30)))
    for edge_type, pairs in GRAPHS[0].edges.items():
        source, target, hop = real_edges(batch, edge_type)
        assert not hop.any()
        found = set(zip(source.tolist(), target.tolist(), strict=True))
        assert found == set(map(tuple, pairs.T.tolist()))


def test_without_neighbours_a_region_keeps_its_own_edges():
    batch = next(iter(MuseNeighborLoader(GRAPHS[2:], None, 40)))
    nodes = {kind: set(batch.node_ids[kind][batch.pieces[kind] >= 0].tolist()) for kind in NODE_TYPES}
    check_targets(batch, GRAPHS[2:])
    assert len(nodes["note"]) == batch.target_counts[0]
    for edge_type, pairs in GRAPHS[2].edges.items():
        inside = [
            (a, b) for a, b in pairs.T.tolist() if a in nodes[edge_type[0]] and b in nodes[edge_type[2]]
        ]
        source, target, _ = real_edges(batch, edge_type)
        found = zip(
            batch.node_ids[edge_type[0]][source].tolist(),
            batch.node_ids[edge_type[2]][target].tolist(),
            strict=True,
        )
        assert sorted(found) == sorted(inside)


def test_neighbours_may_differ_by_type_and_transforms_are_applied():
    numbers = {t: [2] if t[1] == "onset" else [0] for t in EDGE_TYPES}
    loader = MuseNeighborLoader(
        GRAPHS[2:], numbers, 40, transform=lambda batch: {t: real_edges(batch, t)[0] for t in batch.edges}
    )
    found = {t for t, source in next(iter(loader)).items() if len(source)}
    assert found == {("note", "onset", "note")}


def test_all_neighbours_are_taken_if_asked_for():
    batch = next(iter(MuseNeighborLoader(GRAPHS[2:], [-1], 40)))
    check_batch(batch, [10**9], GRAPHS[2:])


def test_regions_reach_the_first_and_the_last_note():
    store = store_graphs(GRAPHS)
    ids = np.full(2000, 2)
    starts, stops = draw_regions(store, ids, 50, np.random.default_rng(0))
    assert starts.min() == 0 and stops.max() == 200
    assert (stops - starts >= 50).all()
    largest = (store.group_stops - store.group_starts).max()
    assert (stops - starts < 50 + largest).all()


def test_whole_graphs_make_a_batch_in_their_order():
    batch = batch_graphs(GRAPHS)
    assert batch.graph_ids.tolist() == [0, 1, 2]
    assert batch.target_counts.tolist() == [30, 80, 200]
    check_batch(batch, [0])
    check_targets(batch)
    longer = batch_graphs([make_graph(210, 2)])
    assert batch_graphs([make_graph(205, 2)]).hops == longer.hops


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_neighbors": []}, "one number a hop"),
        ({"num_neighbors": [-2]}, "one number a hop"),
        ({"num_neighbors": {t: [1] * (1 + (t[1] == "rest")) for t in EDGE_TYPES}}, "one number a hop"),
        ({"num_neighbors": {("note", "onset", "note"): [1]}}, "differ in edge types"),
        ({"num_neighbors": [1], "batch_size": 0}, "batch_size 0 must be at least 1"),
        ({"num_neighbors": [1], "subgraph_size": 0}, "subgraph_size 0"),
        ({"num_neighbors": [1], "subgraph_sample_ratio": 0.01}, "leaves no piece"),
    ],
)
def test_arguments_that_make_no_sense_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        MuseNeighborLoader(GRAPHS, **arguments)


def test_graphs_of_other_labels_are_an_error():
    with pytest.raises(ValueError, match="other labels"):
        MuseNeighborLoader([*GRAPHS, dataclasses.replace(GRAPHS[0], labels={})], [1])
