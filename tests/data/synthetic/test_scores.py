"""Scores: a hand-worked piece, the archive, the split, and files that are not scores."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from mt3x.data.synthetic.scores import (
    GRACE_QUARTERS,
    PIECE_NOTE_DTYPE,
    is_held_out,
    load_scores,
    pack_scores,
    read_piece,
    score_name,
)

CONTAINER = '<container><rootfiles><rootfile full-path="piece.xml"/></rootfiles></container>'
DIVISIONS = "<attributes><divisions>4</divisions></attributes>"


def note(pitch: str, duration: int, more: str = "", is_chord: bool = False) -> str:
    step, octave = pitch[0], pitch[-1]
    alter = {"#": "<alter>1</alter>", "b": "<alter>-1</alter>"}.get(pitch[1:-1], "")
    chord = "<chord/>" if is_chord else ""
    written = f"<pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>"
    return f"<note>{chord}{written}<duration>{duration}</duration>{more}</note>"


def grace(pitch: str) -> str:
    return f"<note><grace/><pitch><step>{pitch[0]}</step><octave>{pitch[-1]}</octave></pitch></note>"


def rest(duration: int) -> str:
    return f"<note><rest/><duration>{duration}</duration></note>"


def score_xml(parts: list[list[str]], names: tuple[str, ...] = ("Voice", "Piano")) -> str:
    """Parts as lists of measures, 4 divisions to the quarter note."""
    listed = "".join(
        f'<score-part id="P{i}"><part-name>{name}</part-name></score-part>' for i, name in enumerate(names)
    )
    bodies = "".join(
        f'<part id="P{i}">'
        + "".join(
            f"<measure>{DIVISIONS if m == 0 else ''}{measure}</measure>" for m, measure in enumerate(measures)
        )
        + "</part>"
        for i, measures in enumerate(parts)
    )
    return (
        "<score-partwise><work><work-title>Work</work-title></work><movement-title>A Song</movement-title>"
        '<identification><creator type="composer">A. Nonymous</creator></identification>'
        f"<part-list>{listed}</part-list>{bodies}</score-partwise>"
    )


def write_mxl(path: Path, xml: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("piece.xml", xml)
    return path


def rows(notes: np.ndarray) -> list[tuple]:
    return [tuple(row) for row in notes.tolist()]


def test_a_hand_worked_song_gives_its_notes_bars_and_tempos(tmp_path: Path) -> None:
    tempo = '<direction><sound tempo="72"/></direction>'
    voice = [tempo + note("C5", 4) + rest(4) + note("F#5", 8), note("Bb4", 16)]
    piano = [
        note("C3", 16) + note("E3", 16, is_chord=True) + "<backup><duration>16</duration></backup>"
        "<forward><duration>8</duration></forward>" + note("G4", 8),
        note("C3", 16),
    ]
    score = read_piece(write_mxl(tmp_path / "my.song.mxl", score_xml([voice, piano])))
    assert (score.name, score.title, score.composer) == ("my.song", "A Song", "A. Nonymous")
    assert score.part_names == ("Voice", "Piano")
    assert score.notes.dtype == PIECE_NOTE_DTYPE
    assert rows(score.notes) == [
        (0.0, 1.0, 72, 0),
        (0.0, 4.0, 48, 1),
        (0.0, 4.0, 52, 1),
        (2.0, 2.0, 78, 0),
        (2.0, 2.0, 67, 1),
        (4.0, 4.0, 70, 0),
        (4.0, 4.0, 48, 1),
    ]
    assert score.bars.tolist() == [0.0, 4.0]
    assert score.tempos.tolist() == [[0.0, 72.0]]


def test_a_plain_file_reads_like_a_compressed_one(tmp_path: Path) -> None:
    xml = score_xml([[note("A4", 4)]], ("Flute",))
    plain = tmp_path / "piece.musicxml"
    plain.write_text(xml)
    packed = write_mxl(tmp_path / "piece.mxl", xml)
    assert rows(read_piece(plain).notes) == rows(read_piece(packed).notes) == [(0.0, 1.0, 69, 0)]


def test_tied_notes_are_one_note_across_bars(tmp_path: Path) -> None:
    begin, both, stop = '<tie type="start"/>', '<tie type="stop"/><tie type="start"/>', '<tie type="stop"/>'
    measures = [note("C4", 16, begin), note("C4", 16, both), note("C4", 4, stop) + note("C4", 12)]
    score = read_piece(write_mxl(tmp_path / "ties.mxl", score_xml([measures])))
    assert rows(score.notes) == [(0.0, 9.0, 60, 0), (9.0, 3.0, 60, 0)]


def test_a_tie_that_has_no_beginning_is_a_note(tmp_path: Path) -> None:
    measures = [note("C4", 4) + note("D4", 4, '<tie type="stop"/>')]
    score = read_piece(write_mxl(tmp_path / "piece.mxl", score_xml([measures])))
    assert rows(score.notes) == [(0.0, 1.0, 60, 0), (1.0, 1.0, 62, 0)]


def test_grace_notes_come_just_before_their_main_note(tmp_path: Path) -> None:
    measures = [grace("B4") + note("C5", 4) + grace("D5") + grace("E5") + note("F5", 4)]
    score = read_piece(write_mxl(tmp_path / "piece.mxl", score_xml([measures])))
    assert rows(score.notes) == [
        (0.0, 1.0, 72, 0),  # the grace note before it would begin before the score
        (1.0 - 2 * GRACE_QUARTERS, GRACE_QUARTERS, 74, 0),
        (1.0 - GRACE_QUARTERS, GRACE_QUARTERS, 76, 0),
        (1.0, 1.0, 77, 0),
    ]


def test_a_chord_of_grace_notes_is_struck_together(tmp_path: Path) -> None:
    chord = "<note><grace/><chord/><pitch><step>G</step><octave>4</octave></pitch></note>"
    measures = [rest(4) + grace("E4") + chord + note("C5", 4)]
    score = read_piece(write_mxl(tmp_path / "piece.mxl", score_xml([measures])))
    assert score.notes["onset_quarters"].tolist() == [0.875, 0.875, 1.0]
    assert score.notes["pitch"].tolist() == [64, 67, 72]


def test_transposing_instruments_sound_as_they_sound(tmp_path: Path) -> None:
    b_flat = "<attributes><transpose><chromatic>-2</chromatic><octave-change>-1</octave-change></transpose>"
    measures = [b_flat + "</attributes>" + note("C5", 4)]
    score = read_piece(write_mxl(tmp_path / "piece.mxl", score_xml([measures])))
    assert score.notes["pitch"].tolist() == [58]


def test_cue_unpitched_and_unplayable_notes_are_left_out(tmp_path: Path) -> None:
    unpitched = "<note><unpitched/><duration>4</duration></note>"
    measures = [note("C4", 4) + note("D4", 4, "<cue/>") + unpitched + note("B9", 4, "") + note("E4", 4)]
    score = read_piece(write_mxl(tmp_path / "piece.mxl", score_xml([measures])))
    assert rows(score.notes) == [(0.0, 1.0, 60, 0), (4.0, 1.0, 64, 0)]


def test_two_voices_on_one_pitch_are_its_longer_note(tmp_path: Path) -> None:
    measures = [note("C4", 4) + "<backup><duration>4</duration></backup>" + note("C4", 16)]
    score = read_piece(write_mxl(tmp_path / "piece.mxl", score_xml([measures])))
    assert rows(score.notes) == [(0.0, 4.0, 60, 0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no file"),
        (b"", "can't be read as MusicXML"),
        (b"RIFF, not XML", "can't be read as MusicXML"),
        (b"<score-timewise/>", "export it as partwise"),
        (b"<score-partwise/>", "holds no pitched note"),
        (score_xml([[rest(16)]]).encode(), "holds no pitched note"),
        (score_xml([[note("H4", 4)]]).encode(), "malformed note or measure"),
        (score_xml([[note("C4", 4).replace("4</d", "four</d")]]).encode(), "malformed note or measure"),
    ],
)
def test_a_file_that_is_no_score_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "bad.musicxml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_piece(path)
    assert "bad.musicxml" in str(caught.value)


def test_a_compressed_file_without_a_container_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.mxl", "w") as archive:
        archive.writestr("readme.txt", "no score here")
    with pytest.raises(ValueError, match=r"odd\.mxl can't be read"):
        read_piece(tmp_path / "odd.mxl")


def test_packed_scores_come_back_and_failures_are_listed(tmp_path: Path) -> None:
    songs = [
        write_mxl(tmp_path / "one.mxl", score_xml([[note("C4", 4)], [note("E3", 4) + note("G3", 4)]])),
        tmp_path / "missing.mxl",
        write_mxl(tmp_path / "two.mxl", score_xml([[note("D4", 4)], [rest(4)]])),
    ]
    report = pack_scores(songs, tmp_path / "packed.npz")
    assert (report.scores, report.notes) == (2, 4)
    assert report.bytes == (tmp_path / "packed.npz").stat().st_size
    assert [name for name, _ in report.failures] == ["missing"]
    for packed, path in zip(load_scores(tmp_path / "packed.npz"), (songs[0], songs[2]), strict=True):
        score = read_piece(path)
        assert (packed.name, packed.title, packed.composer) == (score.name, score.title, score.composer)
        assert packed.part_names == score.part_names
        for field in ("notes", "bars", "tempos"):
            assert np.array_equal(getattr(packed, field), getattr(score, field)), field


def test_packing_in_two_processes_gives_the_same_archive(tmp_path: Path) -> None:
    song = write_mxl(tmp_path / "one.mxl", score_xml([[note("C4", 4)]]))
    pack_scores([song, song], tmp_path / "a.npz")
    report = pack_scores([song, song], tmp_path / "b.npz", workers=2)
    assert report.scores == 2
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("paths", [[], ["nowhere.mxl"]])
def test_packing_nothing_is_an_error(tmp_path: Path, paths: list[str]) -> None:
    with pytest.raises(ValueError, match=f"none of {len(paths)} scores can be read"):
        pack_scores(paths, tmp_path / "packed.npz")
    assert not list(tmp_path.iterdir())


def test_something_else_than_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "other.npz", "array.npy", "missing.npz"):
        with pytest.raises(ValueError, match=f"{name} is not an archive of scores"):
            load_scores(tmp_path / name)


def test_the_split_is_stable_small_and_by_name() -> None:
    names = [f"lc{i}" for i in range(5000)]
    held_out = [name for name in names if is_held_out(name)]
    assert 0.05 < len(held_out) / len(names) < 0.07
    assert held_out[:5] == ["lc6", "lc10", "lc19", "lc23", "lc31"]
    assert all(is_held_out(f"/somewhere/{name}.mxl") for name in held_out)


def test_a_name_keeps_its_inner_dots_and_its_form() -> None:
    assert score_name("q/Quartet_No.1__Op.18_No.1__sq80.mxl") == "Quartet_No.1__Op.18_No.1__sq80"
    assert score_name("Quartet_No.1__Op.18") == "Quartet_No.1__Op.18"
    assert score_name("Dvor\u030ca\u0301k") == score_name("Dvo\u0159\u00e1k")
