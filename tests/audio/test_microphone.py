"""A microphone of whatever PortAudio would say; none is needed."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mt3x.audio.errors import AudioError
from mt3x.audio.microphone import Microphone


class PortAudioError(Exception):
    pass


class FakeStream:
    """Records three blocks at once, the second with an overflow; the device `short` stops then."""

    def __init__(self, callback, blocksize, channels, **options):
        self.callback, self.shape, self.options = callback, (blocksize, channels), options
        self.active = False
        self.is_closed = False

    def start(self):
        self.active = self.options["device"] != "short"
        same = np.zeros(self.shape, np.float32)  # PortAudio reuses its array
        for i in range(3):
            same[:] = i / 4
            self.callback(same, len(same), None, SimpleNamespace(input_overflow=i == 1))

    def stop(self):
        self.active = False

    def close(self):
        self.is_closed = True


@pytest.fixture
def sounddevice(monkeypatch):
    def query_devices(device, kind):
        assert kind == "input"
        if device == "absent":
            raise ValueError("No input device matching 'absent'")
        if device is None:
            raise PortAudioError("Error querying device -1")
        return {"name": "Some microphone", "default_samplerate": 48000.0}

    fake = SimpleNamespace(query_devices=query_devices, InputStream=FakeStream, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)


def test_all_that_was_recorded_until_the_end_is_given(sounddevice):
    with Microphone("some", num_channels=2) as microphone:
        answers = iter([False, True])
        blocks = list(microphone.blocks(lambda: next(answers)))
        stream = microphone._stream
    assert [block[0, 0] for block in blocks] == [0.0, 0.25, 0.5]
    assert blocks[0].shape == (960, 2)  # 20 ms at the device's own rate
    assert (microphone.name, microphone.sample_rate, microphone.num_lost) == ("Some microphone", 48000, 1)
    assert stream.is_closed


def test_sample_rate_can_be_chosen(sounddevice):
    microphone = Microphone(3, sample_rate=16000)
    assert microphone.sample_rate == 16000 and microphone._stream.options["samplerate"] == 16000


def test_device_that_stops_by_itself_is_an_error_after_its_last_block(sounddevice):
    blocks = []
    with Microphone("short") as microphone, pytest.raises(AudioError, match="Some microphone has stopped"):
        blocks.extend(microphone.blocks(lambda: False))
    assert len(blocks) == 3


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (
            "absent",
            "device 'absent' cannot be used: No input device matching 'absent'; `python -m sounddevice`",
        ),
        (None, "no microphone can be used: Error querying device -1; `python -m sounddevice` lists"),
    ],
)
def test_device_that_is_not_there_is_named(sounddevice, device, message):
    with pytest.raises(AudioError, match=message):
        Microphone(device)


def test_missing_package_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioError, match=r"needs the package sounddevice: pip install 'mt3x\[live\]'"):
        Microphone()


def test_missing_library_is_named_with_what_installs_it(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(AudioError, match=r"PortAudio library not found\): apt-get install libportaudio2"):
        Microphone()
