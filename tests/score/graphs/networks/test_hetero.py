"""Typed graphs: the mean over edge types, and layers that compute only the hops that are needed."""

import functools

import jax
import numpy as np
import pytest
from flax.core import FrozenDict

from mt3x.score.graphs.networks.hetero import HeteroConv, HeteroSage, Hops, check_graph, trim_to_layer
from mt3x.score.graphs.networks.layers import SageConvLayer

ONSET, JOIN, SPLIT = ("note", "onset", "note"), ("note", "connects", "beat"), ("beat", "connects", "note")
FEATURES = {
    "note": np.array([[1.0], [2.0], [4.0]], np.float32),
    "beat": np.array([[10.0], [20.0]], np.float32),
}
EDGES = {
    ONSET: np.array([[0, 1, 2], [0, 1, 2]], np.int32),
    JOIN: np.array([[0, 1, 2], [0, 0, 1]], np.int32),
    SPLIT: np.array([[0, 0, 1], [0, 1, 2]], np.int32),
}
HOPS = Hops(
    FrozenDict({"note": (2, 1), "beat": (1, 1)}), FrozenDict({ONSET: (2, 1), JOIN: (2, 1), SPLIT: (2, 1)})
)


def test_a_node_gets_the_mean_over_the_edge_types_that_lead_into_its_type():
    conv = HeteroConv((ONSET, JOIN, SPLIT), functools.partial(SageConvLayer, 1))

    def of(neighbours, itself):
        kernels = [np.array([[value]], np.float32) for value in (neighbours, itself)]
        bias = np.zeros(1, np.float32)
        return {"neighbours": {"kernel": kernels[0], "bias": bias}, "itself": {"kernel": kernels[1]}}

    params = {
        "note__onset__note": of(1, 10),
        "note__connects__beat": of(2, 0),
        "beat__connects__note": of(3, 100),
    }
    out = conv.apply({"params": params}, FEATURES, EDGES)
    # onset: x + 10 x; from beats: 3 beat + 100 x; their mean.
    np.testing.assert_allclose(out["note"][:, 0], [(11 + 130) / 2, (22 + 230) / 2, (44 + 460) / 2])
    np.testing.assert_allclose(out["beat"][:, 0], [2 * 1.5, 2 * 4])


def test_only_the_first_rows_are_computed_where_asked():
    conv = HeteroConv((ONSET, JOIN, SPLIT), functools.partial(SageConvLayer, 3))
    variables = conv.init(jax.random.key(0), FEATURES, EDGES)
    all_rows = conv.apply(variables, FEATURES, EDGES)
    out = conv.apply(variables, FEATURES, EDGES, {"note": 2, "beat": 1})
    np.testing.assert_allclose(out["note"], all_rows["note"][:2], rtol=1e-6)
    np.testing.assert_allclose(out["beat"], all_rows["beat"][:1], rtol=1e-6)


def test_later_layers_have_one_matrix_for_a_node_itself():
    sage = HeteroSage((ONSET, JOIN, SPLIT), 1)

    def of(kernel, bias):
        return {"kernel": np.array([[kernel]], np.float32), "bias": np.array([bias], np.float32)}

    params = {
        "note__onset__note": of(1, 0),
        "note__connects__beat": of(2, 5),
        "beat__connects__note": of(3, 8),
        "note__itself": {"kernel": np.array([[10]], np.float32)},
        "beat__itself": {"kernel": np.array([[0]], np.float32)},
    }
    out = sage.apply({"params": params}, FEATURES, EDGES)
    # The mean of x and of 3 beat + 8, and 10 x.
    np.testing.assert_allclose(out["note"][:, 0], [19.5 + 10, 20 + 20, 36 + 40])
    np.testing.assert_allclose(out["beat"][:, 0], [2 * 1.5 + 5, 2 * 4 + 5])
    first = sage.apply({"params": params}, FEATURES, EDGES, {"note": 2, "beat": 1})
    np.testing.assert_allclose(first["note"], out["note"][:2])
    np.testing.assert_allclose(first["beat"], out["beat"][:1])


def test_trimming_cuts_one_hop_a_layer_and_renumbers_nothing():
    x, edges, rows = trim_to_layer(0, 2, HOPS, FEATURES, EDGES)
    assert [len(x["note"]), len(x["beat"]), edges[ONSET].shape[1]] == [3, 2, 3]
    assert rows == {"note": 3, "beat": 2}  # of two layers the first may need both hops
    x, edges, rows = trim_to_layer(1, 2, HOPS, FEATURES, EDGES)
    assert [len(x["note"]), len(x["beat"])] == [3, 2]  # sources: hop 1 still
    assert rows == {"note": 2, "beat": 1}
    np.testing.assert_array_equal(edges[SPLIT], [[0, 0], [0, 1]])


def test_layer_outside_of_the_network_is_an_error():
    with pytest.raises(ValueError, match="layer 2 of a network of 2: give 0 to 1"):
        trim_to_layer(2, 2, HOPS, FEATURES, EDGES)


def test_hops_can_be_a_static_argument():
    rows = jax.jit(lambda x, hops: x[: hops.nodes["note"][0]], static_argnums=1)(FEATURES["note"], HOPS)
    assert len(rows) == 2


def test_graph_that_lacks_a_type_is_an_error():
    metadata = (("note", "beat"), (ONSET, JOIN, SPLIT))
    check_graph(metadata, FEATURES, EDGES)
    with pytest.raises(ValueError, match="no features of 'beat'"):
        check_graph(metadata, {"note": FEATURES["note"]}, EDGES)
    with pytest.raises(ValueError, match=r"no edges \('beat', 'connects', 'note'\): give int32 \[2, 0\]"):
        check_graph(metadata, FEATURES, {ONSET: EDGES[ONSET], JOIN: EDGES[JOIN]})
    with pytest.raises(ValueError, match="no edge type leads into 'beat'"):
        check_graph((("note", "beat"), (ONSET, SPLIT)), FEATURES, EDGES)
