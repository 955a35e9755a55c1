"""The one reader of MIDI files: what it makes of sound ones, of damaged ones, and of any bytes."""

import time
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.music.midi import MidiError, MidiText, parse_midi, read_midi, read_midi_content
from mt3x.music.midi_writing import midi_bytes
from mt3x.music.notes import NOTE_DTYPE, apply_sustain, empty_notes, sort_notes, validate_notes
from tests.music.midi_notes import random_notes, rows
from tests.music.smf.smf_bytes import END, midi_file, note

CASES = Path(__file__).parent / "midi_cases"


def save(path, *tracks, ticks_per_quarter=480):
    """Writes tracks of (tick, message) as a MIDI file."""
    midi = mido.MidiFile(ticks_per_beat=ticks_per_quarter)
    for events in tracks:
        track, now = mido.MidiTrack(), 0
        for tick, message in events:
            track.append(message.copy(time=tick - now))
            now = tick
        midi.tracks.append(track)
    midi.save(path)
    return path


# -- What notes and their file say ---------------------------------------------------------------------------


def test_two_tempos_hand_worked():
    # 480 ticks at 120 per minute are 0.5 s, the next 480 at 60 per minute 1 s; the tempo is in another track.
    data = midi_file("8360 ff51030f4240" + END, "00 c028 00 903c5a 8740 803c00" + END)
    content = parse_midi(data, "a.mid")
    assert content.notes.tolist() == [(0.0, 1.5, 60, 90, 40, False)]
    assert content.origins.tolist() == [(0, 960, 1, 0, 0)]
    assert content.seconds_at(np.array([480, 720, 960])).tolist() == [0.5, 1.0, 1.5]


def test_the_files_grid_and_words_are_kept():
    conductor = (
        "00 ff580407031808 00 ff5902fd01 00 ff0302 4142 60 ff0601 43 00 ff58040302 1808 00 ff5902ee00" + END
    )
    violin = "00 ff0305 56696f6cf6 00 ff0304 6c61746f 00 ff5902ff00 60 ff0502 6c61" + note(60) + END
    content = parse_midi(midi_file(conductor, violin), "a.mid")
    assert content.time_signatures.tolist() == [(0, 0, 7, 8), (96, 0, 3, 4)]
    assert content.key_signatures.tolist() == [(0, 0, -3, True), (0, 1, -1, False)]
    assert content.track_names == ("AB", "Violö")
    assert content.texts[1] == MidiText(96, 0, "marker", "C") and content.texts[-1] == (96, 1, "lyric", "la")
    assert (content.clock.ticks_per_quarter, content.end_ticks.tolist()) == (480, [96, 576])
    assert content.mending == "1 event holds a value that MIDI does not allow; it is changed or passed over."


def test_origins_stay_beside_their_notes_under_the_pedal():
    strikes = "00 b0407f 00 903c50 00 903c5a 60 803c00 00 90405a 60 804000 60 b04000"
    content = parse_midi(midi_file(strikes + END), "a.mid")
    assert content.notes["pitch"].tolist() == [60, 64] and content.notes["end"].tolist() == [0.3, 0.3]
    assert content.origins[["start_tick", "end_tick"]].tolist() == [(0, 96), (96, 192)]
    assert (content.num_struck, content.num_doubled) == (3, 1)
    plain = parse_midi(midi_file(strikes + END), "a.mid", apply_sustain=False)
    assert plain.notes["end"].tolist() == [0.1, 0.1, 0.2] and plain.num_doubled == 0


def test_pitch_bends_away_from_the_middle_are_counted():
    content = parse_midi(midi_file("00 e00040 00 e00140 00 e00041" + note(60) + END), "a.mid")
    assert content.num_bends == 2 and not content.mended


def test_a_file_without_notes_reads_as_no_notes():
    content = parse_midi(midi_file("00 c005 00 b0407f" + END), "a.mid")
    assert content.notes.dtype == NOTE_DTYPE and len(content.notes) == len(content.origins) == 0


# -- As other readers ----------------------------------------------------------------------------------------


def by_pretty_midi(path):
    """The notes as pretty_midi reads them, each instrument's under its own pedal."""
    import pretty_midi

    parts = [empty_notes()]
    for track in pretty_midi.PrettyMIDI(str(path)).instruments:
        program = 0 if track.is_drum else track.program
        notes = [(n.start, n.end, n.pitch, n.velocity, program, track.is_drum) for n in track.notes]
        pedal = [(change.time, change.value) for change in track.control_changes if change.number == 64]
        parts.append(apply_sustain(np.array(notes, NOTE_DTYPE), pedal))
    return sort_notes(np.concatenate(parts))


@st.composite
def regular_tracks(draw):
    """Up to four instruments, each on a track and channel of its own, with a pedal, under changing tempos."""
    tempos = draw(st.lists(st.tuples(st.integers(1, 2000), st.integers(100_000, 2_000_000)), max_size=3))
    tracks = [[(tick, mido.MetaMessage("set_tempo", tempo=tempo)) for tick, tempo in sorted(tempos)]]
    for channel in draw(st.lists(st.integers(0, 15), unique=True, max_size=4)):
        tick, events = (
            0,
            [(0, mido.Message("program_change", program=draw(st.integers(0, 127)), channel=channel))],
        )
        for pitch, velocity, rest, length in draw(
            st.lists(
                st.tuples(st.integers(58, 62), st.integers(1, 127), st.integers(0, 300), st.integers(1, 400))
            )
        ):
            tick += rest
            events.append((tick, mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)))
            events.append((tick + length, mido.Message("note_off", note=pitch, channel=channel)))
        for moved, value in draw(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 127)), max_size=6)):
            events.append((moved, mido.Message("control_change", control=64, value=value, channel=channel)))
        tracks.append(sorted(events, key=lambda event: event[0]))
    return tracks


@given(regular_tracks(), st.sampled_from([96, 480, 960]))
def test_regular_files_read_as_by_pretty_midi(tmp_path_factory, tracks, ticks_per_quarter):
    path = save(tmp_path_factory.mktemp("midi") / "a.mid", *tracks, ticks_per_quarter=ticks_per_quarter)
    expected, content = by_pretty_midi(path), read_midi_content(path)
    assert not content.mended
    for name in ("pitch", "velocity", "program", "is_drum"):
        np.testing.assert_array_equal(content.notes[name], expected[name])
    for name in ("start", "end"):
        np.testing.assert_allclose(content.notes[name], expected[name], rtol=0, atol=1e-9)


@given(st.integers(0, 1 << 32), st.integers(0, 60), st.integers(1, 40))
def test_what_the_writer_writes_is_read_back(tmp_path_factory, seed, count, num_programs):
    notes = random_notes(seed, count, num_programs)
    content = parse_midi(midi_bytes(notes), "a.mid")
    assert not content.mended and content.num_struck == len(content.notes) <= count
    again = parse_midi(midi_bytes(content.notes), "b.mid")
    np.testing.assert_array_equal(again.notes, content.notes)
    np.testing.assert_array_equal(again.origins, content.origins)


# -- Files that other readers refuse, or read wrong ----------------------------------------------------------

THREE = [(60, 0.0, 0.5), (62, 0.5, 1.0), (64, 1.0, 1.5)]
LONG = "1 delta time is longer than MIDI allows; the file may be damaged."
UNTOLD = {"utf8", "latin1", "cp1251", "sjis", "nul", "running_after_meta", "sysex_f7", "sysex_hi", "song"}
"""Files of `midi_cases` that hold nothing to be mended."""


def read_case(name):
    content = read_midi_content(CASES / name)
    return content, [
        (p, round(s, 3), round(e, 3)) for p, s, e in content.notes[["pitch", "start", "end"]].tolist()
    ]


def cases(*folders):
    return [f"{folder}/{path.name}" for folder in folders for path in sorted((CASES / folder).iterdir())]


@pytest.mark.parametrize(
    "name",
    cases("data_byte_over_127", "key_signature", "track_count", "end_of_track", "rmi", "text_encodings"),
)
def test_three_notes_are_read_and_what_was_mended_is_told(name):
    content, notes = read_case(name)
    expected = {
        "end_of_track/cut.mid": [*THREE[:2], (64, 1.0, 1.001)],  # where the file ends
        "text_encodings/clock_f8.mid": THREE[:1],
        "text_encodings/running_after_meta.mid": THREE[:2],
        "text_encodings/sysex_f7.mid": [(p, start + 0.01, round(end + 0.01, 3)) for p, start, end in THREE],
    }
    assert notes == expected.get(name, THREE)
    stem = Path(name).stem
    assert bool(content.mending) == (stem not in UNTOLD and not stem.startswith("alien")), content.mending


def test_names_are_read_as_utf8_or_else_as_latin_1():
    assert read_case("text_encodings/utf8.mid")[0].track_names == ("ピアノ", "ピアノ")
    assert read_case("text_encodings/latin1.mid")[0].track_names == ("Flöte é", "Flöte é")
    cyrillic = read_case("text_encodings/cp1251.mid")[0].track_names[0]
    assert cyrillic.encode("latin-1").decode("cp1251") == "Пианино"
    assert read_case("text_encodings/nul.mid")[0].track_names == ("", "")


@pytest.mark.parametrize(
    ("name", "notes", "mending"),
    [
        ("type2/two_patterns.mid", [(60, 0, 0.5), (62, 0.5, 1), (72, 1, 2), (74, 2, 3)], ""),
        ("smpte/25fps40.mid", THREE[:2], ""),
        ("smpte/30fps80.mid", THREE[:2], ""),
        ("hanging/all_notes_off.mid", [(60, 0, 0.5), (64, 0, 0.5), (65, 0.5, 1)], ""),
        ("hanging/all_sound_off.mid", [(60, 0, 0.5), (64, 0, 0.5), (65, 0.5, 1)], ""),
        (
            "hanging/no_off.mid",
            [(60, 0, 1.5), (64, 0.5, 1), (67, 1.5, 1.501)],
            "2 notes were never released; they end with the track.",
        ),
        (
            "hanging/wrong_channel_off.mid",
            [(60, 0, 1), (62, 0.5, 1)],
            "1 note was never released; it ends with the track.",
        ),
        ("zero_length/grace.mid", [(62, 0, 0.5), (64, 0.5, 1)], "1 note lasts no time; it is left out."),
        ("far_tick/ppq32767.mid", [(60, 50 * i, 50 * i + 50) for i in range(4)], ""),
        (
            "far_tick/vlq5.mid",
            [(60, 0, 2.5)],
            "1 track is cut short or damaged; what follows in it is lost.",
        ),
        ("far_tick/far.mid", [(58, 11184810.661, 11184811.161)], LONG),
        ("far_tick/far_off.mid", [(60, 0, 2.5), (62, 2.5, 5), (64, 5, 11184815.661)], LONG),
    ],
)
def test_what_the_file_says_is_read(name, notes, mending):
    content, found = read_case(name)
    assert found == notes and content.mending == mending


@pytest.mark.parametrize("name", ["drums.mid", "drums_long.mid", "drums_no_off.mid"])
def test_a_hit_of_no_length_is_a_hit(name):
    notes = read_midi(CASES / "zero_length" / name)
    assert notes["pitch"].tolist() == [36, 38] * 4 and notes["is_drum"].all()
    np.testing.assert_array_equal(notes["start"], np.arange(8) / 4)
    assert (notes["end"] > notes["start"]).all()


def test_a_flute_is_not_held_by_the_pianos_pedal():
    for name in ("same_port.mid", "flute_alone.mid"):
        notes = read_midi(CASES / "ports" / name)
        flute = notes[notes["program"] == 73]
        assert flute["pitch"].tolist() == [72, 74, 76, 77]
        np.testing.assert_allclose(flute["end"] - flute["start"], 0.5)
    assert rows(read_midi(CASES / "ports" / "program.mid"), "pitch", "program") == [(64, 0), (60, 40)]


@pytest.mark.parametrize("name", cases("drum_bank"))
def test_drum_parts_are_drums(name):
    assert rows(read_midi(CASES / name), "pitch", "is_drum") == [(36, True), (38, True), (42, True)]


# -- Large and damaged ones ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "num_notes"),
    [
        pytest.param(midi_file(b"\xff" * 1_000_000), 0, id="a quantity without end"),
        pytest.param(midi_file(*["00 b0407f" + note(60) + END] * 20_000), 20_000, id="many tracks"),
        pytest.param(
            midi_file("00 b0407f" + END, *[note(60) + END] * 20_000), 20_000, id="one pedal for all"
        ),
        pytest.param(midi_file(*[note(60)] * 20_000, kind=2), 20_000, id="one after another"),
        pytest.param(midi_file("8fffffff7f 903c5a" + END), 1, id="far"),
    ],
)
def test_time_does_not_grow_with_the_square(data, num_notes):
    begin = time.process_time()
    assert len(parse_midi(data, "a.mid").notes) == num_notes
    assert time.process_time() - begin < 1.5  # a fifth of it where nothing else runs


def test_a_file_that_is_cut_short_keeps_the_notes_before():
    notes = random_notes(seed=2, count=5)
    data, counts = midi_bytes(notes), []
    for length in range(data.index(b"MTrk") + 8):
        with pytest.raises(MidiError):
            parse_midi(data[:length], "a.mid")
    for length in range(data.index(b"MTrk") + 8, len(data)):
        content = parse_midi(data[:length], "a.mid")
        assert content.mended
        counts.append(len(content.notes))
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == len(notes)


def check_any_bytes(data):
    """They are notes that are sound, or no MIDI."""
    try:
        content = parse_midi(data, "any.mid")
    except MidiError as error:
        assert str(error).startswith("any.mid: ")
        return
    validate_notes(content.notes)
    assert len(content.origins) == len(content.notes) <= content.num_struck
    assert content.mending.endswith(".") == bool(content.mended)
    assert all(len(text.kind) and isinstance(text.text, str) for text in content.texts)


SEEDS = [path.read_bytes() for path in sorted(CASES.glob("*/*"))]
PLACE = st.tuples(
    st.floats(0, 1, exclude_max=True), st.sampled_from(["set", "insert", "remove"]), st.binary(max_size=3)
)


@given(st.sampled_from(SEEDS), st.lists(PLACE, max_size=6))
def test_damaged_files_are_notes_or_one_clear_error(data, places):
    for place, how, new in places:
        at = int(place * len(data))
        data = data[:at] + new * (how != "remove") + data[at + len(new) * (how != "insert") :]
    check_any_bytes(data)


@given(st.binary(max_size=200), st.sampled_from([0, 1, 2]), st.integers(0, 0xFFFF))
def test_any_bytes_may_be_a_track(content, kind, division):
    check_any_bytes(midi_file(content, content, kind=kind, division=division))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"", r"is empty \(0 bytes\)"), (b"RIFF....WAVE", "is not a MIDI file")],
)
def test_a_file_that_is_no_midi_is_named(tmp_path, content, reason):
    path = tmp_path / "bad.mid"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MidiError, match=rf"bad\.mid: {reason}"):
        read_midi(path)


def test_a_folder_is_no_midi_file(tmp_path):
    with pytest.raises(MidiError, match=r"cannot be read \(Is a directory\)"):
        read_midi(tmp_path)
