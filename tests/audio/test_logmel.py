"""The front end against MT3's stored spectrograms, and what it promises beyond them."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig, hann_window, log_mel, mel_matrix

GOLDEN = Path(__file__).parents[1] / "golden"
MT3 = SpectrogramConfig()
TRIAL = SpectrogramConfig(hop_width=256, log_floor=1e-5, input_offset=3.0, input_scale=1 / 3)
LONGEST = 32768  # samples; `full_segment`, of which every eighth frame was kept


@pytest.fixture(scope="module")
def spectrograms():
    """What MT3 gave and what we give, by name: (samples [n], expected [F, 512], actual [F, 512])."""
    golden = np.load(GOLDEN / "spectrograms.npz")
    names = sorted({key.split(".")[0] for key in golden})
    samples = {name: golden[f"{name}.samples"] for name in names}
    batch = np.stack([np.pad(samples[name], (0, LONGEST - len(samples[name]))) for name in names])
    num_frames = np.array([-(-len(samples[name]) // 128) for name in names], np.int32)
    outputs = np.asarray(log_mel(batch, num_frames, MT3))
    kept = {name: outputs[i, : num_frames[i] : stride(name)] for i, name in enumerate(names)}
    return {name: (samples[name], golden[f"{name}.logmel"], kept[name]) for name in names}


def stride(name):
    return 8 if name == "full_segment" else 1


def noise(batch, num_samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (batch, num_samples)).astype(np.float32)


def test_log_mel_equals_mt3(spectrograms):
    for name, (samples, expected, actual) in spectrograms.items():
        assert actual.dtype == np.float32 and actual.shape == expected.shape, name
        starts = 128 * stride(name) * np.arange(len(expected))
        frames = np.stack([np.pad(samples, (0, 2048))[start : start + 2048] for start in starts])
        sums = np.abs(frames * hann_window(2048)).sum(axis=1)[:, None]
        # Two float32 round-offs: the triangles' weights (1e-4, see the mel matrix below), relative to the
        # magnitude, and the Fourier transform's, relative to the sum over the frame. What lies 120 dB below
        # a pure tone is round-off on both sides and its logarithm says nothing: so magnitudes are compared.
        error = np.abs(np.exp(actual) - np.exp(expected))
        assert np.all(error <= 2e-4 * np.exp(expected) + 2e-7 * sums), name


def test_logarithms_equal_mt3_where_the_sound_is_not_round_off(spectrograms):
    for name in ("noise", "odd_length", "impulse", "one_hop_exact", "one_sample", "silence", "full_segment"):
        _, expected, actual = spectrograms[name]
        np.testing.assert_allclose(actual, expected, atol=3e-4, rtol=0, err_msg=name)


def test_mel_matrix_and_window_equal_tensorflows():
    golden = np.load(GOLDEN / "mel_matrix.npz")
    weights = mel_matrix(MT3)
    # A last-place difference of 2.4e-4 mel in the logarithm, over triangles 5.5 mel wide, twice: 9.1e-5.
    np.testing.assert_allclose(weights, golden["linear_to_mel"], atol=1e-4, rtol=0)
    assert weights.dtype == np.float32
    assert np.array_equal(weights > 0, golden["linear_to_mel"] > 0)
    np.testing.assert_allclose(hann_window(2048), golden["hann"], atol=6e-8, rtol=0)


def test_two_mel_columns_are_always_empty(spectrograms):
    expected = json.loads((GOLDEN / "audio_to_frames.json").read_text())["zero_mel_columns"]
    assert np.flatnonzero(~mel_matrix(MT3).any(axis=0)).tolist() == expected == [1, 10]
    _, _, output = spectrograms["noise"]
    np.testing.assert_allclose(output[:, [1, 10]], np.log(1e-5), rtol=1e-6)


def test_hann_window_of_four_is_periodic():
    np.testing.assert_allclose(hann_window(4), [0.0, 0.5, 1.0, 0.5], atol=1e-7)


@pytest.mark.parametrize("config", [MT3, TRIAL])
def test_a_batch_equals_its_segments_one_by_one_inside_jit(config):
    samples = noise(3, 32 * config.hop_width)
    num_frames = np.array([32, 7, 0], np.int32)
    batch = jax.jit(lambda s, n: log_mel(s, n, config))(samples, num_frames)
    assert batch.shape == (3, 32, 512) and batch.dtype == jnp.float32
    for row in range(3):
        alone = log_mel(samples[row : row + 1], num_frames[row : row + 1], config)[0]
        np.testing.assert_allclose(batch[row], alone, atol=1e-5, rtol=0)  # sums in another order


def test_a_frame_looks_at_its_own_samples_for_any_hop():
    config = SpectrogramConfig(hop_width=160)
    samples = noise(1, 160 * 40)
    frame = samples[0, 160 * 5 : 160 * 5 + 2048].astype(np.float64) * hann_window(2048)
    expected = np.log(np.abs(np.fft.rfft(frame)) @ np.maximum(mel_matrix(config), 1e-30))
    actual = np.asarray(log_mel(samples, np.array([40]), config)[0, 5])
    filled = mel_matrix(config).any(axis=0)
    np.testing.assert_allclose(actual[filled], expected[filled], atol=1e-4, rtol=0)


def test_rows_past_num_frames_are_exactly_zero_after_offset_and_scale():
    output = np.asarray(log_mel(noise(2, 4096), np.array([16, 10]), TRIAL))
    assert np.all(output[1, 10:] == 0.0) and np.all(output[1, :10].any(axis=1))


def test_samples_past_num_frames_are_ignored():
    samples, num_frames = noise(2, 4096), np.array([16, 10])
    cut = samples.copy()
    cut[1, 10 * 256 :] = 0.0
    np.testing.assert_array_equal(log_mel(samples, num_frames, TRIAL), log_mel(cut, num_frames, TRIAL))


def test_floor_offset_and_scale_are_applied_in_this_order():
    quiet = np.zeros((1, 4096), np.float32)
    np.testing.assert_allclose(
        log_mel(quiet, np.array([16]), TRIAL), (np.log(1e-5) + 3) / 3 * np.ones((1, 16, 512)), rtol=1e-6
    )
    samples, num_frames = noise(1, 4096), np.array([16])
    raw = np.asarray(log_mel(samples, num_frames, SpectrogramConfig(hop_width=256)))
    expected = (np.maximum(raw, np.log(1e-5)) + 3) / 3
    np.testing.assert_allclose(log_mel(samples, num_frames, TRIAL), expected, atol=1e-6)


def test_sixteen_bit_floats_are_widened_first():
    samples = noise(1, 4096).astype(jnp.bfloat16)
    output = log_mel(samples, np.array([16]), TRIAL)
    assert output.dtype == jnp.float32
    np.testing.assert_array_equal(output, log_mel(samples.astype(np.float32), np.array([16]), TRIAL))


def test_gradients_stay_finite_on_silence():
    samples = jnp.zeros((1, 4096)).at[0, 3000].set(0.1)
    gradient = jax.grad(lambda s: jnp.sum(log_mel(s, jnp.array([32]), MT3)))(samples)
    assert np.all(np.isfinite(gradient))


def test_a_config_knows_its_frames_per_second():
    assert MT3.frames_per_second == 125.0 and TRIAL.frames_per_second == 62.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_width": 0}, "hop_width is 0"),
        ({"num_mel_bins": -1}, "num_mel_bins is -1"),
        ({"hop_width": 4096}, "smaller hop_width"),
        ({"mel_hi_hz": 9000.0}, "half the sample rate, 8000.0"),
        ({"mel_lo_hz": 7700.0}, "must rise"),
        ({"log_floor": 0.0}, "log_floor is 0.0"),
        ({"log_floor": float("nan")}, "log_floor is nan"),
        ({"input_scale": 0.0}, "input_scale is 0"),
    ],
)
def test_impossible_configs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SpectrogramConfig(**change)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 1000\).*multiple of the hop, 128"):
        log_mel(np.zeros((1, 1000), np.float32), np.array([7]), MT3)
    with pytest.raises(ValueError, match=r"samples have shape \(1024,\)"):
        log_mel(np.zeros(1024, np.float32), np.array([8]), MT3)
    with pytest.raises(ValueError, match=r"num_frames has shape \(2,\); expected \(1,\)"):
        log_mel(np.zeros((1, 1024), np.float32), np.array([8, 8]), MT3)
