"""From a folder of recordings to a model that transcribes, by the README's commands, killed on the way."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes

SAMPLE_RATE = 16_000


def mt3x_command(*words):
    return [sys.executable, "-c", "import sys; from mt3x.apps.cli import main; sys.exit(main())", *words]


def run(folder, *words):
    done = subprocess.run(mt3x_command(*words), capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A folder with `records/midi_folder`: recordings of 4 s, three to train on and one to evaluate."""
    folder = tmp_path_factory.mktemp("training")
    random = np.random.default_rng(0)
    for split, number in (("train", 0), ("train", 1), ("train", 2), ("validation", 0)):
        pitch = random.integers(60, 72, 8)
        start = np.arange(8) / 2
        time_axis = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
        hertz = (440 * 2 ** ((pitch - 69) / 12))[np.minimum((2 * time_axis).astype(int), 7)]
        place = folder / "takes" / split / f"take{number}"
        place.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(place.with_suffix(".wav"), 0.3 * np.sin(2 * np.pi * hertz * time_axis), SAMPLE_RATE)
        write_midi(make_notes(start, start + 0.45, pitch), place.with_suffix(".mid"))
    run(folder, "prepare", "midi_folder", "--source", "takes", "--output", "records/midi_folder")
    return folder


def train_words(model_dir, *more):
    return (
        "train",
        *(f"--gin_file={file}" for file in ("run/train.gin", "model/tiny.gin", "task/midi_folder.gin")),
        f"--gin.MODEL_DIR='{model_dir}'",
        "--gin.TRAIN_STEPS=12",
        "--gin.BATCH_SIZE=2",
        "--gin.WORKERS=0",
        "--gin.TASK_FEATURE_LENGTHS={'inputs': 64, 'targets': 64}",
        "--gin.PipelineConfig.target_lengths=(64,)",
        "--gin.TrainConfig.log_every=2",
        "--gin.EVAL_PERIOD=12",
        *more,
    )


def log_of(folder, model_dir):
    lines = [json.loads(line) for line in (folder / model_dir / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}, lines


@pytest.mark.slow
def test_a_run_killed_on_the_way_has_the_losses_of_an_unbroken_one_and_transcribes(records):
    run(records, *train_words("unbroken"))
    command = mt3x_command(*train_words("killed", "--gin.TrainConfig.checkpoint_seconds=0.0"))
    process = subprocess.Popen(command, cwd=records, stderr=subprocess.PIPE, text=True)
    checkpoints = records / "killed" / "checkpoints"
    until = time.monotonic() + 300
    while not any(checkpoints.glob("checkpoint_[0-9]")) and time.monotonic() < until:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left_at = max(int(path.name.split("_")[1]) for path in checkpoints.glob("checkpoint_*[0-9]"))
    assert left_at < 12
    run(records, *train_words("killed"))
    expected, lines = log_of(records, "unbroken")
    found, _ = log_of(records, "killed")
    after = [step for step in expected if step > left_at + 2]
    assert after and [found[step] for step in after] == [expected[step] for step in after]
    # It is evaluated on the held-out take, and both its folder and its small weights transcribe.
    assert {"onset_f1", "onset_offset_f1", "multi_instrument_f1"} <= set(lines[-1])
    for model in ("killed", "killed/weights"):
        run(records, "transcribe", "takes/validation/take0.wav", "--model", model, "-o", f"out/{model}")
        assert (records / "out" / model / "take0.mid").stat().st_size > 0


@pytest.mark.slow
def test_a_run_that_is_asked_to_stop_saves_first(records):
    command = mt3x_command(*train_words("stopped", "--gin.TRAIN_STEPS=100000"))
    process = subprocess.Popen(command, cwd=records, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 300
    while not (records / "stopped" / "log.jsonl").exists() and time.monotonic() < until:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "saving, then stopping" in said
    assert any((records / "stopped" / "checkpoints").glob("checkpoint_*[0-9]"))
    assert any((records / "stopped" / "weights").glob("checkpoint_*[0-9]"))


@pytest.mark.slow
def test_a_seqio_task_trains_too(records):
    words = ("--gin.SOURCE=@SeqioTask()", "--gin.SEQIO_TASK='midi_folder'", "--gin.TRAIN_STEPS=4")
    run(records, *train_words("seqio", *words))
    losses, _ = log_of(records, "seqio")
    assert list(losses) == [2, 4] and np.isfinite(list(losses.values())).all()
