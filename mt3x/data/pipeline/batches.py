"""Batches of drawn examples, made by worker processes, in an order that depends on the seed alone.

Examples come in pools: a pool's examples are sorted by target length, cut into batches, each padded to the
smallest of a few lengths, and the batches shuffled. So few shapes occur, and little is padding. Pool k is
drawn by worker k modulo the number of workers; any number of workers gives the same batches, and a run
resumes at any batch.
"""

import dataclasses
import itertools
import multiprocessing
import queue
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mt3x.data.synthetic.examples import Example, Maker
from mt3x.music.checks import check_at_least

Batch = dict[str, np.ndarray]

_POLL_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class BatchConfig:
    """Sizes.

    Attributes:
      batch_size: examples in a batch; pool_batches: batches in a pool.
      target_lengths: what targets are padded to, rising; the last must hold the longest.
      total_steps: length of the run in batches, by which the music grows harder.
      seed: of everything drawn.
      workers: processes.

    Raises:
      ValueError: a size below 1, or target lengths that do not rise.
    """

    batch_size: int = 16
    pool_batches: int = 16
    target_lengths: tuple[int, ...] = (64, 112, 176, 256)
    total_steps: int = 10_000
    seed: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        check_at_least(
            1,
            batch_size=self.batch_size,
            pool_batches=self.pool_batches,
            total_steps=self.total_steps,
            workers=self.workers,
        )
        lengths = tuple(self.target_lengths)
        if not lengths or list(lengths) != sorted(set(lengths)):
            raise ValueError(f"target_lengths are {lengths}; give at least one, rising")

    @property
    def pool_size(self) -> int:
        """Examples in a pool."""
        return self.batch_size * self.pool_batches


def stack(examples: list[Example], target_lengths: tuple[int, ...], maker: Maker, num_frames: int) -> Batch:
    """One batch as `training.step` takes it, with what the sound sources gave for `prepare`.

    Raises:
      ValueError: an example has more targets than the longest length.
    """
    size, config = len(examples), maker.config
    batch: Batch = {"num_frames": np.full(size, num_frames, np.int32)}
    if longest := max(len(example.targets) for example in examples):
        if longest > target_lengths[-1]:
            raise ValueError(
                f"target_lengths end at {target_lengths[-1]}, but an example has {longest} tokens; let the "
                "last length be at least max_tokens"
            )
        length = next(length for length in target_lengths if length >= longest)
        batch["targets"] = _pad([example.targets for example in examples], length, 0)
    columns = (("start", 0), ("end", 0), ("pitch", -1), ("velocity", 0), ("program", 0), ("is_drum", 0))
    for name, padding in columns:
        values = [example.notes[name] for example in examples]
        batch[f"note_{name}"] = _pad(values, config.max_notes, padding)
    for name in ("note_start", "note_end"):
        batch[name] = (batch[name] - config.lead_seconds).astype(np.float32)
    for name in examples[0].sound:
        values = [example.sound[name] for example in examples]
        is_column = name.startswith("note_")
        batch[name] = _pad(values, config.max_notes, 0) if is_column else np.stack(values)
    return batch


def _pad(rows: list[np.ndarray], length: int, padding: int) -> np.ndarray:
    """Rows of one dtype and different lengths as one array [len(rows), length]."""
    padded = np.full((len(rows), length), padding, rows[0].dtype)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded


def draw_pool(maker: Maker, pool: int, batch_config: BatchConfig, make_batch: Callable) -> list[Batch]:
    """The batches of one pool, in the order in which they are trained on."""
    first = pool * batch_config.pool_size
    total_examples = batch_config.total_steps * batch_config.batch_size
    examples = []
    for number in range(first, first + batch_config.pool_size):
        rng = np.random.default_rng((batch_config.seed, number))
        examples.append(maker.draw(rng, number / total_examples))
    examples.sort(key=lambda example: len(example.targets))
    size = batch_config.batch_size
    batches = [make_batch(examples[start : start + size]) for start in range(0, len(examples), size)]
    order = np.random.default_rng((batch_config.seed, pool, 1)).permutation(len(batches))
    return [batches[place] for place in order]


class DrawnBatches:
    """An endless iterator of batches that can tell and take back its position (see `training.loop`).

    Use as a context manager, or call `close`, to end the workers; they also end by themselves when this
    process is gone.

    Args:
      open_maker: opens what draws examples; called in each worker, so it must be picklable.
      num_frames: frames of a segment, for the batch's `num_frames`.

    Raises:
      RuntimeError: a worker failed, with its reason, or died; from `next`.
    """

    def __init__(self, batch_config: BatchConfig, open_maker: Callable[[], Maker], num_frames: int):
        self._arguments = (batch_config, open_maker, num_frames)
        self._batch_config = batch_config
        self._position = (0, 0)
        self._workers: list[tuple[Any, Any]] = []
        self._pool: list[Batch] = []

    def __iter__(self) -> "DrawnBatches":
        return self

    def __next__(self) -> Batch:
        pool, taken = self._position
        if not self._workers:
            self._start(pool)
        if not self._pool:
            self._pool = self._receive(pool)[taken:]
        batch = self._pool.pop(0)
        taken += 1
        self._position = (pool + 1, 0) if taken == self._batch_config.pool_batches else (pool, taken)
        return batch

    def get_state(self) -> dict[str, int]:
        """The pool and how many of its batches were given out."""
        return {"pool": self._position[0], "taken": self._position[1]}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes on from what `get_state` told.

        Raises:
          ValueError: more batches of a pool were given out than it holds now.
        """
        if not 0 <= state["taken"] < self._batch_config.pool_batches:
            raise ValueError(
                f"{state['taken']} batches of a pool were given out, but pool_batches is "
                f"{self._batch_config.pool_batches}; go on with the sizes that the run began with"
            )
        self.close()
        self._position = (state["pool"], state["taken"])

    def __enter__(self) -> "DrawnBatches":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker processes; the next batch starts them again."""
        for process, pools in self._workers:
            process.terminate()
            process.join()
            pools.close()
        self._workers, self._pool = [], []

    def _start(self, first_pool: int) -> None:
        context = multiprocessing.get_context("spawn")
        count = self._batch_config.workers
        for offset in range(count):
            pools = context.Queue(maxsize=1)
            arguments = (pools, first_pool + offset, count, *self._arguments)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            self._workers.append((process, pools))
        self._first_pool = first_pool

    def _receive(self, pool: int) -> list[Batch]:
        process, pools = self._workers[(pool - self._first_pool) % len(self._workers)]
        while True:
            is_alive = process.is_alive()  # asked first: what it sent before it died is still there
            try:
                received = pools.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if is_alive:
                    continue
                raise RuntimeError(
                    f"a worker that draws training examples died (exit code {process.exitcode}); was there "
                    "enough memory?"
                ) from None
            if isinstance(received, str):
                raise RuntimeError(f"a worker that draws training examples failed: {received}")
            return received


def _work(pools: Any, first_pool: int, stride: int, *arguments: Any) -> None:
    """A worker process: sends every `stride`-th pool from `first_pool` on, or why it cannot."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the main one ends this one
    try:
        for pool in _draw_pools(first_pool, stride, *arguments):
            if not _send(pools, pool):
                return
    except Exception as error:
        _send(pools, f"{type(error).__name__}: {error}")
        raise


def _draw_pools(
    first_pool: int,
    stride: int,
    batch_config: BatchConfig,
    open_maker: Callable[[], Maker],
    num_frames: int,
) -> Iterator[list[Batch]]:
    maker = open_maker()

    def make_batch(examples: list[Example]) -> Batch:
        return stack(examples, batch_config.target_lengths, maker, num_frames)

    for pool in itertools.count(first_pool, stride):
        yield draw_pool(maker, pool, batch_config, make_batch)


def _send(pools: Any, message: list[Batch] | str) -> bool:
    """Waits until there is room for the message; False if nobody is left to read it."""
    main_process = multiprocessing.parent_process()
    assert main_process is not None
    while True:
        try:
            pools.put(message, timeout=_POLL_SECONDS)
            return True
        except queue.Full:
            if not main_process.is_alive():
                pools.cancel_join_thread()  # or the exit would wait for a reader
                return False
