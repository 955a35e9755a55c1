"""T5X's optimizer: Adafactor, and its state as T5X's checkpoints hold it.

The update is `optax.adafactor` (Shazeer & Stern 2018, arXiv 1804.04235). It gives T5X's numbers: second
moments equal bit for bit over four steps, weights to the last bit of float32 (optax adds the negative update,
T5X subtracts). Defaults are those of MT3's `gin/model.gin` and `gin/train.gin`; a step is counted from 0.

MT3 sets `logical_factor_rules`, which there is no setting for here: T5X ignores them for an array of fewer
than three dimensions and factors along its two largest, as optax does, and this network has no others
(for those the two differ).

Deviations: T5X's `epsilon1`, `epsilon2`, `max_parameter_scale`, `global_norm_clip_threshold`,
`skip_nan_updates` and `weight_decay_rate_lr_exponent`, which MT3 leaves alone, cannot be set; second moments
have the dtype of the weights (keep these in float32), where T5X's are always float32.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mt3x.checkpoints.tree import check_shapes, flatten, unflatten
from mt3x.music.checks import check_positive
from mt3x.training.schedule import LearningRateConfig, create_learning_rate_scheduler


@dataclasses.dataclass(frozen=True)
class AdafactorConfig:
    """Adafactor's settings by T5X's names.

    Attributes:
      learning_rate: the schedule.
      factored: keep a row and a column of mean squares in place of a matrix.
      min_dim_size_to_factor: only for arrays whose two largest dimensions have this size.
      decay_rate: the second moment at step t keeps 1 - (t + 1) ** -decay_rate of itself.
      step_offset: a step that counts as the first in that: the one at which fine-tuning starts.
      multiply_by_parameter_scale: the learning rate is relative to the RMS of each array, 1e-3 at least.
      clipping_threshold: largest RMS of an update before the learning rate; None does not clip.
      beta1: decay of the momentum, which takes as much memory as the weights; None has none.
      weight_decay_rate: share of the weights taken away each step, whatever the learning rate.

    Raises:
      ValueError: decay_rate or clipping_threshold is not positive, or beta1 not from 0 to below 1.
    """

    learning_rate: LearningRateConfig = LearningRateConfig()
    factored: bool = True
    min_dim_size_to_factor: int = 128
    decay_rate: float = 0.8
    step_offset: int = 0
    multiply_by_parameter_scale: bool = True
    clipping_threshold: float | None = 1.0
    beta1: float | None = None
    weight_decay_rate: float | None = None

    def __post_init__(self) -> None:
        check_positive(decay_rate=self.decay_rate, clipping_threshold=self.clipping_threshold)
        if self.beta1 is not None and not 0 <= self.beta1 < 1:
            raise ValueError(f"beta1 is {self.beta1}; give a number from 0 to below 1, or None")


def adafactor(
    config: AdafactorConfig, schedule: optax.Schedule | None = None
) -> optax.GradientTransformation:
    """T5X's Adafactor as an optax transformation, whose updates are added to the weights.

    `schedule` takes the place of that of `config.learning_rate`.

    Under strict dtype promotion, update inside `jax.numpy_dtype_promotion("standard")`, as `apply_gradients`.
    """
    return optax.adafactor(
        schedule or create_learning_rate_scheduler(config.learning_rate),
        min_dim_size_to_factor=config.min_dim_size_to_factor,
        decay_rate=config.decay_rate,
        decay_offset=config.step_offset,
        multiply_by_parameter_scale=config.multiply_by_parameter_scale,
        clipping_threshold=config.clipping_threshold,
        momentum=config.beta1,
        weight_decay_rate=config.weight_decay_rate,
        factored=config.factored,
    )


def t5x_param_states(state: optax.OptState) -> dict[str, Any]:
    """What T5X stores of the state of `adafactor`: `write_t5x(..., optimizer_state=)` takes it.

    Returns:
      Nested dicts with {m, v, v_col, v_row} in place of each array, unused ones zeros of shape [1].

    Raises:
      ValueError: `state` is of another optimizer.
    """
    nodes = [node for node in jax.tree.leaves(state, is_leaf=_is_counted) if _is_counted(node)]
    factored = [node for node in nodes if isinstance(node, optax.FactoredState)]
    if len(factored) != 1:
        raise ValueError(f"the state holds {len(factored)} of Adafactor; give one of `adafactor(...)`")
    momenta = [node.ema for node in nodes if isinstance(node, optax.EmaState)]
    slots = {name: getattr(factored[0], name) for name in ("v", "v_col", "v_row")}
    slots["m"] = momenta[0] if momenta else jax.tree.map(lambda _: np.zeros(1, np.float32), slots["v"])
    return unflatten(
        {
            f"{name}/{slot}": np.asarray(array)
            for slot, tree in slots.items()
            for name, array in flatten(tree).items()
        }
    )


def with_t5x_param_states(
    state: optax.OptState, param_states: Mapping[str, Any], step: int
) -> optax.OptState:
    """The state of `adafactor` after `step` steps of T5X, to go on from.

    Where more is trained than T5X's network, replace its part of `t5x_param_states`:

        checkpoint = read_t5x(path)
        states = t5x_param_states(fresh) | {"network": checkpoint.optimizer_state}
        state = with_t5x_param_states(fresh, states, checkpoint.step)

    Args:
      state: what `adafactor(...).init` returned for the same parameters.
      param_states: as T5X stores them.

    Raises:
      CheckpointError: names or shapes are not those of `state`, as where T5X factored other arrays.
      ValueError: `state` is of another optimizer.
    """
    expected = {name: array.shape for name, array in flatten(t5x_param_states(state)).items()}
    arrays = flatten(param_states)
    check_shapes({name: np.shape(array) for name, array in arrays.items()}, expected)

    def stored(slot: str) -> dict[str, Any]:
        ending = f"/{slot}"
        return unflatten(
            {
                name.removesuffix(ending): jnp.asarray(array)
                for name, array in arrays.items()
                if name.endswith(ending)
            }
        )

    def replaced(node: Any) -> Any:
        count = jnp.asarray(step, jnp.int32)
        match node:
            case optax.FactoredState():
                return optax.FactoredState(count, stored("v_row"), stored("v_col"), stored("v"))
            case optax.EmaState():
                return optax.EmaState(count, stored("m"))
            case optax.ScaleByScheduleState():
                return optax.ScaleByScheduleState(count)
        return node

    return jax.tree.map(replaced, state, is_leaf=_is_counted)


def _is_counted(node: Any) -> bool:
    return isinstance(node, optax.FactoredState | optax.EmaState | optax.ScaleByScheduleState)
