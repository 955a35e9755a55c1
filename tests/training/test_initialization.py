"""Going on from weights and a position alone, and starting from a trained model."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from mt3x.checkpoints import CheckpointError, cast_floats, load_params
from mt3x.model.config import TINY
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec, num_embeddings, vocabulary_from_codec
from mt3x.training import loop
from mt3x.training.config import LossConfig, TrainConfig
from mt3x.training.initialization import (
    StartingPoint,
    fresh_start,
    save_weights_and_position,
    start_from_checkpoint,
    start_from_weights,
)
from mt3x.training.optimizer import REWARM_STEPS, make_optimizer
from mt3x.training.state import new_state
from mt3x.transcription.tokens.config import TranscriptionConfig

BY_T5X = Path(__file__).parents[1] / "golden" / "t5x_checkpoint_tiny" / "checkpoint_3"


def test_weights_come_back_in_bfloat16_with_their_place(tiny_run, tmp_path):
    params = tiny_run.params
    average = jax.tree.map(lambda x: x + np.float32(0.5), params["network"])
    save_weights_and_position(tmp_path / "w", tiny_run.config, params, average, 7, {"number": 9})
    point = start_from_weights(tmp_path / "w", tiny_run.config, tiny_run.train_config)
    assert (point.step, point.position) == (7, {"number": 9})
    for found, saved in ((point.params, params), (point.average, average)):
        near = jax.tree.map(lambda a, b: np.allclose(a, b, rtol=2**-8), found, saved)
        assert jax.tree.all(near)
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype("float32")}
    assert load_params(tmp_path / "w").keys() == average.keys()


def test_a_folder_without_weights_says_what_to_give(tiny_run, tmp_path):
    with pytest.raises(CheckpointError, match="no weights to go on from; give the folder `weights` of a run"):
        start_from_weights(tmp_path, tiny_run.config, tiny_run.train_config)


def test_weights_of_another_network_are_named(tiny_run, tmp_path):
    save_weights_and_position(
        tmp_path / "w", tiny_run.config, tiny_run.params, tiny_run.params["network"], 7, {}
    )
    network = dataclasses.replace(tiny_run.config.network, mlp_dim=32)
    other = dataclasses.replace(tiny_run.config, network=network)
    with pytest.raises(CheckpointError, match=r"mlp/wi_0/kernel is \[160, 64\], expected \[160, 32\]"):
        start_from_weights(tmp_path / "w", other, tiny_run.train_config)


def test_a_loss_without_frames_has_no_frame_head(tiny_run):
    training = TrainConfig(has_alignment_prior=False, loss=LossConfig(frame_weight=0.0))
    assert set(fresh_start(tiny_run.config, training).params) == {"network"}
    assert set(tiny_run.params) == {"network", "frame_head"}


def test_rates_of_an_optimizer_that_begins_late_rise_to_where_the_run_is():
    training = TrainConfig(total_steps=40_000)
    params = {"network": {"layers_0": {"kernel": np.ones((4, 4), np.float32)}}}
    gradients = jax.tree.map(lambda x: np.eye(4, dtype=np.float32), params)

    def sizes(first_step, counts):
        optimizer = make_optimizer(training, first_step)
        update = jax.jit(optimizer.update)
        state, found = new_state(params, optimizer).optimizer_state, []
        with jax.numpy_dtype_promotion("standard"):
            for _ in range(counts):
                updates, state = update(gradients, state, params)
                found.append(float(np.abs(updates["network"]["layers_0"]["kernel"]).max()))
        return found

    late = sizes(1000, REWARM_STEPS + 1)
    assert late[0] == 0.0
    assert late[REWARM_STEPS // 2] == pytest.approx(late[REWARM_STEPS] / 2, rel=0.02)
    assert sizes(0, 2)[1] > 0


@pytest.fixture
def trained(tiny_run, tmp_path):
    """The folder of an Orbax checkpoint with config.json, whose average is half more than the weights."""
    average = jax.tree.map(lambda x: x + np.float32(0.5), tiny_run.params["network"])
    save_weights_and_position(tmp_path / "w", tiny_run.config, tiny_run.params, average, 7, {"number": 9})
    return tmp_path / "w"


@pytest.mark.slow
def test_fine_tuning_begins_at_step_0_with_the_weights_that_transcribe(tiny_run, trained):
    point = start_from_checkpoint(trained, tiny_run.config, tiny_run.train_config)
    assert (point.average, point.step, point.position) == (None, 0, None)
    expected = cast_floats(load_params(trained), "float32")
    assert jax.tree.all(jax.tree.map(np.array_equal, point.params["network"], expected))
    fresh = fresh_start(tiny_run.config, tiny_run.train_config).params["frame_head"]
    assert jax.tree.all(jax.tree.map(np.array_equal, point.params["frame_head"], fresh))


def with_vocabulary(config, bins, **changes):
    """A configuration with so many velocity bins; `changes` are of its network."""
    vocabulary = VocabularyConfig(num_velocity_bins=bins)
    rows = num_embeddings(vocabulary_from_codec(build_codec(vocabulary)))
    network = dataclasses.replace(config.network, vocab_size=rows, **changes)
    return dataclasses.replace(config, vocabulary=vocabulary, network=network)


def test_weights_that_t5x_wrote_are_a_start_with_the_settings_of_the_run():
    config = TranscriptionConfig(network=TINY)
    training = TrainConfig(has_alignment_prior=False, loss=LossConfig(frame_weight=0.0))
    old = start_from_checkpoint(BY_T5X, config, training, preset="same").params["network"]
    stored = load_params(BY_T5X)
    assert jax.tree.all(jax.tree.map(np.array_equal, old, stored))
    new_config = with_vocabulary(config, 127)
    with pytest.raises(CheckpointError, match=r"embedding is \[1536, 64\], expected \[1664, 64\]"):
        start_from_checkpoint(BY_T5X, new_config, training, preset="same")


def test_another_vocabulary_moves_the_rows_of_its_events(tiny_run, trained):
    new_config = with_vocabulary(tiny_run.config, 127)
    old = cast_floats(load_params(trained), "float32")
    new = start_from_checkpoint(trained, new_config, tiny_run.train_config).params["network"]
    names = ("token_embedder", "embedding"), ("logits_dense", "kernel")
    (old_rows, old_columns), (new_rows, new_columns) = (
        [np.asarray(tree["decoder"][layer][name]) for layer, name in names] for tree in (old, new)
    )
    # Ids: velocity bin 0 is 1132, bin 1 is 1133; the tie was 1134 and is 1260, 126 bins later.
    for there, here in ((69, 69), (1132, 1132), (1133, 1133), (1133, 1259), (1134, 1260), (1390, 1516)):
        assert np.array_equal(new_rows[here], old_rows[there])
        assert np.array_equal(new_columns[:, here], old_columns[:, there])
    assert new_rows.shape == (1664, 160)
    assert np.array_equal(new["encoder"]["encoder_norm"]["scale"], old["encoder"]["encoder_norm"]["scale"])


def test_a_checkpoint_without_settings_asks_for_a_preset(tiny_run):
    message = (
        r"checkpoint_3: has no config.json beside it; .* one of mt3, ismir2021, or 'same' where they are"
    )
    with pytest.raises(ValueError, match=message):
        start_from_checkpoint(BY_T5X, tiny_run.config, tiny_run.train_config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"mlp_dim": 32},
            r"mlp/wi_0/kernel is \[160, 64\], expected \[160, 32\].* To start from it, give the network its "
            r"sizes: .*mlp_dim 64, ",
        ),
        (
            {"num_heads": 4, "head_dim": 32},
            r"trained with other settings: TransformerConfig\.num_heads is 4, expected 2; "
            r"TransformerConfig\.head_dim is 32, expected 64\. Set what was expected",
        ),
    ],
)
def test_another_network_is_told_with_what_to_set(tiny_run, trained, changes, message):
    network = dataclasses.replace(tiny_run.config.network, **changes)
    config = dataclasses.replace(tiny_run.config, network=network)
    training = dataclasses.replace(tiny_run.train_config, has_alignment_prior=False)
    with pytest.raises(ValueError, match=message):
        start_from_checkpoint(trained, config, training)


def test_another_spectrogram_is_told_with_what_to_set(tiny_run, trained):
    spectrogram = dataclasses.replace(tiny_run.config.spectrogram, hop_width=128, log_floor=1e-6)
    config = dataclasses.replace(tiny_run.config, spectrogram=spectrogram)
    message = r"SpectrogramConfig\.hop_width is 128, expected 256; SpectrogramConfig\.log_floor is 1e-06, ex"
    with pytest.raises(ValueError, match=message):
        start_from_checkpoint(trained, config, tiny_run.train_config)


def test_dropout_lengths_and_search_may_be_others(tiny_run, trained):
    network = dataclasses.replace(tiny_run.config.network, dropout_rate=0.5, dtype="bfloat16")
    config = dataclasses.replace(tiny_run.config, network=network, segment_frames=64, search="beam")
    assert start_from_checkpoint(trained, config, tiny_run.train_config).step == 0


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_from_its_checkpoint_and_not_from_where_it_started(
    tiny_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "make_train_step", lambda *_: tiny_run.step)

    class Batches:
        def __next__(self):
            return tiny_run.batch

        def get_state(self):
            return {}

        def set_state(self, state):
            pass

    def run(start, **arguments):
        training = dataclasses.replace(tiny_run.train_config, total_steps=4)
        feed = loop.Feed(Batches(), tiny_run.prepare)
        return loop.train(tiny_run.config, training, feed, tmp_path / "run", start=start, **arguments)

    def never():
        raise AssertionError("the starting point was asked for again")

    start = jax.tree.map(lambda x: x + np.float32(0.01), tiny_run.params)
    stopped = run(lambda: StartingPoint(start), should_stop=lambda: True)
    assert int(stopped.step) == 1
    finished = run(never)
    assert int(finished.step) == 4
    moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), finished.params, start)
    assert jax.tree.all(moved)
