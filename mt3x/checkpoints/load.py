"""Any checkpoint, whatever wrote it and wherever it is: its parameters as NumPy arrays."""

import os
from dataclasses import dataclass
from typing import Any

from mt3x.checkpoints.find import ORBAX, FoundCheckpoint, find_checkpoint
from mt3x.checkpoints.orbax import restore_orbax_params
from mt3x.checkpoints.t5x import read_t5x


@dataclass(frozen=True)
class LoadedCheckpoint:
    """Parameters, the training step that they are from (None where unknown), and where they were found."""

    found: FoundCheckpoint
    step: int | None
    params: dict[str, Any]


def load_checkpoint(path: str | os.PathLike[str]) -> LoadedCheckpoint:
    """The parameters and step at `path`; see `load_params`."""
    found = find_checkpoint(path)
    if found.format is ORBAX:
        params, step = restore_orbax_params(found.folder.path)
    else:
        checkpoint = read_t5x(found.folder.path, include_optimizer=False)
        params, step = checkpoint.params, checkpoint.step
    return LoadedCheckpoint(found, found.named_step if step is None else step, params)


def load_params(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The parameters of a checkpoint.

    Args:
      path: the folder of a T5X or Orbax checkpoint, or one with several `checkpoint_<step>`, of which the
        newest is read; for T5X, `gs://` paths as well.

    Returns:
      Nested dict of NumPy arrays by T5X's names, float32 or bfloat16 (ml_dtypes) as stored; some are
      read-only.

    Raises:
      CheckpointError: no checkpoint is there, or an array is missing, cut short, or not as described.
    """
    return load_checkpoint(path).params
