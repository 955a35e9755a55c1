"""T5X's optimizer: against what T5X computed, by hand, and through T5X's checkpoints.

`golden/adafactor.npz` holds four of the original's arrays (two of which are factored), their gradients, and
the fourth step of T5X with MT3's `logical_factor_rules`; without these rules T5X gave the same numbers.
"""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mt3x.checkpoints import CheckpointError, flatten, read_t5x, write_t5x
from mt3x.training.adafactor import AdafactorConfig, adafactor, t5x_param_states, with_t5x_param_states
from mt3x.training.schedule import LearningRateConfig, create_learning_rate_scheduler

GOLDEN = Path(__file__).parents[1] / "golden"
BY_T5X = GOLDEN / "t5x_checkpoint_tiny" / "checkpoint_3"
NAMES = ("mlp_wi", "mlp_wo", "scale", "small")


@functools.cache
def init_and_update(config):
    optimizer = adafactor(config)
    return optimizer.init, jax.jit(optimizer.update)


def steps(config, params, gradients, state=None):
    """(weights, optimizer state) after a step for each of the gradients."""
    init, update = init_and_update(config)
    with jax.numpy_dtype_promotion("standard"):  # as `apply_gradients`
        state = init(params) if state is None else state
        for gradient in gradients:
            updates, state = update(gradient, state, params)
            params = optax.apply_updates(params, updates)
    return params, state


def one_step(config, weight, gradient):
    params, _ = steps(config, {"w": jnp.asarray(weight)}, [{"w": jnp.asarray(gradient)}])
    return params["w"]


def constant_rate(rate):
    return LearningRateConfig(base_learning_rate=rate)


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN / "adafactor.npz"))


@pytest.fixture(scope="module")
def golden_gradients(golden):
    return [{name: jnp.asarray(golden[f"grad{step}.{name}"]) for name in NAMES} for step in range(4)]


@pytest.fixture(scope="module")
def golden_params(golden):
    return {name: jnp.asarray(golden[f"init.{name}"]) for name in NAMES}


def assert_states_equal(found, expected):
    found, expected = flatten(found), flatten(expected)
    assert found.keys() == expected.keys()
    for name, leaf in expected.items():
        assert found[name].dtype == leaf.dtype, name
        np.testing.assert_array_equal(found[name], leaf, err_msg=name)


def test_four_steps_equal_t5x(golden, golden_params, golden_gradients):
    config = AdafactorConfig(constant_rate(float(golden["learning_rate"])))
    params, state = steps(config, golden_params, golden_gradients)
    for name in NAMES:
        # A weight is rounded in every step, and optax rounds its update once more than T5X: 2 units of 1e-7.
        np.testing.assert_allclose(params[name], golden[f"rules.step4.{name}"], rtol=2e-7, atol=2e-8)
        changed = np.abs(golden[f"rules.step4.{name}"] - golden[f"init.{name}"]).max()
        assert changed > 1e-4
    slots = t5x_param_states(state)
    kept = {name: {slot for slot in found if found[slot].size > 1} for name, found in slots.items()}
    factored, whole = {"v_row", "v_col"}, {"v"}
    assert kept == {"mlp_wi": factored, "mlp_wo": factored, "scale": whole, "small": whole}
    for name, found in slots.items():
        for slot in kept[name]:
            # Equal bit for bit without jit; with it XLA fuses products and sums (measured: 2e-7).
            np.testing.assert_allclose(found[slot], golden[f"rules.state.{name}.{slot}"], rtol=1e-6)


def test_the_network_has_no_array_that_t5x_factors_by_its_rules():
    shapes = json.loads((GOLDEN / "small_params_spec.json").read_text())["shapes"]
    assert max(len(shape) for shape in shapes.values()) == 2


def test_the_first_step_has_one_size_everywhere_relative_to_the_weights():
    # The first second moment is the squared gradient: the update is its sign. RMS of the weights: 5.
    moved = one_step(AdafactorConfig(constant_rate(0.1)), [1.0, 7.0], [2.0, -30.0])
    np.testing.assert_allclose(moved, [0.5, 7.5], rtol=1e-6)


def test_small_weights_move_by_the_learning_rate_times_a_thousandth():
    moved = one_step(AdafactorConfig(constant_rate(0.1)), [0.0, 0.0], [2.0, -30.0])
    np.testing.assert_allclose(moved, [-1e-4, 1e-4], rtol=1e-6)


def test_without_parameter_scale_the_learning_rate_is_the_step():
    config = AdafactorConfig(constant_rate(0.1), multiply_by_parameter_scale=False)
    np.testing.assert_allclose(one_step(config, [1.0, 7.0], [2.0, -30.0]), [0.9, 7.1], rtol=1e-6)


def test_a_factored_array_is_scaled_by_the_means_of_its_rows_and_columns():
    config = AdafactorConfig(
        constant_rate(1.0),
        min_dim_size_to_factor=2,
        multiply_by_parameter_scale=False,
        clipping_threshold=None,
    )
    gradient = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 5.0]])
    squared = gradient**2
    estimate = squared.mean(1, keepdims=True) * squared.mean(0, keepdims=True) / squared.mean()
    moved = one_step(config, np.zeros((2, 3), np.float32), gradient.astype(np.float32))
    np.testing.assert_allclose(moved, -gradient / np.sqrt(estimate), rtol=1e-6)
    unfactored = AdafactorConfig(
        constant_rate(1.0), factored=False, min_dim_size_to_factor=2, multiply_by_parameter_scale=False
    )
    moved = one_step(unfactored, np.zeros((2, 3), np.float32), gradient.astype(np.float32))
    np.testing.assert_allclose(moved, -np.ones((2, 3)), rtol=1e-6)


def test_an_update_is_clipped_by_its_rms():
    config = AdafactorConfig(constant_rate(0.1), multiply_by_parameter_scale=False, clipping_threshold=0.5)
    np.testing.assert_allclose(one_step(config, [1.0, 7.0], [2.0, -30.0]), [0.95, 7.05], rtol=1e-6)


def test_weights_decay_by_their_share_whatever_the_learning_rate():
    config = AdafactorConfig(constant_rate(0.1), multiply_by_parameter_scale=False, weight_decay_rate=0.5)
    np.testing.assert_allclose(one_step(config, [1.0, 7.0], [2.0, -30.0]), [0.4, 3.6], rtol=1e-6)


def test_momentum_is_that_of_the_finished_update():
    config = AdafactorConfig(constant_rate(0.1), multiply_by_parameter_scale=False, beta1=0.75)
    gradient = {"w": jnp.array([2.0, -30.0])}
    params, state = steps(config, {"w": jnp.array([1.0, 7.0])}, [gradient] * 2)
    # 0.25 * 0.1, then 0.75 of that and 0.25 * 0.1 more.
    np.testing.assert_allclose(t5x_param_states(state)["w"]["m"], [0.04375, -0.04375], rtol=1e-6)
    np.testing.assert_allclose(params["w"], [1 - 0.025 - 0.04375, 7 + 0.025 + 0.04375], rtol=1e-6)


def test_the_second_moment_forgets_by_a_power_of_the_step():
    gradients = [{"w": jnp.array([1.0])}, {"w": jnp.array([2.0])}]
    _, state = steps(AdafactorConfig(decay_rate=0.5), {"w": jnp.ones(1)}, gradients)
    kept = 1 - 2**-0.5
    np.testing.assert_allclose(t5x_param_states(state)["w"]["v"], [kept * 1 + (1 - kept) * 4], rtol=1e-6)


def test_at_the_step_offset_the_second_moment_starts_afresh():
    config = AdafactorConfig(step_offset=1)
    fresh = adafactor(config).init({"w": jnp.ones(1)})
    slots = {name: np.full(1, 9.0, np.float32) for name in ("m", "v", "v_col", "v_row")}
    state = with_t5x_param_states(fresh, {"w": slots}, step=1)
    _, state = steps(config, {"w": jnp.ones(1)}, [{"w": jnp.array([2.0])}], state)
    np.testing.assert_allclose(t5x_param_states(state)["w"]["v"], [4.0], rtol=1e-6)


def test_defaults_are_mt3s():
    schedule = jax.jit(create_learning_rate_scheduler(LearningRateConfig()))
    assert [float(schedule(step)) for step in (0, 400_000)] == pytest.approx([1e-3, 1e-3])
    config = AdafactorConfig()
    assert (config.decay_rate, config.step_offset, config.learning_rate.warmup_steps) == (0.8, 0, 1000)


def test_the_first_step_uses_the_rate_of_step_0():
    config = AdafactorConfig(
        LearningRateConfig("constant * linear_warmup", 1.0, warmup_steps=2), multiply_by_parameter_scale=False
    )
    gradients = [{"w": jnp.ones(1)}] * 2
    params, _ = steps(config, {"w": jnp.zeros(1)}, gradients)
    np.testing.assert_allclose(params["w"], [-0.5], rtol=1e-6)  # 0, then 1 / 2


def test_state_that_t5x_wrote_comes_back_as_it_was():
    checkpoint = read_t5x(BY_T5X)
    assert checkpoint.optimizer_state is not None
    fresh = adafactor(AdafactorConfig()).init(checkpoint.params)
    state = with_t5x_param_states(fresh, checkpoint.optimizer_state, checkpoint.step)
    assert [int(count) for _, count in optax.tree.get_all_with_path(state, "count")] == [3, 3]
    assert jax.tree.structure(state) == jax.tree.structure(fresh)
    assert_states_equal(t5x_param_states(state), checkpoint.optimizer_state)


@pytest.mark.parametrize("beta1", [None, 0.9])
def test_a_run_goes_on_through_a_t5x_checkpoint_as_if_it_had_not_stopped(
    tmp_path, golden_params, golden_gradients, beta1
):
    config = AdafactorConfig(beta1=beta1)
    unbroken, last = steps(config, golden_params, golden_gradients)
    params, state = steps(config, golden_params, golden_gradients[:2])
    write_t5x(tmp_path / "checkpoint_2", params, 2, t5x_param_states(state))
    checkpoint = read_t5x(tmp_path / "checkpoint_2")
    assert checkpoint.optimizer_state is not None
    fresh = adafactor(config).init(golden_params)
    state = with_t5x_param_states(fresh, checkpoint.optimizer_state, checkpoint.step)
    params = jax.tree.map(jnp.asarray, checkpoint.params)
    params, state = steps(config, params, golden_gradients[2:], state)
    jax.tree.map(np.testing.assert_array_equal, (params, state), (unbroken, last))


def test_only_the_networks_part_is_replaced():
    params = {"network": {"w": jnp.ones(2)}, "frame_head": {"b": jnp.ones(3)}}
    fresh = adafactor(AdafactorConfig()).init(params)
    slots = {"v": np.full(2, 5.0, np.float32), **dict.fromkeys(("m", "v_col", "v_row"), np.zeros(1))}
    states = t5x_param_states(fresh) | {"network": {"w": slots}}
    found = t5x_param_states(with_t5x_param_states(fresh, states, 3))
    np.testing.assert_array_equal(found["network"]["w"]["v"], [5.0, 5.0])
    np.testing.assert_array_equal(found["frame_head"]["b"]["v"], np.zeros(3))


def test_a_state_that_was_factored_otherwise_is_named():
    checkpoint = read_t5x(BY_T5X)
    assert checkpoint.optimizer_state is not None
    fresh = adafactor(AdafactorConfig(min_dim_size_to_factor=64)).init(checkpoint.params)
    with pytest.raises(
        CheckpointError, match=r"of another shape \(decoder/.*/v is \[64, 64\], expected \[1\]"
    ):
        with_t5x_param_states(fresh, checkpoint.optimizer_state, checkpoint.step)


def test_a_state_of_other_parameters_is_named():
    fresh = adafactor(AdafactorConfig()).init({"w": jnp.ones(2)})
    with pytest.raises(CheckpointError, match=r"4 missing \(w/m \[1\].*4 unexpected \(u/m \[1\]"):
        with_t5x_param_states(fresh, {"u": t5x_param_states(fresh)["w"]}, 1)


def test_the_state_of_another_optimizer_is_refused():
    state = optax.adam(1e-3).init({"w": jnp.ones(2)})
    with pytest.raises(ValueError, match="holds 0 of Adafactor"):
        t5x_param_states(state)
    with pytest.raises(ValueError, match="holds 0 of Adafactor"):
        with_t5x_param_states(state, {}, 1)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"decay_rate": 0.0}, "decay_rate is 0.0; it must be positive"),
        ({"clipping_threshold": -1.0}, "clipping_threshold is -1.0; it must be positive"),
        ({"beta1": 1.0}, "beta1 is 1.0; give a number from 0 to below 1, or None"),
    ],
)
def test_a_wrong_setting_is_named(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        AdafactorConfig(**settings)
