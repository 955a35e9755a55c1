"""Attention over typed edges: numbers by hand, and what padding must not change."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.score.graphs.networks.hetero import Hops
from mt3x.score.graphs.networks.hgt import HgtConv, HgtEncoder, neighbour_softmax

ONSET, JOIN, SPLIT = ("note", "onset", "note"), ("note", "connects", "beat"), ("beat", "connects", "note")
METADATA = (("note", "beat"), (ONSET, JOIN, SPLIT))
NOTES = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
FEATURES = {"note": NOTES, "beat": NOTES[:2] - 1}
EDGES = {
    ONSET: np.array([[0, 1, 2, 0], [0, 1, 1, 1]], np.int32),
    JOIN: np.array([[0, 1, 2], [0, 0, 1]], np.int32),
    SPLIT: np.array([[0, 0], [0, 1]], np.int32),  # nothing leads into note 2
}


def padded(features, edges):
    more = {kind: np.pad(x, ((0, 2), (0, 0))) for kind, x in features.items()}
    return more, {
        kind: np.concatenate([pairs, [[0, 0], [len(more[kind[2]])] * 2]], axis=1).astype(np.int32)
        for kind, pairs in edges.items()
    }


def random_variables(module, *args):
    random = np.random.default_rng(5)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *args))
    return jax.tree.map(lambda p: random.standard_normal(p.shape).astype(p.dtype), shapes)


def test_softmax_is_over_the_edges_into_a_node():
    scores = np.array([[1.0], [3.0], [3.0], [500.0], [9.0]], np.float32)
    weights = neighbour_softmax(scores, np.array([0, 1, 1, 3, 4], np.int32), 4)
    np.testing.assert_allclose(weights[:, 0], [1, 0.5, 0.5, 1, 0])


def test_slope_of_the_softmax_is_that_of_jax():
    scores = np.array([[1.0], [3.0], [2.0], [7.0]], np.float32)
    seed = np.array([[0.3], [1.0], [-2.0], [5.0]], np.float32)
    targets = np.array([0, 1, 1, 2], np.int32)  # the last edge is padding, the first is alone
    slope = jax.grad(lambda x: jnp.sum(seed * neighbour_softmax(x, targets, 2)))(scores)
    pair = jax.grad(lambda x: jnp.sum(seed[1:3] * jax.nn.softmax(x, axis=0)))(scores[1:3])
    np.testing.assert_allclose(slope, np.concatenate([[[0]], pair, [[0]]]), atol=1e-6)


def test_layer_equals_the_same_in_numpy():
    conv = HgtConv(4, METADATA, num_heads=2)
    variables = random_variables(conv, FEATURES, EDGES)
    p = jax.tree.map(np.asarray, variables["params"])
    key, query, value = (
        {
            kind: (x @ p[f"{kind}__kqv"]["kernel"] + p[f"{kind}__kqv"]["bias"])[:, 4 * i : 4 * i + 4]
            for kind, x in FEATURES.items()
        }
        for i in range(3)
    )

    def node(kind, index):
        heard = []
        for head in range(2):
            part = slice(2 * head, 2 * head + 2)
            scores, values = [], []
            for edge_type, pairs in EDGES.items():
                name = "__".join(edge_type)
                for source, target in pairs.T:
                    if (edge_type[2], target) == (kind, index):
                        turned = key[edge_type[0]][source, part] @ p[f"{name}__key"][head]
                        scores.append(
                            turned @ query[kind][index, part] * p[f"{name}__prior"][head] / math.sqrt(2)
                        )
                        values.append(value[edge_type[0]][source, part] @ p[f"{name}__value"][head])
            weights = np.exp(scores) / np.sum(np.exp(scores)) if scores else np.zeros(0)
            heard += list(weights @ np.reshape(values, (-1, 2)))
        gelu = [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in heard]
        new = np.array(gelu) @ p[f"{kind}__out"]["kernel"] + p[f"{kind}__out"]["bias"]
        share = 1 / (1 + np.exp(-p[f"{kind}__skip"].item()))
        return share * new + (1 - share) * FEATURES[kind][index]

    out = jax.jit(conv.apply)(variables, FEATURES, EDGES)
    np.testing.assert_allclose(out["note"], [node("note", i) for i in range(3)], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out["beat"], [node("beat", i) for i in range(2)], rtol=1e-4, atol=1e-5)


def test_padded_graph_gives_the_same_and_finite_gradients():
    encoder = HgtEncoder(8, 2, METADATA, use_jk=True)
    variables = random_variables(encoder, FEATURES, EDGES)
    run = jax.jit(encoder.apply)
    more, edges = padded(FEATURES, EDGES)
    np.testing.assert_allclose(
        run(variables, more, edges)[:3], run(variables, FEATURES, EDGES), rtol=1e-4, atol=1e-5
    )

    def loss(variables, features):
        return jnp.sum(jnp.square(encoder.apply(variables, features, edges)[:3]))

    zeros = jax.tree.map(np.zeros_like, more)
    gradients = jax.jit(jax.grad(loss, (0, 1)))(variables, zeros)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(gradients))


def test_nodes_may_be_numbered_in_any_order():
    conv = HgtConv(4, METADATA)
    variables = random_variables(conv, FEATURES, EDGES)
    new = {"note": np.array([2, 0, 1]), "beat": np.array([1, 0])}
    features = {kind: x[np.argsort(new[kind])] for kind, x in FEATURES.items()}
    edges = {
        kind: np.stack([new[kind[0]][pairs[0]], new[kind[2]][pairs[1]]]).astype(np.int32)[:, ::-1]
        for kind, pairs in EDGES.items()
    }
    run = jax.jit(conv.apply)
    out, plain = run(variables, features, edges), run(variables, FEATURES, EDGES)
    for kind in features:
        np.testing.assert_allclose(out[kind][new[kind]], plain[kind], rtol=1e-4, atol=1e-5)


def test_dropped_hops_change_nothing_for_the_targets():
    edges = {
        ONSET: np.array([[1, 0, 2], [0, 0, 1]], np.int32),  # hop 0: two, hop 1: one
        JOIN: np.array([[0, 1], [0, 1]], np.int32),
        SPLIT: np.array([[0, 1], [0, 1]], np.int32),
    }
    hops = Hops({"note": (1, 1, 1), "beat": (1, 1)}, {ONSET: (2, 1), JOIN: (1, 1), SPLIT: (1, 1)})
    encoder = HgtEncoder(8, 2, METADATA)
    variables = random_variables(encoder, FEATURES, edges)
    out = jax.jit(lambda: encoder.apply(variables, FEATURES, edges, hops))()
    assert out.shape == (1, 8)
    np.testing.assert_allclose(
        out, jax.jit(encoder.apply)(variables, FEATURES, edges)[:1], rtol=1e-4, atol=1e-5
    )


def test_heads_that_cannot_share_the_width_are_an_error():
    with pytest.raises(ValueError, match="6 channels for 4 heads: give a multiple of 4"):
        HgtConv(6, METADATA).init(jax.random.key(0), FEATURES, EDGES)
