"""The msgpack half of T5X checkpoints, against flax, which defines it."""

import flax.serialization
import ml_dtypes
import msgpack
import numpy as np
import pytest

from mt3x.checkpoints import CheckpointError, flatten
from mt3x.checkpoints.packing import (
    dtype_named,
    is_packed,
    native_array,
    pack,
    pack_array,
    unpack,
    unpack_array,
)

ARRAYS = {
    "float32": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "bfloat16": np.linspace(-1, 1, 6).astype(ml_dtypes.bfloat16),
    "step": np.array(7, np.int32),
    "empty": np.zeros((0, 3), np.float32),
    "bool": np.array([True, False]),
}


def assert_equal(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


def packed(shape, dtype, buffer):
    return msgpack.ExtType(1, msgpack.packb((shape, dtype, buffer)))


def test_flax_reads_what_is_packed_here():
    data = pack({name: pack_array(name, array) for name, array in ARRAYS.items()})
    restored = flax.serialization.msgpack_restore(data)
    for name, array in ARRAYS.items():
        assert_equal(restored[name], array)


def test_what_flax_packs_is_read_here():
    contents = unpack(flax.serialization.to_bytes({**ARRAYS, "scalar": np.float32(0.5)}), "x")
    for name, array in ARRAYS.items():
        assert_equal(unpack_array(name, contents[name]), array)
    assert unpack_array("scalar", contents["scalar"]) == np.float32(0.5)


def test_an_array_that_flax_cut_into_pieces_is_joined(monkeypatch):
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 8)
    contents = unpack(flax.serialization.msgpack_serialize({"w": ARRAYS["float32"]}), "x")
    assert is_packed(contents["w"])
    assert len(contents["w"]["chunks"]) == 3
    assert_equal(unpack_array("w", contents["w"]), ARRAYS["float32"])


def test_names_of_a_packed_tree_stop_at_pieces():
    pieces = {"__msgpack_chunked_array__": True, "shape": {"0": 0}, "chunks": {}}
    assert list(flatten({"w": pieces}, is_packed)) == ["w"]
    assert unpack_array("w", pieces).shape == (0,)


def test_big_endian_arrays_are_stored_in_native_order():
    array = ARRAYS["float32"]
    assert_equal(unpack_array("w", pack_array("w", array.astype(">f4"))), array)


def test_unpacked_arrays_are_read_only():
    assert not unpack_array("w", pack_array("w", ARRAYS["float32"])).flags.writeable


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "0 bytes that are not a whole msgpack file"),
        (b"\x82\xa1a", "3 bytes that are not a whole msgpack file"),
        (b"\xc1", "FormatError"),
        (b"\x91" * 100_000, "StackError"),
        (b"\x01", "expected a dict of arrays, found int"),
        (b'model_checkpoint_path: "model.ckpt-1000"', "TensorFlow checkpoint"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named(data, complaint):
    with pytest.raises(CheckpointError, match=f"some/checkpoint: .*{complaint}"):
        unpack(data, "some/checkpoint")


@pytest.mark.parametrize("kept_bytes", [1, 100, 1000])
def test_a_file_that_is_cut_short_is_named(kept_bytes):
    data = pack({"w": pack_array("w", np.zeros(1000, np.float32))})
    with pytest.raises(CheckpointError, match=f"{kept_bytes} bytes that are not a whole msgpack file"):
        unpack(data[:kept_bytes], "some/checkpoint")


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        (packed([2, 3], "float32", b"\0" * 20), r"holds 20 bytes, expected 24 for float32 \[2, 3\]"),
        (packed([2], "object", b"\0" * 16), "dtype 'object' is not known"),
        (msgpack.ExtType(1, b"\x93\x91"), "w: "),
        (msgpack.ExtType(1, b"\x01"), "w: "),
        (msgpack.ExtType(1, msgpack.packb((["2"], "float32", b""))), "w: "),
    ],
)
def test_an_array_that_is_not_as_described_is_named(node, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        unpack_array("w", node)


def test_a_missing_piece_is_named():
    pieces = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 4},
        "chunks": {"0": pack_array("", np.zeros(2)), "2": pack_array("", np.zeros(2))},
    }
    with pytest.raises(CheckpointError, match="w: a piece of the array is missing: '1'"):
        unpack_array("w", pieces)


def test_pieces_that_do_not_fill_the_shape_are_named():
    pieces = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 5},
        "chunks": {"0": pack_array("", np.zeros(2))},
    }
    with pytest.raises(CheckpointError, match=r"w: its pieces hold 2 numbers, expected 5 for \[5\]"):
        unpack_array("w", pieces)


def test_an_array_of_more_than_a_gibibyte_is_not_packed():
    huge = np.broadcast_to(np.float32(0), (2**28 + 1,))
    with pytest.raises(CheckpointError, match="w: 1073741828 bytes, limit 1073741824"):
        pack_array("w", huge)


@pytest.mark.parametrize("leaf", [None, {}, "text", np.zeros(2, np.complex64)])
def test_what_is_not_an_array_of_numbers_is_not_packed(leaf):
    with pytest.raises(CheckpointError, match="w: .* cannot be stored"):
        native_array("w", leaf)


def test_an_unknown_dtype_is_named():
    with pytest.raises(CheckpointError, match="'float8_e5m2' is not known"):
        dtype_named("float8_e5m2")
