"""A file to events: wrappers, headers, chunks, clocks."""

import pytest

from mt3x.music.smf.chunks import Clock, read_events
from mt3x.music.smf.mending import Mending, MidiError
from tests.music.smf.smf_bytes import END, chunk, midi_file, note

TRACK = bytes.fromhex(note(60) + END)
HEADER = midi_file(num_tracks=1)


def read(data):
    """The ticks of messages, and what was mended."""
    events = read_events(data, "a.mid")
    return events.messages["tick"].tolist(), {kind for kind, count in events.mended.items() if count}


PLAIN = midi_file(TRACK)
BOTH = [0, 480]


def test_a_plain_file_needs_no_mending():
    events = read_events(PLAIN, "a.mid")
    message = events.messages[1]
    assert message.tolist() == (480, 0, 0, 0x80, 0, 60, 0)
    assert events.end_ticks.tolist() == [480] and not events.others
    assert events.clock == Clock(480, (), True) and not +events.mended


@pytest.mark.parametrize(
    ("data", "mended"),
    [
        (bytes(128) + PLAIN, {Mending.SKIPPED_BYTES}),  # MacBinary
        (b"RIFF" + bytes(4) + b"RMIDdata" + bytes(4) + PLAIN + b"\0LIST....INFO", set()),
        (PLAIN + b"\0\0", {Mending.SKIPPED_BYTES}),
        (midi_file(TRACK, num_tracks=3), {Mending.TRACK_COUNT}),
        (midi_file(TRACK, num_tracks=0), {Mending.TRACK_COUNT}),
        (HEADER + b"XFIH\0\0\0\2ab" + chunk(TRACK) + chunk(b"a", name=b"XFKM"), set()),
        (midi_file(TRACK, num_tracks=2) + chunk(b"a", name=b"XFKM"), set()),
        (HEADER + b"\x85\0\0" + chunk(TRACK), {Mending.SKIPPED_BYTES}),
        (HEADER + chunk(TRACK + b"\0\x90H"), {Mending.SKIPPED_BYTES}),
        (HEADER + chunk(TRACK[:-4]), {Mending.NO_END}),
        (HEADER + chunk(TRACK[:-4], 99), {Mending.CUT}),
        (HEADER + chunk(TRACK[:-1]), {Mending.CUT}),
        *((HEADER + chunk(TRACK, length), {Mending.TRACK_LENGTH}) for length in (0, 3, 8, 12, 99, 2**32 - 1)),
        (b"MThd\0\0\0\x08\0\1\0\1\1\xe0??" + chunk(TRACK), set()),
        (b"MThd\0\0\0\0\0\1\0\1\1\xe0" + chunk(TRACK), set()),
    ],
)
def test_a_file_is_read_whatever_its_lengths_and_counts_say(data, mended):
    assert read(data) == (BOTH, mended)


@pytest.mark.parametrize("length", [0, 3, 8, 12, 16, 25, 2**32 - 1])
def test_a_wrong_length_does_not_hide_the_next_track(length):
    assert read(midi_file(num_tracks=2) + chunk(TRACK, length) + chunk(TRACK)) == (
        BOTH * 2,
        {Mending.TRACK_LENGTH},
    )


def test_a_track_without_an_end_or_a_length_stops_before_the_next():
    data = midi_file(num_tracks=2) + chunk(TRACK[:-4], 0) + chunk(TRACK)
    assert read(data) == (BOTH * 2, {Mending.NO_END, Mending.TRACK_LENGTH})


def test_tracks_of_type_2_play_one_after_another():
    slow = "00 ff51030f4240 "
    data = midi_file(slow + note(60) + END, note(62) + "10" + END[2:], note(64) + END, kind=2)
    events = read_events(data, "a.mid")
    assert events.messages["tick"].tolist() == [0, 480, 480, 960, 976, 1456]
    assert events.end_ticks.tolist() == [480, 976, 1456] and events.are_sequential
    assert events.clock.tempos == ((0, 500_000), (0, 1_000_000), (480, 500_000), (976, 500_000))


def test_tempos_count_wherever_they_are_and_are_put_in_order():
    tempos = ["60 ff51030f4240" + END, "30 ff510407a12000 30 ff5103000000 30 ff510207a1" + END]
    clock = read_events(midi_file(*tempos), "a.mid").clock
    assert clock.tempos == ((0x30, 500_000), (0x60, 1_000_000))


@pytest.mark.parametrize(
    ("division", "clock"),
    [
        (0xE728, (1000, 1_000_000)),
        (0xE250, (2400, 1_000_000)),
        (0xE850, (1920, 1_000_000)),
        (0xE304, (120, 1_001_000)),
    ],
)
def test_smpte_time_code_has_ticks_of_its_own(division, clock):
    events = read_events(midi_file("00 ff51030f4240" + END, division=division), "a.mid")
    assert events.clock == Clock(clock[0], ((0, clock[1]),), False)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"RIFF....WAVE", r"is not a MIDI file \(it holds no 'MThd'\)"),
        (b"MThd\0\0\0\6", "MIDI file is cut short at byte 8"),
        (midi_file(), "holds no track"),
        (midi_file() + b"MTrk\0\0", "holds no track"),
        (midi_file(TRACK, division=0), "time division is 0; it must be 1 to 32767"),
        (midi_file(TRACK, division=0x8001), "time division is -32767"),
        (midi_file(TRACK, division=0xE700), "time division is -6400"),
        (midi_file("8fffffff7f c000" * 17 + END), "would last 73014444015 ticks"),
        (midi_file(*["8fffffff7f c000" + END] * 17, kind=2), "would last 73014444015 ticks"),
    ],
)
def test_what_is_no_midi_is_refused_by_name(data, reason):
    with pytest.raises(MidiError, match=f"a.mid: .*{reason}"):
        read_events(data, "a.mid")
