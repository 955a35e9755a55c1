"""The command `mt3x`: which commands there are, and nothing of what they do.

Each command is a module of this package with `add_parser(subparsers)` and `run(args) -> exit code`; `a-b` is
the module `a_b`. Only the module of the command that was asked for is imported, so that `mt3x --help` answers
at once. A module with PASSES_ON_OPTIONS gets the options it does not know, and all words behind `--`, as
`args.passed_on`.

Exit codes: 0 all is well, 1 something failed while working, 2 the command line or the model is wrong,
130 interrupted.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from importlib import import_module

import mt3x

COMMANDS = {
    "transcribe": "turn recordings into MIDI, JSON, CSV or MusicXML",
    "transcribe-corpus": "transcribe a library of recordings, on one machine or many",
    "score": "turn a recording, MIDI, MusicXML, MEI, Humdrum or ABC into notation",
    "checkpoint": "inspect or convert a checkpoint",
    "train": "train a model",
    "train-spelling": "train pitch spelling",
    "train-beats": "train the beat network",
    "prepare": "pack data for training",
    "synthesize": "make test sets from scores",
    "infer": "transcribe and score data sets",
    "evaluate": "score transcriptions",
}
"""What `mt3x --help` says of each command."""

INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      argv: the words after `mt3x`; those of the process by default.

    Returns:
      The exit code. A wrong command line raises SystemExit(2), as argparse does.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="mt3x",
        description="Recordings to multi-track MIDI.",
        epilog="`mt3x COMMAND --help` tells more of a command.",
    )
    parser.add_argument("--version", action="version", version=f"mt3x {mt3x.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    asked_for = next((word for word in argv if not word.startswith("-")), None)
    app = None
    for name, help_line in COMMANDS.items():
        if name == asked_for:
            app = import_module(f"mt3x.apps.{name.replace('-', '_')}")
            app.add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=help_line)
    # T5X's spelling of a gin binding, --gin.NAME=VALUE, for argparse.
    words = [re.sub(r"^--gin\.", "--gin=", word) for word in argv]
    if getattr(app, "PASSES_ON_OPTIONS", False):
        end = words.index("--") if "--" in words else len(words)
        args, unknown = parser.parse_known_args(words[:end])
        args.passed_on = unknown + words[end + 1 :]
    else:
        args = parser.parse_args(words)
    if app is None:
        parser.print_help(sys.stderr)
        return 2
    # A name that the terminal's encoding lacks is no reason to fail.
    sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        return app.run(args)
    except KeyboardInterrupt:
        print("mt3x: interrupted", file=sys.stderr)
        return INTERRUPTED
