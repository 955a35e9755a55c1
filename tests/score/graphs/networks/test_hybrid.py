"""Hybrids and cadences: shapes, padding, pieces apart, and notes of an onset together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.score.graphs.networks.cadence import CadenceGNN, onset_groups
from mt3x.score.graphs.networks.hybrid import HybridGNN, HybridHGT, JoinedReading

ONSET, JOIN, SPLIT = ("note", "onset", "note"), ("note", "connects", "beat"), ("beat", "connects", "note")
METADATA = (("note", "beat"), (ONSET, JOIN, SPLIT))
RANDOM = np.random.default_rng(0)
FEATURES = {"note": RANDOM.standard_normal((6, 3)), "beat": RANDOM.standard_normal((2, 3))}
FEATURES = jax.tree.map(np.float32, FEATURES)
BEAT_OF_NOTE = np.array([[0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 1, 1]], np.int32)
EDGES = {
    ONSET: np.array([[0, 1, 2, 3, 4, 5, 0, 1], [0, 1, 2, 3, 4, 5, 1, 0]], np.int32),
    JOIN: BEAT_OF_NOTE,
    SPLIT: BEAT_OF_NOTE[::-1],
}
PIECE = np.array([0, 0, 0, 1, 1, 1], np.int32)
DIVS = np.array([0, 0, 4, 0, 4, 4], np.int32)

NETWORKS = {
    "HybridGNN": (HybridGNN(8, 2, METADATA, longest=3), ()),
    "HybridHGT": (HybridHGT(8, 2, METADATA, longest=3, use_jk=True), ()),
    "CadenceGNN": (CadenceGNN(32, 4, 2, METADATA), (DIVS,)),
    "CadenceGNN with GRU": (CadenceGNN(32, 4, 2, METADATA, longest=3), (DIVS,)),
}


def random_variables(network, *args):
    random = np.random.default_rng(5)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), *args))
    drawn = jax.tree.map(lambda p: (0.5 * random.standard_normal(p.shape)).astype(p.dtype), shapes)
    if "batch_stats" in drawn:
        drawn["batch_stats"] = jax.tree.map(np.abs, drawn["batch_stats"])
    return drawn


SLOW = ("HybridHGT", "CadenceGNN with GRU")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NETWORKS],
)
def case(request):
    """(the network as a compiled function, its variables, further arguments)."""
    network, more = NETWORKS[request.param]
    variables = random_variables(network, FEATURES, EDGES, PIECE, 2, *more)

    @jax.jit
    def apply(variables, features, edges, piece, more):
        return network.apply(variables, features, edges, piece, 2, *more)

    return apply, variables, more


def padded(more):
    features = {kind: np.pad(x, ((0, 2), (0, 0))) for kind, x in FEATURES.items()}
    edges = {
        kind: np.concatenate([pairs, [[0, 1], [len(features[kind[2]])] * 2]], axis=1).astype(np.int32)
        for kind, pairs in EDGES.items()
    }
    return features, edges, np.pad(PIECE, (0, 2), constant_values=-1), tuple(np.pad(x, (0, 2)) for x in more)


def test_padded_batch_gives_the_same(case):
    apply, variables, more = case
    plain = apply(variables, FEATURES, EDGES, PIECE, more)
    assert plain.shape == (6, 4 if more else 8)
    np.testing.assert_allclose(apply(variables, *padded(more))[:6], plain, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_gradients_at_rows_of_zeros_are_finite(case):
    apply, variables, more = case
    features, *rest = padded(more)

    def loss(variables, features):
        return jnp.sum(jnp.square(apply(variables, features, *rest)[:6]))

    gradients = jax.jit(jax.grad(loss, (0, 1)))(variables, jax.tree.map(np.zeros_like, features))
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(gradients))


def test_pieces_do_not_read_each_other(case):
    apply, variables, more = case
    before = apply(variables, FEATURES, EDGES, PIECE, more)
    changed = {"note": FEATURES["note"].copy(), "beat": FEATURES["beat"].copy()}
    changed["note"][3:] *= -2
    changed["beat"][1:] *= -2
    after = apply(variables, changed, EDGES, PIECE, more)
    np.testing.assert_allclose(before[:3], after[:3], rtol=1e-4, atol=1e-5)
    assert not np.allclose(before[3:], after[3:], atol=1e-3)


def test_onset_groups_are_of_one_piece_and_one_onset():
    group = onset_groups(PIECE[::-1], DIVS[::-1])
    np.testing.assert_array_equal(group, [3, 3, 2, 1, 0, 0])


def test_notes_of_an_onset_get_one_answer():
    network = NETWORKS["CadenceGNN"][0]
    variables = random_variables(network, FEATURES, EDGES, PIECE, 2, DIVS)
    out = np.asarray(jax.jit(network.apply, static_argnums=4)(variables, FEATURES, EDGES, PIECE, 2, DIVS))
    np.testing.assert_array_equal(out[0], out[1])
    np.testing.assert_array_equal(out[4], out[5])
    assert len(np.unique(out, axis=0)) == 4  # piece 1's onset 0 is not piece 0's


def test_joined_reading_reads_as_many_notes_as_are_encoded():
    reading = JoinedReading(4, longest=3, num_layers=1, dropout=0.0)
    encoded = np.ones((2, 4), np.float32)
    args = (encoded, FEATURES["note"], PIECE, 2, True)
    variables = random_variables(reading, *args)
    out = reading.apply(variables, *args)
    np.testing.assert_allclose(
        out, reading.apply(variables, encoded, FEATURES["note"][:2], PIECE[:2], 2, True), rtol=1e-6
    )


@pytest.mark.parametrize("kind", [HybridGNN, HybridHGT])
def test_fast_without_hops_is_an_error(kind):
    with pytest.raises(ValueError, match="give hops"):
        kind(8, 2, METADATA, longest=3, fast=True).init(jax.random.key(0), FEATURES, EDGES, PIECE, 2)
