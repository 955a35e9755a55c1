"""What a training run carries from step to step: weights, their moving average, optimizer state.

Parameters are `{"network": ..., "frame_head": ...}`: the transcriber's own, under T5X's names, and those of
the auxiliary head, which only training uses.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

Params = dict[str, Any]


@struct.dataclass
class TrainState:
    """Immutable; `training.step` returns a new one.

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


def new_state(
    params: Params, optimizer: optax.GradientTransformation, average: Params | None = None, step: int = 0
) -> TrainState:
    """The state after `step` steps of which the optimizer knows nothing; `average` None: of the weights."""
    return TrainState(
        step=jnp.asarray(step, jnp.int32),
        params=params,
        average=jax.tree.map(jnp.copy, params["network"] if average is None else average),
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
    # In this form an average equal to its parameter stays equal: frozen ones do not drift.
    average = jax.tree.map(lambda a, p: p + decay * (a - p), state.average, params["network"])
    return TrainState(state.step + 1, params, average, optimizer_state)
