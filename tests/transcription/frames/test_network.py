"""Onset candidates by hand, and the whole network on segments."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.audio.logfrequency import make_filter_bank
from mt3x.checkpoints import count_parameters
from mt3x.model.trunk import DRUM_KEYS
from mt3x.transcription.frames.network import (
    LEAST_LOGIT,
    detect,
    find_candidates,
    fresh_params,
    peak_moments,
    peaks,
)


def roll_of(*cells, frames=20, background=-30.0):
    """Logits [1, F, 88] from (frame, row, logit)."""
    roll = np.full((1, frames, 88), background, np.float32)
    for frame, row, logit in cells:
        roll[0, frame, row] = logit
    return jnp.asarray(roll)


def logit(probability):
    return float(np.log(probability / (1 - probability)))


def candidates_of(roll, count=5):
    """(row, onset, logit) of each candidate, the likeliest first."""
    found = find_candidates(roll, count)
    assert found.row.dtype == jnp.int32 and found.onset.dtype == found.logit.dtype == jnp.float32
    assert found.onset.shape == found.row.shape == found.logit.shape == (len(roll), count)
    assert np.isfinite(found.onset).all()
    columns = (found.row, found.onset, found.logit, found.is_candidate)
    values = zip(*(column[0].tolist() for column in columns), strict=True)
    return [tuple(rest) for *rest, is_candidate in values if is_candidate]


def test_candidates_are_the_likeliest_peaks_first():
    roll = roll_of((4, 40, 0.0), (5, 40, 2.0), (6, 40, 0.0), (12, 3, -1.0), (9, 87, 3.0), (0, 0, -2.0))
    found = candidates_of(roll)
    assert [row for row, _, _ in found] == [87, 40, 3, 0]
    assert [logit for _, _, logit in found] == [3.0, 2.0, -1.0, -2.0]
    # The centre of frame f lies at f + 0.5; what is as likely before as after leaves it there.
    assert [onset for _, onset, _ in found] == pytest.approx([9.5, 5.5, 12.5, 0.5])
    assert candidates_of(roll, count=2) == found[:2]


def test_unlikely_peaks_are_no_candidates():
    assert candidates_of(roll_of((5, 40, LEAST_LOGIT), (9, 41, LEAST_LOGIT - 1))) == []
    assert len(candidates_of(roll_of((5, 40, LEAST_LOGIT + 0.01)))) == 1


@pytest.mark.parametrize("background", [-5.0, -30.0, -200.0, -np.inf])
def test_an_empty_roll_has_no_candidates_and_finite_onsets(background):
    assert candidates_of(roll_of(background=background)) == []


def test_within_reach_only_the_highest_is_a_peak():
    near = roll_of((5, 40, 1.0), (7, 40, 2.0), (8, 41, 1.0))
    assert [(row, logit) for row, _, logit in candidates_of(near)] == [(40, 2.0), (41, 1.0)]
    far = roll_of((5, 40, 1.0), (8, 40, 2.0))
    assert [(row, logit) for row, _, logit in candidates_of(far)] == [(40, 2.0), (40, 1.0)]


def test_of_equal_ones_the_first_is_the_peak():
    is_peak = peaks(roll_of((5, 40, 1.0), (6, 40, 1.0), (7, 40, 1.0)))
    assert np.argwhere(np.asarray(is_peak[0, 1:, 40])).ravel().tolist() == [4]


def moment(probabilities, peak):
    """The moment of a peak at a frame of one row, whose first frames have these probabilities."""
    roll = roll_of(*((frame, 7, logit(p)) for frame, p in enumerate(probabilities)))
    return float(peak_moments(roll, jnp.array([[peak]]), jnp.array([[7]]))[0, 0])


def test_peaks_lie_between_frames_where_both_are_likely():
    # (3.5 + 4.5) / 2, and 0.75 * 3.5 + 0.25 * 4.5.
    assert moment([0.001, 0.001, 0.001, 0.9, 0.9, 0.001, 0.001], 3) == pytest.approx(4.0, abs=0.01)
    assert moment([1e-6, 1e-6, 1e-6, 0.75, 0.25, 1e-6], 3) == pytest.approx(3.75, abs=1e-3)
    # Frames 0 to 4 are read, those before the segment are not.
    assert moment([0.6, 0.3], 0) == pytest.approx((0.6 * 0.5 + 0.3 * 1.5) / 0.9, abs=1e-3)


@pytest.mark.parametrize("onset", [8.0, 8.25, 8.5, 8.9])
def test_the_moment_of_a_learned_peak_is_its_onset_to_a_fraction_of_a_frame(onset):
    """The loss teaches 1.25 less the distance in units of two frames, from 0 to 1."""
    frames = np.arange(20) + 0.5
    probabilities = np.clip(1.25 - np.abs(frames - onset) / 2.0, 1e-6, 1 - 1e-6)
    assert moment(probabilities, int(np.argmax(probabilities))) == pytest.approx(onset, abs=0.15)


def test_each_segment_has_candidates_of_its_own():
    roll = jnp.concatenate([roll_of((5, 40, 2.0)), roll_of((6, 41, 1.0)), roll_of()])
    found = find_candidates(roll, 3)
    assert found.is_candidate.tolist() == [[True, False, False], [True, False, False], [False] * 3]
    assert found.row[:2, 0].tolist() == [40, 41]


@pytest.fixture(scope="module")
def make_params(tiny_config):
    """To be called with keys of "rbg": its draws are one operation each, which compiles quickly."""
    return jax.jit(functools.partial(fresh_params, tiny_config))


@pytest.fixture(scope="module")
def params(make_params):
    """Parameters that find onsets in many places."""
    fresh = make_params(jax.random.key(0, impl="rbg"))
    bias = fresh["trunk"]["onset"]["bias"]
    return {**fresh, "trunk": {**fresh["trunk"], "onset": {**fresh["trunk"]["onset"], "bias": bias + 4.0}}}


@pytest.fixture(scope="module")
def run(tiny_config, params):
    bank = make_filter_bank(tiny_config.spectra, (0,))
    compiled = jax.jit(functools.partial(detect, tiny_config))
    return lambda samples: jax.tree.map(np.asarray, compiled(params, bank, samples))


def test_everything_that_is_detected_has_its_shape_and_is_finite(run, tiny_batch):
    found = run(tiny_batch["samples"])
    assert found.features.shape == (2, 8, 88, 10)
    assert found.rolls.onset.shape == found.rolls.active.shape == found.rolls.offset.shape == (2, 16, 88)
    assert found.rolls.cents.shape == (2, 8, 88)
    assert found.drums.shape == (2, 32, len(DRUM_KEYS))
    assert found.candidates.onset.shape == found.classified.is_note.shape == (2, 6)
    assert found.classified.programs.shape == (2, 6, 128) and found.classified.velocity.shape == (2, 6)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert (found.candidates.logit > LEAST_LOGIT).all()


def test_a_segment_of_a_batch_is_detected_as_alone(run, tiny_batch):
    both = run(tiny_batch["samples"])
    swapped = run(tiny_batch["samples"][::-1].copy())
    # Sums in another order; cents go up to 100.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[::-1], atol=1e-3), both, swapped)


def test_a_key_gives_the_same_parameters_again(make_params):
    first, again, other = (make_params(jax.random.key(seed, impl="rbg")) for seed in (0, 0, 1))
    assert set(first) == {"trunk", "drums", "note_head", "program_reader"}
    assert jax.tree.all(jax.tree.map(np.array_equal, first, again))
    assert not np.array_equal(first["trunk"]["embed"]["kernel"], other["trunk"]["embed"]["kernel"])
    assert count_parameters({"a": np.zeros((2, 3)), "b": {"c": np.zeros(4)}}) == 10
