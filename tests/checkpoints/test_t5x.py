"""T5X checkpoints: reading what T5X wrote, and writing the same bytes."""

import filecmp
import json
import shutil
import subprocess
import sys
from pathlib import Path

import flax.serialization
import ml_dtypes
import msgpack
import numpy as np
import pytest
import tensorstore

from mt3x.checkpoints import (
    CheckpointError,
    cast_floats,
    flatten,
    load_params,
    read_t5x,
    save_orbax,
    write_t5x,
)
from mt3x.checkpoints.folder import Folder
from mt3x.checkpoints.packing import pack, pack_array
from mt3x.checkpoints.zarr import read_arrays, write_arrays

GOLDEN = Path(__file__).parents[1] / "golden"
BY_T5X = GOLDEN / "t5x_checkpoint_tiny" / "checkpoint_3"
NORM = "target.decoder.decoder_norm.scale"


def assert_trees_equal(found, expected):
    found, expected = flatten(found), flatten(expected)
    assert found.keys() == expected.keys()
    for name, leaf in expected.items():
        assert np.asarray(found[name]).dtype == np.asarray(leaf).dtype, name
        np.testing.assert_array_equal(found[name], leaf, err_msg=name)


def small_params():
    """A tree with a matrix, a vector and a single number, all different."""
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    return {"encoder": {"kernel": matrix, "scale": matrix[0] + 20}, "gain": np.ones(1, np.float32)}


def rewrite_msgpack(folder, change):
    """Applies `change` to the decoded msgpack file of a checkpoint and writes it back."""
    contents = msgpack.unpackb((folder / "checkpoint").read_bytes())
    change(contents)
    (folder / "checkpoint").write_bytes(msgpack.packb(contents))


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def copy_of_t5x(tmp_path):
    return Path(shutil.copytree(BY_T5X, tmp_path / "checkpoint_3"))


@pytest.fixture
def small(tmp_path):
    write_t5x(tmp_path / "checkpoint_5", small_params(), 5)
    return tmp_path / "checkpoint_5"


def test_parameters_that_t5x_wrote_are_read():
    with np.load(GOLDEN / "tiny_params_step3.npz") as expected:
        found = flatten(load_params(BY_T5X))
        assert set(found) == set(expected.files)
        for name in expected.files:
            assert found[name].dtype == np.float32
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_step_and_optimizer_state_that_t5x_wrote_are_read():
    checkpoint = read_t5x(BY_T5X)
    assert checkpoint.step == 3
    slots = checkpoint.optimizer_state["decoder"]["logits_dense"]["kernel"]
    assert {name: slot.shape for name, slot in slots.items()} == {
        "m": (1,),
        "v": (64, 1536),
        "v_col": (1,),
        "v_row": (1,),
    }
    assert slots["v"].min() > 0


def test_optimizer_state_is_left_out_where_it_is_not_wanted():
    assert read_t5x(BY_T5X, include_optimizer=False).optimizer_state is None


def test_a_rewritten_checkpoint_has_the_bytes_that_t5x_wrote(tmp_path):
    checkpoint = read_t5x(BY_T5X)
    write_t5x(tmp_path / "again", checkpoint.params, checkpoint.step, checkpoint.optimizer_state)
    files = files_in(BY_T5X)
    assert files_in(tmp_path / "again") == files
    assert filecmp.cmpfiles(BY_T5X, tmp_path / "again", files, shallow=False) == (files, [], [])


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_written_is_read_back(tmp_path, inline, dtype):
    params = cast_floats(small_params(), dtype)
    write_t5x(tmp_path / "checkpoint_5", params, 5, inline=inline)
    checkpoint = read_t5x(tmp_path / "checkpoint_5")
    assert checkpoint.step == 5
    assert checkpoint.optimizer_state is None
    assert_trees_equal(checkpoint.params, params)


def test_flax_and_tensorstore_read_what_is_written(small):
    contents = flax.serialization.msgpack_restore((small / "checkpoint").read_bytes())
    assert contents["version"] == 3
    assert contents["optimizer"]["state"]["step"] == 5
    target = contents["optimizer"]["target"]
    np.testing.assert_array_equal(target["gain"], [1.0])
    spec = target["encoder"]["kernel"]
    assert spec["kvstore"] == {"driver": "file", "path": "target.encoder.kernel/"}
    spec["kvstore"]["path"] = f"{small}/target.encoder.kernel/"
    stored = tensorstore.open(spec).result().read().result()
    np.testing.assert_array_equal(stored, small_params()["encoder"]["kernel"])


def test_arrays_are_zarr_2_little_endian_gzip(small):
    metadata = json.loads((small / "target.encoder.kernel" / ".zarray").read_text())
    assert metadata["zarr_format"] == 2
    assert metadata["dtype"] == "<f4"
    assert metadata["compressor"] == {"id": "gzip", "level": 1}


def test_flax_reads_an_inline_checkpoint_whole(tmp_path):
    params = cast_floats(small_params(), "bfloat16")
    write_t5x(tmp_path / "model", params, 5, inline=True)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["checkpoint"]
    contents = flax.serialization.msgpack_restore((tmp_path / "model" / "checkpoint").read_bytes())
    assert_trees_equal(contents["optimizer"]["target"], params)


def test_unused_optimizer_slots_survive(tmp_path):
    slots = {"frozen": None, "untouched": {}, "kernel": {"v": np.ones((2, 2), np.float32)}}
    write_t5x(tmp_path / "model", small_params(), 1, slots)
    found = read_t5x(tmp_path / "model").optimizer_state
    assert found["frozen"] is None
    assert found["untouched"] == {}
    np.testing.assert_array_equal(found["kernel"]["v"], slots["kernel"]["v"])


def test_large_arrays_are_cut_into_chunks_and_joined(tmp_path, monkeypatch):
    monkeypatch.setattr("mt3x.checkpoints.zarr._CHUNK_BYTES", 40)
    arrays = {"target/w": np.arange(35, dtype=np.float32).reshape(7, 5)}
    specs = write_arrays(tmp_path, arrays)
    assert specs["target/w"]["metadata"]["chunks"] == [2, 5]
    assert files_in(tmp_path / "target.w") == [".zarray", "0.0", "1.0", "2.0", "3.0"]
    np.testing.assert_array_equal(read_arrays(Folder(str(tmp_path)), specs)["target/w"], arrays["target/w"])


@pytest.mark.parametrize("driver", ["gfile", "gcs"])
@pytest.mark.parametrize("path_is_outside_kvstore", [False, True])
def test_checkpoints_written_on_other_systems_are_read(copy_of_t5x, driver, path_is_outside_kvstore):
    def change(contents):
        spec = contents["optimizer"]["target"]["decoder"]["decoder_norm"]["scale"]
        spec["kvstore"] = {"driver": driver, "path": NORM}
        if driver == "gcs":
            spec["kvstore"]["bucket"] = "t5x-dummy-bucket"
        if path_is_outside_kvstore:
            spec["path"] = spec["kvstore"].pop("path")
        spec["metadata"]["dtype"] = "<f4"
        del spec["dtype"]

    rewrite_msgpack(copy_of_t5x, change)
    assert_trees_equal(load_params(copy_of_t5x), load_params(BY_T5X))


def test_version_2_holds_bfloat16_as_uint16(tmp_path):
    array = np.linspace(-1, 1, 6).astype(ml_dtypes.bfloat16)
    specs = write_arrays(tmp_path, {"target/w": array.view(np.uint16)})
    state = {"step": pack_array("step", np.array(1, np.int32))}
    contents = {"version": 2, "optimizer": {"target": {"w": specs["target/w"]}, "state": state}}
    (tmp_path / "checkpoint").write_bytes(pack(contents))
    assert_trees_equal(load_params(tmp_path), {"w": array})


def test_a_run_of_reading_imports_neither_jax_nor_flax_and_inline_no_tensorstore(tmp_path):
    write_t5x(tmp_path / "inline", small_params(), 5, inline=True)
    program = f"""
import sys
from mt3x.checkpoints import load_params
load_params({str(tmp_path / "inline")!r})
assert "tensorstore" not in sys.modules
load_params({str(BY_T5X)!r})
assert not {{"jax", "flax", "orbax", "tensorflow"}} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_array_is_named(copy_of_t5x):
    shutil.rmtree(copy_of_t5x / NORM)
    with pytest.raises(CheckpointError, match=r"^target/decoder/decoder_norm/scale: expected float32 \[64\]"):
        load_params(copy_of_t5x)


def test_a_missing_chunk_is_named_and_not_read_as_zeros(copy_of_t5x):
    (copy_of_t5x / NORM / "0").unlink()
    with pytest.raises(CheckpointError, match="^target/decoder/decoder_norm/scale: .* is missing"):
        load_params(copy_of_t5x)


def test_a_truncated_chunk_is_named(copy_of_t5x):
    chunk = copy_of_t5x / NORM / "0"
    chunk.write_bytes(chunk.read_bytes()[:30])
    with pytest.raises(CheckpointError, match=r"^target/decoder/decoder_norm/scale: expected float32 \[64\]"):
        load_params(copy_of_t5x)


def test_an_array_of_another_shape_is_named(copy_of_t5x):
    shutil.rmtree(copy_of_t5x / NORM)
    write_arrays(copy_of_t5x, {"target/decoder/decoder_norm/scale": np.ones(32, np.float32)})
    with pytest.raises(CheckpointError, match=r"scale: holds float32 \[32\], expected float32 \[64\]"):
        load_params(copy_of_t5x)


@pytest.mark.parametrize("path", ["../checkpoint_4/w", "/etc", "", "a/./b", "a\0b"])
def test_a_path_outside_the_checkpoint_is_refused(copy_of_t5x, path):
    def change(contents):
        contents["optimizer"]["target"]["decoder"]["decoder_norm"]["scale"]["kvstore"]["path"] = path

    rewrite_msgpack(copy_of_t5x, change)
    with pytest.raises(
        CheckpointError, match="^target/decoder/decoder_norm/scale: path .* does not lie inside"
    ):
        load_params(copy_of_t5x)


@pytest.mark.parametrize(
    "part",
    [{"driver": "n5"}, {"kvstore": "http://example.org/"}, {"kvstore": {"driver": "http", "path": "w"}}],
)
def test_an_array_that_is_not_zarr_in_a_file_is_refused(copy_of_t5x, part):
    def change(contents):
        contents["optimizer"]["target"]["decoder"]["decoder_norm"]["scale"].update(part)

    rewrite_msgpack(copy_of_t5x, change)
    with pytest.raises(CheckpointError, match="^target/decoder/decoder_norm/scale: expected zarr"):
        load_params(copy_of_t5x)


def _set_version(contents):
    contents["version"] = 4


def _drop_version(contents):
    del contents["version"]


def _drop_optimizer(contents):
    del contents["optimizer"]


def _empty_target(contents):
    contents["optimizer"]["target"] = {}


def _drop_state(contents):
    del contents["optimizer"]["state"]


def _drop_step(contents):
    contents["optimizer"]["state"] = {"param_states": {}}


def _step_of_two(contents):
    contents["optimizer"]["state"]["step"] = pack_array("step", np.zeros(2, np.int32))


def _text_as_array(contents):
    contents["optimizer"]["target"]["gain"] = "loud"


def _short_array(contents):
    contents["optimizer"]["target"]["gain"] = msgpack.ExtType(1, msgpack.packb(([2], "float32", b"1234")))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_set_version, r"version 4 of the layout, expected one of \(2, 3\)"),
        (_drop_version, "version None of the layout"),
        (_drop_optimizer, "has no 'optimizer'"),
        (_empty_target, "has no 'target'"),
        (_drop_state, "has no 'state'"),
        (_drop_step, "state/step: expected one number, found None"),
        (_step_of_two, "state/step: expected one number"),
        (_text_as_array, "target/gain: expected an array, found 'loud'"),
        (_short_array, r"target/gain: holds 4 bytes, expected 8 for float32 \[2\]"),
    ],
)
def test_a_layout_that_is_not_t5x_is_named(small, change, complaint):
    rewrite_msgpack(small, change)
    with pytest.raises(CheckpointError, match=complaint):
        read_t5x(small)


def test_a_truncated_msgpack_file_is_named(small):
    data = (small / "checkpoint").read_bytes()
    (small / "checkpoint").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=f"{small}/checkpoint: .* not a whole msgpack file"):
        read_t5x(small)


def test_an_orbax_checkpoint_is_not_read_as_t5x(tmp_path):
    save_orbax(tmp_path / "model", small_params())
    with pytest.raises(CheckpointError, match="is not a T5X checkpoint but one of Orbax"):
        read_t5x(tmp_path / "model")


@pytest.mark.parametrize("step", [-1, 2**31])
def test_a_step_that_t5x_cannot_store_is_refused(tmp_path, step):
    with pytest.raises(CheckpointError, match="step is .*: give one from 0 to 2147483647"):
        write_t5x(tmp_path / "model", small_params(), step)


def test_a_leaf_that_is_no_array_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(CheckpointError, match="encoder/name: .* cannot be stored"):
        write_t5x(tmp_path / "model", {"encoder": {"name": "tiny"}}, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("mt3x.checkpoints.t5x.pack", lambda tree: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_t5x(tmp_path / "model", small_params(), 1)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(small):
    with pytest.raises(CheckpointError, match="exists already"):
        write_t5x(small, small_params(), 6)
    assert read_t5x(small).step == 5
