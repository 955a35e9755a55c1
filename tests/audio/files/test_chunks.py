"""Files of chunks hold what they hold, whatever lengths their headers state."""

import os
import struct

import numpy as np
import pytest

from mt3x.audio.errors import AudioError
from mt3x.audio.files.contents import find_parts
from mt3x.audio.load import load_audio, stream_audio
from tests.audio.media import by_sndfile

RATE = 44100
NOISE = np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32)
NUM_BYTES = 2 * len(NOISE)
HEADERS = {
    "WAV": ("<I", 40, 0),
    "WAVEX": ("<I", 76, 0),
    "RF64": ("<Q", 28, 0),
    "W64": ("<Q", 96, 24),
    "AIFF": (">I", 42, 8),
    "CAF": (">Q", 4084, 4),
    "AU": (">I", 8, 0),
}
"""Of each format: how the length of the samples is written, where, and what it includes beside them."""


def with_length(data, container, num_bytes):
    kind, place, more = HEADERS[container]
    field = struct.pack(kind, (num_bytes + more) % 2 ** (8 * struct.calcsize(kind)))
    return data[:place] + field + data[place + len(field) :]


def read(data, **options):
    """The samples, and the notices."""
    stream = stream_audio(data, RATE, **options)
    return np.concatenate(list(stream)), stream.notices


def check_whole(data, samples=NOISE):
    found, notices = read(data)
    assert notices == [] and len(found) == len(samples)
    np.testing.assert_allclose(found, samples, atol=2**-14)


@pytest.mark.parametrize("container", HEADERS)
def test_the_test_knows_where_lengths_are(container):
    data = by_sndfile(NOISE, RATE, container, "PCM_16")
    assert with_length(data, container, NUM_BYTES) == data


@pytest.mark.parametrize("container", HEADERS)
@pytest.mark.parametrize("num_bytes", [0, NUM_BYTES // 2, NUM_BYTES // 3 | 1, 2**64 - 1])
def test_lengths_that_are_zero_too_small_or_unknown_hide_nothing(container, num_bytes):
    if container == "AU" and num_bytes == 2**64 - 1:
        num_bytes = 2**32 - 1
    check_whole(with_length(by_sndfile(NOISE, RATE, container, "PCM_16"), container, num_bytes))


@pytest.mark.parametrize("container", HEADERS)
def test_a_length_that_is_too_large_is_that_of_a_file_that_was_cut(container):
    data = with_length(by_sndfile(NOISE, RATE, container, "PCM_16"), container, 2 * NUM_BYTES)
    samples, notices = read(data, strict=False)
    np.testing.assert_allclose(samples, NOISE, atol=2**-14)
    lengths = f"its header promises {2 * NUM_BYTES} bytes of audio and {NUM_BYTES} are there"
    reason = f"is cut off after 5.0 s: {lengths}"
    assert notices == [f"the recording {reason}"]
    with pytest.raises(AudioError, match=f"the file of {len(data)} bytes: {reason}. Record, export or copy"):
        load_audio(data)


@pytest.mark.parametrize("size", [0, 8, 2**31 - 1, 2**32 - 1, NUM_BYTES // 2])
def test_the_length_of_the_whole_file_is_not_needed(size):
    data = by_sndfile(NOISE, RATE, "WAV")
    check_whole(data[:4] + struct.pack("<I", size) + data[8:])
    check_whole(with_length(data[:4] + struct.pack("<I", size) + data[8:], "WAV", 0))


@pytest.mark.parametrize("size", [0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_written_through_a_pipe_has_no_promise_to_break(size):
    check_whole(with_length(by_sndfile(NOISE, RATE, "WAV"), "WAV", size))


@pytest.mark.parametrize("num_frames", [2**31 + 5 * RATE, 2**32 + 11])
def test_a_length_that_wrapped_around_at_4_gb_is_found_again(tmp_path, num_frames):
    data = with_length(by_sndfile(NOISE, RATE, "WAV"), "WAV", 2 * num_frames % 2**32)
    chunk = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf59.27.100\0"
    with open(tmp_path / "long.wav", "wb") as file:  # zeros in the middle take no room on the disk
        file.write(data)
        file.seek(44 + 2 * num_frames)
        file.write(chunk)
    with open(tmp_path / "long.wav", "rb") as file:
        (part,) = find_parts(file, os.path.getsize(tmp_path / "long.wav"))
    assert (part.start, part.end, part.missing) == (44, 44 + 2 * num_frames, None)
    stream = stream_audio(tmp_path / "long.wav", RATE)
    np.testing.assert_allclose(next(stream)[: len(NOISE)], NOISE, atol=2**-14)
    assert stream.seconds == num_frames / RATE
    stream.close()


CHUNKS = {
    "none": b"",
    "LIST": b"LIST" + struct.pack("<I", 10) + b"INFOabcdef",
    "unknown": b"ab12" + struct.pack("<I", 4) + b"\xff\x7f\0\x80" + b"zero" + bytes(4),
    "cut": b"id3 " + struct.pack("<I", 99999) + b"ID3\3" + bytes(50),
    "ID3v1": b"TAG" + b"song".ljust(125, b"\0"),
    "ID3v2": b"ID3\3\0\0\0\0\0\x10" + bytes(16),
    "padding": b"\0\0\0",
}


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("length", ["right", "odd"])
def test_what_follows_the_samples_is_not_sound(chunks, length):
    samples = NOISE if length == "right" else NOISE[: len(NOISE) - 1]
    data = by_sndfile(samples, RATE, "WAV", "PCM_U8" if length == "odd" else "PCM_16")
    found, notices = read(data + CHUNKS[chunks])
    assert len(found) == len(samples) and notices == []


@pytest.mark.parametrize("num_bytes", [0, 2**32 - 1, NUM_BYTES // 2])
def test_chunks_behind_samples_of_wrong_length_are_not_sound(num_bytes):
    check_whole(with_length(by_sndfile(NOISE, RATE, "WAV"), "WAV", num_bytes) + CHUNKS["LIST"])


def test_an_odd_number_of_bytes_is_no_shortfall():
    data = by_sndfile(NOISE[:44101], RATE, "WAV", "PCM_U8")
    assert len(load_audio(data, RATE)) == len(load_audio(data[: 44 + 44101], RATE)) == 44101


@pytest.mark.parametrize(
    "before", [b"ID3\3\0\0\0\0\2\1" + bytes(257), bytes(512), b"\0\x04song.wav" + bytes(118), b"junk" * 9]
)
@pytest.mark.parametrize("container", ["WAV", "AIFF", "FLAC"])
def test_tags_and_junk_before_a_file_are_passed_over(before, container):
    check_whole(before + by_sndfile(NOISE, RATE, container, "PCM_16"))


def test_joined_files_are_read_one_after_the_other():
    wav, rest = by_sndfile(NOISE, RATE, "WAV"), by_sndfile(NOISE[:RATE], 22050, "WAV")
    check_whole(wav + wav, np.concatenate([NOISE, NOISE]))
    check_whole(wav + CHUNKS["LIST"] + wav, np.concatenate([NOISE, NOISE]))
    assert len(load_audio(wav + rest, RATE)) == pytest.approx(7 * RATE, abs=1)
    aiff = by_sndfile(NOISE, RATE, "AIFF", "PCM_16")
    check_whole(aiff + aiff, np.concatenate([NOISE, NOISE]))


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"]
)
@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64", "W64"])
def test_every_encoding_is_read_without_its_header_as_with_it(container, subtype):
    data = by_sndfile(NOISE, RATE, container, subtype)
    kind, more = ("<Q", 24 if container == "W64" else 0) if container in ("W64", "RF64") else ("<I", 0)
    place = data.index(b"ds64") + 16 if container == "RF64" else data.index(b"data") + (16 if more else 4)
    (stated,) = struct.unpack(kind, data[place : place + struct.calcsize(kind)])
    broken = (
        data[:place] + struct.pack(kind, (stated - more) // 2 + more) + data[place + struct.calcsize(kind) :]
    )
    np.testing.assert_array_equal(load_audio(broken), load_audio(data))


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize(
    ("container", "subtypes"),
    [
        ("WAV", ("PCM_16", "FLOAT")),
        ("AIFF", ("PCM_S8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ALAW")),
        ("CAF", ("PCM_S8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW")),
        ("AU", ("PCM_16", "PCM_24", "FLOAT", "ALAW")),
    ],
)
def test_both_orders_of_bytes_are_read_from_a_header_of_length_zero(container, subtypes, endian):
    if endian == "LITTLE" and container in ("AIFF", "AU"):
        subtypes = ("PCM_16",) if container == "AIFF" else ()
    for subtype in subtypes:
        order_of_file = endian if container == "WAV" or endian == "LITTLE" else "FILE"
        data = by_sndfile(NOISE, RATE, container, subtype, endian=order_of_file)
        name, size, more = {
            "WAV": (b"data", 4, 0),
            "AIFF": (b"SSND", 4, 8),
            "CAF": (b"data", 8, 4),
            "AU": (b".snd", 4, 0),
        }[container]
        place = data.index(name) + (8 if container == "AU" else 4)
        order = "little" if container == "WAV" and endian == "LITTLE" else "big"
        broken = data[:place] + more.to_bytes(size, order) + data[place + size :]
        np.testing.assert_array_equal(load_audio(broken), load_audio(data))


@pytest.mark.parametrize("container", ["WAV", "AIFF", "W64", "CAF", "RF64"])
@pytest.mark.parametrize("num_bytes", [3, 12, 17, 30, 60])
def test_a_header_that_is_cut_off_is_one_line(container, num_bytes):
    with pytest.raises(AudioError) as error:
        load_audio(by_sndfile(NOISE, RATE, container, "PCM_16")[:num_bytes])
    assert "\n" not in str(error.value)


def test_a_header_alone_is_cut_off_at_zero():
    for strict in (True, False):
        with pytest.raises(AudioError, match=r"is cut off after 0\.0 s: its header promises"):
            list(stream_audio(by_sndfile(NOISE, RATE, "WAV")[:44], strict=strict))


def test_half_a_wav_is_refused_before_any_block_leaves():
    with pytest.raises(AudioError, match=f"promises {NUM_BYTES} bytes of audio and 220456 are there"):
        next(stream_audio(by_sndfile(NOISE, RATE, "WAV")[: 44 + 220456]))


def test_floats_on_the_scale_of_integers_are_scaled_with_a_notice():
    samples, notices = read(by_sndfile(NOISE * 32768, RATE, "WAV", "FLOAT"))
    np.testing.assert_allclose(samples, NOISE, atol=1e-6)
    assert notices == ["the samples are floats in the range of 16 bits: taken for these"]
