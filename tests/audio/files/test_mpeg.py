"""MP3 files are read frame by frame, to their end, whatever stands before, between and behind the frames."""

import struct

import numpy as np
import pytest

from mt3x.audio.errors import AudioError
from mt3x.audio.files.contents import find_parts
from mt3x.audio.files.window import SteadyFile
from mt3x.audio.load import load_audio, stream_audio
from tests.audio.media import by_ffmpeg, by_sndfile

RATE = 44100
NOISE = np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32)
MP3 = by_sndfile(NOISE, RATE, "MP3")
ID3V2 = b"ID3\x03\0\0\0\0\x02\x01" + bytes(257)
ID3V1 = b"TAG" + b"song".ljust(125, b"\0")
APE = b"APETAGEX" + struct.pack("<4I", 2000, 200, 1, 0) + bytes(8) + bytes(168) + b"APETAGEX" + bytes(24)


def without_length_header(data):
    """An MP3 without its first frame, which holds nothing but the length header."""
    return data[data.index(data[:2], 4) :]


def parts_of(data, tmp_path):
    (tmp_path / "file.mp3").write_bytes(data)
    with SteadyFile(tmp_path / "file.mp3") as file:
        return find_parts(file, len(data))


def num_samples(data, **options):
    stream = stream_audio(data, RATE, **options)
    return sum(map(len, stream)), stream.notices


@pytest.mark.parametrize(
    "before", [b"", ID3V2, ID3V2 + ID3V2, b"ID3\x03\0\0\0\0\x7f\x7f" + bytes(127 * 128 + 127)]
)
@pytest.mark.parametrize("after", [b"", ID3V1, APE + ID3V1, bytes(4000), b"\xff"])
def test_tags_around_the_frames_are_not_sound(tmp_path, before, after):
    (part,) = parts_of(before + MP3 + after, tmp_path)
    assert part.is_regular and part.missing is None
    np.testing.assert_array_equal(load_audio(before + MP3 + after), load_audio(MP3))
    assert len(load_audio(before + MP3 + after, RATE)) == len(NOISE)


@pytest.mark.parametrize("length", [100, 1152, 20000, 20500, 21000, 21500, 22000])
@pytest.mark.parametrize("rate", [RATE, 16000])
def test_no_length_of_mp3_is_taken_for_a_damaged_one(tmp_path, length, rate):
    data = by_sndfile(NOISE[:length], rate, "MP3")
    assert parts_of(data, tmp_path)[0].is_regular
    assert len(load_audio(data, rate)) == length


@pytest.mark.parametrize("junk", [bytes(1500), b"<html>" * 99, b"\xff\xfb\x90" * 7])
def test_junk_before_the_first_frame_is_passed_over(junk):
    assert num_samples(junk + MP3)[0] == pytest.approx(len(NOISE), abs=3000)


@pytest.mark.parametrize("fade", [0, 4])
def test_without_a_length_header_all_frames_are_read(fade):
    # Where the beginning is quiet, and so its frames small, an estimate from them is far off.
    samples = NOISE * np.linspace(0, 1, len(NOISE), dtype=np.float32) ** fade
    data = without_length_header(
        by_sndfile(samples, RATE, "MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    )
    found, notices = num_samples(data)
    assert found == pytest.approx(len(NOISE), abs=3000) and notices == []  # encoder's delay and padding stay


@pytest.mark.parametrize("between", [b"", ID3V2, ID3V1, APE + ID3V1 + ID3V2])
def test_joined_files_are_read_one_after_the_other_to_the_sample(between):
    data = MP3 + between + by_sndfile(NOISE, 22050, "MP3") + MP3
    found, notices = num_samples(data)
    assert found == pytest.approx(4 * len(NOISE), abs=2) and notices == []
    np.testing.assert_allclose(
        load_audio(MP3 + between + MP3, RATE)[len(NOISE) :], load_audio(MP3, RATE), atol=1e-6
    )


def test_half_a_file_says_how_much_there_is():
    found, notices = num_samples(MP3[: len(MP3) // 2], strict=False)
    assert found / RATE == pytest.approx(2.5, abs=0.1)
    assert notices == [f"the recording is cut off after {found / RATE:.1f} s: its stated length is 5.0 s"]
    with pytest.raises(AudioError, match=r"is cut off after 2\.[45] s: its stated length is 5\.0 s"):
        next(stream_audio(MP3[: len(MP3) // 2]))


def test_what_libmpg123_would_print_is_a_notice(capfd):
    damaged = bytearray(MP3)
    random = np.random.default_rng(1)
    for place in random.integers(9000, len(MP3), 60):
        damaged[place] = random.integers(0, 256)
    found, notices = num_samples(bytes(damaged), strict=False)
    assert found == pytest.approx(len(NOISE), abs=5000)
    assert len(notices) == 1 and notices[0].startswith("the recording is damaged: it cannot be decoded in ")
    with pytest.raises(AudioError, match="is damaged: it cannot be decoded in"):
        load_audio(bytes(damaged))
    assert capfd.readouterr() == ("", "")


def test_junk_between_frames_is_passed_over(capfd):
    data = MP3[:20000] + b"\xffjunk" * 300 + MP3[20000:]
    assert num_samples(data, strict=False)[0] == pytest.approx(len(NOISE), abs=5000)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("encoder", ["libmp3lame", "pcm_alaw"])
def test_mp3_inside_wav_is_read_as_mp3(encoder):
    data = by_ffmpeg(NOISE, RATE, "wav", encoder)
    assert num_samples(data)[0] == pytest.approx(len(NOISE), abs=4000)
    if encoder == "libmp3lame":
        assert data[20:22] == b"\x55\0"


@pytest.mark.parametrize("layer", ["mp2"])
@pytest.mark.parametrize("rate", [44100, 22050])
def test_other_layers_are_read(layer, rate):
    assert num_samples(by_ffmpeg(NOISE, rate, layer, layer))[0] == pytest.approx(
        len(NOISE) * RATE / rate, abs=4000
    )
