"""The command: what it finds, how it names it and what it passes on; the pipeline is tested in bridges/."""

import importlib.util
import sys
from pathlib import Path

import pytest

from mt3x.apps import transcribe_corpus
from mt3x.apps.cli import main

needs_beam = pytest.mark.skipif(importlib.util.find_spec("apache_beam") is None, reason="needs mt3x[beam]")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def corpus(folder, monkeypatch):
    """The pipeline's arguments, and the dead letters that it is to return."""
    from mt3x.bridges import beam

    class Corpus:
        letters = ()

    def transcribe(recordings, settings, options):
        Corpus.recordings, Corpus.settings, Corpus.options = recordings, settings, options.get_all_options()
        return Corpus.letters

    monkeypatch.setattr(beam, "transcribe_corpus", transcribe)
    return Corpus


def touch(*names):
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def found(inputs, formats=("mid",)):
    """Paths and outputs, and the errors of what was not found."""
    recordings = transcribe_corpus.find(inputs, formats)
    errors = {recording.path: recording.error for recording in recordings if recording.error}
    return {recording.path: recording.outputs for recording in recordings if not recording.error}, errors


def test_without_beam_one_line_says_what_to_install(folder, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith(("apache_beam", "mt3x.bridges"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    assert main(["transcribe-corpus", "library", "-o", "notes"]) == 2
    assert capsys.readouterr().err == "mt3x: transcribe-corpus needs Apache Beam: pip install 'mt3x[beam]'\n"


@pytest.mark.parametrize("words", [["library"], ["-o", "out"], ["a", "-o", "out", "--attempts=0"]])
def test_wrong_command_line_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["transcribe-corpus", *words])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("usage: mt3x transcribe-corpus")


@needs_beam
def test_names_are_those_of_transcribe(folder):
    touch("in/one/a.wav", "in/two/a.wav", "in/two/a.mp3", "in/notes.txt")
    recordings, errors = found(["in"], ("mid", "json"))
    assert recordings == {
        str(folder / "in/one/a.wav"): ("one/a.mid", "one/a.json"),
        str(folder / "in/two/a.mp3"): ("two/a.mp3.mid", "two/a.mp3.json"),
        str(folder / "in/two/a.wav"): ("two/a.wav.mid", "two/a.wav.json"),
    }
    assert errors == {}


@needs_beam
def test_a_text_file_lists_inputs_of_every_kind_and_each_recording_counts_once(folder):
    touch("in/a.wav", "in/b.wav", "more/c: d.wav")
    Path("list.TXT").write_text("in/*.wav\n\n  in/a.wav\nmore\nin/absent: x.wav\n")
    recordings, errors = found(["list.TXT", "more/c: d.wav"])
    assert list(recordings.values()) == [("in/a.mid",), ("in/b.mid",), ("more/c: d.mid",)]
    assert errors == {"in/absent: x.wav": "no such file or folder"}


@needs_beam
def test_an_absent_list_and_inputs_of_two_file_systems_are_refused(folder, capsys):
    assert main(["transcribe-corpus", "absent.txt", "-o", "out"]) == 2
    assert "absent.txt" in capsys.readouterr().err
    assert main(["transcribe-corpus", "a.wav", "gs://bucket/b.wav", "-o", "out"]) == 2
    assert "several file systems" in capsys.readouterr().err
    assert not Path("out").exists()


@needs_beam
def test_remote_inputs_are_named_by_the_same_rule(folder, monkeypatch):
    from mt3x.bridges import beam_files

    lists = {
        "gs://b/lib/**": [
            "gs://b/lib/.old/a.wav",
            "gs://b/lib/x/a.wav",
            "gs://b/lib/x/a.mp3",
            "gs://b/lib/n.md",
        ],
        "gs://b/take*": ["gs://b/take1"],
        "gs://b/none*": [],
        "gs://b/void/**": [],
    }
    monkeypatch.setattr(beam_files, "list_files", lists.__getitem__)
    recordings, errors = found(
        ["gs://b/lib/", "gs://b/take*", "gs://b/none*", "gs://b/void", "gs://b/y/c.ogg"]
    )
    assert recordings == {
        "gs://b/lib/x/a.wav": ("lib/x/a.wav.mid",),
        "gs://b/lib/x/a.mp3": ("lib/x/a.mp3.mid",),
        "gs://b/take1": ("take1.mid",),
        "gs://b/y/c.ogg": ("y/c.mid",),
    }
    assert errors == {
        "gs://b/none*": "no file matches this pattern",
        "gs://b/void": "no recordings in this folder",
    }
    assert found(["gs://b/lib"])[0] == {
        "gs://b/lib/x/a.wav": ("x/a.wav.mid",),
        "gs://b/lib/x/a.mp3": ("x/a.mp3.mid",),
    }
    assert found(["gs://b/none*"])[0] == {}


@needs_beam
def test_options_go_to_the_model_to_the_run_and_to_beam(corpus, folder):
    touch("in/a.wav", "runs/mt3/config.json")
    words = ["in", "-o", "out", "--model=runs/mt3", "--search=beam", "--batch-size=4", "--attempts", "5"]
    words += [
        "--merge-restrikes=0",
        "--mt3-compatible",
        "--dtype=bfloat16",
        "--direct_num_workers=2",
        "--beats",
    ]
    assert main(["transcribe-corpus", *words, "--", "--runner", "DirectRunner", "--project=p"]) == 0
    assert corpus.settings.output == str(folder / "out") and corpus.settings.attempts == 5
    assert corpus.settings.beats
    assert corpus.settings.model == {
        "name_or_path": str(folder / "runs/mt3"),
        "search": "beam",
        "batch_size": 4,
        "dtype": "bfloat16",
        "merge_restrikes_seconds": 0.0,
        "mt3_compatible": True,
    }
    assert corpus.options["direct_num_workers"] == 2 and corpus.options["project"] == "p"


@needs_beam
def test_without_options_the_model_s_own_are_kept_and_remote_outputs_stay_as_they_are(corpus):
    touch("in/a.wav")
    assert main(["transcribe-corpus", "in", "-o", "gs://bucket/out", "--model", "default"]) == 0
    assert corpus.settings.model == {"name_or_path": "default"}
    assert corpus.settings.output == "gs://bucket/out" and corpus.settings.attempts == 3
    assert not corpus.settings.beats


def test_beats_without_a_file_for_them_are_refused(folder, capsys):
    assert main(["transcribe-corpus", "in", "-o", "out", "--beats", "--format=json"]) == 2
    assert capsys.readouterr().err == "mt3x: --beats is for --format mid\n"


@needs_beam
def test_dead_letters_are_named_and_exit_with_1(corpus, folder, capsys):
    touch("in/a.wav", "in/b.wav", "in/c.wav")
    corpus.letters = [
        {"path": "/in/a.wav", "error": "/in/a.wav: is not audio", "attempts": 1},
        {"path": "in/b.wav", "error": "Input/output error", "attempts": 3},
    ]
    assert main(["transcribe-corpus", "in", "-o", "out"]) == 1
    out, err = capsys.readouterr()
    assert out == "1 transcribed, 2 failed -> out\n"
    assert err == "mt3x: /in/a.wav: is not audio\nmt3x: in/b.wav: Input/output error\n"


@needs_beam
def test_an_option_that_nobody_knows_is_a_wrong_command_line(corpus, capsys):
    assert main(["transcribe-corpus", "in", "-o", "out", "--atempts=5"]) == 2
    assert "knows an option --atempts" in capsys.readouterr().err


@needs_beam
def test_a_model_that_cannot_be_used_exits_with_2(folder, capsys):
    touch("in/a.wav")
    assert main(["transcribe-corpus", "in", "-o", "out", "--preset=mt4"]) == 2
    assert capsys.readouterr().err == "mt3x: there is no preset 'mt4'; choose from mt3, ismir2021\n"
    assert not Path("out").exists()
