"""Building blocks against stored values and hand-worked examples."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.model.config import TINY, TransformerConfig
from mt3x.model.layers import Attention, Mlp, RMSNorm, sinusoid_table

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("features", [64, 512])
def test_sinusoid_table_equals_t5x_to_the_last_bit(features):
    stored = np.load(GOLDEN / "sinusoid.npz")
    table = sinusoid_table(2048, features)
    np.testing.assert_array_equal(table[stored["rows"]], stored[f"pe{features}"])


def test_rms_norm_divides_by_root_mean_square_only():
    norm = RMSNorm()
    x = jnp.array([[[3.0, 4.0]]])  # mean square 12.5; the mean, 3.5, is not subtracted
    y = norm.apply({"params": {"scale": jnp.array([1.0, 2.0])}}, x)
    np.testing.assert_allclose(y, np.array([[[3.0, 8.0]]]) / np.sqrt(12.5), rtol=1e-6)


def test_row_that_sees_nothing_attends_everywhere_equally():
    draw = np.random.RandomState(0).randn
    kernels = {
        name: {"kernel": draw(64, 64).astype(np.float32) / 8} for name in ("query", "key", "value", "out")
    }
    x = draw(1, 3, 64).astype(np.float32)

    @jax.jit
    def attend(x):
        attention = Attention(TINY).bind({"params": kernels})
        return attention(x, attention.keys_values(x), jnp.zeros((1, 1, 3, 3), bool))

    value = x @ kernels["value"]["kernel"]
    mean = np.broadcast_to(value.mean(axis=1, keepdims=True), value.shape)
    np.testing.assert_allclose(attend(x), mean @ kernels["out"]["kernel"], atol=1e-5)


def attend(config: TransformerConfig, deterministic: bool = False):
    """Causal self-attention over 6 positions: its output, and the slopes of its squares in x and kernels."""
    draw = np.random.RandomState(0).randn
    kernels = {
        name: {"kernel": draw(64, 64).astype(np.float32) / 8} for name in ("query", "key", "value", "out")
    }
    mask = jnp.tri(6, dtype=bool)[jnp.newaxis, jnp.newaxis]
    rngs = {"dropout": jax.random.key(1)}

    def output(x, kernels):
        attention = Attention(config).bind({"params": kernels}, rngs=rngs)
        return attention(x, attention.keys_values(x), mask, deterministic).astype(jnp.float32)

    x = draw(2, 6, 64).astype(config.dtype)
    slopes = jax.grad(lambda *inputs: jnp.sum(jnp.square(output(*inputs))), argnums=(0, 1))(x, kernels)
    return jax.tree.leaves((output(x, kernels), slopes))


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_fused_attention_gives_plain_attentions_numbers_and_slopes(dtype, tolerance):
    plain = dataclasses.replace(TINY, dropout_rate=0.5, dtype=dtype)
    fused = dataclasses.replace(plain, attention="fused")
    with jax.numpy_dtype_promotion("standard"):  # inside, JAX multiplies bfloat16 with float32
        results = attend(fused)
    for want, got in zip(attend(plain), results, strict=True):
        scale = np.abs(want.astype(np.float32)).max()
        np.testing.assert_allclose(
            got.astype(np.float32), want.astype(np.float32), rtol=0, atol=tolerance * scale
        )


def test_attention_without_dropout_is_never_fused():
    fused = dataclasses.replace(TINY, attention="fused")
    for want, got in zip(attend(TINY, deterministic=True), attend(fused, deterministic=True), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("backend", "dtype", "implementation"),
    [("gpu", "bfloat16", "cudnn"), ("gpu", "float32", "xla"), ("cpu", "bfloat16", "xla")],
)
def test_fused_attention_is_cudnns_on_a_gpu_in_bfloat16(monkeypatch, backend, dtype, implementation):
    asked = []

    def attention(query, key, value, **options):
        asked.append(options["implementation"])
        return query

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax.nn, "dot_product_attention", attention)
    attend(dataclasses.replace(TINY, dtype=dtype, attention="fused"))
    assert set(asked) == {implementation}


def test_one_activation_makes_a_plain_mlp_named_wi():
    config = TransformerConfig(emb_dim=8, mlp_dim=16, mlp_activations=("relu",))
    variables = jax.eval_shape(
        lambda key: Mlp(config).init(key, jnp.ones((1, 2, 8)), True), jax.random.key(0)
    )
    assert set(variables["params"]) == {"wi", "wo"}
