import numpy as np
import pytest
import tensorflow as tf

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.data import seqio_evaluation as evaluation
from mt3x.data.seqio_evaluation import postprocess
from mt3x.music.notes import make_notes
from mt3x.music.noteseq import from_note_sequence
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

CODEC = build_codec(VocabularyConfig())
NOTES = make_notes([0.05, 0.1], [0.2, 0.15], [60, 64], program=24)


def recording(num_frames):
    """One sample short of whole frames, so that the last one is padded."""
    samples = np.arange(num_frames * 128 - 1, dtype=np.float32)
    example = {"id": "a", "samples": samples, "notes": NOTES.tobytes()}
    return tf.data.Dataset.from_tensors(example)


def segments(num_frames, lengths):
    framed = evaluation.frame_evaluation_example(recording(num_frames), SpectrogramConfig())
    split = evaluation.split_full_tracks(evaluation.add_unique_id(framed), lengths)
    return list(evaluation.add_raw_inputs(split).as_numpy_iterator())


def test_a_recording_is_one_segment_without_sequence_length():
    (ex,) = segments(30, None)
    assert ex["inputs"].shape == (30, 128)
    assert len(ex["sequence"]) == len(ex["input_times"]) == 30


@pytest.mark.parametrize(("num_frames", "lengths"), [(30, [12, 12, 6]), (24, [12, 12]), (5, [5])])
def test_segments_follow_each_other_and_the_first_bears_the_notes(num_frames, lengths):
    examples = segments(num_frames, {"inputs": 12})
    assert [len(ex["inputs"]) for ex in examples] == lengths
    samples = np.concatenate([ex["raw_inputs"] for ex in examples])
    assert samples[:-1].tolist() == list(range(num_frames * 128 - 1)) and samples[-1] == 0
    for number, ex in enumerate(examples):
        assert ex["unique_id"] == [0] and ex["targets"].tolist() == []
        assert ex["input_times"][0] == pytest.approx(number * 12 * 0.008)
        sequence = postprocess([], ex, is_target=True, codec=CODEC)["ref_ns"]
        assert (sequence is None) == (number > 0)
    first = postprocess([], examples[0], is_target=True, codec=CODEC)["ref_ns"]
    assert first.id == "a" and np.array_equal(from_note_sequence(first), NOTES)


def test_predictions_start_on_the_grid_and_end_at_their_end_token():
    example = {
        "unique_id": [4],
        "input_times": np.float32([2.048]),
        "raw_inputs": np.zeros(3),
        "sequence": [b""],
    }
    prediction = postprocess([7, 8, -1, -1], example, is_target=False, codec=CODEC)
    assert prediction["start_time"] == 2.04
    assert prediction["est_tokens"].tolist() == [7, 8]
    assert prediction["unique_id"] == 4
    assert postprocess([-1], example, True, CODEC)["ref_tokens"].tolist() == []
