"""The training loop: batches in, checkpoints and a loss curve out.

Stopped at any moment, it goes on from the last checkpoint with the losses of an unbroken run.

A run's directory holds `config.json` (what the weights need), `log.jsonl` (one object per logged step),
`tensorboard/`, `checkpoints/` (the whole training state, Orbax), and, once the run has ended or was stopped,
`weights/` (what a run can be resumed from where the whole state cannot be kept). With several processes each
gives its own part of every batch, and the first one writes the log.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from mt3x.checkpoints import CONFIG_FILE, CheckpointDirectory
from mt3x.music.files import write_whole
from mt3x.training.config import TrainConfig
from mt3x.training.initialization import (
    StartingPoint,
    fresh_start,
    save_weights_and_position,
    starting_shapes,
)
from mt3x.training.log import Profile, TrainLog
from mt3x.training.mesh import make_mesh, place, replicate, split_batch, state_shardings
from mt3x.training.optimizer import make_optimizer
from mt3x.training.state import Params, TrainState, new_state
from mt3x.training.step import Prepare, make_train_step
from mt3x.transcription.config import ModelConfig

CHECKPOINTS, WEIGHTS = "checkpoints", "weights"


class BatchIterator(Protocol):
    """An endless iterator of batches (dicts of numpy arrays, see `training.step`) that can resume."""

    def __next__(self) -> dict[str, np.ndarray]: ...

    def get_state(self) -> dict[str, Any]:
        """The position after the last batch, as JSON values."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a position that `get_state` told."""
        ...


@dataclasses.dataclass(frozen=True)
class Feed:
    """What a run is fed with.

    Attributes:
      batches: of this process.
      prepare: makes samples from a batch and `resources` inside the jitted step (see `training.step`).
      resources: arrays that `prepare` needs besides the batch, or None.
    """

    batches: BatchIterator
    prepare: Prepare
    resources: Any = None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is measured every so many steps: `run` takes the averaged weights, returns numbers by name."""

    every_steps: int
    run: Callable[[Params], dict[str, float]]


def train(
    config: ModelConfig,
    training: TrainConfig,
    feed: Feed,
    directory: Path,
    start: Callable[[], StartingPoint] | None = None,
    report: Callable[[dict[str, float]], None] = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
    evaluation: Evaluation | None = None,
) -> TrainState:
    """Trains until `total_steps`, from the newest checkpoint in `directory` or from a starting point.

    Args:
      start: where to begin if there is no checkpoint; with fresh weights if not given.
      report: called with every line of the log.
      should_stop: asked after every step; saves and returns early.

    Raises:
      ValueError: `directory` holds a run of another configuration.
      FloatingPointError: the loss is not finite; names the step. The last checkpoint is from before it.
    """
    config = _claim_directory(directory, config)
    mesh = make_mesh(training.model_devices)
    checkpoints = CheckpointDirectory(directory / CHECKPOINTS, training.keep_checkpoints)
    with checkpoints, TrainLog(directory, report) as log, Profile(directory, training.profile_at) as profile:
        start = start or (lambda: fresh_start(config, training))
        began = _begin(config, training, start, feed.batches, checkpoints, mesh)
        step = make_train_step(config, training, began.optimizer, feed.prepare, mesh, began.placement)
        resources = replicate(feed.resources, mesh)
        key = replicate(jax.random.key(training.seed + 1), mesh)
        state, number, saved_at = began.state, began.step, time.monotonic()
        log.go_on_from(number)
        while number < training.total_steps:
            profile.before_step(number)
            batch = next(feed.batches)
            state, measured = step(state, split_batch(batch, mesh), key, resources)
            number += 1
            log.add(measured, len(batch["num_frames"]) * jax.process_count())
            profile.after_step(number, state)
            is_stopped, is_time = _any_process(
                should_stop(), time.monotonic() - saved_at > training.checkpoint_seconds
            )
            is_last = number == training.total_steps
            if number % training.log_every == 0 or is_last:
                log.write(number)
            if evaluation is not None and (number % evaluation.every_steps == 0 or is_last):
                log.write_values(number, evaluation.run(_on_host(state.average, mesh)))
            if is_last or is_stopped or is_time:
                log.check_finite(number)
                values = {
                    "batches": feed.batches.get_state(),
                    "optimizer_began_at": began.optimizer_began_at,
                }
                checkpoints.save(number, {"state": state}, values)
                saved_at = time.monotonic()
            if is_stopped:
                break
        if number > began.step:
            weights = _on_host(state.params, mesh), _on_host(state.average, mesh)
            position = feed.batches.get_state()
            save_weights_and_position(directory / WEIGHTS, config, *weights, number, position)
    return state


def _claim_directory(directory: Path, config: ModelConfig) -> ModelConfig:
    """Writes the settings down for whoever transcribes; returns those that are there.

    Of an earlier part of the run they may have other thresholds or another search: these may be chosen anew
    while a run goes on, in the file, and stay.
    """
    path = directory / CONFIG_FILE
    if jax.process_index() == 0 and not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(path, config.to_json().encode())
    multihost_utils.sync_global_devices("config.json is written")
    stored: ModelConfig = type(config).from_json(path.read_text(encoding="utf-8"), str(path))
    if stored.learned != config.learned:
        raise ValueError(
            f"{directory} holds a run of another configuration ({path}); choose another directory"
        )
    return stored


@dataclasses.dataclass(frozen=True)
class _Beginning:
    """The state on the devices, and what made it."""

    state: TrainState
    step: int
    optimizer: optax.GradientTransformation
    optimizer_began_at: int
    placement: Any


def _begin(
    config: ModelConfig,
    training: TrainConfig,
    start: Callable[[], StartingPoint],
    batches: BatchIterator,
    checkpoints: CheckpointDirectory,
    mesh: Mesh,
) -> _Beginning:
    """The newest checkpoint's state, or a new one from `start`; `batches` are moved to where it was saved."""
    newest = checkpoints.newest_step()
    if newest is None:
        point = start()
        optimizer = make_optimizer(training, point.step)
        state = new_state(point.params, optimizer, point.average, point.step)
        placement = state_shardings(state, point.params, mesh)
        if point.position is not None:
            batches.set_state(point.position)
        state = place(state, placement)
        return _Beginning(state, point.step, optimizer, point.step, placement)
    values = checkpoints.read_values(newest)
    optimizer = make_optimizer(training, values["optimizer_began_at"])
    shapes = jax.eval_shape(
        functools.partial(new_state, optimizer=optimizer), starting_shapes(config, training)
    )
    placement = state_shardings(shapes, shapes.params, mesh)
    target = jax.tree.map(
        lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), shapes, placement
    )
    state = checkpoints.restore(newest, {"state": target})["state"]
    batches.set_state(values["batches"])
    return _Beginning(state, newest, optimizer, values["optimizer_began_at"], placement)


def _any_process(*answers: bool) -> tuple[bool, ...]:
    """Each answer, True if it is so in any process of the run: all must stop and save at the same step."""
    if jax.process_count() == 1:
        return answers
    return tuple(np.any(multihost_utils.process_allgather(np.array(answers)), axis=0).tolist())


def _on_host(tree: Any, mesh: Mesh) -> Any:
    """The arrays as NumPy's, whole, in every process."""
    return jax.tree.map(np.asarray, replicate(tree, mesh))
