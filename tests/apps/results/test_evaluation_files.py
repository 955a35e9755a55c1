from pathlib import Path

import pytest

from mt3x.apps.results.evaluation_files import NothingToCompare, Pair, find_pairs, read_notes
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes
from tests.music.smf.smf_bytes import END, midi_file


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_files_are_matched_by_their_paths_without_suffix():
    touch(
        "ref/x.mid",
        "ref/deep/y.tsv",
        "ref/deep/z.v1.mid",
        "est/x.MIDI",
        "est/deep/y.mid",
        "est/deep/z.v1.kar",
    )
    touch("ref/notes.txt", "ref/.hidden.mid", "ref/.folder/x.mid", "est/x.wav")
    pairs, complaints = find_pairs(Path("ref"), Path("est"))
    assert complaints == []
    assert pairs == [
        Pair("deep/y", Path("ref/deep/y.tsv"), Path("est/deep/y.mid")),
        Pair("deep/z.v1", Path("ref/deep/z.v1.mid"), Path("est/deep/z.v1.kar")),
        Pair("x", Path("ref/x.mid"), Path("est/x.MIDI")),
    ]


def test_recordings_and_references_may_share_a_folder():
    touch("all/x.flac", "all/x.tsv", "all/deep/y.wav", "all/deep/y.mid")
    pairs, complaints = find_pairs(Path("all"), Path("all"), are_recordings=True)
    assert complaints == []
    assert [(pair.reference.name, pair.other) for pair in pairs] == [
        ("y.mid", Path("all/deep/y.wav")),
        ("x.tsv", Path("all/x.flac")),
    ]


def test_one_name_of_two_files_is_no_piece():
    touch("ref/x.mid", "ref/x.tsv", "ref/y.mid", "est/x.mid", "est/y.mid")
    pairs, complaints = find_pairs(Path("ref"), Path("est"))
    assert [pair.name for pair in pairs] == ["y"]
    assert complaints[0] == "ref: x.mid and x.tsv have one name; keep one of them"


@pytest.mark.parametrize(
    ("reference", "other", "message"),
    [
        ("absent", "est", "absent: no such file or folder"),
        ("ref", "ref/x.mid", "ref is a folder and ref/x.mid is a file; give two folders or two files"),
        ("ref", "est", "ref holds 1 file of notes: x, est holds 2 files of notes: y, z; names must be equal"),
    ],
)
def test_nothing_to_compare_is_explained(reference, other, message):
    touch("ref/x.mid", "est/y.mid", "est/z.mid")
    with pytest.raises(NothingToCompare, match=message):
        find_pairs(Path(reference), Path(other))


def test_a_midi_file_and_a_table_hold_the_same_notes():
    notes = make_notes([0.0, 1.0], [0.5, 2.0], [60, 72], [100, 1])
    write_midi(notes, "x.mid")
    Path("x.tsv").write_text("onset\toffset\tpitch\tvelocity\n0.0\t0.5\t60\t100\n1 2 72 0\n\n")
    assert (
        read_notes(Path("x.mid"), pytest.fail).tolist()
        == read_notes(Path("x.tsv"), pytest.fail).tolist()
        == notes.tolist()
    )


def test_what_was_mended_in_a_midi_file_is_told():
    Path("x.MID").write_bytes(midi_file("00 903c5a 60" + END[2:]))
    told = []
    assert len(read_notes(Path("x.MID"), told.append)) == 1
    assert told == ["x.MID: 1 note was never released; it ends with the track."]


def test_a_table_may_lack_names_and_velocities():
    Path("x.tsv").write_text("0.25\t0.5\t60.0\n")
    assert read_notes(Path("x.tsv"), pytest.fail).tolist() == make_notes(0.25, 0.5, 60, 100).tolist()
    Path("empty.tsv").write_text("")
    assert len(read_notes(Path("empty.tsv"), pytest.fail)) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0 1 60\n0 1 C4\n", "x.tsv: line 2 is '0 1 C4'; it must be numbers"),
        (b"0 1\n", "x.tsv: line 1 has 2 columns; it must have 3 or 4"),
        (b"0 1 200 64\n", "x.tsv: note 0 has pitch 200; it must be within 0..127"),
        (b"2 1 60 64\n", "x.tsv: note 0 lasts from 2.0 to 1.0 s"),
        (b"\xff\xfe\n", "x.tsv: cannot be read as a table of notes"),
    ],
)
def test_a_bad_table_is_named(content, message):
    Path("x.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_notes(Path("x.tsv"), pytest.fail)


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match="absent.mid: no such file"):
        read_notes(Path("absent.mid"), pytest.fail)
