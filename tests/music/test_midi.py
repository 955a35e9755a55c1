import mido
import numpy as np
import pretty_midi
import pytest

from mt3x.music.midi import MidiError, read_midi, read_midi_content
from mt3x.music.midi_writing import midi_bytes, write_midi
from mt3x.music.notes import NOTE_DTYPE, sort_notes
from tests.music.midi_notes import random_notes, rows


def save(path, *tracks, ticks_per_quarter=480):
    """Writes tracks of (tick, message) as a MIDI file."""
    midi_file = mido.MidiFile(ticks_per_beat=ticks_per_quarter)
    for events in tracks:
        track, now = mido.MidiTrack(), 0
        for tick, message in events:
            track.append(message.copy(time=tick - now))
            now = tick
        midi_file.tracks.append(track)
    midi_file.save(path)
    return path


def on(pitch, velocity=90, channel=0):
    return mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)


def off(pitch, channel=0):
    return mido.Message("note_off", note=pitch, channel=channel)


def pedal(value, channel=0):
    return mido.Message("control_change", control=64, value=value, channel=channel)


def program_change(program, channel=0):
    return mido.Message("program_change", program=program, channel=channel)


def test_two_tempos_hand_worked(tmp_path):
    # 480 ticks at 120 per minute are 0.5 s, the next 480 at 60 per minute 1 s; the tempo is in another track.
    tempos = [(480, mido.MetaMessage("set_tempo", tempo=1_000_000))]
    path = save(tmp_path / "a.mid", tempos, [(0, program_change(40)), (0, on(60)), (960, off(60))])
    assert read_midi(path).tolist() == [(0.0, 1.5, 60, 90, 40, False)]


def test_note_on_of_velocity_zero_is_a_release(tmp_path):
    path = save(tmp_path / "a.mid", [(0, on(60)), (480, on(60, velocity=0)), (960, off(60))])
    assert rows(read_midi(path), "start", "end") == [(0.0, 0.5)]


def test_release_ends_every_earlier_strike_of_its_pitch(tmp_path):
    path = save(tmp_path / "a.mid", [(0, on(60, 50)), (480, on(60, 70)), (960, off(60)), (1440, off(60))])
    assert rows(read_midi(path), "start", "end", "velocity") == [(0.0, 1.0, 50), (0.5, 1.0, 70)]


def test_note_struck_again_just_before_the_release_sounds_on(tmp_path):
    path = save(tmp_path / "a.mid", [(0, on(60)), (480, on(60)), (480, off(60)), (960, off(60))])
    assert rows(read_midi(path), "start", "end") == [(0.0, 0.5), (0.5, 1.0)]


def test_notes_without_release_or_length_are_dropped(tmp_path):
    path = save(tmp_path / "a.mid", [(0, on(60)), (0, off(60)), (0, on(61)), (480, off(62))])
    assert len(read_midi(path)) == 0


def test_what_the_notes_do_not_tell_is_counted(tmp_path):
    def bend(value):
        return mido.Message("pitchwheel", pitch=value)

    endless = (40, on(67))
    events = [(0, bend(0)), (0, on(60)), (10, bend(500)), (20, bend(-3)), (30, off(60)), endless]
    content = read_midi_content(save(tmp_path / "a.mid", events, [(0, on(60)), (30, on(60, velocity=0))]))
    assert (content.num_struck, content.num_bends) == (3, 2)
    assert content.notes["pitch"].tolist() == [60, 60]
    with pytest.raises(MidiError, match="no such file"):
        read_midi_content(tmp_path / "nothing.mid")


def test_channel_ten_is_drums_without_program(tmp_path):
    path = save(tmp_path / "a.mid", [(0, program_change(25, 9)), (0, on(38, channel=9)), (48, off(38, 9))])
    assert rows(read_midi(path), "pitch", "program", "is_drum") == [(38, 0, True)]


def test_program_is_that_of_the_onset(tmp_path):
    changes = [(0, program_change(5)), (0, on(60)), (240, program_change(7)), (480, off(60)), (480, on(62))]
    path = save(tmp_path / "a.mid", [*changes, (960, off(62))])
    assert rows(read_midi(path), "pitch", "program") == [(60, 5), (62, 7)]


def test_tracks_with_programs_of_their_own_may_share_a_channel(tmp_path):
    tracks = [[(0, program_change(p)), (0, on(60 + p)), (480, off(60 + p))] for p in (5, 7)]
    assert rows(read_midi(save(tmp_path / "a.mid", *tracks)), "pitch", "program") == [(65, 5), (67, 7)]


def test_program_and_pedal_of_another_track_count_for_a_track_without(tmp_path):
    control = [(0, program_change(5, 2)), (0, pedal(127, 2)), (960, pedal(0, 2))]
    path = save(tmp_path / "a.mid", control, [(0, on(60, channel=2)), (480, off(60, 2))])
    assert rows(read_midi(path), "end", "program") == [(1.0, 5)]


def test_pedal_holds_the_notes_of_its_channel_only(tmp_path):
    events = [(0, pedal(127)), (0, on(60)), (0, on(64, channel=1)), (480, off(60)), (480, off(64, 1))]
    path = save(tmp_path / "a.mid", [*events, (960, pedal(0))])
    assert rows(read_midi(path), "pitch", "end") == [(60, 1.0), (64, 0.5)]
    assert rows(read_midi(path, apply_sustain=False), "pitch", "end") == [(60, 0.5), (64, 0.5)]


def test_file_without_notes_reads_as_no_notes(tmp_path):
    notes = read_midi(save(tmp_path / "a.mid", [(0, program_change(5))]))
    assert notes.dtype == NOTE_DTYPE
    assert len(notes) == 0


def test_reading_agrees_with_pretty_midi(tmp_path):
    path = tmp_path / "a.mid"
    write_midi(random_notes(seed=0), path)
    expected = [
        (
            note.start,
            note.end,
            note.pitch,
            note.velocity,
            0 if track.is_drum else track.program,
            track.is_drum,
        )
        for track in pretty_midi.PrettyMIDI(str(path)).instruments
        for note in track.notes
    ]
    expected = sort_notes(np.array(expected, NOTE_DTYPE))
    notes = read_midi(path)
    for name in ("pitch", "velocity", "program", "is_drum"):
        np.testing.assert_array_equal(notes[name], expected[name])
    for name in ("start", "end"):
        np.testing.assert_allclose(notes[name], expected[name], rtol=0, atol=1e-9)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(MidiError, match=r"none\.mid: no such file"):
        read_midi(tmp_path / "none.mid")


def test_folder_is_refused(tmp_path):
    with pytest.raises(MidiError, match=r"cannot be read \(Is a directory\)"):
        read_midi(tmp_path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"RIFF....WAVE", "is not a MIDI file"),
        (b"MThd\0\0\0\6", "cut short at byte 8"),
        (b"MThd\0\0\0\6\0\1\0\1\0\0MTrk\0\0\0\4\0\xff\x2f\0", "time division is 0"),
        (b"MThd\0\0\0\6\0\1\0\1\xe7\x28MTrk\0\0\0\4\0\xff\x2f\0", "time division is -6360"),
        (b"MThd\0\0\0\6\0\1\0\1\0\x60Mess\0\0\0\4\0\xff\x2f\0", "corrupt .*no MTrk header"),
        (b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk\0\0\0\x0a" + b"\xff" * 6 + b"\x7f\xff\x2f\0", "would last more"),
    ],
)
def test_bad_file_says_what_is_wrong(tmp_path, data, reason):
    path = tmp_path / "bad.mid"
    path.write_bytes(data)
    with pytest.raises(MidiError, match=rf"bad\.mid: .*{reason}"):
        read_midi(path)


def test_truncated_file_is_refused_at_any_length(tmp_path):
    data = midi_bytes(random_notes(seed=2, count=5))
    path = tmp_path / "cut.mid"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(MidiError):
            read_midi(path)


def test_corrupt_bytes_raise_nothing_but_midi_error(tmp_path):
    data = np.frombuffer(midi_bytes(random_notes(seed=3, count=20)), np.uint8)
    rng = np.random.default_rng(0)
    path, refused = tmp_path / "corrupt.mid", 0
    for _ in range(300):
        corrupt = data.copy()
        corrupt[rng.integers(4, len(data), 3)] = rng.integers(0, 256, 3)
        path.write_bytes(corrupt.tobytes())
        try:
            notes = read_midi(path)
        except MidiError:
            refused += 1
        else:
            assert np.isfinite(notes["end"]).all()
    assert 0 < refused < 300
