"""Composing from bank rows: shifts, releases, gains, and that both ways of reading rows agree."""

from functools import partial

import jax
import numpy as np
import pytest

from mt3x.synthesis import composition
from mt3x.synthesis.composition import compose

SAMPLE_RATE = 16000
N = 2048
L = 1000


@pytest.fixture(scope="module")
def bank():
    return np.random.default_rng(0).integers(-32767, 32768, (5, L), dtype=np.int16)


def one_note(bank, row=0, onset=0.0, duration=9.0, gain=1.0, release=0.1):
    arrays = [np.array([[x]], np.float32) for x in (onset, duration, gain, release)]
    return np.asarray(compose(bank, np.array([[row]], np.int32), *arrays, num_samples=N))[0]


def random_notes(seed, batch=3, places=11):
    rng = np.random.default_rng(seed)
    draw = [(-0.1, 0.15), (0.0, 0.1), (0.1, 1.0), (0.01, 0.1)]
    arrays = [rng.uniform(*limits, (batch, places)).astype(np.float32) for limits in draw]
    return [rng.integers(0, 5, (batch, places), dtype=np.int32), *arrays]


def test_a_note_at_zero_is_its_row(bank):
    audio = one_note(bank, row=3)
    assert audio.shape == (N,) and audio.dtype == np.float32
    np.testing.assert_array_equal(audio[:L], bank[3])
    assert not audio[L:].any()


def test_whole_shifts_move_the_row_both_ways(bank):
    # powers of two keep the shifts exact in float32
    later = one_note(bank, onset=256 / SAMPLE_RATE)
    np.testing.assert_array_equal(later[256 : 256 + L], bank[0])
    assert not later[:256].any() and not later[256 + L :].any()
    earlier = one_note(bank, onset=-256 / SAMPLE_RATE)
    np.testing.assert_array_equal(earlier[: L - 256], bank[0, 256:])
    assert not earlier[L - 256 :].any()


def test_notes_out_of_reach_are_silent(bank):
    for onset in (-L / SAMPLE_RATE, -60.0, N / SAMPLE_RATE, 60.0):
        assert not one_note(bank, onset=onset).any()


def test_a_shift_of_a_quarter_sample_interpolates(bank):
    audio = one_note(bank, onset=-0.25 / SAMPLE_RATE)
    row = bank[0].astype(np.float32)
    np.testing.assert_allclose(audio[: L - 1], 0.75 * row[:-1] + 0.25 * row[1:], atol=0.5)  # of 32767


def test_release_falls_by_60_decibels_in_its_time():
    bank = np.full((1, N), 1000, np.int16)
    audio = one_note(bank, duration=512 / SAMPLE_RATE, release=1024 / SAMPLE_RATE)
    np.testing.assert_array_equal(audio[:513], 1000)
    assert audio[512 + 1024] == pytest.approx(1.0, rel=1e-4)
    assert audio[512 + 512] == pytest.approx(1000 / 10**1.5, rel=1e-4)


def test_a_note_let_go_before_the_segment_continues_its_release():
    bank = np.full((1, N), 1000, np.int16)
    whole = one_note(bank, onset=0.0, duration=256 / SAMPLE_RATE)
    cut = one_note(bank, onset=-512 / SAMPLE_RATE, duration=256 / SAMPLE_RATE)
    np.testing.assert_allclose(cut[: N - 512], whole[512:], rtol=1e-5)


def test_release_of_zero_is_an_immediate_end():
    bank = np.full((1, N), 1000, np.int16)
    audio = one_note(bank, duration=512 / SAMPLE_RATE, release=0.0)
    assert audio[511] == 1000 and np.isfinite(audio).all() and audio[515] < 40


def test_segments_are_sums_of_their_notes(bank):
    notes = random_notes(1)
    together = compose(bank, *notes, num_samples=N)
    rows, onsets, durations, gains, releases = notes
    singly = np.zeros((3, N), np.float32)
    for place in range(11):
        only = gains * (np.arange(11) == place)
        singly += compose(bank, rows, onsets, durations, only.astype(np.float32), releases, num_samples=N)
    np.testing.assert_allclose(together, singly, atol=0.05)  # of sums that reach 100,000
    doubled = compose(bank, rows, onsets, durations, 2 * gains, releases, num_samples=N)
    np.testing.assert_allclose(doubled, 2 * together, atol=0.1)


def test_unused_places_and_order_change_nothing(bank):
    rows, onsets, durations, gains, releases = random_notes(2)
    gains[:, 4:] = 0.0
    releases[:, 4:] = 0.0
    notes = [rows, onsets, durations, gains, releases]
    audio = np.asarray(compose(bank, *notes, num_samples=N))
    assert np.isfinite(audio).all() and audio.any()
    for x in notes:
        x[:, 4:] = x[:, 4:] * 2 + 1 if x is not gains else 0
    np.testing.assert_array_equal(compose(bank, *notes, num_samples=N), audio)
    shuffled = [np.roll(x, 5, axis=1) for x in notes]
    np.testing.assert_allclose(compose(bank, *shuffled, num_samples=N), audio, atol=0.05)


def test_no_notes_are_silence(bank):
    notes = [x * 0 for x in random_notes(3)]
    assert not np.asarray(compose(bank, *notes, num_samples=N)).any()


def test_same_notes_give_the_same_samples(bank):
    notes = random_notes(4)
    np.testing.assert_array_equal(compose(bank, *notes, num_samples=N), compose(bank, *notes, num_samples=N))


def test_one_release_for_all_is_the_same_as_many(bank):
    *notes, releases = random_notes(5)
    np.testing.assert_array_equal(
        compose(bank, *notes, 0.25, num_samples=N),
        compose(bank, *notes, np.full_like(releases, 0.25), num_samples=N),
    )


@pytest.mark.parametrize("num_samples", [700, 3000])  # rows longer and shorter than the segment
def test_the_way_for_gpus_gives_the_same_as_the_way_for_cpus(bank, num_samples):
    notes = random_notes(6)
    steps = {"num_samples": num_samples, "sample_rate": SAMPLE_RATE, "notes_per_step": 8}
    add = partial(composition._add_notes, read=composition._index_windows, **steps)
    indexed = jax.jit(add)(bank, tuple(notes), 11)
    np.testing.assert_allclose(indexed, compose(bank, *notes, num_samples=num_samples), atol=0.05)
