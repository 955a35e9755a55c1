import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.music.notes import make_notes
from mt3x.score.rhythm.beat_network import (
    DILATIONS,
    LAG_SECONDS,
    METRE_WEIGHT,
    METRES,
    NUM_FEATURES,
    TAPS,
    beat_logits,
    detect_beats,
    event_features,
    shipped_params,
)
from tests.score.performances import play, scale


def random_params(width=8):
    rng = np.random.default_rng(0)
    shapes = {
        "input": (NUM_FEATURES, width),
        "mix": (len(DILATIONS), len(TAPS), width, width),
        "out": (len(DILATIONS), width, width),
        "head": (width, 2 + len(METRES)),
        "head_bias": (2 + len(METRES),),
    }
    return {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def events(count):
    features = np.random.default_rng(1).normal(size=(count, NUM_FEATURES)).astype(np.float32)
    features[:, 0] = 1
    return features


def test_rows_of_zeros_after_the_last_event_change_nothing():
    params, features = random_params(), events(30)
    padded = np.concatenate([features, np.zeros((12, NUM_FEATURES), np.float32)])
    np.testing.assert_allclose(beat_logits(params, padded)[:30], beat_logits(params, features), atol=1e-5)


def test_without_layers_the_network_is_its_head_on_normalised_inputs():
    params = random_params()
    params["out"] = np.zeros_like(params["out"])
    features = np.zeros((2, NUM_FEATURES), np.float32)
    features[:, 0] = [1, 3]
    row = params["input"][0]
    expected = row / np.sqrt((row**2).mean()) @ params["head"] + params["head_bias"]
    # Twice the same: the size of what an event is told goes away.
    np.testing.assert_allclose(beat_logits(params, features), [expected, expected], rtol=2e-3)


def test_an_event_is_heard_by_those_that_a_tap_reaches():
    params = random_params()
    params["out"][1:] = 0
    features = events(9)
    changed = features.copy()
    changed[4, 1:] += 1
    differs = np.abs(beat_logits(params, changed) - beat_logits(params, features)).max(1) > 0
    assert differs.tolist() == [False, False, True, True, True, True, True, False, False]


def test_jax_and_numpy_give_the_same_logits():
    params, features = random_params(), np.stack([events(30), events(30)])
    np.testing.assert_allclose(
        beat_logits(params, features),
        beat_logits({name: jnp.asarray(value) for name, value in params.items()}, jnp.asarray(features), jnp),
        atol=1e-4,
    )


def test_lags_with_an_event_are_marked():
    features = event_features(make_notes(np.arange(8) * 0.6, np.arange(8) * 0.6 + 0.5, 60))
    assert features.shape == (8, NUM_FEATURES)
    before, after, usual, _ = np.split(features[:, -4 * len(LAG_SECONDS) :], 4, axis=1)
    lag = int(np.abs(LAG_SECONDS - 0.6).argmin())
    assert before[0].max() == 0 and after[7].max() == 0
    assert after[3, lag] > 0 and before[3, lag] > 0
    assert after[3, int(np.abs(LAG_SECONDS - 0.85).argmin())] == 0
    assert after[3, lag + 1 : lag + 5].max() == before[3, lag + 1 : lag + 5].max() == 0
    assert usual[4, lag] == usual[4].max()


def test_pitches_that_come_again_are_marked_at_their_lag():
    start = np.arange(24) * 0.5
    features = event_features(make_notes(start, start + 0.4, np.tile([48, 60, 64], 8)))
    again = features[:, -len(LAG_SECONDS) :]
    assert np.abs(LAG_SECONDS - 1.5).argmin() in np.flatnonzero(again[12] == again[12].max())


def test_the_metre_is_heard_with_a_probability_and_less_in_few_notes():
    notes = play(scale(), 110)
    _, _, bars = detect_beats(notes, 3000)
    assert np.exp(np.array([bars[size] for size in (2, 3, 4)]) / METRE_WEIGHT).sum() == pytest.approx(1)
    _, _, of_one = detect_beats(notes[:1], 200)
    assert min(of_one.values()) > -1


def test_the_shipped_network_hears_beats_at_events_only():
    notes = play(scale(), 110)
    beat, downbeat, _ = detect_beats(notes, 2000)
    assert beat.shape == downbeat.shape == (2000,)
    quiet = np.ones(2000, bool)
    frames = np.rint(notes["start"] * 50).astype(int)
    for offset in (-1, 0, 1):
        quiet[frames + offset] = False
    assert np.unique(beat[quiet]) == pytest.approx(0.03)
    assert beat[frames].mean() > 0.5


def test_the_shipped_weights_are_small_and_fit():
    params = shipped_params()
    assert sum(value.size for value in params.values()) < 200_000
    assert params["input"].shape[0] == NUM_FEATURES
    assert params["mix"].shape[:2] == (len(DILATIONS), len(TAPS))
    assert params["head"].shape[1] == 2 + len(METRES)
