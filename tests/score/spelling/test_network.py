"""The spelling network: degrees, and a pass worked by hand."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from mt3x.score.spelling.network import SpellingConfig, SpellingNetwork, degree_classes

TINY = SpellingConfig(width=3, layers=1)


def test_degrees_are_counted_from_the_key():
    positions, fifths = np.array([-1, 5, 0, 7, -5, -12, 20]), np.array([0, 0, 1, 2, -5, 0, 0])
    assert degree_classes(positions, fifths).tolist() == [8, 14, 8, 14, 9, -1, -1]


def test_a_pass_worked_by_hand():
    kernel, out = np.zeros((2, 3), np.float32), np.zeros((3, 24), np.float32)
    kernel[0, 0], kernel[1, 2] = 1.0, 2.0
    out[0, 5], out[2, 13] = 3.0, 1.0
    params = {
        "layers_0": {"kernel": kernel, "bias": np.zeros(3, np.float32)},
        "degrees": {"kernel": out, "bias": np.zeros(24, np.float32)},
    }
    logits = np.asarray(SpellingNetwork(TINY).apply({"params": params}, jnp.array([[1.0, -0.5]])))
    assert logits.shape == (1, 2, 12)
    gelu_of_1, gelu_of_minus_1 = np.asarray(nn.gelu(jnp.array([1.0, -1.0])))
    np.testing.assert_allclose(logits[0, 0, 5], 3 * gelu_of_1, rtol=1e-5)
    np.testing.assert_allclose(logits[0, 1, 1], gelu_of_minus_1, rtol=1e-5)
    assert np.count_nonzero(logits) == 2
