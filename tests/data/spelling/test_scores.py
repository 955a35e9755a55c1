"""Spelled scores: MusicXML read with names and signatures, kept in an archive."""

import zipfile

import numpy as np
import pytest

from mt3x.data.spelling.scores import load_spelled_scores, read_spelled_score, save_spelled_scores


def note(step: str, octave: int, duration: int, alter: int = 0, more: str = "") -> str:
    return (
        f"<note>{more}<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"
        f"<duration>{duration}</duration></note>"
    )


def score(*measures: str) -> str:
    inside = "".join(f"<measure>{measure}</measure>" for measure in measures)
    return (
        "<score-partwise><identification><creator type='composer'>Clara  S.</creator></identification>"
        f"<part id='P1'>{inside}</part></score-partwise>"
    )


A_MAJOR = "<attributes><divisions>2</divisions><key><fifths>3</fifths></key></attributes>"
FIVE_FLATS = "<attributes><key><fifths>-5</fifths></key></attributes>"


def read(tmp_path, text):
    path = tmp_path / "piece.musicxml"
    path.write_text(text)
    return read_spelled_score(path)


def test_names_signatures_and_times_are_read(tmp_path):
    grace = note("G", 4, 0, 1, "<grace/>")
    piece = read(
        tmp_path,
        score(A_MAJOR + note("A", 4, 2) + grace + note("B", 3, 1, 1), FIVE_FLATS + note("D", 4, 4, -1)),
    )
    assert (piece.name, piece.composer) == ("piece", "Clara S.")
    assert piece.notes.tolist() == [
        (0.0, 1.0, 69, 3, 3, 0),
        (1.0, 0.5, 60, 12, 3, 0),
        (1.0, 0.0, 68, 8, 3, 0),
        (1.5, 2.0, 61, -5, -5, 0),
    ]


def test_tied_notes_are_one_and_staves_are_counted(tmp_path):
    begin, end = '<tie type="start"/>', '<tie type="stop"/>'
    low = "<backup><duration>4</duration></backup>" + note("C", 3, 4).replace(
        "</note>", "<staff>2</staff></note>"
    )
    piece = read(tmp_path, score(A_MAJOR + note("C", 5, 2, 1, begin) + note("C", 5, 2, 1, end) + low))
    assert piece.notes[["onset_quarters", "duration_quarters", "pitch", "staff"]].tolist() == [
        (0.0, 2.0, 48, 1),
        (0.0, 2.0, 73, 0),
    ]


def test_chords_begin_together_and_cues_and_rests_are_left_out(tmp_path):
    rest = "<note><rest/><duration>2</duration></note>"
    notes = (
        note("C", 4, 2)
        + note("E", 4, 2, 0, "<chord/>")
        + rest
        + note("G", 4, 2, 0, "<cue/>")
        + note("C", 5, 2)
    )
    assert read(tmp_path, score(A_MAJOR + notes)).notes["onset_quarters"].tolist() == [0, 0, 3]


def test_parts_that_transpose_are_spelled_as_they_sound(tmp_path):
    clarinet = "<attributes><key><fifths>5</fifths></key><transpose><chromatic>-2</chromatic></transpose>"
    piece = read(tmp_path, score(clarinet + "</attributes>" + note("C", 4, 1, 1)))
    assert piece.notes[["pitch", "position", "fifths"]].tolist() == [(59, 5, 3)]


def test_drums_have_no_names(tmp_path):
    with pytest.raises(ValueError, match="holds no note with a name"):
        read(tmp_path, score("<note><unpitched/><duration>1</duration></note>"))


def test_compressed_files_are_read_and_archives_give_back_what_was_saved(tmp_path):
    with zipfile.ZipFile(tmp_path / "zipped.mxl", "w") as archive:
        archive.writestr("META-INF/container.xml", '<c><rootfile full-path="a.xml"/></c>')
        archive.writestr("a.xml", score(A_MAJOR + note("A", 4, 2)))
    pieces = [
        read_spelled_score(tmp_path / "zipped.mxl"),
        read(tmp_path, score(A_MAJOR + note("B", 3, 1, 1))),
    ]
    save_spelled_scores(pieces, tmp_path / "all.npz")
    again = load_spelled_scores(tmp_path / "all.npz")
    assert [p.name for p in again] == ["zipped", "piece"]
    assert [p.composer for p in again] == ["Clara S."] * 2
    for piece, other in zip(pieces, again, strict=True):
        np.testing.assert_array_equal(piece.notes, other.notes)


def test_files_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="missing.mxl is no file"):
        read_spelled_score(tmp_path / "missing.mxl")
    with pytest.raises(ValueError, match="can't be read as MusicXML"):
        read(tmp_path, "no score")
    with pytest.raises(ValueError, match="not an archive of spelled scores"):
        load_spelled_scores(tmp_path / "piece.musicxml")
