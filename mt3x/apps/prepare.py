"""`mt3x prepare`: turns data as it is published into what training reads."""

import argparse
import sys
from pathlib import Path

SUFFIXES = (".mxl", ".musicxml", ".xml")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and the kinds of data."""
    parser = subparsers.add_parser("prepare", help="pack data for training")
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    scores = kinds.add_parser("scores", help="pack all MusicXML scores below a folder into one file")
    scores.add_argument("--source", type=Path, required=True, metavar="DIR", help="where the scores are")
    scores.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .npz to write")
    bank = kinds.add_parser(
        "note-bank", help="render every note of a soundfont once (3 GB), to train where rendering is too slow"
    )
    bank.add_argument("--soundfont", required=True, metavar="NAME", help="a name or a .sf2 or .sf3 file")
    bank.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to write")
    bank.add_argument("--programs", type=int, default=112, metavar="N", help="the first N programs (112)")
    bank.add_argument("--seconds", type=float, default=3.0, help="length of the longest note (3)")
    for kind in (scores, bank):
        kind.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")


def run(args: argparse.Namespace) -> int:
    """0 when all is done, 1 when some scores could not be read (each is named), 2 when nothing was done."""
    try:
        return _prepare_scores(args) if args.kind == "scores" else _prepare_note_bank(args)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"mt3x prepare: {error}", file=sys.stderr)
        return 2


def _prepare_scores(args: argparse.Namespace) -> int:
    from mt3x.data.scores import pack_scores

    paths = sorted(path for path in args.source.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"no {', '.join(SUFFIXES)} file below {args.source}")
    report = pack_scores(paths, args.output, workers=args.workers)
    for name, reason in report.failures:
        print(f"mt3x prepare: {name}: {reason}", file=sys.stderr)
    print(f"{args.output}: {report.scores} scores, {report.notes} notes, {report.bytes / 1e6:.1f} MB")
    return 1 if report.failures else 0


def _prepare_note_bank(args: argparse.Namespace) -> int:
    from mt3x.audio.notebank import build_note_bank, save_note_bank

    bank = build_note_bank(
        args.soundfont, programs=range(args.programs), seconds=args.seconds, workers=args.workers
    )
    save_note_bank(bank, args.output)
    print(f"{args.output}: {len(bank.samples)} notes, {bank.samples.nbytes / 1e6:.1f} MB")
    return 0
