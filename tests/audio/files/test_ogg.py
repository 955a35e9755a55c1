"""Ogg files are read to the end of their last stream, and what they lack is told."""

import numpy as np
import pytest

from mt3x.audio.errors import AudioError
from mt3x.audio.load import load_audio, stream_audio
from tests.audio.media import by_sndfile

RATE = 48000
NOISE = np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32)
VORBIS, OPUS = by_sndfile(NOISE, RATE, "OGG", "VORBIS"), by_sndfile(NOISE, RATE, "OGG", "OPUS")


def read(data, **options):
    stream = stream_audio(data, RATE, **options)
    return np.concatenate(list(stream)), stream.notices


@pytest.mark.parametrize("data", [VORBIS, OPUS], ids=["vorbis", "opus"])
def test_chained_streams_are_read_one_after_the_other_to_the_sample(data):
    one, two = load_audio(data, RATE), load_audio(VORBIS, RATE)
    samples, notices = read(data + VORBIS + data)
    assert notices == []
    np.testing.assert_array_equal(samples, np.concatenate([one, two, one]))


def test_chained_streams_may_differ_in_rate_and_channels():
    stereo = by_sndfile(np.stack([NOISE, NOISE], axis=1), 24000, "OGG", "VORBIS")
    samples, notices = read(VORBIS + stereo + OPUS)
    assert len(samples) == pytest.approx(4 * len(NOISE), abs=2) and notices == []


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_page_that_is_not_complete_ends_the_recording_with_a_notice(part):
    data = VORBIS[: int(part * len(VORBIS))]
    samples, notices = read(data, strict=False)
    assert 0 < len(samples) < len(NOISE)
    reason = f"is cut off after {len(samples) / RATE:.1f} s: its last page begins at byte"
    assert len(notices) == 1 and notices[0].startswith(f"the recording {reason}")
    with pytest.raises(AudioError, match=reason):
        next(stream_audio(data))


@pytest.mark.parametrize("num_bytes", [100, VORBIS.rindex(b"OggS") + 10])
def test_a_page_that_ends_in_its_header_is_found(num_bytes):
    with pytest.raises(
        AudioError, match="is cut off .*last page begins at byte .* is not complete|is an OGG file"
    ):
        load_audio(VORBIS[:num_bytes])


def test_an_ogg_that_ends_with_a_page_is_whole_as_far_as_anyone_can_tell():
    samples, notices = read(VORBIS[: VORBIS.rindex(b"OggS")])
    assert 0 < len(samples) < len(NOISE) and notices == []


def test_pages_that_are_missing_are_told():
    pages = [b"OggS" + page for page in VORBIS.split(b"OggS")[1:]]
    _, notices = read(b"".join(pages[:6] + pages[8:]), strict=False)
    assert len(notices) == 1 and "pages before byte" in notices[0] and "are missing" in notices[0]
    _, notices = read(b"".join([*pages[:6], b"no page" * 99, *pages[6:]]), strict=False)
    assert len(notices) == 1 and "its data is damaged at byte" in notices[0]
