"""Trains the spelling network: batches in, a file of weights and a loss curve out.

The loss is the cross-entropy of the degrees, in nats a note.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mt3x.score.spelling.answers import SpellingModel
from mt3x.score.spelling.features import NUM_FEATURES
from mt3x.score.spelling.network import NUM_DEGREES, SpellingConfig, SpellingNetwork
from mt3x.training.optimizer import make_optimizer
from mt3x.training.score_models.run import WEIGHTS_FILE, SpellingTraining, run_steps
from mt3x.training.state import TrainState, apply_gradients, new_state

Batch = dict[str, np.ndarray]


def train_spelling(
    config: SpellingConfig,
    training: SpellingTraining,
    batches: Iterator[Batch],
    held_out: Sequence[Batch],
    directory: Path,
    report: Callable[[dict[str, float]], None] = lambda line: None,
) -> TrainState:
    """Trains for `total_steps`; writes `weights.npz` at every evaluation and `log.jsonl` to `directory`.

    Args:
      held_out: batches that are measured at every evaluation.

    Raises:
      FloatingPointError: the loss is not finite; names the step.
    """
    network, optimizer = SpellingNetwork(config), make_optimizer(training)
    nothing = jnp.zeros((1, NUM_FEATURES))
    params = network.init(jax.random.key(training.seed), nothing)["params"]
    measure = functools.partial(_loss, network)

    @jax.jit
    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        gradients, measured = jax.grad(measure, has_aux=True)(state.params, batch)
        return apply_gradients(state, gradients, optimizer, training.average_decay), measured

    measure_average = jax.jit(lambda average, batch: measure({"network": average}, batch)[1])
    return run_steps(
        training,
        new_state({"network": params}, optimizer),
        step,
        evaluate=lambda state, batch: measure_average(state.average, batch),
        save=lambda state: SpellingModel(config, state.average).save(directory / WEIGHTS_FILE),
        count_notes=lambda batch: len(batch["degrees"]),
        batches=batches,
        held_out=held_out,
        directory=directory,
        report=report,
    )


def _loss(network: SpellingNetwork, params: dict, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss, and what is wrong: names where the key is known, keys where it isn't."""
    logits: Any = network.apply({"params": params["network"]}, batch["features"])  # [B, 2, 12]
    known = (batch["degrees"] >= 0).astype(jnp.float32)
    row, column = jnp.divmod(jnp.maximum(batch["degrees"], 0), 12)
    losses = optax.softmax_cross_entropy_with_integer_labels(
        logits.reshape(-1, NUM_DEGREES), 12 * row + column
    )
    named = jnp.take_along_axis(logits, column[:, None, None], 2)[..., 0].argmax(-1)
    keys = jax.nn.logsumexp(logits, 1).argmax(-1)

    def mean(values: jax.Array) -> jax.Array:
        return (values.astype(jnp.float32) * known).sum() / jnp.maximum(known.sum(), 1)

    loss = mean(losses)
    return loss, {"loss": loss, "name_error": mean(named != row), "key_error": mean(keys != column)}
