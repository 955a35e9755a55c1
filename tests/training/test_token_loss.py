"""The token loss against T5X's numbers and a hand-worked example."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.training.token_loss import token_loss

GOLDEN = Path(__file__).parents[1] / "golden"


def test_loss_of_stored_logits_equals_t5x():
    golden = np.load(GOLDEN / "tiny_forward.npz")
    loss, z_loss, weight = token_loss(
        jnp.asarray(golden["logits"]),
        jnp.asarray(golden["decoder_target_tokens"]),
        jnp.asarray(golden["decoder_loss_weights"]),
    )
    np.testing.assert_allclose(loss, golden["loss"], rtol=1e-6)
    # T5X's log of the same step: cross-entropy 818.650390625, z-loss 0.6374675035476685.
    np.testing.assert_allclose(loss - z_loss, 818.650390625, rtol=1e-6)
    np.testing.assert_allclose(z_loss, 0.6374675035476685, rtol=1e-5)
    assert float(weight) == golden["decoder_loss_weights"].sum()


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary():
    loss, z_loss, weight = token_loss(
        jnp.zeros((1, 2, 8)), jnp.array([[3, 0]]), jnp.array([[1.0, 0.0]]), z_loss=0.5
    )
    np.testing.assert_allclose(z_loss, 0.5 * np.log(8) ** 2, rtol=1e-6)
    np.testing.assert_allclose(loss, np.log(8) + z_loss, rtol=1e-6)
    assert weight == 1.0


def test_shapes_that_disagree_are_named():
    with pytest.raises(ValueError, match=r"give \[batch, tokens, vocabulary\]"):
        token_loss(jnp.zeros((1, 2, 8)), jnp.zeros((1, 3), jnp.int32), jnp.zeros((1, 3)))


def test_smoothed_labels_share_a_little_with_every_other_token():
    logits = np.array([[[2.0, 0.5, -1.0, 0.0]]], np.float32)
    soft = np.array([0.1 / 3, 0.9, 0.1 / 3, 0.1 / 3])
    log_probabilities = logits[0, 0] - np.log(np.exp(logits[0, 0]).sum())
    divergence = (soft * (np.log(soft) - log_probabilities)).sum()
    loss, _, _ = token_loss(
        jnp.asarray(logits), jnp.array([[1]]), jnp.ones((1, 1)), z_loss=0.0, label_smoothing=0.1
    )
    np.testing.assert_allclose(loss, divergence, rtol=1e-5)


def test_a_prediction_equal_to_the_smoothed_label_costs_nothing():
    logits = jnp.log(jnp.array([[[0.1 / 3, 0.9, 0.1 / 3, 0.1 / 3]]]))
    loss, _, _ = token_loss(logits, jnp.array([[1]]), jnp.ones((1, 1)), z_loss=0.0, label_smoothing=0.1)
    np.testing.assert_allclose(loss, 0.0, atol=1e-6)
