import subprocess
import sys

import pytest

from mt3x.score.io.partitura_import import import_partitura


def test_partitura_is_imported_without_a_network_and_pyfluidsynth_stays_usable():
    lines = [
        "import sys, socket, types",
        "def refuse(*args): raise OSError('no network here')",
        "socket.socket.connect = socket.getaddrinfo = socket.gethostbyname = refuse",
        "sys.modules['fluidsynth'] = types.ModuleType('fluidsynth')",
        "sys.modules['fluidsynth'].Synth = object",
        "from mt3x.score.io.partitura_import import import_partitura",
        "print(import_partitura().__name__, sys.modules['fluidsynth'].Synth is object)",
    ]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)], capture_output=True, text=True
    )
    assert run.stdout.split() == ["partitura", "True"], run.stderr


def test_a_missing_partitura_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "partitura", None)
    monkeypatch.delitem(sys.modules, "partitura")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ImportError, match=r"mt3x\[score\]"):
        import_partitura()
