"""Each file of gin/run opens with a complete command: all files and macros that it needs, and no more."""

import re
import shlex

import pytest

from mt3x.apps.cli import COMMANDS
from mt3x.apps.console.gin_files import GIN_DIRECTORIES

FOLDER = next(folder for folder in GIN_DIRECTORIES if (folder / "run").is_dir())
RUNS = sorted((FOLDER / "run").glob("*.gin"))


def opening_command(text: str) -> list[str]:
    """The words of the last `mt3x` command in the comment at the top; those before it prepare its data."""
    comment = "\n".join(re.findall(r"^# ?(.*)$", text.partition("\n\n")[0], re.MULTILINE))
    commands = re.findall(r"^ +mt3x (.*)$", comment.replace("\\\n", " "), re.MULTILINE)
    return shlex.split(commands[-1])


def settings_of(name: str) -> str:
    """A file's lines and those of what it includes, without comments."""
    lines = re.sub(r"#.*", "", (FOLDER / name).read_text(encoding="utf-8"))
    return re.sub(r"^include '(.+)'$", lambda match: settings_of(match[1]), lines, flags=re.MULTILINE)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_run_opens_with_a_complete_command(run):
    command, *options = opening_command(run.read_text(encoding="utf-8"))
    assert command in COMMANDS
    files = [option.removeprefix("--gin_file=") for option in options if option.startswith("--gin_file=")]
    given = {match[1] for option in options if (match := re.match(r"--gin\.(\w+)=", option))}
    assert f"run/{run.name}" in files
    settings = "\n".join(settings_of(file) for file in files)
    used = set(re.findall(r"%([A-Z_]+)\b", settings))
    assert used - set(re.findall(r"^(\w+) =", settings, re.MULTILINE)) <= given <= used
