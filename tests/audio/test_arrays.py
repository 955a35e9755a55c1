"""Arrays of any shape, type and scale become the same sound, or one clear line."""

import numpy as np
import pytest

from mt3x.audio.arrays import from_array, stream_array
from mt3x.audio.errors import AudioError


@pytest.mark.parametrize(
    ("dtype", "silence", "full_scale"),
    [("uint8", 128, 128), ("int8", 0, 128), ("int16", 0, 2**15), ("int32", 0, 2**31)],
)
def test_integer_arrays_are_scaled_to_one(dtype, silence, full_scale):
    samples = np.array([0, -0.5, 0.5, -1]) * full_scale + silence
    np.testing.assert_array_equal(from_array(samples.astype(dtype), 16000), [0, -0.5, 0.5, -1])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float_arrays_are_taken_as_they_are_and_copied(dtype):
    samples = np.array([[0.5, 0.25], [-2.0, 0.0]], dtype)
    mono = from_array(samples, 16000)
    assert mono.dtype == np.float32 and mono.tolist() == [0.375, -1.0]
    flat = np.zeros(4, np.float32)
    assert not np.shares_memory(from_array(flat, 16000), flat)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((200, 16000)), r"\(200, 16000\).*1 to 64 channels"),
        (np.zeros((16000, 0)), r"\(16000, 0\)"),
        (np.zeros((2, 2, 2)), r"expected \[N\], \[N, C\] or \[C, N\]"),
        (np.float32(1.0), r"shape \(\)"),
        (np.zeros(0), "holds no samples"),
        (np.zeros(10, np.int64), "type int64"),
        (np.zeros(10, bool), "type bool"),
        (np.zeros(10, complex), "type complex128"),
        (np.array(["a"]), "floats in -1 to 1 or int8"),
        (None, "not a NoneType of type object"),
        ({"samples": 1}, "is a path, an open file, the bytes of a file, or samples, not a dict"),
        ([np.zeros(3), np.zeros(2)], "a list is no array of samples"),
        (np.array([0.0, 1e12]), r"samples reach 1e\+12; expected floats in -1 to 1"),
        (np.array([0.0, np.nan]), "sample 1 .* is NaN"),
        (np.array([[0.0, 0.5], [np.inf, -np.inf]]), "sample 1 .* is NaN"),
    ],
)
def test_arrays_that_are_not_sound_are_refused(samples, message):
    with pytest.raises(AudioError, match=message):
        from_array(samples, 16000)


TONE = 0.5 * np.sin(np.arange(16000) / 7)


@pytest.mark.parametrize("rate", ["44100", 44100.5, None, 1j])
def test_a_rate_is_a_whole_number(rate):
    with pytest.raises(AudioError, match="sample_rate is .*; expected a whole number of Hz"):
        from_array(TONE, rate)


def test_a_rate_may_be_of_any_type_of_number():
    assert len(from_array(TONE, np.float64(32000.0))) == len(from_array(TONE, np.int16(32000))) == 8000


@pytest.mark.parametrize("shape", [(16000, 1), (1, 16000)])
def test_one_channel_may_be_a_row_or_a_column(shape):
    np.testing.assert_array_equal(from_array(TONE.reshape(shape), 16000), from_array(TONE, 16000))


def test_the_longer_side_is_time():
    both = np.stack([TONE, TONE / 2])
    expected = from_array(0.75 * TONE, 16000)
    for samples in (both, both.T, np.float32(both), np.asfortranarray(both), both.tolist()):
        np.testing.assert_allclose(from_array(samples, 16000), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "bits"),
    [
        (TONE * 32767, 16),
        (np.float32(TONE * 32767), 16),
        (TONE * 2**23, 24),
        (TONE * 2**31, 32),
        (np.rint(TONE * 32767).astype(np.int32), 16),
        (np.rint(TONE * (2**23 - 1)).astype(np.int32), 24),
    ],
)
def test_samples_on_the_scale_of_other_integers_are_scaled_with_a_notice(samples, bits):
    stream = stream_array(samples, 16000)
    np.testing.assert_allclose(np.concatenate(list(stream)), TONE, atol=1e-4)
    ((notice),) = stream.notices
    assert notice.endswith(f": they were taken for samples of {bits} bits")


@pytest.mark.parametrize(
    "samples", [TONE, 60 * TONE, np.int16(TONE * 32767), np.int32(TONE * 2**31), np.zeros(9, np.int32)]
)
def test_samples_that_fit_their_type_need_no_notice(samples):
    stream = stream_array(samples, 16000)
    assert stream.seconds == len(samples) / 16000
    assert np.abs(np.concatenate(list(stream))).max() <= 30.1 and stream.notices == []


def test_channels_that_cancel_are_not_silent():
    stream = stream_array(np.stack([TONE, -TONE], axis=1), 16000)
    np.testing.assert_allclose(np.concatenate(list(stream)), TONE, atol=1e-6)
    assert "half their difference took the place of their average" in stream.notices[0]
