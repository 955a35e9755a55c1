"""`mt3x transcribe-corpus`: a library of recordings, on one machine or many, by Apache Beam.

Finds the recordings and names their outputs; `mt3x.bridges.beam` transcribes them and says what is restarted
how. Options that are not this command's own, or follow `--`, are Beam's.
"""

import argparse
import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mt3x.apps.console import batch, model_options
from mt3x.audio.formats import AUDIO_SUFFIXES

if TYPE_CHECKING:
    from mt3x.bridges.beam import Recording

PASSES_ON_OPTIONS = True
"""For the command `mt3x`: what it does not know is in `args.passed_on`."""

_EPILOG = """\
examples:
  mt3x transcribe-corpus library -o notes
  mt3x transcribe-corpus library -o notes --direct_num_workers=4 --direct_running_mode=multi_processing
  mt3x transcribe-corpus gs://bucket/library -o gs://bucket/notes -- --runner=DataflowRunner --project=...

below DIR: the outputs, named as by mt3x transcribe; results-*.jsonl, a line for each recording;
failed-*.jsonl, a line for each that could not be transcribed. Killed and started again by the same command,
it goes on: what has its mark in DIR/.done is not transcribed again. See docs/library.md.

exit codes: 0 all is well, 1 some recordings failed, 2 wrong command line or model, 130 interrupted.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declares the command's options."""
    parser = subparsers.add_parser(
        "transcribe-corpus",
        help="transcribe a library of recordings, on one machine or many",
        description="Transcribes a library by Apache Beam; other options are passed on to it.",
        usage="mt3x transcribe-corpus [options] INPUT [INPUT ...] -o DIR [-- BEAM_OPTION ...]",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # `--project` is no short form of anything here
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="a recording, a folder, a pattern, or a .txt file with one of them a line; local or gs://",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="where everything goes; local or gs://"
    )
    parser.add_argument(
        "--format",
        type=batch.read_formats,
        default=("mid",),
        metavar="LIST",
        help="mid, json, csv, musicxml, by commas (mid)",
    )
    parser.add_argument(
        "--beats", action="store_true", help="find the beats, and give .mid their tempos and time signatures"
    )
    parser.add_argument(
        "--attempts",
        type=_positive,
        default=3,
        metavar="N",
        help="tries of a recording whose error may pass (3)",
    )
    model_options.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Transcribes what `args` names and returns the exit code."""
    if args.beats and "mid" not in args.format:
        _complain("--beats is for --format mid")
        return 2
    try:
        from mt3x.bridges import beam
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "apache_beam":
            raise
        _complain("transcribe-corpus needs Apache Beam: pip install 'mt3x[beam]'")
        return 2
    try:
        options = beam.runner_options(args.passed_on)
        recordings = find(args.inputs, args.format)
        settings = beam.Settings(_absolute(args.output), _model_arguments(args), args.attempts, args.beats)
        failures = beam.transcribe_corpus(recordings, settings, options)
    except (ValueError, OSError) as error:
        _complain(str(error))
        return 2
    for letter in failures:
        error = letter["error"]  # that of a recording names it
        _complain(error if error.startswith(letter["path"]) else f"{letter['path']}: {error}")
    print(f"{len(recordings) - len(failures)} transcribed, {len(failures)} failed -> {args.output}")
    return 1 if failures else 0


def find(inputs: Sequence[str], formats: Sequence[str]) -> "list[Recording]":
    """The recordings that the inputs name, each once, with names for their outputs.

    Inputs that name none are in the list, too, with the reason as their error.

    Raises:
      OSError: a list of inputs can't be read.
      ValueError: inputs of more than one file system.
    """
    from mt3x.bridges.beam import Recording

    inputs = list(_expand(inputs))
    schemes = {name.partition("://")[0] if "://" in name else "" for name in inputs}
    if len(schemes) > 1:
        raise ValueError(
            "inputs are of several file systems; transcribe those of each in a run of its own, into a folder "
            "of its own"
        )
    if schemes - {""}:
        return _find_remote(inputs, formats)
    jobs, complaints = batch.plan(inputs, formats, Path())
    found = [Recording(str(job.recording), tuple(map(str, job.outputs))) for job in jobs]
    for complaint in complaints:
        name, _, reason = complaint.rpartition(": ")
        found.append(Recording(name, error=reason))
    return found


def _expand(inputs: Sequence[str]) -> Iterator[str]:
    """The inputs, and in the place of each list what stands in it."""
    from mt3x.bridges.beam_files import read_file

    for name in inputs:
        if name.lower().endswith(".txt"):
            lines = read_file(name).decode(errors="surrogateescape").splitlines()
            yield from filter(None, map(str.strip, lines))
        else:
            yield name


def _find_remote(inputs: Sequence[str], formats: Sequence[str]) -> "list[Recording]":
    """As `batch.plan`; a name with a suffix of audio is taken for a recording without asking."""
    from mt3x.bridges.beam import Recording
    from mt3x.bridges.beam_files import list_files

    recordings: dict[str, None] = {}
    folders: list[str] = []
    missing = []
    for name in inputs:
        if glob.has_magic(name):
            found, reason = list_files(name), "no file matches this pattern"
        elif _is_audio(name):
            found, reason = [name], None
        else:
            folder = name.rstrip("/")
            below = list_files(f"{folder}/**")
            found = [path for path in below if _is_audio(path) and "/." not in path.removeprefix(folder)]
            reason = "no recordings in this folder"
        if not found:
            missing.append(Recording(name, error=reason))
            continue
        is_folder = found != [name] and not glob.has_magic(name)
        folders += [str(Path(name))] if is_folder else [str(Path(path).parent) for path in found]
        recordings.update(dict.fromkeys(found))
    base = os.path.commonpath(folders) if folders else ""
    # These are no local paths: the rule sees the recordings of the run, not what else is in their folders.
    names = batch.output_names([Path(path) for path in recordings])
    jobs = []
    for path in recordings:
        stem = Path(path).parent.relative_to(base) / names[Path(path)]
        jobs.append(Recording(path, tuple(f"{stem}.{suffix}" for suffix in formats)))
    return jobs + missing


def _is_audio(path: str) -> bool:
    return Path(path).suffix.lower() in AUDIO_SUFFIXES


def _absolute(path: str) -> str:
    """A path that workers in other folders understand."""
    return path if "://" in path else os.path.abspath(path)


def _model_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `mt3x.load` that workers in other folders understand."""
    arguments = model_options.load_arguments(args)
    if args.model is not None and os.path.exists(args.model):
        arguments["name_or_path"] = _absolute(args.model)
    return arguments


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def _complain(line: str) -> None:
    print(f"mt3x: {line}", file=sys.stderr, flush=True)
