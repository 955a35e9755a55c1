"""What the trainings of both spelling networks share: their settings and the run from step to step.

The optimizer, its schedule and the moving average of the weights are those of the transcriber
(`training.state`). A run takes minutes: it is not resumed, a new one begins anew.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np

from mt3x.training.config import OptimizerConfig, OptimizerName, TrainConfig
from mt3x.training.log import TrainLog

WEIGHTS_FILE = "weights.npz"
Measures = Mapping[str, jax.Array]
State = TypeVar("State")
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class SpellingTraining:
    """One run.

    Attributes:
      total_steps: its length; seed: of the weights and of dropout.
      optimizer: "muon", with Adam beside it, or "adamw".
      learning_rate: the peak, reached after `warmup_steps`; from `decay_from` of the run on it falls by a
        half cosine.
      average_decay: of the moving average of the weights, which is what is evaluated and written.
      log_every, eval_period: steps between two lines of the log, and between two evaluations.
    """

    total_steps: int = 2400
    seed: int = 0
    optimizer: OptimizerName = "muon"
    learning_rate: float = 2e-3
    warmup_steps: int = 50
    decay_from: float = 0.3
    average_decay: float = 0.99
    log_every: int = 50
    eval_period: int = 200

    def for_optimizer(self) -> TrainConfig:
        """What `training.state` wants to know.

        Raises:
          ValueError: a number is outside its limits.
        """
        return TrainConfig(
            total_steps=self.total_steps,
            log_every=self.log_every,
            average_decay=self.average_decay,
            optimizer=OptimizerConfig(
                name=self.optimizer,
                learning_rate=self.learning_rate,
                adam_learning_rate=self.learning_rate,
                warmup_steps=self.warmup_steps,
                decay_from=self.decay_from,
            ),
        )


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
