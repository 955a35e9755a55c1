"""`mt3x train`: what its gin files say, what is said of wrong ones, and a run from end to end."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mt3x
from mt3x.apps.cli import main
from mt3x.apps.console.gin_files import GIN_DIRECTORIES
from mt3x.apps.train import _told, read_settings
from mt3x.checkpoints import load_params
from mt3x.data.synthetic.scores import PIECE_NOTE_DTYPE, Piece, is_held_out, save_scores
from mt3x.music.instruments import Granularity
from mt3x.synthesis.soundfonts import TEST_SOUNDFONT, TRAINING_SOUNDFONTS
from mt3x.tokens.vocabulary import VocabularyConfig
from mt3x.training.adafactor import AdafactorConfig
from mt3x.training.config import LossConfig, OptimizerConfig
from mt3x.training.frame_loss import FrameLossConfig
from mt3x.training.initialization import StartingPoint
from mt3x.transcription.models import resolve_model
from mt3x.transcription.tokens.config import PRESETS

ROOT = Path(mt3x.__file__).parents[1]


def gin_names(kind):
    return sorted(path.name for folder in GIN_DIRECTORIES for path in (folder / kind).glob("*.gin"))


TINY = {
    "TRAIN_STEPS": "4",
    "BATCH_SIZE": "2",
    "BatchConfig.pool_batches": "2",
    "BatchConfig.target_lengths": "(128,)",
    "ExampleConfig.max_tokens": "128",
    "ExampleConfig.lead_seconds": "0.1",
    "TranscriptionConfig.segment_frames": "32",
    "TransformerConfig.emb_dim": "160",
    "TransformerConfig.num_heads": "2",
    "TransformerConfig.mlp_dim": "32",
    "TransformerConfig.num_encoder_layers": "1",
    "TransformerConfig.num_decoder_layers": "1",
    "TrainConfig.log_every": "2",
    "DrawnMusic.soundfonts": "('sf_GMbank',)",
}


@pytest.fixture(scope="module")
def scores_file(tmp_path_factory):
    name = next(f"piece {i}" for i in range(1000) if not is_held_out(f"piece {i}"))
    notes = np.array([(i / 2, 0.5, 60 + i % 12, 0) for i in range(64)], PIECE_NOTE_DTYPE)
    bars, tempos = np.arange(0, 32, 4, np.float32), np.zeros((0, 2), np.float32)
    file = tmp_path_factory.mktemp("scores") / "scores.npz"
    save_scores([Piece(name, "", "", ("Piano",), notes, bars, tempos)], file)
    return file


@pytest.fixture
def words(scores_file, tmp_path):
    """The words of a command for the run on drawn music at tiny size, with other bindings on demand."""

    def make(**bindings):
        places = {"MODEL_DIR": repr(str(tmp_path / "run")), "SCORES_FILE": repr(str(scores_file))}
        settings = {**TINY, **places, **bindings}
        return [
            "--gin_file=run/drawn_music.gin",
            *(f"--gin.{name}={value}" for name, value in settings.items()),
        ]

    return make


def test_the_run_on_drawn_music_trains_a_model_that_writes_tokens(scores_file):
    settings = read_settings(
        ["run/drawn_music.gin"], ["MODEL_DIR = 'here'", f"SCORES_FILE = {str(scores_file)!r}"]
    )
    assert settings.model.spectrogram.hop_width == 256
    assert settings.model.segment_seconds == 2.0
    assert settings.model.granularity is Granularity.MIDI_CLASS
    assert settings.source.batches.total_steps == settings.training.total_steps
    assert settings.source.soundfonts == TRAINING_SOUNDFONTS
    assert settings.model_dir == "here"
    # What is stored with the weights is equal to what gin made: a stopped run goes on.
    assert type(settings.model).from_json(settings.model.to_json()) == settings.model


@pytest.mark.parametrize("model", gin_names("model"))
@pytest.mark.parametrize("task", gin_names("task"))
def test_every_model_goes_with_every_task(model, task):
    settings = read_settings(
        ["run/train.gin", f"model/{model}", f"task/{task}"], ["MODEL_DIR = 'here'", "BATCH_SIZE = 32"]
    )
    assert settings.source.batch_size == 32
    assert settings.source.names
    assert settings.training.total_steps >= 10_000
    assert type(settings.model).from_json(settings.model.to_json()) == settings.model


@pytest.mark.parametrize(("task", "preset"), [("mt3", "mt3"), ("ismir2021", "ismir2021")])
def test_mt3s_tasks_make_mt3s_models(task, preset):
    settings = read_settings(["run/train.gin", "model/small.gin", f"task/{task}.gin"], ["MODEL_DIR = 'here'"])
    expected = dataclasses.replace(PRESETS[preset], search="greedy")
    if task == "ismir2021":  # as its gin file says, where the preset keeps the programs of its checkpoint
        expected = dataclasses.replace(expected, granularity=Granularity.FLAT)
    assert settings.model == expected
    assert settings.training.optimizer == AdafactorConfig()
    assert settings.training.loss == LossConfig(frame_weight=0.0)


FINE_TUNING = ["run/finetune.gin", "model/default.gin", "task/midi_folder.gin"]


def test_fine_tuning_the_default_model_keeps_its_settings_whatever_the_task_says():
    bindings = ["MODEL_DIR = 'here'", "INITIAL_CHECKPOINT_PATH = 'default'"]
    settings = read_settings(FINE_TUNING, bindings)
    assert settings.model == resolve_model("default")[0]
    assert (settings.initial_checkpoint_path, settings.initial_checkpoint_preset) == ("default", None)
    assert settings.source.names == ("midi_folder",) and settings.training.frozen == ()
    assert settings.training.loss == FrameLossConfig()
    assert isinstance(settings.training.optimizer, OptimizerConfig)
    assert 0 < settings.training.average_decay < 1
    bindings += ["FROZEN = ('trunk/.*',)", "Thresholds.onset = 0.3", "FrameLossConfig.drum_weight = 0.0"]
    bindings += ["OPTIMIZER = @AdafactorConfig()"]
    settings = read_settings(FINE_TUNING, bindings)
    assert settings.model.thresholds.onset == 0.3
    assert settings.training.frozen == ("trunk/.*",)
    assert settings.training.loss.drum_weight == 0
    assert settings.training.optimizer == AdafactorConfig()


def test_what_the_weights_lack_is_told_in_one_line(capsys):
    whole = StartingPoint({})
    assert _told("old", whole) is whole and capsys.readouterr().err == ""
    _told(
        "old",
        StartingPoint({}, fresh=("network/trunk/pedal/bias", "network/trunk/pedal/kernel", "frame_head/x/y")),
    )
    expected = "mt3x train: old has no frame_head/x, trunk/pedal; fresh weights for these\n"
    assert capsys.readouterr().err == expected


def test_fine_tuning_a_model_that_writes_tokens_may_change_its_vocabulary():
    bindings = ["MODEL_DIR = 'here'", "INITIAL_CHECKPOINT_PATH = 'mt3'", "NUM_VELOCITY_BINS = 127"]
    bindings += ["transcription_config.steps_per_second = 50", "INITIAL_CHECKPOINT_PRESET = 'same'"]
    settings = read_settings(["run/finetune.gin", "model/small.gin", "task/midi_folder.gin"], bindings)
    assert settings.model.vocabulary == VocabularyConfig(50, 10, 127)
    assert settings.model.network.vocab_size == 1152
    assert settings.initial_checkpoint_preset == "same"


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (
            ["TrunkConfig.channels=64"],
            "default: trained with other settings: TrunkConfig.channels is 64, exp",
        ),
        (["SpectraConfig.hop_samples=128"], "SpectraConfig.hop_samples is 128, expected 256"),
        (["INITIAL_CHECKPOINT_PATH='nowhere'"], "nowhere: no such folder, or it is empty"),
    ],
)
def test_weights_that_are_no_start_are_told_in_one_line_and_leave_no_directory(
    tmp_path, monkeypatch, capsys, bindings, message
):
    monkeypatch.chdir(tmp_path)
    words = [f"--gin_file={file}" for file in FINE_TUNING]
    words += [
        f"--gin.{binding}" for binding in ["MODEL_DIR='run'", "INITIAL_CHECKPOINT_PATH='default'", *bindings]
    ]
    assert main(["train", *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("mt3x train: ") and message in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_where_a_run_started_is_not_asked_again_when_it_has_a_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [f"--gin_file={file}" for file in FINE_TUNING]
    words += ["--gin.MODEL_DIR='run'", "--gin.INITIAL_CHECKPOINT_PATH='gone'", "--gin.DATA_DIR='nowhere'"]
    (tmp_path / "run" / "checkpoints" / "checkpoint_3").mkdir(parents=True)
    assert main(["train", *words]) == 1
    assert capsys.readouterr().err.startswith("mt3x train: nowhere/midi_folder")


def test_a_bucket_to_write_to_is_refused(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words(MODEL_DIR="'gs://mine/run'")]) == 2
    assert "MODEL_DIR is gs://mine/run, and runs write to folders only; mount" in capsys.readouterr().err
    assert not list(tmp_path.glob("gs*"))


@pytest.mark.parametrize(
    "words", [["infer", "--gin_file=run/infer.gin"], ["train", "--gin_file=run/train.gin"]]
)
def test_one_of_several_processes_must_be_told_of_the_others(words, capsys):
    assert main([*words, "--process_count=2", "--process_index=0"]) == 2
    assert "coordinator_address is None, process_count 2, process_index 0" in capsys.readouterr().err


def test_pretraining_mixes_up_to_eight_lines_with_smoothed_labels():
    settings = read_settings(
        ["run/train.gin", "model/small.gin", "task/ismir2022_pretrain.gin"], ["MODEL_DIR = 'here'"]
    )
    assert settings.source.max_examples_per_mix == 8
    assert settings.source.batch_size == 1024
    assert settings.training.loss.label_smoothing == 0.1
    assert settings.model.network.dropout_rate == 0.0


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("ONSETS_ONLY=True", "ONSETS_ONLY and USE_TIES are both True; notes that are only onsets cannot"),
        ("TASK_FEATURE_LENGTHS={'inputs': 256}", "TASK_FEATURE_LENGTHS is {'inputs': 256}; give {'inputs'"),
        ("DATASETS=()", "names are (); give the data sets to train on, such as ('openscore_synth',)"),
        ("EVAL_PERIOD=0", "eval_period is 0; it must be at least 1"),
    ],
)
def test_a_wrong_value_of_a_macro_is_one_line_and_code_2(capsys, binding, message):
    words = ["--gin_file=run/train.gin", "--gin_file=model/tiny.gin", "--gin_file=task/mt3.gin"]
    assert main(["train", *words, "--gin.MODEL_DIR='here'", f"--gin.{binding}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"mt3x train: {message}")
    assert said.count("\n") == 1


def test_data_that_are_not_there_are_one_line_and_code_1(tmp_path, capsys):
    words = ["--gin_file=run/train.gin", "--gin_file=model/tiny.gin", "--gin_file=task/mt3.gin"]
    places = [f"--gin.MODEL_DIR='{tmp_path / 'run'}'", f"--gin.DATA_DIR='{tmp_path}'"]
    assert main(["train", *words, *places]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"mt3x train: {tmp_path / 'maestrov3'}") and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_nothing_that_trains_names_the_held_out_soundfont():
    assert TEST_SOUNDFONT == "TimGM6mb" and TEST_SOUNDFONT not in TRAINING_SOUNDFONTS
    sources = [ROOT / "mt3x" / "apps" / "train.py", *(ROOT / "mt3x" / "data").glob("*.py")]
    files = [*(path for folder in GIN_DIRECTORIES for path in folder.rglob("*.gin")), *sources]
    assert len(files) > 10
    assert [path for path in files if "timgm" in path.read_text().lower()] == []


def test_a_file_of_ones_own_may_include_those_of_the_package(scores_file, tmp_path, monkeypatch):
    (tmp_path / "sizes.gin").write_text("TransformerConfig.emb_dim = 256\n")
    (tmp_path / "mine.gin").write_text(
        "include 'run/drawn_music.gin'\ninclude 'sizes.gin'  # larger\nMODEL_DIR = 'mine'\n"
    )
    monkeypatch.chdir(tmp_path)
    settings = read_settings(["mine.gin"], [f"SCORES_FILE = {str(scores_file)!r}"])
    assert (settings.model.network.emb_dim, settings.model.network.num_heads) == (256, 3)
    # Settings of the call before are forgotten.
    settings = read_settings(
        ["run/drawn_music.gin"], ["MODEL_DIR = ''", f"SCORES_FILE = {str(scores_file)!r}"]
    )
    assert settings.model.network.emb_dim == 192


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({"Nonsense.size": "1"}, "No configurable matching 'Nonsense'. In Nonsense.size=1"),
        ({"TrainConfig.size": "1"}, "Configurable 'TrainConfig' doesn't have a parameter named 'size'. In T"),
        ({"MODEL_DIR": "here"}, "here is not a value; text needs quotes of its own: --gin.NAME=\"'text'\""),
        ({"TrainConfig.seed": "%SEEDS"}, "SEEDS is not set; add --gin.SEEDS=VALUE"),
        ({"TransformerConfig.emb_dim": "161"}, "emb_dim is 161: give an even width"),
        ({"TrainConfig.total_steps": "0"}, "total_steps is 0; it must be at least 1"),
        (
            {"SCORES_FILE": "'nowhere.npz'"},
            "scores_file nowhere.npz is missing; mt3x prepare scores makes",
        ),
        (
            {"DrawnMusic.soundfonts": "()"},
            "soundfonts are () and note_banks (); give one of the two",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_and_code_2(words, capsys, caplog, bindings, message):
    assert main(["train", *words(**bindings)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"mt3x train: {message}")
    assert said.count("\n") == 1
    assert not caplog.records


@pytest.mark.parametrize("place", ["on the command line", "in a file"])
def test_a_missing_file_is_one_line_and_code_2(tmp_path, capsys, caplog, place):
    file = tmp_path / "mine.gin"
    file.write_text("include 'run/nowhere.gin'\n")
    name = "run/nowhere.gin" if place == "on the command line" else str(file)
    assert main(["train", f"--gin_file={name}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mt3x train: there is no gin file run/nowhere.gin, here or in /")
    assert said.count("\n") == 1
    assert not caplog.records


def test_a_command_without_a_file_is_refused(capsys):
    with pytest.raises(SystemExit) as refused:
        main(["train"])
    assert refused.value.code == 2
    assert "the following arguments are required: --gin_file" in capsys.readouterr().err


def test_a_model_too_short_for_the_examples_is_one_line_and_code_1(words, capsys):
    assert main(["train", *words(**{"TranscriptionConfig.max_target_length": "100"})]) == 1
    said = capsys.readouterr().err
    assert said.startswith("mt3x train: ExampleConfig.max_tokens is 128; the model writes at most")


def test_what_is_missing_when_training_starts_is_one_line_and_code_1(words, capsys):
    soundfont = {"DrawnMusic.soundfonts": "('nowhere.sf2',)"}
    assert main(["train", *words(**soundfont)]) == 1
    assert capsys.readouterr().err.startswith("mt3x train: no soundfont at nowhere.sf2; give the path of")


def train(words, tmp_path):
    """The documented command, in a folder that is not the checkout."""
    command = [sys.executable, "-m", "mt3x.apps.train", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)


@pytest.mark.slow
def test_the_command_trains_stops_and_goes_on(words, tmp_path, capsys):
    first = train([*words(), "--stop_after_minutes=0"], tmp_path)
    assert first.returncode == 0, first.stderr
    assert "Path not found" not in first.stderr
    checkpoints = tmp_path / "run" / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == ["checkpoint_1"]
    finished = train(words(), tmp_path)
    assert finished.returncode == 0, finished.stderr
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4]
    assert finished.stderr.splitlines()[0].startswith("step 2/4  loss ")
    assert "examples/s" in finished.stderr and " min left" in finished.stderr
    params = load_params(checkpoints)
    assert np.isfinite(params["decoder"]["logits_dense"]["kernel"]).all()
    assert main(["train", *words(**{"TransformerConfig.mlp_dim": "64"})]) == 1
    said = capsys.readouterr().err
    assert said.startswith("mt3x train: ") and "holds a run of another configuration" in said
    assert said.count("\n") == 1
