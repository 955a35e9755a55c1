"""Evaluation tasks: recordings cut into segments in order, and what metrics get of each segment.

Up to the cut an example is a recording: `inputs` float32 [F, hop], samples frame by frame, and its notes as a
NoteSequence, which travels with the first segment.

Source: MT3 `preprocessors.py` and `tasks.py` (`postprocess`); T5 `preprocessors.py`
(`split_tokens_to_inputs_length`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf  # pyright: ignore[reportMissingImports]

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.data.seqio_preprocessors import Features, Lengths, frame_samples
from mt3x.music.notes import NOTE_DTYPE, empty_notes
from mt3x.music.noteseq import to_note_sequence
from mt3x.music.timegrid import floor_to_steps, frame_seconds, steps_to_seconds
from mt3x.tokens.codec import Codec
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
        sequence = None
        if example["sequence"][0]:
            sequence = to_note_sequence(empty_notes())
            sequence.ParseFromString(example["sequence"][0])
        return {"unique_id": unique_id, "ref_ns": sequence, "ref_tokens": indexes}
    step = floor_to_steps(example["input_times"][0], codec.steps_per_second)
    return {
        "unique_id": unique_id,
        "raw_inputs": example["raw_inputs"],
        "est_tokens": indexes,
        "start_time": float(steps_to_seconds(step, codec.steps_per_second)),
    }
