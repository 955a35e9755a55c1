"""Orbax checkpoints: any tree, whole or not at all, and the checkpoints of a training run."""

import dataclasses
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from flax import struct

from mt3x.checkpoints import (
    CheckpointDirectory,
    CheckpointError,
    load_checkpoint,
    load_params,
    restore_orbax,
    save_orbax,
    write_t5x,
)


@struct.dataclass
class State:
    """A training state as trainers have it: arrays, an optimizer's tuples, a random key, a number."""

    step: Any
    params: Any
    optimizer_state: Any
    key: Any


def new_state():
    params = {
        "encoder": {"kernel": jax.random.normal(jax.random.key(0), (300, 40))},
        "decoder": {"scale": jnp.full(5, 0.5, jnp.bfloat16)},
    }
    optimizer_state = optax.adam(1e-3).init(params)
    return State(jnp.array(7, jnp.int32), params, optimizer_state, jax.random.key(3))


def assert_states_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if jnp.issubdtype(other.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def saved(tmp_path):
    save_orbax(tmp_path / "checkpoint_7", new_state())
    return tmp_path / "checkpoint_7"


def test_a_training_state_survives_save_and_restore(saved):
    assert_states_equal(restore_orbax(saved, new_state()), new_state())


def test_shapes_are_enough_to_restore(saved):
    shapes = jax.eval_shape(new_state)
    assert_states_equal(restore_orbax(saved, shapes), new_state())


def test_without_a_target_arrays_are_numpy_in_dicts_and_lists(saved):
    restored = restore_orbax(saved)
    assert type(restored["params"]["encoder"]["kernel"]) is np.ndarray
    assert restored["params"]["decoder"]["scale"].dtype == ml_dtypes.bfloat16
    assert restored["step"] == 7
    assert restored["optimizer_state"][0]["count"] == 0


def test_a_relative_path_is_saved_where_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_orbax("model", {"w": np.ones(2, np.float32)})
    assert restore_orbax("model")["w"].tolist() == [1.0, 1.0]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_moved_checkpoint_is_restored(saved, tmp_path):
    saved.rename(tmp_path / "elsewhere")
    assert_states_equal(restore_orbax(tmp_path / "elsewhere", new_state()), new_state())


def test_parameters_and_step_of_a_training_state_are_loaded(saved):
    loaded = load_checkpoint(saved)
    assert loaded.step == 7
    assert sorted(loaded.params) == ["decoder", "encoder"]
    np.testing.assert_array_equal(loaded.params["encoder"]["kernel"], new_state().params["encoder"]["kernel"])


def test_the_moving_average_is_preferred_to_the_trained_weights(tmp_path):
    state = {"params": {"network": {"w": np.zeros(2)}}, "average": {"w": np.ones(2)}, "step": 3}
    save_orbax(tmp_path / "model", state)
    assert load_params(tmp_path / "model")["w"].tolist() == [1.0, 1.0]


def test_weights_of_a_state_that_t5x_saved_are_found(tmp_path):
    state = {
        "target": {"encoder": {"w": np.ones(2)}},
        "state": {"step": 3, "param_states": {"w": np.zeros(2)}},
    }
    save_orbax(tmp_path / "model", state)
    assert load_params(tmp_path / "model")["encoder"]["w"].tolist() == [1.0, 1.0]


def test_bare_parameters_have_no_step(tmp_path):
    save_orbax(tmp_path / "model", {"encoder": {"w": np.ones(2, np.float32)}})
    loaded = load_checkpoint(tmp_path / "model")
    assert loaded.step is None
    assert loaded.params["encoder"]["w"].tolist() == [1.0, 1.0]


def test_arrays_that_are_not_those_of_the_target_are_named(saved):
    params = {"encoder": {"kernel": jnp.zeros((300, 41)), "bias": jnp.zeros(3)}}
    target = dataclasses.replace(new_state(), params=params)
    with pytest.raises(CheckpointError) as caught:
        restore_orbax(saved, target)
    assert f"{saved}: " in str(caught.value)
    assert "params/encoder/kernel is [300, 40], expected [300, 41]" in str(caught.value)
    assert "1 missing (params/encoder/bias [3])" in str(caught.value)
    assert "1 unexpected (params/decoder/scale [5])" in str(caught.value)


def test_an_existing_checkpoint_is_not_overwritten(saved):
    with pytest.raises(CheckpointError, match="exists already"):
        save_orbax(saved, new_state())


def test_a_t5x_checkpoint_is_not_restored_as_orbax(tmp_path):
    write_t5x(tmp_path / "model", {"w": np.ones(2, np.float32)}, 1)
    with pytest.raises(CheckpointError, match="is not an Orbax checkpoint but one of T5X"):
        restore_orbax(tmp_path / "model")


def test_a_list_is_not_loaded_as_parameters(tmp_path):
    save_orbax(tmp_path / "model", [np.ones(2, np.float32)])
    with pytest.raises(CheckpointError, match="expected a dict of parameters, found list"):
        load_params(tmp_path / "model")


def test_a_truncated_array_is_named_however_it_is_read(tmp_path):
    path = tmp_path / "model"
    save_orbax(path, {"params": {"kernel": new_state().params["encoder"]["kernel"]}})
    largest = max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:5000])
    # In a process of its own: Orbax leaves coroutines behind that complain whenever they are collected.
    program = f"""
import jax.numpy as jnp, pytest
from mt3x.checkpoints import CheckpointError, load_params, restore_orbax
target = {{"params": {{"kernel": jnp.zeros((300, 40))}}}}
for read in (load_params, restore_orbax, lambda path: restore_orbax(path, target)):
    with pytest.raises(CheckpointError, match="{path}: .*kernel"):
        read("{path}")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_checkpoint_without_its_list_of_arrays_says_so(saved):
    (saved / "_METADATA").write_text((saved / "_METADATA").read_text()[:100])
    with pytest.raises(CheckpointError, match=f"{saved}: its list of arrays cannot be read"):
        restore_orbax(saved)


def run_directory(tmp_path, **options):
    return CheckpointDirectory(tmp_path / "checkpoints", **options)


def names(tmp_path):
    return sorted(path.name for path in (tmp_path / "checkpoints").iterdir())


def test_a_run_resumes_from_its_last_checkpoint(tmp_path):
    with run_directory(tmp_path) as run:
        assert run.newest_step() is None
        run.save(7, {"state": new_state()}, {"batches": {"epoch": 2}})
    with run_directory(tmp_path) as resumed:
        assert resumed.newest_step() == 7
        assert_states_equal(resumed.restore(7, {"state": jax.eval_shape(new_state)})["state"], new_state())
        assert resumed.read_values(7) == {"batches": {"epoch": 2}}


def test_a_run_keeps_its_last_checkpoints_only(tmp_path):
    with run_directory(tmp_path, keep=2) as run:
        for step in (1, 2, 3, 10):
            run.save(step, {"state": {"w": np.full(2, step, np.float32)}}, {})
    assert names(tmp_path) == ["checkpoint_10", "checkpoint_3"]
    assert load_params(tmp_path / "checkpoints")["w"].tolist() == [10.0, 10.0]


def test_what_is_saved_is_what_was_there_then_whatever_becomes_of_it(tmp_path):
    change = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)
    tree = {"w": jnp.zeros((1000, 1000))}
    with run_directory(tmp_path) as run:
        run.save(1, {"state": tree}, {})
        for _ in range(20):
            tree = change(tree)  # while the save is under way, in the same memory
    assert not load_params(tmp_path / "checkpoints")["w"].any()


def test_what_a_killed_save_left_is_not_taken_for_a_checkpoint(tmp_path):
    with run_directory(tmp_path) as run:
        run.save(1, {"state": {"w": np.ones(2)}}, {})
    leftover = tmp_path / "checkpoints" / "checkpoint_2.orbax-checkpoint-tmp"
    leftover.mkdir()
    with run_directory(tmp_path) as run:
        assert run.newest_step() == 1
        run.save(2, {"state": {"w": np.zeros(2)}}, {})
    assert load_params(tmp_path / "checkpoints")["w"].tolist() == [0.0, 0.0]


def test_a_step_is_saved_once(tmp_path):
    with run_directory(tmp_path) as run:
        run.save(1, {"state": {"w": np.ones(2)}}, {})
        with pytest.raises(CheckpointError, match="step 1: .*already exists"):
            run.save(1, {"state": {"w": np.ones(2)}}, {})


def test_a_step_that_was_not_saved_names_those_that_were(tmp_path):
    with run_directory(tmp_path) as run:
        run.save(1, {"state": {"w": np.ones(2)}}, {})
        for read in (run.read_values, lambda step: run.restore(step, {"state": {"w": np.ones(2)}})):
            with pytest.raises(CheckpointError, match=r"step 2 was not saved; the steps that are: \[1\]"):
                read(2)


def test_a_run_that_keeps_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keep is 0: give at least 1"):
        run_directory(tmp_path, keep=0)
