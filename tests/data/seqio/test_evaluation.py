import json
from pathlib import Path

import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.metrics.instruments import TrackSpec
from mt3x.music.notes import make_notes
from mt3x.music.noteseq import from_note_sequence, to_note_sequence
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

CODEC = build_codec(VocabularyConfig())
NOTES = make_notes([0.05, 0.1], [0.2, 0.15], [60, 64], program=24)


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global tf, evaluation, postprocess, transcription_metrics
    import tensorflow as tf

    from mt3x.data.seqio import evaluation
    from mt3x.data.seqio.evaluation import postprocess, transcription_metrics


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


PAIRS = json.loads((Path(__file__).parents[2] / "golden" / "metrics.json").read_text())["pairs"]


def golden(label, unique_id=0):
    """(targets, predictions, MT3's scores) of one piece."""
    (pair,) = [pair for pair in PAIRS if pair["label"] == label]
    notes = make_notes(*np.array(pair["ref_ns"]["notes"], np.float64).reshape(-1, 7)[:, :6].T)
    target = {"unique_id": unique_id, "ref_ns": to_note_sequence(notes)}
    later = [{"unique_id": unique_id, "ref_ns": None} for _ in pair["predictions"][1:]]
    parts = [{"unique_id": unique_id, **prediction} for prediction in pair["predictions"]]
    return [target, *later], parts, pair["metrics"]


@pytest.mark.parametrize(
    ("label", "bins", "spec", "tracks"),
    [
        (
            "multi_program.heavy.vel1_ties.tracks=p0_24_32",
            1,
            NoteSpec.NOTES_WITH_TIES,
            [TrackSpec("Piano", 0), TrackSpec("Guitar", 24), TrackSpec("Bass", 32)],
        ),
        ("drums_bass.heavy.vel127_noties.tracks=none", 127, NoteSpec.NOTES, []),
    ],
)
def test_metrics_of_a_task_equal_mt3s(label, bins, spec, tracks):
    targets, predictions, expected = golden(label)
    codec = build_codec(VocabularyConfig(num_velocity_bins=bins))
    scores = transcription_metrics(targets, predictions, codec, spec, tracks)
    assert len(scores) == 2 + 12 + 27 + 12 * len(tracks)
    assert scores == pytest.approx({name: expected[name] for name in scores}, abs=1e-12)


def test_metrics_of_several_recordings_are_means_in_whatever_order_segments_come():
    labels = [f"long_spanning.{kind}.vel1_ties.tracks=none" for kind in ("mild", "heavy")]
    pieces = [golden(label, unique_id) for unique_id, label in enumerate(labels)]
    targets = [target for piece in pieces[::-1] for target in piece[0]]
    predictions = [prediction for piece in pieces for prediction in piece[1]][::-1]
    scores = transcription_metrics(targets, predictions, CODEC, NoteSpec.NOTES_WITH_TIES)
    expected = {name: np.mean([piece[2][name] for piece in pieces]) for name in scores}
    assert scores == pytest.approx(expected, abs=1e-12)
    assert pieces[0][2]["Onset F1"] != pieces[1][2]["Onset F1"]


def test_metrics_of_bare_onsets_leave_out_offsets_and_of_nothing_are_none():
    targets, predictions, _ = golden("edge.exact")
    scores = transcription_metrics(targets, predictions, CODEC, NoteSpec.ONSETS)
    assert "Onset F1" in scores and "Onset + offset F1" not in scores
    assert transcription_metrics([], [], CODEC, NoteSpec.NOTES) == {}
