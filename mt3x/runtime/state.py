"""What a training run carries from step to step: weights, their moving average, optimizer state.

Parameters are `{"network": ..., "frame_head": ...}`: the transcriber's own, under T5X's names, and those of
the auxiliary head, which only training uses.

Optimizer: Muon (Jordan 2024) for the matrices inside the layers, Adam for everything else (embeddings, the
output projection, norms and biases), both from optax and with Nesterov momentum.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

Params = dict[str, Any]


@struct.dataclass
class TrainState:
    """Immutable; `runtime.step` returns a new one.

    Attributes:
      step: int32 scalar, steps taken.
      params: what is trained.
      average: exponential moving average of `params["network"]`: what is evaluated and shipped.
      optimizer_state: optax's own.
    """

    step: jax.Array
    params: Params
    average: Params
    optimizer_state: optax.OptState


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Learning rates and their schedule.

    Attributes:
      learning_rate: of Muon, its updates scaled to an RMS of 0.2 as AdamW's.
      adam_learning_rate: of Adam.
      warmup_steps: the rates rise linearly from 0.
      decay_from: share of the run after which both rates fall by a half cosine to `final_fraction`.
      clip_norm: gradients with a larger global norm are scaled down to it.
      average_decay: of the moving average of the weights.
    """

    learning_rate: float = 2e-3
    adam_learning_rate: float = 2e-3
    warmup_steps: int = 200
    decay_from: float = 0.3
    final_fraction: float = 0.01
    clip_norm: float = 1.0
    average_decay: float = 0.998


def learning_rate_schedule(peak: float, total_steps: int, config: OptimizerConfig) -> optax.Schedule:
    """Linear warm-up to `peak`, constant until `decay_from`, then half a cosine down."""
    decay_start = max(int(config.decay_from * total_steps), config.warmup_steps + 1)
    pieces = [
        optax.linear_schedule(0.0, peak, config.warmup_steps),
        optax.constant_schedule(peak),
        optax.cosine_decay_schedule(peak, max(total_steps - decay_start, 1), config.final_fraction),
    ]
    return optax.join_schedules(pieces, [config.warmup_steps, decay_start])


def make_optimizer(total_steps: int, config: OptimizerConfig) -> optax.GradientTransformation:
    """Muon for layer matrices, Adam for the rest, after clipping by global norm."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.contrib.muon(
            learning_rate_schedule(config.learning_rate, total_steps, config),
            consistent_rms=0.2,
            ns_steps=3,  # each takes 36 ms on two CPU cores at the default model's size
            preconditioning="aol",  # makes up for one more
            adam_learning_rate=learning_rate_schedule(config.adam_learning_rate, total_steps, config),
            muon_weight_dimension_numbers=_layer_matrices,
        ),
    )


def _layer_matrices(params: optax.Params) -> optax.Params:
    """Muon's own marker for each kernel [in, out] inside `layers_N`; None for all other parameters."""

    def mark(path: tuple[Any, ...], value: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        is_in_layer = any(str(getattr(key, "key", "")).startswith("layers_") for key in path)
        return optax.contrib.MuonDimensionNumbers() if is_in_layer and value.ndim == 2 else None

    return jax.tree_util.tree_map_with_path(mark, params)


def new_state(params: Params, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        average=jax.tree.map(jnp.copy, params["network"]),
        optimizer_state=optimizer.init(params),
    )


def apply_gradients(
    state: TrainState,
    gradients: Params,
    optimizer: optax.GradientTransformation,
    average_decay: float,
) -> TrainState:
    """The state after one optimizer update.

    Early on the average follows faster: its decay is at most (1 + step) / (10 + step).
    """
    with jax.numpy_dtype_promotion("standard"):  # optax raises floats to integer powers
        updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, state.params)
    params: Any = optax.apply_updates(state.params, updates)
    step = state.step.astype(jnp.float32)
    decay = jnp.minimum(jnp.float32(average_decay), (1 + step) / (10 + step))
    average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, state.average, params["network"])
    return TrainState(state.step + 1, params, average, optimizer_state)
