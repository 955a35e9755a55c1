"""What turns gradients into updates, and which parameters it leaves alone.

Optimizers, all from optax: Muon (Jordan 2024) for the matrices inside the layers with Adam for everything
else (embeddings, the output projection, norms and biases), both with Nesterov momentum; AdamW; T5X's
Adafactor. Parameters can be frozen: they do not change, and no optimizer keeps anything of them.
"""

import re
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mt3x.training.adafactor import AdafactorConfig, adafactor
from mt3x.training.config import RunConfig
from mt3x.training.schedule import create_learning_rate_scheduler, learning_rate_schedule
from mt3x.training.state import Params

REWARM_STEPS = 500
"""An optimizer that begins in the middle of a run knows no moments: its rates rise over so many steps."""


def make_optimizer(training: RunConfig, first_step: int = 0) -> optax.GradientTransformation:
    """What turns gradients into updates.

    Args:
      first_step: step of the run at which this optimizer begins to count, from 0.
    """
    config = training.optimizer

    def from_here(schedule: optax.Schedule) -> optax.Schedule:
        if not first_step:
            return schedule
        return lambda count: schedule(count + first_step) * jnp.minimum(count / REWARM_STEPS, 1.0)

    if isinstance(config, AdafactorConfig):
        schedule = from_here(create_learning_rate_scheduler(config.learning_rate))
        return _for_the_rest(adafactor(config, schedule), training.frozen)
    schedule, adam_schedule = (
        from_here(
            learning_rate_schedule(
                peak, training.total_steps, config.warmup_steps, config.decay_from, config.final_fraction
            )
        )
        for peak in (config.learning_rate, config.adam_learning_rate)
    )
    if config.name == "adamw":
        chosen = optax.adamw(schedule, b2=config.b2, weight_decay=config.weight_decay, mask=_matrices)
    else:
        chosen = optax.contrib.muon(
            schedule,
            consistent_rms=0.2,
            ns_steps=3,  # each takes 36 ms on two CPU cores at the size of model/drawn.gin
            preconditioning="aol",  # makes up for one more
            adam_learning_rate=adam_schedule,
            muon_weight_dimension_numbers=_layer_matrices,
        )
    clipped = optax.chain(optax.clip_by_global_norm(config.clip_norm), chosen)
    return _for_the_rest(clipped, training.frozen)


def _for_the_rest(
    optimizer: optax.GradientTransformation, frozen: tuple[str, ...]
) -> optax.GradientTransformation:
    """An optimizer of all parameters but the frozen ones."""
    if not frozen:
        return optimizer

    def labels(params: optax.Params) -> optax.Params:
        return jax.tree.map(lambda stays: "frozen" if stays else "trained", is_frozen(params, frozen))

    return optax.partition({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)


def is_frozen(params: Any, patterns: tuple[str, ...]) -> Any:
    """The tree with True for each parameter whose whole name one of the regular expressions matches.

    Names are T5X's (`encoder/layers_0/mlp/wo/kernel`); those of the frame head begin with `frame_head/`.

    Raises:
      ValueError: an expression matches nothing, or they match everything.
    """

    def name_of(path: tuple[Any, ...]) -> str:
        return jax.tree_util.keystr(path, simple=True, separator="/").removeprefix("network/")

    names = [name_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in patterns:
        if not any(re.fullmatch(pattern, name) for name in names):
            some = ", ".join(names[:: max(len(names) // 6, 1)])
            raise ValueError(
                f"frozen: {pattern!r} matches no parameter; it must match whole names, as 'encoder/.*' does, "
                f"such as {some}"
            )
    frozen = {name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)}
    if len(frozen) == len(names):
        raise ValueError(f"frozen: {patterns} match all parameters; leave some to train")
    return jax.tree_util.tree_map_with_path(lambda path, _: name_of(path) in frozen, params)


def without_frozen(gradients: Params, patterns: tuple[str, ...]) -> Params:
    """Gradients with zeros in place of those of frozen parameters, which are then not worked out."""
    if not patterns:
        return gradients
    return jax.tree.map(
        lambda stays, gradient: jnp.zeros_like(gradient) if stays else gradient,
        is_frozen(gradients, patterns),
        gradients,
    )


def _matrices(params: optax.Params) -> optax.Params:
    """True for parameters that weight decay is for: not for norms and biases."""
    return jax.tree.map(lambda value: value.ndim > 1, params)


_FRAME_OUTPUTS = ("onset", "active", "offset", "cents", "pedal", "hits", "is_note", "programs", "velocity")
_FRAME_TABLES = ("pitch_table", "pitch_nearness", "time_nearness")


def _layer_matrices(params: optax.Params) -> optax.Params:
    """Muon's own marker for matrices inside a network, None for all other parameters.

    They are the kernels [in, out] inside `layers_N` of a transformer, and of a frame recogniser all kernels
    [..., in, out] but those of output layers and tables.
    """
    tree: Any = params
    network = tree.get("network") if isinstance(tree, dict) else None
    is_frames = isinstance(network, dict) and "trunk" in network

    def mark(path: tuple[Any, ...], value: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        names = [str(getattr(key, "key", "")) for key in path]
        if is_frames:
            is_inner = value.ndim > 1 and names[-2] not in _FRAME_OUTPUTS and names[-1] not in _FRAME_TABLES
            inputs = tuple(range(value.ndim - 1))
            return optax.contrib.MuonDimensionNumbers(inputs, value.ndim - 1) if is_inner else None
        is_in_layer = any(name.startswith("layers_") for name in names)
        return optax.contrib.MuonDimensionNumbers() if is_in_layer and value.ndim == 2 else None

    return jax.tree_util.tree_map_with_path(mark, params)
