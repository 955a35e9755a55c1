import io

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.music.midi import read_midi
from mt3x.music.midi_writing import midi_bytes, to_pretty_midi, write_midi
from mt3x.music.notes import NOTE_DTYPE, empty_notes, make_notes, trim_overlapping_notes
from mt3x.music.tempo_map import TempoMap
from tests.music.midi_notes import random_notes, rows

TICK_SECONDS = 1 / 1920  # 960 ticks per quarter at 120 quarters per minute


@given(
    st.lists(
        st.builds(
            lambda start, length, pitch, velocity, program, is_drum: (
                start,
                start + length,
                pitch,
                velocity,
                0 if is_drum else program,
                is_drum,
            ),
            st.floats(0, 1000),
            st.floats(0.01, 100),
            st.integers(0, 127),
            st.integers(1, 127),
            st.integers(0, 127),
            st.booleans(),
        ),
        max_size=40,
    ),
    st.floats(10, 300),
)
def test_notes_survive_a_round_trip_within_a_tick(tmp_path_factory, rows, tempo):
    # One note per (pitch, program, drum) key, so that no two overlap.
    notes = np.array(list({row[2:3] + row[4:]: row for row in rows}.values()), NOTE_DTYPE)
    path = tmp_path_factory.mktemp("midi") / "a.mid"
    write_midi(notes, path, tempo)
    order = ("is_drum", "program", "pitch")
    back, notes = np.sort(read_midi(path), order=order), np.sort(notes, order=order)
    for name in ("pitch", "velocity", "program", "is_drum"):
        np.testing.assert_array_equal(back[name], notes[name])
    tick_seconds = 60 / tempo / 960
    for name in ("start", "end"):
        np.testing.assert_allclose(back[name], notes[name], rtol=0, atol=tick_seconds)


@given(
    st.lists(st.tuples(st.floats(0.01, 20), st.floats(5, 1000)), max_size=20),
    st.floats(5, 1000),
    st.lists(st.floats(0, 100), min_size=1, max_size=20),
)
def test_times_survive_any_tempo_map_within_a_tick(tmp_path_factory, changes, first, starts):
    positions = np.cumsum([length for length, _ in changes]).tolist()
    tempos = ((0.0, first), *zip(positions, [tempo for _, tempo in changes], strict=True))
    start = np.array(starts)
    notes = make_notes(start, start + 1, np.arange(len(start)) + 40)
    path = tmp_path_factory.mktemp("midi") / "a.mid"
    write_midi(notes, path, TempoMap(tempos))
    back = np.sort(read_midi(path), order="pitch")
    tick_seconds = 60 / min(tempo for _, tempo in tempos) / 960
    for name in ("start", "end"):
        np.testing.assert_allclose(back[name], notes[name], rtol=0, atol=0.501 * tick_seconds)


def test_tempos_and_signatures_are_stored_hand_worked():
    tempo_map = TempoMap(((0, 120), (1, 60), (4, 100)), ((0, 1, 4), (1, 6, 8)), ((0, -3), (4, 7)))
    # The note begins a quarter after the second tempo does, and ends with the third.
    midi_file = mido.MidiFile(file=io.BytesIO(midi_bytes(make_notes(1.5, 3.5, 60), tempo_map)))
    told, tick = [], 0
    for message in midi_file.tracks[0][:-1]:
        tick += message.time
        values = message.dict()
        del values["type"], values["time"]
        told.append((tick, *list(values.values())[:2]))
    assert told == [
        *[(0, 1, 4), (0, "Eb"), (0, 500_000)],
        *[(960, 6, 8), (960, 1_000_000)],
        *[(3840, "C#"), (3840, 600_000)],
    ]
    assert [message.time for message in midi_file.tracks[1] if not message.is_meta] == [0, 1920, 1920]


def test_repeated_notes_survive_a_round_trip(tmp_path):
    notes = trim_overlapping_notes(random_notes(seed=1, num_programs=3))
    write_midi(notes, tmp_path / "a.mid")
    back = read_midi(tmp_path / "a.mid")
    assert len(back) == len(notes)
    for name in ("start", "end"):
        np.testing.assert_allclose(np.sort(back[name]), np.sort(notes[name]), rtol=0, atol=TICK_SECONDS)


def test_each_program_has_a_named_track_and_drums_are_last(tmp_path):
    notes = make_notes(0.0, 1.0, [60, 40, 38], program=[40, 33, 7], is_drum=[False, False, True])
    write_midi(notes, tmp_path / "a.mid")
    tracks = mido.MidiFile(tmp_path / "a.mid").tracks
    assert [track.name for track in tracks] == ["", "Electric Bass (finger)", "Violin", "Drums"]
    channels = [{m.channel for m in track if m.type == "note_on"} for track in tracks]
    assert channels == [set(), {0}, {1}, {9}]


def test_forty_programs_keep_their_own_tracks_and_notes(tmp_path):
    notes = make_notes(np.arange(40) / 4, np.arange(40) / 4 + 1.0, 60, program=np.arange(40))
    write_midi(notes, tmp_path / "a.mid")
    assert read_midi(tmp_path / "a.mid")["program"].tolist() == list(range(40))
    assert len(mido.MidiFile(tmp_path / "a.mid").tracks) == 41


def test_shared_channels_sound_right_when_tracks_are_merged():
    notes = make_notes([0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 1.5, 1.5], 60, program=[0, 15, 0, 15])
    many = make_notes(3.0, 4.0, 60, program=np.arange(16))  # program 15 comes to share channel 0
    midi_file = mido.MidiFile(file=io.BytesIO(midi_bytes(np.concatenate([notes, many]))))
    heard, program = [], {}
    for message in mido.merge_tracks(midi_file.tracks):
        if message.type == "program_change":
            program[message.channel] = message.program
        elif message.type == "note_on" and message.channel == 0:
            heard.append(program[0])
    assert heard == [0, 15] * 3


def test_drums_never_take_a_pitched_channel():
    notes = make_notes(0.0, 1.0, 60, program=np.arange(30), is_drum=np.arange(30) == 29)
    midi_file = mido.MidiFile(file=io.BytesIO(midi_bytes(notes)))
    for track in midi_file.tracks[1:]:
        channels = {message.channel for message in track if not message.is_meta}
        assert (channels == {9}) == (track.name == "Drums")


def test_note_without_length_lasts_one_tick(tmp_path):
    write_midi(make_notes([1.0, 2.0], [1.0, 2.0001], [60, 62]), tmp_path / "a.mid")
    notes = read_midi(tmp_path / "a.mid")
    assert notes["start"].tolist() == [1.0, 2.0]
    np.testing.assert_allclose(notes["end"] - notes["start"], TICK_SECONDS)


def test_overlapping_notes_of_one_pitch_are_cut_at_the_next_onset(tmp_path):
    write_midi(make_notes([0.0, 1.0], [2.0, 3.0], 60, [50, 70]), tmp_path / "a.mid")
    got = rows(read_midi(tmp_path / "a.mid"), "start", "end", "velocity")
    assert got == [(0.0, 1.0, 50), (1.0, 3.0, 70)]


def test_no_notes_make_a_valid_file(tmp_path):
    write_midi(empty_notes(), tmp_path / "a.mid")
    assert len(read_midi(tmp_path / "a.mid")) == 0


def test_tempo_is_stored(tmp_path):
    write_midi(make_notes(1.0, 2.0, 60), tmp_path / "a.mid", tempo=90)
    tempos = [m.tempo for m in mido.MidiFile(tmp_path / "a.mid").tracks[0] if m.type == "set_tempo"]
    assert tempos == [round(60e6 / 90)]


@pytest.mark.parametrize("tempo", [0, -5, 3, 1e9, float("nan")])
def test_tempo_that_midi_cannot_store_is_refused(tempo):
    with pytest.raises(ValueError, match=r"tempo is .*3\.58"):
        midi_bytes(empty_notes(), tempo)


def test_unsound_notes_are_refused_and_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="note 0 has pitch 200"):
        write_midi(make_notes(0.0, 1.0, 200), tmp_path / "a.mid")
    assert list(tmp_path.iterdir()) == []


def test_paths_may_hold_spaces_and_any_letters(tmp_path):
    path = tmp_path / "Für Élise – Ж 音.mid"
    write_midi(make_notes(0.0, 1.0, 60), str(path))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert len(read_midi(str(path))) == 1


def test_failed_write_names_the_file_and_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.mid"
    write_midi(make_notes(0.0, 1.0, 60), path)
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.mid'"):
        write_midi(empty_notes(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mid"]
    assert path.read_bytes() == before


def pedal_moves(data):
    """(seconds, channel, value) of a file's sustain pedals."""
    moves, seconds = [], 0.0
    for message in mido.MidiFile(file=io.BytesIO(data)):
        seconds += message.time
        if message.type == "control_change" and message.control == 64:
            moves.append((round(seconds, 3), message.channel, message.value))
    return moves


PEDAL = np.array([[0.0, 0.9], [1.0, 2.5]])


def test_a_pedal_moves_on_the_channels_of_pianos_alone():
    notes = make_notes(
        [0, 0, 0, 0], [1, 1, 1, 0.01], [60, 62, 64, 36], 80, [4, 7, 8, 0], [False] * 3 + [True]
    )
    for bends in (None, [np.zeros((0, 2), np.float32)] * 4):
        moves = pedal_moves(midi_bytes(notes, bends=bends, pedal=PEDAL))
        expected = [(0.0, 127), (0.9, 0), (1.0, 127), (2.5, 0)]
        assert moves == [(at, channel, value) for at, value in expected for channel in (0, 1)]
    assert pedal_moves(midi_bytes(notes)) == []


@pytest.mark.parametrize("tempo", [120.0, TempoMap(((0.0, 90.0), (1.5, 131.0)))])
def test_notes_under_a_pedal_are_found_again_with_it_applied_and_without(tmp_path, tempo):
    # As they sound: what is struck under the pedal lasts until it is lifted or the pitch is struck again.
    notes = make_notes([0.1, 0.4, 0.7, 1.2, 1.3], [0.7, 0.9, 0.9, 2.5, 2.8], [60, 64, 60, 62, 65], 80)
    write_midi(notes, tmp_path / "a.mid", tempo, pedal=PEDAL)
    for apply_sustain in (False, True):
        found = read_midi(tmp_path / "a.mid", apply_sustain)
        assert found["pitch"].tolist() == notes["pitch"].tolist()
        for name in ("start", "end"):
            np.testing.assert_allclose(found[name], notes[name], rtol=0, atol=1e-3)


def test_where_channels_are_shared_the_pedal_is_left_out():
    programs = np.arange(16)
    notes = make_notes(0.1 * programs, 0.1 * programs + 1, 60, 80, programs)
    assert pedal_moves(midi_bytes(notes, pedal=PEDAL)) == []
    assert pedal_moves(midi_bytes(notes[:15], pedal=PEDAL))


@pytest.mark.parametrize(
    "pedal", [[[1.0, 0.5]], [[-1.0, 0.5]], [[0.0, 1.0], [0.5, 2.0]], [[0.0, float("nan")]]]
)
def test_a_pedal_whose_times_do_not_rise_is_refused(pedal):
    with pytest.raises(ValueError, match="its times must rise, down, up, down, up, from 0 on"):
        midi_bytes(make_notes(0.0, 1.0, 60), pedal=np.array(pedal))


def test_pretty_midi_has_one_instrument_per_program():
    notes = make_notes([1.0, 0.0, 0.0], 2.0, [60, 62, 38], [10, 20, 30], [40, 40, 5], [False, False, True])
    violin, drums = to_pretty_midi(notes).instruments
    assert (violin.name, violin.program, violin.is_drum) == ("Violin", 40, False)
    assert [(n.start, n.end, n.pitch, n.velocity) for n in violin.notes] == [(0, 2, 62, 20), (1, 2, 60, 10)]
    assert (drums.name, drums.program, drums.is_drum) == ("Drums", 0, True)


def test_pretty_midi_refuses_unsound_notes():
    with pytest.raises(ValueError, match="note 0 has velocity 0"):
        to_pretty_midi(make_notes(0.0, 1.0, 60, velocity=0))
