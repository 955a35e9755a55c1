"""The devices of a process that transcribes: which of them share the segments of a batch."""

import jax
from jax.sharding import AxisType, Mesh

from mt3x.music.checks import check_at_least

SEGMENTS = "segments"
"""The only axis of the meshes that transcribe."""


def share_segments(batch_size: int | None, on_cpu: int, on_accelerator: int) -> tuple[int, Mesh]:
    """How many segments are worked on together, and the devices that share them, of this process.

    Args:
      batch_size: None for what suits the device, `on_cpu` or `on_accelerator`.

    Returns:
      the number, and a mesh of as many devices as divide it.

    Raises:
      ValueError: batch_size is less than 1.
    """
    if batch_size is None:
        batch_size = on_cpu if jax.default_backend() == "cpu" else on_accelerator
    check_at_least(1, batch_size=batch_size)
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if batch_size % n == 0)
    return batch_size, jax.make_mesh((count,), (SEGMENTS,), (AxisType.Auto,), devices=devices[:count])
