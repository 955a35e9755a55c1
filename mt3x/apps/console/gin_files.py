"""gin files on a command line, by T5X's conventions; only apps read gin.

`--gin_file` may come several times, and `--gin.NAME=VALUE` sets one thing more (`apps.cli` spells it
`--gin=NAME=VALUE` for argparse). Files are looked up among one's own and in the package's `gin/`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import mt3x

GIN_DIRECTORIES = (Path(mt3x.__file__).parent / "gin", Path(mt3x.__file__).parents[1] / "gin")
"""In an installed package, and in a checkout."""

ERRORS = (ValueError, TypeError, NameError, OSError, SyntaxError)
"""What wrong files and bindings raise, when they are parsed or when what they configure is made."""

_NOT_SET = re.compile(r"No bindings specified for '(\w+)/gin\.macro'")
_NOT_A_VALUE = re.compile(r"Failed to parse token '(.*)' \(line \d+\)")
_GIN_DETAILS = re.compile(r"\s*(No values supplied by Gin|In call to configurable) .*", re.DOTALL)
_LINE_NUMBER = re.compile(r"In bindings string line \d+")  # of all files and bindings together
_INCLUDE = re.compile(r"""^include\s+(['"])(.*)\1\s*(#.*)?$""", re.MULTILINE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--gin_file` and `--gin`."""
    parser.add_argument(
        "--gin_file", action="append", required=True, metavar="FILE", help="may come several times"
    )
    parser.add_argument(
        "--gin",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one gin binding, in T5X's spelling --gin.NAME=VALUE",
    )


def register(settings: type, name: str, others: Iterable[Any]) -> Callable[..., Any]:
    """Tells gin what it may set: the fields of `settings` under `name`, and what `others` take.

    gin's register is global and takes each name once. Returns the function that makes the settings.
    """
    import gin

    with gin.unlock_config():  # another command of this process may have parsed its files
        for kind in others:
            gin.external_configurable(kind)
        return gin.external_configurable(settings, name)


def parse(files: Sequence[str], bindings: Sequence[str]) -> None:
    """Takes what the files and the bindings after them say as gin's settings, in the place of any before.

    Raises:
      OSError: a file, or one that it includes, is not found.
      ValueError, TypeError, NameError, SyntaxError: what is written there is wrong; gin says where.
    """
    import gin

    gin.clear_config()
    gin.parse_config_files_and_bindings([], [*map(_with_includes, files), *bindings])


def train(
    command: str,
    read: Callable[[], Callable[[], object]],
    others: tuple[type[Exception], ...] = (),
) -> int:
    """Runs a training command: 0 when it is complete, 1 when it failed, 2 for a wrong configuration.

    Args:
      command: its name, for what is said on standard error.
      read: reads the files and returns what trains.
      others: further errors that are told in one line.
    """
    try:
        import gin.config  # noqa: F401  (plain `import gin` finds a checkout's folder of gin files)
        import optax  # noqa: F401
    except ImportError as error:
        print(f"mt3x {command}: {error.name} is missing; pip install 'mt3x[train]'", file=sys.stderr)
        return 2
    try:
        run = read()
    except (*ERRORS, *others) as error:
        print(f"mt3x {command}: {one_line(error)}", file=sys.stderr)
        return 2
    try:
        run()
    except (ValueError, FloatingPointError, OSError, *others) as error:
        print(f"mt3x {command}: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def one_line(error: Exception) -> str:
    """What an error says, in one line, without the details that gin adds."""
    text = str(error)
    if found := _NOT_SET.search(text):
        return f"{found[1]} is not set; add --gin.{found[1]}=VALUE"
    if found := _NOT_A_VALUE.search(text):
        return f"{found[1]} is not a value; text needs quotes of its own: --gin.NAME=\"'text'\""
    return " ".join(_LINE_NUMBER.sub("In", _GIN_DETAILS.sub("", text)).split())


def _with_includes(name: str) -> str:
    """The text of a gin file, with those that it includes in their places.

    gin's own search also asks for Python packages: it fails where a folder of one's own is called like one of
    ours (`run`), and logs an error for each place where a file is not.
    """
    paths = (folder / name for folder in (Path(), *GIN_DIRECTORIES))
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        places = ", ".join(str(folder) for folder in GIN_DIRECTORIES)
        raise FileNotFoundError(f"there is no gin file {name}, here or in {places}")
    return _INCLUDE.sub(lambda found: _with_includes(found[2]), path.read_text(encoding="utf-8"))
