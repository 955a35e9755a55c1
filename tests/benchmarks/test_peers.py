"""How peers are installed, run and scored, with stand-ins for pip and for the peers themselves."""

import json
import sys
from pathlib import Path

import numpy as np
import peer_runner
import peers
import pytest
import soundfile
from accuracy import Clip

from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes

NOTES = make_notes([0.0, 0.5], [0.4, 0.9], [60, 64])


@pytest.fixture
def clips(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(16000), 8000)
    return [Clip("a", path, NOTES)]


def run_script(monkeypatch, tmp_path, clips, script, minutes=1.0):
    runner = tmp_path / "runner.py"
    runner.write_text("import json, shutil, sys, time\npeer, folder, told, *files = sys.argv[1:]\n" + script)
    monkeypatch.setattr(peers, "RUNNER", runner)
    return peers.run_peer(Path(sys.executable), "some", clips, tmp_path / "out", minutes)


def test_what_a_peer_writes_is_scored(monkeypatch, tmp_path, clips):
    write_midi(NOTES[:1], tmp_path / "found.mid")
    timing, reports = run_script(
        *(monkeypatch, tmp_path, clips),
        f"shutil.copy({str(tmp_path / 'found.mid')!r}, folder + '/a.mid')\n"
        "open(told, 'w').write(json.dumps({'cpu_seconds': 1, 'results': {'a': None}}))\n",
    )
    assert timing["cpu_seconds"] == 1
    assert reports["a"]["scores"]["onset"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}


def test_a_peer_that_fails_or_takes_too_long_says_so(monkeypatch, tmp_path, clips):
    with pytest.raises(peers.PeerError, match="failed: ValueError: no model"):
        run_script(monkeypatch, tmp_path, clips, "raise ValueError('no model')")
    with pytest.raises(peers.PeerError, match="took longer than 0.001 minutes"):
        run_script(monkeypatch, tmp_path, clips, "time.sleep(60)", minutes=0.001)


def stand_in_for_venv(monkeypatch, script):
    """Environments whose Python is a shell script; returns the list of those made."""
    made = []

    def create(folder, with_pip, clear):
        python = folder / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        made.append(folder.name)

    monkeypatch.setattr(peers.venv, "create", create)
    return made


def test_a_peer_is_installed_once(monkeypatch, tmp_path):
    made = stand_in_for_venv(monkeypatch, 'echo "$@" >> "$(dirname "$0")/calls"')
    peer = peers.Peer((("--no-deps", "a==1"), ("b<2",)))
    python = peers.install("a", peer, tmp_path)
    assert peers.install("a", peer, tmp_path) == python and made == ["a"]
    calls = (python.parent / "calls").read_text().splitlines()
    assert calls == ["-m pip install --quiet --no-deps a==1", "-m pip install --quiet b<2"]
    peers.install("a", peers.Peer((("a==2",),)), tmp_path)
    assert made == ["a", "a"], "another recipe, another environment"
    assert peers.install("mt3x", peers.Peer(), tmp_path) == Path(sys.executable)


def test_a_peer_that_will_not_install_says_why(monkeypatch, tmp_path):
    stand_in_for_venv(monkeypatch, "echo 'ERROR: no matching a | b' >&2; exit 1")
    with pytest.raises(peers.PeerError, match="can't be installed: ERROR: no matching a / b"):
        peers.install("a", peers.make_peers("torch")["basic-pitch"], tmp_path)


def test_the_table_has_a_row_for_each_peer_of_a_set(monkeypatch, tmp_path, clips, capsys):
    stand_in_for_venv(monkeypatch, "echo 'no network' >&2; exit 1")
    monkeypatch.setattr(peers, "prepare_clips", lambda args, work: {"song-X": clips, "piano-X": clips})
    timing = {"cpu_seconds": 0.5, "wall_seconds": 0.25, "audio_seconds": 2.0}
    reports = {"a": peers.score(NOTES, NOTES)}
    monkeypatch.setattr(peers, "run_peer", lambda *arguments: (timing, reports))
    words = ["peers.py", "--work", str(tmp_path), "--json", str(tmp_path / "table.json")]
    monkeypatch.setattr(sys, "argv", words)
    assert peers.main() == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [
        *(["song-X", "mt3x", "1"], ["song-X", "basic-pitch", "0"]),
        *(["piano-X", "mt3x", "1"], ["piano-X", "basic-pitch", "0"], ["piano-X", "transkun", "0"]),
    ]
    assert rows[0][3] == "1.000 [1.000, 1.000]" and rows[0][-2:] == ["0.2500", "8.0"]
    assert rows[1][3].startswith("can't be installed: no network")
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["song-X"]["mt3x"]["timing"] == timing and "error" in table["piano-X"]["transkun"]


def test_an_unknown_peer_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["peers.py", "--work", str(tmp_path), "--peers", "mt3x,omnizart"])
    with pytest.raises(SystemExit):
        peers.main()
    assert "there is no peer omnizart" in capsys.readouterr().err


def test_the_runner_writes_every_recording_and_times_all_but_the_first_run(monkeypatch, tmp_path, clips):
    calls = []

    def load(model):
        def transcribe(recording, midi):
            calls.append((model, recording.name))
            write_midi(NOTES, midi)
            return [1, 2, 3.0]

        return transcribe

    monkeypatch.setitem(peer_runner.LOADERS, "mt3x", load)
    told = tmp_path / "timing.json"
    peer_runner.main("mt3x=some/model", str(tmp_path), str(told), str(clips[0].audio))
    assert calls == [("some/model", "a.wav")] * 2 and (tmp_path / "a.mid").exists()
    timing = json.loads(told.read_text())
    assert timing["audio_seconds"] == 2.0 and timing["results"] == {"a": [1, 2, 3.0]}


def test_mel_filters_are_triangles_between_neighbouring_centres():
    filters = peer_runner.mel_filters(2049, 30, 8000, 20, 44100)
    assert filters.shape == (2049, 20) and filters.dtype == np.float32
    hertz = np.linspace(0, 22050, 2049)
    centres = hertz[filters.argmax(axis=0)]
    mels = 2595 * np.log10(1 + centres / 700)
    assert np.allclose(np.diff(mels), np.diff(mels).mean(), rtol=0.1)
    between = (hertz > centres[0]) & (hertz < centres[-1])
    np.testing.assert_allclose(filters[between].sum(axis=1), 1, atol=1e-6)
    assert not filters[(hertz < 30) | (hertz > 8000)].any()
