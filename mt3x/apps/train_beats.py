"""`mt3x train-beats`: trains the beat network on performances of scores, from gin files.

    mt3x train-beats --gin_file=run/beats.gin --gin.MODEL_DIR="'runs/beats'" --gin.SCORES="'openscore'"

SCORES is a folder of .mxl files, of which held-out pieces are left out. The same command goes on with a run
that was stopped. `network.npz` in MODEL_DIR is what mt3x/models/beats/ holds.
"""

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mt3x.apps.console import gin_files

if TYPE_CHECKING:
    from mt3x.training.score_models.beats import BeatTraining


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train-beats",
        help="train the beat network",
        description="Trains the beat network on performances of scores, from gin files; goes on where a "
        "stopped run left off.",
    )
    gin_files.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Trains; 0 when the run is complete, 1 when it failed, 2 for a wrong configuration."""

    def read() -> Callable[[], None]:
        make_settings = _register()
        gin_files.parse(args.gin_file, args.gin)
        return functools.partial(train_from, make_settings())

    return gin_files.train("train-beats", read)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What gin files set under the name `train_beats`.

    Attributes:
      training: how; scores: a folder of .mxl files; model_dir: where weights, checkpoints and the log go.
    """

    training: "BeatTraining"
    scores: str
    model_dir: str


@functools.cache
def _register() -> Callable[..., Settings]:
    from mt3x.data.beats.batches import BeatVariation
    from mt3x.training.config import OptimizerConfig
    from mt3x.training.score_models.beats import BeatStage, BeatTraining

    kinds = BeatVariation, OptimizerConfig, BeatStage, BeatTraining
    return gin_files.register(Settings, "train_beats", kinds)


def train_from(settings: Settings) -> None:
    """Trains on all scores but the held-out ones.

    Raises:
      ValueError: there is no score to learn from, or the run there has other settings.
      FloatingPointError: the loss is not finite.
    """
    from mt3x.data.beats.batches import BeatBatches, BeatVariation
    from mt3x.data.beats.performances import read_metrical_scores
    from mt3x.data.synthetic.scores import is_held_out
    from mt3x.training.score_models.beats import train_beats

    paths = (path for path in sorted(Path(settings.scores).rglob("*.mxl")) if not is_held_out(path))
    scores = list(read_metrical_scores(paths, lambda line: print(line, file=sys.stderr)))

    def open_batches(seed: tuple[int, ...], variation: BeatVariation) -> BeatBatches:
        return BeatBatches(scores, seed, variation)

    train_beats(settings.training, open_batches, Path(settings.model_dir), _report)


def _report(line: dict[str, Any]) -> None:
    print("  ".join(f"{name} {value:.6g}" for name, value in line.items()), file=sys.stderr)


if __name__ == "__main__":
    from mt3x.apps.cli import main

    sys.exit(main(["train-beats", *sys.argv[1:]]))
