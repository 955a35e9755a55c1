"""The network against what MT3's computed with the same parameters and batch.

Tolerances: the same float32 arithmetic in another order of summation; measured differences stand beside each.
"""

import functools
import json
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import InvalidRngError
from flax.traverse_util import flatten_dict

from mt3x.model.config import SMALL, TINY, TransformerConfig
from mt3x.model.layers import sinusoid_table
from mt3x.model.transformer import Transformer, empty_cache, shift_right
from mt3x.training.token_loss import token_loss

GOLDEN = Path(__file__).parents[1] / "golden"


def test_encoder_output_equals_mt3(model, params, golden):
    encode = jax.jit(functools.partial(model.apply, method=Transformer.encode))
    encoded = encode({"params": params}, golden["encoder_input_tokens"])
    np.testing.assert_allclose(encoded, golden["encoded"], atol=1e-5)  # measured 1.2e-6


def test_logits_equal_mt3(model, params, golden):
    logits = jax.jit(model.apply)(
        {"params": params}, golden["encoder_input_tokens"], golden["decoder_input_tokens"]
    )
    real = golden["decoder_loss_weights"] > 0  # padded positions are masked in MT3 and mean nothing
    np.testing.assert_allclose(logits[real], golden["logits"][real], atol=2e-5)  # measured 2.4e-6


def test_loss_and_gradients_equal_t5x(model, params, golden):
    stored = np.load(GOLDEN / "tiny_grads.npz")

    def loss_of(params):
        logits = model.apply(
            {"params": params}, golden["encoder_input_tokens"], golden["decoder_input_tokens"]
        )
        return token_loss(logits, golden["decoder_target_tokens"], golden["decoder_loss_weights"])[0]

    loss, gradients = jax.jit(jax.value_and_grad(loss_of))(params)
    np.testing.assert_allclose(loss, golden["loss"], rtol=1e-6)
    gradients = flatten_dict(gradients, sep="/")
    assert set(gradients) == set(stored.files)
    for path in stored.files:
        scale = np.abs(stored[path]).max()
        np.testing.assert_allclose(gradients[path], stored[path], atol=1e-5 * scale, err_msg=path)


def test_small_preset_has_mt3s_parameter_names_and_shapes():
    spec = json.loads((GOLDEN / "small_params_spec.json").read_text())
    variables = jax.eval_shape(
        Transformer(SMALL).init, jax.random.key(0), jnp.zeros((1, 8, 512)), jnp.zeros((1, 4), jnp.int32)
    )
    shapes = {path: list(leaf.shape) for path, leaf in flatten_dict(variables["params"], sep="/").items()}
    assert shapes == spec["shapes"]


def test_rule_filled_small_parameters_match_their_checksums():
    spec = json.loads((GOLDEN / "small_params_spec.json").read_text())
    for path, check in spec["check"].items():
        array = rule_filled(path, spec["shapes"][path])
        np.testing.assert_allclose(array.ravel()[:3], check["first"], rtol=1e-6)
        np.testing.assert_allclose(array.sum(dtype=np.float64), check["sum"], rtol=1e-5)


def rule_filled(path: str, shape: list[int]) -> np.ndarray:
    """The rule that small_params_spec.json states."""
    noise = np.random.RandomState(zlib.crc32(path.encode())).randn(*shape)
    if path.endswith("scale"):
        return (1.0 + 0.1 * noise).astype(np.float32)
    if path.endswith("embedding"):
        return noise.astype(np.float32)
    scale = 1.0 / np.sqrt(shape[0]) / (np.sqrt(64) if "/query/" in path else 1.0)
    return (noise * scale).astype(np.float32)


def test_cached_steps_equal_all_positions_at_once(model, params, golden):
    ids = jnp.asarray(golden["decoder_input_tokens"])  # teacher forcing [3, 48]
    encoded = jnp.asarray(golden["encoded"])
    variables = {"params": params}

    @jax.jit
    def both_ways(variables):
        full = model.apply(variables, encoded, ids, method=Transformer.decode)
        memory = model.apply(variables, encoded, method=Transformer.project_memory)

        def step(cache, position):
            token = jax.lax.dynamic_slice_in_dim(ids, position, 1, axis=1)
            logits, cache = model.apply(
                variables, token, position, memory, cache, method=Transformer.decode_step
            )
            return cache, logits[:, 0]

        cache = empty_cache(TINY, 3, 64)  # longer than needed: unwritten positions stay unseen
        _, stepped = jax.lax.scan(step, cache, jnp.arange(48))
        return full, jnp.swapaxes(stepped, 0, 1)

    full, stepped = both_ways(variables)
    np.testing.assert_allclose(stepped, full, atol=2e-5)


def test_dropout_needs_a_key_and_changes_the_logits():
    model = Transformer(TransformerConfig(**{**vars(TINY), "num_encoder_layers": 0, "num_decoder_layers": 1}))
    inputs, ids = np.ones((1, 8, 512), np.float32), np.zeros((1, 4), np.int32)
    variables = random_variables(model)

    @jax.jit
    def logits_with(key):
        return model.apply(variables, inputs, ids, deterministic=False, rngs={"dropout": key})

    first, again, other = (logits_with(jax.random.key(seed, impl="rbg")) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    with pytest.raises(InvalidRngError):
        jax.eval_shape(lambda: model.apply(variables, inputs, ids, deterministic=False))


def random_variables(model):
    """Weights of unit gain; quicker than a compiled `init`."""
    ids = jnp.zeros((1, 4), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, model.config.input_depth)), ids)
    draw = np.random.RandomState(0).randn
    return jax.tree.map(lambda leaf: (draw(*leaf.shape) / leaf.shape[0] ** 0.5).astype(np.float32), shapes)


def test_bfloat16_computes_near_float32_with_float32_parameters(params, golden):
    model = Transformer(TransformerConfig(**{**vars(TINY), "dtype": "bfloat16"}))
    inputs, ids = golden["encoder_input_tokens"], golden["decoder_input_tokens"]
    variables = jax.eval_shape(model.init, jax.random.key(0), inputs, ids)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}

    @jax.jit
    def forward(params):
        encoded = model.apply({"params": params}, inputs, method=Transformer.encode)
        return encoded, model.apply({"params": params}, encoded, ids, method=Transformer.decode)

    encoded, logits = forward(params)
    assert encoded.dtype == jnp.bfloat16 and logits.dtype == jnp.float32
    real = golden["decoder_loss_weights"] > 0
    # bfloat16 keeps 8 bits; through 4 layers the logits (spread 1) move by a few of its steps.
    assert np.abs(logits[real] - golden["logits"][real]).mean() < 0.05


def test_logits_via_embedding_share_one_table():
    sizes = {**vars(TINY), "num_encoder_layers": 0, "num_decoder_layers": 1, "logits_via_embedding": True}
    model = Transformer(TransformerConfig(**sizes))
    variables = jax.tree.map(np.zeros_like, random_variables(model))  # layers of zeros change nothing
    decoder = variables["params"]["decoder"]
    assert set(decoder) == {"token_embedder", "layers_0", "decoder_norm"}
    decoder["decoder_norm"]["scale"] = np.ones(64, np.float32)
    table = np.random.RandomState(1).randn(1536, 64).astype(np.float32)  # as initialised: unit variance
    decoder["token_embedder"]["embedding"] = table
    logits = jax.jit(model.apply)(variables, jnp.ones((1, 8, 512)), jnp.array([[5, 6]]))
    x = table[[5, 6]] + sinusoid_table(2, 64)
    x /= np.sqrt((x**2).mean(axis=1, keepdims=True))
    np.testing.assert_allclose(logits[0], x @ table.T / 8.0, atol=1e-4)  # 8 = sqrt(64): unit variance again


def test_shift_right_makes_t5xs_decoder_inputs(golden):
    np.testing.assert_array_equal(
        shift_right(jnp.asarray(golden["decoder_target_tokens"])), golden["decoder_input_tokens"]
    )


def test_wrong_input_shapes_are_named(model, params):
    ids = jnp.zeros((1, 4), jnp.int32)
    with pytest.raises(ValueError, match=r"give frames \[batch, frames, 512\]"):
        model.apply({"params": params}, jnp.zeros((1, 8, 229)), ids)
    with pytest.raises(ValueError, match=r"give \[batch, tokens\]"):
        model.apply({"params": params}, jnp.zeros((1, 8, 512)), ids[0])
