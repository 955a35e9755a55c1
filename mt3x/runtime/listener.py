"""The listener: segments of samples in, what is heard in their frames out, in order.

The counterpart of `runtime.engine` for models with a note head: nothing is decoded, so a segment costs one
pass of the encoder and of the head. Segments of one recording or of many are heard in batches.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from mt3x.model.config import DTYPES
from mt3x.runtime.hearing import NOTE_HEAD, Heard, hear
from mt3x.runtime.mesh import SEGMENTS, share_segments
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.runtime.segment import Segment

CPU_BATCH_SIZE, ACCELERATOR_BATCH_SIZE = 8, 256
"""Segments that are heard together by default."""


class Listener:
    """Runs an encoder and its note head over segments.

    Attributes:
      batch_size: how many segments are heard together at most.
      num_devices: how many devices share each batch.
    """

    def __init__(
        self,
        config: TranscriptionConfig,
        params: Mapping[str, Any],
        batch_size: int | None = None,
        dtype: str | None = None,
    ):
        """Puts the weights where the network runs.

        Args:
          params: the network's parameters, nested dict of float arrays; the decoder's are not used.
          batch_size: segments that are heard together at most; as many of this process's devices as divide it
            share them. With 1, a segment is heard before the next one is read. None: what suits the device.
          dtype: of the encoder's computation, "float32" or "bfloat16". None: bfloat16 on an accelerator, what
            `config` says on a CPU.

        Raises:
          ValueError: batch_size is less than 1, or an unknown dtype.
        """
        self.batch_size, mesh = share_segments(batch_size, CPU_BATCH_SIZE, ACCELERATOR_BATCH_SIZE)
        self.num_devices = mesh.size
        if dtype is None:
            dtype = config.network.dtype if jax.default_backend() == "cpu" else "bfloat16"
        if dtype not in DTYPES:
            raise ValueError(
                f"dtype is {dtype!r}; where notes are heard, choose one of {', '.join(DTYPES)} (the others "
                "are for decoding: --search grammar)"
            )
        config = dataclasses.replace(config, network=dataclasses.replace(config.network, dtype=dtype))
        self._split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((SEGMENTS,), ()))
        self._params = jax.device_put({name: params[name] for name in ("encoder", NOTE_HEAD)}, whole)
        # Each device keeps to its share: XLA would gather the whole batch for an FFT.
        each = jax.shard_map(
            functools.partial(hear, config),
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(SEGMENTS), PartitionSpec(SEGMENTS)),
            out_specs=PartitionSpec(SEGMENTS),
        )
        self._hear = jax.jit(each)

    def listen(self, segments: Iterable[Segment]) -> Iterator[tuple[Segment, Heard | None]]:
        """Each segment with what is heard there, NumPy arrays without the batch's axis; in order.

        A silent segment is not shown to the network: None. No more than a batch is read ahead.
        """
        source = iter(segments)
        while batch := list(itertools.islice(source, self.batch_size)):
            sounding = [segment for segment in batch if not segment.is_silent]
            heard = iter(self._heard(sounding) if sounding else ())
            yield from ((segment, None if segment.is_silent else next(heard)) for segment in batch)

    def _heard(self, segments: list[Segment]) -> Iterator[Heard]:
        # Copies of a real segment fill the batch: one shape, one compilation.
        filled = segments + segments[-1:] * (self.batch_size - len(segments))
        samples = np.stack([segment.samples for segment in filled])  # [B, N]
        num_frames = np.array([segment.num_frames for segment in filled], np.int32)
        heard = self._hear(self._params, *jax.device_put((samples, num_frames), self._split))
        arrays: Any = jax.tree.map(np.asarray, heard)
        return (jax.tree.map(lambda x, row=row: x[row], arrays) for row in range(len(segments)))
