"""`mt3x infer` on a small built data set: its lines, its scores, parts, a stopped command, wrong settings."""

import itertools
import json
import shutil
import sys

import numpy as np
import pytest

from mt3x.apps import infer
from mt3x.apps.cli import main
from mt3x.apps.console.gin_files import GIN_DIRECTORIES
from mt3x.data.records.array_records import Records
from mt3x.data.records.build import build
from mt3x.data.records.recordings import SAMPLE_RATE, Item, Recording, Stem
from mt3x.music.notes import make_notes
from mt3x.training import mesh
from mt3x.training.sources.pieces import BuiltPieces
from mt3x.transcription.result import note_objects
from mt3x.transcription.transcriber import Transcriber

NUM_PIECES = 5


class Tones:
    """Recordings of a second, with notes that the small network sometimes finds."""

    name = "tones"
    splits = ("train", "validation")

    def items(self, source, report):
        return [Item(f"piece {number}", "validation", ()) for number in range(NUM_PIECES)]

    def read(self, source, item, report):
        random = np.random.default_rng(sum(item.id.encode()))
        start = np.arange(8) / 8
        pitch = random.choice([50, 52, 70, 72, 74, 76], 8)
        notes = make_notes(start, start + 0.1, pitch, 127, random.choice([24, 40], 8))
        samples = random.normal(0, 0.1, SAMPLE_RATE).astype(np.float32).clip(-1, 1)
        return Recording(item.id, item.split, (Stem("all", samples, notes),), ((0,),))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    build(Tones(), folder, folder / "tones")
    return folder


@pytest.fixture
def command(records, small_model_folder, tmp_path):
    """Runs the command, with other bindings on demand; its files are in `tmp_path / "out"`."""

    def call(run="infer", **bindings):
        output = {"infer": "INFER_OUTPUT_DIR", "eval": "EVAL_OUTPUT_DIR"}[run]
        settings = {
            "CHECKPOINT_PATH": repr(str(small_model_folder)),
            "DATA_DIR": repr(str(records)),
            "DATASETS": "('tones',)",
            "BATCH_SIZE": "4",
            output: repr(str(tmp_path / "out")),
            **bindings,
        }
        words = [f"--gin.{name}={value}" for name, value in settings.items()]
        return main(["infer", f"--gin_file=run/{run}.gin", *words])

    return call


@pytest.fixture
def transcribed(monkeypatch):
    """How many pieces were transcribed; fails at the third while `fails` is set."""

    class Count:
        pieces, fails = 0, False

    whole = Transcriber.transcribe

    def transcribe(self, *arguments):
        if Count.fails and Count.pieces == 2:
            raise RuntimeError("power cut")
        Count.pieces += 1
        return whole(self, *arguments)

    monkeypatch.setattr(Transcriber, "transcribe", transcribe)
    return Count


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_hold_mt3s_fields_in_the_data_set_s_order(command, records, small_model, tmp_path):
    assert command() == 0
    found = lines(tmp_path / "out" / "tones-validation.jsonl")
    transcriber = Transcriber(*small_model)
    expected = [
        {
            "id": example.id,
            "est_notes": list(note_objects(transcriber.transcribe(example.samples, SAMPLE_RATE).notes)),
        }
        for example in Records(records / "tones", "validation")
    ]
    assert found == expected and len(found) == NUM_PIECES
    assert sum(len(line["est_notes"]) for line in found) > 20
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["infer.json", "tones-validation.jsonl"]


def test_a_note_is_an_object_with_mt3s_names():
    assert list(note_objects(make_notes(0.5, 1.25, 60, 100, 40))) == [
        {
            "start_time": 0.5,
            "end_time": 1.25,
            "pitch": 60,
            "velocity": 100,
            "program": 40,
            "is_drum": False,
        }
    ]


def test_parts_have_the_lines_and_the_means_of_the_whole(command, tmp_path):
    scores = "inference_eval/tones-validation-scores.jsonl"
    metrics = "inference_eval/tones-validation-metrics.jsonl"
    assert command("eval") == 0
    shutil.move(tmp_path / "out", tmp_path / "whole")
    (means,) = lines(tmp_path / "whole" / metrics)
    whole = lines(tmp_path / "whole" / scores)
    assert 0 < means["Onset F1"] < 1 and means["step"] == -1
    assert means["Onset F1"] == pytest.approx(np.mean([line["Onset F1"] for line in whole]))
    assert {"Invalid events", "Dropped events", "Onset + offset + program F1 (full)"} < set(means)

    for part in (1, 0):
        assert not (tmp_path / "out" / metrics).exists()
        assert command("eval", **{"infer.shard_id": str(part), "infer.num_shards": "2"}) == 0
    assert lines(tmp_path / "out" / metrics) == [means]
    for name, expected in (
        (scores, whole),
        ("tones-validation.jsonl", lines(tmp_path / "whole" / "tones-validation.jsonl")),
    ):
        parts = [lines(tmp_path / "out" / f"{name}-0000{part}-of-00002") for part in (0, 1)]
        assert parts == [expected[0::2], expected[1::2]]


def test_a_process_of_several_takes_its_part(command, monkeypatch, tmp_path):
    monkeypatch.setattr(mesh, "this_process", lambda: (2, 3))
    assert command() == 0
    (line,) = lines(tmp_path / "out" / "tones-validation.jsonl-00002-of-00003")
    assert line["id"] == "piece 2"


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_piece_is_in_one_part(records, count):
    source = BuiltPieces(str(records), ["tones"])
    (task,) = source.open()
    parts = [[piece.id for piece in source.pieces(task, part, count)] for part in range(count)]
    assert sorted(itertools.chain.from_iterable(parts)) == [f"piece {number}" for number in range(NUM_PIECES)]


@pytest.mark.parametrize("run", ["infer", "eval"])
def test_a_stopped_command_goes_on_with_the_same_files(command, transcribed, capsys, tmp_path, run):
    assert command(run) == 0
    shutil.move(tmp_path / "out", tmp_path / "unbroken")
    transcribed.pieces, transcribed.fails = 0, True
    assert command(run) == 1
    assert "mt3x infer: power cut\n" in capsys.readouterr().err
    part = tmp_path / "out" / "tones-validation.jsonl.part"
    part.write_bytes(part.read_bytes() + b'{"id": "piece')
    assert not (tmp_path / "out" / "tones-validation.jsonl").exists()
    transcribed.pieces, transcribed.fails = 0, False
    assert command(run) == 0
    assert transcribed.pieces == NUM_PIECES - 2
    assert {path.name for path in (tmp_path / "out").rglob("*")} == {
        path.name for path in (tmp_path / "unbroken").rglob("*")
    }
    for path in (tmp_path / "out").rglob("*.jsonl"):
        before = tmp_path / "unbroken" / path.relative_to(tmp_path / "out")
        assert path.read_text() == before.read_text()
    # And nothing is done twice.
    assert command(run) == 0
    assert transcribed.pieces == NUM_PIECES - 2


def test_what_another_model_made_is_not_gone_on_with(command, capsys, tmp_path):
    assert command() == 0
    assert command("eval") == 1
    assert "holds inferences of another has_scores (see " in capsys.readouterr().err
    assert command(CHECKPOINT_PATH="'default'") == 1
    assert f"mt3x infer: {tmp_path / 'out'} holds inferences of another checkpoint (see " in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("bindings", "code", "message"),
    [
        ({"DATASETS": "()"}, 2, "DATASETS are (); give data sets, such as ('guitarset',), or a task's gin"),
        ({"BATCH_SIZE": "0"}, 2, "batch_size is 0; it must be at least 1"),
        ({"infer.shard_id": "1"}, 2, "shard_id is 1 of num_shards None; give both, shard_id from 0 to"),
        ({"infer.shard_id": "2", "infer.num_shards": "2"}, 2, "shard_id is 2 of num_shards 2; give both"),
        ({"SOURCE": "@TaskPieces()"}, 2, "MIXTURE_OR_TASK_NAME is None; give an evaluation task, such"),
        ({"CHECKPOINT_PATH": "'nowhere'"}, 2, "/"),
        ({"CHECKPOINT_PATH": "%MINE"}, 2, "MINE is not set; add --gin.MINE=VALUE"),
        ({"PRESET": "'mt4'"}, 2, "there is no preset 'mt4'; choose from mt3, ismir2021"),
        ({"DATA_DIR": "'nowhere'"}, 1, "nowhere/tones: holds no finished data set"),
        ({"SPLIT": "'test'"}, 1, "/"),
    ],
)
def test_what_cannot_be_done_is_one_line(command, capsys, tmp_path, bindings, code, message):
    assert command(**bindings) == code
    said = capsys.readouterr().err
    assert said.startswith(f"mt3x infer: {message}") and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "code", "message"),
    [
        ("gin.config", 2, "gin is missing; pip install 'mt3x[train]'"),
        ("array_record.python", 1, "; install mt3x with its extra `train` or `train-grain`"),
    ],
)
def test_a_missing_package_is_one_line(command, capsys, monkeypatch, module, code, message):
    monkeypatch.setitem(sys.modules, module, None)
    assert command() == code
    said = capsys.readouterr().err
    assert said.startswith("mt3x infer: ") and said.endswith(f"{message}\n") and said.count("\n") == 1


@pytest.mark.parametrize("run", ["infer", "eval"])
def test_every_file_for_a_task_names_data_sets(run):
    tasks = sorted(path.name for folder in GIN_DIRECTORIES for path in (folder / "task").glob("*.gin"))
    assert len(tasks) >= 6
    for task in tasks:
        bindings = ["CHECKPOINT_PATH = 'default'", "INFER_OUTPUT_DIR = ''", "EVAL_OUTPUT_DIR = 'here'"]
        settings = infer.read_settings([f"run/{run}.gin", f"task/{task}"], bindings)
        assert settings.source.names and settings.has_scores == (run == "eval")


def test_the_run_s_checkpoint_is_named_with_its_step(small_model_folder, tmp_path):
    folder = tmp_path / "run" / "checkpoint_40"
    shutil.copytree(small_model_folder, folder)
    source = BuiltPieces("", ["tones"])
    model = infer.open_model(infer.Settings(str(tmp_path / "run"), "", source))
    assert (model.checkpoint, model.step) == (str(folder), 40)
    default = infer.open_model(infer.Settings("default", "", source))
    assert (default.checkpoint, default.step) == ("default", None)
