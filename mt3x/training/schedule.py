"""Learning rates by step: T5X's product of factors, and a warm-up with half a cosine at the end.

A step is counted from 0. Source: T5X `utils.create_learning_rate_scheduler`, for the first.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mt3x.music.checks import check_at_least

FACTORS = (
    "constant",
    "linear_warmup",
    "linear_decay",
    "rsqrt_decay",
    "rsqrt_normalized_decay",
    "decay_every",
    "cosine_decay",
)


@dataclasses.dataclass(frozen=True)
class LearningRateConfig:
    """A product of factors, which `create_learning_rate_scheduler` makes a schedule of.

    Attributes:
      factors: names out of `FACTORS` joined by `*`; T5X's own default is
        "constant * linear_warmup * rsqrt_decay" with a base of 0.5.
      base_learning_rate: "constant", and the peak of "linear_decay".
      warmup_steps: length of "linear_warmup"; where the decays begin.
      decay_factor: what "decay_every" multiplies by; the slope of "linear_decay", in parts a step.
      steps_per_decay: of "decay_every".
      steps_per_cycle: of "cosine_decay".
      step_offset: a step that counts as the first.
      min_learning_rate: the rate never falls below it.

    Raises:
      ValueError: a factor is unknown, or a number of steps is below 1 (`step_offset`: below 0).
    """

    factors: str = "constant"
    base_learning_rate: float = 1e-3
    warmup_steps: int = 1000
    decay_factor: float = 0.5
    steps_per_decay: int = 20_000
    steps_per_cycle: int = 100_000
    step_offset: int = 0
    min_learning_rate: float = 1e-8

    def __post_init__(self) -> None:
        for name in self.factor_names:
            if name not in FACTORS:
                raise ValueError(f"factors names {name!r}; give some of {', '.join(FACTORS)}, joined by '*'")
        check_at_least(
            1,
            warmup_steps=self.warmup_steps,
            steps_per_decay=self.steps_per_decay,
            steps_per_cycle=self.steps_per_cycle,
        )
        check_at_least(0, step_offset=self.step_offset)

    @property
    def factor_names(self) -> list[str]:
        return [name.strip() for name in self.factors.split("*")]


def create_learning_rate_scheduler(config: LearningRateConfig) -> optax.Schedule:
    """T5X's schedule: step (int32 []) -> learning rate (float32 []).

    >>> config = LearningRateConfig("constant * linear_warmup * rsqrt_decay", 0.5, warmup_steps=100)
    >>> float(create_learning_rate_scheduler(config)(jnp.array(400)))  # 0.5 / sqrt(400)
    0.02500000037252903
    """
    warmup = float(config.warmup_steps)

    def factor(name: str, step: jax.Array) -> Any:
        match name:
            case "constant":
                return config.base_learning_rate
            case "linear_warmup":
                return jnp.minimum(1.0, step / warmup)
            case "linear_decay":
                falling = 1.0 + config.decay_factor * (warmup - step)
                return config.base_learning_rate * jnp.minimum(step / warmup, falling)
            case "rsqrt_decay":
                return 1.0 / jnp.sqrt(jnp.maximum(step, warmup))
            case "rsqrt_normalized_decay":
                return jnp.sqrt(warmup / jnp.maximum(step, warmup))
            case "decay_every":
                return config.decay_factor ** jnp.floor(step / config.steps_per_decay)
            case _:
                cycles = jnp.maximum(0.0, (step - warmup) / config.steps_per_cycle)
                return 0.5 * (1.0 + jnp.cos(jnp.pi * (cycles % 1.0)))

    def schedule(step: Any) -> jax.Array:
        since = jnp.maximum(0, jnp.asarray(step) - config.step_offset).astype(jnp.float32)
        rate = jnp.ones((), jnp.float32)
        for name in config.factor_names:
            rate = rate * factor(name, since)
        return jnp.maximum(rate, config.min_learning_rate)

    return schedule


def learning_rate_schedule(
    peak: float, total_steps: int, warmup_steps: int, decay_from: float, final_fraction: float
) -> optax.Schedule:
    """Linear warm-up to `peak`, constant until `decay_from`, then half a cosine down."""
    decay_start = max(int(decay_from * total_steps), warmup_steps + 1)
    pieces = [
        optax.linear_schedule(0.0, peak, warmup_steps),
        optax.constant_schedule(peak),
        optax.cosine_decay_schedule(peak, max(total_steps - decay_start, 1), final_fraction),
    ]
    return optax.join_schedules(pieces, [warmup_steps, decay_start])
