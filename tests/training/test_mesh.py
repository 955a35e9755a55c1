"""Placing batches and parameters on devices."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from mt3x.training.mesh import join_processes, make_mesh, replicate, split_batch

TWO_DEVICES = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import numpy as np
from mt3x.training.mesh import make_mesh, replicate, split_batch
mesh = make_mesh()
assert mesh.shape == {"data": 2, "model": 1}, mesh
batch = split_batch({"targets": np.arange(12).reshape(4, 3), "num_frames": np.arange(4)}, mesh)
rows = [shard.data.tolist() for shard in batch["num_frames"].addressable_shards]
assert rows == [[0, 1], [2, 3]], rows
whole = replicate({"w": np.arange(3)}, mesh)["w"]
assert [shard.data.tolist() for shard in whole.addressable_shards] == [[0, 1, 2]] * 2
try:
    split_batch({"targets": np.zeros((3, 2))}, mesh)
except ValueError as error:
    print(error)
"""


def test_the_mesh_has_all_devices_along_the_batch():
    mesh = make_mesh()
    assert dict(mesh.shape) == {"data": len(jax.devices()), "model": 1}


def test_a_batch_and_a_tree_keep_their_values():
    mesh = make_mesh()
    batch = {"targets": np.arange(6).reshape(2, 3), "is_drum": np.array([True, False])}
    placed = split_batch(batch, mesh)
    assert all(np.array_equal(placed[name], batch[name]) for name in batch)
    assert np.array_equal(replicate({"w": {"b": np.arange(4)}}, mesh)["w"]["b"], np.arange(4))


@pytest.mark.slow
def test_two_devices_share_a_batch_that_can_be_halved():
    run = subprocess.run([sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "a batch of 3 cannot be split over 2 devices; use a multiple of 2\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("localhost:1", 2, None), "process_index None; give all three"),
        ((None, 2, 0), "coordinator_address is None, process_count 2"),
        (("localhost:1", 2, 2), "process_index is 2 of process_count 2; it must be 0 to 1"),
    ],
)
def test_processes_that_cannot_find_each_other_are_told_what_to_give(given, message):
    with pytest.raises(ValueError, match=message):
        join_processes(*given)


def test_processes_without_a_cluster_are_told_what_to_give():
    # Nothing may be asked of JAX before: a process of its own.
    program = "from mt3x.training.mesh import join_processes; join_processes()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    *_, last = done.stderr.splitlines()
    assert last.startswith("ValueError: no cluster tells the processes of each other (")
    assert last.endswith("; give coordinator_address, process_count and process_index")
