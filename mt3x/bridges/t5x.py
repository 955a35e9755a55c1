"""This project's network under T5X's own programs: `python -m t5x.train`, `t5x.eval` and `t5x.infer`.

The model stands where MT3's `ContinuousInputsEncoderDecoderModel` stood; `gin/t5x` puts it together with
T5X's optimizer, partitioner and trainer, whose loss and checkpoints these are. It needs t5x, which is
installed from its sources: docs/t5x.md.

Parameters have T5X's names and shapes already. What T5X wants besides is told here: the logical names of
their axes, and decoding one token at a time by its `decode_fn`. Letters as in `mt3x.model.transformer`.

Source: T5X `models.py` (`EncoderDecoderModel`), MT3 `models.py`.
"""

# pyright takes the name `t5x` for this file.
# pyright: reportAttributeAccessIssue=false

import functools
import os
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import flax.core
import jax
import jax.numpy as jnp
import seqio  # pyright: ignore[reportMissingImports]
import tensorflow as tf  # pyright: ignore[reportMissingImports]
from flax.linen.partitioning import AxisMetadata
from flax.traverse_util import flatten_dict, unflatten_dict
from t5x import decoding, gin_utils, models  # pyright: ignore[reportMissingImports]

from mt3x.bridges.t5x_data import ContinuousInputsEncDecFeatureConverter
from mt3x.checkpoints import CONFIG_FILE
from mt3x.data.seqio.tasks import GenericTokenVocabulary
from mt3x.model.axes import parameter_axes
from mt3x.model.layers import KeyValues
from mt3x.model.transformer import Transformer, empty_cache
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec
from mt3x.transcription.tokens.config import TranscriptionConfig

_T5X_AXES = {"input_depth": "vocab"}
"""T5X's rules know no axis `input_depth`; MT3 calls it `vocab`."""


class ContinuousInputsEncoderDecoderModel(models.EncoderDecoderModel):
    """A `Transformer` as T5X's programs take models."""

    FEATURE_CONVERTER_CLS = ContinuousInputsEncDecFeatureConverter

    def __init__(
        self,
        config: TranscriptionConfig,
        optimizer_def: Any,
        decode_fn: Callable[..., Any] = decoding.beam_search,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        loss_normalizing_factor: Any = None,
        default_decoder_params: Any = None,
        has_remat: bool = False,
    ):
        """A model of the given sizes and vocabulary; everything but `config` and `has_remat` is T5X's."""
        self._network = config.network
        super().__init__(
            module=Transformer(config.network, has_remat),
            input_vocabulary=seqio.PassThroughVocabulary(size=0),
            output_vocabulary=GenericTokenVocabulary(vocabulary_from_codec(build_codec(config.vocabulary))),
            optimizer_def=optimizer_def,
            decode_fn=decode_fn,
            label_smoothing=label_smoothing,
            z_loss=z_loss,
            loss_normalizing_factor=loss_normalizing_factor,
            default_decoder_params=default_decoder_params,
        )

    def get_initial_variables(
        self, rng: jax.Array, input_shapes: Mapping[str, Any], input_types: Any = None
    ) -> flax.core.FrozenDict:
        """Fresh parameters with the names of their axes; no shape of theirs depends on the batch's."""
        del input_shapes, input_types
        frames, ids = jnp.zeros((1, 1, self._network.input_depth)), jnp.zeros((1, 1), jnp.int32)
        params = self.module.init(rng, frames, ids)["params"]
        return flax.core.freeze({"params": params, "params_axes": axes_metadata(params)})

    def _compute_logits(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        dropout_rng: jax.Array | None = None,
        mutable: Any = False,
        other_variables: Mapping[str, Any] | None = None,
    ) -> Any:
        return self.module.apply(
            {"params": params, **(other_variables or {})},
            batch["encoder_input_tokens"],
            batch["decoder_input_tokens"],
            deterministic=dropout_rng is None,
            rngs=None if dropout_rng is None else {"dropout": dropout_rng},
            mutable=mutable,
        )

    def _compute_metrics(self, *, segment_ids: Any = None, **measured: Any) -> Any:
        # T5X tells padding from tokens by id. Here a frame is padding if all of it is 0.
        ids = {
            name: is_there.any(-1) if is_there.ndim == 3 else is_there
            for name, is_there in segment_ids.items()
        }
        return super()._compute_metrics(segment_ids=ids, **measured)

    def predict_batch_with_aux(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        rng: jax.Array | None = None,
        decoder_params: MutableMapping[str, Any] | None = None,
        return_all_decodes: bool | None = None,
        num_decodes: int | None = None,
        prompt_with_targets: bool = False,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Ids int32 [B, T] that `decode_fn` finds, and their `scores` [B]; of all K: [B, K, T] and [B, K].

        Raises:
          ValueError: `prompt_with_targets`, which this network's decoding has no way for.
        """
        if prompt_with_targets:
            raise ValueError("prompt_with_targets is True; decoding starts from nothing here")
        default = self._default_decoder_params
        wants_all = default.return_all_decodes if return_all_decodes is None else return_all_decodes
        num_beams = default.num_decodes if num_decodes is None else num_decodes
        settings = {"eos_id": self.output_vocabulary.eos_id, **(decoder_params or {})}
        if rng is not None:
            settings["decode_rng"] = rng
        num_rows, length = batch["decoder_input_tokens"].shape
        cache = empty_cache(self._network, num_rows, length)
        decodes, scores = self.decode_fn(
            inputs=jnp.zeros((num_rows, length), jnp.int32),
            cache=_to_t5x_cache(cache, jnp.zeros((), jnp.int32)),
            tokens_to_logits=self._tokens_to_logits(params, batch["encoder_input_tokens"], num_beams),
            num_decodes=num_beams,
            cache_offset=0,
            **settings,
        )  # sorted: the best is the last
        return (decodes, {"scores": scores}) if wants_all else (decodes[:, -1], {"scores": scores[:, -1]})

    def _tokens_to_logits(self, params: Any, frames: jax.Array, num_beams: int) -> Callable[[Any], Any]:
        """T5X's step of a search: its state, ids [B * K, 1] and cache -> logits [B * K, V], cache."""
        run = functools.partial(self.module.apply, {"params": params})
        memory = run(run(frames, method="encode"), method="project_memory")

        def step(state: Any) -> tuple[jax.Array, dict[str, Any]]:
            ids = state.cur_token.reshape(-1, num_beams)  # [B * K, 1] -> [B, K]
            cache, position = _from_t5x_cache(state.cache)
            logits, cache = run(ids, position, memory, cache, method="decode_step")  # [B, K, V]
            return logits.reshape(-1, logits.shape[-1]), _to_t5x_cache(cache, position + 1)

        return step


def axes_metadata(params: Any) -> dict[str, Any]:
    """T5X's collection `params_axes`: `kernel_axes` in the place of `kernel`, and so on."""
    flat: dict[Any, Any] = flatten_dict(parameter_axes(flax.core.unfreeze(params)))
    named = {}
    for path, axes in flat.items():
        names = tuple(_T5X_AXES.get(axis, axis) for axis in axes)
        named[*path[:-1], f"{path[-1]}_axes"] = AxisMetadata(names=names)
    return unflatten_dict(named)


def summarize_config(model_dir: str, summary_writer: Any, step: int, *, config: TranscriptionConfig) -> None:
    """Writes `config.gin`, as T5X does, and `config.json`, which `mt3x transcribe --model` reads."""
    gin_utils.summarize_gin_config(model_dir, summary_writer, step)
    if jax.process_index() == 0:
        with tf.io.gfile.GFile(os.path.join(model_dir, CONFIG_FILE), "w") as file:
            file.write(config.to_json())


def _to_t5x_cache(layers: tuple[KeyValues, ...], position: jax.Array) -> dict[str, Any]:
    # T5X reorders every array but `cache_index` along with the beams.
    return {"cache_index": position, **{f"layers_{i}": layer._asdict() for i, layer in enumerate(layers)}}


def _from_t5x_cache(cache: Mapping[str, Any]) -> tuple[tuple[KeyValues, ...], jax.Array]:
    layers = [KeyValues(**cache[f"layers_{i}"]) for i in range(len(cache) - 1)]
    return tuple(layers), cache["cache_index"]
