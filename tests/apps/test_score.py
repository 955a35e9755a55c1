"""The command from each kind of input to each kind of output; the transcriber is a fake."""

import sys
import zipfile
from pathlib import Path

import mido
import numpy as np
import pytest

import mt3x.transcription.transcriber as transcriber_module
from mt3x.apps.cli import main
from mt3x.audio.errors import AudioError
from mt3x.music.midi import read_midi
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import empty_notes, make_notes
from mt3x.score.io.musicxml import musicxml_bytes
from mt3x.score.score import Part, Score, make_score_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.result import Transcription
from tests.score.pieces import kern, mei

NOTES = make_notes(np.arange(16) * 0.5, np.arange(16) * 0.5 + 0.45, [60, 62, 64, 65] * 4, 80, 40)


class FakeTranscriber:
    """Hears a violin's scale in all files, nothing in `silent.wav`; can't read `bad.wav` and `score.mscz`."""

    def transcribe(self, recording, progress=None):
        if recording.name in ("bad.wav", "score.mscz"):
            raise AudioError(f"{recording}: is not audio")
        notes = empty_notes() if recording.name == "silent.wav" else NOTES
        return Transcription(notes, DecodeReport(0, 0), 8.0, "fake")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transcriber_module, "load", lambda **options: FakeTranscriber())
    write_midi(NOTES, "scale.mid")
    return tmp_path


def test_midi_becomes_musicxml_with_title_and_metre(folder, capsys):
    options = ["--title", "A scale", "--composer", "Trad.", "--time-signature", "2/4", "--tempo", "120"]
    assert main(["score", "scale.mid", "-o", "out/scale.musicxml", *options]) == 0
    assert capsys.readouterr().out == "scale.mid -> out/scale.musicxml\n"
    text = Path("out/scale.musicxml").read_text()
    assert "<work-title>A scale</work-title>" in text and "Trad." in text
    assert "<beats>2</beats>" in text and "<part-name>Violin</part-name>" in text


@pytest.mark.parametrize("name", ["scale.kar", "scale.RMI", "scale.smf"])
def test_midi_has_many_suffixes_and_what_was_mended_is_told(folder, capsys, name):
    data = Path("scale.mid").read_bytes()
    Path(name).write_bytes(data[:11] + b"\x09" + data[12:])
    assert main(["score", name, "-o", "scale.musicxml"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{name} -> scale.musicxml\n"
    assert err == f"mt3x: {name}: the header gives a wrong number of tracks.\n"


def test_a_recording_is_transcribed_first(folder):
    assert main(["score", "song.wav", "-o", "song.mxl", "--quiet"]) == 0
    assert zipfile.is_zipfile("song.mxl")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "start"), [("svg", b"<svg"), ("pdf", b"%PDF"), ("png", b"\x89PNG"), ("mid", b"MThd")]
)
def test_musicxml_goes_to_every_format(suffix, start, folder, capsys):
    assert main(["score", "scale.mid", "-o", "scale.mxl", "--quiet"]) == 0
    assert main(["score", "scale.mxl", "-o", f"scale-again.{suffix}", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert Path(f"scale-again.{suffix}").read_bytes().startswith(start)
    if suffix == "mid":
        again = read_midi("scale-again.mid")
        assert again["pitch"].tolist() == NOTES["pitch"].tolist()
        assert np.allclose(np.diff(again["start"]), 0.5, atol=0.02)


@pytest.mark.slow
def test_midi_has_the_tempos_and_signatures_of_the_score(folder):
    tempos, time_signatures, key_signatures = ((0, 90.0), (4, 60.0), (6, 120.0)), ((0, 3, 4),), ((0, -2),)
    notes = make_score_notes([0, 3, 6], 3, [62, 65, 70], ["D", "F", "B"], [0, 0, -1], 4)
    measures = np.array([[0, 3], [3, 6], [6, 9]])
    parts = (Part("Violin", 40, False, notes),)
    whole = Score(1, parts, measures, time_signatures, key_signatures, tempos)
    Path("a.musicxml").write_bytes(musicxml_bytes(whole))
    assert main(["score", "a.musicxml", "-o", "a.mid"]) == 0
    told = {"set_tempo": [], "time_signature": [], "key_signature": []}
    for message in mido.MidiFile("a.mid").tracks[0][:-1]:
        told[message.type].append(list(message.dict().values())[1])
    assert told == {
        "set_tempo": [666667, 1_000_000, 500_000],
        "time_signature": [3],
        "key_signature": ["Bb"],
    }
    # Three quarters at 90 last 2 s; one more at 90 and two at 60 make 4.667 s.
    assert read_midi("a.mid")["start"] == pytest.approx([0.0, 2.0, 4.667], abs=0.001)


def test_musicxml_is_repacked_as_it_is(folder):
    Path("a.musicxml").write_bytes(b"<score-partwise>kept as it is</score-partwise>")
    assert main(["score", "a.musicxml", "-o", "b.mxl"]) == 0
    assert main(["score", "b.mxl", "-o", "c.musicxml"]) == 0
    assert Path("c.musicxml").read_bytes() == Path("a.musicxml").read_bytes()


ABC = "X:1\nM:2/4\nL:1/4\nQ:1/4=90\nK:C\nCF:|\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "times"),
    [("a.krn", kern("4c 4f"), 2), ("A.KERN", kern("4c 4f"), 2), ("a.mei", mei("cf"), 1), ("a.abc", ABC, 1)],
)
def test_humdrum_mei_and_abc_are_drawn_and_played(name, text, times, folder):
    Path(name).write_text(text)
    assert main(["score", name, "-o", "a.svg"]) == 0
    assert Path("a.svg").read_text().count('class="note"') == 2
    assert main(["score", name, "-o", "a.mid"]) == 0
    notes = read_midi("a.mid")
    assert notes["pitch"].tolist() == times * [60, 65]
    assert np.diff(notes["start"]) == pytest.approx(60 / 90, abs=0.01)


@pytest.mark.slow
def test_abc_becomes_musicxml(folder):
    Path("a.abc").write_text(ABC)
    assert main(["score", "a.abc", "-o", "a.mxl"]) == 0
    assert main(["score", "a.mxl", "-o", "a.mid"]) == 0
    assert read_midi("a.mid")["pitch"].tolist() == [60, 65]


def test_a_file_that_verovio_crashes_on_is_named(folder, capsys):
    Path("bad.krn").write_text("**kern\n4c\t4d\n*-\n")
    assert main(["score", "bad.krn", "-o", "a.svg"]) == 1
    assert capsys.readouterr().err.startswith("mt3x: bad.krn: Verovio c")
    assert not Path("a.svg").exists()


@pytest.mark.slow
def test_pages_are_numbered_where_there_are_several(folder, capsys):
    long = np.concatenate(
        [
            make_notes(NOTES["start"] + 8 * i, NOTES["end"] + 8 * i, NOTES["pitch"], 80, p)
            for i in range(30)
            for p in (40, 42)
        ]
    )
    write_midi(long, "long.mid")
    assert main(["score", "long.mid", "-o", "long.svg"]) == 0
    names = [path.name for path in sorted(folder.glob("long*.svg"))]
    assert len(names) > 1 and names[0] == "long-1.svg"
    assert capsys.readouterr().out == f"long.mid -> {', '.join(names)}\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["scale.mid", "-o", "scale.txt"], 2, "its name must end in one of .musicxml, .mxl, .mid"),
        (["none.mid", "-o", "a.mxl"], 1, "none.mid: no such file"),
        (["none.mxl", "-o", "a.mid"], 1, "none.mxl: cannot be read"),
        (["bad.wav", "-o", "a.mxl"], 1, "bad.wav: is not audio"),
        (["silent.wav", "-o", "a.mxl"], 1, "silent.wav: holds no notes"),
        (["none.mei", "-o", "a.svg"], 1, "none.mei: cannot be read (No such file or directory)"),
        (
            ["scale.krn", "-o", "a.mxl"],
            2,
            "cannot write a.mxl: .krn can become one of .mid, .svg, .pdf, .png",
        ),
        (
            ["score.mscz", "-o", "a.svg"],
            1,
            "score.mscz: is not audio; for notation, give a file that ends in one",
        ),
        (["scale.mei", "-o", "a.svg"], 1, "scale.mei: Verovio cannot read the score"),
        (["scale.musicxml", "-o", "a.svg"], 1, "scale.musicxml: Verovio cannot read the score"),
        (["scale.abc", "-o", "a.svg"], 1, "scale.abc can't be read as ABC"),
        (["scale.mid", "-o", "a.mxl", "--time-signature", "4/2"], 2, "time signature is 4/2"),
        (["scale.mid", "-o", "a.mxl", "--tempo", "-3"], 2, "tempo is -3.0"),
        (["scale.mid", "-o", "a.mxl", "--key", "D#"], 2, "key signature has 9 fifths"),
        (["scale.mxl", "-o", "a.mid", "--title", "T"], 2, "--title is for recordings and MIDI"),
        (["scale.mei", "-o", "a.mid", "--tempo", "90"], 2, "--tempo is for recordings and MIDI"),
        (
            ["scale.mid", "-o", "a.mxl", "--instruments", "piano"],
            2,
            "--instruments is for recordings; scale.mid",
        ),
        (["scale.mid", "-o", "scale.mid/a.mxl"], 2, "cannot write to scale.mid"),
    ],
)
def test_mistakes_are_told_in_one_line(words, code, message, folder, capsys):
    for name in ("scale.mei", "scale.abc", "scale.musicxml"):
        Path(name).write_text("this is something else")
    assert main(["score", *words]) == code
    error = capsys.readouterr().err
    assert message in error and error.startswith("mt3x: ") and error.count("\n") == 1


def test_a_metre_must_be_two_numbers(folder, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["score", "scale.mid", "-o", "a.mxl", "--time-signature", "waltz"])
    assert stop.value.code == 2 and "'waltz' is no time signature such as 3/4" in capsys.readouterr().err


def test_keys_have_names(folder, capsys):
    for name, fifths in (("C", 0), ("Am", 0), ("F#m", 3), ("Bb", -2), ("F", -1), ("Cb", -7)):
        assert main(["score", "scale.mid", "-o", "a.musicxml", "--key", name, "--quiet"]) == 0
        assert f"<fifths>{fifths}</fifths>" in Path("a.musicxml").read_text()
    with pytest.raises(SystemExit):
        main(["score", "scale.mid", "-o", "a.mxl", "--key", "H"])
    assert "'H' is no key such as Eb or F#m" in capsys.readouterr().err


def test_a_missing_package_is_told(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "verovio", None)
    assert main(["score", "scale.mid", "-o", "a.svg"]) == 2
    assert "drawing a score needs verovio: pip install 'mt3x[score]'" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_is_told(folder, monkeypatch, capsys):
    def load(**options):
        raise ValueError("no such model")

    monkeypatch.setattr(transcriber_module, "load", load)
    assert main(["score", "song.wav", "-o", "a.mxl"]) == 2
    assert "mt3x: no such model" in capsys.readouterr().err
