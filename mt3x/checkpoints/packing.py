"""The msgpack half of T5X checkpoints: bytes <-> nested dicts whose arrays are msgpack extensions.

An array is an extension of type 1 (type 3 for a scalar) that holds, again as msgpack, (shape, dtype name,
bytes in row-major order); one of more than 1 GiB is a dict of flat pieces. This is what
`flax.serialization.to_bytes` writes. Reading needs neither flax nor jax, and unpacks plain data only: no code
is ever run, as pickle would.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

import msgpack
import numpy as np

from mt3x.checkpoints.errors import CheckpointError

_NDARRAY, _SCALAR = 1, 3
_PIECES = "__msgpack_chunked_array__"
_MAX_BYTES = 2**30
_DTYPES = {"bool", "float16", "float32", "float64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def dtype_named(name: str) -> np.dtype:
    """The NumPy dtype of a stored array; "bfloat16" is ml_dtypes'.

    Raises:
      CheckpointError: a dtype that no checkpoint holds.
    """
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    if name not in _DTYPES:
        raise CheckpointError(f"dtype {name!r} is not known: expected bfloat16 or one of {sorted(_DTYPES)}")
    return np.dtype(name)


def unpack(data: bytes, source: str) -> dict[str, Any]:
    """The nested dict in `data`, its arrays still packed: `unpack_array` turns each into an array.

    Raises:
      CheckpointError: `data` is not msgpack, is cut short, or holds no dict; the text names `source`.
    """
    if data.startswith(b"model_checkpoint_path"):
        raise CheckpointError(f"{source}: this is a TensorFlow checkpoint; convert it with T5X first")
    try:
        contents = msgpack.unpackb(data)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise CheckpointError(
            f"{source}: {len(data)} bytes that are not a whole msgpack file ({reason}): copy the file again"
        ) from error
    if not isinstance(contents, dict):
        raise CheckpointError(f"{source}: expected a dict of arrays, found {type(contents).__name__}")
    return contents


def is_packed(node: Any) -> bool:
    """Whether `unpack_array` takes this node of what `unpack` returned."""
    if isinstance(node, Mapping):
        return _PIECES in node
    return isinstance(node, msgpack.ExtType) and node.code in (_NDARRAY, _SCALAR)


def unpack_array(name: str, node: Any) -> np.ndarray:
    """The array in a node for which `is_packed` is true; it is a read-only view of the node's bytes.

    Raises:
      CheckpointError: the bytes are not those of the shape and dtype that they claim; the text opens with
        `name`.
    """
    if isinstance(node, Mapping):
        return _join_pieces(name, node)
    try:
        shape, dtype_name, buffer = msgpack.unpackb(node.data, raw=True)
        dtype = dtype_named(dtype_name.decode())
        expected_bytes = math.prod(shape) * dtype.itemsize
        if len(buffer) != expected_bytes:
            raise CheckpointError(
                f"holds {len(buffer)} bytes, expected {expected_bytes} for {dtype_name.decode()} {shape}"
            )
        return np.frombuffer(buffer, dtype).reshape(shape)
    except (ValueError, TypeError, AttributeError, msgpack.exceptions.UnpackException) as error:
        raise CheckpointError(f"{name}: {error or 'is cut short'}") from error


def _join_pieces(name: str, node: Mapping[str, Any]) -> np.ndarray:
    """{shape: {"0": ..}, chunks: {"0": flat array, ..}} -> array."""
    try:
        shape = [node["shape"][str(axis)] for axis in range(len(node["shape"]))]
        packed = [node["chunks"][str(place)] for place in range(len(node["chunks"]))]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{name}: a piece of the array is missing: {error}") from error
    pieces = [unpack_array(f"{name} (piece {place})", piece) for place, piece in enumerate(packed)]
    flat = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if flat.size != math.prod(shape):
        raise CheckpointError(
            f"{name}: its pieces hold {flat.size} numbers, expected {math.prod(shape)} for {shape}"
        )
    return flat.reshape(shape)


def pack(tree: Mapping[str, Any]) -> bytes:
    """The bytes of a nested dict of plain values and arrays that `pack_array` returned."""
    return cast(bytes, msgpack.packb(tree))


def pack_array(name: str, array: Any) -> msgpack.ExtType:
    """One array, as flax writes it.

    Raises:
      CheckpointError: the array has more than 1 GiB, or a dtype that checkpoints do not hold.
    """
    array = native_array(name, array)
    if array.nbytes > _MAX_BYTES:
        raise CheckpointError(
            f"{name}: {array.nbytes} bytes, limit {_MAX_BYTES}: write it to a folder of its own"
        )
    return msgpack.ExtType(_NDARRAY, msgpack.packb((array.shape, array.dtype.name, array.tobytes())))


def native_array(name: str, leaf: Any) -> np.ndarray:
    """`leaf` (NumPy, JAX or a number) as a NumPy array in this machine's byte order.

    Raises:
      CheckpointError: not an array, or of a dtype that checkpoints do not hold.
    """
    array = np.asarray(leaf)
    if array.dtype.name not in _DTYPES | {"bfloat16"}:
        raise CheckpointError(f"{name}: {array.dtype.name} cannot be stored: give an array of numbers")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
