"""docs/your_recordings.md, done as it says: a folder of recordings becomes records, a task and batches."""

import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

import mt3x
from mt3x.apps.cli import main
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "your_recordings.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    mt3x (.+)$", TEXT, re.MULTILINE)
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SECONDS = 3.0


def write_take(recording: str, midi: str, excess: float = 0.0) -> None:
    """A tone with its note; with `excess`, a second note ends so long after the audio."""
    Path(recording).parent.mkdir(parents=True, exist_ok=True)
    tone = 0.3 * np.sin(np.arange(int(SECONDS * 44_100)) * 0.06)
    soundfile.write(recording, tone, 44_100)
    if midi:
        ends = [1.5, SECONDS + excess] if excess else [1.5]
        write_midi(make_notes([0.5, 2.0][: len(ends)], ends, 69), midi)


@pytest.fixture
def takes(tmp_path, monkeypatch):
    """The folder that the text shows, and nothing registered before or after."""
    monkeypatch.chdir(tmp_path)
    import seqio

    monkeypatch.setattr(seqio.TaskRegistry, "_REGISTRY", {})
    monkeypatch.setattr(seqio.MixtureRegistry, "_REGISTRY", {})
    if importlib.util.find_spec("mt3x.tasks") is None:  # run from the checkout, not installed
        monkeypatch.setattr(mt3x, "__path__", [*mt3x.__path__, str(ROOT)])
    write_take("takes/monday/waltz.wav", "takes/monday/waltz.mid")
    write_take("takes/monday/blues.flac", "takes/monday/blues.midi", excess=1.0)
    write_take("takes/solo.mp3", "takes/solo.mid")
    write_take("takes/sketch.wav", "")
    return tmp_path / "takes"


def test_the_text_holds_what_is_run_here():
    assert len(COMMANDS) == 1 and len(BLOCKS) == 2
    for file in ("monday/waltz.wav", "monday/blues.midi", "solo.mp3", "sketch.wav"):
        assert file in TEXT


def test_a_folder_of_recordings_becomes_a_task_and_batches(takes, capsys):
    assert main(shlex.split(COMMANDS[0])) == 0
    printed = capsys.readouterr()
    assert "records/my_piano: train: 2 recordings, 2 examples" in printed.out
    assert "records/my_piano: validation: 1 recordings" in printed.out
    table = [line.split("  ")[0] for line in printed.err.splitlines() if "  " in line]
    assert table == ["file", "sketch.wav", "monday/blues.midi"]
    exec(compile(BLOCKS[0], "first block", "exec"), {})
    lines = re.findall(r"^\((\d+), 512\) \[(.*)\]$", capsys.readouterr().out, re.MULTILINE)
    assert len(lines) == 2 and all(1 <= int(frames) <= 256 and ids for frames, ids in lines)
    names = {}
    exec(compile(BLOCKS[1], "second block", "exec"), names)
    names["batches"].close()
    assert capsys.readouterr().out == "(4, 32768)\n"
    assert names["two_seconds"].shape == (32_000,) and len(names["notes"]) in (1, 2)
