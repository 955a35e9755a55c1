"""Builds give the same bytes however they run, go on after a kill, and name what they leave out."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import mt3x
from mt3x.data.datasets.midi_folder import MidiFolder
from mt3x.data.records import shards as shards_room
from mt3x.data.records.array_records import Records, read_manifest
from mt3x.data.records.build import build
from mt3x.data.records.recordings import SAMPLE_RATE, DataError, Item, Recording, Stem
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import empty_notes, make_notes

NUM_PAIRS = 20


def write_pair(folder, name, pitch=60, level=0.25):
    samples = level * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * np.arange(16_000) / 16_000)
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}.wav", samples, 16_000)
    write_midi(make_notes(0.1, 0.9, pitch, 90, 24), folder / f"{name}.mid")


@pytest.fixture
def source(tmp_path):
    for number in range(NUM_PAIRS):
        write_pair(tmp_path / "source" / "train", f"piece-{number:02}", 40 + number)
    write_pair(tmp_path / "source" / "test", "last")
    return tmp_path / "source"


def contents(folder: Path) -> dict[str, str]:
    """Digests of all files but the lock."""
    files = [path for path in folder.iterdir() if path.name != ".build.lock"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def shards(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.array_record-*") if path.suffix != ".json")


def test_the_manifest_says_what_was_built(source, tmp_path):
    manifest = build(MidiFolder(), source, tmp_path / "out")
    assert manifest == read_manifest(tmp_path / "out")
    assert manifest["name"] == "midi_folder" and manifest["problems"] == []
    train, test = manifest["splits"]["train"], manifest["splits"]["test"]
    assert (train["records"], train["examples"], train["seconds"]) == (20, 20, 20.0)
    assert test["shards"][0]["ids"] == ["test/last"] and test["shards"][0]["mixes"] == [1]
    ids = [name for shard in train["shards"] for name in shard["ids"]]
    assert ids == [f"train/piece-{number:02}" for number in range(20)]
    assert [len(shard["ids"]) for shard in train["shards"]] == [6, 7, 7]
    for shard in train["shards"] + test["shards"]:
        data = (tmp_path / "out" / shard["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard["bytes"], shard["sha256"])


def test_two_workers_write_the_same_bytes_as_one(source, tmp_path):
    build(MidiFolder(), source, tmp_path / "one")
    build(MidiFolder(), source, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_progress_counts_seconds_and_estimates_all_of_them(source, tmp_path):
    seen = []
    build(MidiFolder(), source, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (21.0, 21.0)
    assert [done for done, _ in seen] == [6.0, 13.0, 20.0, 21.0]


SLOW_BUILD = """
import sys, time
from pathlib import Path
from mt3x.data.records.build import build
from mt3x.data.datasets.midi_folder import MidiFolder


class Slow(MidiFolder):
    def read(self, source, item, report):
        time.sleep(0.05)
        return super().read(source, item, report)


if __name__ == "__main__":
    build(Slow(), sys.argv[1], sys.argv[2], workers=int(sys.argv[3]))
"""


class Slow(MidiFolder):
    """Reads as that of `SLOW_BUILD`, and has the same `repr`, which shards remember."""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_killed_in_the_middle_goes_on_to_the_same_bytes(source, tmp_path, workers):
    (tmp_path / "slow_build.py").write_text(SLOW_BUILD)
    out = tmp_path / "out"
    command = [sys.executable, tmp_path / "slow_build.py", source, out, str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(Path(mt3x.__file__).parents[1])}
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 300
    while not shards(out) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    made = {
        path: path.stat().st_mtime_ns for path in shards(out) if path.with_name(path.name + ".json").exists()
    }
    assert shards(out) and not (out / "manifest.json").exists()
    wait_until_still(out)
    build(Slow(), source, out)
    assert {path: path.stat().st_mtime_ns for path in made} == made  # what was done is not done again
    build(Slow(), source, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def wait_until_still(folder):
    """Until the workers of a killed build have noticed."""
    before = None
    while before != (before := [(path.name, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]):
        time.sleep(0.3)


def test_half_written_files_of_a_killed_build_are_cleared_away(source, tmp_path):
    build(MidiFolder(), source, tmp_path / "out")
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / ".123.tmp").write_bytes(b"half")
    shards(tmp_path / "out")[1].with_name(shards(tmp_path / "out")[1].name + ".json").unlink()
    (tmp_path / "out" / "manifest.json").unlink()
    build(MidiFolder(), source, tmp_path / "out")
    assert contents(tmp_path / "out") == whole


def test_a_damaged_shard_is_made_again(source, tmp_path):
    build(MidiFolder(), source, tmp_path / "out")
    whole = contents(tmp_path / "out")
    shard = shards(tmp_path / "out")[0]
    data = bytearray(shard.read_bytes())
    data[1000] ^= 255
    shard.write_bytes(data)
    build(MidiFolder(), source, tmp_path / "out")
    assert contents(tmp_path / "out") == whole


def test_a_changed_source_file_makes_its_shard_again(source, tmp_path):
    build(MidiFolder(), source, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in shards(tmp_path / "out")}
    write_pair(source / "train", "piece-00", pitch=90)
    build(MidiFolder(), source, tmp_path / "out")
    after = {path.name: path.stat().st_mtime_ns for path in shards(tmp_path / "out")}
    changed = [name for name in before if after[name] != before[name]]
    assert changed == ["midi_folder-train.array_record-00000-of-00003"]
    assert Records(tmp_path / "out", "train")[0].notes["pitch"].tolist() == [90]


def test_shards_of_an_earlier_number_are_cleared_away(source, tmp_path):
    build(MidiFolder(), source, tmp_path / "out")
    for number in range(3, NUM_PAIRS):
        (source / "train" / f"piece-{number:02}.wav").unlink()
        (source / "train" / f"piece-{number:02}.mid").unlink()
    build(MidiFolder(), source, tmp_path / "out")
    assert [path.name for path in shards(tmp_path / "out")] == [
        "midi_folder-test.array_record-00000-of-00001",
        "midi_folder-train.array_record-00000-of-00001",
    ]
    assert len(Records(tmp_path / "out", "train")) == 3


def test_bad_items_are_named_and_the_rest_is_built(source, tmp_path):
    flac = source / "train" / "cut.flac"
    soundfile.write(flac, np.random.default_rng(0).uniform(-0.5, 0.5, 16_000), 16_000)
    flac.write_bytes(flac.read_bytes()[:9_000])
    write_midi(make_notes(0.1, 0.9, 60), source / "train" / "cut.mid")
    (source / "train" / "piece-04.mid").write_bytes(b"no MIDI")
    (source / "train" / "alone.wav").write_bytes(b"")
    told = []
    manifest = build(
        MidiFolder(), source, tmp_path / "out", workers=2, report=lambda *problem: told.append(problem)
    )
    problems = {problem["file"]: problem["reason"] for problem in manifest["problems"]}
    assert manifest["splits"]["train"]["records"] == NUM_PAIRS - 1
    assert manifest["splits"]["train"]["left_out"] == ["train/cut", "train/piece-04"]
    assert set(problems) == {"train/alone.wav", "train/cut.flac", "train/piece-04.wav"}
    assert problems["train/cut.flac"].startswith("train/cut is left out: ")
    assert "is cut off after" in problems["train/cut.flac"]
    assert "is not a MIDI file" in problems["train/piece-04.wav"]
    assert sorted(told) == sorted(problems.items())
    assert build(MidiFolder(), source, tmp_path / "out")["problems"] == manifest["problems"]  # told again


@dataclasses.dataclass(frozen=True)
class Made:
    """A reader of one recording, of which something may be wrong."""

    recording: Recording | None = None
    error: Exception | None = None
    ids: tuple[str, ...] = ("good", "x")
    name: str = "made"
    splits: tuple[str, ...] = ("train",)

    def items(self, source, report):
        return [Item(name, "train" if name != "elsewhere" else "dev", ()) for name in self.ids]

    def read(self, source, item, report):
        if item.id == "good":
            return Recording("good", "train", (Stem("mix", np.zeros(100, np.float32), empty_notes()),))
        if self.error:
            raise self.error
        return self.recording


SECOND = np.zeros(SAMPLE_RATE, np.float32)
NOTE = make_notes(0.1, 0.9, 60)
UNSORTED = make_notes([0.5, 0.1], [0.6, 0.2], 60)


def one_stem(samples=SECOND, notes=NOTE, **changes):
    recording = Recording("x", "train", (Stem("mix", samples, notes),))
    return dataclasses.replace(recording, **changes)


def test_a_recording_that_is_not_what_it_must_be_is_left_out(tmp_path):
    (problem,) = build(Made(one_stem(notes=UNSORTED)), tmp_path, tmp_path)["problems"]
    assert problem["file"] == "x" and problem["reason"].startswith("x is left out: x, stem 'mix': notes are")


def test_an_unforeseen_error_of_a_reader_leaves_one_item_out(tmp_path):
    manifest = build(Made(error=KeyError("plugin_name")), tmp_path, tmp_path)
    assert manifest["problems"] == [{"file": "x", "reason": "x is left out: KeyError: 'plugin_name'"}]
    assert manifest["splits"]["train"]["records"] == 1


def test_a_missing_package_is_no_fault_of_an_item(tmp_path):
    with pytest.raises(ImportError, match="No module named 'yaml'"):
        build(Made(error=ImportError("No module named 'yaml'")), tmp_path, tmp_path)


class OfOneFile(Made):
    def items(self, source, report):
        return [dataclasses.replace(item, files=("",)) for item in super().items(source, report)]


def test_a_source_that_is_one_file_is_told_by_the_item(tmp_path):
    (tmp_path / "all.npz").write_bytes(b"")
    manifest = build(OfOneFile(error=DataError("broken")), tmp_path / "all.npz", tmp_path / "out")
    assert manifest["problems"] == [{"file": "x", "reason": "x is left out: broken"}]


class Swallows:
    """A writer on a full disk: it tells nobody."""

    def write(self, data):
        pass

    def close(self):
        pass


def test_a_shard_that_did_not_reach_the_disk_is_an_error_and_gets_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(shards_room, "_open_writer", lambda path: path.touch() or Swallows())
    with pytest.raises(OSError, match="holds 0 rows, not 4; is the disk full?"):
        build(Made(one_stem()), tmp_path, tmp_path)
    assert os.listdir(tmp_path) == [".build.lock"]


def test_audio_beyond_full_scale_is_lowered_and_reported(tmp_path):
    loud = np.array([0.5, -2.0, 1.0], np.float32)
    recording = one_stem(stems=(Stem("a", loud, empty_notes()), Stem("b", loud / 4, empty_notes())))
    manifest = build(Made(recording), tmp_path, tmp_path)
    assert manifest["problems"] == [
        {"file": "x", "reason": "peaks at 2.000: lowered by 6.02 dB to full scale"}
    ]
    stored, _ = Records(tmp_path, "train").stored(1)
    np.testing.assert_allclose(stored.samples(0), [0.25, -1.0, 0.5], atol=2**-15)
    np.testing.assert_allclose(stored.samples(1), [0.0625, -0.25, 0.125], atol=2**-15)


def test_another_option_of_the_reader_makes_shards_again(tmp_path):
    build(Made(one_stem()), tmp_path, tmp_path)
    build(Made(one_stem(notes=empty_notes())), tmp_path, tmp_path)
    assert len(Records(tmp_path, "train")[1].notes) == 0


@pytest.mark.parametrize(
    ("reader", "reason"),
    [
        (Made(ids=("x",), error=DataError("broken")), "none of 1 items of made can be used; .* broken"),
        (Made(ids=()), "made: the folder holds no item that can be used"),
        (Made(ids=("x", "x")), "made: 1 of 2 ids come more than once"),
        (Made(ids=("good", "elsewhere")), "made: has items of unknown splits dev"),
    ],
)
def test_a_build_of_nothing_is_an_error(reader, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        build(reader, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_folder_of_another_data_set_is_left_alone(source, tmp_path):
    build(Made(one_stem()), tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="holds the data set made; give midi_folder a folder of its own"):
        build(MidiFolder(), source, tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    with pytest.raises(DataError, match="holds shards of made; give midi_folder a folder of its own"):
        build(MidiFolder(), source, tmp_path / "out")


class BuildsAgain(MidiFolder):
    """While it is read, another build into the folder beside the source begins."""

    def read(self, source, item, report):
        with pytest.raises(DataError, match="another process is building here; wait for it"):
            build(MidiFolder(), source, source.parent / "out")
        return super().read(source, item, report)


def test_of_two_builds_into_one_folder_the_second_is_refused(source, tmp_path):
    manifest = build(BuildsAgain(), source, tmp_path / "out")
    assert manifest["splits"]["train"]["records"] == NUM_PAIRS and manifest["problems"] == []
    build(MidiFolder(), source, tmp_path / "out")  # the first has ended


def test_a_lock_that_is_none_is_an_error(source, tmp_path):
    (tmp_path / "out" / ".build.lock").mkdir(parents=True)
    with pytest.raises(OSError, match=r"\.build\.lock: cannot be locked \(unable to open .*; delete it"):
        build(MidiFolder(), source, tmp_path / "out")


def test_at_least_one_worker_is_needed(tmp_path):
    with pytest.raises(ValueError, match="workers is 0; it must be at least 1"):
        build(Made(), tmp_path, tmp_path, workers=0)


class Dies(MidiFolder):
    def read(self, source, item, report):
        os._exit(9)


def test_the_end_of_a_worker_is_an_error_that_says_what_to_do(source, tmp_path):
    with pytest.raises(RuntimeError, match="a worker process ended .* goes on where it was"):
        build(Dies(), source, tmp_path / "out", workers=2)


def test_shards_remember_what_they_are_made_of(source, tmp_path):
    build(MidiFolder(), source, tmp_path / "out")
    for shard in shards(tmp_path / "out"):
        content = json.loads(shard.with_name(shard.name + ".json").read_text())
        assert content["file"] == shard.name and len(content["origin"]) == 64
