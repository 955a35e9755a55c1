"""What the accuracy benchmark makes of sets, recordings and scores; no network runs here."""

import argparse

import accuracy
import numpy as np
import pytest
import soundfile

from mt3x.metrics.report import Decoding
from mt3x.metrics.summary import summarize
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes

NOTES = make_notes([0.0, 0.5, 1.0], [0.4, 0.9, 1.4], [60, 64, 67], program=[0, 40, 73])


def parse(*words):
    parser = argparse.ArgumentParser()
    accuracy.add_set_options(parser, pieces=3)
    return parser.parse_args(words)


def test_real_recordings_come_with_the_notes_beside_them(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    soundfile.write(tmp_path / "b.flac", np.zeros(800), 8000)
    for name in "ab":
        (tmp_path / f"{name}.tsv").write_text("onset\toffset\tpitch\tvelocity\n0.5\t1.0\t60\t0\n")
    clips = list(accuracy.real_clips(tmp_path))
    assert [clip.audio.name for clip in clips] == ["a.wav", "b.flac"]
    assert clips[0].notes[["start", "pitch", "velocity"]].tolist() == [(0.5, 60, 1)]
    with pytest.raises(ValueError, match="has no .tsv file"):
        list(accuracy.real_clips(tmp_path / "none"))


def test_a_row_holds_scores_intervals_and_dashes_for_what_there_is_nothing_of():
    estimate = NOTES.copy()
    estimate["program"] = [0, 41, 0]
    reports = [accuracy.score(NOTES, estimate, Decoding(3, 0, 60.0)), accuracy.score(NOTES, NOTES)]
    row = dict(zip(accuracy.COLUMNS, accuracy.cells(summarize(reports)), strict=True))
    assert row["onset F1"] == "1.000 [1.000, 1.000]"
    assert row["multi-onset F1"] == "0.667 [0.333, 1.000]", "one of three programs is right in one piece"
    assert row["by class"] == "0.833"
    assert row["drum onset F1"] == "-"
    assert row["leakage"] == f"{5 / 6:.3f}"
    assert row["invalid/min"] == "3.000"
    assert accuracy.markdown(["a", "b"]) == "| a | b |"


def test_sets_are_made_once_and_again_where_more_is_asked(tmp_path, monkeypatch):
    made = []

    def write(name, scores, folder, soundfont, pieces):
        made.append((name, soundfont, pieces))
        folder.mkdir(exist_ok=True)
        excerpts = [{"name": f"{i:03d}"} for i in range(pieces)]
        for excerpt in excerpts:
            write_midi(NOTES, folder / f"{excerpt['name']}.mid")
        manifest = {"seed": accuracy.DEFAULT_SEED, "excerpts": excerpts}
        (folder / "manifest.json").write_text(accuracy.json.dumps(manifest))

    monkeypatch.setattr(accuracy, "write_test_set", write)
    monkeypatch.setattr(accuracy, "load_scores", lambda path: [])
    monkeypatch.setattr(accuracy, "select_test_pieces", lambda scores: scores)
    words = ["--scores", "s.npz", "--sets", "song", "--soundfonts", "X,f/Y.sf2"]
    clips = accuracy.prepare_clips(parse(*words), tmp_path)
    assert {name: len(found) for name, found in clips.items()} == {"song-X": 3, "song-Y": 3}
    assert clips["song-X"][1].audio == tmp_path / "song-X" / "001.flac"
    assert len(clips["song-X"][1].notes) == 3
    assert len(accuracy.prepare_clips(parse(*words, "--pieces", "2"), tmp_path)["song-X"]) == 2
    assert made == [("song", "X", 3), ("song", "f/Y.sf2", 3)], "fewer pieces are there already"
    accuracy.prepare_clips(parse(*words, "--pieces", "0"), tmp_path)
    assert made[2:] == [("song", "X", 40), ("song", "f/Y.sf2", 40)]


def test_wrong_sets_are_told(tmp_path):
    with pytest.raises(ValueError, match="there is no test set opera"):
        accuracy.prepare_clips(parse("--sets", "opera"), tmp_path)
    with pytest.raises(ValueError, match="are made of scores; give --scores"):
        accuracy.prepare_clips(parse("--sets", "song"), tmp_path)
    assert accuracy.prepare_clips(parse("--sets", "none"), tmp_path) == {}
