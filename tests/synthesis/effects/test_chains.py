import numpy as np
import pytest
import scipy

from mt3x.synthesis.effects import chains as effects
from mt3x.synthesis.effects import filters, levels

RATE = 16000
EFFECTS = [
    effects.amplifier,
    effects.chorus,
    effects.clipping,
    effects.codec,
    effects.compressor,
    effects.delay,
    effects.double_track,
    effects.equaliser,
    effects.fold_stereo,
    effects.limiter,
    effects.noise,
    effects.phone_microphone,
    effects.room,
    effects.rotor,
    effects.tape,
    effects.telephone,
    effects.tremolo,
    effects.to_file,
]


def pluck_at(first: int, length: int = 20000) -> np.ndarray:
    """Decaying noise from sample `first` on: float32 [length]."""
    samples = np.zeros(length, np.float32)
    rng = np.random.default_rng(1)
    samples[first:] = 0.3 * rng.standard_normal(length - first) * np.exp(-np.arange(length - first) / 4000)
    return samples


def lag_of(changed: np.ndarray, original: np.ndarray) -> int:
    """Samples by which one is later than the other, by their cross-correlation."""
    correlation = scipy.signal.correlate(changed, original, method="fft")
    return int(np.argmax(np.abs(correlation))) - (len(original) - 1)


@pytest.mark.parametrize("effect", EFFECTS)
def test_onset_length_and_dtype_stay(effect):
    samples = pluck_at(5000)
    for seed in range(4):
        changed = effect(np.random.default_rng(seed), samples, RATE)
        assert changed.shape == samples.shape and changed.dtype == np.float32
        assert np.isfinite(changed).all()
        assert abs(lag_of(changed, samples)) <= 0.001 * RATE


@pytest.mark.parametrize("program", range(128))
def test_part_keeps_its_onset_under_every_program(program):
    samples = pluck_at(5000)
    changed = effects.through_effects(np.random.default_rng(program), samples, RATE, program)
    assert changed.shape == samples.shape and changed.dtype == np.float32
    assert abs(lag_of(changed, samples)) <= 0.001 * RATE


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("length", [1, 2, 63, 20000])
def test_silence_stays_finite(effect, length):
    silence = np.zeros(length, np.float32)
    changed = effect(np.random.default_rng(0), silence, RATE)
    assert changed.shape == (length,) and np.isfinite(changed).all()


def test_no_samples_stay_none():
    nothing = np.zeros(0, np.float32)
    assert len(effects.to_file(np.random.default_rng(0), nothing, RATE)) == 0
    assert len(effects.through_effects(np.random.default_rng(0), nothing, RATE, 0)) == 0


@pytest.mark.parametrize("effect", EFFECTS)
def test_effect_is_the_same_for_a_seed(effect):
    samples = pluck_at(100)
    first, second = (effect(np.random.default_rng(3), samples, RATE) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_file_has_a_peak_within_minus_20_to_0_dbfs():
    for seed in range(30):
        peak = levels.peak(effects.to_file(np.random.default_rng(seed), pluck_at(100, 8000), RATE))
        assert 0.0999 <= peak <= 1.0


def test_amplifier_restores_the_level_of_its_input():
    samples = pluck_at(1000)
    loud = effects.lead_amplifier(np.random.default_rng(0), samples, RATE)
    assert levels.rms(loud) == pytest.approx(levels.rms(samples), rel=1e-3)


def test_minimum_phase_filter_has_the_gain_asked_for_and_no_sound_before_the_onset():
    gain_db = filters.peaks_db(
        np.linspace(0, RATE / 2, 513), np.array([1000.0]), np.array([0.5]), np.array([12.0])
    )
    impulse = np.zeros(4096, np.float32)
    impulse[100] = 1
    response = filters.minimum_phase(impulse, gain_db)
    assert np.abs(response[:100]).max() < 1e-4
    measured_db = 20 * np.log10(np.abs(np.fft.rfft(response)))[:: 2048 // 512]
    np.testing.assert_allclose(measured_db, gain_db, atol=0.1)


def test_room_is_silent_at_lag_zero_and_has_an_energy_of_one():
    response = filters.room_response(np.random.default_rng(0), RATE, 0.4)
    assert response[0] == 0
    assert np.linalg.norm(response) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("rate", [0, 7999])
def test_low_sample_rate_is_refused(rate):
    with pytest.raises(ValueError, match=f"sample_rate is {rate} Hz; it must be at least 8000"):
        effects.to_file(np.random.default_rng(0), pluck_at(0, 100), rate)


def test_stereo_is_refused():
    with pytest.raises(ValueError, match=r"shape \[2, 100\]; they must be mono"):
        effects.to_file(np.random.default_rng(0), np.zeros((2, 100), np.float32), RATE)


def test_nan_is_refused():
    samples = pluck_at(0, 100)
    samples[7] = np.nan
    with pytest.raises(ValueError, match="sample 7 is nan; samples must be finite"):
        effects.through_effects(np.random.default_rng(0), samples, RATE, 0)


@pytest.mark.parametrize("program", [-1, 128])
def test_program_out_of_range_is_refused(program):
    with pytest.raises(ValueError, match=f"program is {program}; it must be within 0..127"):
        effects.through_effects(np.random.default_rng(0), pluck_at(0, 100), RATE, program)
