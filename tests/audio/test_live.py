import io

import numpy as np
import pytest

from mt3x.audio.arrays import from_array
from mt3x.audio.errors import AudioError
from mt3x.audio.live import from_blocks, pcm_blocks


def noise(*shape):
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("edges", [[], [0, 0, 1], [5000, 5001, 9000]])
def test_blocks_give_what_the_joined_array_gives(rate, edges):
    samples = noise(10000, 2)
    joined = np.concatenate(list(from_blocks(np.split(samples, edges), rate)))
    np.testing.assert_array_equal(joined, from_array(samples, rate))


def test_integers_are_scaled():
    block = np.array([-32768, 0, 16384], np.int16)
    np.testing.assert_array_equal(next(from_blocks([block], 16000)), np.float32([-1.0, 0.0, 0.5]))


def test_no_blocks_are_no_error():
    assert list(from_blocks([], 16000)) == []


def test_blocks_are_read_as_they_are_needed():
    read = []
    blocks = (read.append(i) or noise(100) for i in range(5))
    next(from_blocks(blocks, 16000))
    assert read == [0]


@pytest.mark.parametrize(
    ("blocks", "rate", "message"),
    [
        ([noise(2, 2, 2)], 16000, r"a block has shape \(2, 2, 2\); expected \[n\] or \[n, channels\]"),
        ([noise(9), np.float32([0.0, np.inf])], 16000, "the stream: sample 10 .* is infinite"),
        ([np.zeros(3, np.complex64)], 16000, "samples are of type complex64"),
        ([noise(9)], 100, "sample_rate is 100 Hz, outside"),
    ],
)
def test_blocks_that_cannot_be_used_are_named(blocks, rate, message):
    with pytest.raises(AudioError, match=message):
        list(from_blocks(blocks, rate))


@pytest.mark.parametrize(("encoding", "dtype"), [("s16le", "<i2"), ("f32le", "<f4")])
@pytest.mark.parametrize("size", [1, 3, 7, 4096])
def test_raw_pcm_becomes_the_samples_however_its_bytes_arrive(encoding, dtype, size):
    samples = (1000 * noise(50, 2)).astype(dtype)
    file = io.BytesIO(samples.tobytes())
    blocks = list(pcm_blocks(lambda most: file.read(min(size, most)), 2, encoding))
    assert all(len(block) and block.dtype == dtype for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), samples)


def test_raw_pcm_is_given_as_soon_as_it_arrives():
    asked = []

    def read(most):
        asked.append(most)
        return bytes(6)

    assert next(pcm_blocks(read)).shape == (3, 1)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (bytes(5), (1, "s16le"), "ends within a sample: 1 of 2 bytes; is it really s16le with 1 channel"),
        (bytes(18), (2, "f32le"), "ends within a sample: 2 of 8 bytes; is it really f32le with 2 channels"),
        (np.float32([0, np.nan]).tobytes(), (1, "f32le"), "holds a sample that is not finite; is it really"),
        (b"RIFF\0\0\0\0WAVE", (1, "s16le"), "the stream is a WAV file, not raw PCM"),
        (b"fLaC" + bytes(9), (1, "s16le"), "the stream is a FLAC file"),
        (b"\x1aE\xdf\xa3" + bytes(9), (1, "s16le"), "the stream is Matroska or WebM"),
    ],
)
def test_bytes_that_are_no_raw_pcm_are_named(content, options, message):
    with pytest.raises(AudioError, match=message):
        list(pcm_blocks(io.BytesIO(content).read, *options))


def test_whole_samples_come_before_the_error_of_a_part_of_one():
    blocks = pcm_blocks(io.BytesIO(bytes(5)).read)
    assert next(blocks).shape == (2, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((1, "s24le"), "encoding is 's24le'; choose one of s16le, f32le"),
        ((0,), "num_channels is 0; it must be"),
    ],
)
def test_raw_pcm_of_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        list(pcm_blocks(io.BytesIO(b"").read, *options))
