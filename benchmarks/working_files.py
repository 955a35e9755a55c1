"""Counts the files of mt3x whose functions run from `mt3x transcribe FILE` to the MIDI file.

    python benchmarks/working_files.py RECORDING [--model FOLDER]

A file counts when one of its functions is called after it was imported: modules that are only imported, and
constants and dataclasses that are only read, do not. Threads count, worker processes do not.
"""

import argparse
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import mt3x
from mt3x.apps import cli

ROOT = Path(mt3x.__file__).parent
IMPORT_NAMES = ("<module>", "<lambda>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>")
"""Code that runs while a module is imported, or inside a function that counts itself."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", type=Path)
    parser.add_argument("--model", help="a checkpoint's folder; default: the model inside the package")
    arguments = parser.parse_args()
    words = ["transcribe", str(arguments.recording), "--quiet"]
    words += ["--model", arguments.model] if arguments.model else []
    with tempfile.TemporaryDirectory() as folder:
        calls = count_calls([*words, "-o", folder])
    num_lines = 0
    for path, names in sorted(calls.items()):
        num_lines += len((ROOT / path).read_text(encoding="utf-8").splitlines())
        print(f"{path}: {', '.join(sorted(names))}")
    print(f"{len(calls)} files, {num_lines} lines")


def count_calls(words: list[str]) -> dict[str, set[str]]:
    """Names of the functions that a command calls, by file below mt3x/."""
    calls: dict[str, set[str]] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or is_importing(frame):
            return
        path, name = frame.f_code.co_filename, frame.f_code.co_qualname
        if path.startswith(str(ROOT)) and not name.endswith(IMPORT_NAMES):
            calls.setdefault(str(Path(path).relative_to(ROOT)), set()).add(name)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        code = cli.main(words)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # pyright: ignore[reportArgumentType]
    if code:
        raise SystemExit(code)
    return calls


def is_importing(frame: FrameType) -> bool:
    """Whether a module of mt3x is being imported: what its classes and constants call is no work."""
    outer = frame.f_back
    while outer is not None:
        code = outer.f_code
        if code.co_name == "<module>" and code.co_filename.startswith(str(ROOT)):
            return not code.co_filename.endswith("__main__.py")
        outer = outer.f_back
    return False


if __name__ == "__main__":
    main()
