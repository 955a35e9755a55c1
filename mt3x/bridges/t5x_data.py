"""What T5X's programs need of the data besides seqio's tasks: features, task names, and the file of notes.

Nothing here imports t5x; `mt3x.bridges.t5x` does. gin files that put the two together are in `gin/t5x`.

Source: MT3 `models.py` (the feature converter) and `inference.py`, whose names are kept.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import seqio  # pyright: ignore[reportMissingImports]
import tensorflow as tf  # pyright: ignore[reportMissingImports]

from mt3x.data.seqio.evaluation import postprocess, transcription_metrics
from mt3x.data.seqio.tasks import TaskOptions, construct_task_name
from mt3x.tokens.codec import Codec
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.vocabulary import build_codec
from mt3x.transcription.result import note_objects
from mt3x.transcription.tokens.config import TranscriptionConfig

_FRAMES = seqio.FeatureConverter.FeatureSpec(dtype=tf.float32, rank=2)


class ContinuousInputsEncDecFeatureConverter(seqio.EncDecFeatureConverter):
    """seqio's converter for encoder-decoders, with frames of numbers where it has token ids.

    `inputs` float32 [F, M] and `targets` int32 [T] become `encoder_input_tokens`, padded with zeros;
    `decoder_target_tokens`; `decoder_input_tokens`, the targets after a 0; and `decoder_loss_weights`, 1 at
    each target and 0 at padding. Several examples cannot be packed into one, nor were they in MT3.
    """

    TASK_FEATURES: ClassVar = {**seqio.EncDecFeatureConverter.TASK_FEATURES, "inputs": _FRAMES}
    MODEL_FEATURES: ClassVar = {
        **seqio.EncDecFeatureConverter.MODEL_FEATURES,
        "encoder_input_tokens": _FRAMES,
    }


def registered_task_name(
    config: TranscriptionConfig,
    task_prefix: str,
    task_suffix: str,
    register: Callable[[TaskOptions], None],
    options: TaskOptions | None = None,
) -> str:
    """Registers tasks as a model needs them, and returns the name of one of them.

    Args:
      config: the model; its spectrogram, granularity, vocabulary and note spec go into the tasks.
      task_prefix: data set and note spec, as in MT3's gin files: "mega_notes_ties".
      task_suffix: "train", "eval", "test" or another of the data set's.
      register: adds tasks and mixtures with the options that it is given: `mt3x.tasks.registered.register`.
      options: everything that the model does not say, such as `max_examples_per_mix`.

    Raises:
      ValueError: there is no such task.
    """
    metric = functools.partial(transcription_metrics, codec=build_codec(config.vocabulary), spec=config.spec)
    chosen = dataclasses.replace(
        options or TaskOptions(),
        granularity=config.granularity,
        spectrogram=config.spectrogram,
        metric_fns=(metric,),
    )
    register(chosen)
    name = construct_task_name(task_prefix, config.spectrogram, config.vocabulary, task_suffix)
    names = {*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()}
    if name not in names:
        near = sorted(other for other in names if other.startswith(task_prefix.split("_")[0]))
        raise ValueError(f"there is no task {name!r}; give one of {', '.join(near or sorted(names))}")
    return name


def write_inferences_to_file(
    path: str,
    inferences: tuple[Sequence[Any], Mapping[str, Any]],
    task_ds: Any,
    mode: str,
    vocabulary: seqio.Vocabulary | None = None,
    *,
    config: TranscriptionConfig,
) -> None:
    """T5X's `write_fn`: a JSON line for each recording with its `id` and its notes, `est_notes`, in order.

    A note has `start_time`, `end_time` (seconds), `pitch`, `velocity`, `program` and `is_drum`.

    Args:
      inferences: predicted ids of every segment, and what T5X tells beside them.
      task_ds: the segments as a `tf.data.Dataset`, whole recordings in order.
      mode: T5X's, "predict" or "predict_with_aux".

    Raises:
      ValueError: the mode is "score", or there is no vocabulary.
    """
    if mode not in ("predict", "predict_with_aux") or vocabulary is None:
        raise ValueError(f"mode is {mode!r}; notes are written in mode 'predict', with the task's vocabulary")
    codec = build_codec(config.vocabulary)
    recordings: dict[int, list[dict[str, Any]]] = {}
    ids: dict[int, str] = {}
    for example, predicted in zip(task_ds.as_numpy_iterator(), inferences[0], strict=True):
        part = _prediction(example, predicted, vocabulary, codec)
        recordings.setdefault(part["unique_id"], []).append(part)
        reference = postprocess([], example, is_target=True, codec=codec)["ref_ns"]
        if reference is not None:
            ids[part["unique_id"]] = reference.id
    with tf.io.gfile.GFile(path, "w") as file:
        for number in sorted(recordings):
            parts = recordings[number]
            tokens, starts = [part["est_tokens"] for part in parts], [part["start_time"] for part in parts]
            notes, _ = decode_segments(tokens, starts, codec, config.spec)
            line = {"id": ids.get(number, str(number)), "est_notes": list(note_objects(notes))}
            file.write(json.dumps(line) + "\n")


def _prediction(
    example: Mapping[str, Any], predicted: Any, vocabulary: seqio.Vocabulary, codec: Codec
) -> dict[str, Any]:
    indexes = vocabulary.decode(np.asarray(predicted).tolist())
    return postprocess(indexes, example, is_target=False, codec=codec)
