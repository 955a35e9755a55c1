"""What each of several processes takes of a run's examples, and which models a source is for."""

import dataclasses
from collections.abc import Sequence

from mt3x.data.pipeline.batches import BatchConfig
from mt3x.training.mesh import this_process
from mt3x.transcription.config import ModelConfig
from mt3x.transcription.tokens.config import TranscriptionConfig

_SEEDS_APART = 1_000_003
"""So far apart are the seeds of processes that draw: another run's seed is no other process's here."""


def share_of(batches: BatchConfig) -> BatchConfig:
    """What this process draws of each batch.

    Raises:
      ValueError: the batch cannot be divided among the processes.
    """
    process, processes = divide(batches.batch_size)
    if processes == 1:
        return batches
    return dataclasses.replace(
        batches,
        batch_size=batches.batch_size // processes,
        seed=batches.seed + process * _SEEDS_APART,
        target_lengths=same_for_all(batches.target_lengths),
    )


def token_config(model: ModelConfig, source: str, instead: str) -> TranscriptionConfig:
    """The model, where it is one that writes tokens.

    Raises:
      ValueError: it is a frame recogniser.
    """
    if isinstance(model, TranscriptionConfig):
        return model
    raise ValueError(
        f"{source} makes tokens, which a frame recogniser does not read; give it {instead} instead"
    )


def same_for_all(target_lengths: Sequence[int]) -> tuple[int, ...]:
    """The longest alone: processes pad their parts of a batch each for itself, but to one shape."""
    return (target_lengths[-1],)


def divide(batch_size: int) -> tuple[int, int]:
    """This process and how many there are, for a batch that they can share.

    Raises:
      ValueError: they cannot.
    """
    process, processes = this_process()
    if batch_size % processes:
        raise ValueError(
            f"the batch of {batch_size} cannot be divided among {processes} processes; make it a multiple"
        )
    return process, processes
