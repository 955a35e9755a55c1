"""A library of recordings by Beam's local runner, where apache_beam is installed."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

pytest.importorskip("apache_beam")

from apache_beam.io.filesystem import FileMetadata  # pyright: ignore[reportMissingImports]
from apache_beam.io.localfilesystem import LocalFileSystem  # pyright: ignore[reportMissingImports]

import mt3x.transcription.transcriber as transcriber_module
from mt3x.audio.errors import AudioError
from mt3x.audio.load import load_audio
from mt3x.bridges import beam as bridge
from mt3x.bridges.beam import Recording, Settings, runner_options, transcribe_corpus
from mt3x.bridges.beam_files import list_files, read_file, write_file
from mt3x.music.midi import read_midi
from mt3x.music.notes import make_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.result import Transcription
from mt3x.transcription.transcriber import Transcriber

RATE = 16000


class OneNote:
    """Finds a violin's note whose pitch is the recording's first sample, and counts what it is given."""

    def __init__(self):
        self.heard = []
        self.batches = []
        self.errors = {}

    def transcribe_all(self, recordings, num_workers):
        assert num_workers == 0
        self.batches.append(len(recordings))
        yield from map(self._transcribe, recordings)

    def _transcribe(self, path):
        self.heard.append(Path(path).stem)
        for error in self.errors.get(Path(path).stem, [])[:1]:
            del self.errors[Path(path).stem][0]
            if isinstance(error, OSError):
                return Unwritable(make_notes([], [], [], 100, [], []), DecodeReport(0, 0), 0.1, "fake")
            if isinstance(error, AudioError):
                return error
            raise error
        try:
            pitch = round(float(load_audio(path)[0]) * 100)
        except AudioError as error:
            return error
        notes = make_notes([0.0], [1.0], [pitch], 100, [40], [False])
        return Transcription(notes, DecodeReport(1, 2), 0.1, "fake", ("a notice",))


class Unwritable(Transcription):
    def save(self, path, *, beats=False):
        raise OSError(errno.EIO, "Input/output error")


@pytest.fixture
def fake(monkeypatch):
    fake = OneNote()
    fake.loads = []

    def load(**options):
        fake.loads.append(options)
        return fake

    monkeypatch.setattr(transcriber_module, "load", load)
    monkeypatch.setattr(bridge, "_PAUSE_SECONDS", 0.0)
    return fake


@pytest.fixture
def library(tmp_path):
    """Six recordings with pitches 60 to 65, to be written to `out`, one folder down."""
    recordings = []
    for number in range(6):
        path = tmp_path / "in" / f"song {number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.full(RATE // 10, (60 + number) / 100), RATE, subtype="FLOAT")
        recordings.append(Recording(str(path), (f"a/song {number}.mid", f"a/song {number}.json")))
    return recordings


def run(library, output, model=None, **settings):
    return transcribe_corpus(library, Settings(str(output), model or {}, **settings), runner_options([]))


def results(output):
    """The lines of all sixteen files of results."""
    shards = sorted(output.glob("results-*"))
    assert [shard.name for shard in shards] == [f"results-{i:05d}-of-00016.jsonl" for i in range(16)]
    return [json.loads(line) for shard in shards for line in shard.read_text().splitlines()]


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_recording_has_its_outputs_and_one_line(fake, library, tmp_path):
    assert run(library, tmp_path / "out") == []
    lines = sorted(results(tmp_path / "out"), key=lambda line: line["path"])
    assert lines == [
        {
            "path": str(tmp_path / "in" / f"song {number}.wav"),
            "outputs": [f"a/song {number}.mid", f"a/song {number}.json"],
            "duration_seconds": 0.1,
            "notes": 1,
            "instruments": ["Violin"],
            "report": {"invalid_events": 1, "dropped_events": 2},
            "notices": ["a notice"],
            "model": "fake",
        }
        for number in range(6)
    ]
    for number in range(6):
        assert read_midi(tmp_path / "out" / "a" / f"song {number}.mid")["pitch"].tolist() == [60 + number]
        saved = json.loads((tmp_path / "out" / "a" / f"song {number}.json").read_text())
        assert saved["notes"][0]["pitch"] == 60 + number
    outputs = {name for recording in library for name in recording.outputs}
    marks = {f".done/{recording.outputs[0]}.json" for recording in library}
    assert files(tmp_path / "out") == {
        *{*outputs, *marks, bridge.RECORDINGS, *bridge.RESULTS, "failed-00000-of-00001.jsonl"}
    }
    assert fake.loads == [{}]


def test_recordings_are_transcribed_together_and_again_only_those_that_failed(
    fake, library, tmp_path, monkeypatch
):
    monkeypatch.setattr(bridge, "RECORDINGS_AT_ONCE", 4)
    fake.errors = {"song 1": [OSError(errno.EIO, "Input/output error")]}
    assert run(library, tmp_path / "out") == []
    assert sorted(fake.batches) == [1, 2, 4]
    assert Counter(fake.heard) == {f"song {number}": 1 + (number == 1) for number in range(6)}
    assert len(results(tmp_path / "out")) == 6


def test_what_is_done_is_not_done_again_and_its_line_is_the_same(fake, library, tmp_path):
    run(library, tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")}
    assert len(fake.heard) == 6
    assert run(library, tmp_path / "out") == []
    assert len(fake.heard) == 6
    assert before == {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")}


def test_what_has_changed_or_lacks_a_file_is_done_again(fake, library, tmp_path):
    run(library, tmp_path / "out")
    fake.heard.clear()
    soundfile.write(library[0].path, np.full(RATE // 5, 0.7), RATE, subtype="FLOAT")
    (tmp_path / "out" / "a" / "song 1.json").unlink()
    (tmp_path / "out" / ".done" / "a" / "song 2.mid.json").unlink()
    library[3] = Recording(library[3].path, library[3].outputs[:1])
    (tmp_path / "out" / ".done" / "a" / "song 4.mid.json").write_bytes(b"")
    run(library, tmp_path / "out")
    assert sorted(fake.heard) == ["song 0", "song 1", "song 2", "song 3", "song 4"]
    assert read_midi(tmp_path / "out" / "a" / "song 0.mid")["pitch"].tolist() == [70]
    assert [line["outputs"] for line in results(tmp_path / "out") if "song 3" in line["path"]] == [
        ["a/song 3.mid"]
    ]


def test_another_model_does_all_again(fake, library, tmp_path):
    run(library, tmp_path / "out")
    run(library, tmp_path / "out", {"search": "beam"})
    assert Counter(fake.heard) == {f"song {number}": 2 for number in range(6)}
    assert fake.loads == [{}, {"search": "beam"}]


def test_beats_are_found_for_what_was_done_without_them_and_once(fake, library, tmp_path):
    def signatures():
        track = mido.MidiFile(tmp_path / "out" / "a" / "song 5.mid").tracks[0]
        return [message for message in track if message.type == "time_signature"]

    run(library, tmp_path / "out")
    assert not signatures()
    for _ in range(2):
        assert run(library, tmp_path / "out", beats=True) == []
        assert Counter(fake.heard) == {f"song {number}": 2 for number in range(6)}
        assert signatures()
        assert (tmp_path / "out" / "a" / "song 5.json").exists()


def test_recordings_that_cannot_be_read_are_dead_letters_and_tried_again_next_time(fake, library, tmp_path):
    Path(library[2].path).write_bytes(b"no audio")
    nothing = Recording(str(tmp_path / "empty"), error="no recordings in this folder")
    absent = Recording(str(tmp_path / "absent.wav"), ("absent.mid",))
    letters = run([*library, nothing, absent], tmp_path / "out")
    assert [(letter["path"], letter["attempts"]) for letter in letters] == [
        (absent.path, 1),
        (nothing.path, 0),
        (library[2].path, 1),
    ]
    assert "there is no such file" in letters[0]["error"] and "is not audio" in letters[2]["error"]
    assert letters[1]["error"] == "no recordings in this folder"
    failed = (tmp_path / "out" / "failed-00000-of-00001.jsonl").read_text()
    assert [json.loads(line) for line in failed.splitlines()] == letters
    assert len(results(tmp_path / "out")) == 5 and not (tmp_path / "out" / "a" / "song 2.mid").exists()
    soundfile.write(library[2].path, np.full(RATE // 10, 0.5), RATE)
    assert run(library, tmp_path / "out") == []
    assert Counter(fake.heard)["song 2"] == 2 and len(results(tmp_path / "out")) == 6


def unreadable(cause):
    try:
        raise AudioError("cannot be opened") from cause
    except AudioError as error:
        return error


def test_errors_that_may_pass_are_tried_again_and_others_are_not(fake, library, tmp_path):
    fake.errors = {
        "song 0": [OSError(errno.EIO, "Input/output error")],
        "song 1": [OSError(errno.EIO, "Input/output error") for _ in range(9)],
        "song 2": [unreadable(OSError(errno.ESTALE, "Stale file handle"))],
        "song 3": [unreadable(PermissionError(errno.EACCES, "Permission denied"))],
        "song 4": [AudioError("is cut off")],
    }
    letters = run(library, tmp_path / "out", attempts=4)
    assert {Path(letter["path"]).stem: letter["attempts"] for letter in letters} == {
        "song 1": 4,
        "song 3": 1,
        "song 4": 1,
    }
    assert Counter(fake.heard) == {
        "song 0": 2,
        "song 1": 4,
        "song 2": 2,
        "song 3": 1,
        "song 4": 1,
        "song 5": 1,
    }
    assert len(results(tmp_path / "out")) == 3


def test_a_fault_of_the_program_stops_the_run_and_the_next_goes_on(fake, library, tmp_path):
    fake.errors = {"song 3": [ZeroDivisionError("a fault")]}
    with pytest.raises(Exception, match="a fault"):
        run(library, tmp_path / "out")
    done = len(list((tmp_path / "out").rglob("*.mid.json")))
    assert len(fake.heard) == done + 1 and not list((tmp_path / "out").glob("results-*"))
    assert run(library, tmp_path / "out") == []
    assert len(fake.heard) == 7 and len(results(tmp_path / "out")) == 6


def test_ctrl_c_in_the_middle_of_a_recording_is_one(fake, library, tmp_path):
    fake.errors = {"song 2": [KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        run(library, tmp_path / "out")
    assert not list((tmp_path / "out").glob("results-*"))


def test_results_of_an_earlier_run_are_gone_while_a_run_is_incomplete(fake, library, tmp_path):
    run(library[:3], tmp_path / "out")
    fake.errors = {"song 5": [ZeroDivisionError("a fault")]}
    with pytest.raises(Exception, match="a fault"):
        run(library, tmp_path / "out")
    assert not list((tmp_path / "out").glob("results-*")) and not list((tmp_path / "out").glob("failed-*"))


def test_a_model_that_cannot_be_used_is_said_before_anything_is_written(library, tmp_path):
    with pytest.raises(ValueError, match="there is no preset 'mt4'"):
        run(library, tmp_path / "out", {"preset": "mt4"})
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_finished_is_not_there(tmp_path, monkeypatch):
    write_file(str(tmp_path / "a" / "b"), b"old")

    def rename(sources, targets):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(bridge.FileSystems, "rename", rename)
    with pytest.raises(OSError, match="Input/output"):
        write_file(str(tmp_path / "a" / "b"), b"new")
    assert files(tmp_path) == {"a/b"} and read_file(str(tmp_path / "a" / "b")) == b"old"


class Bucket(LocalFileSystem):
    """`bucket://name/...` is `root/name/...`; stands for a store that is not a local disk."""

    root = ""

    @classmethod
    def scheme(cls):
        return "bucket"

    @classmethod
    def here(cls, path):
        return f"{cls.root}/{path.removeprefix('bucket://')}"

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path):
        return tuple(path.rsplit("/", 1))

    def has_dirs(self):
        return False

    def _list(self, dir_or_prefix):
        for parent, _, names in os.walk(self.root):
            for name in names:
                path = "bucket://" + os.path.relpath(os.path.join(parent, name), self.root)
                if path.startswith(dir_or_prefix):
                    yield self.metadata(path)

    def create(self, path, *args, **options):
        return super().create(self.here(path), *args, **options)

    def open(self, path, *args, **options):
        return super().open(self.here(path), *args, **options)

    def rename(self, sources, targets):
        super().rename(list(map(self.here, sources)), list(map(self.here, targets)))

    def exists(self, path):
        return os.path.isfile(self.here(path))

    def metadata(self, path):
        state = os.stat(self.here(path))
        return FileMetadata(path, state.st_size, state.st_mtime)

    def delete(self, paths):
        for path in paths:
            os.remove(self.here(path))


def test_recordings_and_outputs_may_be_on_another_file_system(fake, library, tmp_path, monkeypatch):
    monkeypatch.setattr(Bucket, "root", str(tmp_path))
    Path(library[1].path).write_bytes(b"no audio")
    assert list_files("bucket://in/*.wav") == [f"bucket://in/song {number}.wav" for number in range(6)]
    remote = [Recording(f"bucket://in/{Path(each.path).name}", each.outputs) for each in library]
    (letter,) = run(remote, "bucket://out")
    assert letter["path"] == "bucket://in/song 1.wav"
    assert letter["error"].startswith("bucket://in/song 1.wav: is not audio")
    assert {line["path"] for line in results(tmp_path / "out")} == {each.path for each in remote} - {
        "bucket://in/song 1.wav"
    }
    assert read_midi(tmp_path / "out" / "a" / "song 4.mid")["pitch"].tolist() == [64]
    run(remote, "bucket://out")
    assert len(fake.heard) == 7  # the one that failed, again


def test_options_are_beam_s_and_the_runner_is_local():
    assert runner_options([]).get_all_options()["runner"] == "FnApiRunner"
    options = runner_options(["--runner=DirectRunner", "--direct_num_workers=2"]).get_all_options()
    assert options["runner"] == "FnApiRunner" and options["direct_num_workers"] == 2
    assert runner_options(["--runner", "DataflowRunner", "--project=p"]).get_all_options()["project"] == "p"
    assert (
        runner_options(["--runner=FlinkRunner", "--parallelism=3"]).get_all_options()["runner"]
        == "FlinkRunner"
    )


def test_options_that_nobody_knows_are_refused():
    with pytest.raises(ValueError, match="neither mt3x nor Apache Beam knows an option --atempts"):
        runner_options(["--atempts=5"])


COUNTED = """
import sys, time
import mt3x.transcription.transcriber as transcriber
from mt3x.apps.cli import main
read = transcriber.read_recordings
def counted(recordings, *arguments, **options):
    for number, blocks in read(recordings, *arguments, **options):
        with open(sys.argv[1], "a") as log:
            log.write(f"{recordings[number]}\\n")
        time.sleep(0.1)
        yield number, blocks
transcriber.read_recordings = counted
sys.exit(main(sys.argv[2:]))
"""


def test_killed_half_way_and_started_again_it_neither_repeats_nor_loses_a_recording(
    small_model, small_model_folder, tmp_path
):
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    stems = [f"{number:02}" for number in range(20)]  # more than are transcribed together
    for number in stems:
        tones = np.sin(np.cumsum(np.repeat(random.uniform(0.05, 0.5, 10), RATE // 10)))
        soundfile.write(tmp_path / "in" / f"{number}.wav", 0.3 * tones, RATE)
    log, out = tmp_path / "log", tmp_path / "out"
    command = [
        sys.executable,
        "-c",
        COUNTED,
        str(log),
        "transcribe-corpus",
        str(tmp_path / "in"),
        "-o",
        str(out),
    ]
    command += ["--model", str(small_model_folder), "--batch-size=4"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}

    def heard():
        return log.read_text().splitlines() if log.exists() else []

    def marked():
        return sorted(path.name for path in (out / ".done").glob("*.json"))

    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while len(marked()) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    marks = marked()
    assert 3 <= len(marks) <= 10 and not list(out.glob("results-*"))
    for mark in marks:
        assert len(read_midi(out / mark.removesuffix(".json")))
    begun = Counter(heard())
    assert len(marks) <= len(begun) < 20 and set(begun.values()) == {1}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"20 transcribed, 0 failed -> {out}\n"
    counts = {Path(path).stem: count for path, count in Counter(heard()).items()}
    assert set(counts) == set(stems)
    assert all(counts[mark.removesuffix(".mid.json")] == 1 for mark in marks)
    assert sum(counts.values()) == 20 + len(begun) - len(marks)  # again: what was begun and not marked
    recordings = sorted(str(path) for path in (tmp_path / "in").iterdir())
    assert sorted(line["path"] for line in results(out)) == recordings
    transcriber = Transcriber(*small_model, batch_size=4)
    for stem in counts:
        expected = transcriber.transcribe(tmp_path / "in" / f"{stem}.wav").save(tmp_path / "expected.mid")
        assert (out / f"{stem}.mid").read_bytes() == expected.read_bytes()
