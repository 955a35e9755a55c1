"""MetricalGNN and PitchSpellingGNN on a small graph of two pieces: numbers by hand, padding, hops, order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.score.graphs.networks.hetero import Hops
from mt3x.score.graphs.networks.network import GraphEncoder, MetricalGNN, PitchSpellingGNN

ONSET, JOIN, SPLIT = ("note", "onset", "note"), ("note", "connects", "beat"), ("beat", "connects", "note")
METADATA = (("note", "beat"), (ONSET, JOIN, SPLIT))
NOTES_ONLY = (("note",), (ONSET,))


def random_graph(seed=0, notes=12, beats=4, width=5):
    """Two pieces, of which no edge leads into the other: notes 0-5 and 6-11, beats 0-1 and 2-3."""
    random = np.random.default_rng(seed)
    features = {
        "note": random.standard_normal((notes, width)).astype(np.float32),
        "beat": random.standard_normal((beats, width)).astype(np.float32),
    }
    piece = np.repeat([0, 1], notes // 2).astype(np.int32)
    source = random.integers(0, notes // 2, 30) + random.integers(0, 2, 30) * (notes // 2)
    target = random.integers(0, notes // 2, 30) + piece[source] * (notes // 2)
    beat = (np.arange(notes) * beats // notes).astype(np.int32)
    join = np.stack([np.arange(notes), beat]).astype(np.int32)
    edges = {ONSET: np.stack([source, target]).astype(np.int32), JOIN: join, SPLIT: join[::-1]}
    return features, edges, piece


def padded(features, edges, rows=3):
    """The same graph with rows of zeros behind each type and edges that lead out of it."""
    more = {kind: np.pad(x, ((0, rows), (0, 0))) for kind, x in features.items()}
    more_edges = {
        kind: np.pad(pairs, ((0, 0), (0, 4)), constant_values=len(more[kind[2]]))
        for kind, pairs in edges.items()
    }
    return more, more_edges


def random_variables(network, *args):
    """Variables of the network, every parameter drawn anew, so that none is 0 or 1; variances positive."""
    random = np.random.default_rng(5)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), *args))
    drawn = jax.tree.map(lambda p: (0.5 * random.standard_normal(p.shape)).astype(p.dtype), shapes)
    if "batch_stats" in drawn:
        drawn["batch_stats"] = jax.tree.map(np.abs, drawn["batch_stats"])
    return drawn


def compiled(network, *args):
    """(variables, network.apply as a compiled function): operation by operation it takes seconds."""
    return random_variables(network, *args), jax.jit(network.apply, static_argnums=4 if len(args) > 3 else ())


@pytest.fixture(scope="module", params=["plain", "jumping knowledge"])
def metrical(request):
    features, edges, _ = random_graph()
    network = MetricalGNN(6, 4, 2, METADATA, use_jk=request.param != "plain")
    return network, *compiled(network, features, edges)


@pytest.fixture(
    scope="module", params=[0, pytest.param(6, marks=pytest.mark.slow)], ids=["plain", "with GRUs"]
)
def spelling(request):
    network = PitchSpellingGNN(6, 8, 2, METADATA, longest=request.param)
    return network, *compiled(network, *random_graph(), 2)


def test_metrical_gnn_equals_the_same_in_numpy():
    features = {"note": np.array([[1.0, 0.5], [-2.0, 1.0], [0.5, 3.0]], np.float32)}
    edges = {ONSET: np.array([[0, 1, 2, 1], [1, 2, 1, 0]], np.int32)}
    network = MetricalGNN(2, 3, 2, NOTES_ONLY)
    variables = random_variables(network, features, edges)
    p, stats = jax.tree.map(np.asarray, (variables["params"], variables["batch_stats"]["norm"]))

    def dense(x, p):
        return x @ p["kernel"] + p.get("bias", 0.0)

    x = features["note"]
    conv = p["encoder"]["layer_0"]["note__onset__note"]
    source = np.maximum(dense(x, conv["project_source"]), 0)
    mean = np.stack([source[1], (source[0] + source[2]) / 2, source[1]])  # 1 -> 0; 0, 2 -> 1; 1 -> 2
    x = dense(mean, conv["neighbours"]) + dense(x, conv["itself"])
    x = np.maximum(x / np.linalg.norm(x, axis=1, keepdims=True), 0)
    x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)
    x = x * p["encoder"]["norm_0"]["scale"] + p["encoder"]["norm_0"]["bias"]
    conv = p["encoder"]["layer_1"]
    mean = np.stack([x[1], (x[0] + x[2]) / 2, x[1]])
    # No ReLU and no norm after the last layer.
    x = dense(mean, conv["note__onset__note"]) + dense(x, conv["note__itself"])
    x = np.maximum(dense(x, p["hidden"]), 0)
    x = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * p["norm"]["scale"] + p["norm"]["bias"]
    np.testing.assert_allclose(network.apply(variables, features, edges), dense(x, p["out"]), rtol=1e-3)


def test_metrical_gnn_on_a_padded_graph_equals_the_graph(metrical):
    _, variables, run = metrical
    features, edges, _ = random_graph()
    out = run(variables, *padded(features, edges))
    np.testing.assert_allclose(out[:12], run(variables, features, edges), rtol=1e-5, atol=1e-5)


def test_padding_does_not_enter_the_running_statistics(metrical):
    network, variables, _ = metrical
    network = network.clone(dropout=0.0)
    features, edges, _ = random_graph()

    @jax.jit
    def train(features, edges, mask):
        settings = {"deterministic": False, "mutable": ["batch_stats"]}
        return network.apply(variables, features, edges, mask, **settings)[1]

    plain = train(features, edges, np.ones(12, bool))
    masked = train(*padded(features, edges), np.arange(15) < 12)
    compare(masked, plain)
    with pytest.raises(AssertionError):
        compare(plain["batch_stats"], variables["batch_stats"])


def test_metrical_gnn_numbers_its_results_as_the_notes_are_numbered(metrical):
    _, variables, run = metrical
    features, edges, _ = random_graph()
    new = {kind: np.random.default_rng(1).permutation(len(x)) for kind, x in features.items()}
    renumbered = {kind: x[np.argsort(new[kind])] for kind, x in features.items()}
    new_edges = {
        (source, relation, target): np.stack([new[source][pairs[0]], new[target][pairs[1]]]).astype(np.int32)
        for (source, relation, target), pairs in edges.items()
    }
    out = run(variables, renumbered, new_edges)
    np.testing.assert_allclose(out[new["note"]], run(variables, features, edges), rtol=1e-4, atol=1e-5)


def test_pieces_of_a_batch_do_not_read_each_other(spelling):
    _, variables, run = spelling
    features, edges, piece = random_graph()
    before = run(variables, features, edges, piece, 2)
    changed = {
        "note": np.concatenate([features["note"][:6], features["note"][6:] * 3 - 1]),
        "beat": np.concatenate([features["beat"][:2], features["beat"][2:] - 2]),
    }
    for old, new in zip(before, run(variables, changed, edges, piece, 2), strict=True):
        np.testing.assert_allclose(old[:6], new[:6], atol=1e-5)
        assert not np.allclose(old[6:], new[6:], atol=1e-3)


def test_spelling_of_a_padded_batch_equals_the_batch(spelling):
    _, variables, run = spelling
    features, edges, piece = random_graph()
    out = run(variables, *padded(features, edges), np.pad(piece, (0, 3), constant_values=2), 2)
    plain = run(variables, features, edges, piece, 2)
    assert [x.shape for x in plain] == [(12, 35), (12, 15)]
    for more, few in zip(out, plain, strict=True):
        np.testing.assert_allclose(more[:12], few, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_gradients_of_a_padded_batch_are_finite(spelling):
    network, variables, _ = spelling
    features, edges, piece = random_graph()
    features, edges = padded(jax.tree.map(np.zeros_like, features), edges)
    piece = np.pad(piece, (0, 3), constant_values=2)

    def loss(params):
        out, _ = network.apply(
            {**variables, "params": params},
            features,
            edges,
            piece,
            2,
            deterministic=False,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(1)},
        )
        return sum(jnp.sum(jnp.square(x[:12])) for x in out)

    fresh = jax.jit(network.init, static_argnums=4)(jax.random.key(0), features, edges, piece, 2)["params"]
    for params in (variables["params"], fresh):
        assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(jax.jit(jax.grad(loss))(params)))


def test_dropout_draws_only_in_training(spelling):
    network, variables, run = spelling
    graph = random_graph()

    @jax.jit
    def train(rng):
        settings = {"deterministic": False, "mutable": ["batch_stats"], "rngs": {"dropout": rng}}
        return network.apply(variables, *graph, 2, **settings)[0][0]

    assert not np.allclose(train(jax.random.key(0)), train(jax.random.key(1)))
    np.testing.assert_array_equal(run(variables, *graph, 2)[0], run(variables, *graph, 2)[0])


# Notes in the order of hops: 0-1 targets, 2-3 their neighbours, 4-5 the neighbours of these; beat 0, then 1.
HOP_FEATURES = random_graph(3, notes=6, beats=2)[0]
HOP_EDGES = {
    ONSET: np.array([[2, 3, 1, 4, 5, 0], [0, 1, 1, 2, 3, 2]], np.int32),  # hop 0: three edges, hop 1: three
    JOIN: np.array([[0, 2, 4], [0, 0, 1]], np.int32),  # hop 0: two, hop 1: one
    SPLIT: np.array([[0, 0, 1], [0, 1, 3]], np.int32),  # hop 0: two, hop 1: one
}
HOPS = Hops({"note": (2, 2, 2), "beat": (1, 1)}, {ONSET: (3, 3), JOIN: (2, 1), SPLIT: (2, 1)})


@pytest.mark.parametrize("use_jk", [False, True])
def test_fast_gives_the_targets_what_the_whole_graph_gives_them(use_jk):
    slow = MetricalGNN(6, 4, 2, METADATA, use_jk=use_jk)
    variables = random_variables(slow, HOP_FEATURES, HOP_EDGES)
    out = jax.jit(lambda: slow.clone(fast=True).apply(variables, HOP_FEATURES, HOP_EDGES, hops=HOPS))()
    assert out.shape == (2, 4)
    np.testing.assert_allclose(
        out, jax.jit(slow.apply)(variables, HOP_FEATURES, HOP_EDGES)[:2], rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_fast_spelling_reads_the_pieces_of_targets():
    piece = np.array([0, 1, -1, -1, -1, -1], np.int32)
    slow = PitchSpellingGNN(6, 8, 2, METADATA, longest=1)
    variables = random_variables(slow, HOP_FEATURES, HOP_EDGES, piece, 2)
    fast = jax.jit(lambda: slow.clone(fast=True).apply(variables, HOP_FEATURES, HOP_EDGES, piece, 2, HOPS))()
    whole = jax.jit(lambda: slow.apply(variables, HOP_FEATURES, HOP_EDGES, piece, 2))()
    for few, many in zip(fast, whole, strict=True):
        np.testing.assert_allclose(few, many[:2], rtol=1e-4, atol=1e-5)


def test_fast_without_hops_is_an_error():
    features, edges, _ = random_graph()
    network = MetricalGNN(6, 4, 2, METADATA, fast=True)
    with pytest.raises(ValueError, match="fast drops hops: give hops"):
        network.init(jax.random.key(0), features, edges)


def test_graph_without_edges_of_a_type_still_has_parameters_for_it():
    features, edges, _ = random_graph()
    none = {kind: np.zeros((2, 0), np.int32) for kind in edges}
    encoder = GraphEncoder(6, 2, METADATA)
    whole, empty = (random_variables(encoder, features, e) for e in (edges, none))
    assert jax.tree.structure(whole) == jax.tree.structure(empty)
    assert np.all(np.isfinite(encoder.apply(empty, features, none)))


def compare(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, other)
