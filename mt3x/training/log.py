"""What a run measures, written down: JSON lines, TensorBoard where it is installed, a callback, a profile.

Each line of `log.jsonl` is the mean over the steps since the last; between lines nothing waits for a device.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mt3x.music.files import write_whole

LOG_FILE, TENSORBOARD, PROFILE = "log.jsonl", "tensorboard", "profile"
PROFILED_STEPS = 5


class TrainLog:
    """The log of one run; only the first process of a run writes. A context manager."""

    def __init__(self, directory: Path, report: Callable[[dict[str, float]], None] = lambda line: None):
        self._path, self._report = directory / LOG_FILE, report
        self._measured: list[Mapping[str, jax.Array]] = []
        self._examples = 0
        self._since = time.monotonic()
        self._is_writer = jax.process_index() == 0
        self._board = _open_tensorboard(directory / TENSORBOARD) if self._is_writer else None

    def __enter__(self) -> "TrainLog":
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def go_on_from(self, step: int) -> None:
        """Drops lines past `step`, which are of steps that were lost and will be taken, and logged, again."""
        if self._is_writer and self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
            write_whole(self._path, "".join(kept).encode())
        self._since = time.monotonic()

    def add(self, measured: Mapping[str, jax.Array], examples: int) -> None:
        """Takes the measurements of one step, which need not be computed yet."""
        self._measured.append(measured)
        self._examples += examples

    def check_finite(self, step: int) -> None:
        """Raises FloatingPointError if a loss since the last line, which ends at `step`, is not finite."""
        losses = np.asarray([float(measured["loss"]) for measured in self._measured])
        if not np.isfinite(losses).all():
            first = step - len(losses) + 1 + int(np.argmax(~np.isfinite(losses)))
            raise FloatingPointError(f"the loss of step {first} is {losses[~np.isfinite(losses)][0]}")

    def write(self, step: int) -> None:
        """A line with the means since the last one. Raises as `check_finite`."""
        self.check_finite(step)
        now = time.monotonic()
        names = self._measured[0]
        line = {name: float(np.mean([float(m[name]) for m in self._measured])) for name in names}
        self.write_values(step, {**line, "examples_per_second": self._examples / (now - self._since)})
        self._measured, self._examples, self._since = [], 0, now

    def write_values(self, step: int, values: Mapping[str, float]) -> None:
        """A line of its own, for what is not measured at every step."""
        if not self._is_writer:
            return
        line = {"step": step, **values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: round(value, 5) for name, value in line.items()}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        self._report(line)


class Profile:
    """A trace of `PROFILED_STEPS` steps from `first_step` on, or of fewer if the run ends before; None for no
    trace. A context manager. Source: jax.profiler.
    """

    def __init__(self, directory: Path, first_step: int | None):
        self._folder, self._first_step = directory / PROFILE, first_step
        self._is_running = False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_running:
            jax.profiler.stop_trace()

    def before_step(self, number: int) -> None:
        """Begins at the first of the steps; `number` is how many were taken."""
        if number == self._first_step:
            jax.profiler.start_trace(str(self._folder))
            self._is_running = True

    def after_step(self, number: int, state: Any) -> None:
        """Ends after the last of them, when `state` is computed."""
        if self._is_running and number == (self._first_step or 0) + PROFILED_STEPS:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            self._is_running = False


def _open_tensorboard(folder: Path) -> Any:
    try:
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return SummaryWriter(str(folder))
