"""Log-frequency spectra: where tones and impulses lie in them, and which sizes are refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.audio.logfrequency import (
    BINS_PER_SEMITONE,
    DETUNINGS,
    IN_TUNE,
    MARGIN_BINS,
    SpectraConfig,
    compute_spectra,
    make_filter_bank,
)

CONFIG = SpectraConfig()
RAW = dataclasses.replace(CONFIG, offset=0.0, scale=1.0)
HOP = CONFIG.hop_samples
FRAMES = 32
MIDDLE = FRAMES // 2


@pytest.fixture(scope="module")
def bank():
    return make_filter_bank(CONFIG)


compiled_spectra = jax.jit(compute_spectra, static_argnames="config")


def spectra_of(samples, bank, config=CONFIG, detuning=None):
    """Of samples [B, N], eight rows at a time, so that each length is compiled once."""
    batches = range(0, len(samples), 8)
    padded = np.pad(samples, ((0, -len(samples) % 8), (0, 0)))
    if detuning is not None:
        detuning = np.pad(detuning, (0, -len(samples) % 8))
    parts = [
        compiled_spectra(
            padded[i : i + 8], bank, config=config, detuning=None if detuning is None else detuning[i : i + 8]
        )
        for i in batches
    ]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[: len(samples)], *parts)


@pytest.fixture(scope="module")
def read(bank):
    """The spectra of samples [B, N] with one of the bank's detunings, or with one each."""

    def spectra(samples, detuning=IN_TUNE):
        return spectra_of(samples, bank, detuning=np.broadcast_to(np.int32(detuning), len(samples)))

    return spectra


@pytest.fixture(scope="module")
def read_plainly():
    """The spectra of samples [B, N] through filters of one detuning."""
    return functools.partial(spectra_of, bank=make_filter_bank(CONFIG, (0,)))


def sines(pitches, cents=0.0, amplitude=0.5):
    """A tone each, MIDI pitches, so many cents too high: float32 [B, N]."""
    seconds = np.arange(FRAMES * HOP) / CONFIG.sample_rate
    hz = 440 * 2 ** ((np.array(pitches) + cents / 100 - 69) / 12)
    return (amplitude * np.sin(2 * np.pi * hz[:, None] * seconds)).astype(np.float32)


def noise(frames, batch=1, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (batch, frames * HOP)).astype(np.float32)


def middle_bins(pitches):
    """The bin on each pitch: the middle one of its row."""
    return MARGIN_BINS + BINS_PER_SEMITONE * (np.array(pitches) - 21) + 1


def loudest_bins(spectra):
    """int [B, 2]: the loudest bin of a frame in the middle, by long and by short windows."""
    return np.asarray(spectra.pitch[:, MIDDLE]).argmax(axis=1)


def test_a_tone_is_loudest_in_the_middle_bin_of_its_row(read_plainly):
    pitches = (57, 69, 76, 88, 100, 108, 118)
    found = loudest_bins(read_plainly(sines(pitches)))
    np.testing.assert_array_equal(found[:, 0], middle_bins(pitches))
    np.testing.assert_array_equal(found[:, 1], middle_bins(pitches))


def test_long_windows_tell_low_semitones_apart_where_short_ones_do_not(read):
    pitches = (40, 45, 50, 55)  # from 82 Hz; the short windows' bins lie 16 Hz apart
    found = loudest_bins(read(sines(pitches)))
    assert np.abs(found[:, 0] - middle_bins(pitches)).max() <= 1


def test_a_semitone_up_is_three_bins_up(read):
    found = loudest_bins(read(sines(range(66, 109))))
    np.testing.assert_array_equal(np.diff(found, axis=0), 3)


@pytest.mark.parametrize("cents", [-32, 32])
def test_a_detuned_tone_reads_as_if_in_tune_through_filters_that_are_as_detuned(read, cents):
    pitches = (69, 76, 81, 93, 105)  # lower, short windows are a bin off: theirs lie 16 Hz apart
    in_tune, detuned = read(sines(pitches)), read(sines(pitches, cents), DETUNINGS.index(cents))
    np.testing.assert_array_equal(loudest_bins(detuned)[:, 0], middle_bins(pitches))
    np.testing.assert_array_equal(loudest_bins(detuned)[:, 1], middle_bins(pitches))
    rows = np.arange(len(pitches))
    peaks = [np.asarray(x.pitch)[rows, MIDDLE, middle_bins(pitches)] for x in (in_tune, detuned)]
    # Where a tone lies between two bins of the transform moves its peak by up to 0.06 (1.3 dB).
    np.testing.assert_allclose(peaks[1], peaks[0], atol=0.08)
    # 32 cents are a bin; without the filters the tone would lie in the next one.
    np.testing.assert_array_equal(
        loudest_bins(read(sines(pitches, cents)))[:, 0], middle_bins(pitches) + np.sign(cents)
    )


def test_each_segment_is_read_with_its_own_detuning(read, read_plainly):
    samples, detuning = noise(FRAMES, batch=3), np.array([5, 0, 3], np.int32)
    together = read(samples, detuning)
    for row in range(3):
        alone = read(samples[row : row + 1], detuning[row])
        np.testing.assert_allclose(together.pitch[row], alone.pitch[0], atol=1e-4)
        np.testing.assert_allclose(together.drums[row], alone.drums[0], atol=1e-4)
    in_tune = read_plainly(samples)
    np.testing.assert_allclose(together.pitch[2], in_tune.pitch[2], atol=1e-4)


def test_an_impulse_is_loudest_in_the_frame_that_it_is_the_centre_of(read):
    frames, drum_frames = (3, 16, 30), (5, 20, 63)
    samples = np.zeros((6, FRAMES * HOP), np.float32)
    for row, frame in enumerate(frames):
        samples[row, frame * HOP + HOP // 2] = 1
    for row, frame in enumerate(drum_frames):
        samples[3 + row, frame * HOP // 2 + HOP // 4] = 1
    spectra = read(samples)
    for row, frame in enumerate(frames):
        assert (np.asarray(spectra.pitch[row]).argmax(axis=0) == frame).all()
    for row, frame in enumerate(drum_frames):
        assert (np.asarray(spectra.drums[3 + row]).argmax(axis=0) == frame).all()


def test_drums_have_two_frames_for_each_pitch_frame(read):
    spectra = read(noise(FRAMES, batch=2))
    assert spectra.pitch.shape == (2, FRAMES, CONFIG.num_bins, 2) == (2, FRAMES, 300, 2)
    assert spectra.drums.shape == (2, 2 * FRAMES, 72)
    assert spectra.pitch.dtype == spectra.drums.dtype == jnp.float32
    assert CONFIG.frames_per_second == 62.5


def test_ten_times_the_amplitude_adds_a_scaled_logarithm(read):
    loud, quiet = (np.asarray(read(sines((69,), amplitude=a)).pitch[0, MIDDLE]).max(0) for a in (0.5, 0.05))
    np.testing.assert_allclose(loud - quiet, 0.4 * np.log(10), atol=1e-3)


def test_logarithms_are_shifted_then_scaled(read_plainly):
    samples = noise(FRAMES)
    plain, scaled = read_plainly(samples, config=RAW), read_plainly(samples)
    np.testing.assert_allclose(scaled.pitch, (plain.pitch + 8) * 0.4, atol=1e-5)
    np.testing.assert_allclose(scaled.drums, (plain.drums + 8) * 0.4, atol=1e-5)


def test_a_full_scale_tone_on_a_bin_of_the_transform_has_a_magnitude_of_nearly_one(read_plainly):
    seconds = np.arange(FRAMES * HOP) / CONFIG.sample_rate
    tone = np.sin(2 * np.pi * 250 * seconds)[None].astype(np.float32)  # bin 64 of 4,096 samples
    peak = read_plainly(tone, config=RAW).pitch[0, MIDDLE, :, 0].max()
    assert -1.0 < peak < 0.0  # less than 1, as a triangle averages over two bins and more


def test_silence_is_the_floor_and_its_gradient_is_finite():
    bank = make_filter_bank(CONFIG, (0,))

    @jax.jit
    @functools.partial(jax.grad, has_aux=True)
    def gradient_and_spectra(samples):
        spectra = compute_spectra(samples, bank, CONFIG)
        return jnp.sum(spectra.pitch) + jnp.sum(spectra.drums), spectra

    gradient, spectra = gradient_and_spectra(jnp.zeros((1, 4 * HOP)))
    floor = (np.log(1e-5) + 8) * 0.4
    np.testing.assert_allclose(spectra.pitch, np.full(spectra.pitch.shape, floor), atol=0.01)
    np.testing.assert_allclose(spectra.drums, np.full(spectra.drums.shape, floor), atol=0.01)
    assert np.isfinite(gradient).all()


def test_the_length_of_a_segment_does_not_change_its_inner_frames(read_plainly):
    samples = noise(48)
    whole, part = read_plainly(samples), read_plainly(samples[:, 8 * HOP : 40 * HOP])
    # The longest window reads eight hops either way.
    np.testing.assert_allclose(part.pitch[:, 8:24], whole.pitch[:, 16:32], atol=1e-4)
    np.testing.assert_allclose(part.drums[:, 2:-2], whole.drums[:, 18:78], atol=1e-4)
    assert np.abs(part.pitch[:, 0] - whole.pitch[:, 8]).max() > 0.1


def test_filters_of_all_detunings_average_or_read_nothing(bank):
    for name, filters in bank._asdict().items():
        assert filters.dtype == np.float32 and np.isfinite(filters).all() and (filters >= 0).all(), name
    for sums in (bank.pitch_short.sum(axis=1), bank.drums.sum(axis=0)):
        assert np.all(np.isclose(sums, 1, atol=1e-5) | (sums == 0))
    assert (bank.drums.sum(axis=0) > 0.9).all()
    assert (bank.pitch_short[IN_TUNE].sum(axis=0) > 0.9).all()
    # Below 400 Hz the long window reads, above it the middle one: each bin is read by one of them.
    low = bank.pitch_long.shape[2]
    np.testing.assert_allclose(bank.pitch_long.sum(axis=1), np.ones((len(DETUNINGS), low)), atol=1e-5)
    assert bank.pitch_middle.shape[2] == CONFIG.num_bins - low
    assert (bank.pitch_middle[IN_TUNE].sum(axis=0) > 0.9).all()


def test_low_bins_are_those_of_a_fourier_transform_of_long_windows(read, bank):
    rng = np.random.default_rng(5)
    time = np.arange(FRAMES * HOP) / CONFIG.sample_rate
    # A loud tone far above must not leak into the low bins.
    samples = np.stack([0.3 * rng.standard_normal(len(time)), np.sin(2 * np.pi * 3000 * time)])
    padded = np.pad(samples, ((0, 0), (2048 - HOP // 2, 2048 - HOP // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 4096, axis=1)[:, ::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(4096) / 4096)
    filters = bank.pitch_long[IN_TUNE]
    spectrum = np.fft.rfft(windows * hann * 2 / hann.sum())[..., : len(filters)]
    magnitudes = np.sqrt(np.abs(spectrum) ** 2 + 1e-14)
    expected = (np.log(magnitudes @ filters + CONFIG.log_floor) + CONFIG.offset) * CONFIG.scale
    found = read(samples.astype(np.float32)).pitch[..., : filters.shape[1], 0]
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_samples": 255}, "hop_samples is 255; it must be even"),
        ({"hop_samples": 0}, "hop_samples is 0; it must be even, from 2 to 512"),
        ({"hop_samples": 1024}, "hop_samples is 1024; it must be even, from 2 to 512"),
        ({"hop_samples": 96}, "hop_samples is 96; it must divide 1024"),
        ({"rows": 87}, "rows is 87; it must be from 88 to 98"),
        ({"rows": 99}, "rows is 99; it must be from 88 to 98"),
        ({"drum_bands": 3}, "drum_bands is 3; it must be at least 4"),
        ({"log_floor": 0.0}, "log_floor is 0.0; it must be positive"),
        ({"log_floor": float("nan")}, "log_floor is nan; it must be positive"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SpectraConfig(**change)


def test_samples_that_do_not_fill_frames_are_refused(bank):
    with pytest.raises(ValueError, match="segments have 1000 samples; it must be a multiple of 256"):
        compute_spectra(np.zeros((1, 1000), np.float32), bank, CONFIG)
