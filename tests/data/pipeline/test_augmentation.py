"""Rooms, equalisers, noise and gain: each by itself, with the others off."""

import jax
import numpy as np
import pytest

from mt3x.data.pipeline.augmentation import AugmentationConfig, augment, make_prepare

RATE = 8000
LEAD, LENGTH = 1200, 4000
OFF = {"room_probability": 0.0, "equaliser_db": 0.0, "noise_probability": 0.0, "gain_db": (0.0, 0.0)}


def play(samples, seed=0, **settings):
    """What `augment` makes of samples [B, L + N], with everything off that is not named."""
    config = AugmentationConfig(**{**OFF, "room_seconds": 0.2, **settings})
    return np.array(augment(jax.random.key(seed), samples, LENGTH, RATE, config))


@pytest.fixture(scope="module")
def music():
    return np.random.default_rng(0).standard_normal((3, LEAD + LENGTH)).astype(np.float32) * 0.1


def rms(samples):
    return np.sqrt(np.mean(samples**2, axis=-1))


def test_with_everything_off_the_segment_comes_back(music):
    assert np.allclose(play(music), music[:, LEAD:], atol=1e-6)


def test_the_same_key_gives_the_same_audio_and_another_key_another(music):
    everything = {
        "room_probability": 1.0,
        "equaliser_db": 5.0,
        "noise_probability": 1.0,
        "gain_db": (-24.0, 6.0),
    }
    first, again, other = (play(music, seed, **everything) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-3)
    gains = rms(first) / rms(music[:, LEAD:])
    assert len(np.unique(gains.round(3))) == 3  # each example is drawn for itself
    assert first.shape == (3, LENGTH) and first.dtype == np.float32


def test_the_gain_is_within_its_range(music):
    decibels = 20 * np.log10(rms(play(music, gain_db=(-20.0, -10.0))) / rms(music[:, LEAD:]))
    assert ((decibels > -20.01) & (decibels < -9.99)).all()
    assert np.allclose(play(music, gain_db=(6.0, 6.0)), 10 ** (6 / 20) * music[:, LEAD:], atol=1e-5)


def test_noise_lies_under_the_audio_by_the_stated_ratio(music):
    noise = play(music, noise_probability=1.0, noise_snr_db=(20.0, 20.0)) - music[:, LEAD:]
    assert np.allclose(rms(noise), 0.1 * rms(music[:, LEAD:]), rtol=1e-3)
    assert abs(np.corrcoef(noise)[0, 1]) < 0.1  # each example's own


def test_silence_gets_noise_too_but_little():
    noise = play(np.zeros((1, LEAD + LENGTH), np.float32), noise_probability=1.0, noise_snr_db=(20.0, 20.0))
    assert rms(noise) == pytest.approx(1e-4, rel=1e-3)


def test_the_lead_in_reverberates_into_the_segment():
    click = np.zeros((2, LEAD + LENGTH), np.float32)
    click[:, LEAD - 100] = 1.0
    settings = {"room_decay_seconds": (0.5, 0.5), "room_direct_to_reverberant_db": (0.0, 0.0)}
    assert np.abs(play(click)).max() < 1e-6
    heard = play(click, room_probability=1.0, **settings)
    early, late = heard[:, :700], heard[:, 800:1500]
    assert (rms(early) > 0.01).all()
    assert (rms(late) < 0.5 * rms(early)).all()  # it decays
    assert np.abs(heard[:, 1600:]).max() < 1e-6  # cut off room_seconds after the click; nothing wraps around


def test_a_room_adds_the_stated_share_to_the_direct_sound():
    click = np.zeros((1, LEAD + LENGTH), np.float32)
    click[:, LEAD + 10] = 1.0
    settings = {"room_decay_seconds": (0.3, 0.3), "room_direct_to_reverberant_db": (10.0, 10.0)}
    heard = play(click, room_probability=1.0, **settings)[0]
    assert np.abs(heard[:10]).max() < 1e-6
    heard[10] -= 1.0
    assert np.sum(heard**2) == pytest.approx(0.1, rel=1e-3)


def test_the_equaliser_boosts_and_cuts_within_its_range_and_smoothly():
    click = np.zeros((4, LEAD + LENGTH), np.float32)
    click[:, LEAD + LENGTH // 2] = 1.0
    response = 20 * np.log10(np.abs(np.fft.rfft(play(click, equaliser_db=5.0))))
    assert np.abs(response).max() < 20.1  # four cosines of 5 dB
    assert np.ptp(response, axis=1).min() > 1
    assert np.abs(np.diff(response[:, 200:])).max() < 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"room_probability": 1.5}, "room_probability is 1.5; it must be within 0..1"),
        ({"noise_probability": -0.1}, "noise_probability is -0.1; it must be within 0..1"),
        ({"gain_db": (6.0, -24.0)}, r"gain_db is \(6.0, -24.0\); give the lower end first"),
        ({"noise_snr_db": (6.0, 5.0)}, "noise_snr_db is .*; give the lower end first"),
        ({"room_decay_seconds": (0.0, 1.0)}, r"room_decay_seconds is \(0.0, 1.0\); it must be positive"),
        ({"room_seconds": 0.0}, "room_seconds is 0.0; it must be positive"),
        ({"equaliser_db": -1.0}, "equaliser_db is -1.0; it must be at least 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AugmentationConfig(**settings)


def test_the_lead_in_is_cut_off_or_lets_rooms_sound():
    batch = {"samples": jax.numpy.asarray(np.random.default_rng(0).normal(size=(2, 1536)).astype(np.float32))}
    plain = make_prepare(1024, 16_000)(jax.random.key(0), batch, None)
    assert np.array_equal(plain, batch["samples"][:, 512:])
    augmented = make_prepare(1024, 16_000, AugmentationConfig())(jax.random.key(0), batch, None)
    assert augmented.shape == (2, 1024) and not np.allclose(augmented, plain)
