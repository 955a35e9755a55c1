"""What readers share: folders, files, tables, and notes that fit their audio."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mt3x.data.datasets.reading import (
    check_folder,
    clean_notes,
    has_all,
    parse_numbers,
    read_audio,
    read_midi_notes,
    read_mix,
    read_table,
    read_text,
)
from mt3x.data.records.recordings import DataError, Item
from mt3x.music.notes import empty_notes, make_notes
from tests.data.datasets.releases_public import Problems, midi_note, midi_pedal, write_midi, write_wav

SECOND = 16_000


@pytest.fixture
def problems():
    return Problems()


def test_a_folder_is_known_by_what_it_holds(tmp_path):
    (tmp_path / "release" / "audio").mkdir(parents=True)
    (tmp_path / "release" / "audio" / "1.wav").touch()
    check_folder(tmp_path / "release", "audio/*.wav")
    right = f"but {tmp_path / 'release'} does: give that folder"
    for wrong in (tmp_path, tmp_path / "release" / "audio"):
        with pytest.raises(DataError, match=rf"{wrong}: holds no audio/\*\.wav, {right}"):
            check_folder(wrong, "audio/*.wav")
    with pytest.raises(DataError, match=r"holds no \*\.csv; give the folder where the release was unpacked"):
        check_folder(tmp_path, "*.csv")
    with pytest.raises(DataError, match=r"nowhere: is no folder; give the folder that holds \*\.csv"):
        check_folder(tmp_path / "nowhere", "*.csv")


def test_each_missing_file_is_reported(tmp_path, problems):
    for name in ("a", "b"):
        (tmp_path / name).touch()
    assert has_all(tmp_path, ["a", "b"], problems) and problems == []
    assert not has_all(tmp_path, ["c", "a", "d"], problems)
    assert problems == [(name, "is missing; the item is left out") for name in ("c", "d")]


def test_audio_becomes_mono_at_16_khz(tmp_path, problems):
    write_wav(tmp_path / "a.wav", 0.5, rate=44_100, channels=2)
    samples = read_audio(tmp_path, "a.wav", problems)
    assert problems == []
    assert samples.dtype == np.float32 and samples.shape == (8_000,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"", "is empty"), (b"no audio at all", "a.wav"), (slice(1_000), "is cut off")],
)
def test_audio_that_cannot_be_read_is_an_error_that_names_the_file(tmp_path, problems, content, reason):
    file = tmp_path / "a.wav"
    if isinstance(content, slice):
        content = write_wav(file).read_bytes()[content]
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=f"a.wav: .*{reason}" if reason != "a.wav" else reason):
        read_audio(tmp_path, "a.wav", problems)


def test_channels_that_cancel_are_reported_and_not_packed_as_silence(tmp_path, problems):
    tone = 0.5 * np.sin(np.arange(16_000) / 5)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, -tone], axis=1), 16_000)
    assert np.abs(read_audio(tmp_path, "a.wav", problems)).max() > 0.4
    ((file, reason),) = problems
    assert file == "a.wav" and reason.startswith("the channels cancel each other for 1.0 of 1.0 s")


def test_midi_notes_last_as_the_pedal_holds_them_and_what_is_left_out_is_counted(tmp_path, problems):
    endless = (0.3, "note_on", {"note": 70, "velocity": 80})
    bends = [(time, "pitchwheel", {"pitch": pitch}) for time, pitch in ((0.1, 9), (0.2, -9), (0.3, 0))]
    pedal = [midi_pedal(0.4, 127), midi_pedal(1.5, 0)]
    twice = [*midi_note(0.5, 0.6, 64), *midi_note(0.5, 0.6, 64)]
    write_midi(tmp_path / "a.mid", *midi_note(0.25, 0.5, 60), *twice, *pedal, *bends, endless)
    notes = read_midi_notes(tmp_path, "a.mid", problems)
    np.testing.assert_allclose([notes["start"], notes["end"]], [[0.25, 0.3, 0.5], [1.5, 1.5, 1.5]])
    assert problems == [
        ("a.mid", "1 note was never released; it ends with the track."),
        ("a.mid", "has 2 pitch bends; notes keep the pitches of their keys"),
        ("a.mid", "1 of 4 notes start twice under the pedal: left out"),
    ]


def test_midi_that_cannot_be_read_is_an_error_that_names_the_file(tmp_path, problems):
    with pytest.raises(DataError, match="a.mid: no such file"):
        read_midi_notes(tmp_path, "a.mid", problems)
    (tmp_path / "a.mid").write_bytes(b"no MIDI")
    with pytest.raises(DataError, match="a.mid: is not a MIDI file"):
        read_midi_notes(tmp_path, "a.mid", problems)
    whole = write_midi(tmp_path / "a.mid", *midi_note(0.25, 0.5, 60)).read_bytes()
    (tmp_path / "a.mid").write_bytes(whole[:-9])
    with pytest.raises(DataError, match="a.mid: MIDI file is cut short or damaged; copy it again"):
        read_midi_notes(tmp_path, "a.mid", problems)


def test_notes_are_made_to_fit_and_every_kind_of_change_is_counted(problems):
    notes = make_notes(
        [0.0, 0.5, 0.25, 0.9, 1.0, 0.1],
        [1.0, 0.75, 0.25, 1.5, 1.2, 0.2],
        [60, 60, 64, 67, 69, 72],
    )
    cleaned = clean_notes(notes, SECOND, "a.csv", problems)
    assert cleaned["pitch"].tolist() == [60, 72, 60, 67]
    assert cleaned["end"].tolist() == [0.5, 0.2, 0.75, 1.0]
    assert problems == [
        ("a.csv", f"1 of 6 notes {what}")
        for what in (
            "last no time: left out",
            "begin after the audio's end at 1.000 s: left out",
            "end after the audio's end at 1.000 s: cut there",
            "overlap the next of their pitch and program: cut, or left out",
        )
    ]


def test_notes_that_end_before_they_begin_count_as_lasting_no_time(problems):
    assert not len(clean_notes(make_notes(0.5, 0.4, 60), SECOND, "a.csv", problems))
    assert problems == [("a.csv", "1 of 1 notes last no time: left out")]


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        (make_notes(-0.1, 0.5, 60), "note 0 lasts from -0.1"),
        (make_notes(np.nan, 0.5, 60), "note 0 lasts from nan"),
        (make_notes(0.0, 0.5, 128), "note 0 has pitch 128"),
    ],
)
def test_impossible_notes_are_an_error_that_names_the_file(notes, reason, problems):
    with pytest.raises(DataError, match=f"a.csv: {reason}"):
        clean_notes(notes, SECOND, "a.csv", problems)


quarters = st.integers(0, 8).map(lambda quarter: quarter / 4)


@given(st.lists(st.tuples(quarters, quarters, st.sampled_from([60, 61]), st.sampled_from([0, 40]))))
def test_cleaning_twice_changes_and_reports_nothing_more(rows):
    start, end, pitch, program = np.array(rows).reshape(-1, 4).T
    once = clean_notes(make_notes(start, end, pitch, program=program), SECOND, "a.csv", Problems())
    problems = Problems()
    np.testing.assert_array_equal(clean_notes(once, SECOND, "a.csv", problems), once)
    assert problems == []


def test_a_text_that_is_none_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("Fauré", encoding="utf-8")
    assert read_text(tmp_path, "a.txt") == "Fauré"
    (tmp_path / "a.txt").write_bytes("Fauré".encode("latin-1"))
    for file in ("a.txt", "b.txt"):
        with pytest.raises(DataError, match=f"^{file}: cannot be read as text"):
            read_text(tmp_path, file)


def test_a_table_is_read_by_its_header(tmp_path):
    (tmp_path / "a.csv").write_text('split,title\ntrain,"Sonata, Op. 1"\n')
    assert read_table(tmp_path, "a.csv", ["split"]) == [{"split": "train", "title": "Sonata, Op. 1"}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no column split, only ; copy it again"),
        ("title,year\n", "has no column split, only title, year; copy it again"),
        ("title,split\nSonata\n", "a row has no split .*'Sonata'"),
        ("title,split\nSonata,\n", "a row has no split"),
        (f'split\n"{"x" * 140_000}"\n', "cannot be read as a table .*field larger"),
    ],
)
def test_a_table_that_is_not_whole_is_an_error(tmp_path, text, reason):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=f"^a.csv: {reason}"):
        read_table(tmp_path, "a.csv", ["split"])


def test_numbers_are_read_row_by_row():
    assert parse_numbers([["0.5", "1"], [2, 3.5]], 2, "a.txt").tolist() == [[0.5, 1.0], [2.0, 3.5]]
    assert parse_numbers([], 3, "a.txt").shape == (0, 3)


@pytest.mark.parametrize(
    "row", [["1"], ["1", "2", "3"], ["1", "C4"], ["1", "nan"], ["1", None], ["inf", "1"]]
)
def test_a_row_that_is_no_numbers_is_an_error_that_names_it(row):
    with pytest.raises(DataError, match=r"a.txt: row 2 is .*, expected 2 numbers; copy it again"):
        parse_numbers([["0", "1"], row], 2, "a.txt")


def test_a_mix_is_one_stem_with_all_notes(tmp_path, problems):
    write_wav(tmp_path / "a.wav", 1.0)
    item = Item("a", "train", ("a.wav", "a.csv"))
    recording = read_mix(tmp_path, item, "a.wav", make_notes(0.5, 1.5, 60), "a.csv", problems)
    (stem,) = recording.stems
    assert (recording.id, recording.split, recording.mixes) == ("a", "train", ((0,),))
    assert (stem.name, len(stem.samples), stem.notes["end"].tolist()) == ("mix", SECOND, [1.0])
    assert problems == [("a.csv", "1 of 1 notes end after the audio's end at 1.000 s: cut there")]


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        (empty_notes(), "holds no note; if nothing is played in a.wav, leave both out"),
        (make_notes(2.0, 3.0, 60), "has no note within a.wav; do they belong together?"),
    ],
)
def test_a_mix_without_notes_is_an_error(tmp_path, problems, notes, reason):
    write_wav(tmp_path / "a.wav", 1.0)
    with pytest.raises(DataError, match=rf"^a.csv: {reason.replace('?', '.')}"):
        read_mix(tmp_path, Item("a", "train", ("a.wav",)), "a.wav", notes, "a.csv", problems)
