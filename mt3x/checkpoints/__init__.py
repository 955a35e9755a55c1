"""Checkpoints: T5X's format, which MT3's users have, and Orbax, which training writes.

Reading T5X takes NumPy, msgpack and, for arrays in folders of their own, tensorstore; nothing here imports
jax, flax, orbax or tensorstore before it is needed.
"""

from mt3x.checkpoints.errors import CheckpointError
from mt3x.checkpoints.find import CONFIG_FILE, Format, find_checkpoint, latest_step, read_config
from mt3x.checkpoints.folder import check_new_place
from mt3x.checkpoints.load import load_checkpoint, load_params
from mt3x.checkpoints.orbax import CheckpointDirectory, restore_orbax, save_orbax
from mt3x.checkpoints.t5x import T5xCheckpoint, read_t5x, write_t5x
from mt3x.checkpoints.tree import (
    cast_floats,
    check_params,
    count_parameters,
    flatten,
    infer_sizes,
    unflatten,
)

__all__ = [
    "CONFIG_FILE",
    "CheckpointDirectory",
    "CheckpointError",
    "Format",
    "T5xCheckpoint",
    "cast_floats",
    "check_new_place",
    "check_params",
    "count_parameters",
    "find_checkpoint",
    "flatten",
    "infer_sizes",
    "latest_step",
    "load_checkpoint",
    "load_params",
    "read_config",
    "read_t5x",
    "restore_orbax",
    "save_orbax",
    "unflatten",
    "write_t5x",
]
