"""The zarr half of T5X checkpoints: one folder `target.decoder.decoder_norm.scale/` for each array.

The msgpack half refers to such a folder by a tensorstore specification: driver, kvstore with a path relative
to the checkpoint's folder, and metadata (shape, chunks, gzip). Arrays are zarr version 2, little-endian.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mt3x.checkpoints.errors import CheckpointError
from mt3x.checkpoints.folder import Folder, tensorstore_reason

Spec = Mapping[str, Any]

_ZARR_DTYPES = {"<f4": "float32", "bfloat16": "bfloat16", "<u2": "uint16", "<i4": "int32"}
_DRIVERS = ("file", "gfile", "gcs")
_CHUNK_BYTES = 64 * 2**20


def is_spec(node: Any) -> bool:
    """Whether a node of a checkpoint stands for an array in a folder of its own."""
    return isinstance(node, Mapping) and node.keys() >= {"driver", "kvstore", "metadata"}


def read_arrays(folder: Folder, specs: Mapping[str, Spec]) -> dict[str, np.ndarray]:
    """The arrays that specifications refer to, by the same names.

    A chunk that is not there is an error: T5X writes every chunk, and tensorstore would else read zeros.
    Where the checkpoint lies now decides on the driver, not where it was written.

    Raises:
      CheckpointError: an array is missing, cut short, of another shape or dtype than its specification says,
        or outside `folder`; the text opens with its name.
    """
    import tensorstore

    opening = {
        name: tensorstore.open(
            {
                "driver": "zarr",
                "kvstore": (folder / _relative_path(name, spec)).kvstore(),
                "fill_missing_data_reads": False,
            }
        )
        for name, spec in specs.items()
    }
    stores = {name: _result(future, name, specs[name]) for name, future in opening.items()}
    for name, store in stores.items():
        found = f"{store.dtype.name} {list(store.shape)}"
        if found != _described(specs[name]):
            raise CheckpointError(f"{name}: holds {found}, expected {_described(specs[name])}")
    reading = {name: store.read() for name, store in stores.items()}
    return {name: _result(future, name, specs[name]) for name, future in reading.items()}


def write_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Writes each array, of two numbers or more, to a folder of its own; returns specifications by name."""
    import tensorstore

    specs = {name: _new_spec(name, array) for name, array in arrays.items()}
    opening = {
        name: tensorstore.open(
            {**spec, "kvstore": Folder(str(folder / spec["kvstore"]["path"])).kvstore()}, create=True
        )
        for name, spec in specs.items()
    }
    writing = [future.result().write(arrays[name]) for name, future in opening.items()]
    for future in writing:
        future.result()
    return specs


def _relative_path(name: str, spec: Spec) -> str:
    kvstore = spec["kvstore"]
    if spec["driver"] != "zarr" or not isinstance(kvstore, Mapping) or kvstore.get("driver") not in _DRIVERS:
        raise CheckpointError(f"{name}: expected zarr in one of {_DRIVERS}, found {spec!r:.80}")
    # Before tensorstore 0.1.14 the path stood beside the kvstore, without a slash at its end.
    path = str(kvstore.get("path") or spec.get("path", "")).removesuffix("/")
    if not path.isprintable() or any(part in ("", ".", "..") for part in path.split("/")):
        raise CheckpointError(f"{name}: path {path!r} does not lie inside the checkpoint's folder")
    return path


def _described(spec: Spec) -> str:
    """The type and the shape: {dtype: float32, metadata: {shape: [64, 128]}} -> 'float32 [64, 128]'."""
    metadata = spec["metadata"] if isinstance(spec["metadata"], Mapping) else {}
    dtype = spec.get("dtype") or _ZARR_DTYPES.get(metadata.get("dtype", ""))
    return f"{dtype} {metadata.get('shape')}"


def _result(future: Any, name: str, spec: Spec) -> Any:
    try:
        return future.result()
    except (ValueError, OSError) as error:
        raise CheckpointError(
            f"{name}: expected {_described(spec)}, found none ({tensorstore_reason(error)}); "
            "copy the whole folder of the checkpoint again"
        ) from error


def _new_spec(name: str, array: np.ndarray) -> dict[str, Any]:
    row_bytes = array.itemsize * math.prod(array.shape[1:])
    rows = max(1, min(array.shape[0], _CHUNK_BYTES // row_bytes))
    return {
        "driver": "zarr",
        "dtype": array.dtype.name,
        "kvstore": {"driver": "file", "path": name.replace("/", ".") + "/"},
        "metadata": {
            "chunks": [rows, *array.shape[1:]],
            "compressor": {"id": "gzip", "level": 1},
            "shape": list(array.shape),
        },
    }
