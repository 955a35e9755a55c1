"""Training of the beat network: stages one after the other, resumed where a run was stopped, then a mixture.

A stage starts from the weights of the one before with a fresh optimizer. What is written is the weights of
the last stage, mixed with those of the stage before.

A run that goes on from a checkpoint draws other performances than one that was never stopped: what was drawn
before is not kept.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mt3x.checkpoints import CheckpointDirectory
from mt3x.data.beats.batches import BeatVariation
from mt3x.music.checks import check_at_least
from mt3x.music.files import whole_file
from mt3x.score.rhythm.beat_network import DILATIONS, METRES, NUM_FEATURES, TAPS, beat_logits
from mt3x.training.adafactor import AdafactorConfig
from mt3x.training.config import OptimizerConfig, ResumedRunConfig
from mt3x.training.log import TrainLog
from mt3x.training.optimizer import make_optimizer
from mt3x.training.state import TrainState, apply_gradients, new_state

NETWORK_FILE, CHECKPOINTS = "network.npz", "checkpoints"

DOWNBEAT_SHARE, METRE_SHARE = 0.5, 0.15
"""Weights of the losses of downbeats and of the metre beside that of beats."""

Params = dict[str, jax.Array]
Batch = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class BeatStage(ResumedRunConfig):
    """A part of a run, with an optimizer of its own.

    Attributes:
      variation: of the performances that it learns from.

    Raises:
      ValueError: as `RunConfig`.
    """

    log_every: int = 100
    average_decay: float = 0.0
    optimizer: OptimizerConfig | AdafactorConfig = OptimizerConfig(
        "adamw", learning_rate=3e-3, b2=0.999, warmup_steps=100, decay_from=0.0, final_fraction=0.0
    )
    variation: BeatVariation = BeatVariation()


@dataclasses.dataclass(frozen=True)
class BeatTraining:
    """One run.

    Attributes:
      stages: one after the other; the first one's seed is that of the first weights.
      last_share: of the last stage's weights in those that are written; the rest is of the stage before.
      width: of the network.

    Raises:
      ValueError: there is no stage, or a number is outside its limits.
    """

    stages: tuple[BeatStage, ...]
    last_share: float = 1.0
    width: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise ValueError("stages are (); give at least one BeatStage")
        if not 0 < self.last_share <= 1:
            raise ValueError(f"last_share is {self.last_share}; it must be above 0 and at most 1")
        if self.last_share < 1 and len(self.stages) == 1:
            raise ValueError(f"last_share is {self.last_share}, but there is one stage; leave it at 1")
        check_at_least(1, width=self.width)

    @property
    def total_steps(self) -> int:
        """The steps of all stages."""
        return sum(stage.total_steps for stage in self.stages)


def train_beats(
    training: BeatTraining,
    open_batches: Callable[[tuple[int, ...], BeatVariation], Iterator[Batch]],
    directory: Path,
    report: Callable[[dict[str, float]], None] = lambda line: None,
) -> dict[str, np.ndarray]:
    """Trains from the newest checkpoint in `directory`, or from the start, to the end.

    Args:
      open_batches: batches as `BeatBatches`, of a seed and a variation.
      report: is given each line of the log.

    Returns:
      The weights, which are also written to `network.npz` in `directory`, float16.

    Raises:
      ValueError: `directory` holds a run with other settings.
      FloatingPointError: the loss is not finite; names the step. The last checkpoint is from before it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps(dataclasses.asdict(training)))
    before = weights = fresh_beat_params(training.width, np.random.default_rng(training.stages[0].seed))
    with CheckpointDirectory(directory / CHECKPOINTS) as checkpoints, TrainLog(directory, report) as log:
        began = checkpoints.newest_step() or 0
        if began and checkpoints.read_values(began)["settings"] != settings:
            raise ValueError(f"{directory} holds a run with other settings; choose another directory")
        log.go_on_from(began)
        last = 0  # step of a stage
        for index, stage in enumerate(training.stages):
            first, last = last, last + stage.total_steps
            if began > last:
                continue
            optimizer = make_optimizer(stage)
            before, state = weights, new_state({"network": weights}, optimizer)
            if began > first:
                kept = checkpoints.restore(began, {"state": state, "before": before})
                state, before = kept["state"], kept["before"]
            number, saved_at, step = max(first, began), time.monotonic(), _make_step(stage, optimizer)
            batches = open_batches((stage.seed, index, number), stage.variation) if number < last else None
            while batches is not None and number < last:
                batch = next(batches)
                state, measured = step(state, batch)
                number += 1
                log.add(measured, len(batch["metre"]))
                is_last = number == training.total_steps
                if number % stage.log_every == 0 or is_last:
                    log.write(number)
                if is_last or time.monotonic() - saved_at > stage.checkpoint_seconds:
                    log.check_finite(number)
                    checkpoints.save(number, {"state": state, "before": before}, {"settings": settings})
                    saved_at = time.monotonic()
            weights = state.average
    share = training.last_share
    mixed = {
        name: share * np.asarray(value) + (1 - share) * np.asarray(before[name])
        for name, value in weights.items()
    }
    _write(mixed, directory / NETWORK_FILE)
    return mixed


def fresh_beat_params(width: int, rng: np.random.Generator) -> Params:
    """Weights at random, as `beat_logits` takes them."""

    def normal(*shape: int, fan_in: int) -> np.ndarray:
        return rng.normal(0, fan_in**-0.5, shape).astype(np.float32)

    taps, layers = len(TAPS), len(DILATIONS)
    params = {
        "input": normal(NUM_FEATURES, width, fan_in=32),
        "mix": normal(layers, taps, width, width, fan_in=taps * width),
        "out": np.float32(0.3) * normal(layers, width, width, fan_in=width),
        "head": np.float32(0.3) * normal(width, 2 + len(METRES), fan_in=width),
        "head_bias": np.array([-1.0, -1.0] + [0.0] * len(METRES), np.float32),
    }
    return {name: jnp.asarray(value) for name, value in params.items()}


def beat_loss(params: Params, batch: Mapping[str, Any]) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of a batch, and its parts: beats, downbeats among the beats, the metre."""
    logits = beat_logits(params, batch["features"], jnp)
    losses = optax.sigmoid_binary_cross_entropy(logits[..., :2], batch["targets"])
    weights = batch["weights"]
    beat, downbeat = jnp.sum(losses * weights, axis=(0, 1)) / jnp.sum(weights, axis=(0, 1))
    is_event = batch["features"][..., :1]
    mean = jnp.sum(logits[..., 2:] * is_event, axis=1) / jnp.sum(is_event, axis=1)
    of_metre = optax.softmax_cross_entropy_with_integer_labels(mean, batch["metre"])
    known = batch["metre_weight"]
    metre = jnp.sum(of_metre * known) / jnp.maximum(jnp.sum(known), 1.0)
    total = beat + DOWNBEAT_SHARE * downbeat + METRE_SHARE * metre
    return total, {"loss": total, "beat_loss": beat, "downbeat_loss": downbeat, "metre_loss": metre}


def _make_step(stage: BeatStage, optimizer: optax.GradientTransformation) -> Callable[..., Any]:
    @jax.jit
    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        measure = jax.grad(lambda params: beat_loss(params["network"], batch), has_aux=True)
        gradients, measured = measure(state.params)
        return apply_gradients(state, gradients, optimizer, stage.average_decay), measured

    return step


def _write(weights: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes the file whole or not at all."""
    arrays: Any = {name: value.astype(np.float16) for name, value in weights.items()}
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **arrays)
