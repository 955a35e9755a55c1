"""Batches of a seqio task or mixture, as `training.loop` takes them.

The task's front end must be the training step (`FrontEnd.IN_STEP`): its examples hold samples. There are no
notes in them, so that the frame head, which learns from notes, has to be switched off.

A position is a number of batches; going there draws them again, as seqio's datasets cannot be told theirs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class SeqioBatches:
    """An endless iterator of batches that can tell and take back its position.

    A batch is samples float32 [B, N], num_frames int32 [B] and targets int32 [B, T]; N and T follow from
    `sequence_length`, {"inputs": frames, "targets": ids}.
    """

    def __init__(
        self,
        task: str,
        sequence_length: Mapping[str, int],
        batch_size: int,
        seed: int = 0,
        cache_dir: str | None = None,
        shard_index: int = 0,
        shard_count: int = 1,
    ):
        """Opens the split "train" of a registered task or mixture; every host draws its own shard of it.

        Args:
          cache_dir: where `seqio_cache_tasks` left examples, to read these; None makes them anew.

        Raises:
          ValueError: no such task is registered, or its examples hold no samples.
        """
        import seqio  # pyright: ignore[reportMissingImports]

        try:
            found = seqio.get_mixture_or_task(task)
        except ValueError as error:
            raise ValueError(f"no seqio task or mixture {task!r} is registered; import its module") from error
        if cache_dir is not None:
            seqio.set_global_cache_dirs([cache_dir])

        def begin() -> Iterator[dict[str, np.ndarray]]:
            # A dataset of its own each time: a second iterator of one would be shuffled otherwise.
            dataset = found.get_dataset(
                dict(sequence_length),
                split="train",
                use_cached=cache_dir is not None,
                seed=seed,
                num_epochs=None,
                shard_info=seqio.ShardInfo(shard_index, shard_count),
            )
            if "samples" not in dataset.element_spec:
                raise ValueError(f"examples of {task} hold no samples; register it with front_end='in_step'")
            dataset = seqio.utils.trim_and_pad_dataset(dataset, dict(sequence_length))
            return dataset.batch(batch_size, drop_remainder=True).as_numpy_iterator()

        self._begin = begin
        self._batches, self._taken = begin(), 0

    def __iter__(self) -> "SeqioBatches":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        self._taken += 1
        return next(self._batches)

    def get_state(self) -> dict[str, Any]:
        """The position after the last batch, as JSON values."""
        return {"taken": self._taken}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a position that `get_state` told."""
        self._batches, self._taken = self._begin(), 0
        while self._taken < state["taken"]:
            next(self)
