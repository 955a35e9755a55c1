"""Where a run starts: fresh weights, a trained model, or an earlier run whose full state was not kept.

A full checkpoint holds the optimizer's state and is large; what `save_weights_and_position` keeps is small
enough to ship: the weights and their average in bfloat16, and how far the run was. A run that starts from it
goes on along the same schedule and examples; its optimizer begins anew, with rates that rise slowly.

Fine-tuning starts from weights alone, at step 0, whatever step they are from: a deviation from T5X, where a
run counts on from the checkpoint's step and takes over its optimizer's state.
"""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mt3x.checkpoints import (
    CONFIG_FILE,
    CheckpointDirectory,
    CheckpointError,
    cast_floats,
    check_params,
    find_checkpoint,
    flatten,
    infer_sizes,
    load_checkpoint,
    read_config,
    unflatten,
)
from mt3x.model.alignment_prior import apply_alignment_prior
from mt3x.model.config import TransformerConfig
from mt3x.model.frame_head import FrameHead
from mt3x.model.transformer import Transformer
from mt3x.music.files import write_whole
from mt3x.music.timegrid import steps_to_seconds
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec
from mt3x.training.config import LossConfig, TrainConfig
from mt3x.training.state import Params
from mt3x.training.step import NUM_CLASSES
from mt3x.training.vocabulary_mapping import old_ids, with_vocabulary
from mt3x.transcription.config import ModelConfig
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.frames.network import fresh_params
from mt3x.transcription.models import DEFAULT_MODEL, resolve_model
from mt3x.transcription.tokens.config import PRESETS, TranscriptionConfig
from mt3x.transcription.tokens.parameters import parameter_shapes

_FREE = ("dropout_rate", "dtype", "attention")
"""Settings of a network that may change when it is trained on."""

SAME = "same"
"""In place of a preset: the settings of a checkpoint that carries none are those of the run."""


@dataclasses.dataclass(frozen=True)
class StartingPoint:
    """What a run begins with.

    Attributes:
      params: {"network": ..., "frame_head": ... where the loss has one}, float32.
      average: the moving average of the network's; None for the network's own.
      step: steps taken before.
      position: of the batches, None for their beginning.
      fresh: flat names of those of `params` that the weights lacked, and that are fresh.
    """

    params: Params
    average: Params | None = None
    step: int = 0
    position: dict[str, Any] | None = None
    fresh: tuple[str, ...] = ()


def fresh_start(config: ModelConfig, training: TrainConfig) -> StartingPoint:
    """Fresh parameters of the network, and of the frame head where the loss has one."""
    if isinstance(config, FrameConfig):
        params = jax.jit(functools.partial(fresh_params, config))(jax.random.key(training.seed))
        return StartingPoint({"network": params})
    network_key, head_key = jax.random.split(jax.random.key(training.seed))
    network = config.network
    frames = np.zeros((1, config.segment_frames, network.input_depth), np.float32)
    ids = np.zeros((1, 8), np.int32)
    params: Any = jax.jit(Transformer(network).init)(network_key, frames, ids)["params"]
    if training.has_alignment_prior:
        params = apply_alignment_prior(params, network, *_shifts(config))
    return StartingPoint(_with_frame_head(params, config, training, head_key))


def starting_shapes(config: ModelConfig, training: TrainConfig) -> Any:
    """What `fresh_start` gives, as shapes."""
    plain = dataclasses.replace(training, has_alignment_prior=False)  # the prior is computed in NumPy
    return jax.eval_shape(lambda: fresh_start(config, plain).params)


def _with_frame_head(
    network: Params, config: TranscriptionConfig, training: TrainConfig, key: jax.Array
) -> Params:
    """A network's parameters with those of a fresh frame head beside them, where the loss has one."""
    if not isinstance(training.loss, LossConfig) or not training.loss.frame_weight:
        return {"network": network}
    encoded = np.zeros((1, config.segment_frames, config.network.emb_dim), np.float32)
    return {"network": network, "frame_head": jax.jit(FrameHead(NUM_CLASSES).init)(key, encoded)["params"]}


def _shifts(config: TranscriptionConfig) -> tuple[int, np.ndarray]:
    """The id of the shift of 0 steps, and the frame that each shift names: float64 [S]."""
    codec = build_codec(config.vocabulary)
    first_index, last_index = codec.event_type_range("shift")
    first_id = int(vocabulary_from_codec(codec).encode(first_index))
    seconds = steps_to_seconds(np.arange(last_index - first_index + 1), codec.steps_per_second)
    return first_id, seconds * config.spectrogram.frames_per_second


def save_weights_and_position(
    path: Path,
    config: ModelConfig,
    params: Params,
    average: Params,
    step: int,
    position: dict[str, Any],
) -> None:
    """Writes what `start_from_weights` reads: a folder that one can transcribe with, too.

    Raises:
      CheckpointError: the step is saved there already.
    """
    weights = {
        "params": cast_floats(params, "bfloat16"),
        "average": cast_floats(average, "bfloat16"),
        "step": np.int32(step),
    }
    with CheckpointDirectory(path, keep=1) as directory:
        write_whole(path / CONFIG_FILE, config.to_json().encode())
        directory.save(step, {"state": weights}, {"batches": position})


def start_from_weights(
    path: str | os.PathLike[str], config: ModelConfig, training: TrainConfig
) -> StartingPoint:
    """The newest weights and position that `save_weights_and_position` left in a folder.

    What the weights lack, such as a head that the network was given since, starts as in `fresh_start`.

    Raises:
      CheckpointError: there are none, or they are of another network.
    """
    shapes = starting_shapes(config, training)
    target = {"params": shapes, "average": shapes["network"], "step": jax.ShapeDtypeStruct((), np.int32)}
    with CheckpointDirectory(path, keep=1) as directory:
        step = directory.newest_step()
        if step is None:
            raise CheckpointError(f"{path}: no weights to go on from; give the folder `weights` of a run")
        stored = directory.read_names(step, "state")
        present = {name: shape for name, shape in flatten(target).items() if name in stored}
        weights = directory.restore(step, {"state": unflatten(present)})["state"]
        position = directory.read_values(step)["batches"]
    params, fresh = _completed(weights["params"], config, training)
    average = unflatten(flatten(params["network"]) | flatten(weights["average"]))
    return StartingPoint(params, average, step, position, fresh)


def _completed(params: Params, config: ModelConfig, training: TrainConfig) -> tuple[Params, tuple[str, ...]]:
    """Parameters with fresh ones in place of those that are lacking, and the flat names of these."""
    flat = flatten(params)
    lacked = tuple(name for name in flatten(starting_shapes(config, training)) if name not in flat)
    if not lacked:
        return params, ()
    fresh = flatten(fresh_start(config, training).params)
    return unflatten(flat | {name: fresh[name] for name in lacked}), lacked


def start_from_checkpoint(
    path: str | os.PathLike[str],
    config: ModelConfig,
    training: TrainConfig,
    preset: str | None = None,
) -> StartingPoint:
    """The weights of a trained model as the beginning of a new run, which may have another vocabulary.

    Tokens take the weights of those that mean the same (`vocabulary_mapping`); new ones and the frame head
    start as in `fresh_start`.

    Args:
      path: the folder of a checkpoint (T5X, Orbax, a run of ours), or "default".
      preset: the settings of a checkpoint that carries no `config.json`, by name, or `SAME`.

    Raises:
      ValueError: settings that are missing, or others than the run's; the text says what to set.
      CheckpointError: the checkpoint is missing, broken or of another network; it is a ValueError.
    """
    if isinstance(config, FrameConfig):
        params, fresh = _completed({"network": _trained_frames(path, config)}, config, training)
        return StartingPoint(params, fresh=fresh)
    old, params = _trained(path, config, preset)
    network = dataclasses.replace(config.network, vocab_size=old.network.vocab_size)
    _check_shapes(path, network, params)
    _check_fields(path, old.network, network)
    _check_fields(path, old.spectrogram, config.spectrogram)
    fresh = fresh_start(config, training).params
    mapped = with_vocabulary(params, fresh["network"], old_ids(old, config))
    return StartingPoint({**fresh, "network": mapped})


def _trained_frames(path: str | os.PathLike[str], config: FrameConfig) -> Params:
    """Weights, float32, of a trained frame recogniser of the same sizes; it may lack a head for the pedal."""
    old, params, _ = resolve_model(path)
    if not isinstance(old, FrameConfig):
        raise ValueError(f"{path} writes tokens; give the folder of a frame recogniser to start one from")
    _check_fields(path, old.spectra, config.spectra)
    wanted = config.network if old.network.pedal_width else dataclasses.replace(config.network, pedal_width=0)
    _check_fields(path, old.network, wanted)
    return params


def _trained(
    path: str | os.PathLike[str], config: TranscriptionConfig, preset: str | None
) -> tuple[TranscriptionConfig, Params]:
    """Settings and weights, float32, of a trained model."""
    if preset == SAME:
        return config, cast_floats(load_checkpoint(path).params, "float32")
    if preset is None and path != DEFAULT_MODEL and read_config(find_checkpoint(path)) is None:
        raise ValueError(
            f"{path}: has no {CONFIG_FILE} beside it; name its settings by a preset, one of "
            f"{', '.join(PRESETS)}, or {SAME!r} where they are those of this run"
        )
    old, params, _ = resolve_model(path, preset)
    if isinstance(old, FrameConfig):
        raise ValueError(
            f"{path} is a frame recogniser, which writes no tokens; give a checkpoint of one that does"
        )
    return old, params


def _check_shapes(path: Any, network: TransformerConfig, params: Params) -> None:
    """Passes where parameters have the names and shapes of a network's."""
    try:
        check_params(params, parameter_shapes(network))
    except CheckpointError as error:
        sizes = ", ".join(f"{name} {size}" for name, size in infer_sizes(params).items())
        raise CheckpointError(
            f"{path}: {error} To start from it, give the network its sizes: {sizes} (vocab_size follows from "
            "the vocabulary)"
        ) from error


def _check_fields(path: Any, trained: Any, wanted: Any) -> None:
    """Passes where two configurations of one kind are equal."""
    kind = type(trained).__name__
    fixes = [
        f"{kind}.{name} is {value!r}, expected {expected!r}"
        for name, value in vars(wanted).items()
        if name not in _FREE and value != (expected := getattr(trained, name))
    ]
    if fixes:
        raise ValueError(
            f"{path}: trained with other settings: {'; '.join(fixes)}. Set what was expected, or start from "
            "another checkpoint"
        )
