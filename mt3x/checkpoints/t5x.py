"""T5X checkpoints: a msgpack file named `checkpoint`, and a folder of zarr for each array that it refers to.

    checkpoint_1000/checkpoint                               {version: 3, optimizer: {target: .., state: ..}}
    checkpoint_1000/target.decoder.layers_0.mlp.wi_0.kernel/ .zarray, 0.0

`target` holds the parameters, `state` the step and the optimizer's arrays (`param_states`). Source: T5X's
`checkpoints.py`; Google's released `mt3` and `ismir2021` have this layout. Version 2, which stored bfloat16
as uint16, is read too.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mt3x.checkpoints.errors import CheckpointError
from mt3x.checkpoints.find import T5X, T5X_FILE, find_checkpoint
from mt3x.checkpoints.folder import Folder, new_folder
from mt3x.checkpoints.packing import (
    dtype_named,
    is_packed,
    native_array,
    pack,
    pack_array,
    unpack,
    unpack_array,
)
from mt3x.checkpoints.tree import flatten, unflatten
from mt3x.checkpoints.zarr import is_spec, read_arrays, write_arrays

VERSIONS = (2, 3)
"""Layouts that are read; the last is written."""

_MAX_STEP = 2**31 - 1


@dataclass(frozen=True)
class T5xCheckpoint:
    """What a T5X checkpoint holds: nested dicts of NumPy arrays, by T5X's names.

    `optimizer_state` is T5X's `param_states`: for Adafactor, {m, v, v_row, v_col} in place of each parameter,
    unused ones of shape [1] (`training.adafactor` turns it into optax's state and back); None where the
    checkpoint has none, or it was not asked for.
    """

    step: int
    params: dict[str, Any]
    optimizer_state: dict[str, Any] | None = None


def read_t5x(path: str | os.PathLike[str], *, include_optimizer: bool = True) -> T5xCheckpoint:
    """Reads a T5X checkpoint, or the newest of a folder of them; `gs://` paths as well.

    Arrays keep the dtype that they were stored in: float32 or bfloat16 (ml_dtypes). Some are read-only.
    tensorstore is imported only where an array lies outside the msgpack file; jax and flax never.

    Raises:
      CheckpointError: there is no T5X checkpoint here, it is of another version, or an array is missing, cut
        short or not as described; the text names it.
    """
    found = find_checkpoint(path)
    if found.format is not T5X:
        raise CheckpointError(f"{found.folder} is not a T5X checkpoint but one of {found.format.value}")
    folder = found.folder
    source = f"{folder}/{T5X_FILE}"
    contents = unpack(folder.read(T5X_FILE) or b"", source)
    version = contents.get("version")
    if version not in VERSIONS:
        raise CheckpointError(f"{source}: version {version!r} of the layout, expected one of {VERSIONS}")
    optimizer = _child(contents, "optimizer", source)
    target = _child(optimizer, "target", source)
    state = _child(optimizer, "state", source)
    wanted = {"target": target, "state": state if include_optimizer else {"step": state.get("step")}}
    arrays = _read_leaves(wanted, folder, has_uint16_bfloat16=version == 2)
    for name, leaf in flatten(arrays["target"]).items():
        if not isinstance(leaf, np.ndarray):
            raise CheckpointError(f"{source}: target/{name}: expected an array, found {leaf!r:.40}")
    step = arrays["state"].get("step")
    if not isinstance(step, int | np.ndarray) or np.size(step) != 1:
        raise CheckpointError(f"{source}: state/step: expected one number, found {step!r:.40}")
    return T5xCheckpoint(int(np.reshape(step, ())), arrays["target"], arrays["state"].get("param_states"))


def _child(node: Mapping[str, Any], key: str, source: str) -> Mapping[str, Any]:
    child = node.get(key)
    if not isinstance(child, Mapping) or not child:
        raise CheckpointError(f"{source}: has no {key!r}, expected optimizer/target and optimizer/state")
    return child


def _read_leaves(tree: Mapping[str, Any], folder: Folder, has_uint16_bfloat16: bool) -> dict[str, Any]:
    """The tree with arrays in place of packed arrays and specifications; other leaves (None, {}) stay."""
    leaves = flatten(tree, lambda node: is_spec(node) or is_packed(node))
    specs = {name: leaf for name, leaf in leaves.items() if is_spec(leaf)}
    stored = read_arrays(folder, specs) if specs else {}
    if has_uint16_bfloat16:
        bfloat16 = dtype_named("bfloat16")
        stored = {name: a.view(bfloat16) if a.dtype == np.uint16 else a for name, a in stored.items()}
    inline = {name: unpack_array(name, leaf) for name, leaf in leaves.items() if is_packed(leaf)}
    return unflatten(leaves | inline | stored)


def write_t5x(
    path: str | os.PathLike[str],
    params: Mapping[str, Any],
    step: int,
    optimizer_state: Mapping[str, Any] | None = None,
    *,
    inline: bool = False,
) -> None:
    """Writes a T5X checkpoint, which T5X, flax and `read_t5x` read back; it appears whole or not at all.

    Args:
      path: the folder of this one checkpoint, `model_dir/checkpoint_1000`; it must not exist.
      params: nested dict of arrays by T5X's names. Dtypes are kept; `cast_floats` changes them.
      step: training steps done.
      optimizer_state: T5X's `param_states`, as `read_t5x` and `training.adafactor.t5x_param_states` return
        it. T5X needs it only to resume training.
      inline: every array inside the one file `checkpoint`, which reads without tensorstore: for small models.

    Raises:
      CheckpointError: `path` exists already or is in a bucket, a leaf is not an array, or `step` does not fit
        int32.
    """
    if not 0 <= step <= _MAX_STEP:
        raise CheckpointError(f"step is {step}: give one from 0 to {_MAX_STEP}")
    leaves: dict[str, Any] = {"state/step": np.array(step, np.int32)}
    for name, leaf in flatten(params).items():
        leaves[f"target/{name}"] = native_array(name, leaf)
    for name, leaf in flatten(optimizer_state or {}).items():
        # T5X keeps None and {} in place of parameters that its optimizer leaves alone.
        is_unused = leaf is None or isinstance(leaf, Mapping)
        leaves[f"state/param_states/{name}"] = leaf if is_unused else native_array(name, leaf)
    with new_folder(path) as folder:
        stored = _store(leaves, folder, inline)
        # Keys are sorted at every level: the files are then T5X's own, byte for byte.
        ordered = dict(sorted(stored.items(), key=lambda item: item[0].split("/")))
        data = pack({"version": VERSIONS[-1], "optimizer": unflatten(ordered)})
        (folder / T5X_FILE).write_bytes(data)


def _store(leaves: Mapping[str, Any], folder: Path, inline: bool) -> dict[str, Any]:
    """What stands in the msgpack file for each leaf; larger arrays get folders unless `inline`."""
    arrays = {name: leaf for name, leaf in leaves.items() if isinstance(leaf, np.ndarray)}
    outside = {} if inline else {name: array for name, array in arrays.items() if array.size > 1}
    packed = {name: pack_array(name, array) for name, array in arrays.items() if name not in outside}
    return {**leaves, **packed, **(write_arrays(folder, outside) if outside else {})}
