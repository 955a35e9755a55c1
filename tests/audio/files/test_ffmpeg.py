"""What libsndfile does not read is read by FFmpeg's libraries: every kind of file, whole or damaged."""

import io
import subprocess
import sys

import av
import numpy as np
import pytest

from mt3x.audio.errors import AudioError
from mt3x.audio.formats import SOUND_SUFFIXES, VIDEO_SUFFIXES
from mt3x.audio.load import load_audio, stream_audio
from tests.audio.media import BY_FFMPEG, by_ffmpeg, by_sndfile, of_suffix, rate_of_suffix

RATE = 44100
NOISE = np.random.default_rng(0).normal(0, 0.1, 8 * RATE).astype(np.float32)


def tone(rate, seconds=2.0):
    return 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)


def read(data, **options):
    stream = stream_audio(data, **options)
    return np.concatenate(list(stream)), stream.notices


@pytest.mark.parametrize("suffix", [*SOUND_SUFFIXES, *VIDEO_SUFFIXES])
def test_every_kind_of_file_that_is_listed_is_read(suffix):
    rate = rate_of_suffix(suffix)
    samples, notices = read(of_suffix(suffix, tone(rate), rate))
    assert notices == [] and len(samples) / 16000 == pytest.approx(2.0, abs=0.06)
    middle = samples[8000:24000]
    spectrum = np.abs(np.fft.rfft(middle))
    assert spectrum.argmax() == 440 and np.abs(middle).max() == pytest.approx(0.3, abs=0.03)
    assert spectrum[440] / np.sqrt((spectrum**2).sum()) > 0.99


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".wav", ".ogg", ".aiff"])
def test_what_libsndfile_reads_does_not_import_pyav(tmp_path, suffix):
    (tmp_path / "song").write_bytes(of_suffix(suffix, tone(RATE), RATE))
    script = "import sys; from mt3x.audio.load import load_audio; load_audio(sys.argv[1])"
    script += "; assert 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "song")], check=True)


@pytest.mark.parametrize("suffix", [".wv", ".tta", ".weba", ".webm", ".mkv", ".m4a", ".mp4", ".aac", ".amr"])
def test_half_a_file_is_told(suffix):
    rate = rate_of_suffix(suffix)
    samples = np.random.default_rng(0).normal(0, 0.1, 8 * rate)
    if suffix in (".m4a", ".mp4"):
        data = by_ffmpeg(samples, rate, *BY_FFMPEG[suffix], movflags="faststart")  # the index comes first
    else:
        data = of_suffix(suffix, samples, rate)
    half = data[: len(data) // 2]
    found, notices = read(half, strict=False)
    assert 2 < len(found) / 16000 < 5
    assert len(notices) == 1
    assert notices[0].startswith(f"the recording is cut off after {len(found) / 16000:.1f} s: its ")
    with pytest.raises(AudioError, match="is cut off after"):
        load_audio(half)


@pytest.mark.parametrize("suffix", [".aac", ".ac3", ".m4a", ".mp4"])
def test_damage_in_the_middle_is_passed_over_and_told(suffix):
    data = bytearray(of_suffix(suffix, NOISE, RATE))
    middle = len(data) // 2
    data[middle : middle + 400] = np.random.default_rng(1).integers(0, 256, 400).astype(np.uint8).tobytes()
    found, notices = read(bytes(data), strict=False)
    assert 7.5 < len(found) / 16000 < 8.1
    assert len(notices) == 1 and notices[0].startswith("the recording is damaged: it cannot be decoded in ")
    with pytest.raises(AudioError, match="is damaged: it cannot be decoded in "):
        load_audio(bytes(data))


def test_an_mp4_without_its_index_is_not_finished():
    data = of_suffix(".m4a", tone(RATE), RATE)
    for strict in (True, False):
        with pytest.raises(
            AudioError, match="is MPEG-4 .*, but it was not finished, or not copied to its end"
        ):
            read(data[: data.index(b"moov")], strict=strict)


def test_a_video_without_sound_is_named():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        film = file.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for number in range(10):
            picture = av.VideoFrame(32, 32, "yuv420p")
            picture.pts = number
            file.mux(film.encode(picture))
        file.mux(film.encode(None))
    with pytest.raises(AudioError, match="is MPEG-4 .*, but it holds no sound"):
        read(buffer.getvalue())


def test_one_of_several_tracks_is_read_and_told():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as file:
        streams = [file.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in range(2)]
        frame = av.AudioFrame.from_ndarray((NOISE[np.newaxis] * 32767).astype(np.int16), "s16", "mono")
        frame.sample_rate = RATE
        for stream in streams:
            file.mux(stream.encode(frame))
    samples, notices = read(buffer.getvalue())
    assert len(samples) == len(NOISE) * 16000 / RATE
    assert notices == ["the file holds 2 tracks of sound: one was read"]


def test_blocks_do_not_depend_on_how_they_are_cut():
    data = of_suffix(".m4a", np.random.default_rng(0).normal(0, 0.1, 70 * RATE), RATE)
    blocks = list(stream_audio(data, block_seconds=0.5))
    assert max(map(len, blocks)) == 8000
    np.testing.assert_array_equal(np.concatenate(blocks), load_audio(data))


@pytest.mark.parametrize("form", ["u8", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"])
def test_samples_of_every_form_have_one_scale(form):
    from mt3x.audio.files.ffmpeg import _values

    samples = np.float32([[0.5, -0.25, 0.0], [-1.0, 0.75, 0.25]])
    frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
    frame.sample_rate = RATE
    (converted,) = av.AudioResampler(form, "stereo", RATE).resample(frame)
    np.testing.assert_allclose(_values(converted), samples.T, atol=2**-6 if form == "u8" else 2**-14)


def test_playlists_open_no_other_file(tmp_path):
    (tmp_path / "secret.wav").write_bytes(by_sndfile(NOISE, RATE, "WAV"))
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n",
    ):
        with pytest.raises(AudioError, match="is not audio in a known format"):
            read(text.encode())


class TestFlac:
    """FLAC, which FFmpeg goes on with where libFLAC gives up."""

    data = by_sndfile(NOISE, RATE, "FLAC")

    def check(self, data, expected, **options):
        samples, notices = read(data, sample_rate=RATE, **options)
        np.testing.assert_allclose(samples, expected, atol=2**-14)
        return notices

    def test_joined_files_are_read_to_the_sample(self):
        assert self.check(self.data + self.data, np.concatenate([NOISE, NOISE])) == []

    @pytest.mark.parametrize("num_frames", [0, 1, len(NOISE) // 2])
    def test_a_length_that_is_too_small_or_unknown_hides_nothing(self, num_frames):
        data = bytearray(self.data)
        data[21] &= 0xF0  # the 36 bits of the sample count
        data[22:26] = num_frames.to_bytes(4, "big")
        assert self.check(bytes(data), NOISE) == []

    def test_half_a_file_is_read_to_the_last_sample_that_is_there(self):
        samples, notices = read(self.data[: len(self.data) // 2], sample_rate=RATE, strict=False)
        np.testing.assert_allclose(samples, NOISE[: len(samples)], atol=2**-14)
        assert len(samples) / RATE == pytest.approx(4.0, abs=0.1)
        assert notices == [
            f"the recording is cut off after {len(samples) / RATE:.1f} s: its stated length is 8.0 s"
        ]

    def test_a_frame_that_is_lost_in_the_middle_is_told(self):
        data = bytearray(self.data)
        data[len(data) // 2 :][:200] = bytes(200)
        data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
        _, notices = read(bytes(data), strict=False)
        assert len(notices) == 1
        with pytest.raises(AudioError, match="its stated length is 8.0 s|is damaged"):
            load_audio(bytes(data))

    @pytest.mark.parametrize(
        "tag", [b"TAG" + bytes(125), b"ID3\4\0\0\0\0\0\x10" + bytes(16), b"\xff\xf8 no frame"]
    )
    def test_tags_behind_the_frames_are_not_sound(self, tag):
        assert self.check(self.data + tag, NOISE) == []


@pytest.mark.parametrize(
    "suffix", [".wav", ".aiff", ".w64", ".rf64", ".au", ".caf", ".flac", ".ogg", ".mp3", ".m4a", ".mkv"]
)
def test_damage_of_any_kind_ends_in_samples_or_one_line(suffix, capfd):
    random = np.random.default_rng(1)
    data = np.frombuffer(of_suffix(suffix, NOISE[:20000], RATE), np.uint8)
    for trial in range(40):
        damaged = data.copy()
        damaged[random.integers(0, 200 if trial % 2 else len(data), 5)] = random.integers(0, 256, 5)
        try:
            samples, _ = read(damaged.tobytes(), strict=False)
            assert samples.ndim == 1 and len(samples) and np.isfinite(samples).all()
        except AudioError as error:
            assert "\n" not in str(error)
    assert capfd.readouterr() == ("", "")
