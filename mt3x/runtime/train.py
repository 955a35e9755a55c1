"""The training loop: batches in, checkpoints and a loss curve out.

Stopped at any moment, it goes on from the last checkpoint.

A run's directory holds `config.json` (what the weights need), `log.jsonl` (one object per logged step) and
`checkpoints/` (the whole training state, Orbax). The loop takes any iterator of numpy batches that can tell
and take back its position (`get_state`, `set_state`, as Grain's iterators do).
"""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mt3x.model.alignment_prior import apply_alignment_prior
from mt3x.model.frame_head import FrameHead
from mt3x.model.transformer import Transformer
from mt3x.music.timegrid import steps_to_seconds
from mt3x.runtime.checkpoints import CONFIG_FILE, CheckpointDirectory
from mt3x.runtime.mesh import data_mesh, replicate, split_batch
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.runtime.state import OptimizerConfig, Params, TrainState, make_optimizer, new_state
from mt3x.runtime.step import NUM_CLASSES, LossConfig, Prepare, make_train_step
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec

LOG_FILE = "log.jsonl"
CHECKPOINTS = "checkpoints"


class BatchIterator(Protocol):
    """An endless iterator of batches (dicts of numpy arrays, see `runtime.step`) that can resume."""

    def __next__(self) -> dict[str, np.ndarray]: ...

    def get_state(self) -> dict[str, Any]:
        """The position after the last batch, as JSON values."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a position that `get_state` told."""
        ...


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One run.

    Attributes:
      total_steps: length of the run; learning rates and the frame head's weight fall along it.
      seed: of the weights, dropout and augmentation.
      log_every: steps between two lines of the log, each the mean over those steps.
      checkpoint_seconds: wall time between two checkpoints.
      has_alignment_prior: start with attention aligned in time (`model.alignment_prior`).

    Raises:
      ValueError: total_steps or log_every below 1.
    """

    total_steps: int = 10_000
    seed: int = 0
    log_every: int = 50
    checkpoint_seconds: float = 120.0
    has_alignment_prior: bool = True
    optimizer: OptimizerConfig = OptimizerConfig()
    loss: LossConfig = LossConfig()

    def __post_init__(self) -> None:
        for name in ("total_steps", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


def initial_params(config: TranscriptionConfig, seed: int, has_alignment_prior: bool) -> Params:
    """Fresh parameters of the network and the frame head, float32."""
    network_key, head_key = jax.random.split(jax.random.key(seed))
    network = config.network
    frames = np.zeros((1, config.segment_frames, network.input_depth), np.float32)
    ids = np.zeros((1, 8), np.int32)
    params: Any = jax.jit(Transformer(network).init)(network_key, frames, ids)["params"]
    encoded = np.zeros((1, config.segment_frames, network.emb_dim), np.float32)
    head = jax.jit(FrameHead(NUM_CLASSES).init)(head_key, encoded)["params"]
    if has_alignment_prior:
        params = apply_alignment_prior(params, network, *_shifts(config))
    return {"network": params, "frame_head": head}


def _shifts(config: TranscriptionConfig) -> tuple[int, np.ndarray]:
    """The id of the shift of 0 steps, and the frame that each shift names: float64 [S]."""
    codec = build_codec(config.vocabulary)
    first_index, last_index = codec.event_type_range("shift")
    first_id = int(vocabulary_from_codec(codec).encode(first_index))
    seconds = steps_to_seconds(np.arange(last_index - first_index + 1), codec.steps_per_second)
    return first_id, seconds * config.spectrogram.frames_per_second


def train(
    config: TranscriptionConfig,
    train_config: TrainConfig,
    batches: BatchIterator,
    prepare: Prepare,
    resources: Any,
    directory: Path,
    report: Callable[[dict[str, float]], None] = lambda line: None,
    stop_after_seconds: float | None = None,
) -> TrainState:
    """Trains until `total_steps`, from the newest checkpoint in `directory` or from fresh weights.

    Args:
      prepare: makes samples from a batch and `resources` inside the jitted step (see `runtime.step`).
      report: called with every line of the log.
      stop_after_seconds: saves and returns early after this wall time.

    Raises:
      ValueError: `directory` holds a run of another configuration.
      FloatingPointError: the loss is not finite; names the step. The last checkpoint is from before it.
    """
    _claim_directory(directory, config)
    optimizer = make_optimizer(train_config.total_steps, train_config.optimizer)
    mesh = data_mesh()
    checkpoints = CheckpointDirectory(directory / CHECKPOINTS)
    state = _fresh_or_resumed(config, train_config, optimizer, checkpoints, batches, mesh)
    step = make_train_step(
        config,
        train_config.loss,
        optimizer,
        train_config.optimizer.average_decay,
        train_config.total_steps,
        prepare,
        mesh,
    )
    resources = replicate(resources, mesh)
    key = replicate(jax.random.key(train_config.seed + 1), mesh)
    number = saved_number = int(state.step)
    log = _Log(directory / LOG_FILE, report, number)
    started = saved = time.monotonic()
    while number < train_config.total_steps:
        batch = next(batches)
        state, measured = step(state, split_batch(batch, mesh), key, resources)
        number += 1
        log.add(measured, len(batch["targets"]))
        is_last = number == train_config.total_steps
        if number % train_config.log_every == 0 or is_last:
            log.write(number)
        now = time.monotonic()
        is_out_of_time = stop_after_seconds is not None and now - started > stop_after_seconds
        if is_last or is_out_of_time or now - saved > train_config.checkpoint_seconds:
            log.check_finite(number)
            checkpoints.save(number, {"state": state}, {"batches": batches.get_state()})
            saved, saved_number = now, number
        if is_out_of_time:
            break
    assert saved_number == number
    return state


def _claim_directory(directory: Path, config: TranscriptionConfig) -> None:
    path = directory / CONFIG_FILE
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(config.to_json(), encoding="utf-8")
    elif TranscriptionConfig.from_json(path.read_text(encoding="utf-8"), str(path)) != config:
        raise ValueError(
            f"{directory} holds a run of another configuration ({path}); choose another directory"
        )


def _fresh_or_resumed(
    config: TranscriptionConfig,
    train_config: TrainConfig,
    optimizer: optax.GradientTransformation,
    checkpoints: CheckpointDirectory,
    batches: BatchIterator,
    mesh: Mesh,
) -> TrainState:
    """The state on every device of the mesh; `batches` are moved to where it was saved."""
    newest = checkpoints.newest_step()
    if newest is None:
        params = initial_params(config, train_config.seed, train_config.has_alignment_prior)
        return replicate(new_state(params, optimizer), mesh)
    shapes = jax.eval_shape(lambda: new_state(initial_params(config, 0, False), optimizer))
    placement = NamedSharding(mesh, PartitionSpec())
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placement), shapes)
    restored, position = checkpoints.restore(newest, {"state": target})
    batches.set_state(position["batches"])
    return restored["state"]


class _Log:
    """Means of the measurements since the last line, written as JSON lines.

    Lines past `first_step` are of steps that were lost when a run was stopped; they will be taken, and
    logged, again.
    """

    def __init__(self, path: Path, report: Callable[[dict[str, float]], None], first_step: int):
        self._path, self._report = path, report
        self._measured: list[dict[str, jax.Array]] = []
        self._examples = 0
        self._since = time.monotonic()
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= first_step]
            path.write_text("".join(kept), encoding="utf-8")

    def add(self, measured: dict[str, jax.Array], examples: int) -> None:
        self._measured.append(measured)
        self._examples += examples

    def check_finite(self, step: int) -> None:
        """Raises FloatingPointError if a loss since the last line is not finite."""
        losses = np.asarray([float(measured["loss"]) for measured in self._measured])
        if not np.isfinite(losses).all():
            first = step - len(losses) + 1 + int(np.argmax(~np.isfinite(losses)))
            raise FloatingPointError(f"the loss of step {first} is {losses[~np.isfinite(losses)][0]}")

    def write(self, step: int) -> None:
        self.check_finite(step)
        now = time.monotonic()
        names = self._measured[0]
        line = {name: float(np.mean([float(m[name]) for m in self._measured])) for name in names}
        line = {"step": step, **line, "examples_per_second": self._examples / (now - self._since)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: round(value, 5) for name, value in line.items()}) + "\n")
        self._report(line)
        self._measured, self._examples, self._since = [], 0, now
