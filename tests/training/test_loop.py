"""The training loop: stopped anywhere, it goes on as if it had not been."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from mt3x.checkpoints import load_params
from mt3x.training import loop
from mt3x.training.config import TrainConfig
from mt3x.training.initialization import StartingPoint, start_from_weights
from mt3x.training.log import LOG_FILE
from mt3x.training.loop import CHECKPOINTS, CONFIG_FILE, WEIGHTS, Feed, train
from mt3x.transcription.tokens.config import TranscriptionConfig


class Batches:
    """One batch again and again, a little different each time; `spoilt` is the number of one with NaN."""

    def __init__(self, batch, spoilt=None):
        self._batch, self._spoilt, self._number = batch, spoilt, 0

    def __next__(self):
        self._number += 1
        samples = self._batch["samples"] * np.float32(1 + 0.1 * self._number)
        return {**self._batch, "samples": samples * np.nan if self._number == self._spoilt else samples}

    def get_state(self):
        return {"number": self._number}

    def set_state(self, state):
        self._number = state["number"]


class Killed(Exception):
    pass


def kill_at(step):
    """A report that ends the run after a step whose checkpoint has not been written yet."""

    def report(line):
        if line["step"] == step:
            raise Killed

    return report


@pytest.fixture(scope="module")
def compiled_once(tiny_run):
    """All runs here have the same step and start from the same weights: they are made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_train_step", lambda *_: tiny_run.step)
        patch.setattr(loop, "fresh_start", lambda *_: StartingPoint(tiny_run.params))
        yield


@pytest.fixture
def run(tiny_run, compiled_once):
    """`train` of the tiny run in a directory."""

    def start(directory, batches=None, config=tiny_run.config, checkpoint_seconds=1e9, **arguments):
        train_config = dataclasses.replace(tiny_run.train_config, checkpoint_seconds=checkpoint_seconds)
        batches = batches or Batches(tiny_run.batch)
        return train(config, train_config, Feed(batches, tiny_run.prepare), directory, **arguments)

    return start


@pytest.fixture(scope="module")
def unbroken(tiny_run, compiled_once, tmp_path_factory):
    """(final state, directory) of a run without interruption."""
    directory = tmp_path_factory.mktemp("unbroken")
    batches = Batches(tiny_run.batch)
    state = train(tiny_run.config, tiny_run.train_config, Feed(batches, tiny_run.prepare), directory)
    return state, directory


def log_lines(directory):
    return [json.loads(line) for line in (directory / LOG_FILE).read_text().splitlines()]


def without_speed(lines):
    return [{name: value for name, value in line.items() if name != "examples_per_second"} for line in lines]


def assert_same(state, other):
    same = jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), state, other)
    assert jax.tree.all(same)


def test_a_run_stopped_and_killed_ends_in_the_same_weights_as_an_unbroken_one(run, unbroken, tmp_path):
    stopped = run(tmp_path, should_stop=lambda: True)
    assert int(stopped.step) == 1
    # A checkpoint after every step; killed after step 9 was logged, before it was saved.
    with pytest.raises(Killed):
        run(tmp_path, checkpoint_seconds=0.0, report=kill_at(9))
    assert [line["step"] for line in log_lines(tmp_path)][-1] == 9
    finished = run(tmp_path)
    assert int(finished.step) == 20
    assert_same(finished, unbroken[0])
    # Steps 4 to 9 were logged before the kill; of these, step 9 was taken and logged again.
    assert [line["step"] for line in log_lines(tmp_path)] == [3, 6, 9, 12, 15, 18, 20]
    assert without_speed(log_lines(tmp_path))[3:] == without_speed(log_lines(unbroken[1]))[3:]


def test_a_finished_run_is_not_trained_further(run, unbroken):
    state, directory = unbroken
    before = (directory / LOG_FILE).read_bytes()
    again = run(directory, batches=Batches({"samples": np.full(1, np.nan)}))
    assert_same(again, state)
    assert (directory / LOG_FILE).read_bytes() == before


def test_the_log_has_a_line_every_few_steps_and_for_the_last(unbroken):
    lines = log_lines(unbroken[1])
    assert [line["step"] for line in lines] == [3, 6, 9, 12, 15, 18, 20]
    measured = {"loss", "token_accuracy", "frame_loss", "gradient_norm", "examples_per_second"}
    assert all(set(line) == {"step", *measured} for line in lines)
    assert all(line["examples_per_second"] > 0 for line in lines)
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_reports_are_the_lines_of_the_log(run, tmp_path):
    reports = []
    run(tmp_path, report=reports.append)
    assert [report["step"] for report in reports] == [line["step"] for line in log_lines(tmp_path)]
    assert reports[0]["loss"] == pytest.approx(log_lines(tmp_path)[0]["loss"], abs=1e-5)


def test_a_torn_line_of_the_log_is_dropped_when_a_run_goes_on(run, tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, checkpoint_seconds=0.0, report=kill_at(6))
    with (tmp_path / LOG_FILE).open("a") as file:
        file.write('{"step": 9, "lo')
    run(tmp_path)
    assert [line["step"] for line in log_lines(tmp_path)] == [3, 6, 9, 12, 15, 18, 20]


def test_the_directory_holds_what_transcribing_needs(tiny_run, unbroken):
    state, directory = unbroken
    stored = TranscriptionConfig.from_json((directory / CONFIG_FILE).read_text())
    assert stored == tiny_run.config
    assert_same(load_params(directory / CHECKPOINTS), jax.tree.map(np.asarray, state.average))
    assert {path.name for path in directory.iterdir()} - {"tensorboard"} == {
        CONFIG_FILE,
        LOG_FILE,
        CHECKPOINTS,
        WEIGHTS,
    }


def test_a_directory_of_another_configuration_is_left_alone(run, tiny_run, tmp_path):
    (tmp_path / CONFIG_FILE).write_text(TranscriptionConfig().to_json())
    with pytest.raises(
        ValueError, match=f"{tmp_path} holds a run of another configuration .*; choose another"
    ):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CONFIG_FILE]
    assert (tmp_path / CONFIG_FILE).read_text() == TranscriptionConfig().to_json()


def test_a_search_that_is_chosen_anew_while_a_run_goes_on_stays_with_the_model(run, tiny_run, tmp_path):
    run(tmp_path, should_stop=lambda: True)
    chosen = dataclasses.replace(tiny_run.config, search="beam", beam_size=3, merge_restrikes_seconds=0.1)
    (tmp_path / CONFIG_FILE).write_text(chosen.to_json())
    run(tmp_path, should_stop=lambda: True)  # of the first search
    for folder in (tmp_path, tmp_path / WEIGHTS):
        assert TranscriptionConfig.from_json((folder / CONFIG_FILE).read_text()) == chosen


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(run, tiny_run, tmp_path):
    with pytest.raises(FloatingPointError, match="the loss of step 5 is nan"):
        run(tmp_path, batches=Batches(tiny_run.batch, spoilt=5))
    assert [line["step"] for line in log_lines(tmp_path)] == [3]
    # Asked to save before the next line of the log is due, it looks, too.
    with pytest.raises(FloatingPointError, match="the loss of step 2 is nan"):
        run(tmp_path / "saving", batches=Batches(tiny_run.batch, spoilt=2), checkpoint_seconds=0.0)
    assert not (tmp_path / "saving" / CHECKPOINTS / "checkpoint_2").exists()


def test_a_run_starts_with_shifts_that_name_frames(tiny_run):
    table = tiny_run.params["network"]["decoder"]["token_embedder"]["embedding"]
    assert (table[:, 64:68] > 0).all(axis=1).sum() == 1 + 1001  # the start and all shifts up to 10 s
    # The shift of 0.16 s, id 3 + 16, names frame 10 of 16 ms: sines of 10, 10 / 10000 ** (1 / 79), ...
    assert table[19, 32] == pytest.approx(3.0 * np.sin(10), rel=1e-5)
    assert table[19, 33] == pytest.approx(3.0 * np.sin(10 * 1e4 ** (-1 / 79)), rel=1e-5)
    assert table[19, 112] == pytest.approx(3.0 * np.cos(10), rel=1e-5)


@pytest.mark.parametrize("name", ["total_steps", "log_every"])
def test_a_run_without_steps_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0; it must be at least 1"):
        TrainConfig(**{name: 0})


@pytest.mark.slow
def test_a_run_goes_on_from_its_weights_with_the_loss_that_it_had(tiny_run, tmp_path):
    """The next step sees the batch that an unbroken run would have seen, its loss within 1 %."""
    training = dataclasses.replace(tiny_run.train_config, total_steps=42, log_every=1)
    weights = tmp_path / "first" / WEIGHTS

    def go(name, batches, **arguments):
        train(tiny_run.config, training, Feed(batches, tiny_run.prepare), tmp_path / name, **arguments)

    batches = Batches(tiny_run.batch)
    go("first", batches, should_stop=lambda: batches.get_state() == {"number": 40})
    again = Batches(tiny_run.batch)
    go("second", again, start=lambda: start_from_weights(weights, tiny_run.config, training))
    assert again.get_state() == {"number": 42}
    go("first", Batches(tiny_run.batch))
    unbroken, resumed = log_lines(tmp_path / "first")[-2:], log_lines(tmp_path / "second")
    assert [line["step"] for line in unbroken] == [line["step"] for line in resumed] == [41, 42]
    assert resumed[0]["loss"] == pytest.approx(unbroken[0]["loss"], rel=0.01)
    assert (tmp_path / "second" / CHECKPOINTS / "checkpoint_42").is_dir()
