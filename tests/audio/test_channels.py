"""Channels are averaged, and where they cancel each other something better takes the average's place."""

import numpy as np
import pytest

from mt3x.audio.channels import Mixer, average

RATE = 1000
TIMES = np.arange(25 * RATE) / RATE
TONE = np.float32(0.3 * np.sin(2 * np.pi * 50 * TIMES))
NOISE = np.random.default_rng(0).normal(0, 0.1, (3, len(TIMES))).astype(np.float32)


def mixed(*channels):
    mixer = Mixer()
    return mixer.mix(np.stack(channels, axis=1), RATE), mixer.notice()


def test_an_average_worked_by_hand():
    samples = np.float32([[0.5, 0.25, 0.0], [-1.0, 1.0, 0.75]])
    np.testing.assert_array_equal(average(samples), np.float32([0.25, 0.25]))


@pytest.mark.parametrize(
    "channels",
    [
        (TONE, TONE),
        (TONE, 0 * TONE),
        (TONE, NOISE[0]),
        (NOISE[0], NOISE[1], NOISE[2]),
        (TONE + NOISE[0], -0.3 * TONE + NOISE[1]),
        (0 * TONE, 0 * TONE),
        (np.full_like(TONE, 1e-6), np.full_like(TONE, -1e-6)),
        (np.full_like(TONE, np.nan), TONE),
    ],
)
def test_channels_that_do_not_cancel_are_averaged_to_the_last_bit(channels):
    samples, notice = mixed(*channels)
    np.testing.assert_array_equal(samples, average(np.stack(channels, axis=1)))
    assert notice is None


@pytest.mark.parametrize(
    ("channels", "expected", "name"),
    [
        ((TONE, -TONE), TONE, "half their difference"),
        ((TONE + 0.2, -TONE + 0.2), TONE, "half their difference"),  # a constant is no sound
        ((TONE, -0.9 * TONE), 0.95 * TONE, "half their difference"),
        ((-0.6 * TONE, TONE), TONE, "channel 2"),
        ((TONE, -TONE, NOISE[0] / 1000), TONE, "channel 1"),
    ],
)
def test_channels_that_cancel_are_replaced(channels, expected, name):
    samples, notice = mixed(*channels)
    np.testing.assert_allclose(samples, expected, atol=1e-6)
    assert notice == (
        f"the channels cancel each other for 25.0 of 25.0 s, as where one is inverted: {name} took the place "
        "of their average there"
    )


def test_only_the_ten_seconds_that_cancel_are_replaced_and_nothing_jumps():
    other = np.where((TIMES >= 10) & (TIMES < 20), -TONE, TONE)
    samples, notice = mixed(TONE, other)
    fades = np.r_[10000:10010, 20000:20010]
    np.testing.assert_allclose(np.delete(samples, fades), np.delete(TONE, fades), atol=1e-6)
    assert np.abs(np.diff(samples)).max() < 1.2 * np.abs(np.diff(TONE)).max()
    assert notice is not None and "cancel each other for 10.0 of 25.0 s" in notice


def test_one_channel_is_itself_and_follows_any_other_number():
    mixer = Mixer()
    mixer.mix(np.stack([TONE, -TONE], axis=1), RATE)
    np.testing.assert_array_equal(mixer.mix(TONE[:, np.newaxis], RATE), TONE)
    np.testing.assert_allclose(mixer.mix(np.stack([TONE, -TONE], axis=1), RATE), TONE, atol=1e-6)
