"""The decoding engine: segments of samples in, token ids out, in order.

Segments are gathered into batches of fixed shapes, so that nothing recompiles after the first batches; the
log-mel front end runs inside the jitted encoder, then the search writes ids with cached keys and values.
Where a process has several devices, each holds all weights and decodes its part of every batch.
Letters: B batch, N samples of a segment, F frames, M mels, D width, T tokens.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mt3x.audio.logmel import log_mel
from mt3x.model.search import Beam, Greedy, Policy, search
from mt3x.model.transformer import Transformer
from mt3x.music.timegrid import floor_to_steps
from mt3x.runtime.grammar import Grammatical
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.tokens.vocabulary import EOS_ID, build_codec

DEFAULT_BATCH_SIZE = 8


class Segment(NamedTuple):
    """One segment of a recording.

    Attributes:
      samples: float32 [N], zeros past the recording's end.
      num_frames: how many of its frames count.
      first_frame: its place in the recording.
      is_silent: the network is not asked; the segment gets no ids.
    """

    samples: np.ndarray
    num_frames: int
    first_frame: int
    is_silent: bool = False


class Engine:
    """Runs a network over segments; one engine serves any number of recordings, one after the other.

    A batch that is not full is padded with copies of its last segment, to the smallest size that is compiled
    already, else to a power of two, or a multiple of the devices. So a long recording compiles one size, and
    one of a few seconds doesn't work for a whole batch.

    Attributes:
      num_devices: how many devices share each batch.
    """

    def __init__(
        self, config: TranscriptionConfig, params: Mapping[str, Any], batch_size: int = DEFAULT_BATCH_SIZE
    ):
        """Puts the weights where the network runs.

        Args:
          params: the network's parameters, nested dict of float arrays.
          batch_size: segments that are decoded together at most; as many of this process's devices as divide
            it share them.

        Raises:
          ValueError: batch_size is less than 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        self._config = config
        self._batch_size = batch_size
        devices = jax.local_devices()
        self.num_devices = max(n for n in range(1, len(devices) + 1) if batch_size % n == 0)
        whole = self._split = None  # one device: the default one
        if self.num_devices > 1:
            mesh = jax.make_mesh(
                (self.num_devices,), ("data",), (AxisType.Auto,), devices=devices[: self.num_devices]
            )
            whole, self._split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
        self._params = jax.device_put(params, whole)
        self._model = Transformer(config.network)
        self._policy = _policy(config)
        self._compiled_sizes: set[int] = set()

    def decode(self, segments: Iterable[Segment]) -> Iterator[tuple[Segment, np.ndarray]]:
        """Each segment with its ids int32 [T], which end before the end token; in order.

        Reads no more segments ahead than fill one batch, or two where silent ones are between them.
        """
        pending: list[Segment] = []
        num_sounding = 0
        for segment in segments:
            pending.append(segment)
            num_sounding += not segment.is_silent
            is_full = num_sounding == self._batch_size or len(pending) == 2 * self._batch_size
            if is_full or num_sounding == 0:
                yield from self._decode_batch(pending)
                pending, num_sounding = [], 0
        yield from self._decode_batch(pending)

    def _decode_batch(self, segments: list[Segment]) -> Iterator[tuple[Segment, np.ndarray]]:
        sounding = [segment for segment in segments if not segment.is_silent]
        found = iter(self._search(sounding) if sounding else ())
        for segment in segments:
            yield segment, np.zeros(0, np.int32) if segment.is_silent else _before_end(next(found))

    def _search(self, segments: list[Segment]) -> np.ndarray:
        """Ids of up to `batch_size` segments: int32 [B, T], as the search returns them."""
        missing = self._padded_size(len(segments)) - len(segments)
        # Copies of a real segment: they can't keep the search going after the others have ended.
        padded = segments + segments[-1:] * missing
        samples = np.stack([segment.samples for segment in padded])  # [B, N]
        num_frames = np.array([segment.num_frames for segment in padded], np.int32)
        # The compiler splits all that follows from these, caches included, in the same way.
        samples, num_frames = jax.device_put((samples, num_frames), self._split)
        encoded = _encode(self._model, self._config, self._params, samples, num_frames)
        result = search(self._model, self._params, encoded, self._policy, self._config.max_target_length)
        return np.asarray(result.ids)[: len(segments)]

    def _padded_size(self, count: int) -> int:
        compiled = [size for size in self._compiled_sizes if size >= count]
        size = min(compiled, default=min(1 << (count - 1).bit_length(), self._batch_size))
        size += -size % self.num_devices
        self._compiled_sizes.add(size)
        return size


def _policy(config: TranscriptionConfig) -> Policy:
    if config.search == "beam":
        return Beam(config.beam_size)
    if config.search == "greedy":
        return Greedy()
    codec = build_codec(config.vocabulary)
    last_step = int(floor_to_steps(config.segment_seconds, codec.steps_per_second))
    return Grammatical(codec, config.spec, last_step, config.network.vocab_size)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _encode(
    model: Transformer, config: TranscriptionConfig, params: Any, samples: jax.Array, num_frames: jax.Array
) -> jax.Array:
    """Samples [B, N] -> encoder output [B, F, D]."""
    frames = log_mel(samples, num_frames, config.spectrogram)  # [B, F, M]
    return model.apply({"params": params}, frames, method="encode")  # pyright: ignore[reportReturnType]


def _before_end(ids: np.ndarray) -> np.ndarray:
    """What stands before the first end token."""
    ends = np.flatnonzero(ids == EOS_ID)
    return ids[: ends[0]] if len(ends) else ids
