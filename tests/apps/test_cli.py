import subprocess
import sys
from types import SimpleNamespace

import pytest

import mt3x
from mt3x.apps import cli


def run(*words):
    return subprocess.run([sys.executable, "-m", "mt3x", *words], capture_output=True, text=True, timeout=120)


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"mt3x {mt3x.__version__}\n"


def test_help_names_every_command_without_importing_any():
    done = run("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in cli.COMMANDS)
    check = "import sys\nfrom mt3x.apps import cli\n"
    check += "try: cli.main(['--help'])\nfinally: print(sorted(sys.modules))"
    modules = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, timeout=120
    ).stdout
    assert (
        "'mt3x.apps.cli'" in modules and "'numpy'" not in modules and "'mt3x.apps.transcribe'" not in modules
    )


@pytest.mark.parametrize(
    "words", [["unknown"], ["transcribe"], ["--unknown"], ["transcribe", "a", "--unknown"]]
)
def test_wrong_command_line_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("usage: mt3x")


def test_no_command_shows_help_and_exits_with_2(capsys):
    assert cli.main([]) == 2
    assert "transcribe" in capsys.readouterr().err


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help_and_a_line_in_the_overview(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main([command, "--help"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: mt3x {command}")


def test_exit_code_is_the_command_s_and_interruption_is_130(monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    app = SimpleNamespace(
        add_parser=lambda subparsers: subparsers.add_parser("transcribe"), run=lambda args: 1
    )
    monkeypatch.setattr(cli, "import_module", lambda name: app)
    assert cli.main(["transcribe"]) == 1
    app.run = interrupt
    assert cli.main(["transcribe"]) == 130
    assert capsys.readouterr().err == "mt3x: interrupted\n"


def test_import_of_the_package_takes_less_than_a_tenth_of_a_second():
    # The best of five processes: other programs may be running.
    check = "import time; t = time.perf_counter(); import mt3x; print(time.perf_counter() - t)"
    seconds = [
        float(
            subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60).stdout
        )
        for _ in range(5)
    ]
    assert min(seconds) < 0.1


def test_public_names_are_imported_when_used():
    assert {"load", "transcribe", "Transcriber", "Transcription", "__version__"} <= set(dir(mt3x))
    assert mt3x.Transcriber.__name__ == "Transcriber" and callable(mt3x.load) and callable(mt3x.transcribe)
    assert mt3x.Transcription.__name__ == "Transcription"
    with pytest.raises(AttributeError, match="module 'mt3x' has no attribute 'unknown'"):
        _ = mt3x.unknown  # pyright: ignore
