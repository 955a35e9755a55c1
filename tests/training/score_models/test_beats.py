"""Training of the beat network: stages, the mixture of their weights, a stopped run, wrong settings."""

import dataclasses
import json

import numpy as np
import pytest

from mt3x.data.beats.batches import BeatVariation
from mt3x.score.rhythm.beat_network import METRES, NUM_FEATURES
from mt3x.training.score_models.beats import (
    NETWORK_FILE,
    BeatStage,
    BeatTraining,
    fresh_beat_params,
    train_beats,
)

EVENTS, SIZE = 8, 4


def open_batches(seed, variation, value=None, stop_at=None):
    """Batches of events that are beats where their first feature but one is positive."""
    rng = np.random.default_rng(list(seed))
    for number in iter(range(10_000).__iter__().__next__, stop_at):
        features = rng.normal(size=(SIZE, EVENTS, NUM_FEATURES)).astype(np.float32)
        features[..., 0] = 1
        is_beat = (features[..., 1] > 0).astype(np.float32)
        if value is not None:
            features[:] = value
        yield {
            "features": features,
            "targets": np.stack([is_beat, is_beat], axis=-1),
            "weights": np.ones((SIZE, EVENTS, 2), np.float32),
            "metre": np.full(SIZE, number % len(METRES), np.int32),
            "metre_weight": np.ones(SIZE, np.float32),
        }


def training(*steps, **settings):
    optimizer = dataclasses.replace(BeatStage().optimizer, learning_rate=0.02)
    stages = (BeatStage(count, log_every=5, optimizer=optimizer, checkpoint_seconds=0) for count in steps)
    return BeatTraining(tuple(stages), width=4, **settings)


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_loss_falls_and_the_weights_are_written(tmp_path):
    weights = train_beats(training(30), open_batches, tmp_path)
    lines = log_of(tmp_path)
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25, 30]
    assert lines[-1]["loss"] < lines[0]["loss"]
    with np.load(tmp_path / NETWORK_FILE) as archive:
        for name, value in weights.items():
            np.testing.assert_array_equal(archive[name], value.astype(np.float16))
            assert archive[name].dtype == np.float16


def test_what_is_written_is_a_mixture_of_the_last_two_stages(tmp_path):
    first = train_beats(training(5), open_batches, tmp_path / "first")
    last = train_beats(training(5, 5), open_batches, tmp_path / "both")
    mixed = train_beats(training(5, 5, last_share=0.7), open_batches, tmp_path / "mixed")
    for name, value in mixed.items():
        np.testing.assert_allclose(value, 0.7 * last[name] + 0.3 * first[name], atol=1e-6)
        assert not np.array_equal(last[name], first[name])


def test_a_run_that_was_stopped_goes_on(tmp_path):
    def breaking(seed, variation):
        yield from open_batches(seed, variation, stop_at=7)
        raise OSError("power cut")

    with pytest.raises(OSError, match="power cut"):
        train_beats(training(10, 5), breaking, tmp_path)
    seeds = []

    def watched(seed, variation):
        seeds.append(seed)
        return open_batches(seed, variation)

    found = train_beats(training(10, 5), watched, tmp_path)
    assert [line["step"] for line in log_of(tmp_path)] == [5, 10, 15]
    assert seeds == [(0, 0, 7), (0, 1, 10)]  # from the last checkpoint
    again = train_beats(training(10, 5), watched, tmp_path)
    assert len(seeds) == 2 and all(np.array_equal(again[name], found[name]) for name in found)


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path):
    train_beats(training(5), open_batches, tmp_path)
    with pytest.raises(ValueError, match="holds a run with other settings; choose another directory"):
        train_beats(training(6), open_batches, tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="the loss of step 1 is nan"):
        train_beats(training(5), lambda *words: open_batches(*words, value=np.nan), tmp_path)


def test_fresh_weights_have_the_network_s_shapes():
    shapes = {name: value.shape for name, value in fresh_beat_params(4, np.random.default_rng(0)).items()}
    assert shapes == {
        "input": (NUM_FEATURES, 4),
        "mix": (6, 5, 4, 4),
        "out": (6, 4, 4),
        "head": (4, 8),
        "head_bias": (8,),
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BeatTraining(()), r"stages are \(\); give at least one BeatStage"),
        (lambda: training(5, last_share=0.5), "last_share is 0.5, but there is one stage; leave it at 1"),
        (lambda: training(5, 5, last_share=0.0), "last_share is 0.0; it must be above 0 and at most 1"),
        (lambda: BeatTraining((BeatStage(5),), width=0), "width is 0; it must be at least 1"),
        (lambda: BeatStage(0), "total_steps is 0; it must be at least 1"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_stages_have_variations_of_their_own(tmp_path):
    told = []

    def watched(seed, variation):
        told.append(variation)
        return open_batches(seed, variation)

    plain = BeatVariation(0.0, 0.0)
    stages = (BeatStage(1, variation=plain), BeatStage(1))
    train_beats(BeatTraining(stages, width=4), watched, tmp_path)
    assert told == [plain, BeatVariation()]
