"""Training of the spelling network: the loss falls, weights and log are written, NaN stops the run."""

import json

import numpy as np
import pytest

from mt3x.score.spelling.answers import SpellingModel
from mt3x.score.spelling.features import NUM_FEATURES
from mt3x.score.spelling.network import SpellingConfig
from mt3x.training.config import OptimizerConfig
from mt3x.training.score_models.run import WEIGHTS_FILE, SpellingTraining
from mt3x.training.score_models.spelling import train_spelling

TINY = SpellingConfig(width=8, layers=1)


class Batches:
    """Notes whose first feature tells one of two degrees; `value` replaces all features."""

    def __init__(self, value: float | None = None):
        self.rng, self.value = np.random.default_rng(0), value

    def __iter__(self):
        return self

    def __next__(self):
        features = self.rng.normal(size=(64, NUM_FEATURES)).astype(np.float32)
        degrees = np.where(features[:, 0] > 0, 3, 15).astype(np.int32)  # one column: two names in one key
        degrees[-8:] = -1
        if self.value is not None:
            features[:] = self.value
        return {"features": features, "degrees": degrees}


def test_the_loss_falls_and_weights_are_written(tmp_path):
    training = SpellingTraining(
        total_steps=60,
        optimizer=OptimizerConfig(learning_rate=0.03, adam_learning_rate=0.03, warmup_steps=5),
        average_decay=0.9,
        log_every=10,
        eval_period=60,
    )
    lines = []
    train_spelling(TINY, training, Batches(), [next(Batches())], tmp_path, lines.append)
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 6 and losses[-1] < 0.5 * losses[0]
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["step"] == 60
    assert lines[-1]["held_out_key_error"] == 0 and lines[-1]["held_out_name_error"] < 0.4
    assert SpellingModel.load(tmp_path / WEIGHTS_FILE).config == TINY


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path):
    training = SpellingTraining(total_steps=2, log_every=1, eval_period=2)
    with pytest.raises(FloatingPointError, match="the loss of step 1 is nan"):
        train_spelling(TINY, training, Batches(float("nan")), [], tmp_path)


def test_numbers_outside_their_limits_are_refused():
    with pytest.raises(ValueError, match="total_steps is 0"):
        SpellingTraining(total_steps=0)
    with pytest.raises(ValueError, match="eval_period is 0"):
        SpellingTraining(eval_period=0)
