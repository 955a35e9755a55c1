"""Patches of overtones, on tones whose overtones are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig, hertz_of_columns, log_mel
from mt3x.audio.overtones import MOMENTS, MULTIPLES, PATCH_SHAPE, overtone_patches

CONFIG = SpectrogramConfig(hop_width=256, log_floor=1e-5)


def patch_of(samples, onset, pitch, num_frames=125):
    frames = log_mel(jnp.asarray(samples, jnp.float32)[None], jnp.array([num_frames]), CONFIG)
    patches = overtone_patches(
        frames, jnp.array([num_frames]), jnp.array([[onset]]), jnp.array([[pitch]]), CONFIG
    )
    return np.asarray(patches)[0, 0]


def tone(hertz, overtones, onset=0.5):
    seconds = np.arange(32000) / 16000
    waves = sum(np.sin(2 * np.pi * hertz * multiple * seconds) for multiple in overtones)
    return 0.1 * waves * (seconds >= onset)


@pytest.mark.parametrize("pitch", [48, 60, 71])
def test_a_patch_is_loud_where_and_when_the_overtones_are(pitch):
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    samples = tone(hertz, (1, 3), onset=0.8)  # the last moment is 0.95 s
    patch = patch_of(samples, 0.5, pitch).reshape(len(MOMENTS), len(MULTIPLES), 3)[:, :, 1]
    loudness = dict(zip(MULTIPLES, patch[-1], strict=True))
    assert min(loudness[1], loudness[3]) > 2 + max(loudness[2], loudness[4], loudness[1.5])
    assert patch[-1, 1] > 5 + patch[0, 1]


def test_patches_of_an_instrument_hardly_depend_on_the_pitch():
    low, high = (
        patch_of(tone(440 * 2 ** ((pitch - 69) / 12), (1, 2, 3, 5)), 0.5, pitch)[8:, :45]
        for pitch in (60, 63)
    )
    other = patch_of(tone(440 * 2 ** ((60 - 69) / 12), (1, 4, 6, 7)), 0.5, 60)[8:, :45]
    assert np.abs(low - high).mean() < 0.5 * np.abs(low - other).mean()


def test_loudness_does_not_matter():
    samples = tone(440, (1, 2))
    assert patch_of(samples, 0.5, 69)[10] == pytest.approx(patch_of(0.5 * samples, 0.5, 69)[10], abs=0.7)


def test_what_lies_outside_the_segment_or_the_mel_scale_is_zero():
    samples = np.random.default_rng(0).normal(0, 0.1, 32000)
    patch = patch_of(samples, 0.0, 120, num_frames=10)
    inside = (np.array(MOMENTS) > -1e-9) & (np.array(MOMENTS) < 10 * 0.016 - 1e-9)
    assert not patch[~inside].any()
    assert patch[inside][:, :3].all()
    assert not patch[:, 3 * MULTIPLES.index(2) :].any()  # twice 8.4 kHz
    assert patch[inside].mean() == pytest.approx(0, abs=0.5)
    assert patch.shape == PATCH_SHAPE


def test_columns_are_where_a_sine_is_loudest():
    for hertz in (220.0, 1000.0, 5000.0):
        seconds = np.arange(32000) / 16000
        frames = log_mel(jnp.asarray(np.sin(2 * np.pi * hertz * seconds))[None], jnp.array([125]), CONFIG)
        nearest = np.abs(hertz_of_columns(CONFIG) - hertz).argmin()
        assert abs(int(np.asarray(frames)[0, 60].argmax()) - nearest) <= 1
