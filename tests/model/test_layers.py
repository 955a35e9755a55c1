"""Building blocks against stored values and hand-worked examples."""

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


def test_one_activation_makes_a_plain_mlp_named_wi():
    config = TransformerConfig(emb_dim=8, mlp_dim=16, mlp_activations=("relu",))
    variables = jax.eval_shape(
        lambda key: Mlp(config).init(key, jnp.ones((1, 2, 8)), True), jax.random.key(0)
    )
    assert set(variables["params"]) == {"wi", "wo"}
