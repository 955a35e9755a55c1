"""The moving average of the weights, by hand."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mt3x.training.state import apply_gradients, new_state


def test_the_average_follows_the_network_fast_at_first_and_then_slowly():
    params = {"network": {"w": jnp.array([4.0])}, "frame_head": {"v": jnp.array([1.0])}}
    optimizer = optax.sgd(1.0)
    state = new_state(params, optimizer)
    gradients = {"network": {"w": jnp.array([1.0])}, "frame_head": {"v": jnp.array([0.0])}}
    state = apply_gradients(state, gradients, optimizer, average_decay=0.15)
    # Step 0: decay 1 / 10, weights 4 -> 3.
    assert state.params["network"]["w"] == pytest.approx(3.0)
    assert state.average["w"] == pytest.approx(0.1 * 4 + 0.9 * 3)
    state = apply_gradients(state, gradients, optimizer, average_decay=0.15)
    # Step 1: 2 / 11 is more than 0.15.
    assert state.average["w"] == pytest.approx(0.15 * 3.1 + 0.85 * 2)
    assert int(state.step) == 2
    assert set(state.average) == {"w"}


def test_the_state_before_the_first_step_averages_a_copy():
    params = {"network": {"w": jnp.array([4.0])}, "frame_head": {}}
    state = new_state(params, optax.sgd(1.0))
    assert int(state.step) == 0
    assert state.average["w"] is not params["network"]["w"]
    assert np.array_equal(state.average["w"], params["network"]["w"])
