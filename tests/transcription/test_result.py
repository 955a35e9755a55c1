import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import mido
import numpy as np
import pytest

from mt3x.music.midi import read_midi
from mt3x.music.notes import empty_notes, make_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.result import FORMATS, JSON_FORMAT, Transcription
from tests.score.performances import play, waltz

ROOT = str(Path(__file__).parents[2])


def transcription(notes=None, **facts):
    if notes is None:
        notes = make_notes(
            [0.0, 0.5, 1.0], [0.5, 1.5, 1.01], [60, 67, 38], [100, 64, 127], [0, 40, 0], [False, False, True]
        )
    facts = {"report": DecodeReport(2, 1), "duration_seconds": 2.0, "model": "default"} | facts
    return Transcription(notes, **facts)


def test_midi_holds_the_notes_with_programs_and_drums_apart(tmp_path):
    notes = read_midi(transcription().save(tmp_path / "song.mid"))
    assert notes["pitch"].tolist() == [60, 67, 38]
    assert notes["program"].tolist() == [0, 40, 0]
    assert notes["is_drum"].tolist() == [False, False, True]
    np.testing.assert_allclose(notes["start"], [0.0, 0.5, 1.0], atol=1e-3)


def test_beats_of_midi_are_found_where_music_plays_and_the_notes_keep_their_times(tmp_path):
    played = play(waltz(), 150, rubato=0.15, jitter=0.02)
    path = transcription(played).save(tmp_path / "waltz.MID", beats=True)
    np.testing.assert_allclose(read_midi(path)["start"], played["start"], rtol=0, atol=1e-3)
    track = mido.MidiFile(path).tracks[0]
    assert (3, 4) in [(m.numerator, m.denominator) for m in track if m.type == "time_signature"]
    assert len([m for m in track if m.type == "set_tempo"]) > 40
    without = transcription(played).save(tmp_path / "without.mid")
    assert len([m for m in mido.MidiFile(without).tracks[0] if m.type == "set_tempo"]) == 1


def test_without_notes_a_file_with_beats_is_one_without(tmp_path):
    silent = transcription(empty_notes())
    files = [silent.save(tmp_path / f"{beats}.mid", beats=beats) for beats in (False, True)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_beats_are_refused_where_the_file_cannot_hold_them(tmp_path):
    with pytest.raises(ValueError, match=r"'song.json' with beats; name a file that ends in .mid, or leave"):
        transcription().save(tmp_path / "song.json", beats=True)
    assert not os.listdir(tmp_path)


def test_json_holds_everything_with_one_note_to_a_line(tmp_path):
    text = transcription(notices=("no sound",)).save(tmp_path / "song.json").read_text()
    assert json.loads(text) == {
        "format": JSON_FORMAT,
        "model": "default",
        "duration_seconds": 2.0,
        "report": {"invalid_events": 2, "dropped_events": 1},
        "notices": ["no sound"],
        "tuning_cents": None,
        "notes": [
            {"start": 0.0, "end": 0.5, "pitch": 60, "velocity": 100, "program": 0, "is_drum": False,
             "instrument": "Acoustic Grand Piano"},
            {"start": 0.5, "end": 1.5, "pitch": 67, "velocity": 64, "program": 40, "is_drum": False,
             "instrument": "Violin"},
            {"start": 1.0, "end": 1.01, "pitch": 38, "velocity": 127, "program": 0, "is_drum": True,
             "instrument": "Drums"},
        ],
    }  # fmt: skip
    assert sum('"pitch"' in line for line in text.splitlines()) == 3


def test_bends_are_in_midi_and_json_with_their_notes(tmp_path):
    slide, still = np.array([[0.5, 0.0], [1.0, 50.0]], np.float32), np.zeros((0, 2), np.float32)
    bent = transcription(bends=(still, slide, still), tuning_cents=-12.34)
    content = json.loads(bent.save(tmp_path / "song.json").read_text())
    assert content["tuning_cents"] == -12.3
    assert [note["bend"] for note in content["notes"]] == [[], [[0.5, 0.0], [1.0, 50.0]], []]
    for beats in (False, True):
        tracks = mido.MidiFile(bent.save(tmp_path / "song.mid", beats=beats)).tracks
        assert [m.pitch for track in tracks for m in track if m.type == "pitchwheel"] == [0, 2048]


def test_the_pedal_is_in_midi_and_json_beside_bends_and_beats(tmp_path):
    still = np.zeros((0, 2), np.float32)
    held = transcription(pedal=np.array([[0.0, 0.5], [0.6004, 1.75]]), bends=(still, still, still))
    text = held.save(tmp_path / "song.json").read_text()
    assert json.loads(text)["pedal"] == [[0.0, 0.5], [0.6, 1.75]]
    assert sum(line.startswith("  [") for line in text.splitlines()) == 2
    assert "pedal" not in transcription().to_dict()
    for beats in (False, True):
        tracks = mido.MidiFile(held.save(tmp_path / "song.mid", beats=beats)).tracks
        found = [
            (track.name, m.value)
            for track in tracks
            for m in track
            if m.type == "control_change" and m.control == 64
        ]
        assert found == [("Acoustic Grand Piano", value) for value in (127, 0, 127, 0)]


def test_csv_has_a_header_and_a_row_per_note(tmp_path):
    path = transcription().save(tmp_path / "song.csv")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["instrument"] for row in rows] == ["Acoustic Grand Piano", "Violin", "Drums"]
    assert rows[1]["start"] == "0.5" and rows[1]["pitch"] == "67" and rows[2]["is_drum"] == "True"


@pytest.mark.parametrize("suffix", FORMATS)
def test_empty_transcription_gives_a_valid_file(tmp_path, suffix):
    path = transcription(empty_notes()).save(tmp_path / f"song.{suffix}")
    if suffix == "mid":
        assert len(read_midi(path)) == 0
    elif suffix == "json":
        assert json.loads(path.read_text())["notes"] == []
    elif suffix == "musicxml":
        assert '<rest measure="yes" />' in path.read_text()
    else:
        assert path.read_text().count("\n") == 1


def test_musicxml_is_a_score_of_the_notes_written_without_other_packages(tmp_path):
    code = (
        "import sys\n"
        "from mt3x.music.notes import make_notes\n"
        "from mt3x.transcription.result import Transcription\n"
        "notes = make_notes([0.0, 0.5, 1.0, 1.5], [0.5, 1.0, 1.5, 2.0], [60, 64, 67, 72], 80, 40)\n"
        "Transcription(notes, None, 2.0, 'default').save('song.musicxml')\n"
        "loaded = {'music21', 'partitura', 'verovio', 'cairosvg', 'lxml'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    environment = os.environ | {"PYTHONPATH": ROOT}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)
    text = (tmp_path / "song.musicxml").read_text()
    assert text.count("<pitch>") == 4 and "<part-name>Violin</part-name>" in text


def test_unknown_suffix_lists_the_choices(tmp_path):
    with pytest.raises(ValueError, match=r"'song.xml'; the name must end in one of .mid, .json, .csv"):
        transcription().save(tmp_path / "song.xml")


def test_upper_case_suffix_and_long_non_ascii_name_are_fine(tmp_path):
    path = transcription().save(tmp_path / ("ñ" * 124 + ".MID"))
    assert len(read_midi(path)) == 3


def test_failed_save_names_the_file_and_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "song.mid"
    path.write_bytes(b"old")

    def fail(unfinished, _):
        raise OSError(28, "No space left on device", str(unfinished))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*song.mid'"):
        transcription().save(path)
    assert os.listdir(tmp_path) == ["song.mid"] and path.read_bytes() == b"old"


def test_instruments_are_named_once_each_with_drums_last():
    assert transcription().instruments == ("Acoustic Grand Piano", "Violin", "Drums")
    assert transcription(empty_notes()).instruments == ()


def test_pretty_midi_has_an_instrument_per_program():
    midi = transcription().to_pretty_midi()
    assert sorted((part.name, part.is_drum, len(part.notes)) for part in midi.instruments) == [
        ("Acoustic Grand Piano", False, 1),
        ("Drums", True, 1),
        ("Violin", False, 1),
    ]


def test_plot_draws_one_collection_per_instrument():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    ax = transcription().plot()
    assert [part.get_label() for part in ax.collections] == ["Acoustic Grand Piano", "Violin", "Drums"]
    assert [len(part.get_paths()) for part in ax.collections] == [1, 1, 1]
    assert ax.get_xlim() == (0, 2.0) and ax.get_ylim() == (36, 69)
    again = transcription(empty_notes()).plot(plt.figure().add_subplot())
    assert len(again.collections) == 0
    plt.close("all")


@pytest.mark.parametrize(
    ("method", "package", "extra"),
    [
        ("plot", "matplotlib", "plot"),
        ("to_pretty_midi", "pretty_midi", "midi"),
        ("to_note_sequence", "note_seq", "noteseq"),
    ],
)
def test_missing_extra_says_what_to_install(monkeypatch, method, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"pip install 'mt3x\[{extra}\]'"):
        getattr(transcription(), method)()
