"""Flat names, shape checks and sizes of parameter trees."""

import ml_dtypes
import numpy as np
import pytest

from mt3x.checkpoints import (
    CheckpointError,
    cast_floats,
    check_params,
    count_parameters,
    flatten,
    infer_sizes,
    unflatten,
)

TREE = {"encoder": {"norm": {"scale": np.ones(4, np.float32)}}, "bias": np.zeros((2, 3), np.float32)}


def test_names_join_keys_with_slashes():
    assert list(flatten(TREE)) == ["bias", "encoder/norm/scale"]


def test_unflatten_is_the_inverse_of_flatten():
    again = unflatten(flatten(TREE))
    assert again["encoder"]["norm"]["scale"] is TREE["encoder"]["norm"]["scale"]
    assert again.keys() == TREE.keys()


def test_an_empty_dict_is_a_leaf():
    assert flatten({"a": {}, "b": {"c": 1}}) == {"a": {}, "b/c": 1}


@pytest.mark.parametrize("key", ["a/b", "", 3])
def test_a_key_that_cannot_be_part_of_a_name_is_refused(key):
    with pytest.raises(CheckpointError, match="cannot name a part"):
        flatten({key: 1})


def test_numbers_are_counted_over_all_arrays():
    assert count_parameters(TREE) == 10


def test_casting_changes_floats_only_and_rounds_to_nearest_even():
    tree = {"w": np.array([1.0, 1.00390625, 1.01171875], np.float32), "step": np.int32(7)}
    cast = cast_floats(tree, "bfloat16")
    assert cast["w"].dtype == ml_dtypes.bfloat16
    assert cast["w"].astype(np.float32).tolist() == [1.0, 1.0, 1.015625]
    assert cast["step"] is tree["step"]
    assert cast_floats(cast, "float32")["w"].dtype == np.float32


def test_casting_to_an_unknown_dtype_names_the_choices():
    with pytest.raises(CheckpointError, match="'float8' is not known: give one of float32, bfloat16"):
        cast_floats(TREE, "float8")


def test_params_of_the_expected_shapes_pass():
    check_params(TREE, {"bias": (2, 3), "encoder/norm/scale": (4,)})


def test_faulty_arrays_are_named_with_what_was_expected():
    expected = {"bias": (3, 3), "decoder/norm/scale": (4,)}
    with pytest.raises(CheckpointError) as caught:
        check_params(TREE, expected)
    message = str(caught.value)
    assert "1 missing (decoder/norm/scale [4])" in message
    assert "1 of another shape (bias is [2, 3], expected [3, 3])" in message
    assert "1 unexpected (encoder/norm/scale [4])" in message


def test_a_long_list_of_faults_is_cut():
    with pytest.raises(CheckpointError, match="20 missing .*; and 12 more"):
        check_params({}, {f"layers_{i}/scale": (4,) for i in range(20)})


def test_sizes_follow_from_shapes():
    flat = {
        "decoder/token_embedder/embedding": (1536, 512),
        "decoder/layers_0/mlp/wo/kernel": (1024, 512),
        "encoder/continuous_inputs_projection/kernel": (256, 512),
        "encoder/layers_0/attention/query/kernel": (512, 384),
        "encoder/layers_0/mlp/wo/kernel": (1024, 512),
        "encoder/layers_1/mlp/wo/kernel": (1024, 512),
    }
    params = unflatten({name: np.zeros(shape, np.float32) for name, shape in flat.items()})
    assert infer_sizes(params) == {
        "vocab_size": 1536,
        "emb_dim": 512,
        "input_depth": 256,
        "attention_width": 384,
        "mlp_dim": 1024,
        "num_encoder_layers": 2,
        "num_decoder_layers": 1,
        "logits_via_embedding": True,
    }


def test_sizes_of_something_else_are_empty():
    assert infer_sizes(TREE) == {}
