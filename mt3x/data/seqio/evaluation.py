"""Evaluation tasks: recordings cut into segments in order, what metrics get of each segment, and the metrics.

With `UnchangedExamples` and the `predict_fn` of `training.evaluation`, `seqio.Evaluator` runs over tasks of
the front end that MT3 has (`FrontEnd.LOG_MEL`; it cannot measure the other's number of frames).

Up to the cut an example is a recording: `inputs` float32 [F, hop], samples frame by frame, and its notes as a
NoteSequence, which travels with the first segment.

Source: MT3 `preprocessors.py`, `tasks.py` (`postprocess`) and `metrics.py`; T5 `preprocessors.py`
(`split_tokens_to_inputs_length`).
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import seqio  # pyright: ignore[reportMissingImports]
import tensorflow as tf  # pyright: ignore[reportMissingImports]

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.data.records.array_records import Example
from mt3x.data.seqio.preprocessors import Features, Lengths, frame_samples
from mt3x.metrics.instruments import TrackSpec, evaluate, mean_scores
from mt3x.music.notes import NOTE_DTYPE, empty_notes
from mt3x.music.noteseq import from_note_sequence, to_note_sequence
from mt3x.music.timegrid import floor_to_steps, frame_seconds, steps_to_seconds
from mt3x.tokens.codec import Codec
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import trim_eos


def frame_evaluation_example(
    dataset: tf.data.Dataset, spectrogram_config: SpectrogramConfig
) -> tf.data.Dataset:
    """Samples and notes of recordings to what evaluation needs: no events are written.

    Yields:
      inputs float32 [F, hop]; input_times float32 [F], seconds; sequence string [], the notes as a serialized
      NoteSequence that bears the recording's id.
    """

    def frame(example_id: bytes, samples: np.ndarray, note_bytes: bytes) -> tuple[Any, ...]:
        frames = frame_samples(samples, spectrogram_config)
        times = frame_seconds(
            np.arange(len(frames)), spectrogram_config.hop_width, spectrogram_config.sample_rate
        )
        sequence = to_note_sequence(np.frombuffer(note_bytes, NOTE_DTYPE))
        sequence.id = example_id.decode()
        return frames, times.astype(np.float32), sequence.SerializeToString()

    def frame_tf(ex: Features) -> dict[str, tf.Tensor]:
        values = [ex["id"], ex["samples"], ex["notes"]]
        frames, times, sequence = tf.numpy_function(frame, values, [tf.float32, tf.float32, tf.string])
        frames.set_shape([None, spectrogram_config.hop_width])
        times.set_shape([None])
        sequence.set_shape([])
        return {"inputs": frames, "input_times": times, "sequence": sequence}

    return dataset.map(frame_tf, num_parallel_calls=tf.data.AUTOTUNE)


def add_unique_id(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """`unique_id` int64 [1]: the recording's number in this dataset, which its segments share."""
    return dataset.enumerate().map(lambda i, ex: {**ex, "unique_id": [i]})


def split_full_tracks(dataset: tf.data.Dataset, sequence_length: Lengths) -> tf.data.Dataset:
    """Recordings to segments of `sequence_length["inputs"]` frames in order, the last one shorter.

    Yields:
      as `frame_evaluation_example`, with empty `targets`; `sequence` is string [F]: in a recording's first
      segment the first one is the recording's, all others are empty.
    """

    def split(ex: Features) -> tf.data.Dataset:
        num_frames = tf.shape(ex["inputs"], tf.int64)[0]
        length = num_frames if sequence_length is None else tf.constant(sequence_length["inputs"], tf.int64)

        def segment(start: tf.Tensor) -> dict[str, tf.Tensor]:
            stop = tf.minimum(start + length, num_frames)
            first = tf.where(start == 0, ex["sequence"], "")
            return {
                "inputs": ex["inputs"][start:stop],
                "input_times": ex["input_times"][start:stop],
                "sequence": tf.concat([[first], tf.fill([stop - start - 1], "")], axis=0),
                "unique_id": ex["unique_id"],
                "targets": tf.zeros([0], tf.int32),
            }

        return tf.data.Dataset.range(0, num_frames, length).map(segment)

    return dataset.flat_map(split)


def add_raw_inputs(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """`raw_inputs` float32 [N]: the samples of `inputs`, which metrics may resynthesize or show."""
    return dataset.map(lambda ex: {**ex, "raw_inputs": tf.reshape(ex["inputs"], [-1])})


def postprocess(
    tokens: Sequence[int], example: Mapping[str, Any], is_target: bool, codec: Codec
) -> dict[str, Any]:
    """What metrics get of one segment: of the target the reference, of the prediction tokens and their start.

    Args:
      tokens: codec indexes of a decoded sequence.
      example: of an evaluation task.

    Returns:
      {unique_id, ref_ns (a NoteSequence, None but in a recording's first segment), ref_tokens} or {unique_id,
      raw_inputs, est_tokens, start_time (seconds, floored to the codec's steps)}; tokens int32 [T].
    """
    unique_id = example["unique_id"][0]
    indexes = trim_eos(tokens)
    if is_target:
        data = example["sequence"][0]
        sequence = _parse_note_sequence(data) if data else None
        return {"unique_id": unique_id, "ref_ns": sequence, "ref_tokens": indexes}
    step = floor_to_steps(example["input_times"][0], codec.steps_per_second)
    return {
        "unique_id": unique_id,
        "raw_inputs": example["raw_inputs"],
        "est_tokens": indexes,
        "start_time": float(steps_to_seconds(step, codec.steps_per_second)),
    }


def transcription_metrics(
    targets: Sequence[Mapping[str, Any]],
    predictions: Sequence[Mapping[str, Any]],
    codec: Codec,
    spec: NoteSpec,
    tracks: Sequence[TrackSpec] = (),
) -> dict[str, float]:
    """MT3's scores, means over whole recordings: a task's metric function once codec and spec are bound.

    Under MT3's names: "Invalid events" and "Dropped events", and those of `metrics.instruments.evaluate`.
    Nothing for no recording.

    Args:
      targets, predictions: what `postprocess` returns, in any order; recordings without a reference are left
        out.
    """
    segments: dict[Any, list[Mapping[str, Any]]] = {}
    for prediction in predictions:
        segments.setdefault(prediction["unique_id"], []).append(prediction)
    scores = []
    for target in targets:
        if target["ref_ns"] is None:
            continue
        mine = segments[target["unique_id"]]
        tokens, starts = [part["est_tokens"] for part in mine], [part["start_time"] for part in mine]
        notes, report = decode_segments(tokens, starts, codec, spec)
        reference = from_note_sequence(target["ref_ns"])
        found = {"Invalid events": report.invalid_events, "Dropped events": report.dropped_events}
        scores.append({**found, **evaluate(reference, notes, tracks, spec is NoteSpec.ONSETS)})
    return mean_scores(scores)


class UnchangedExamples(seqio.PassThroughFeatureConverter):
    """The feature converter to give to `seqio.Evaluator`: a prediction is made of an example as it is."""

    TASK_FEATURES: Mapping[str, Any] = {}
    MODEL_FEATURES: Mapping[str, Any] = {}

    @property
    def pack(self) -> bool:
        return False


def evaluation_tasks(name: str, split: str = "eval") -> list[str]:
    """The registered evaluation tasks that a task's or mixture's name means.

    Raises:
      ValueError: none is registered, or one is not an evaluation task or lacks the split.
    """
    try:
        tasks = seqio.get_subtasks(seqio.get_mixture_or_task(name))
    except ValueError as error:
        raise ValueError(f"no seqio task or mixture {name!r} is registered; import its module") from error
    for task in tasks:
        if split not in task.splits:
            raise ValueError(f"{task.name} has no split {split!r}; its splits are {', '.join(task.splits)}")
        if task.postprocessor is None:
            raise ValueError(
                f"{task.name} is no evaluation task; give one such as ..._test or ..._validation"
            )
    return [task.name for task in tasks]


def read_recordings(task: str, split: str = "eval", segment_frames: int = 2000) -> Iterator[Example]:
    """The whole recordings of an evaluation task, in order.

    Args:
      segment_frames: in how large pieces they are read.
    """
    dataset = seqio.TaskRegistry.get(task).get_dataset(
        {"inputs": segment_frames, "targets": 1}, split=split, shuffle=False, num_epochs=1
    )
    examples = dataset.as_numpy_iterator()
    for _, segments in itertools.groupby(examples, key=lambda example: int(example["unique_id"][0])):
        first, *others = segments
        sequence = _parse_note_sequence(first["sequence"][0])
        # The last frame is filled up with zeros, one at least: whoever cuts these samples anew adds it again.
        samples = np.concatenate([part["raw_inputs"] for part in (first, *others)])[:-1]
        yield Example(sequence.id, samples, from_note_sequence(sequence))


def _parse_note_sequence(data: bytes) -> Any:
    sequence = to_note_sequence(empty_notes())
    sequence.ParseFromString(data)
    return sequence
