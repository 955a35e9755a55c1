"""Which model a name or a path means: its settings and its weights.

Settings come from the `config.json` stored with the weights; Google's released checkpoints have none and need
a preset. Weights are float32 and have exactly the shapes that the settings ask for.
"""

import functools
import os
from importlib.resources import files
from typing import Any

import jax

from mt3x.checkpoints import (
    CONFIG_FILE,
    CheckpointError,
    cast_floats,
    check_params,
    flatten,
    infer_sizes,
    load_checkpoint,
    read_config,
)
from mt3x.transcription.frames.config import FrameConfig, is_frame_config
from mt3x.transcription.frames.network import fresh_params
from mt3x.transcription.tokens.config import PRESETS, TranscriptionConfig
from mt3x.transcription.tokens.parameters import parameter_shapes

ModelConfig = TranscriptionConfig | FrameConfig

DEFAULT_MODEL = "default"
"""The model inside the package."""


def resolve_model(
    name_or_path: str | os.PathLike[str] | None = None, preset: str | None = None
) -> tuple[ModelConfig, dict[str, Any], str]:
    """The settings, weights and name of a model.

    Args:
      name_or_path: the folder of a checkpoint; "default", as None, is the model inside the package.
      preset: the settings of a checkpoint that carries no `config.json`.

    Raises:
      ValueError: no such model or preset, or settings that are missing or unsound.
      CheckpointError: the checkpoint is missing, broken or of other shapes; it is a ValueError.
    """
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"there is no preset {preset!r}; choose from {', '.join(PRESETS)}")
    is_default = name_or_path is None or name_or_path == DEFAULT_MODEL
    path = _default_folder() if name_or_path is None or is_default else os.fspath(name_or_path)
    if path in PRESETS and not os.path.exists(path):
        raise ValueError(
            f"{path!r} names settings, whose weights are not shipped; give the folder of a checkpoint as the "
            f"model and preset {path!r} with it"
        )
    checkpoint = load_checkpoint(path)
    stored = read_config(checkpoint.found)
    if preset is not None:
        config = PRESETS[preset]
    elif stored is not None:
        text, source = stored.decode(), f"{path}: {CONFIG_FILE}"
        kind = FrameConfig if is_frame_config(text) else TranscriptionConfig
        config = kind.from_json(text, source)
    else:
        raise ValueError(_unknown_settings(path, checkpoint.params))
    if not is_default:  # our own tests check that one; here it would cost 0.3 s of each cold start
        _check_shapes(path, config, checkpoint.params)
    return config, cast_floats(checkpoint.params, "float32"), DEFAULT_MODEL if is_default else path


def _shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    if isinstance(config, TranscriptionConfig):
        return parameter_shapes(config.network)
    shapes = jax.eval_shape(functools.partial(fresh_params, config), jax.random.key(0))
    return {name: leaf.shape for name, leaf in flatten(shapes).items()}


def _default_folder() -> str:
    folder = files("mt3x") / "models" / DEFAULT_MODEL
    if not folder.is_dir():
        raise ValueError(
            f"this installation holds no model (no folder {folder}); give the path of a checkpoint"
        )
    return str(folder)


def _check_shapes(path: str, config: ModelConfig, params: dict[str, Any]) -> None:
    try:
        check_params(params, _shapes(config))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _unknown_settings(path: str, params: dict[str, Any]) -> str:
    sizes = infer_sizes(params)
    fitting = [
        f"its sizes are those of {name}"
        for name, config in PRESETS.items()
        if all(getattr(config.network, field, size) == size for field, size in sizes.items())
    ]
    hint = fitting[0] if fitting else f"its sizes are those of none: {sizes}"
    return f"{path}: has no {CONFIG_FILE} beside it; name the preset, one of {', '.join(PRESETS)} ({hint})"
