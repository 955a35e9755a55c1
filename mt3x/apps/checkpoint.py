"""`mt3x checkpoint inspect|convert`: what a checkpoint holds, and the same weights in another format.

Both read every array, so a checkpoint that `inspect` prints is whole. Conversion carries parameters, step and
the `config.json` beside them; optimizer state stays behind, since T5X's and optax's are not the same.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mt3x import checkpoints
from mt3x.checkpoints import CONFIG_FILE, CheckpointError
from mt3x.music.files import write_whole

T5X, T5X_INLINE, ORBAX = "t5x", "t5x-inline", "orbax"


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Adds `checkpoint` with its actions to the parsers of `mt3x`."""
    parser = subparsers.add_parser(
        "checkpoint",
        help="inspect or convert a checkpoint",
        description="Inspect or convert a checkpoint: T5X's (as Google released for MT3) or Orbax's.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    path_help = "folder of a checkpoint, or of several checkpoint_<step> (the newest is taken); gs:// for T5X"

    inspect = actions.add_parser("inspect", help="print format, step, sizes and every array")
    inspect.add_argument("path", metavar="PATH", help=path_help)

    convert = actions.add_parser("convert", help="write the same weights in another format")
    convert.add_argument("source", metavar="SRC", help=path_help)
    convert.add_argument("destination", metavar="DST", help="folder to write; it must not exist")
    convert.add_argument(
        "--to",
        required=True,
        choices=(T5X, T5X_INLINE, ORBAX),
        help="t5x: a folder for each array; t5x-inline: one file, quick to read; orbax: as training writes",
    )
    convert.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="store the weights in this type; by default as they are",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Runs the action; returns 0, or 2 if a checkpoint or path is wrong, or 1 if the disk failed."""
    try:
        if args.action == "inspect":
            inspect(args.path)
        else:
            convert(args.source, args.destination, args.to, args.dtype)
        sys.stdout.flush()
    except CheckpointError as error:
        print(f"mt3x checkpoint: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output, `head` say, has seen enough; nothing may be flushed to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"mt3x checkpoint: {error}", file=sys.stderr)
        return 1
    return 0


def inspect(path: str) -> None:
    """Prints a summary of the checkpoint at `path`, then one line per array.

    Raises:
      CheckpointError: there is no whole checkpoint at `path`.
    """
    loaded = checkpoints.load_checkpoint(path)
    has_config = checkpoints.read_config(loaded.found) is not None
    sizes = checkpoints.infer_sizes(loaded.params)
    summary = {
        "path": str(loaded.found.folder),
        "format": loaded.found.format.value,
        "step": "unknown" if loaded.step is None else str(loaded.step),
        "parameters": f"{checkpoints.count_parameters(loaded.params):,}",
        CONFIG_FILE: "yes" if has_config else "none: name a preset to transcribe with it",
        "sizes": ", ".join(f"{field} {size}" for field, size in sizes.items()) or "not those of a T5 network",
    }
    for label, text in summary.items():
        print(f"{label:<12}{text}")
    print()
    rows = [
        (name, str(list(a.shape)), a.dtype.name) for name, a in checkpoints.flatten(loaded.params).items()
    ]
    name_width, shape_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, shape, dtype in rows:
        print(f"{name:<{name_width}}  {shape:<{shape_width}}  {dtype}")


def convert(source: str, destination: str, to: str, dtype: str | None = None) -> None:
    """Writes the weights at `source` to a new folder, with the `config.json` that belongs to them.

    Args:
      to: "t5x", "t5x-inline" or "orbax".
      dtype: "float32" or "bfloat16"; None keeps what each array has.

    Raises:
      CheckpointError: there is no whole checkpoint at `source`, or `destination` exists.
    """
    checkpoints.check_new_place(destination)
    loaded = checkpoints.load_checkpoint(source)
    params = loaded.params if dtype is None else checkpoints.cast_floats(loaded.params, dtype)
    _write(destination, params, loaded.step or 0, to)
    config = checkpoints.read_config(loaded.found)
    if config is not None:
        write_whole(Path(destination, CONFIG_FILE), config)
    kind = "with" if config is not None else "without"
    print(
        f"wrote {destination}: {to}, {checkpoints.count_parameters(params):,} parameters, "
        f"step {loaded.step or 0}, {_mebibytes(destination):.1f} MiB, {kind} {CONFIG_FILE}"
    )


def _write(destination: str, params: Mapping[str, Any], step: int, to: str) -> None:
    if to == ORBAX:
        checkpoints.save_orbax(destination, {"params": params, "step": step})
    else:
        checkpoints.write_t5x(destination, params, step, inline=to == T5X_INLINE)


def _mebibytes(folder: str) -> float:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 2**20
