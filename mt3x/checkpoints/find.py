"""Which checkpoint a path names: its format and folder, or what is wrong with the path."""

import enum
import os
import re
from dataclasses import dataclass

from mt3x.checkpoints.errors import CheckpointError
from mt3x.checkpoints.folder import UNFINISHED, Folder

T5X_FILE = "checkpoint"
ORBAX_FILE = "_METADATA"
CONFIG_FILE = "config.json"
"""What `transcription.tokens.config` stores beside weights; here only its bytes matter."""

ORBAX_ITEMS = ("default", "state")
"""Where, inside the folder of a step, Orbax's CheckpointManager and our CheckpointDirectory put the state."""

_RUN_FOLDER = "checkpoints"
_STEP = re.compile(r"checkpoint_(\d+)")


class Format(enum.Enum):
    """What wrote a checkpoint; the value is for people."""

    T5X = "T5X"
    ORBAX = "Orbax"


T5X, ORBAX = Format.T5X, Format.ORBAX


@dataclass(frozen=True)
class FoundCheckpoint:
    """One checkpoint: its format, the folder with its files, and the step in that folder's name, if any."""

    format: Format
    folder: Folder
    named_step: int | None


def find_checkpoint(path: str | os.PathLike[str]) -> FoundCheckpoint:
    """The checkpoint at `path`.

    Args:
      path: a checkpoint's folder (T5X, Orbax), a folder with several `checkpoint_<step>` of which the newest
        is taken, a training run's folder with those in `checkpoints`, or the file `checkpoint` of a T5X
        checkpoint; `gs://` paths as well.

    Raises:
      CheckpointError: there is none; the text says what is there instead, and which path to give.
    """
    folder = Folder.at(path)
    names = folder.names()
    if not names and folder.name == T5X_FILE:
        folder = folder.parent
        names = folder.names()
    if UNFINISHED.search(folder.name):
        raise CheckpointError(f"{folder}: left over from a save that did not finish; give another checkpoint")
    if T5X_FILE in names and not (folder / T5X_FILE).names():
        return FoundCheckpoint(T5X, folder, _step_named(folder.name))
    # tensorstore lists nothing, and says nothing, where a bucket may not be listed; reading tells.
    if not names and folder.in_bucket and folder.read(T5X_FILE) is not None:
        return FoundCheckpoint(T5X, folder, _step_named(folder.name))
    if ORBAX_FILE in names:
        return FoundCheckpoint(ORBAX, folder, _step_named(folder.name))
    for item in ORBAX_ITEMS:
        if item in names and ORBAX_FILE in (folder / item).names():
            return FoundCheckpoint(ORBAX, folder / item, _step_named(folder.name))
    steps = {step: name for name in names if (step := _step_named(name)) is not None}
    if steps:
        return find_checkpoint((folder / steps[max(steps)]).path)
    if _RUN_FOLDER in names and steps_in((folder / _RUN_FOLDER).path):
        return find_checkpoint((folder / _RUN_FOLDER).path)
    raise CheckpointError(_what_is_wrong(folder, names))


def steps_in(path: str | os.PathLike[str]) -> list[int]:
    """The N of all finished `checkpoint_<N>` in a folder, ascending."""
    steps = (_step_named(name) for name in Folder.at(path).names())
    return sorted(step for step in steps if step is not None)


def latest_step(path: str | os.PathLike[str]) -> int | None:
    """The greatest N of the finished `checkpoint_<N>` in a folder; None where there are none."""
    return max(steps_in(path), default=None)


def read_config(found: FoundCheckpoint) -> bytes | None:
    """The bytes of the `config.json` stored with a checkpoint; None where there is none.

    It lies in the checkpoint's folder, or once for a training run: beside `checkpoint_<step>`, or beside a
    folder `checkpoints` of those.
    """
    folder = found.folder
    data = folder.read(CONFIG_FILE)
    while data is None and (
        folder.name in (*ORBAX_ITEMS, _RUN_FOLDER) or _step_named(folder.name) is not None
    ):
        folder = folder.parent
        data = folder.read(CONFIG_FILE)
    return data


def _step_named(name: str) -> int | None:
    match = _STEP.fullmatch(name)
    return int(match.group(1)) if match else None


def _what_is_wrong(folder: Folder, names: list[str]) -> str:
    wanted = f"expected a file {T5X_FILE!r} (T5X) or {ORBAX_FILE!r} (Orbax), or folders checkpoint_<step>"
    if not names:
        is_file = not folder.in_bucket and os.path.isfile(folder.path)
        return f"{folder}: {'is a file' if is_file else 'no such folder, or it is empty'}; {wanted}"
    if ".zarray" in names or ".zgroup" in names:
        return f"{folder}: this is one array of a checkpoint; give the folder around it, {folder.parent}"
    if any(name.startswith(("target.", "state.param_states.")) for name in names):
        return f"{folder}: arrays of a T5X checkpoint without their file {T5X_FILE!r}; copy the whole folder"
    unfinished = [name for name in names if UNFINISHED.search(name)]
    if unfinished:
        return f"{folder}: holds only {unfinished[0]}, left over from a save that did not finish; {wanted}"
    below = [
        name
        for name in names
        if not folder.in_bucket and {T5X_FILE, ORBAX_FILE} & set((folder / name).names())
    ]
    if below:
        return f"{folder}: no checkpoint here, but in {', '.join(below)}; give {folder / below[0]}"
    return f"{folder}: no checkpoint here; {wanted}"
