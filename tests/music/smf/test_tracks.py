"""Bytes of one track to events, worked by hand."""

import pytest

from mt3x.music.smf.mending import Mending
from mt3x.music.smf.tracks import (
    SYSTEM_EXCLUSIVE,
    Findings,
    parse_key_signature,
    parse_time_signature,
    read_track,
)


def read(text, stop=None):
    """Messages as (tick, status, data bytes), the findings, and how the track ended."""
    data, findings = bytes.fromhex(text), Findings()
    end = read_track(data, 0, len(data) if stop is None else stop, 7, findings)
    messages = [(m >> 24, m >> 16 & 0xFF, m >> 8 & 0xFF, m & 0xFF) for m in findings.messages]
    return messages, findings, end


def test_messages_with_their_ticks():
    messages, findings, end = read("00 903c5a  8360 803c00  00 c105  05 ff2f00")
    assert messages == [(0, 0x90, 60, 90), (480, 0x80, 60, 0), (480, 0xC1, 5, 0)]
    assert end == (16, 485, True, False) and not findings.mended and findings.sources == [(0, 7, 0)]


@pytest.mark.parametrize("between", ["00 ff0501 6c", "00 f003 4312f7", "00 f701 f3"])
def test_running_status_survives_what_is_no_message(between):
    messages, findings, _ = read(f"00 903c5a {between} 60 3c00 00 ff2f00")
    assert messages == [(0, 0x90, 60, 90), (96, 0x90, 60, 0)] and not findings.mended


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("7f", 127),
        ("8100", 128),
        ("ff7f", 16383),
        ("818000", 16384),
        ("ffffff7f", 2**28 - 1),
        ("80808080808100", 128),
    ],
)
def test_quantities_of_any_length(text, ticks):
    messages, findings, end = read(f"{text} c000 00 ff2f00")
    assert messages == [(ticks, 0xC0, 0, 0)] and end.tick == ticks and not +findings.mended


@pytest.mark.parametrize(("text", "ticks"), [("8180808000", 2**28), ("8fffffff7f", 2**32 - 1)])
def test_delta_times_of_32_bits_are_read_and_counted(text, ticks):
    messages, findings, _ = read(f"00 c000 {text} c001")
    assert messages[1][0] == ticks and findings.mended == {Mending.LONG_DELTA: 1}


@pytest.mark.parametrize("text", ["9080808000", "8280808080808000", "ff" * 1_000_000])
def test_a_quantity_that_cannot_be_ends_the_track(text):
    messages, _, end = read(f"00 c000 {text} c001 00 ff2f00")
    assert messages == [(0, 0xC0, 0, 0)] and end.is_cut and not end.has_end


def test_a_data_byte_above_127_is_brought_into_range():
    messages, findings, _ = read("00 903cc8 00 b007ff 00 c080 00 90bc5a")
    assert [message[2:] for message in messages] == [(60, 127), (7, 127), (0, 0), (60, 90)]
    assert findings.mended == {Mending.WRONG_VALUE: 4}


@pytest.mark.parametrize(("text", "count"), [("f8", 1), ("f4", 1), ("f105", 2), ("f20102", 3), ("fe", 1)])
def test_system_messages_are_passed_over(text, count):
    messages, findings, _ = read(f"00 903c5a 8170 {text} 8170 3c00")
    assert messages == [(0, 0x90, 60, 90), (480, 0x90, 60, 0)]
    assert findings.mended == {Mending.SKIPPED_BYTES: count}


def test_data_without_a_status_is_passed_over():
    messages, findings, _ = read("00 3c 00 5a 00 903c5a")
    assert messages == [(0, 0x90, 60, 90)] and findings.mended == {Mending.SKIPPED_BYTES: 2}


def test_system_exclusive_messages_may_come_in_parts():
    _, findings, _ = read("00 f004 43120001 0a f702 05f7 00 f003 410ef7 00 f701 f8")
    others = [(other.tick, other.kind, other.content.hex()) for other in findings.others]
    assert others == [(10, SYSTEM_EXCLUSIVE, "4312000105f7"), (10, SYSTEM_EXCLUSIVE, "410ef7")]


def test_a_system_exclusive_message_without_length_ends_with_its_f7():
    messages, findings, _ = read("00 f0 7e7f0901f7 00 903c5a")
    assert messages == [(0, 0x90, 60, 90)] and findings.mended == {Mending.WRONG_VALUE: 1}
    assert read("00 f0 7e7f0901 00")[2].is_cut


def test_a_port_holds_until_the_next():
    _, findings, _ = read("00 c000 00 ff210103 00 c000 00 c000 00 ff210100")
    assert findings.sources == [(0, 7, 0), (1, 7, 3), (3, 7, 0)]


@pytest.mark.parametrize(
    "event",
    [
        "ff5902ee01",
        "ff59020800",
        "ff5902feff",
        "ff590100",
        "ff58020402",
        "ff580400021808",
        "ff580404081808",
        "ff5103000000",
        "ff510407a12000",
        "ff5405e000000000",
        "ff2000",
        "ff2100",
        "ff0000",
    ],
)
def test_a_meta_event_with_a_wrong_value_or_length_is_counted(event):
    _, findings, end = read(f"00 {event} 00 ff2f00")
    assert findings.mended == {Mending.WRONG_VALUE: 1} and end.has_end


def test_signatures():
    assert parse_time_signature(b"\x07\x03") == (7, 8)
    assert (
        parse_time_signature(b"\x07")
        is parse_time_signature(b"\0\2")
        is parse_time_signature(b"\4\x08")
        is None
    )
    assert [parse_key_signature(key) for key in (b"\xf9\1", b"\7\0", b"\3")] == [
        (-7, True),
        (7, False),
        (3, False),
    ]
    assert (
        parse_key_signature(b"\xf8\0") is parse_key_signature(b"\x08\0") is parse_key_signature(b"") is None
    )


@pytest.mark.parametrize(
    "text", ["00", "00 90", "00 903c", "00 ff", "00 ff03", "00 ff0305 61", "83", "00 c0"]
)
def test_a_track_may_end_anywhere(text):
    assert read(text)[2].is_cut
    # What follows belongs to the next chunk.
    messages, findings, end = read(f"{text} 4d54726b 00000004", stop=len(bytes.fromhex(text)))
    assert end.is_cut and end.position == len(bytes.fromhex(text)) and messages == findings.others == []


def test_a_track_without_an_end_is_not_cut():
    assert read("00 903c5a 60 803c00")[2] == (8, 96, False, False)
