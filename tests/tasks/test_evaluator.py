"""seqio's Evaluator over a registered task, with the project's network; whole recordings of tasks."""

import json

import numpy as np
import pytest

from mt3x.data.records.array_records import Records
from mt3x.metrics.instruments import mean_scores
from mt3x.training.evaluation import Piece, make_predict_fn, piece_scores
from mt3x.training.sources.pieces import TaskPieces
from mt3x.transcription.transcriber import Transcriber

TASK = "guitarset_notes_ties_vb1_validation"


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global seqio, guitarset, mixtures, registered, slakh, UnchangedExamples, evaluation_tasks
    global read_recordings, TaskOptions, task_name
    import seqio
    from mt3x.tasks import guitarset, mixtures, registered, slakh

    from mt3x.data.seqio.evaluation import UnchangedExamples, evaluation_tasks, read_recordings
    from mt3x.data.seqio.tasks import TaskOptions, task_name


def test_the_evaluator_gives_the_scores_of_the_transcription_path(data_dir, small_model, tmp_path):
    config, params = small_model
    options = TaskOptions(data_dir, spectrogram=config.spectrogram)
    guitarset.register(options)
    log_dir = tmp_path / "inference_eval"
    log_dir.mkdir()
    name = task_name("guitarset", config.spec, config.vocabulary, "validation", options)
    evaluator = seqio.Evaluator(
        name,
        UnchangedExamples(),
        eval_split="eval",
        sequence_length={"inputs": config.segment_frames, "targets": config.max_target_length},
        logger_cls=[seqio.JSONLogger],
        log_dir=str(log_dir),
    )
    predict_fn = make_predict_fn(config, params, batch_size=4)
    found, _ = evaluator.evaluate(compute_metrics=True, step=7, predict_fn=predict_fn)

    transcriber = Transcriber(config, params)
    pieces = [Piece(ex.samples, 16_000, ex.notes) for ex in Records(f"{data_dir}/guitarset", "validation")]
    transcribed = [transcriber.transcribe(piece.samples, 16_000) for piece in pieces]
    assert sum(len(transcription.notes) for transcription in transcribed) > 20
    pairs = zip(pieces, transcribed, strict=True)
    expected = mean_scores([piece_scores(*pair, config.spec) for pair in pairs])
    assert found.result()[name] == pytest.approx(expected, abs=1e-12)
    (line,) = (log_dir / f"{name}-metrics.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 7, **found.result()[name]}


@pytest.mark.parametrize("front_end", ["log_mel", "in_step"])
def test_recordings_of_a_task_are_those_of_the_records(data_dir, front_end):
    guitarset.register(TaskOptions(data_dir, front_end=front_end))
    suffix = "" if front_end == "log_mel" else "_in_step"
    expected = list(Records(f"{data_dir}/guitarset", "validation"))
    found = list(read_recordings(TASK + suffix, segment_frames=50))
    assert [example.id for example in found] == [example.id for example in expected]
    for example, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(example.samples[: len(other.samples)], other.samples)
        # As many frames as before, the last one with zeros at its end.
        assert len(example.samples) // 128 == len(other.samples) // 128
        assert not example.samples[len(other.samples) :].any()
        np.testing.assert_array_equal(example.notes, other.notes)


def test_every_third_piece_of_a_task_keeps_its_name(data_dir, monkeypatch):
    monkeypatch.setattr(registered, "DATASETS", (guitarset,))
    monkeypatch.setattr(mixtures, "register", lambda options: None)
    source = TaskPieces(TASK, data_dir, module="mt3x.tasks.registered")
    (task,) = source.open()
    assert task == f"{TASK}-eval"
    names = [example.id for example in Records(f"{data_dir}/guitarset", "validation")]
    assert [piece.id for piece in source.pieces(task, 1, 3)] == names[1::3]


def test_a_mixture_means_its_evaluation_tasks(data_dir):
    slakh.register(TaskOptions(data_dir))
    names = evaluation_tasks("slakh_notes_ties_vb1_eval")
    assert len(names) > 1 and all(name.startswith("slakh_notes_ties_vb1_") for name in names)


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("nothing", "eval", "no seqio task or mixture 'nothing' is registered; import its module"),
        (TASK, "test", f"{TASK} has no split 'test'; its splits are eval"),
        ("guitarset_notes_ties_vb1_train", "eval", "_train is no evaluation task; give one such as"),
    ],
)
def test_what_is_no_evaluation_task_is_refused(data_dir, name, split, message):
    guitarset.register(TaskOptions(data_dir))
    with pytest.raises(ValueError, match=message):
        evaluation_tasks(name, split)
