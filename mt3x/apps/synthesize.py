"""`mt3x synthesize`: writes test sets, recordings with their notes, that anyone can rebuild from CC0 scores.

`mt3x synthesize piano song --scores openscore.npz -o sets` writes `sets/piano-FluidR3_GM`,
`sets/piano-TimGM6mb` and so on, each with NAME.flac, NAME.mid and `manifest.json`: every set with a soundfont
that models are trained with and one that they never hear, or with those of `--soundfont`.
"""

import argparse
import sys
from pathlib import Path

from mt3x.apps.console.progress import Progress
from mt3x.data.eval_sets.sets import DEFAULT_SEED, DEFAULT_SOUNDFONTS, SETS
from mt3x.score.io.musicxml_files import SUFFIXES


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "synthesize",
        help="make test sets from scores",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Makes test sets from scores that training never sees.",
        epilog="sets:\n" + "\n".join(f"  {name:12} {item.description}" for name, item in SETS.items()),
    )
    parser.add_argument("sets", nargs="+", choices=SETS, metavar="SET", help=", ".join(SETS))
    parser.add_argument(
        "--scores",
        type=Path,
        required=True,
        metavar="PATH",
        help="OpenScore Lieder and String Quartets: a folder of MusicXML, or packed by `mt3x prepare`",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder to write into"
    )
    parser.add_argument(
        "--soundfont",
        action="append",
        metavar="NAME",
        help=f"a name or a .sf2 or .sf3 file; may be repeated ({', '.join(DEFAULT_SOUNDFONTS)})",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=DEFAULT_SEED,
        metavar="N",
        help=f"another seed, other excerpts ({DEFAULT_SEED})",
    )
    parser.add_argument("--pieces", type=int, metavar="N", help="only the first N excerpts of each set")


def run(args: argparse.Namespace) -> int:
    """0 when all sets are written, 2 where scores, soundfont or synthesizer are missing or wrong."""
    from mt3x.data.eval_sets.pieces import select_test_pieces
    from mt3x.data.eval_sets.sets import write_test_set

    try:
        scores = select_test_pieces(_read_scores(args.scores))
        for name in args.sets:
            for soundfont in args.soundfont or DEFAULT_SOUNDFONTS:
                folder = args.output / f"{name}-{Path(soundfont).stem}"
                with Progress(folder.name, sys.stderr) as progress:
                    manifest = write_test_set(
                        name, scores, folder, soundfont, args.seed, args.pieces, progress
                    )
                print(f"{folder}: {len(manifest['excerpts'])} excerpts of {manifest['scores']} scores")
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        print(f"mt3x synthesize: {error}", file=sys.stderr)
        return 2
    return 0


def _read_scores(path: Path):
    """The scores of a packed file, or those of a folder that are test pieces."""
    from mt3x.data.eval_sets.pieces import TEST_PIECES
    from mt3x.data.synthetic.scores import load_scores, read_piece, score_name

    if not path.is_dir():
        return load_scores(path)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    return [read_piece(file) for file in files if score_name(file) in TEST_PIECES]
