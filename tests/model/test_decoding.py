"""The decoder as the engine runs it, against the one that the rest of the project knows."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.model.config import TINY
from mt3x.model.decoding import decode_step, decoding_weights
from mt3x.model.transformer import Transformer, empty_cache, shift_right

LENGTH = 12
STEP = jax.jit(decode_step, static_argnums=0)


@functools.partial(jax.jit, static_argnames=("config", "method"))
def apply(config, params, *arguments, method):
    return Transformer(config).apply({"params": params}, *arguments, method=method)


def logits_by_steps(config, params, encoded, ids, starts):
    """Row b's ids [B, T], fed one by one from step starts[b] on: logits [B, T, V]."""
    weights = decoding_weights(config, params["decoder"], LENGTH)
    memory = apply(config, params, encoded, method="project_memory").layers
    cache = empty_cache(config, len(ids), LENGTH)
    step = jax.jit(functools.partial(decode_step, config, weights))
    fed = np.asarray(shift_right(ids))
    found = np.zeros((*ids.shape, config.vocab_size), np.float32)
    for time in range(ids.shape[1] + max(starts)):
        positions = np.clip(time - np.array(starts), 0, LENGTH - 1)
        rows = np.arange(len(ids))
        logits, cache = step(fed[rows, positions][:, np.newaxis], jnp.int32(positions), memory, cache)
        found[rows, positions] = logits[:, 0]
    return found


def of_unit_gain(random, shape):
    """A parameter; quicker than a compiled `init`."""
    drawn = (
        random.standard_normal(shape) / shape[0] ** 0.5 if len(shape) > 1 else random.uniform(0.8, 1.2, shape)
    )
    return drawn.astype(np.float32)


@pytest.mark.parametrize(
    "changes",
    [{}, {"logits_via_embedding": True}, {"mlp_activations": ("relu",)}, {"mlp_activations": ("gelu",) * 3}],
    ids=str,
)
def test_steps_give_the_logits_of_the_whole_decoder(changes):
    config = dataclasses.replace(TINY, **changes)
    random = np.random.default_rng(0)
    frames = random.standard_normal((3, 5, config.input_depth)).astype(np.float32)
    encoded = random.standard_normal((3, 5, config.emb_dim)).astype(np.float32)
    ids = random.integers(2, config.vocab_size, (3, LENGTH)).astype(np.int32)
    shapes = jax.eval_shape(lambda: Transformer(config).init(jax.random.key(0), frames, ids))["params"]
    params = jax.tree.map(lambda x: of_unit_gain(random, x.shape), shapes)
    expected = apply(config, params, encoded, shift_right(ids), method="decode")
    # Rows that begin at different steps: each has a position of its own.
    found = logits_by_steps(config, params, encoded, ids, starts=(0, 2, 1))
    # Sums in another order.
    np.testing.assert_allclose(found, expected, atol=2e-5 * float(np.abs(expected).max()))


def test_beams_of_a_segment_share_its_memory(params, golden):
    encoded = golden["encoded"][:2]
    memory = apply(TINY, params, encoded, method="project_memory").layers
    weights = decoding_weights(TINY, params["decoder"], LENGTH)
    ids = np.arange(6).reshape(2, 3).astype(np.int32)
    positions = np.array([0, 0], np.int32)
    together, cache = STEP(TINY, weights, ids, positions, memory, empty_cache(TINY, 6, LENGTH))
    assert together.shape == (2, 3, TINY.vocab_size) and cache[0].key.shape[0] == 6
    for beam in range(3):
        alone, _ = STEP(
            TINY, weights, ids[:, beam : beam + 1], positions, memory, empty_cache(TINY, 2, LENGTH)
        )
        np.testing.assert_allclose(together[:, beam], alone[:, 0], rtol=1e-4, atol=1e-5)


def test_nothing_is_written_beyond_the_cache(params, golden):
    memory = apply(TINY, params, golden["encoded"][:2], method="project_memory").layers
    weights = decoding_weights(TINY, params["decoder"], LENGTH)
    empty = empty_cache(TINY, 2, 4)
    _, cache = STEP(TINY, weights, np.zeros((2, 1), np.int32), np.array([4, 1], np.int32), memory, empty)
    written = np.abs(np.asarray(cache[0].key)).sum(axis=(1, 3))  # [R, L]
    assert (written[0] == 0).all() and np.flatnonzero(written[1]).tolist() == [1]


def test_bfloat16_weights_compute_in_bfloat16(params, golden):
    config = dataclasses.replace(TINY, dtype="bfloat16")
    memory = apply(config, params, golden["encoded"][:2], method="project_memory").layers
    weights = decoding_weights(config, params["decoder"], LENGTH)
    assert weights.layers[0].self_in.values.dtype == memory[0].key.dtype == jnp.bfloat16
    ids, positions = np.zeros((2, 1), np.int32), np.zeros(2, np.int32)
    logits, _ = STEP(config, weights, ids, positions, memory, empty_cache(config, 2, LENGTH))
    exact = apply(TINY, params, golden["encoded"][:2], np.zeros((2, 1), np.int32), method="decode")
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits[:, 0], exact[:, 0], atol=0.05 * float(np.abs(exact).max()))


def test_int8_weights_are_rounded_by_output(params, golden):
    exact = decoding_weights(TINY, params["decoder"], LENGTH)
    rounded = decoding_weights(TINY, params["decoder"], LENGTH, has_int8=True)
    for matrix, whole in zip(
        (*rounded.layers[0], rounded.logits), (*exact.layers[0], exact.logits), strict=True
    ):
        assert matrix.values.dtype == jnp.int8 and matrix.scales.shape == (len(whole.values), 1)
        largest = np.abs(whole.values).max(axis=1, keepdims=True)
        # Half of a step, and the rounding of the product.
        error = np.abs(np.asarray(matrix.values) * np.asarray(matrix.scales) - whole.values)
        assert (error <= largest * (0.5 / 127 + 1e-6)).all()
    memory = apply(TINY, params, golden["encoded"][:2], method="project_memory")
    state = np.zeros((2, 1), np.int32), np.zeros(2, np.int32), memory.layers, empty_cache(TINY, 2, LENGTH)
    expected, _ = STEP(TINY, exact, *state)
    found, _ = STEP(TINY, rounded, *state)
    np.testing.assert_allclose(found, expected, atol=0.03 * float(np.abs(expected).max()))
    assert not np.allclose(found, expected, rtol=1e-5)
