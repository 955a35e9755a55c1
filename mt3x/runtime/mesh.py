"""Devices as a mesh: batches are split over its `data` axis, everything else is copied to every device."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def data_mesh() -> Mesh:
    """A mesh with one axis, `data`, over all devices."""
    return Mesh(np.asarray(jax.devices()), ("data",))


def split_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Arrays [B, ...] placed with B split over `data`.

    Raises:
      ValueError: B is not a multiple of the number of devices.
    """
    size = next(iter(batch.values())).shape[0]
    if size % mesh.size:
        raise ValueError(
            f"a batch of {size} cannot be split over {mesh.size} devices; use a multiple of {mesh.size}"
        )
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Every array of the tree on every device, whole."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))
