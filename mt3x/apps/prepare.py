"""`mt3x prepare`: turns data as it is published into what training reads.

`mt3x prepare NAME` builds a data set's records; run again, it goes on where it was stopped, makes again what
has changed or been damaged, and names once more what was left out.
"""

import argparse
import ast
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mt3x.apps.console.progress import Progress, clock
from mt3x.data.datasets import READERS
from mt3x.score.io.musicxml_files import SUFFIXES

MOST_ROWS = 100
"""Of problems on the terminal; the manifest holds all."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and the kinds of data."""
    parser = subparsers.add_parser("prepare", help="pack data for training")
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    scores = kinds.add_parser("scores", help="pack all MusicXML scores below a folder into one file")
    scores.add_argument("--source", type=Path, required=True, metavar="DIR", help="where the scores are")
    scores.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .npz to write")
    _add_note_bank(kinds.add_parser("note-bank", help="pack single notes: of a soundfont, or of recordings"))
    for name, entry in READERS.items():
        _add_data_set(kinds.add_parser(name, help=f"build records: {entry.description}"))
    for kind in kinds.choices.values():
        kind.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")
    bands = kinds.add_parser("bands", help="pack drummers and lead sheets into one file")
    bands.add_argument("--grooves", type=Path, required=True, metavar="DIR", help="the Groove MIDI Dataset")
    bands.add_argument("--sheets", type=Path, required=True, metavar="DIR", help="lead sheets, .mxl files")
    bands.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .npz to write")


def _add_note_bank(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--soundfont",
        metavar="NAME",
        help="a name or a .sf2 or .sf3 file, to render every note of once (3 GB); or",
    )
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="DIR",
        help="a folder of recorded notes: .sfz files, and programs.tsv with columns sfz, program, is_drum",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to write")
    of_soundfont = parser.add_argument_group("of a soundfont")
    of_soundfont.add_argument(
        "--programs", type=int, default=112, metavar="N", help="the first N programs (112)"
    )
    of_soundfont.add_argument("--seconds", type=float, default=3.0, help="length of the longest note (3)")


def _add_data_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", type=Path, required=True, metavar="DIR", help="where the release was unpacked"
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="the folder to write, for it alone",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="options",
        metavar="OPTION=VALUE",
        help="an option of this data set's reader, as in its Python file; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """0 when all is done, 1 when some scores or recordings can't be used (each is named), 2 when none is."""
    try:
        if args.kind == "scores":
            return _prepare_scores(args)
        if args.kind == "bands":
            return _prepare_bands(args)
        if args.kind == "note-bank":
            return _prepare_note_bank(args)
        return _prepare_records(args)
    except ImportError as error:
        print(f"mt3x prepare: {error}; install mt3x with its extra `train` or `train-grain`", file=sys.stderr)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"mt3x prepare: {error}", file=sys.stderr)
    return 2


def _prepare_scores(args: argparse.Namespace) -> int:
    from mt3x.data.synthetic.scores import pack_scores

    paths = sorted(path for path in args.source.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"no {', '.join(SUFFIXES)} file below {args.source}")
    report = pack_scores(paths, args.output, workers=args.workers)
    for name, reason in report.failures:
        print(f"mt3x prepare: {name}: {reason}", file=sys.stderr)
    print(f"{args.output}: {report.scores} scores, {report.notes} notes, {report.bytes / 1e6:.1f} MB")
    return 1 if report.failures else 0


def _prepare_bands(args: argparse.Namespace) -> int:
    from mt3x.data.synthetic.bands import pack_bands

    report = pack_bands(args.grooves, args.sheets, args.output)
    print(
        f"{args.output}: {report.beats} beats, {report.fills} fills, {report.sheets} lead sheets, "
        f"{report.bytes / 1e6:.1f} MB"
    )
    if report.unreadable_sheets:
        print(f"mt3x prepare: {report.unreadable_sheets} lead sheets cannot be read", file=sys.stderr)
    return 1 if report.unreadable_sheets else 0


def _prepare_note_bank(args: argparse.Namespace) -> int:
    if (args.soundfont is None) == (args.samples is None):
        raise ValueError("give one of --soundfont NAME and --samples DIR")
    if args.samples is not None:
        return _prepare_samples(args)
    from mt3x.synthesis.note_banks import build_note_bank, save_note_bank

    bank = build_note_bank(
        args.soundfont, programs=range(args.programs), seconds=args.seconds, workers=args.workers
    )
    save_note_bank(bank, args.output)
    print(f"{args.output}: {len(bank.samples)} notes, {bank.samples.nbytes / 1e6:.1f} MB")
    return 0


def _prepare_samples(args: argparse.Namespace) -> int:
    from mt3x.synthesis.sampled.packing import pack_samples

    report = pack_samples(args.samples, args.output)
    print(
        f"{args.output}: {report.instruments} instruments, {report.recordings} recordings, "
        f"{report.bytes / 1e6:.1f} MB"
    )
    return 0


def _prepare_records(args: argparse.Namespace) -> int:
    from mt3x.data.datasets import make_reader
    from mt3x.data.records.array_records import MANIFEST_FILE
    from mt3x.data.records.build import build

    reader = make_reader(args.kind, **_parse_options(args.options))
    with Progress(args.kind, sys.stderr) as progress:
        manifest = build(reader, args.source, args.output, args.workers, progress=progress)
    for name, split in manifest["splits"].items():
        size = sum(shard["bytes"] for shard in split["shards"])
        print(
            f"{args.output}: {name}: {split['records']} recordings, {split['examples']} examples, "
            f"{clock(split['seconds'])}, {size / 1e6:.1f} MB"
        )
    problems = [(problem["file"], problem["reason"]) for problem in manifest["problems"]]
    left_out = sum(len(split["left_out"]) for split in manifest["splits"].values())
    if problems:
        print(_table(problems), file=sys.stderr)
        print(
            f"mt3x prepare: {len(problems)} problems, {left_out} recordings left out; all are told in "
            f"{args.output / MANIFEST_FILE}. Mend what can be mended and run the same command again: only "
            "what has changed is built again.",
            file=sys.stderr,
        )
    return 1 if left_out else 0


def _table(problems: Sequence[tuple[str, str]]) -> str:
    """Files and what is wrong with them, the first `MOST_ROWS`."""
    width = min(max(len(file) for file, _ in problems), 60)
    rows = [f"{file:{width}}  {reason}" for file, reason in problems[:MOST_ROWS]]
    if len(problems) > MOST_ROWS:
        rows.append(f"... and {len(problems) - MOST_ROWS} more")
    return "\n".join([f"{'file':{width}}  problem", *rows])


def _parse_options(words: Sequence[str]) -> dict[str, Any]:
    """Options from `NAME=VALUE`; a value that isn't a Python literal is text.

    >>> _parse_options(["seed=3", "soundfont=FluidR3_GM"])
    {'seed': 3, 'soundfont': 'FluidR3_GM'}
    """
    options = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name.isidentifier():
            raise ValueError(f"--set {word}: write it as OPTION=VALUE")
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    return options
