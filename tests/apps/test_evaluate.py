"""The command on small folders of notes; with recordings, a transcriber that hears one note in each."""

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import mt3x.transcription.transcriber as transcriber_module
from mt3x.apps import cli
from mt3x.audio.errors import AudioError
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.result import Transcription
from tests.music.smf.smf_bytes import END, midi_file

PIANO = make_notes([0.0, 1.0], [0.5, 1.5], [60, 64])
DUO = make_notes([0.0, 1.0], [0.5, 1.5], [60, 64], program=[0, 40])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def midi(*paths, notes=PIANO):
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_midi(notes, path)


def evaluate(*words) -> int:
    return cli.main(["evaluate", *map(str, words)])


def test_two_folders_are_scored_piece_by_piece_and_together(capsys):
    midi("ref/a.mid")
    midi("ref/deep/b.midi", notes=DUO)
    midi("est/a.mid")
    midi("est/deep/b.mid", notes=DUO[:1])
    assert evaluate("ref", "est", "--json", "out/scores.json", "--csv", "scores.csv") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "2 pieces, 4 notes in the reference, 3 in the estimate; onsets within 50 ms" in out
    saved = json.loads(Path("out/scores.json").read_text())
    assert saved["format"] == "mt3x-evaluation-1" and saved["title"] == "est against ref"
    assert list(saved["pieces"]) == ["a", "deep/b"]
    assert saved["pieces"]["deep/b"]["scores"]["onset"]["f1"] == pytest.approx(2 / 3)
    assert saved["summary"]["scores"]["onset"]["f1"]["value"] == pytest.approx(5 / 6)
    assert saved["summary"]["instruments"]["leakage_ratio"]["value"] == pytest.approx(2 / 3)
    rows = list(csv.DictReader(Path("scores.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["a", "deep/b"]
    assert float(rows[1]["onset_recall"]) == 0.5 and rows[1]["drum_onset_f1"] == ""
    assert rows[0]["reference_notes"] == "2" and rows[0]["useless_events_per_minute"] == ""


def test_two_files_need_not_have_one_name(capsys):
    midi("played.mid", "heard.mid")
    assert evaluate("played.mid", "heard.mid") == 0
    assert capsys.readouterr().out.startswith("1 piece, 2 notes in the reference")


def test_what_was_mended_in_a_file_is_told_and_the_piece_is_scored(capsys):
    midi("played.mid")
    Path("heard.mid").write_bytes(midi_file("00 903c5a 8740 90405a 8360" + END[2:]))
    assert evaluate("played.mid", "heard.mid") == 0
    out, err = capsys.readouterr()
    assert err == "mt3x: heard.mid: 2 notes were never released; they end with the track.\n"
    assert out.startswith("1 piece, 2 notes in the reference, 2 in the estimate")


def test_a_note_at_the_end_of_time_is_told_and_costs_no_memory(capsys):
    midi("ref/a.mid", "est/a.mid", "ref/far.mid")
    Path("est/far.mid").write_bytes(midi_file("8fffffff7f 903c5a 8fffffff7f 803c00" + END))
    assert evaluate("ref", "est") == 0
    assert "est/far.mid: 2 delta times are longer than MIDI allows" in capsys.readouterr().err


def test_what_is_on_one_side_only_is_named_and_the_rest_is_scored(capsys):
    midi("ref/a.mid", "est/a.mid", "est/extra.mid")
    for number in range(7):
        midi(f"ref/lost{number}.mid")
    assert evaluate("ref", "est") == 1
    out, err = capsys.readouterr()
    assert out.startswith("1 piece,")
    assert err.splitlines() == [
        "mt3x: est: no file of notes for 7 pieces: lost0, lost1, lost2, lost3, lost4, ...; names must be "
        "equal up to the suffix",
        "mt3x: ref: no reference for 1 piece: extra; names must be equal up to the suffix",
    ]


def test_nothing_in_common_ends_with_2_and_says_what_is_there(capsys):
    midi("ref/a.mid")
    Path("est").mkdir()
    assert evaluate("ref", "est", "--json", "scores.json") == 2
    assert capsys.readouterr().err == (
        "mt3x: no piece is in both folders: ref holds 1 file of notes: a, est holds 0 files of notes; names "
        "must be equal up to the suffix\n"
    )
    assert not Path("scores.json").exists()


@pytest.mark.parametrize("side", ["ref", "est"])
def test_a_bad_file_is_named_and_the_rest_goes_on(side, capsys):
    for folder in ("ref", "est"):
        midi(f"{folder}/a.mid", f"{folder}/b.mid")
    Path(side, "a.mid").write_bytes(b"no MIDI")
    assert evaluate("ref", "est", "--json", "scores.json") == 1
    err = capsys.readouterr().err
    assert err.startswith(f"mt3x: {side}/a.mid: ") and err.count("\n") == 1
    assert list(json.loads(Path("scores.json").read_text())["pieces"]) == ["b"]


def test_when_nothing_can_be_read_nothing_is_written(capsys):
    midi("ref/a.mid", "est/a.mid")
    Path("est/a.mid").write_bytes(b"")
    assert evaluate("ref", "est", "--json", "scores.json", "--html", "page.html") == 1
    assert "none of 1 pieces could be scored; nothing is written" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["est", "ref"]


def test_options_reach_the_scores():
    midi("a.mid")
    midi("b.mid", notes=make_notes([0.08, 1.08], [0.5, 1.5], [60, 64]))
    assert (
        evaluate("a.mid", "b.mid", "--tolerance", "0.1", "--mt3-compatible", "--seed", "7", "--json", "s")
        == 0
    )
    summary = json.loads(Path("s").read_text())["summary"]
    assert summary["settings"] == {
        "tolerance_seconds": 0.1,
        "mt3_compatible": True,
        "seed": 7,
        "confidence": 0.95,
    }
    assert summary["scores"]["onset"]["f1"]["value"] == 1.0
    assert summary["scores"]["drum_onset"]["f1"]["value"] == 0.0


def test_page_gets_all_pieces(monkeypatch):
    page = SimpleNamespace(write_page=lambda *arguments: calls.append(arguments))
    calls = []
    monkeypatch.setitem(sys.modules, "mt3x.apps.results.evaluation_page", page)
    midi("ref/a.mid", "est/a.mid", "ref/b.mid", "est/b.mid")
    assert evaluate("ref", "est", "--html", "page.html") == 0
    [(path, pieces, summary, title)] = calls
    assert (path, title, summary["pieces"]) == (Path("page.html"), "est against ref", 2)
    assert [piece.name for piece in pieces] == ["a", "b"]
    assert pieces[0].audio is None and pieces[0].segment_edges_seconds.shape == (0,)


def test_a_missing_package_costs_the_page_only(monkeypatch, capsys):
    def write_page(*_):
        raise ImportError("figures need matplotlib: pip install 'mt3x[evaluate]'")

    page = SimpleNamespace(write_page=write_page)
    monkeypatch.setitem(sys.modules, "mt3x.apps.results.evaluation_page", page)
    midi("a.mid", "b.mid")
    assert evaluate("a.mid", "b.mid", "--json", "s.json", "--html", "page.html") == 1
    assert Path("s.json").exists()
    assert "cannot write page.html: figures need matplotlib" in capsys.readouterr().err


def test_an_interrupted_file_leaves_nothing_behind(monkeypatch, capsys):
    def replace(*_):
        raise OSError(28, "No space left on device")

    midi("a.mid", "b.mid")
    monkeypatch.setattr("os.replace", replace)
    assert evaluate("a.mid", "b.mid", "--json", "s.json") == 1
    assert "cannot write s.json: No space left on device" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["a.mid", "b.mid"]


def test_an_output_that_cannot_be_is_refused_before_the_work(capsys):
    midi("a.mid", "b.mid")
    Path("folder").mkdir()
    assert evaluate("a.mid", "b.mid", "--json", "folder") == 2
    assert "cannot write folder: it is a folder" in capsys.readouterr().err
    assert evaluate("a.mid", "b.mid", "--csv", "a.mid/x.csv") == 2
    assert "cannot write to a.mid" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a"],
        ["a", "b", "c"],
        ["a", "b", "--reference", "c"],
        ["--audio", "a"],
        ["a", "--audio", "b", "--reference", "c"],
        ["a", "b", "--model", "m"],
        ["a", "b", "--tolerance", "0"],
        ["a", "b", "--tolerance", "ten"],
    ],
)
def test_wrong_command_lines_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as ending:
        evaluate(*words)
    assert ending.value.code == 2
    assert "mt3x evaluate: error: " in capsys.readouterr().err


class OneNoteTranscriber:
    """Finds the first note of PIANO; fails on recordings named `bad`."""

    config = SimpleNamespace(segment_seconds=1.0, sample_rate=16_000)

    def transcribe_all(self, recordings, num_workers, progress=None, strict=False):
        assert strict  # what is scored is whole
        for number, recording in enumerate(recordings):
            if progress is not None:
                progress(number, 1.0, 3.0)
            if recording.stem == "bad":
                yield AudioError(f"{recording}: is not audio")
            else:
                yield Transcription(PIANO[:1], DecodeReport(2, 1), 3.0, "fake")


@pytest.fixture
def loads(monkeypatch):
    """The options that transcribers were loaded with."""
    options = []
    monkeypatch.setattr(
        transcriber_module, "load", lambda **given: options.append(given) or OneNoteTranscriber()
    )
    return options


def record(*paths):
    import soundfile

    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(48_000, np.float32), 16_000)


def test_recordings_are_transcribed_and_scored(loads, monkeypatch):
    calls = []
    page = SimpleNamespace(write_page=lambda *arguments: calls.append(arguments))
    monkeypatch.setitem(sys.modules, "mt3x.apps.results.evaluation_page", page)
    record("all/a.wav")
    midi("all/a.mid")
    words = ["--audio", "all", "--reference", "all", "--model", "m", "--search", "greedy"]
    assert evaluate(*words, "--json", "s.json", "--html", "page.html") == 0
    assert loads == [{"name_or_path": "m", "search": "greedy"}]
    report = json.loads(Path("s.json").read_text())["pieces"]["a"]
    assert report["scores"]["onset"]["recall"] == 0.5
    assert report["events"] == {"invalid": 2, "dropped": 1, "minutes": 0.05, "per_minute": 60.0}
    [piece] = calls[0][1]
    assert piece.segment_edges_seconds.tolist() == [1.0, 2.0]
    assert piece.audio[0].shape == (48_000,) and piece.audio[1] == 16_000


def test_one_recording_and_its_notes(loads):
    record("take.wav")
    midi("score.mid")
    assert evaluate("--audio", "take.wav", "--reference", "score.mid", "--json", "s.json") == 0
    assert list(json.loads(Path("s.json").read_text())["pieces"]) == ["take"]


def test_a_bad_recording_is_named_and_the_rest_goes_on(loads, capsys):
    record("in/a.wav", "in/bad.wav", "in/lost.wav")
    midi("ref/a.mid", "ref/bad.mid", "ref/unheard.mid")
    assert evaluate("--audio", "in", "--reference", "ref", "--json", "s.json") == 1
    assert capsys.readouterr().err.splitlines() == [
        "mt3x: in: no recording for 1 piece: unheard; names must be equal up to the suffix",
        "mt3x: ref: no reference for 1 piece: lost; names must be equal up to the suffix",
        "mt3x: in/bad.wav: is not audio",
    ]
    assert list(json.loads(Path("s.json").read_text())["pieces"]) == ["a"]


def test_a_model_that_cannot_be_loaded_ends_with_2(monkeypatch, capsys):
    def load(**_):
        raise ValueError("no such model: m")

    monkeypatch.setattr(transcriber_module, "load", load)
    record("in/a.wav")
    midi("ref/a.mid")
    assert evaluate("--audio", "in", "--reference", "ref", "--model", "m") == 2
    assert capsys.readouterr().err == "mt3x: no such model: m\n"
