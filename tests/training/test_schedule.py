"""Learning rates, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.training.config import OptimizerConfig
from mt3x.training.schedule import (
    FACTORS,
    LearningRateConfig,
    create_learning_rate_scheduler,
    learning_rate_schedule,
)

CONFIG = OptimizerConfig(warmup_steps=10, decay_from=0.3, final_fraction=0.1)


def rates(total_steps, config=CONFIG, peak=2.0):
    schedule = learning_rate_schedule(
        peak, total_steps, config.warmup_steps, config.decay_from, config.final_fraction
    )
    with jax.numpy_dtype_promotion("standard"):  # as `apply_gradients`
        return np.asarray(jax.jit(schedule)(jnp.arange(total_steps + 1)))


def test_the_learning_rate_rises_stays_and_falls_by_half_a_cosine():
    rate = rates(100)
    assert np.allclose(rate[:11], 0.2 * np.arange(11), atol=1e-6)
    assert np.allclose(rate[10:31], 2.0)
    assert rate[65] == pytest.approx((2.0 + 0.2) / 2)  # halfway between 30 and 100
    assert rate[100] == pytest.approx(0.2)
    assert (np.diff(rate[30:]) < 0).all()


def test_a_run_too_short_for_its_warm_up_still_has_a_rate_at_every_step():
    rate = rates(5)
    assert np.allclose(rate, 0.2 * np.arange(6), atol=1e-6)
    assert np.isfinite(rates(5, OptimizerConfig(warmup_steps=0))).all()


def rate(step, factors, **settings):
    config = LearningRateConfig(factors, 0.5, warmup_steps=100, **settings)
    return float(create_learning_rate_scheduler(config)(jnp.array(step)))


@pytest.mark.parametrize(
    ("factors", "step", "expected"),
    [
        ("constant", 7, 0.5),
        ("linear_warmup", 25, 0.25),
        ("linear_warmup", 500, 1.0),
        ("linear_decay", 50, 0.25),
        ("linear_decay", 101, 0.3),  # 0.5 * (1 - 0.4)
        ("linear_decay", 200, 1e-8),  # never 0 or less
        ("rsqrt_decay", 25, 0.1),
        ("rsqrt_decay", 400, 0.05),
        ("rsqrt_normalized_decay", 25, 1.0),
        ("rsqrt_normalized_decay", 400, 0.5),
        ("decay_every", 999, 1.0),
        ("decay_every", 2500, 0.16),
        ("cosine_decay", 100, 1.0),
        ("cosine_decay", 1600, 0.5),
        ("cosine_decay", 3100, 1.0),  # a new cycle
        ("constant * linear_warmup * rsqrt_decay", 25, 0.5 * 0.25 * 0.1),
        ("constant*linear_warmup", 0, 1e-8),
    ],
)
def test_each_factor_by_hand(factors, step, expected):
    settings = {"decay_factor": 0.4, "steps_per_decay": 1000, "steps_per_cycle": 3000}
    assert rate(step, factors, **settings) == pytest.approx(expected, rel=1e-6)
    assert rate(step + 30, factors, step_offset=30, **settings) == pytest.approx(expected, rel=1e-6)
    assert {name.strip() for name in factors.split("*")} <= set(FACTORS)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"factors": "constant * square_decay"}, "factors names 'square_decay'; give some of constant,"),
        ({"factors": ""}, "factors names ''"),
        ({"warmup_steps": 0}, "warmup_steps is 0; it must be at least 1"),
        ({"steps_per_decay": 0}, "steps_per_decay is 0; it must be at least 1"),
        ({"steps_per_cycle": 0}, "steps_per_cycle is 0; it must be at least 1"),
        ({"step_offset": -1}, "step_offset is -1; it must be at least 0"),
    ],
)
def test_a_wrong_schedule_is_named(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        LearningRateConfig(**settings)
