"""The command with a transcriber that hears one note in every recording; the real one runs in end_to_end/."""

import dataclasses
import itertools
import json
import os
from pathlib import Path

import mido
import numpy as np
import pytest

import mt3x.transcription.transcriber as transcriber_module
from mt3x.apps.cli import main
from mt3x.audio.errors import AudioError
from mt3x.music.midi import read_midi
from mt3x.music.notes import empty_notes, make_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.result import Transcription
from tests.score.performances import play, waltz


class OneNoteTranscriber:
    """Finds a violin's note and a drum hit, nothing in files named `silent`; fails on those named `bad`."""

    name, knows_bends, knows_pedal = "fake", True, True

    def __init__(self):
        self.recordings = []

    def transcribe_all(
        self,
        recordings,
        num_workers,
        progress=None,
        bends=False,
        pedal=False,
        keep_all=False,
        strict=False,
    ):
        self.num_workers, self.strict = num_workers, strict
        for number, recording in enumerate(recordings):
            found = self.transcribe(recording)
            if bends:
                violin = np.array([[0.0, 50.0]], np.float32)
                found = dataclasses.replace(found, bends=(violin, np.zeros((0, 2), np.float32)))
            if pedal:
                found = dataclasses.replace(found, pedal=np.array([[0.25, 0.75]]))
            yield found
            if progress is not None:
                progress(number, 1.0, 2.0)

    def transcribe(self, recording):
        self.recordings.append(str(recording))
        if "bad" in Path(recording).name:
            return AudioError(f"{recording}: is not audio")
        notes = make_notes([0.0, 0.5], [1.0, 0.51], [60, 36], 100, [40, 0], [False, True])
        if "silent" in Path(recording).name:
            return Transcription(empty_notes(), DecodeReport(0, 0), 2.0, "fake", ("the recording is silent",))
        return Transcription(notes, DecodeReport(0, 0), 2.0, "fake")


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake = OneNoteTranscriber()
    fake.loads = []

    def load(**options):
        fake.loads.append(options)
        return fake

    monkeypatch.setattr(transcriber_module, "load", load)
    return fake


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"audio")


def files(folder="."):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize(("elapsed_seconds", "speed"), [(0.5, ", 4.0x real time"), (3e-6, "")])
def test_summary_tells_notes_instruments_length_and_speed(fake, capsys, monkeypatch, elapsed_seconds, speed):
    times = itertools.chain([100.0] * 2, itertools.repeat(100.0 + elapsed_seconds))
    monkeypatch.setattr("mt3x.apps.transcribe.time.monotonic", lambda: next(times))
    touch("song.wav")
    assert main(["transcribe", "song.wav"]) == 0
    out, err = capsys.readouterr()
    assert out == f"song.wav: 2 notes, 2 instruments (Violin, Drums), 2.0 s of audio{speed} -> song.mid\n"
    assert err == "" and files() == ["song.mid", "song.wav"]


@pytest.mark.parametrize("words", [[], ["--strict"]])
def test_strict_is_passed_on(fake, words):
    touch("song.wav")
    assert main(["transcribe", "song.wav", *words]) == 0
    assert fake.strict is bool(words)


def test_every_medium_of_a_folder_is_tried_and_counted(fake, capsys):
    touch(
        "a/Voice Memo 12.m4a", "a/bad.MOV", "a/bad protected.m4p", "a/film.webm", "a/page.html", "a/notes.mid"
    )
    assert main(["transcribe", "a", "-o", "out"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "2 transcribed, 0 skipped, 2 failed"
    assert [line.split(": ")[1] for line in err.splitlines()] == ["a/bad protected.m4p", "a/bad.MOV"]
    assert files("out") == ["Voice Memo 12.mid", "film.mid"]


def test_notices_follow_the_summary(fake, capsys):
    touch("silent.wav")
    assert main(["transcribe", "silent.wav"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("silent.wav: 0 notes, 0 instruments, 2.0 s of audio")
    assert lines[1] == "silent.wav: the recording is silent"


def test_every_format_is_written(fake):
    touch("song.wav")
    assert main(["transcribe", "song.wav", "--format", "mid,json,CSV", "-o", "out/deep"]) == 0
    assert files("out") == ["deep/song.csv", "deep/song.json", "deep/song.mid"]


def test_beats_are_written_as_tempos_and_the_notes_keep_their_times(fake, monkeypatch):
    notes = play(waltz(), 150, rubato=0.15, jitter=0.02)
    found = Transcription(notes, DecodeReport(0, 0), 30.0, "fake")
    monkeypatch.setattr(fake, "transcribe", lambda recording: found)
    touch("waltz.wav")
    assert main(["transcribe", "waltz.wav", "--beats", "--format", "mid,json"]) == 0
    np.testing.assert_allclose(read_midi("waltz.mid")["start"], notes["start"], rtol=0, atol=1e-3)
    track = mido.MidiFile("waltz.mid").tracks[0]
    assert (3, 4) in [(m.numerator, m.denominator) for m in track if m.type == "time_signature"]
    assert len([m for m in track if m.type == "set_tempo"]) > 40
    assert files() == ["waltz.json", "waltz.mid", "waltz.wav"]


def test_bends_are_asked_for_and_written(fake):
    touch("song.wav")
    assert main(["transcribe", "song.wav", "--bends", "--format", "mid,csv"]) == 0
    wheel = [m.pitch for track in mido.MidiFile("song.mid").tracks for m in track if m.type == "pitchwheel"]
    assert wheel == [2048]  # 50 of 200 cents


def test_bends_are_refused_where_they_cannot_be(fake, capsys):
    touch("song.wav")
    assert main(["transcribe", "--bends", "song.wav", "--format", "csv"]) == 2
    assert capsys.readouterr().err == "mt3x: --bends is for --format mid and json\n"
    fake.knows_bends = False
    assert main(["transcribe", "--bends", "song.wav"]) == 2
    expected = "mt3x: --bends: fake writes tokens, which hold no bends; leave it out\n"
    assert capsys.readouterr().err == expected
    assert files() == ["song.wav"]


def test_a_pedal_is_asked_for_and_written(fake):
    touch("song.wav")
    assert main(["transcribe", "song.wav", "--pedal", "--bends", "--format", "json,mid"]) == 0
    assert json.loads(Path("song.json").read_text())["pedal"] == [[0.25, 0.75]]


def test_a_pedal_is_refused_where_it_cannot_be(fake, capsys):
    touch("song.wav")
    assert main(["transcribe", "--pedal", "song.wav", "--format", "csv,musicxml"]) == 2
    assert capsys.readouterr().err == "mt3x: --pedal is for --format mid and json\n"
    fake.knows_pedal = False
    assert main(["transcribe", "--pedal", "song.wav"]) == 2
    expected = "mt3x: --pedal: fake has not learned the sustain pedal; leave it out\n"
    assert capsys.readouterr().err == expected
    assert files() == ["song.wav"]


def test_silence_has_no_beats(fake):
    touch("silent.wav")
    assert main(["transcribe", "silent.wav", "--beats"]) == 0
    assert not len(read_midi("silent.mid"))


def test_beats_without_a_file_for_them_are_refused(fake, capsys):
    assert main(["transcribe", "--beats", "song.wav", "--format", "json"]) == 2
    assert capsys.readouterr().err == "mt3x: --beats is for --format mid\n"


def test_bad_file_is_named_and_does_not_stop_the_rest(fake, capsys):
    touch("a.wav", "bad.wav", "c.wav")
    assert main(["transcribe", "a.wav", "bad.wav", "absent.wav", "c.wav"]) == 1
    out, err = capsys.readouterr()
    assert err.splitlines() == ["mt3x: absent.wav: no such file or folder", "mt3x: bad.wav: is not audio"]
    assert out.splitlines()[-1] == "2 transcribed, 0 skipped, 2 failed"
    assert files() == ["a.mid", "a.wav", "bad.wav", "c.mid", "c.wav"]


def test_second_run_does_only_what_is_new(fake, capsys):
    touch("in/a.wav", "in/b.wav")
    main(["transcribe", "in"])
    touch("in/c.wav")
    os.utime("in/b.wav", (2e9, 2e9))
    assert main(["transcribe", "in"]) == 0
    assert fake.recordings[2:] == ["in/b.wav", "in/c.wav"]
    assert "in/a.wav: skipped, in/a.mid is up to date" in capsys.readouterr().out
    assert main(["transcribe", "in", "--overwrite"]) == 0
    assert len(fake.recordings) == 7


def test_model_is_loaded_once_and_only_when_needed(fake):
    touch("a.wav", "b.wav")
    assert main(["transcribe", "a.wav", "b.wav"]) == 0
    assert main(["transcribe", "a.wav", "b.wav"]) == 0
    assert main(["transcribe", "absent.wav"]) == 1
    assert len(fake.loads) == 1


def test_options_reach_the_model(fake):
    touch("a.wav")
    assert main(["transcribe", "a.wav", "--model", "m", "--merge-restrikes", "0", "--dtype", "int8"]) == 0
    assert fake.loads == [{"name_or_path": "m", "merge_restrikes_seconds": 0.0, "dtype": "int8"}]


def test_recordings_are_read_ahead_where_the_network_leaves_the_cpu_alone(fake, monkeypatch):
    touch("a.wav")
    assert main(["transcribe", "a.wav"]) == 0
    assert fake.num_workers == 0
    assert main(["transcribe", "a.wav", "--overwrite", "--workers", "3"]) == 0
    assert fake.num_workers == 3
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert main(["transcribe", "a.wav", "--overwrite"]) == 0
    assert fake.num_workers == 2
    assert main(["transcribe", "a.wav", "--overwrite", "--workers=0"]) == 0
    assert fake.num_workers == 0


@pytest.mark.parametrize("number", ["-1", "x", "1.5"])
def test_a_number_of_workers_that_is_none_exits_with_2(fake, capsys, number):
    with pytest.raises(SystemExit) as exit_:
        main(["transcribe", "a.wav", "--workers", number])
    assert exit_.value.code == 2
    assert f"--workers: '{number}' is no number of 0 or more" in capsys.readouterr().err


def test_model_that_cannot_be_loaded_exits_with_2(fake, monkeypatch, capsys):
    def load(**options):
        raise ValueError("there is no preset 'x'")

    touch("a.wav", "b.wav")
    monkeypatch.setattr(transcriber_module, "load", load)
    assert main(["transcribe", "a.wav", "b.wav"]) == 2
    assert capsys.readouterr().err == "mt3x: there is no preset 'x'\n"


def test_unknown_format_exits_with_2_and_names_the_choices(fake, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["transcribe", "a.wav", "--format", "mid,xml"])
    assert exit_.value.code == 2
    assert "unknown format 'xml'; choose from mid, json, csv" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["file/below", "file"])
def test_output_that_is_no_folder_exits_with_2_before_any_work(fake, capsys, output):
    touch("a.wav", "file")
    assert main(["transcribe", "a.wav", "-o", output]) == 2
    assert capsys.readouterr().err == f"mt3x: cannot write to {output}: Not a directory\n"
    assert fake.loads == [] and files() == ["a.wav", "file"]


def test_folder_that_cannot_be_written_fails_its_recordings_only(fake, capsys, monkeypatch):
    touch("a.wav", "read_only/b.wav")

    def refuse(dir):
        if "read_only" in str(dir):
            raise PermissionError(13, "Permission denied")
        return open(os.devnull)

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert main(["transcribe", "a.wav", "read_only/b.wav"]) == 1
    expected = "mt3x: read_only/b.wav: cannot write to read_only: Permission denied\n"
    assert capsys.readouterr().err == expected
    assert files() == ["a.mid", "a.wav", "read_only/b.wav"]


def test_disk_that_is_full_is_one_line_and_leaves_nothing(fake, capsys, monkeypatch):
    def fail(self, path, *, beats=False):
        raise OSError(28, "No space left on device", str(path))

    touch("a.wav")
    monkeypatch.setattr(Transcription, "save", fail)
    assert main(["transcribe", "a.wav"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("mt3x: a.wav: cannot write ") and err.endswith("a.mid: No space left on device\n")
    assert files() == ["a.wav"]


def test_interruption_keeps_what_is_done_and_exits_with_130(fake, capsys, monkeypatch):
    def transcribe(recording):
        if "b.wav" in str(recording):
            raise KeyboardInterrupt
        return OneNoteTranscriber.transcribe(fake, recording)

    touch("a.wav", "b.wav")
    monkeypatch.setattr(fake, "transcribe", transcribe)
    assert main(["transcribe", "a.wav", "b.wav"]) == 130
    assert capsys.readouterr().err == "mt3x: interrupted\n"
    assert files() == ["a.mid", "a.wav", "b.wav"]


def test_quiet_reports_errors_only(fake, capsys):
    touch("a.wav", "bad.wav")
    assert main(["transcribe", "a.wav", "bad.wav", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err == "mt3x: bad.wav: is not audio\n"


def test_strange_names_are_fine(fake, capsys):
    name = 'ein Lied — 歌 \'n\n"x".wav'
    touch(name)
    assert main(["transcribe", name]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert len(files()) == 2


def test_notes_are_in_the_file(fake):
    from mt3x.music.midi import read_midi

    touch("a.wav")
    main(["transcribe", "a.wav"])
    np.testing.assert_array_equal(read_midi("a.mid")["pitch"], [60, 36])
