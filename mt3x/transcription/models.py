"""Which model a name or a path means: its settings, its weights, and what recognises with them.

Settings come from the `config.json` stored with the weights; Google's released checkpoints have none and need
a preset. Weights are float32 and have exactly the shapes that the settings ask for.

Only here are the two kinds of models told apart, and only the modules of a model's own kind are imported: a
frame recogniser runs without anything that writes or decodes tokens.
"""

import functools
import os
from collections.abc import Mapping
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
from mt3x.transcription.config import ModelConfig, config_from_json
from mt3x.transcription.recogniser import Recogniser

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
    given = None if preset is None else _preset(preset)
    is_default = name_or_path is None or name_or_path == DEFAULT_MODEL
    path = _default_folder() if name_or_path is None or is_default else os.fspath(name_or_path)
    if not is_default and not os.path.exists(path):
        _refuse_preset(path)
    checkpoint = load_checkpoint(path)
    stored = read_config(checkpoint.found)
    if given is not None:
        config = given
    elif stored is not None:
        config = config_from_json(stored.decode(), f"{path}: {CONFIG_FILE}")
    else:
        raise ValueError(_unknown_settings(path, checkpoint.params))
    if not is_default:  # our own tests check that one; here it would cost 0.3 s of each cold start
        _check_shapes(path, config, checkpoint.params)
    return config, cast_floats(checkpoint.params, "float32"), DEFAULT_MODEL if is_default else path


def make_recogniser(
    config: ModelConfig,
    params: Mapping[str, Any],
    name: str,
    batch_size: int | None = None,
    mt3_compatible: bool = False,
    dtype: str | None = None,
) -> Recogniser:
    """The recogniser for a model's settings.

    Args:
      name: of the model, for messages; the others are those of `Transcriber`.

    Raises:
      ValueError: batch_size is less than 1, or a dtype that the model does not compute in.
    """
    if config.kind == "frames":
        from mt3x.transcription.frames.recogniser import FrameRecogniser

        if dtype not in (None, "float32"):
            raise ValueError(f"dtype is {dtype!r}, but {name} computes in float32 only; leave it out")
        return FrameRecogniser(config, params, batch_size)
    from mt3x.transcription.tokens.recogniser import TokenRecogniser

    return TokenRecogniser(config, params, batch_size, mt3_compatible, dtype)


def _shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    if config.kind == "tokens":
        from mt3x.transcription.tokens.parameters import parameter_shapes

        return parameter_shapes(config.network)
    from mt3x.transcription.frames.network import fresh_params

    shapes = jax.eval_shape(functools.partial(fresh_params, config), jax.random.key(0))
    return {name: leaf.shape for name, leaf in flatten(shapes).items()}


def _preset(name: str) -> ModelConfig:
    from mt3x.transcription.tokens.config import PRESETS

    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; choose from {', '.join(PRESETS)}")
    return PRESETS[name]


def _refuse_preset(path: str) -> None:
    """Tells whoever gives the name of settings in the place of weights what is missing."""
    from mt3x.transcription.tokens.config import PRESETS

    if path in PRESETS:
        raise ValueError(
            f"{path!r} names settings, whose weights are not shipped; give the folder of a checkpoint as the "
            f"model and preset {path!r} with it"
        )


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
    from mt3x.transcription.tokens.config import PRESETS

    sizes = infer_sizes(params)
    fitting = [
        f"its sizes are those of {name}"
        for name, config in PRESETS.items()
        if all(getattr(config.network, field, size) == size for field, size in sizes.items())
    ]
    hint = fitting[0] if fitting else f"its sizes are those of none: {sizes}"
    return f"{path}: has no {CONFIG_FILE} beside it; name the preset, one of {', '.join(PRESETS)} ({hint})"
