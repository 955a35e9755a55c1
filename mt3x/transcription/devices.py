"""What a machine gives: devices that share the segments of a batch, and processes that read ahead."""

import os

import jax
from jax.sharding import AxisType, Mesh

from mt3x.music.checks import check_at_least

SEGMENTS = "segments"
"""The only axis of the meshes that transcribe."""


MOST_READERS = 4
"""Readers that are started unasked; four read more than a thousand seconds of audio a second."""


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


def default_num_workers() -> int:
    """How many processes read recordings ahead: none where the network runs on a CPU, which they would share
    with it; else one a core, up to four.
    """
    return 0 if jax.default_backend() == "cpu" else min(MOST_READERS, os.cpu_count() or 1)
