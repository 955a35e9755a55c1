"""Training of the beat network: stages one after the other, resumed where a run was stopped, then a mixture.

A stage starts from the weights of the one before with a fresh optimizer, and with a learning rate that rises
over `WARMUP_STEPS` and falls by half a cosine to 0. What is written is the weights of the last stage, mixed
with those of the stage before.

A run that goes on from a checkpoint draws other performances than one that was never stopped: what was drawn
before is not kept.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mt3x.checkpoints import CheckpointDirectory
from mt3x.data.beats.batches import BeatVariation
from mt3x.music.checks import check_at_least, check_positive
from mt3x.music.files import whole_file
from mt3x.score.rhythm.beat_network import DILATIONS, METRES, NUM_FEATURES, TAPS, beat_logits
from mt3x.training.log import TrainLog

NETWORK_FILE, CHECKPOINTS = "network.npz", "checkpoints"

WARMUP_STEPS = 100
DOWNBEAT_SHARE, METRE_SHARE = 0.5, 0.15
"""Weights of the losses of downbeats and of the metre beside that of beats."""

Params = dict[str, jax.Array]
Batch = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class BeatStage:
    """A part of a run.

    Attributes:
      total_steps: its length; learning_rate: its peak; variation: of the performances that it learns from.

    Raises:
      ValueError: a stage without steps, or a rate that is not positive.
    """

    total_steps: int
    learning_rate: float = 3e-3
    variation: BeatVariation = BeatVariation()

    def __post_init__(self) -> None:
        check_at_least(1, total_steps=self.total_steps)
        check_positive(learning_rate=self.learning_rate)


@dataclasses.dataclass(frozen=True)
class BeatTraining:
    """One run.

    Attributes:
      stages: one after the other.
      last_share: of the last stage's weights in those that are written; the rest is of the stage before.
      width: of the network; seed: of its first weights and of what is drawn.
      log_every, checkpoint_every: steps between two lines of the log, and between two checkpoints.

    Raises:
      ValueError: there is no stage, or a number is outside its limits.
    """

    stages: tuple[BeatStage, ...]
    last_share: float = 1.0
    width: int = 64
    seed: int = 0
    log_every: int = 100
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise ValueError("stages are (); give at least one BeatStage")
        if not 0 < self.last_share <= 1:
            raise ValueError(f"last_share is {self.last_share}; it must be above 0 and at most 1")
        if self.last_share < 1 and len(self.stages) == 1:
            raise ValueError(f"last_share is {self.last_share}, but there is one stage; leave it at 1")
        check_at_least(1, width=self.width, log_every=self.log_every, checkpoint_every=self.checkpoint_every)

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
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
    params = fresh_beat_params(training.width, np.random.default_rng(training.seed))
    state = {"params": params, "optimizer": optimizer.init(params), "before": params}
    step = _make_step(optimizer)
    with CheckpointDirectory(directory / CHECKPOINTS) as checkpoints, TrainLog(directory, report) as log:
        number = checkpoints.newest_step() or 0
        if number:
            if checkpoints.read_values(number)["settings"] != settings:
                raise ValueError(f"{directory} holds a run with other settings; choose another directory")
            state = checkpoints.restore(number, {"state": state})["state"]
        log.go_on_from(number)
        first = 0  # the step before the stage's first
        for index, stage in enumerate(training.stages):
            last = first + stage.total_steps
            if number == first and number:
                fresh = optimizer.init(state["params"])
                state = {"params": state["params"], "optimizer": fresh, "before": state["params"]}
            batches = open_batches((training.seed, index, number), stage.variation) if number < last else None
            while batches is not None and number < last:
                batch = next(batches)
                rate = stage.learning_rate * rate_share(number - first, stage.total_steps)
                state, measured = step(state, batch, np.float32(rate))
                number += 1
                log.add(measured, len(batch["metre"]))
                is_last = number == training.total_steps
                if number % training.log_every == 0 or is_last:
                    log.write(number)
                if number % training.checkpoint_every == 0 or is_last:
                    log.check_finite(number)
                    checkpoints.save(number, {"state": state}, {"settings": settings})
            first = last
    share = training.last_share
    weights = {
        name: share * np.asarray(value) + (1 - share) * np.asarray(state["before"][name])
        for name, value in state["params"].items()
    }
    _write(weights, directory / NETWORK_FILE)
    return weights


def rate_share(step: int, total_steps: int) -> float:
    """The share of the peak rate that a step has, counted from 0: a rise, then half a cosine down to 0."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * 0.5 * (1 + float(np.cos(np.pi * step / total_steps)))


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


def _make_step(optimizer: optax.GradientTransformation) -> Callable[..., Any]:
    @jax.jit
    def step(state: dict[str, Any], batch: Batch, rate: jax.Array) -> Any:
        gradients, measured = jax.grad(beat_loss, has_aux=True)(state["params"], batch)
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to integer powers
            updates, moments = optimizer.update(gradients, state["optimizer"])
        params = jax.tree.map(lambda p, u: p - rate * u, state["params"], updates)
        return {"params": params, "optimizer": moments, "before": state["before"]}, measured

    return step


def _write(weights: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes the file whole or not at all."""
    arrays: Any = {name: value.astype(np.float16) for name, value in weights.items()}
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **arrays)
