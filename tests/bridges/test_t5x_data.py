import json

import numpy as np
import pytest

from mt3x.music.instruments import Granularity
from mt3x.music.notes import make_notes
from mt3x.music.noteseq import to_note_sequence
from mt3x.tokens.codec import Event
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec
from mt3x.transcription.tokens.config import TranscriptionConfig

CONFIG = TranscriptionConfig(granularity=Granularity.MIDI_CLASS)
CODEC = build_codec(CONFIG.vocabulary)


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global seqio, tf, slakh, ContinuousInputsEncDecFeatureConverter, registered_task_name
    global write_inferences_to_file, GenericTokenVocabulary, TaskOptions, VOCABULARY
    import seqio
    import tensorflow as tf
    from mt3x.tasks import slakh

    from mt3x.bridges.t5x_data import (
        ContinuousInputsEncDecFeatureConverter,
        registered_task_name,
        write_inferences_to_file,
    )
    from mt3x.data.seqio.tasks import GenericTokenVocabulary, TaskOptions

    VOCABULARY = GenericTokenVocabulary(vocabulary_from_codec(CODEC))


def converted(frames, targets, lengths):
    example = {"inputs": np.array(frames, np.float32), "targets": np.array(targets, np.int32)}
    signature = {"inputs": tf.TensorSpec([None, 3], tf.float32), "targets": tf.TensorSpec([None], tf.int32)}
    dataset = tf.data.Dataset.from_generator(lambda: iter([example]), output_signature=signature)
    (found,) = ContinuousInputsEncDecFeatureConverter(pack=False)(dataset, lengths).as_numpy_iterator()
    return found


def test_frames_and_targets_are_padded_and_targets_shifted():
    found = converted([[1, 2, 3], [4, 5, 6]], [7, 8, 1], {"inputs": 3, "targets": 5})
    assert {name: value.tolist() for name, value in found.items()} == {
        "encoder_input_tokens": [[1, 2, 3], [4, 5, 6], [0, 0, 0]],
        "decoder_target_tokens": [7, 8, 1, 0, 0],
        "decoder_input_tokens": [0, 7, 8, 1, 0],
        "decoder_loss_weights": [1, 1, 1, 0, 0],
    }
    assert found["encoder_input_tokens"].dtype == np.float32
    assert found["decoder_target_tokens"].dtype == np.int32


def test_frames_are_not_packed():
    dataset = tf.data.Dataset.from_tensors({"inputs": np.zeros((2, 3), np.float32), "targets": [7, 1]})
    with pytest.raises(ValueError, match="must be one-dimensional"):
        ContinuousInputsEncDecFeatureConverter(pack=True)(dataset, {"inputs": 4, "targets": 4})


def test_tasks_are_registered_as_the_model_needs_them():
    given = []

    def register(options):
        given.append(options)
        slakh.register(options)

    options = TaskOptions("records", max_examples_per_mix=3)
    name = registered_task_name(CONFIG, "slakh_notes_ties", "train", register, options)
    assert name == "slakh_notes_ties_vb1_train" and name in seqio.TaskRegistry.names()
    (chosen,) = given
    assert (chosen.data_dir, chosen.max_examples_per_mix) == ("records", 3)
    assert chosen.granularity is Granularity.MIDI_CLASS
    # The metric is bound to the model's tokens: seqio sees nothing but targets and predictions.
    (metric,) = seqio.TaskRegistry.get("slakh_notes_ties_vb1_test").metric_fns
    assert metric([], []) == {}


def test_the_name_of_a_task_that_is_not_there_is_refused():
    with pytest.raises(
        ValueError, match="no task 'slakh_notes_vb1_train'; give one of slakh_notes_ties_vb1_"
    ):
        registered_task_name(CONFIG, "slakh_notes", "train", slakh.register)


def tokens(*events):
    ids = VOCABULARY.encode([CODEC.encode_event(Event(kind, value)) for kind, value in events])
    return np.array([*ids, VOCABULARY.eos_id, 0, 0], np.int32)


def segment(number, start_seconds, note_sequence):
    """An example as T5X passes it on: padded along frames to the longest of all."""
    times = start_seconds + np.arange(4) * 0.008
    return {
        "unique_id": np.array([number]),
        "input_times": times.astype(np.float32),
        "sequence": np.array([note_sequence, b"", b"", b""], object),
        "raw_inputs": np.zeros(512, np.float32),
    }


def sequence_of(name):
    sequence = to_note_sequence(make_notes([0.0], [1.0], [60]))
    sequence.id = name
    return sequence.SerializeToString()


def dataset_of(examples):
    return tf.data.Dataset.from_tensor_slices(
        {name: np.stack([example[name] for example in examples]) for name in examples[0]}
    )


def test_each_recording_is_a_line_with_the_notes_of_all_its_segments(tmp_path):
    begin = [("tie", 0), ("shift", 5), ("program", 40), ("velocity", 1), ("pitch", 60)]
    go_on = [("program", 40), ("pitch", 60), ("tie", 0), ("shift", 2), ("velocity", 0), ("pitch", 60)]
    examples = [
        segment(0, 0.0, sequence_of("first")),
        segment(0, 0.1, b""),
        segment(1, 0.0, sequence_of("second")),
    ]
    predicted = [tokens(*begin), tokens(*go_on), tokens(("tie", 0))]
    path = tmp_path / "notes.jsonl"
    write_inferences_to_file(
        str(path), (predicted, {}), dataset_of(examples), "predict", VOCABULARY, config=CONFIG
    )
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    (note,) = first.pop("est_notes")
    assert first == {"id": "first"} and second == {"id": "second", "est_notes": []}
    assert (note.pop("start_time"), note.pop("end_time")) == pytest.approx((0.05, 0.12))
    assert note == {"pitch": 60, "velocity": 127, "program": 40, "is_drum": False}


@pytest.mark.parametrize(("mode", "has_vocabulary"), [("score", True), ("predict", False)])
def test_scores_are_not_written(tmp_path, mode, has_vocabulary):
    examples = dataset_of([segment(0, 0.0, b"")])
    vocabulary = VOCABULARY if has_vocabulary else None
    with pytest.raises(ValueError, match=f"mode is '{mode}'; notes are written in mode 'predict'"):
        write_inferences_to_file(
            str(tmp_path / "notes"),
            ([[1]], {}),
            examples,
            mode,
            vocabulary,
            config=CONFIG,
        )
