"""Going on from weights and a position alone."""

import dataclasses

import jax
import numpy as np
import pytest

from mt3x.runtime.checkpoints import CheckpointError, load_params
from mt3x.runtime.start import fresh_start, save_weights_and_position, start_from_weights
from mt3x.runtime.state import REWARM_STEPS, make_optimizer, new_state
from mt3x.runtime.train_config import LossConfig, TrainConfig


def test_weights_come_back_in_bfloat16_with_their_place(tiny_run, tmp_path):
    params = tiny_run.params
    average = jax.tree.map(lambda x: x + np.float32(0.5), params["network"])
    save_weights_and_position(tmp_path / "w", tiny_run.config, params, average, 7, {"number": 9})
    point = start_from_weights(tmp_path / "w", tiny_run.config, tiny_run.train_config)
    assert (point.step, point.position) == (7, {"number": 9})
    for found, saved in ((point.params, params), (point.average, average)):
        near = jax.tree.map(lambda a, b: np.allclose(a, b, rtol=2**-8), found, saved)
        assert jax.tree.all(near)
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype("float32")}
    assert load_params(tmp_path / "w").keys() == average.keys()


def test_a_folder_without_weights_says_what_to_give(tiny_run, tmp_path):
    with pytest.raises(CheckpointError, match="no weights to go on from; give the folder `weights` of a run"):
        start_from_weights(tmp_path, tiny_run.config, tiny_run.train_config)


def test_weights_of_another_network_are_named(tiny_run, tmp_path):
    save_weights_and_position(
        tmp_path / "w", tiny_run.config, tiny_run.params, tiny_run.params["network"], 7, {}
    )
    network = dataclasses.replace(tiny_run.config.network, mlp_dim=32)
    other = dataclasses.replace(tiny_run.config, network=network)
    with pytest.raises(CheckpointError, match=r"mlp/wi_0/kernel is \[160, 64\], expected \[160, 32\]"):
        start_from_weights(tmp_path / "w", other, tiny_run.train_config)


def test_a_loss_without_frames_has_no_frame_head(tiny_run):
    training = TrainConfig(has_alignment_prior=False, loss=LossConfig(frame_weight=0.0))
    assert set(fresh_start(tiny_run.config, training).params) == {"network"}
    assert set(tiny_run.params) == {"network", "frame_head"}


def test_rates_of_an_optimizer_that_begins_late_rise_to_where_the_run_is():
    training = TrainConfig(total_steps=40_000)
    params = {"network": {"layers_0": {"kernel": np.ones((4, 4), np.float32)}}}
    gradients = jax.tree.map(lambda x: np.eye(4, dtype=np.float32), params)

    def sizes(first_step, counts):
        optimizer = make_optimizer(training, first_step)
        update = jax.jit(optimizer.update)
        state, found = new_state(params, optimizer).optimizer_state, []
        with jax.numpy_dtype_promotion("standard"):
            for _ in range(counts):
                updates, state = update(gradients, state, params)
                found.append(float(np.abs(updates["network"]["layers_0"]["kernel"]).max()))
        return found

    late = sizes(1000, REWARM_STEPS + 1)
    assert late[0] == 0.0
    assert late[REWARM_STEPS // 2] == pytest.approx(late[REWARM_STEPS] / 2, rel=0.02)
    assert sizes(0, 2)[1] > 0
