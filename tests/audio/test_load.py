"""Recordings of every kind that soundfile can write, good and bad, become samples or one clear line."""

import os
import tracemalloc
import warnings

import numpy as np
import pytest
import soundfile
import soxr

from mt3x.audio.arrays import from_array
from mt3x.audio.errors import AudioError
from mt3x.audio.load import load_audio, stream_audio


def sine(rate, seconds=1.0, hertz=440.0, gain=0.5):
    return gain * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def noise(num_samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, num_samples).astype(np.float32)


def write(path, samples, rate=16000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def middle(samples):
    """Without 0.1 s at either end, where a resampling filter meets silence."""
    return samples[1600:-1600]


@pytest.mark.parametrize(
    "rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000, 384000]
)
def test_a_sine_survives_every_sample_rate(tmp_path, rate):
    samples = load_audio(write(tmp_path / "sine.wav", sine(rate), rate, subtype="FLOAT"))
    assert samples.dtype == np.float32 and samples.shape == (16000,)
    np.testing.assert_allclose(middle(samples), middle(sine(16000)), atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_any_target_rate_can_be_asked_for(tmp_path, rate):
    samples = load_audio(write(tmp_path / "sine.wav", sine(48000), 48000), sample_rate=rate)
    np.testing.assert_allclose(samples[2000:6000], sine(rate)[2000:6000], atol=1e-4)


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_are_averaged(tmp_path, channels):
    samples = sine(16000)[:, None] * np.arange(1, channels + 1)[None, :] / channels
    loaded = load_audio(write(tmp_path / "many.wav", samples, subtype="FLOAT"))
    np.testing.assert_allclose(loaded, samples.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 2**-7),
        ("a.wav", "PCM_16", 2**-15),
        ("a.wav", "PCM_24", 2**-23),
        ("a.wav", "PCM_32", 2**-23),  # the mantissa of float32
        ("a.wav", "FLOAT", 2**-24),
        ("a.wav", "DOUBLE", 2**-24),
        ("a.wav", "ULAW", 0.02),
        ("a.flac", "PCM_S8", 2**-7),
        ("a.flac", "PCM_16", 2**-15),
        ("a.flac", "PCM_24", 2**-23),
        ("a.ogg", "VORBIS", 0.02),
        ("a.ogg", "OPUS", 0.05),
        ("a.mp3", "MPEG_LAYER_III", 0.02),
        ("a.aiff", "PCM_16", 2**-15),
        ("a.au", "PCM_16", 2**-15),
        ("a.caf", "PCM_16", 2**-15),
    ],
)
def test_formats_and_depths_give_the_samples_that_were_written(tmp_path, name, subtype, tolerance):
    loaded = load_audio(write(tmp_path / name, sine(16000), subtype=subtype))
    assert loaded.shape == (16000,)
    np.testing.assert_allclose(middle(loaded), middle(sine(16000)), atol=tolerance)


@pytest.mark.parametrize("name", ["with spaces.wav", "Präludium № 1 – 夜想曲.flac", "no_suffix", "-dash.ogg"])
def test_names_of_all_kinds_are_read(tmp_path, name):
    path = tmp_path / name
    write(path, sine(16000), format=None if path.suffix else "WAV")
    assert len(load_audio(path)) == 16000
    assert len(load_audio(str(path))) == 16000


def test_names_that_are_not_unicode_are_read_and_reported_in_ascii(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    with pytest.raises(AudioError, match=r"caf\\udce9\.wav'?: there is no such file"):
        load_audio(path)
    os.replace(write(tmp_path / "cafe.wav", sine(16000)), path)
    assert len(load_audio(path)) == 16000


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("block_seconds", [0.0301, 1.0, 30.0])
def test_joined_blocks_equal_the_whole_file(tmp_path, name, block_seconds):
    path = write(tmp_path / name, np.stack([noise(150001), noise(150001, 1)], axis=1), 44100)
    blocks = list(stream_audio(path, block_seconds=block_seconds))
    assert max(map(len, blocks)) <= 16000 * block_seconds + 1600  # the resampler may hold back a little
    np.testing.assert_array_equal(np.concatenate(blocks), load_audio(path))
    decoded = soundfile.read(path, dtype="float32")[0].mean(axis=1)
    np.testing.assert_array_equal(load_audio(path), soxr.resample(decoded, 44100, 16000, quality="HQ"))


def test_a_long_recording_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 48000, 4, "PCM_16") as file:
        for _ in range(30):
            file.write(np.zeros((480000, 4), np.int16))  # 5 minutes, 115 MB; 230 MB as float32
    tracemalloc.start()
    num_samples = sum(len(block) for block in stream_audio(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num_samples == 300 * 16000
    assert peak < 64e6  # one block of 2**22 values, its average and its resampled copy


def test_an_array_gives_what_its_file_gives(tmp_path):
    samples = (noise(200000).reshape(-1, 2) * 2**15).astype(np.int16)
    path = write(tmp_path / "a.wav", samples, 44100)
    np.testing.assert_allclose(from_array(samples, 44100), load_audio(path), atol=1e-6)


def test_silence_is_a_recording_too(tmp_path):
    assert not load_audio(write(tmp_path / "silence.wav", np.zeros(16000))).any()


def test_one_sample_is_enough(tmp_path):
    assert len(load_audio(write(tmp_path / "one.wav", np.ones(1)))) == 1


def check_error(path, *parts):
    with pytest.raises(AudioError) as caught:
        load_audio(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    for part in parts:
        assert part in message, message


def test_missing_folder_and_empty_are_named(tmp_path):
    check_error(tmp_path / "nothing.wav", "there is no such file", "check the name")
    check_error(tmp_path, "is a folder", "name a recording inside it")
    (tmp_path / "empty.wav").touch()
    check_error(tmp_path / "empty.wav", "is empty (0 bytes)", "copy it again")
    os.mkfifo(tmp_path / "pipe.wav")
    check_error(tmp_path / "pipe.wav", "is not a regular file", "write the audio to a file")
    check_error(
        tmp_path / ("long" * 100), "cannot be opened (File name too long)", "check name and permissions"
    )


@pytest.mark.parametrize("name", ["text.wav", "text.mp3", "text.raw", "text.txt"])
def test_what_is_not_audio_is_refused(tmp_path, name):
    (tmp_path / name).write_text("hello " * 1000)
    check_error(
        tmp_path / name, "is not audio in a known format", "WAV, FLAC, MP3, OGG, M4A", "videos can be read"
    )


def test_other_containers_are_named(tmp_path):
    path = tmp_path / "my song.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(1000))
    check_error(path, "is MPEG-4 (m4a, mp4, mov), but it was not finished, or not copied to its end")
    midi = tmp_path / "song.mid"
    midi.write_bytes(b"MThd\0\0\0\x06\0\x01\0\x01\x01\xe0")
    check_error(midi, "is a MIDI file, which holds notes already")


def test_no_samples_is_an_error(tmp_path):
    for name in ("none.wav", "none.aiff"):
        check_error(write(tmp_path / name, np.zeros(0)), "holds no samples", "at least one is needed")


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_samples_that_are_not_finite_are_placed(tmp_path, value, kind):
    samples = np.zeros((600000, 2), np.float32)
    samples[560000, 1] = value
    path = write(tmp_path / "bad.wav", samples, subtype="FLOAT")
    check_error(path, f"sample 560000 (at 35.000 s) is {kind}", "replace such samples by 0")
    with pytest.raises(AudioError, match=f"the array: sample 560000.* is {kind}"):
        from_array(samples, 16000)


def test_doubles_too_large_for_float32_are_infinite_samples(tmp_path):
    path = write(tmp_path / "huge.wav", np.array([0.0, 1e300]), subtype="DOUBLE")
    check_error(path, "sample 1 ", "infinite")
    with pytest.raises(AudioError, match="sample 1 .* infinite"):
        from_array(np.array([0.0, 1e300]), 16000)


@pytest.mark.parametrize("rate", [1000, 500000])
def test_sample_rates_outside_the_limits_are_refused(tmp_path, rate):
    path = write(tmp_path / "odd.wav", np.zeros(100), rate)
    check_error(path, f"sample rate is {rate} Hz, outside 4000 to 384000 Hz", "Convert it first")
    with pytest.raises(AudioError, match=f"sample_rate is {rate} Hz"):
        from_array(np.zeros(100), rate)
    with pytest.raises(AudioError, match=f"target_rate is {rate} Hz"):
        from_array(np.zeros(100), 16000, rate)
    with pytest.raises(AudioError, match=f"the wanted sample rate is {rate} Hz"):
        load_audio(write(tmp_path / "good.wav", np.zeros(100)), sample_rate=rate)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_blocks_must_have_a_length(tmp_path, seconds):
    with pytest.raises(ValueError, match="block_seconds"):
        next(stream_audio(write(tmp_path / "a.wav", np.zeros(100)), block_seconds=seconds))


def test_a_stream_left_early_closes_its_file(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        stream = stream_audio(write(tmp_path / "a.wav", noise(32000)), block_seconds=0.5)
        assert len(next(stream)) == 8000
        stream.close()
