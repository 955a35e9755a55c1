"""Tuning of tones whose detuning is known."""

import numpy as np
import pytest

from mt3x.audio.tuning import LARGEST_CENTS, TuningTracker

RATE = 16000


def tones(cents, seconds=4.0, pitches=(57, 60, 64, 69, 72)):
    """Tones with four harmonics, half a second each, so many cents above 440 Hz's scale."""
    time = np.arange(int(0.5 * RATE)) / RATE
    parts = []
    for index in range(int(seconds / 0.5)):
        hz = 440 * 2 ** ((pitches[index % len(pitches)] - 69 + cents / 100) / 12)
        wave = sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 5))
        parts.append(0.2 * wave * np.exp(-2 * time))
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize("cents", [-45, -30, -8, 0, 8, 32, 45])
def test_a_detuning_is_found_within_three_cents(cents):
    assert TuningTracker(RATE).add(tones(cents)) == pytest.approx(cents, abs=3)


def test_432_hz_is_32_cents_flat():
    assert TuningTracker(RATE).add(tones(1200 * np.log2(432 / 440))) == pytest.approx(-31.8, abs=3)


def test_a_quarter_tone_stays_within_the_largest_correction():
    assert abs(TuningTracker(RATE).add(tones(50))) <= LARGEST_CENTS


def test_noise_glides_and_silence_count_as_in_tune():
    rng = np.random.default_rng(0)
    time = np.arange(4 * RATE) / RATE
    glide = np.sin(2 * np.pi * 200 / np.log(2) * (2**time - 1)).astype(np.float32)
    for samples in (rng.normal(0, 0.1, 4 * RATE).astype(np.float32), glide, np.zeros(4 * RATE, np.float32)):
        assert TuningTracker(RATE).add(samples) == 0.0


def test_a_block_too_short_for_a_window_changes_nothing():
    tracker = TuningTracker(RATE)
    before = tracker.add(tones(20))
    assert tracker.add(tones(-40)[:4000]) == before == tracker.cents


def test_later_blocks_outweigh_earlier_ones_in_time():
    tracker = TuningTracker(RATE)
    tracker.add(tones(-10))
    for _ in range(200):
        tracker.add(tones(10, seconds=0.5))
    assert tracker.cents == pytest.approx(10, abs=3)
