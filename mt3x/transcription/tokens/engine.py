"""The decoding engine: segments of samples in, token ids out, in order.

Segments of one recording or of many go through one queue. They are encoded in small batches ahead of need; a
slot whose segment is done takes the next one at once (`transcription.tokens.slots`). Slots stand in batch
groups: while the results of one group are read, and where a step leaves a core idle, the other one works.
Where a process has several devices, each holds all weights and a part of every group's slots.

What a segment's ids are depends on nothing but its samples and the weights, up to rounding: not on its
neighbours, their order, or the number of slots.
"""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from mt3x.model.config import DTYPES as NETWORK_DTYPES
from mt3x.model.decoding import decoding_weights
from mt3x.model.policies import Beam, Greedy, Policy, Without
from mt3x.music.timegrid import floor_to_steps
from mt3x.tokens.codec import Codec, Event
from mt3x.tokens.vocabulary import EOS_ID, NUM_SPECIAL_IDS, build_codec
from mt3x.transcription.devices import SEGMENTS, share_segments
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.grammar import Grammatical
from mt3x.transcription.tokens.slots import (
    Memory,
    Search,
    advance,
    best_ids,
    empty_slots,
    encode,
    fill,
    resized,
)

DTYPES = (*NETWORK_DTYPES, "int8")
"""Types in which the engine can compute."""

CPU_BATCH_SIZE, ACCELERATOR_BATCH_SIZE = 32, 256
"""Segments that are decoded together by default. More make a step cheaper for each and need more memory."""

CPU_ENCODED, ACCELERATOR_ENCODED = 4, 32
"""Segments that are encoded together."""

CACHE_LENGTHS = (256, 512)
"""Lengths of the cache below the longest. Each costs a compilation when it is first needed; shorter ones
would hardly be used, as among the slots of a group there is nearly always one beyond 128 ids.
"""

_MARGIN = 32
"""A cache is made shorter where so many steps still fit."""

LEAST_GROUP = 8
"""Slots of a group where there are fewer segments than slots: less would make a step hardly cheaper."""


@dataclasses.dataclass
class _Task:
    """A segment on its way; `ids` when it is done."""

    segment: Segment
    ids: np.ndarray | None = None


_Found = tuple[np.ndarray, np.ndarray | None]
"""bool [B], which segments of a group are done; int32 [B, T], their ids, if any are."""


class _Encoded(NamedTuple):
    """A segment that waits for a slot: row of a batch of encoded ones."""

    task: _Task
    memory: Memory
    row: int


class Engine:
    """Runs a network over segments.

    Attributes:
      batch_size: how many segments are decoded together at most.
      num_devices: how many devices share each group.
      num_steps, num_row_steps: decoder steps so far, and these times the slots that took part.
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
          params: the network's parameters, nested dict of float arrays.
          batch_size: segments that are decoded together at most; as many of this process's devices as divide
            it share them. With 1, a segment is decoded before the next one is read. None: what suits the
            device.
          dtype: of the computation, one of `DTYPES`; "int8" stores the decoder's weights so and computes as
            by default. None: bfloat16 on an accelerator, what `config` says on a CPU.

        Raises:
          ValueError: batch_size is less than 1, or an unknown dtype.
        """
        on_cpu = jax.default_backend() == "cpu"
        self.batch_size, mesh = share_segments(batch_size, CPU_BATCH_SIZE, ACCELERATOR_BATCH_SIZE)
        self.num_devices = mesh.size
        if dtype not in (None, *DTYPES):
            raise ValueError(f"dtype is {dtype!r}; choose one of {', '.join(DTYPES)}")
        has_int8 = dtype == "int8"
        if dtype is None or has_int8:
            dtype = config.network.dtype if on_cpu else "bfloat16"
        config = dataclasses.replace(config, network=dataclasses.replace(config.network, dtype=dtype))
        self.num_steps = self.num_row_steps = 0
        self._group_sizes: set[int] = set()
        self._config = config
        self._split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((SEGMENTS,), ()))
        encoded = min(self.batch_size, CPU_ENCODED if on_cpu else ACCELERATOR_ENCODED)
        self.num_encoded = encoded + -encoded % self.num_devices
        self._search = Search(config, _policy(config), mesh)
        self._encoder = jax.device_put(_encoder_params(params), whole)
        weights = decoding_weights(config.network, params["decoder"], config.max_target_length, has_int8)
        self._weights = jax.device_put(weights, whole)

    def decode(self, segments: Iterable[Segment]) -> Iterator[tuple[Segment, np.ndarray]]:
        """Each segment with its ids int32 [T], which end before the end token; in order.

        Reads ahead what the slots need next, and never more than four times their number.
        """
        return _Decoding(self, segments).results()

    def encode(self, tasks: Sequence[_Task]) -> Iterator[_Encoded]:
        """Encodes up to `num_encoded` segments."""
        # Copies of a real segment fill the batch: one shape, one compilation.
        segments = [task.segment for task in tasks]
        segments += segments[-1:] * (self.num_encoded - len(segments))
        samples = np.stack([segment.samples for segment in segments])  # [E, N]
        num_frames = np.array([segment.num_frames for segment in segments], np.int32)
        samples, num_frames = jax.device_put((samples, num_frames), self._split)
        memory = encode(self._search, self._encoder, samples, num_frames)
        return (_Encoded(task, memory, row) for row, task in enumerate(tasks))

    def _groups(self, count: int) -> "list[_BatchGroup]":
        """Batch groups for so many segments: as many slots as may be, and fewer where that is enough."""
        num_groups = 2 if self.batch_size >= 2 * LEAST_GROUP * self.num_devices else 1
        most = self.batch_size // num_groups
        each = -(-count // num_groups)
        size = min(max(1 << (each - 1).bit_length(), LEAST_GROUP), most)
        size = min((s for s in self._group_sizes if s >= size), default=size)  # compiled already
        size += -size % self.num_devices
        self._group_sizes.add(size)
        return [_BatchGroup(self, size) for _ in range(min(num_groups, -(-count // size)))]


class _Decoding:
    """One pass over segments: what was read, what was encoded, and what stands in the groups."""

    def __init__(self, engine: Engine, segments: Iterable[Segment]):
        self._engine = engine
        self._source = iter(segments)
        self._has_more = True
        self._tasks: deque[_Task] = deque()  # in order, until their results are handed out
        self._waiting: deque[_Task] = deque()
        self._encoded: deque[_Encoded] = deque()
        self._groups: list[_BatchGroup] | None = None
        self._working: dict[Future[_Found], _BatchGroup] = {}

    def results(self) -> Iterator[tuple[Segment, np.ndarray]]:
        # A thread for each group: JAX on a CPU runs what one thread dispatches one after the other.
        with ThreadPoolExecutor() as threads:
            while self._tasks or self._has_more:
                if self._tasks and (ids := self._tasks[0].ids) is not None:
                    yield self._tasks.popleft().segment, ids
                elif self._may_read():
                    self._read()
                else:
                    self._work(threads)

    def _num_free(self) -> int:
        if self._groups is None:
            return self._engine.batch_size
        return sum(len(group.free) for group in self._groups)

    def _num_ahead(self) -> int:
        """How many segments are encoded before there is a slot for them."""
        return self._engine.num_encoded if self._engine.batch_size > 1 else 0

    def _may_read(self) -> bool:
        wanted = self._num_free() + self._num_ahead()
        is_window_open = len(self._tasks) < 4 * self._engine.batch_size
        return self._has_more and is_window_open and len(self._waiting) + len(self._encoded) < wanted

    def _read(self) -> None:
        segment = next(self._source, None)
        if segment is None:
            self._has_more = False
            return
        task = _Task(segment, np.zeros(0, np.int32) if segment.is_silent else None)
        self._tasks.append(task)
        if not segment.is_silent:
            self._waiting.append(task)

    def _work(self, threads: Executor) -> None:
        """Fills free slots, sets idle groups going, and waits for the first that has something to show."""
        if self._groups is None:
            count = self._engine.batch_size if self._has_more else len(self._waiting)
            self._groups = self._engine._groups(count)
            compiling = threads.submit(self._groups[0].advance)
            self._encode()  # compiles meanwhile, too
            compiling.result()
        for group in self._groups:
            if group not in self._working.values():
                group.fill(self._take(len(group.free)))
                if group.tasks:
                    self._working[threads.submit(group.advance)] = group
        if len(self._waiting) >= self._engine.num_encoded > len(self._encoded):
            self._encode()  # ahead of need, while the groups work
        done, _ = wait(self._working, return_when=FIRST_COMPLETED)
        for future in done:
            self._working.pop(future).collect(*future.result())

    def _take(self, count: int) -> list[_Encoded]:
        """Up to so many encoded segments, in order."""
        while self._waiting and len(self._encoded) < count:
            self._encode()
        return [self._encoded.popleft() for _ in range(min(count, len(self._encoded)))]

    def _encode(self) -> None:
        count = min(self._engine.num_encoded, len(self._waiting))
        self._encoded.extend(self._engine.encode([self._waiting.popleft() for _ in range(count)]))


class _BatchGroup:
    """Slots that advance together, and the segments in them."""

    def __init__(self, engine: Engine, size: int):
        self._engine = engine
        self._size = size
        longest = engine._config.max_target_length
        self._lengths = [*(length for length in CACHE_LENGTHS if length < longest), longest]
        self._length = self._lengths[0]
        self._slots = empty_slots(engine._search, size, self._length)
        self._positions = np.zeros(size, np.int32)
        self._num_steps = np.zeros(1, np.int32)
        self.tasks: dict[int, _Task] = {}  # by slot

    @property
    def free(self) -> list[int]:
        return [slot for slot in range(self._size) if slot not in self.tasks]

    def fill(self, encoded: Sequence[_Encoded]) -> None:
        """Begins segments, at most as many as slots are free."""
        batches: dict[int, list[tuple[int, _Encoded]]] = {}
        for slot, item in zip(self.free, encoded, strict=False):
            batches.setdefault(id(item.memory), []).append((slot, item))
            self.tasks[slot] = item.task
            self._positions[slot] = 0
        for batch in batches.values():
            count = len(batch[0][1].memory[0].key)
            # Beyond the last slot: nothing is put there.
            sources, targets = np.zeros(count, np.int32), np.arange(self._size, self._size + count)
            for i, (slot, item) in enumerate(batch):
                sources[i], targets[i] = item.row, slot
            memory = batch[0][1].memory
            self._slots = fill(self._engine._search, self._slots, memory, sources, targets)

    def advance(self) -> _Found:
        """Takes some steps with all slots."""
        search, active = self._engine._search, list(self.tasks)
        needed = int(self._positions[active].max(initial=0)) + 1
        length = min(length for length in self._lengths if length >= needed)
        # A shorter cache only where it will do for a while.
        if length > self._length or needed + _MARGIN <= length < self._length:
            self._slots = self._slots._replace(cache=resized(length, self._slots.cache))
            self._length = length
        is_active = np.isin(np.arange(self._size), active)
        self._slots, is_done, num_steps = advance(search, self._engine._weights, self._slots, is_active)
        self._positions = np.array(self._slots.positions)
        self._num_steps = np.asarray(num_steps)
        found = np.asarray(is_done)
        return found, np.asarray(best_ids(search, self._slots)) if found.any() else None

    def collect(self, is_done: np.ndarray, ids: np.ndarray | None) -> None:
        """Hands out what `advance` found."""
        self._engine.num_steps += int(self._num_steps.max())
        self._engine.num_row_steps += int(self._num_steps.sum()) * self._size // len(self._num_steps)
        if ids is not None:
            for slot in np.flatnonzero(is_done).tolist():
                self.tasks.pop(slot).ids = _before_end(ids[slot])


def _encoder_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a network's parameters that encoding reads."""
    layers = {
        name: {
            "encoder_decoder_attention": {
                key: layer["encoder_decoder_attention"][key] for key in ("key", "value")
            }
        }
        for name, layer in params["decoder"].items()
        if name.startswith("layers_")
    }
    return {"encoder": params["encoder"], "decoder": layers}


def _policy(config: TranscriptionConfig) -> Policy:
    codec = build_codec(config.vocabulary)
    if config.search == "beam":
        policy = Beam(config.beam_size)
    elif config.search == "greedy":
        policy = Greedy()
    else:
        last_step = int(floor_to_steps(config.segment_seconds, codec.steps_per_second))
        policy = Grammatical(codec, config.spec, last_step, config.network.vocab_size)
    return Without(policy, _forbidden_ids(config, codec)) if config.instruments else policy


def _forbidden_ids(config: TranscriptionConfig, codec: Codec) -> tuple[int, ...]:
    """What would write an instrument that does not play: its program, or the pitches of all, or drums."""
    is_forbidden = {
        "program": lambda value: value not in config.programs,
        "pitch": lambda value: not config.programs,
        "drum": lambda value: not config.has_drums,
    }
    return tuple(
        NUM_SPECIAL_IDS + codec.encode_event(Event(kind.type, value))
        for kind in codec.event_ranges
        if kind.type in is_forbidden
        for value in range(kind.min_value, kind.max_value + 1)
        if is_forbidden[kind.type](value)
    )


def _before_end(ids: np.ndarray) -> np.ndarray:
    """What stands before the first end token."""
    ends = np.flatnonzero(ids == EOS_ID)
    return ids[: ends[0]] if len(ends) else ids.copy()
