"""`mt3x prepare scores` on a few files."""

import pytest

from mt3x.apps.cli import main
from mt3x.audio.notebank import load_note_bank
from mt3x.data.scores import load_scores

SCORE = """<?xml version="1.0"?>
<score-partwise version="4.0">
  <part-list><score-part id="P1"><part-name>Flute</part-name></score-part></part-list>
  <part id="P1"><measure number="1">
    <attributes><divisions>1</divisions></attributes>
    <note><pitch><step>C</step><octave>4</octave></pitch><duration>1</duration></note>
  </measure></part>
</score-partwise>
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "good.musicxml").write_text(SCORE)
    return tmp_path


def prepare(folder):
    output = folder / "out.npz"
    return main(["prepare", "scores", "--source", str(folder / "scores"), "--output", str(output)]), output


def test_scores_are_packed(folder, capsys):
    code, output = prepare(folder)
    assert code == 0
    assert [score.name for score in load_scores(output)] == ["good"]
    assert "1 scores, 1 notes" in capsys.readouterr().out


def test_a_score_that_cannot_be_read_is_named_and_the_rest_packed(folder, capsys):
    (folder / "scores" / "bad.musicxml").write_text("no score")
    code, output = prepare(folder)
    assert code == 1
    assert len(load_scores(output)) == 1
    assert "mt3x prepare: bad: " in capsys.readouterr().err


def test_nothing_readable_is_an_error(folder, capsys):
    (folder / "scores" / "good.musicxml").write_text("no score")
    code, output = prepare(folder)
    assert code == 2
    assert not output.exists()
    assert "none of 1 scores" in capsys.readouterr().err


def test_a_folder_without_scores_is_an_error(folder, capsys):
    (folder / "scores" / "good.musicxml").unlink()
    assert prepare(folder)[0] == 2
    assert "no .mxl, .musicxml, .xml file below" in capsys.readouterr().err


def test_a_note_bank_is_built(tmp_path, capsys):
    folder = tmp_path / "bank"
    words = ["prepare", "note-bank", "--soundfont", "sf_GMbank", "--output", str(folder), "--programs", "0"]
    assert main([*words, "--seconds", "1"]) == 0
    assert load_note_bank(folder).samples.shape[1] == 16_000
    assert "notes" in capsys.readouterr().out


def test_a_missing_soundfont_is_an_error(tmp_path, capsys):
    words = ["prepare", "note-bank", "--soundfont", "nowhere.sf2", "--output", str(tmp_path / "bank")]
    assert main(words) == 2
    assert "no soundfont at nowhere.sf2" in capsys.readouterr().err
