"""`mt3x prepare` on a few scores, a band, small note banks and a folder of recordings."""

import json
import sys

import numpy as np
import pytest
import soundfile

from mt3x.apps.cli import main
from mt3x.data.datasets import READERS
from mt3x.data.records.array_records import Records
from mt3x.data.synthetic.bands import load_bands
from mt3x.data.synthetic.scores import load_scores
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes
from mt3x.synthesis.note_banks import load_note_bank
from mt3x.synthesis.sampled.instruments import load_samples
from tests.data.synthetic.band_folders import write_grooves, write_sheets

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


@pytest.fixture
def samples(tmp_path):
    """A folder of one instrument as an SFZ file."""
    folder = tmp_path / "samples"
    folder.mkdir()
    soundfile.write(folder / "c4.wav", 0.5 * np.sin(np.arange(8000) / 6), 44_100)
    (folder / "piano.sfz").write_text("<region> sample=c4.wav key=60")
    (folder / "programs.tsv").write_text("sfz\tprogram\tis_drum\npiano.sfz\t0\t0\n")
    return folder


def test_samples_are_packed(samples, capsys):
    output = samples.parent / "packed"
    assert main(["prepare", "note-bank", "--samples", str(samples), "--output", str(output)]) == 0
    assert load_samples(output).instruments == ("piano",)
    assert "packed: 1 instruments, 1 recordings, 0.0 MB" in capsys.readouterr().out


def test_samples_that_cannot_be_packed_are_an_error(samples, capsys):
    (samples / "programs.tsv").unlink()
    output = samples.parent / "packed"
    assert main(["prepare", "note-bank", "--samples", str(samples), "--output", str(output)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "programs.tsv is missing; SFZ files do not say which" in lines[0]
    assert not output.exists()


@pytest.mark.parametrize("words", [[], ["--soundfont", "sf_GMbank", "--samples", "samples"]])
def test_a_note_bank_is_of_a_soundfont_or_of_samples(tmp_path, capsys, words):
    assert main(["prepare", "note-bank", *words, "--output", str(tmp_path / "bank")]) == 2
    assert capsys.readouterr().err == "mt3x prepare: give one of --soundfont NAME and --samples DIR\n"


def prepare_bands(folder):
    words = ["--grooves", str(folder / "grooves"), "--sheets", str(folder / "sheets")]
    output = folder / "bands.npz"
    return main(["prepare", "bands", *words, "--output", str(output)]), output


def test_bands_are_packed(tmp_path, capsys):
    write_grooves(tmp_path / "grooves")
    write_sheets(tmp_path / "sheets")
    code, output = prepare_bands(tmp_path)
    music = load_bands(output)
    assert (code, len(music.grooves), len(music.sheets)) == (0, 1, 1)
    assert "bands.npz: 1 beats, 0 fills, 1 lead sheets, 0.0 MB" in capsys.readouterr().out


def test_lead_sheets_that_cannot_be_read_are_counted(tmp_path, capsys):
    write_grooves(tmp_path / "grooves")
    (write_sheets(tmp_path / "sheets") / "bad.mxl").write_text("no sheet")
    code, output = prepare_bands(tmp_path)
    assert code == 1 and len(load_bands(output).sheets) == 1
    assert capsys.readouterr().err == "mt3x prepare: 1 lead sheets cannot be read\n"


def test_a_folder_without_grooves_is_an_error(tmp_path, capsys):
    code, output = prepare_bands(tmp_path)
    assert code == 2 and not output.exists()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "info.csv cannot be read" in lines[0]


@pytest.fixture
def takes(tmp_path):
    """Three recordings with their MIDI files, and one without."""
    folder = tmp_path / "takes"
    folder.mkdir()
    for number in range(4):
        soundfile.write(folder / f"take {number}.wav", np.full(32_000, 0.1), 16_000)
        if number:
            write_midi(make_notes(0.5, 1.5, 60 + number, 90, 26), folder / f"take {number}.mid")
    return folder


def prepare_takes(takes, *words):
    output = takes.parent / "records"
    return main(["prepare", "midi_folder", "--source", str(takes), "--output", str(output), *words]), output


def test_a_folder_of_recordings_becomes_records(takes, capsys):
    code, output = prepare_takes(takes)
    assert code == 0
    records = Records(output, "train")
    assert [example.id for example in records] == ["take 1", "take 2", "take 3"]
    assert records[1].notes["pitch"].tolist() == [62]
    printed = capsys.readouterr()
    assert "records: train: 3 recordings, 3 examples, 0:06, " in printed.out
    assert "take 0.wav  has no MIDI file of the same name" in printed.err
    assert "1 problems, 0 recordings left out; all are told in" in printed.err


def test_what_was_mended_in_a_midi_file_is_told(takes, capsys):
    data = bytearray((takes / "take 2.mid").read_bytes())
    data[11] = 9  # tracks
    (takes / "take 2.kar").write_bytes(data)
    (takes / "take 2.mid").unlink()
    assert prepare_takes(takes)[0] == 0
    assert "take 2.kar  the header gives a wrong number of tracks." in capsys.readouterr().err


def test_recordings_that_cannot_be_used_are_told_in_a_table_and_the_manifest(takes, capsys):
    (takes / "take 2.mid").write_bytes(b"MThd")
    code, output = prepare_takes(takes, "--workers", "2")
    assert code == 1
    assert len(Records(output, "train")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["file      ".rstrip(), "take 0.wav", "take 2.wav"]
    assert "take 2 is left out: " in lines[2]
    problems = json.loads((output / "manifest.json").read_text())["problems"]
    assert [problem["file"] for problem in problems] == ["take 0.wav", "take 2.wav"]


def test_no_more_than_a_hundred_problems_are_printed(takes, capsys):
    for number in range(120):
        (takes / f"lonely {number}.mid").write_bytes(b"")
    prepare_takes(takes)
    lines = capsys.readouterr().err.splitlines()
    assert lines[101] == "... and 21 more" and lines[102].startswith("mt3x prepare: 121 problems")


def test_a_missing_package_is_an_error_that_names_the_extra(takes, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "array_record.python", None)
    assert prepare_takes(takes)[0] == 2
    error = capsys.readouterr().err
    assert "array_record" in error and "install mt3x with its extra `train` or `train-grain`" in error


def test_a_wrong_folder_is_an_error(tmp_path, capsys):
    assert prepare_takes(tmp_path / "nowhere")[0] == 2
    assert "nowhere: is no folder; give the one with your recordings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--set", "colour=red"], "midi_folder has no option colour; it has none"),
        (["--set", "colour"], "--set colour: write it as OPTION=VALUE"),
        (["--workers", "0"], "workers is 0; it must be at least 1"),
    ],
)
def test_wrong_options_are_errors(takes, capsys, words, reason):
    assert prepare_takes(takes, *words)[0] == 2
    assert f"mt3x prepare: {reason}" in capsys.readouterr().err


def test_every_data_set_has_a_command(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["prepare", "--help"])
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*READERS, "scores", "bands", "note-bank"))
