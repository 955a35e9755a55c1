"""From the network's answers to evidence for keys and to names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.score.network_files import save_network
from mt3x.score.spelling.answers import SpellingModel, best_positions, key_evidence
from mt3x.score.spelling.features import NUM_FEATURES
from mt3x.score.spelling.network import SpellingConfig, SpellingNetwork, degree_classes


def sure_answers(key: int, positions: np.ndarray) -> np.ndarray:
    """What a network would say that is certain of one key and of these positions."""
    answers = np.full((len(positions), 24), -20.0, np.float32)
    answers[np.arange(len(positions)), degree_classes(positions, np.full(len(positions), key))] = 0
    return answers.reshape(-1, 2, 12)


def test_a_key_is_told_on_the_circle():
    positions = np.array([-5, 0, 7])
    evidence = key_evidence(sure_answers(-5, positions), 60 + 7 * positions % 12)
    assert evidence.shape == (3, 12)
    assert evidence.argmax(1).tolist() == [7, 7, 7]
    np.testing.assert_allclose(evidence[:, 7], 0, atol=1e-6)


def test_names_follow_the_side_of_the_signature():
    positions = np.array([-5, 0, 1, -7, -10])  # D flat, C, G, C flat, E double flat
    pitch, answers = 60 + 7 * positions % 12, sure_answers(-5, positions)
    assert best_positions(answers, pitch, np.full(5, -5), -15, 19).tolist() == positions.tolist()
    assert best_positions(answers, pitch, np.full(5, 7), -15, 19).tolist() == (positions + 12).tolist()


def test_positions_without_a_name_are_not_chosen():
    position = np.array([21])
    answers = sure_answers(7, position)
    assert best_positions(answers, 60 + 7 * position % 12, np.array([7]), -15, 19).tolist() == [9]


def test_a_model_answers_each_note_with_log_probabilities():
    config = SpellingConfig(width=4, layers=1)
    params = SpellingNetwork(config).init(jax.random.key(1), jnp.ones((1, NUM_FEATURES)))["params"]
    model, pitch = SpellingModel(config, params), np.random.default_rng(0).integers(40, 90, 5000)
    answers = model.answer(np.arange(5000) / 4, np.ones(5000), pitch)
    assert answers.shape == (5000, 2, 12)
    np.testing.assert_allclose(np.exp(answers).sum((1, 2)), 1, atol=1e-4)
    assert model.answer(np.zeros(0), np.zeros(0), np.zeros(0, int)).shape == (0, 2, 12)


def test_a_saved_model_answers_the_same(tmp_path):
    config = SpellingConfig(width=3, layers=1)
    params = SpellingNetwork(config).init(jax.random.key(0), jnp.ones((1, NUM_FEATURES)))["params"]
    model = SpellingModel(config, params)
    model.save(tmp_path / "weights.npz")
    again = SpellingModel.load(tmp_path / "weights.npz")
    assert again.config == config
    onset, duration, pitch = np.arange(3.0), np.ones(3), np.array([60, 64, 67])
    np.testing.assert_array_equal(again.answer(onset, duration, pitch), model.answer(onset, duration, pitch))


def test_another_network_is_no_spelling_model(tmp_path):
    save_network(tmp_path / "other.npz", {"num_features": 3}, {})
    with pytest.raises(ValueError, match="other.npz is not a spelling model"):
        SpellingModel.load(tmp_path / "other.npz")
