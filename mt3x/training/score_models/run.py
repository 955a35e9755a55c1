"""What the trainings of both spelling networks share: their settings and the run from step to step.

A run takes minutes: it is not resumed, a new one begins anew.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np

from mt3x.music.checks import check_at_least
from mt3x.training.adafactor import AdafactorConfig
from mt3x.training.config import OptimizerConfig, RunConfig
from mt3x.training.log import TrainLog

WEIGHTS_FILE = "weights.npz"
Measures = Mapping[str, jax.Array]
State = TypeVar("State")
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class SpellingTraining(RunConfig):
    """One run.

    Attributes:
      eval_period: steps between two evaluations, at each of which the weights are written.

    Raises:
      ValueError: as `RunConfig`.
    """

    total_steps: int = 2400
    average_decay: float = 0.99
    optimizer: OptimizerConfig | AdafactorConfig = OptimizerConfig(warmup_steps=50)
    eval_period: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, eval_period=self.eval_period)


def run_steps(
    training: SpellingTraining,
    state: State,
    step: Callable[[State, Batch], tuple[State, Measures]],
    evaluate: Callable[[State, Batch], Measures],
    save: Callable[[State], None],
    count_notes: Callable[[Batch], int],
    batches: Iterator[Batch],
    held_out: Sequence[Batch],
    directory: Path,
    report: Callable[[dict[str, float]], None],
) -> State:
    """Takes `total_steps`, evaluates and saves along the way, writes `log.jsonl`; returns the last state.

    Args:
      step: the next state, and what it measured, "loss" among it.
      evaluate: measures of one of the batches `held_out`, whose means are logged as `held_out_NAME`.
      count_notes: of a batch, for the speed in the log.
      report: is given each line of the log.

    Raises:
      FloatingPointError: the loss is not finite; names the step.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with TrainLog(directory, report) as log:
        log.go_on_from(0)
        for number in range(1, training.total_steps + 1):
            batch = next(batches)
            state, measured = step(state, batch)
            log.add(measured, count_notes(batch))
            is_last = number == training.total_steps
            if number % training.log_every == 0 or is_last:
                log.write(number)
            if number % training.eval_period == 0 or is_last:
                results = [evaluate(state, batch) for batch in held_out]
                names = results[0] if results else ()
                means = {f"held_out_{name}": float(np.mean([r[name] for r in results])) for name in names}
                log.write_values(number, means)
                save(state)
    return state
