"""Recordings that are cut off or longer than their header says: nothing is lost without a word."""

import io
import struct

import numpy as np
import pytest
import soundfile

from mt3x.audio import containers
from mt3x.audio.load import AudioError, load_audio, stream_audio

RATE = 44100


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32)


def encode(samples, container, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=container, **options)
    return buffer.getvalue()


def save(path, data):
    path.write_bytes(data)
    return path


def without_length_header(data):
    """An MP3 without its first frame, which holds nothing but the length header."""
    return data[data.index(data[:2], 4) :]


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "RF64", "W64", "FLAC", "MP3"])
def test_half_a_file_says_how_much_was_found(tmp_path, noise, container):
    data = encode(noise, container)
    assert len(load_audio(save(tmp_path / "whole", data), RATE)) == len(noise)
    with pytest.raises(
        AudioError, match=r"is cut off after 2\.[45] s: .*(promises|damaged|stated).*ffmpeg -i"
    ):
        load_audio(save(tmp_path / "half", data[: len(data) // 2]))


def test_half_a_wav_is_refused_before_any_block_leaves(tmp_path, noise):
    data = encode(noise, "WAV")
    with pytest.raises(AudioError, match="promises 441000 bytes of audio and 220456 are there"):
        next(stream_audio(save(tmp_path / "half.wav", data[: 44 + 220456])))


def test_half_a_flac_gives_blocks_until_it_breaks_off(tmp_path, noise):
    data = encode(noise, "FLAC")
    stream = stream_audio(save(tmp_path / "half.flac", data[: len(data) // 2]), RATE, block_seconds=1.0)
    blocks = [next(stream), next(stream)]
    np.testing.assert_allclose(np.concatenate(blocks), noise[: 2 * RATE], atol=2**-15)
    with pytest.raises(AudioError, match="its data is damaged there"):
        next(stream)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "RF64", "W64", "AU", "CAF", "FLAC", "OGG", "MP3"])
def test_damage_of_any_kind_ends_in_samples_or_one_line(tmp_path, noise, container, capfd):
    random = np.random.default_rng(1)
    data = encode(noise[:20000], container)
    for trial in range(40):
        damaged = np.frombuffer(data, np.uint8).copy()
        reach = 200 if trial % 2 else len(data)
        damaged[random.integers(0, reach, 5)] = random.integers(0, 256, 5)
        try:
            samples = load_audio(save(tmp_path / "damaged", damaged.tobytes()), RATE)
            assert samples.ndim == 1 and len(samples) and np.isfinite(samples).all()
        except AudioError as error:
            assert "\n" not in str(error)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_a_header_alone_is_cut_off_at_zero(tmp_path, noise, container):
    data = encode(noise, container)
    with pytest.raises(AudioError, match=r"is cut off after 0\.0 s"):
        load_audio(save(tmp_path / "head", data[: data.index(b"data") + 8 if container == "WAV" else 500]))


@pytest.mark.parametrize("part", [0.002, 0.3, 0.9])
def test_an_ogg_cut_inside_a_page_is_refused(tmp_path, noise, part):
    data = encode(noise, "OGG")
    with pytest.raises(AudioError, match="is not complete|not audio in a known format"):
        load_audio(save(tmp_path / "cut.ogg", data[: int(part * len(data))]))


def test_an_ogg_cut_inside_a_page_header_is_refused(tmp_path, noise):
    data = encode(noise, "OGG")
    with pytest.raises(AudioError, match="its last page begins at byte .* is not complete"):
        load_audio(save(tmp_path / "cut.ogg", data[: data.rindex(b"OggS") + 10]))


def test_an_ogg_that_ends_with_a_page_is_whole_as_far_as_anyone_can_tell(tmp_path, noise):
    data = encode(noise, "OGG")
    samples = load_audio(save(tmp_path / "cut.ogg", data[: data.rindex(b"OggS")]), RATE)
    assert 0 < len(samples) < len(noise)


@pytest.mark.parametrize("size", [0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_written_through_a_pipe_has_no_promise_to_break(tmp_path, noise, size):
    data = encode(noise, "WAV")
    place = data.index(b"data") + 4
    piped = data[:place] + struct.pack("<I", size) + data[place + 4 :]
    assert len(load_audio(save(tmp_path / "pipe.wav", piped), RATE)) == len(noise)


def test_an_odd_number_of_bytes_is_no_shortfall(tmp_path, noise):
    data = encode(noise[:44101], "WAV", subtype="PCM_U8")
    assert len(load_audio(save(tmp_path / "odd.wav", data), RATE)) == 44101
    assert len(load_audio(save(tmp_path / "unpadded.wav", data[: 44 + 44101]), RATE)) == 44101


def test_a_flac_stream_of_unknown_length_is_read_to_its_end(tmp_path, noise):
    data = bytearray(encode(noise, "FLAC"))
    data[21] &= 0xF0  # the 36 bits of the sample count
    data[22:26] = bytes(4)
    for seconds in (0.01, 30.0):
        blocks = list(stream_audio(save(tmp_path / "live.flac", data), RATE, block_seconds=seconds))
        np.testing.assert_allclose(np.concatenate(blocks), noise, atol=2**-15)


def test_an_mp3_that_goes_on_past_its_estimated_length_is_refused(tmp_path, noise):
    data = without_length_header(encode(noise, "MP3"))
    with pytest.raises(AudioError, match=r"only the first 1\.7 s can be read.*more follows.*ffmpeg"):
        load_audio(save(tmp_path / "vbr.mp3", data))


def test_an_mp3_shorter_than_its_estimated_length_is_read_to_its_end(tmp_path, noise):
    fade = noise * np.linspace(0, 1, len(noise), dtype=np.float32) ** 4
    data = without_length_header(encode(fade, "MP3", bitrate_mode="VARIABLE", compression_level=0.5))
    samples = load_audio(save(tmp_path / "vbr.mp3", data), RATE)
    assert len(samples) == pytest.approx(len(noise), abs=3000)  # encoder's delay and padding stay


@pytest.mark.parametrize("between", [b"", b"ID3\x03\0\0\0\0\x02\x01" + bytes(257)])
def test_two_mp3_files_in_one_are_refused(tmp_path, noise, between):
    data = encode(noise, "MP3")
    with pytest.raises(AudioError, match=r"only the first 5\.0 s can be read"):
        load_audio(save(tmp_path / "two.mp3", data + between + data))


@pytest.mark.parametrize("before", [b"", b"ID3\x03\0\0\0\0\x7f\x7f" + bytes(127 * 128 + 127)])
@pytest.mark.parametrize("after", [b"", b"TAG" + bytes(125), b"APETAGEX" + bytes(200000), b"\xff"])
def test_tags_around_an_mp3_are_not_sound(tmp_path, noise, before, after):
    data = before + encode(noise, "MP3") + after
    assert len(load_audio(save(tmp_path / "tagged.mp3", data), RATE)) == len(noise)


@pytest.mark.parametrize("num_samples", [100, 1152, 20000, 20500, 21000, 21500, 22000])
def test_no_length_of_mp3_is_taken_for_a_damaged_one(tmp_path, noise, num_samples):
    data = encode(noise[:num_samples], "MP3")
    assert len(load_audio(save(tmp_path / "short.mp3", data), RATE)) == num_samples


def test_containers_are_known_by_their_first_bytes():
    assert containers.name_other_container(b"\x1aE\xdf\xa3" + bytes(12)) == "Matroska or WebM"
    assert containers.name_other_container(b"RIFF....WAVEfmt ") is None
    assert containers.name_other_container(b"") is None
