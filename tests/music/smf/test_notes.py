"""Events to notes in ticks: pairing, programs, drums, pedals."""

import numpy as np
import pytest

from mt3x.music.midi import parse_midi
from mt3x.music.smf.chunks import read_events
from mt3x.music.smf.mending import Mending
from mt3x.music.smf.notes import collect_notes
from tests.music.smf.smf_bytes import END, midi_file, note


def read(*tracks, names=("pitch", "start_tick", "end_tick"), **options):
    """Columns of the notes, and what was mended."""
    events = read_events(midi_file(*tracks, **options), "a.mid")
    notes = collect_notes(events)
    return [tuple(row) for row in notes[list(names)].tolist()], dict(+events.mended)


def instruments(*tracks, **options):
    """(pitch, program) of the notes, "drums" for drums."""
    rows, _ = read(*tracks, names=("pitch", "program", "is_drum"), **options)
    return [(pitch, "drums" if is_drum else program) for pitch, program, is_drum in rows]


def lengths(*tracks, **options):
    """{pitch: seconds} under the pedals."""
    notes = parse_midi(midi_file(*tracks, **options), "a.mid").notes
    return dict(zip(notes["pitch"].tolist(), (notes["end"] - notes["start"]).round(3).tolist(), strict=True))


@pytest.mark.parametrize(
    ("events", "notes"),
    [
        ("00 903c5a 60 903c00", [(60, 0, 96)]),
        (
            "00 903c5a 60 903c5a 60 803c00",
            [(60, 0, 192), (60, 96, 192)],
        ),  # a release ends every earlier strike
        ("00 903c5a 60 903c5a 00 803c00 60 803c00", [(60, 0, 96), (60, 96, 192)]),  # but none of its own tick
        ("00 803c00 60 903c5a 60 803d00 60 803c00", [(60, 96, 288)]),
        ("00 903c5a 00 90405a 60 b07b00 00 90415a 60 804100", [(60, 0, 96), (64, 0, 96), (65, 96, 192)]),
        ("00 903c5a 00 91405a 60 b07800 60 814000", [(60, 0, 96), (64, 0, 192)]),
    ],
)
def test_notes_end_with_their_release(events, notes):
    assert read(events + END) == (notes, {})


def test_notes_that_are_never_released_end_with_their_track():
    tracks = ["00 903c5a 60 813c00 60" + END[2:], "00 903c5a 8360" + END[2:], "60 903e5a" + END]
    notes, mended = read(*tracks)
    assert notes == [(60, 0, 192), (60, 0, 480), (62, 96, 97)]
    assert mended == {Mending.UNRELEASED: 3}


def test_a_pitched_note_of_no_length_is_left_out_and_counted():
    events = "00 903c5a 00 803c00 00 903e5a 60 903e5a 00 803e00 00 803e00 00 90405a 00 b07b00"
    assert read(events + END) == ([(62, 0, 96)], {Mending.NO_LENGTH: 3})


def test_a_drum_hit_needs_no_length_and_no_release():
    events = "00 99245a 00 892400 60 99265a 60 992a5a 00 b97b00 60 992a5a 60 892a00"
    assert read(events + END) == ([(36, 0, 1), (38, 96, 192), (42, 192, 193), (42, 288, 384)], {})


def test_the_program_is_that_of_the_onset():
    events = "00 c005 00 903c5a 60 c007 60 803c00 00 903e5a 60 803e00"
    assert instruments(events + END) == [(60, 5), (62, 7)]


def test_a_track_without_programs_has_those_of_its_channel_in_other_tracks():
    tracks = ["00 c005 60 c006" + END, note(60) + note(62) + END, "60 c009" + note(64) + END]
    assert instruments(*tracks) == [(60, 5), (62, 9), (64, 9)]


def test_a_port_has_channels_of_its_own():
    first, second = "00 ff210100", "00 ff210101"
    tracks = [f"{first} 00 c028 00 b0407f" + note(60) + "8360 b04000" + END, second + note(64) + END]
    assert instruments(*tracks) == [(60, 40), (64, 0)]
    assert lengths(*tracks) == {60: 1.0, 64: 0.5}
    assert instruments(f"{first} 00 c028 {second} 00 c049" + note(60) + first + note(64) + END) == [
        (64, 40),
        (60, 73),
    ]


def test_tracks_of_type_2_share_no_channels():
    tracks = ["00 c028 00 b0407f" + note(60) + END, note(64) + END]
    assert instruments(*tracks, kind=2) == [(60, 40), (64, 0)]
    assert lengths(*tracks, kind=2) == {60: 0.5, 64: 0.5}


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ("", 0),
        ("00 b00078 00 b02000 00 c000", "drums"),  # General MIDI 2
        ("00 b0007f 00 b02000 00 c019", "drums"),  # XG
        ("00 b0007f 00 c019 00 b00000 00 c019", 25),
        (
            "00 f00a411042124000 7f0041f7 00 b0007f 00 c019",
            25,
        ),  # under GS no drums, but programs of the MT-32
        ("00 f00a41104212401115021bf7", "drums"),  # GS, part 1
        ("00 f00a41104212401a15020ff7", 0),  # GS, part 11
        ("00 f00a41104212401115021bf7 00 f00a41104212401115001df7", 0),
        ("00 f00a41104212401115021bf7 00 f0057e7f0901f7", 0),  # General MIDI on
        ("00 f00843104c08000702f7", "drums"),  # XG, part 1
        ("00 f00843104c08000700f7", 0),
        ("00 f00843104c08010702f7", 0),
        ("00 f00843104c08000702f7 00 f00843104c00007e00f7", 0),  # XG on
        ("00 f00641104212 40f7 00 f00643104c0800f7", 0),  # cut short
    ],
)
def test_drums_are_what_bank_and_system_exclusive_messages_make_drums(events, found):
    assert instruments(events + note(36) + END) == [(36, found)]


def test_channel_ten_is_drums_until_a_message_says_otherwise():
    assert instruments("00 c919" + note(36, 9) + END) == [(36, "drums")]
    assert instruments("00 c919 00 f00a411042124010150000f7" + note(36, 9) + END) == [(36, 25)]


def test_a_drum_part_is_one_of_all_tracks_from_then_on():
    events = "8360 f00a41104212401115021bf7" + END
    assert instruments(events, note(36) + note(38) + END) == [(36, 0), (38, "drums")]


def test_a_pedal_holds_its_own_channel():
    events = "00 b0407f 00 903c5a 00 91405a 8360 803c00 00 814000 8360 b04000"
    assert lengths(events + END) == {60: 1.0, 64: 0.5}


def test_a_pedal_of_another_track_holds_a_track_that_has_none():
    pedal = "00 b0407f 8740 b04000"
    assert lengths(pedal + END, note(60) + END) == {60: 1.0}  # of a track without notes
    left = "00 c000" + pedal[:9] + note(48) + "8360 b04000"
    assert lengths(left + END, note(60) + END) == {48: 1.0, 60: 1.0}  # two hands of a piano
    assert lengths(left + END, "00 c049" + note(72) + END) == {48: 1.0, 72: 0.5}  # a flute
    own = "00 b0407f" + note(64) + "60 b04000"
    assert lengths(left + END, own + END) == {48: 1.0, 64: 0.6}


def test_notes_come_by_track_port_and_channel():
    tracks = ["00 91405a 00 903c5a 60 803c00 00 814000" + END, note(36, 9) + END]
    events = read_events(midi_file(*tracks), "a.mid")
    notes = collect_notes(events)
    assert notes[["track", "port", "channel"]].tolist() == [(0, 0, 0), (0, 0, 1), (1, 0, 9)]
    assert notes["velocity"].tolist() == [90, 90, 90] and notes["end_tick"].dtype == np.int64
