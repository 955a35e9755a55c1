"""A frame recogniser in the training loop: it learns, is saved and goes on, and its matrices move by Muon."""

import dataclasses
import json

import jax
import numpy as np
import optax
import pytest

from mt3x.checkpoints import CheckpointError, flatten, load_params
from mt3x.training import loop
from mt3x.training.config import OptimizerConfig, TrainConfig
from mt3x.training.frame_loss import FrameLossConfig
from mt3x.training.initialization import (
    StartingPoint,
    fresh_start,
    save_weights_and_position,
    start_from_checkpoint,
    start_from_weights,
    starting_shapes,
)
from mt3x.training.log import LOG_FILE
from mt3x.training.loop import CHECKPOINTS, CONFIG_FILE, WEIGHTS, Feed, train
from mt3x.training.mesh import make_mesh, replicate, split_batch, state_shardings
from mt3x.training.optimizer import _layer_matrices, make_optimizer
from mt3x.training.state import new_state
from mt3x.training.step import make_train_step
from mt3x.transcription.frames.config import FrameConfig, Thresholds
from mt3x.transcription.models import make_recogniser, resolve_model
from mt3x.transcription.tokens.config import TranscriptionConfig

MEASURED = {
    *("loss", "onset_loss", "active_loss", "offset_loss", "drum_loss", "cents_loss"),
    *(
        "is_note_loss",
        "program_loss",
        "sounding_loss",
        "velocity_loss",
        "note_f1",
        "class_accuracy",
        "gradient_norm",
    ),
}
PEDAL_LAYERS = ("pedal", "pedal_hidden")
TRAINING = TrainConfig(
    total_steps=3,
    log_every=1,
    checkpoint_seconds=1e9,
    average_decay=0.5,
    loss=FrameLossConfig(),
    optimizer=OptimizerConfig(learning_rate=1e-2, adam_learning_rate=1e-2, warmup_steps=0, decay_from=1.0),
)


def with_pedal(config):
    """The configuration with a head for the pedal."""
    return dataclasses.replace(config, network=dataclasses.replace(config.network, pedal_width=16))


def samples_of(key, batch, resources):
    return batch["samples"]


class Batches:
    """One batch again and again, a little louder each time."""

    def __init__(self, batch):
        self._batch, self._number = batch, 0

    def __next__(self):
        self._number += 1
        return {**self._batch, "samples": self._batch["samples"] * np.float32(1 + 0.1 * self._number)}

    def get_state(self):
        return {"number": self._number}

    def set_state(self, state):
        self._number = state["number"]


@pytest.fixture(scope="module")
def params(tiny_config):
    return jax.tree.map(np.asarray, fresh_start(tiny_config, TRAINING).params)


@pytest.fixture(scope="module")
def step(tiny_config, params):
    """The compiled update, for all runs here."""
    optimizer, mesh = make_optimizer(TRAINING), make_mesh()
    placement = state_shardings(jax.eval_shape(lambda: new_state(params, optimizer)), params, mesh)
    return make_train_step(tiny_config, TRAINING, optimizer, samples_of, mesh, placement)


@pytest.fixture
def run(tiny_config, tiny_batch, params, step, monkeypatch):
    """`train` of three steps in a directory."""
    monkeypatch.setattr(loop, "make_train_step", lambda *_: step)
    monkeypatch.setattr(loop, "fresh_start", lambda *_: StartingPoint(params))

    def start(directory, batches=None, config=tiny_config, **arguments):
        feed = Feed(batches or Batches(tiny_batch), samples_of)
        return train(config, TRAINING, feed, directory, **arguments)

    return start


def names_of(tree):
    def is_mark(leaf):
        return isinstance(leaf, optax.contrib.MuonDimensionNumbers)

    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_mark)
    }


def log_lines(directory):
    return [json.loads(line) for line in (directory / LOG_FILE).read_text().splitlines()]


def test_a_run_logs_its_losses_and_saves_what_detecting_needs(run, tiny_config, tmp_path):
    state = run(tmp_path)
    assert int(state.step) == 3
    lines = log_lines(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(set(line) == {"step", "examples_per_second", *MEASURED} for line in lines)
    assert FrameConfig.from_json((tmp_path / CONFIG_FILE).read_text()) == tiny_config
    stored = load_params(tmp_path / CHECKPOINTS)
    same = jax.tree.map(np.array_equal, stored, jax.tree.map(np.asarray, state.average))
    assert set(stored) == {"trunk", "drums", "note_head", "program_reader"} and jax.tree.all(same)


def test_a_stopped_run_goes_on_from_its_checkpoint_as_if_it_had_not_been(run, tmp_path):
    unbroken = run(tmp_path / "unbroken")
    assert int(run(tmp_path / "stopped", should_stop=lambda: True).step) == 1
    finished = run(tmp_path / "stopped")
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), finished.params, unbroken.params)
    assert jax.tree.all(same)
    losses = [[line["loss"] for line in log_lines(tmp_path / name)] for name in ("unbroken", "stopped")]
    assert losses[0] == losses[1]


def test_a_run_starts_from_the_weights_of_another(run, tiny_config, tiny_batch, tmp_path):
    first = run(tmp_path / "first", should_stop=lambda: True)
    folder = tmp_path / "first" / WEIGHTS
    point = start_from_weights(folder, tiny_config, TRAINING)
    assert (point.step, point.position) == (1, {"number": 1})
    near = jax.tree.map(lambda a, b: np.allclose(a, b, rtol=2**-8), point.params, first.params)
    assert jax.tree.all(near)
    batches = Batches(tiny_batch)
    state = run(tmp_path / "second", batches, start=lambda: point)
    assert int(state.step) == 3 and batches.get_state() == {"number": 3}
    run(tmp_path / "unbroken")
    unbroken = log_lines(tmp_path / "unbroken")
    # Weights were kept in bfloat16, which has 8 bits.
    assert log_lines(tmp_path / "second")[0]["loss"] == pytest.approx(unbroken[1]["loss"], rel=0.03)


def test_weights_without_a_head_for_the_pedal_start_a_network_that_has_one(
    params, tiny_config, tiny_batch, tmp_path
):
    average = jax.tree.map(lambda x: x + np.float32(0.5), params["network"])
    save_weights_and_position(tmp_path / "w", tiny_config, params, average, 7, {"number": 9})
    config = with_pedal(tiny_config)
    point = start_from_weights(tmp_path / "w", config, TRAINING)
    assert (point.step, point.position) == (7, {"number": 9})
    layers = [f"network/trunk/{layer}/{kind}" for layer in PEDAL_LAYERS for kind in ("bias", "kernel")]
    assert sorted(point.fresh) == layers
    fresh = flatten(fresh_start(config, TRAINING).params)
    found, averaged = flatten(point.params), flatten(point.average)
    for name, values in flatten(params).items():
        np.testing.assert_allclose(found[name], values, rtol=2**-8)
        np.testing.assert_allclose(averaged[name.removeprefix("network/")], values + 0.5, rtol=2**-8)
    for name in layers:
        assert np.array_equal(found[name], fresh[name])
        assert np.array_equal(averaged[name.removeprefix("network/")], fresh[name])
    # Fine-tuning starts from the average, at step 0.
    tuned = start_from_checkpoint(tmp_path / "w", config, TRAINING)
    assert (tuned.step, tuned.fresh) == (0, point.fresh)
    assert np.array_equal(flatten(tuned.params)["network/trunk/embed/bias"], averaged["trunk/embed/bias"])
    assert start_from_weights(tmp_path / "w", tiny_config, TRAINING).fresh == ()


def test_weights_with_a_head_for_the_pedal_are_no_start_of_a_network_without(tiny_config, tmp_path):
    config = with_pedal(tiny_config)
    params = fresh_start(config, TRAINING).params
    save_weights_and_position(tmp_path / "w", config, params, params["network"], 7, {})
    with pytest.raises(CheckpointError, match=r"8 unexpected \(average/trunk/pedal/bias \[1\]; "):
        start_from_weights(tmp_path / "w", tiny_config, TRAINING)
    with pytest.raises(ValueError, match=r"TrunkConfig\.pedal_width is 0, expected 16"):
        start_from_checkpoint(tmp_path / "w", tiny_config, TRAINING)


@pytest.mark.slow
def test_a_head_for_the_pedal_learns_where_the_batch_tells_the_pedal(tiny_config, tiny_batch):
    config, optimizer, mesh = with_pedal(tiny_config), make_optimizer(TRAINING), make_mesh()
    params = jax.tree.map(np.asarray, fresh_start(config, TRAINING).params)
    state = replicate(new_state(params, optimizer), mesh)
    placement = state_shardings(jax.eval_shape(lambda: new_state(params, optimizer)), params, mesh)
    step = make_train_step(config, TRAINING, optimizer, samples_of, mesh, placement)
    pedal = np.array([[[0.12, 0.256]], [[0.0, 0.0]]], np.float32)
    batch, key = split_batch({**tiny_batch, "pedal": pedal}, mesh), replicate(jax.random.key(0), mesh)
    measured = []
    for _ in range(10):
        state, values = step(state, batch, key, None)
        measured.append({name: float(value) for name, value in values.items()})
    assert set(measured[0]) == MEASURED | {"pedal_loss", "pedal_f1"}
    assert measured[-1]["pedal_loss"] < measured[0]["pedal_loss"]
    trunk, learned = params["network"]["trunk"], state.params["network"]["trunk"]
    moved = jax.tree.map(lambda a, b: bool((a != np.asarray(b)).any()), trunk, learned)
    assert all(jax.tree.leaves({layer: moved[layer] for layer in PEDAL_LAYERS}))
    marks = names_of(_layer_matrices(params))
    assert "network/trunk/pedal_hidden/kernel" in marks
    assert "network/trunk/pedal/kernel" not in marks  # an output layer, for Adam


def test_a_directory_of_another_kind_of_model_is_left_alone(run, tmp_path):
    (tmp_path / CONFIG_FILE).write_text(TranscriptionConfig().to_json())
    with pytest.raises(ValueError, match="config.json: kind is None; a frame recogniser's is 'frames'"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CONFIG_FILE]


def test_thresholds_that_are_chosen_anew_while_a_run_goes_on_stay_with_the_model(run, tiny_config, tmp_path):
    run(tmp_path, should_stop=lambda: True)
    moved = dataclasses.replace(tiny_config.thresholds, kick=0.9)
    chosen = dataclasses.replace(tiny_config, thresholds=moved, merge_seconds=0.02)
    (tmp_path / CONFIG_FILE).write_text(chosen.to_json())
    run(tmp_path)  # of `tiny_config`
    for folder in (tmp_path, tmp_path / WEIGHTS):
        assert resolve_model(folder)[0] == chosen
    with pytest.raises(ValueError, match="holds a run of another configuration"):
        loop._claim_directory(tmp_path, dataclasses.replace(tiny_config, num_candidates=7))


def test_a_model_that_is_trained_on_carries_thresholds_of_its_own(run, tiny_config, tmp_path):
    run(tmp_path / "first", should_stop=lambda: True)
    other = dataclasses.replace(tiny_config, thresholds=Thresholds(onset=0.3, drum=0.9), instruments=(40,))
    point = start_from_checkpoint(tmp_path / "first", other, TRAINING)
    run(tmp_path / "second", config=other, start=lambda: point, should_stop=lambda: True)
    config, params, name = resolve_model(tmp_path / "second")
    assert config == other and resolve_model(tmp_path / "first")[0] == tiny_config
    assert make_recogniser(config, params, name).new_collector()._thresholds == other.thresholds


def test_the_loss_falls_when_one_batch_is_learned_by_heart(params, step, tiny_batch):
    mesh = make_mesh()
    state = replicate(new_state(params, make_optimizer(TRAINING)), mesh)
    batch, key = split_batch(tiny_batch, mesh), replicate(jax.random.key(0), mesh)
    measured = []
    for _ in range(30):
        state, values = step(state, batch, key, None)
        measured.append({name: float(value) for name, value in values.items()})
    assert set(measured[0]) == MEASURED
    assert all(np.isfinite(list(values.values())).all() for values in measured)
    # Targets between 0 and 1 cost something at best.
    assert measured[-1]["loss"] < 0.9 * measured[0]["loss"]
    for name in ("onset_loss", "active_loss", "drum_loss"):
        assert measured[-1][name] < measured[0][name], name
    moved = jax.tree.map(lambda a, b: bool((a != np.asarray(b)).any()), params, state.params)
    resting = {name for name, has_moved in names_of(moved["network"]).items() if not has_moved}
    # The batch does not say how notes are inflected, and no candidate lies at the extremes of the tables.
    assert {name for name in resting if not name.startswith("note_head/")} == {
        "trunk/cents/kernel",
        "trunk/cents/bias",
    }


def test_shapes_are_known_without_weights(tiny_config, params):
    shapes = starting_shapes(tiny_config, TRAINING)
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), shapes, params)
    assert jax.tree.all(same) and set(params) == {"network"}


def test_a_loss_of_another_kind_of_model_is_refused_with_the_fix(tiny_config):
    optimizer, mesh = make_optimizer(TRAINING), make_mesh()
    tokens = dataclasses.replace(TRAINING, loss=TrainConfig().loss)
    with pytest.raises(
        ValueError, match="loss of a frame recogniser is a FrameLossConfig; set TrainConfig.loss to one"
    ):
        make_train_step(tiny_config, tokens, optimizer, samples_of, mesh, None)
    with pytest.raises(
        ValueError, match="model that writes tokens is a LossConfig; set TrainConfig.loss to one"
    ):
        make_train_step(TranscriptionConfig(), TRAINING, optimizer, samples_of, mesh, None)


def test_muon_moves_the_inner_kernels_and_neither_outputs_nor_tables(params):
    kernels = names_of(params)
    marks = names_of(_layer_matrices(params))
    assert all(isinstance(mark, optax.contrib.MuonDimensionNumbers) for mark in marks.values())
    left = {name for name in kernels if name not in marks and kernels[name].ndim > 1}
    assert {name.removeprefix("network/") for name in left} == {
        *(f"trunk/{name}/kernel" for name in ("onset", "active", "offset", "cents")),
        "drums/hits/kernel",
        *(f"note_head/{name}/kernel" for name in ("is_note", "programs", "velocity")),
        *(f"note_head/{name}" for name in ("pitch_table", "pitch_nearness", "time_nearness")),
    }
    inner = ("patch/kernel", "embed/kernel", "block_0/harmonics", "block_0/first", "block_0/second")
    assert {f"network/trunk/{name}" for name in (*inner, "forget/kernel", "candidate/kernel")} <= set(marks)
    assert {"network/drums/time_3/kernel", "network/note_head/attention_in_0/kernel"} <= set(marks)
    for name, mark in marks.items():
        size = kernels[name].ndim
        # All axes but the last are inputs: a convolution is one matrix [taps * in, out].
        assert (mark.reduction_axis, mark.output_axis) == (tuple(range(size - 1)), size - 1), name
