"""Devices as a mesh of two axes, and which part of each array lies where.

Batches are split over `data`; parameters, what the optimizer keeps of them, and activations over `model`, by
the logical names of their axes (`model.axes`) and T5X's standard rules. With a `model` axis of 1 every device
holds all parameters. Several processes (hosts) share one mesh; each gives its own part of a batch.

Source: T5X's `partitioning.standard_logical_axis_rules` (1-D activations and parameters).
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mt3x.model.axes import parameter_axes

AXIS_RULES: dict[str, str | None] = {
    "batch": "data",
    "vocab": "model",
    "embed": None,
    "mlp": "model",
    "heads": "model",
    "kv": None,
    "joined_kv": "model",
    "length": None,
}
"""Which axis of the mesh a logical axis is split over; those that are not named here are whole everywhere."""


def make_mesh(model_devices: int = 1) -> Mesh:
    """All devices as `data` x `model`, `model_devices` of them along `model`.

    Raises:
      ValueError: the devices do not divide into groups of `model_devices`.
    """
    count = jax.device_count()
    if model_devices < 1 or count % model_devices:
        raise ValueError(
            f"model_devices is {model_devices}; it must divide the {count} devices that are here"
        )
    shape = count // model_devices, model_devices
    return jax.make_mesh(shape, ("data", "model"), axis_types=(AxisType.Auto, AxisType.Auto))


def join_processes(
    coordinator_address: str | None = None, process_count: int | None = None, process_index: int | None = None
) -> None:
    """Makes this process one of several that share a mesh; before anything else is asked of JAX.

    Without arguments the cluster tells the processes of each other: Cloud TPU, SLURM, Open MPI, Kubernetes.

    Args:
      coordinator_address: "HOST:PORT" of process 0, the same for all.
      process_count: how many there are; process_index: which this one is, from 0.

    Raises:
      ValueError: some of the three are missing, or there is no such process; or no cluster is known.
      RuntimeError: the others do not come within 5 minutes.
    """
    if (coordinator_address, process_count, process_index) == (None, None, None):
        try:
            return jax.distributed.initialize()
        except ValueError as error:
            raise ValueError(
                f"no cluster tells the processes of each other ({error}); give coordinator_address, "
                "process_count and process_index"
            ) from error
    if coordinator_address is None or process_count is None or process_index is None:
        raise ValueError(
            f"coordinator_address is {coordinator_address}, process_count {process_count}, process_index "
            f"{process_index}; give all three, or none where the cluster tells them"
        )
    if not 0 <= process_index < process_count:
        raise ValueError(
            f"process_index is {process_index} of process_count {process_count}; it must be 0 to "
            f"{process_count - 1}"
        )
    jax.distributed.initialize(coordinator_address, process_count, process_index)


def this_process() -> tuple[int, int]:
    """Which process of the run this is, from 0, and how many there are."""
    return jax.process_index(), jax.process_count()


def split_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Arrays [B, ...] of this process, placed with B split over `data`.

    Raises:
      ValueError: B is not a multiple of this process's share of the `data` axis.
    """
    size = next(iter(batch.values())).shape[0]
    share = max(mesh.shape["data"] // jax.process_count(), 1)
    if size % share:
        raise ValueError(f"a batch of {size} cannot be split over {share} devices; use a multiple of {share}")
    split = NamedSharding(mesh, PartitionSpec("data"))
    return {name: jax.make_array_from_process_local_data(split, value) for name, value in batch.items()}


def place(tree: Any, shardings: Any) -> Any:
    """The arrays where `shardings` (one for all, or a tree) says; all processes give the same arrays."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    return jax.jit(lambda same: same, out_shardings=shardings)(tree)  # device_put sees only its own devices


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Every array of the tree on every device, whole."""
    return place(tree, NamedSharding(mesh, PartitionSpec()))


def parameter_shardings(params: Any, mesh: Mesh) -> Any:
    """Where each parameter lies: the tree with a `NamedSharding` in the place of each array or shape.

    Raises:
      ValueError: an axis is not a multiple of the mesh's.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, value, axes: NamedSharding(mesh, _spec(path, value.shape, axes, mesh)),
        params,
        parameter_axes(params),
    )


def state_shardings(state: Any, params: Any, mesh: Mesh) -> Any:
    """Where each array of a training state lies.

    An array that belongs to a parameter (the path to it ends in that parameter's) and has its shape lies as
    the parameter does; sums over some of its axes, and everything else, are on every device.

    Args:
      state: any tree of arrays or shapes; params: the parameters that it is about.
    """
    shardings = jax.tree_util.tree_leaves_with_path(parameter_shardings(params, mesh))
    shapes = [value.shape for value in jax.tree.leaves(params)]
    known = {
        _names(path): (shape, sharding) for (path, sharding), shape in zip(shardings, shapes, strict=True)
    }
    longest = max(map(len, known), default=0)

    def sharding_of(path: tuple[Any, ...], value: Any) -> NamedSharding:
        names = _names(path)
        for length in range(min(longest, len(names)), 0, -1):
            shape, sharding = known.get(names[-length:], (None, None))
            if sharding is not None and shape == value.shape:
                return sharding
        return NamedSharding(mesh, PartitionSpec())

    return jax.tree_util.tree_map_with_path(sharding_of, state)


def _names(path: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(str(getattr(entry, "key", getattr(entry, "name", entry))) for entry in path)


def _spec(
    path: tuple[Any, ...], shape: tuple[int, ...], axes: tuple[str | None, ...], mesh: Mesh
) -> PartitionSpec:
    parts = [AXIS_RULES.get(axis) if axis is not None else None for axis in axes]
    for size, axis, part in zip(shape, axes, parts, strict=True):
        if part is not None and size % mesh.shape[part]:
            raise ValueError(
                f"{'/'.join(_names(path))}: its axis {axis} of {size} cannot be split over "
                f"{mesh.shape[part]} devices; choose another number of devices along {part}"
            )
    return PartitionSpec(*parts)
