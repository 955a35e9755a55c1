"""Shapes of batches, and batches under jit."""

import jax
import numpy as np
import pytest

from mt3x.score.graphs.batch import fitting_sizes, make_hops
from mt3x.score.graphs.graph import create_random_music_graph
from mt3x.score.graphs.networks.network import MetricalGNN
from mt3x.score.graphs.sampling import MuseNeighborLoader

NOTE_EDGE = ("note", "onset", "note")


def sizes(targets, neighbours, edges):
    return make_hops({"note": (targets, neighbours)}, {NOTE_EDGE: (edges,)})


@pytest.mark.parametrize(
    ("needed", "expected"),
    [
        (sizes(64, 32, 320), sizes(64, 32, 320)),  # just fits
        (sizes(65, 1, 1), sizes(96, 64, 480)),  # one step up: times 1.41, in steps of 32
        (sizes(1, 33, 1), sizes(96, 64, 480)),  # one that does not fit takes the others along
        (sizes(64, 32, 641), sizes(192, 96, 928)),
        (sizes(30, 0, 160), sizes(32, 32, 160)),  # one of half the size
    ],
)
def test_sizes_grow_and_shrink_together(needed, expected):
    assert fitting_sizes(sizes(64, 32, 320), needed) == expected


def test_jit_compiles_once_a_shape():
    traces = []

    @jax.jit
    def note_sums(batch):
        traces.append(batch.hops)
        targets = batch.edges[NOTE_EDGE][1]
        sums = jax.ops.segment_sum(
            batch.features["note"][batch.edges[NOTE_EDGE][0]], targets, len(batch.target_piece)
        )
        return sums.sum()

    graphs = [create_random_music_graph(200, 1, 9, 3, seed=seed) for seed in range(4)]
    shapes = set()
    for batch in MuseNeighborLoader(graphs, [3], 40, batch_size=4):
        source, target = batch.edges[NOTE_EDGE]
        expected = batch.features["note"][source[target < len(batch.target_piece)]].sum()
        assert float(note_sums(batch)) == pytest.approx(float(expected), rel=1e-5)
        shapes.add(batch.hops)
        assert batch.num_pieces == 4
    assert len(traces) == len(shapes) <= 2


def test_padding_lies_after_each_hop():
    graph = create_random_music_graph(200, 1, 9, 3)
    batch = next(iter(MuseNeighborLoader([graph], [3, 3], 40)))
    hops = batch.node_hops()
    for hop in range(3):
        is_real = batch.pieces["note"][hops == hop] >= 0
        assert (np.diff(is_real.astype(int)) <= 0).all()
    assert (batch.target_piece[hops > 0] == -1).all()
    assert (np.diff(batch.edge_hops(NOTE_EDGE)) >= 0).all()


@pytest.mark.slow
def test_a_network_that_drops_hops_reads_the_same_of_a_batch():
    graphs = [create_random_music_graph(100, 1, 9, 3, False, seed) for seed in range(2)]
    batch = next(iter(MuseNeighborLoader(graphs, [2, 2], 30, batch_size=2)))
    node_types, edge_types = graphs[0].metadata()
    sizes = {"hidden_channels": 4, "output_channels": 3, "num_layers": 2}
    metadata = (tuple(node_types), tuple(edge_types))
    whole, fast = (MetricalGNN(**sizes, metadata=metadata, fast=fast) for fast in (False, True))
    variables = jax.jit(whole.init)(jax.random.key(0), batch.features, batch.edges)
    expected = jax.jit(whole.apply)(variables, batch.features, batch.edges)
    trimmed = jax.jit(lambda b: fast.apply(variables, b.features, b.edges, hops=b.hops))(batch)
    targets = batch.target_piece >= 0
    assert trimmed.shape == (batch.hops.nodes["note"][0], 3)
    np.testing.assert_allclose(trimmed[targets[: len(trimmed)]], expected[targets], rtol=1e-4, atol=1e-5)
