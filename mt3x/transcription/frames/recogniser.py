"""Segments of samples in, what the frame recogniser predicts of them out, in order.

Segments of one recording or of many go through the network in batches.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from mt3x.audio.logfrequency import DETUNINGS, make_filter_bank
from mt3x.audio.tuning import TuningTracker
from mt3x.transcription.devices import SEGMENTS, share_segments
from mt3x.transcription.frames.assembly import NoteAssembler
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.frames.network import FramePredictions, predict
from mt3x.transcription.recogniser import NOTES_ALONE, Request
from mt3x.transcription.segment import Segment

CPU_BATCH_SIZE, ACCELERATOR_BATCH_SIZE = 8, 128
"""Segments that go through the network together by default."""


class FrameRecogniser:
    """Runs the network over segments.

    Attributes:
      batch_size: how many segments go through it together at most.
      num_devices: how many devices share each batch.
      lead_frames, tail_frames: those of its settings.
      knows_pedal: whether the network has a head for the sustain pedal.
    """

    knows_bends = True

    def __init__(self, config: FrameConfig, params: Mapping[str, Any], batch_size: int | None = None):
        """Puts the weights where the network runs.

        Args:
          batch_size: as many of this process's devices as divide it share them. With 1, a segment is done
            before the next one is read. None: what suits the device.

        Raises:
          ValueError: batch_size is less than 1.
        """
        self.batch_size, mesh = share_segments(batch_size, CPU_BATCH_SIZE, ACCELERATOR_BATCH_SIZE)
        self.num_devices = mesh.size
        self.lead_frames, self.tail_frames = config.lead_frames, config.tail_frames
        self.knows_pedal = config.network.pedal_width > 0
        self._config = config
        self._split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((SEGMENTS,), ()))
        self._params, self._bank = jax.device_put((dict(params), make_filter_bank(config.spectra)), whole)
        # Each device keeps to its share: XLA would gather the whole batch for a Fourier transform.
        each = jax.shard_map(
            functools.partial(predict, config),
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(), PartitionSpec(SEGMENTS), PartitionSpec(SEGMENTS)),
            out_specs=PartitionSpec(SEGMENTS),
            check_vma=False,  # it would refuse the recurrence, which starts from constants
        )
        self._predict = jax.jit(each)

    def recognise(self, segments: Iterable[Segment]) -> Iterator[tuple[Segment, FramePredictions | None]]:
        """Each segment with what is predicted of it, NumPy arrays without the batch's axis; in order.

        A silent segment is not shown to the network: None. No more than a batch is read ahead.
        """
        source = iter(segments)
        while batch := list(itertools.islice(source, self.batch_size)):
            sounding = [segment for segment in batch if not segment.is_silent]
            found = iter(self._predictions(sounding) if sounding else ())
            yield from ((segment, None if segment.is_silent else next(found)) for segment in batch)

    def new_collector(self, request: Request = NOTES_ALONE) -> NoteAssembler:
        """A collector for a recording."""
        return NoteAssembler(self._config, request)

    def new_tuning_tracker(self) -> TuningTracker:
        """What follows a recording's tuning: its segments are read with filters that are detuned alike."""
        return TuningTracker(self._config.sample_rate)

    def _predictions(self, segments: list[Segment]) -> Iterator[FramePredictions]:
        # Copies of a real segment fill the batch: one shape, one compilation.
        filled = segments + segments[-1:] * (self.batch_size - len(segments))
        samples = np.stack([segment.samples for segment in filled])  # [B, N]
        tunings = np.array([segment.tuning_cents for segment in filled])
        detuning = np.argmin(np.abs(tunings[:, None] - np.array(DETUNINGS)[None]), axis=1).astype(np.int32)
        predicted = self._predict(self._params, self._bank, *jax.device_put((samples, detuning), self._split))
        arrays: Any = jax.tree.map(np.asarray, predicted)
        return (jax.tree.map(lambda x, row=row: x[row], arrays) for row in range(len(segments)))
