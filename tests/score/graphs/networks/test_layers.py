"""Layers against sums worked by hand in NumPy, and what padding must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.score.graphs.networks.layers import (
    GraphNorm,
    MetricalConvLayer,
    MusGConv,
    SageConvLayer,
    neighbour_mean,
    neighbour_sum,
    unit_rows,
)

X = np.array([[1.0, 2.0], [3.0, -4.0], [0.0, 1.0]], np.float32)
EDGES = np.array([[0, 1, 2], [1, 2, 2]], np.int32)  # 0 -> 1, 1 -> 2, 2 -> 2: nothing leads into node 0


def padded(x, edges, rows=2, pairs=3):
    """More rows of zeros, and more edges: their targets are no rows, their sources anything."""
    more = np.full((2, pairs), len(x) + rows, np.int32)
    more[0] = [0, len(x), 10_000][:pairs]
    return np.pad(x, ((0, rows), (0, 0))), np.concatenate([edges, more], axis=1)


def random_variables(module, *args):
    """Variables of the module, every parameter drawn anew, so that none is 0 or 1."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *args))
    random = np.random.default_rng(6)
    return jax.tree.map(lambda p: (0.5 * random.standard_normal(p.shape)).astype(p.dtype), shapes)


def test_mean_of_neighbours_is_zero_where_nothing_arrives():
    mean = neighbour_mean(X[EDGES[0]], EDGES[1], 3)
    np.testing.assert_array_equal(mean, [[0, 0], [1, 2], [1.5, -1.5]])


def test_edge_without_a_target_changes_nothing():
    targets = np.array([1, 2, 2, -1, 3, 99], np.int32)
    mean = neighbour_mean(X[[0, 1, 2, 0, 0, 0]], targets, 3)
    np.testing.assert_array_equal(mean, [[0, 0], [1, 2], [1.5, -1.5]])


def test_sage_is_its_neighbours_mean_and_itself():
    params = {
        "neighbours": {"kernel": np.array([[1.0, 0.0], [2.0, 1.0]]), "bias": np.array([10.0, 20.0])},
        "itself": {"kernel": np.array([[100.0, 0.0], [0.0, 1.0]])},
    }
    out = SageConvLayer(2).apply({"params": as_float32(params)}, X, X, EDGES)
    # Means [0, 0], [1, 2], [1.5, -1.5] times the kernel: [0, 0], [5, 2], [-1.5, -1.5]; the bias; x.
    np.testing.assert_allclose(out, [[110, 22], [315, 18], [8.5, 19.5]])


def test_sage_projects_sources_alone_and_gives_rows_of_length_one():
    params = {
        "project_source": {"kernel": np.eye(2), "bias": np.array([0.0, 1.0])},
        "neighbours": {"kernel": np.eye(2), "bias": np.zeros(2)},
        "itself": {"kernel": np.eye(2)},
    }
    out = SageConvLayer(2, project=True, normalize=True).apply({"params": as_float32(params)}, X, X, EDGES)
    # Projected: relu([1, 3], [3, -3], [0, 2]) = [1, 3], [3, 0], [0, 2]; means [0, 0], [1, 3], [1.5, 1].
    expected = X + np.array([[0, 0], [1, 3], [1.5, 1]])
    np.testing.assert_allclose(out, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


def test_sage_reads_one_type_of_nodes_into_another():
    measures = np.array([[5.0]], np.float32)
    layer = SageConvLayer(3, project=True)
    variables = random_variables(layer, X, measures, np.array([[0, 1, 2], [0, 0, 0]], np.int32))
    out = layer.apply(variables, X, measures, np.array([[0, 1, 2], [0, 0, 0]], np.int32))
    p = variables["params"]
    projected = np.maximum(X @ p["project_source"]["kernel"] + p["project_source"]["bias"], 0)
    expected = projected.mean(axis=0, keepdims=True) @ p["neighbours"]["kernel"] + p["neighbours"]["bias"]
    np.testing.assert_allclose(out, expected + measures @ p["itself"]["kernel"], rtol=1e-5)


@pytest.mark.parametrize("first", [False, True])
def test_sage_on_a_padded_graph_equals_the_graph(first):
    layer = SageConvLayer(4, project=first, normalize=first)
    variables = random_variables(layer, X, X, EDGES)
    more, edges = padded(X, EDGES)
    np.testing.assert_allclose(
        layer.apply(variables, more, more, edges)[:3], layer.apply(variables, X, X, EDGES), atol=1e-6
    )


def test_gradient_at_rows_of_zeros_is_finite():
    assert np.all(np.isfinite(jax.grad(lambda x: jnp.sum(unit_rows(x)))(jnp.zeros((2, 3)))))
    layer = SageConvLayer(4, project=True, normalize=True)
    x, edges = padded(np.zeros_like(X), EDGES)
    params = jax.jit(layer.init)(jax.random.key(0), x, x, edges)["params"]  # zero biases: rows of zeros

    def loss(params, x):
        return jnp.sum(layer.apply({"params": params}, x, x, edges)[:3])

    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(jax.jit(jax.grad(loss, (0, 1)))(params, x)))


@pytest.mark.parametrize("seed", range(3))
def test_sage_numbers_its_results_as_the_nodes_are_numbered(seed):
    random = np.random.default_rng(seed)
    x = random.standard_normal((20, 5)).astype(np.float32)
    edges = random.integers(0, 20, (2, 60)).astype(np.int32)
    new = random.permutation(20)  # node i becomes new[i]
    renumbered = np.empty_like(x)
    renumbered[new] = x
    shuffled = new[edges][:, random.permutation(60)].astype(np.int32)
    layer = SageConvLayer(4, project=True, normalize=True)
    variables = random_variables(layer, x, x, edges)
    out = layer.apply(variables, renumbered, renumbered, shuffled)
    np.testing.assert_allclose(out[new], layer.apply(variables, x, x, edges), atol=1e-5)


def test_graph_norm_is_over_the_notes_of_each_piece():
    x = np.array([[1.0], [3.0], [10.0], [14.0], [99.0]], np.float32)
    piece = np.array([0, 0, 1, 1, 2], np.int32)  # the last row is padding: there are two pieces
    params = {"scale": np.array([2.0]), "bias": np.array([0.5]), "mean_scale": np.array([0.5])}
    out = GraphNorm().apply({"params": as_float32(params)}, x, piece, 2)
    # Piece 0: mean 2, half of it taken off: 0, 2; mean square 2. Piece 1: mean 12: 4, 8; mean square 40.
    expected = 2 * np.array([0 / 2**0.5, 2 / 2**0.5, 4 / 40**0.5, 8 / 40**0.5]) + 0.5
    np.testing.assert_allclose(out[:4, 0], expected, atol=1e-4)  # the epsilon: 1e-5 of a variance of 2


def test_graph_norm_of_a_piece_does_not_know_the_other_or_padding():
    random = np.random.default_rng(0)
    x = random.standard_normal((7, 3)).astype(np.float32)
    norm = GraphNorm()
    variables = random_variables(norm, x, np.zeros(7, np.int32), 1)
    alone = norm.apply(variables, x[:4], np.zeros(4, np.int32), 1)
    both = norm.apply(variables, x, np.array([0, 0, 0, 0, 1, 1, -1], np.int32), 2)
    np.testing.assert_allclose(both[:4], alone, atol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(norm.apply(variables, x, np.full(7, 2, np.int32), 2)[:0]))(x)
    assert np.all(np.isfinite(gradient))


def as_float32(tree):
    return jax.tree.map(np.float32, tree)


def test_sage_can_sum_its_neighbours():
    params = {
        "neighbours": {"kernel": np.eye(2), "bias": np.zeros(2)},
        "itself": {"kernel": np.zeros((2, 2))},
    }
    out = SageConvLayer(2, aggregate=neighbour_sum).apply({"params": as_float32(params)}, X, X, EDGES)
    np.testing.assert_allclose(out, [[0, 0], [1, 2], [3, -3]])


@pytest.mark.parametrize("aggregation", ["cat", "add", "mul"])
def test_musgconv_equals_the_same_in_numpy(aggregation):
    layer = MusGConv(3, aggregation)
    variables = random_variables(layer, X, EDGES)
    p = variables["params"]
    interval = np.abs(X[EDGES[1]] - X[EDGES[0]])  # [2, 6], [3, 5], [0, 0]
    said = np.maximum(dense(interval, p["edge_hidden"]), 0)
    said = (said - said.mean(axis=1, keepdims=True)) / np.sqrt(said.var(axis=1, keepdims=True) + 1e-6)
    said = dense(said * p["edge_norm"]["scale"] + p["edge_norm"]["bias"], p["edge_out"])
    x = dense(X, p["project"])
    source = x[EDGES[0]]
    messages = {"cat": np.concatenate([source, said], axis=1), "add": source + said, "mul": source * said}
    m = messages[aggregation]
    heard = np.stack([np.zeros_like(m[0]), m[0], m[1] + m[2]])
    out, edge_out = layer.apply(variables, X, EDGES)
    np.testing.assert_allclose(out, dense(np.concatenate([x, heard], axis=1), p["out"]), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(edge_out, said, rtol=1e-3, atol=1e-3)


def test_musgconv_reads_edge_features_where_they_are_given():
    layer = MusGConv(3)
    given = np.abs(X[EDGES[1]] - X[EDGES[0]])
    variables = random_variables(layer, X, EDGES, given)
    out, _ = layer.apply(variables, X, EDGES, given)
    np.testing.assert_allclose(out, layer.apply(variables, X, EDGES)[0], rtol=1e-5)
    assert not np.allclose(
        out, layer.apply(variables, X, EDGES, given + np.array([[1, 0]], np.float32))[0], atol=1e-2
    )


def test_musgconv_on_a_padded_graph_equals_the_graph_and_has_finite_gradients():
    layer = MusGConv(3)
    variables = random_variables(layer, X, EDGES)
    more, edges = padded(X, EDGES)
    np.testing.assert_allclose(
        layer.apply(variables, more, edges)[0][:3], layer.apply(variables, X, EDGES)[0], atol=1e-5
    )
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(layer.apply(variables, x, edges)[0][:3])))(more * 0)
    assert np.all(np.isfinite(gradient))


def test_unknown_aggregation_is_an_error():
    with pytest.raises(ValueError, match="aggregation 'max': give one of cat, add, mul"):
        MusGConv(3, "max").init(jax.random.key(0), X, EDGES)


BEATS = np.array([[1.0], [5.0]], np.float32)
CONNECTS = np.array([[0, 1, 2], [0, 0, 1]], np.int32)
FOLLOWING = np.array([[0], [1]], np.int32)


def test_metrical_convolution_equals_the_same_by_hand():
    layer = MetricalConvLayer(1, activation=jax.nn.relu)
    params = {
        "tell": {"kernel": np.array([[1.0], [10.0]]), "bias": np.array([1.0])},
        "along": {
            "neighbours": {"kernel": np.array([[2.0]]), "bias": np.array([0.5])},
            "itself": {"kernel": np.array([[3.0]])},
        },
        "out": {"kernel": np.array([[1.0], [100.0], [0.0]]), "bias": np.array([0.0])},
        "norm": {"scale": np.array([2.0]), "bias": np.array([0.25])},
    }
    stats = {"norm": {"mean": np.array([10.0]), "var": np.array([4.0 - 1e-5])}}
    params["out"]["kernel"][2] = 1000
    variables = as_float32({"params": params, "batch_stats": stats})
    out = layer.apply(variables, BEATS, X, CONNECTS, FOLLOWING)
    # Notes tell 22, -36, 11; beats hear -14 and 11. Along: 0.5 + 3, and 2 * 1 + 0.5 + 15.
    # -14 + 100 + 3500 = 3586 and 11 + 500 + 17500 = 18011; less 10, by 2, times 2, 0.25 more.
    np.testing.assert_allclose(out[:, 0], [3576.25, 3576.25, 18001.25], rtol=1e-6)


def test_metrical_convolution_on_a_padded_graph_equals_the_graph():
    layer = MetricalConvLayer(3, dropout=0.0)
    variables = random_variables(layer, BEATS, X, CONNECTS, FOLLOWING)
    variables["batch_stats"]["norm"]["var"] = np.array([1.0, 2.0, 3.0], np.float32)
    training = {"deterministic": False, "mutable": ["batch_stats"]}
    plain, stats = layer.apply(variables, BEATS, X, CONNECTS, FOLLOWING, **training)
    # Edges of padding lead from note 0 to a beat that is none: note 0 must not hear of it.
    connects = np.pad(CONNECTS, ((0, 0), (0, 2)), constant_values=4)
    connects[0, 3:] = 0
    more = np.pad(BEATS, ((0, 2), (0, 0))), np.pad(X, ((0, 1), (0, 0)))
    following = np.pad(FOLLOWING, ((0, 0), (0, 1)), constant_values=4)
    mask = np.array([True, True, False, False])
    out, more_stats = layer.apply(variables, *more, connects, following, mask, **training)
    np.testing.assert_allclose(out[:3], plain, atol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), more_stats, stats)


def dense(x, p):
    return x @ np.asarray(p["kernel"]) + np.asarray(p["bias"])
