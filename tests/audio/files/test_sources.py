"""A recording is a path, the bytes of a file or an open file, wherever that stands."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from mt3x.audio.errors import AudioError
from mt3x.audio.files.sources import is_source, name_of
from mt3x.audio.files.window import SteadyFile, Window
from mt3x.audio.load import load_audio
from tests.audio.media import by_sndfile, of_suffix

RATE = 44100
NOISE = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)


class OnlyReads:
    """What comes from the net: bytes once, and no places to go to."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size=-1):
        return self._file.read(size)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".m4a"])
def test_every_source_gives_the_same_samples(tmp_path, suffix):
    data, path = of_suffix(suffix, NOISE, RATE), tmp_path / f"song{suffix}"
    path.write_bytes(data)
    expected = load_audio(path)
    at_end = io.BytesIO()
    at_end.write(data)
    with (
        open(path, "rb") as file,
        open(path, "rb", buffering=0) as raw,
        tempfile.SpooledTemporaryFile() as spooled,
    ):
        spooled.write(data)
        sources = (
            str(path),
            data,
            bytearray(data),
            memoryview(data),
            file,
            raw,
            spooled,
            at_end,
            OnlyReads(data),
        )
        for source in sources:
            assert is_source(source)
            np.testing.assert_array_equal(load_audio(source), expected)
        assert not file.closed and not at_end.closed


def test_sources_are_named_in_one_line(tmp_path):
    assert name_of(b"RIFF") == "the file of 4 bytes"
    assert name_of(io.BytesIO()) == "the open file"
    assert name_of(Path("a/b.wav")) == "a/b.wav" and name_of("a\nb") == r"'a\nb'"
    (tmp_path / "bad.wav").write_text("no audio")
    with open(tmp_path / "bad.wav", "rb") as file, pytest.raises(AudioError, match=r"bad\.wav: is not audio"):
        load_audio(file)


def test_a_file_that_is_open_as_text_is_refused(tmp_path):
    (tmp_path / "song.wav").write_text("text")
    with (
        open(tmp_path / "song.wav") as file,
        pytest.raises(AudioError, match=r'is open as text; open it .*"rb"'),
    ):
        load_audio(file)
    with pytest.raises(AudioError, match="is open as text"):
        load_audio(io.StringIO("text"))


def test_what_holds_nothing_or_cannot_be_read_is_refused(tmp_path):
    for source in (b"", io.BytesIO(), OnlyReads(b"")):
        with pytest.raises(AudioError, match=r"is empty \(0 bytes\)"):
            load_audio(source)
    with open(tmp_path / "new", "wb") as file, pytest.raises(AudioError, match="cannot be read"):
        load_audio(file)
    with pytest.raises(AudioError, match="cannot be opened"):
        load_audio("a\0b.wav")


def test_a_disk_that_fails_is_an_error_and_not_an_end(tmp_path, monkeypatch, capfd):
    (tmp_path / "song.wav").write_bytes(by_sndfile(np.tile(NOISE, 9), RATE, "WAV"))
    real = io.FileIO.readinto

    def fail_late(self, buffer):
        if self.tell() > 200_000:
            self.error = OSError(5, "Input/output error")
            return 0
        return real(self, buffer)

    monkeypatch.setattr("mt3x.audio.files.window._Bytes.readinto", fail_late)
    with pytest.raises(AudioError, match=r"cannot be read to its end \(Input/output error\)") as caught:
        load_audio(tmp_path / "song.wav")
    assert isinstance(caught.value.__cause__, OSError)  # which a library's run tries again
    assert capfd.readouterr().err == ""


def test_errors_of_reading_are_kept_and_not_raised(tmp_path):
    (tmp_path / "song").write_bytes(b"1234")
    with SteadyFile(tmp_path / "song") as file:
        assert file.seek(-9, os.SEEK_END) == 0 and file.read(2) == b"12"
    folder = os.open(tmp_path, os.O_RDONLY)  # a read of it fails
    try:
        broken = SteadyFile(tmp_path / "song")
        os.dup2(folder, broken.fileno())
        with broken:
            assert broken.read(2) == b"" and isinstance(broken.error, IsADirectoryError)
    finally:
        os.close(folder)


def test_a_window_is_a_file_of_its_own():
    window = Window(io.BytesIO(b"0123456789"), 2, 7)
    assert window.read() == b"23456" and window.read() == b"" and window.tell() == 5
    assert window.seek(-2, os.SEEK_END) == 3 and window.read(1) == b"5"
    assert window.seek(1) == 1 and window.seek(1, os.SEEK_CUR) == 2 and window.read(9) == b"456"
    assert window.seek(-1) == 5 and window.seek(99) == 99 and window.read(1) == b""
