"""Bends in MIDI files, by hand: channels, the wheel's positions, and what a reader makes of them."""

import io

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.music.bends import MOST_VOICES, plan_voices, wheel_positions
from mt3x.music.midi import read_midi_content
from mt3x.music.midi_writing import midi_bytes, write_midi
from mt3x.music.notes import make_notes, sort_notes
from mt3x.music.tempo_map import TempoMap

VIOLIN, GUITAR, PIANO = 40, 25, 0
NO_BEND = np.zeros((0, 2), np.float32)


def bend(*points):
    return np.array(points, np.float32).reshape(-1, 2)


def events_of(data):
    """(seconds at 120 quarters a minute, message) of all tracks but the first, in order."""
    midi = mido.MidiFile(file=io.BytesIO(data))
    found = []
    for track in midi.tracks[1:]:
        tick = 0
        for message in track:
            tick += message.time
            found.append((tick / 1920, message))
    return found


def only(data, kind):
    return [(seconds, message) for seconds, message in events_of(data) if message.type == kind]


def test_a_wheel_goes_where_the_note_goes():
    points = bend((1.0, 0.0), (1.1, 50.0), (1.2, 51.0), (1.3, -100.0), (2.0, 90.0))
    # 200 cents are 8192; a cent more is no event, and the last point lies at the note's end.
    assert wheel_positions(points, 1.0, 2.0) == [
        (1.0, 0),
        (pytest.approx(1.1), 2048),
        (pytest.approx(1.3), -4096),
    ]


def test_a_note_that_does_not_bend_sets_the_wheel_back():
    assert wheel_positions(NO_BEND, 1.0, 2.0) == [(1.0, 0)]


def test_a_line_bends_on_one_channel_before_each_note_begins():
    notes = make_notes([0.0, 1.0], [1.0, 2.0], [60, 62], program=VIOLIN)
    data = midi_bytes(notes, bends=[bend((0.0, 30.0), (0.5, -30.0)), bend((1.0, 10.0))])
    wheel = only(data, "pitchwheel")
    assert [(seconds, message.pitch) for seconds, message in wheel] == [(0.0, 1229), (0.5, -1229), (1.0, 410)]
    assert {message.channel for _, message in events_of(data) if hasattr(message, "channel")} == {0}
    kinds = [m.type for seconds, m in events_of(data) if seconds == 1.0 and not m.is_meta]
    assert kinds == ["note_off", "pitchwheel", "note_on"]
    controls = [(m.control, m.value) for _, m in only(data, "control_change")]
    assert controls == [(101, 0), (100, 0), (6, 2), (38, 0), (101, 127), (100, 127)]  # two semitones


def test_legato_is_still_a_line():
    notes = make_notes([0.0, 0.96], [1.0, 2.0], [60, 62], program=VIOLIN)
    assert plan_voices([notes], 15)[0].count == 1


def test_chords_of_one_instrument_are_an_expression_zone():
    notes = make_notes([0.0, 0.0, 1.0], [1.0, 1.0, 2.0], [60, 64, 67], program=GUITAR)
    bends = [bend((0.0, 20.0)), bend((0.0, -20.0)), NO_BEND]
    data = midi_bytes(notes, bends=bends)
    zone = [m for _, m in only(data, "control_change") if m.channel == 0]
    assert [(m.control, m.value) for m in zone][:3] == [(101, 0), (100, 6), (6, 2)]
    assert {m.channel for _, m in only(data, "note_on")} == {1, 2}
    by_channel = {m.channel: m.pitch for seconds, m in only(data, "pitchwheel") if seconds == 0.0}
    pitches = {m.channel: m.note for seconds, m in only(data, "note_on") if seconds == 0.0}
    assert {pitches[channel]: position for channel, position in by_channel.items()} == {60: 819, 64: -819}


def test_beside_others_chords_take_plain_channels():
    chords = make_notes([0.0, 0.0], [1.0, 1.0], [60, 64], program=GUITAR)
    melody = make_notes([0.0], [1.0], [72], program=VIOLIN)
    drums = make_notes([0.0], [0.1], [38], is_drum=True)
    notes = sort_notes(np.concatenate([chords, melody, drums]))
    data = midi_bytes(notes, bends=[NO_BEND] * 4)
    assert not [m for _, m in only(data, "control_change") if (m.control, m.value) == (100, 6)]
    assert sorted(m.channel for _, m in only(data, "note_on")) == [0, 1, 2, 9]
    programs = {m.channel: m.program for _, m in only(data, "program_change") if m.channel != 9}
    assert programs == {0: GUITAR, 1: GUITAR, 2: VIOLIN}


def test_keyboards_do_not_bend():
    notes = make_notes([0.0, 0.0], [1.0, 1.0], [60, 64], program=PIANO)
    data = midi_bytes(notes, bends=[bend((0.0, 30.0))] * 2)
    assert not only(data, "pitchwheel") and not only(data, "control_change")


def test_who_has_most_voices_stops_bending_first():
    def chord(program, size):
        return make_notes(np.zeros(size), np.ones(size), 60 + np.arange(size), program=program)

    plans = plan_voices([chord(program, size) for program, size in ((24, 6), (40, 1), (25, 5), (26, 6))], 15)
    assert [(plan.bends, plan.count) for plan in plans] == [(False, 1), (True, 1), (True, 5), (True, 6)]
    assert not plan_voices([chord(40, MOST_VOICES + 1)], 15)[0].bends


def test_there_must_be_a_bend_for_each_note():
    with pytest.raises(ValueError, match="there are 1 bends for 2 notes; give one for each"):
        midi_bytes(make_notes([0.0, 1.0], [1.0, 2.0], 60), bends=[NO_BEND])


def test_bends_follow_the_tempo():
    notes = make_notes([1.0], [3.0], [60], program=VIOLIN)
    data = midi_bytes(notes, TempoMap(((0.0, 60.0),)), bends=[bend((1.0, 0.0), (2.0, 100.0))])
    assert [seconds * 2 for seconds, _ in only(data, "pitchwheel")] == [
        1.0,
        2.0,
    ]  # half as many ticks a second


@given(seed=st.integers(0, 2**16), count=st.integers(1, 60))
def test_bends_change_no_note(tmp_path_factory, seed, count):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 10, count)
    is_drum = rng.random(count) < 0.2
    program = np.where(is_drum, 0, rng.choice([0, 25, 40, 53, 73], count))
    notes = sort_notes(
        make_notes(
            start, start + rng.uniform(0.05, 2, count), rng.integers(40, 80, count), 90, program, is_drum
        )
    )
    bends = [
        np.stack([np.linspace(n["start"], n["end"], 5), rng.normal(0, 60, 5)], 1).astype(np.float32)
        for n in notes
    ]
    folder = tmp_path_factory.mktemp("bends")
    write_midi(notes, folder / "plain.mid")
    write_midi(notes, folder / "bent.mid", bends=bends)
    plain, bent = (read_midi_content(folder / f"{name}.mid") for name in ("plain", "bent"))
    assert plain.num_bends == 0
    np.testing.assert_array_equal(sort_notes(plain.notes), sort_notes(bent.notes))
