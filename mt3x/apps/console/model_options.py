"""Options that choose a model and how it computes, for all commands that transcribe recordings."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mt3x.transcription.transcriber import Transcriber


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--instruments`, `--model`, `--preset`, `--search`, `--merge-restrikes`, `--batch-size`, `--dtype`
    and `--mt3-compatible`.
    """
    parser.add_argument(
        "--instruments",
        metavar="LIST",
        help="what plays, if you know, by commas: piano,flute,drums; nothing else is written then",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model", metavar="NAME_OR_PATH", help="a checkpoint folder (the model inside the package)"
    )
    model.add_argument(
        "--preset", metavar="NAME", help="settings of a checkpoint that carries none: mt3 or ismir2021"
    )
    model.add_argument(
        "--search", metavar="NAME", help="of models that write tokens: greedy, grammar or beam"
    )
    model.add_argument(
        "--merge-restrikes",
        type=float,
        metavar="SECONDS",
        help="see a note struck again so soon as one; 0: never",
    )
    model.add_argument("--batch-size", type=int, metavar="N", help="segments that are recognised together")
    model.add_argument(
        "--dtype",
        metavar="float32|bfloat16|int8",
        help="of the computation of models that write tokens (bfloat16 on an accelerator, float32 on a CPU)",
    )
    model.add_argument(
        "--mt3-compatible", action="store_true", help="repeat MT3's faults, to compare with it"
    )


def load_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `mt3x.load`, values that JSON knows: those that the command line holds."""
    arguments = {
        "name_or_path": args.model,
        "preset": args.preset,
        "search": args.search,
        "merge_restrikes_seconds": args.merge_restrikes,
        "instruments": args.instruments,
        "batch_size": args.batch_size,
        "dtype": args.dtype,
        "mt3_compatible": args.mt3_compatible or None,
    }
    return {name: value for name, value in arguments.items() if value is not None}


def load(arguments: Mapping[str, Any]) -> "Transcriber":
    """The transcriber that `load_arguments` ask for; what it compiles is kept for the next start.

    Raises:
      ValueError, OSError: as `mt3x.load`.
    """
    from mt3x.transcription import transcriber
    from mt3x.transcription.process import settle_process

    settle_process()
    return transcriber.load(**arguments)
