"""A phrase of eight notes, as all kinds of files and arrays that people have, is eight notes.

`tests/audio/phrase.opus` holds it: 5.25 s of a guitar that this project rendered.
"""

from pathlib import Path

import numpy as np
import pytest

import mt3x
from mt3x.audio.errors import AudioError
from mt3x.audio.load import load_audio
from tests.audio.media import by_sndfile, of_suffix

RATE = 48000
PHRASE = Path(__file__).parents[1] / "audio" / "phrase.opus"


@pytest.fixture(scope="module")
def phrase():
    return load_audio(PHRASE, RATE)


@pytest.fixture(scope="module")
def transcriber():
    return mt3x.load()


def inverted(phrase):
    return by_sndfile(np.stack([phrase, -phrase], axis=1), RATE, "FLAC")


def inverted_and_quieter(phrase):
    return by_sndfile(np.stack([phrase, -0.9 * phrase], axis=1), RATE, "FLAC")


def left_alone(phrase):
    return by_sndfile(np.stack([phrase, 0 * phrase], axis=1), RATE, "FLAC")


def without_length(phrase):
    data = by_sndfile(phrase, RATE, "WAV")
    return data[:40] + bytes(4) + data[44:]


def half_as_long(phrase):
    data = by_sndfile(phrase, RATE, "WAV")
    return data[:40] + len(phrase).to_bytes(4, "little") + data[44:]


def twice_as_long(phrase):
    data = by_sndfile(phrase, RATE, "WAV")
    return data[:40] + (4 * len(phrase)).to_bytes(4, "little") + data[44:]


def as_m4a(phrase):
    return of_suffix(".m4a", phrase, RATE)


FILES = {
    inverted: ["the channels cancel each other for 5.2 of 5.2 s"],
    inverted_and_quieter: ["the channels cancel each other for 5.2 of 5.2 s"],
    left_alone: [],
    without_length: [],
    half_as_long: [],
    twice_as_long: ["the recording is cut off after 5.2 s"],
    as_m4a: [],
}


def test_eight_notes_of_every_file(transcriber, phrase, tmp_path):
    paths = []
    for make in FILES:
        paths.append(tmp_path / make.__name__)
        paths[-1].write_bytes(make(phrase))
    for found, (make, heads) in zip(transcriber.transcribe_all(paths), FILES.items(), strict=True):
        assert not isinstance(found, AudioError)
        assert (make.__name__, len(found.notes)) == (make.__name__, 8)
        assert [notice[: len(head)] for notice, head in zip(found.notices, heads, strict=True)] == heads


def test_sixteen_notes_of_joined_files(transcriber, phrase):
    for container in ("WAV", "FLAC", "OGG"):
        data = by_sndfile(phrase, RATE, container)
        found = transcriber.transcribe(data + data)
        assert len(found.notes) == 16 and found.notices == ()


@pytest.mark.parametrize(
    ("make", "notice"),
    [
        (lambda phrase: np.stack([phrase, phrase]), None),
        (lambda phrase: np.stack([phrase, phrase], axis=1), None),
        (lambda phrase: np.int16(phrase * 32767), None),
        (lambda phrase: np.uint8(np.rint(phrase * 127) + 128), None),
        (lambda phrase: phrase * 32767, "they were taken for samples of 16 bits"),
        (lambda phrase: np.int32(phrase * 32767), "they were taken for samples of 16 bits"),
    ],
)
def test_eight_notes_of_arrays_of_any_shape_and_scale(transcriber, phrase, make, notice):
    found = transcriber.transcribe(make(phrase), RATE)
    assert len(found.notes) == 8
    assert len(found.notices) == (notice is not None) and all(line.endswith(notice) for line in found.notices)
