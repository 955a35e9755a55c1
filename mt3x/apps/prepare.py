"""`mt3x prepare`: turns data as it is published into what training reads."""

import argparse
import sys
from pathlib import Path

SUFFIXES = (".mxl", ".musicxml", ".xml")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "prepare",
        help="pack data for training",
        description="Packs all MusicXML scores below a folder into one file for `mt3x train`.",
    )
    parser.add_argument("name", choices=["scores"], help="what to prepare")
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="where the scores are")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .npz to write")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")


def run(args: argparse.Namespace) -> int:
    """0 when all is packed, 1 when some scores could not be read (each is named), 2 when nothing was."""
    from mt3x.data.scores import pack_scores

    paths = sorted(path for path in args.source.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        print(f"mt3x prepare: no {', '.join(SUFFIXES)} file below {args.source}", file=sys.stderr)
        return 2
    try:
        report = pack_scores(paths, args.output, workers=args.workers)
    except (ValueError, OSError) as error:
        print(f"mt3x prepare: {error}", file=sys.stderr)
        return 2
    for name, reason in report.failures:
        print(f"mt3x prepare: {name}: {reason}", file=sys.stderr)
    print(f"{args.output}: {report.scores} scores, {report.notes} notes, {report.bytes / 1e6:.1f} MB")
    return 1 if report.failures else 0
