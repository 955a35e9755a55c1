r"""`mt3x train`: trains a transcriber, from gin files.

    python -m mt3x.apps.train --gin_file=run/drawn_music.gin --gin.MODEL_DIR="'runs/drawn'" \
        --gin.SCORES_FILE="'openscore.npz'"

As in T5X, `--gin_file` may come several times, and `--gin.NAME=VALUE` sets one thing more
(`apps.console.gin_files`). The same command goes on with a run that was stopped.
"""

import argparse
import dataclasses
import functools
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mt3x.apps.console import gin_files, processes
from mt3x.music.checks import check_at_least

if TYPE_CHECKING:
    from mt3x.training.config import TrainConfig
    from mt3x.training.initialization import StartingPoint
    from mt3x.training.sources.built import BuiltDatasets
    from mt3x.training.sources.seqio_task import SeqioTask
    from mt3x.training.sources.synthetic import DrawnMusic, PlayedMusic
    from mt3x.transcription.config import ModelConfig


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train",
        help="train a model",
        description="Trains a model from gin files; goes on where a stopped run left off.",
    )
    gin_files.add_arguments(parser)
    parser.add_argument(
        "--resume_from_weights",
        metavar="FOLDER",
        help="the folder `weights` of an earlier run, to go on from where its checkpoints were not kept",
    )
    processes.add_arguments(parser)
    parser.add_argument("--stop_after_minutes", type=float, help="save and stop after this time")


def run(args: argparse.Namespace) -> int:
    """Trains; 0 when the run is complete or saved, 1 when it failed, 2 for a wrong configuration."""

    def read() -> Callable[[], object]:
        processes.join(args)
        settings = read_settings(args.gin_file, args.gin)
        return functools.partial(train_model, settings, args.stop_after_minutes, args.resume_from_weights)

    return gin_files.train("train", read, others=(RuntimeError,))


@dataclasses.dataclass(frozen=True)
class Settings:
    """What gin files set under the name `train`.

    Attributes:
      model: what is trained; training: how; source: on what.
      model_dir: where checkpoints and the log go.
      eval_period: steps between two evaluations on `eval_pieces` whole pieces; no piece, no evaluation.
      initial_checkpoint_path: a trained model to start from, "default" for the one in the package; None for
        fresh weights.
      initial_checkpoint_preset: the settings of a checkpoint that carries none (`start_from_checkpoint`).

    Raises:
      ValueError: eval_period or eval_pieces is too small, or model_dir is in a bucket.
    """

    model: "ModelConfig"
    training: "TrainConfig"
    source: "DrawnMusic | PlayedMusic | BuiltDatasets | SeqioTask"
    model_dir: str
    eval_period: int = 5000
    eval_pieces: int = 5
    initial_checkpoint_path: str | None = None
    initial_checkpoint_preset: str | None = None

    def __post_init__(self) -> None:
        if self.model_dir.startswith("gs://"):
            raise ValueError(
                f"MODEL_DIR is {self.model_dir}, and runs write to folders only; mount the bucket (gcsfuse), "
                "or give a disk that all processes see"
            )
        check_at_least(1, eval_period=self.eval_period)
        check_at_least(0, eval_pieces=self.eval_pieces)


def read_settings(files: Sequence[str], bindings: Sequence[str]) -> Settings:
    """What the gin files and the bindings after them say.

    Raises:
      OSError: a file, or one that it includes, is not found.
      ValueError, TypeError, NameError, SyntaxError: what is written there is wrong; gin says where.
    """
    make_settings = _register()
    gin_files.parse(files, bindings)
    return make_settings()


@functools.cache
def _register() -> Callable[..., Settings]:
    """Tells gin what it may set; returns the `Settings` that it makes."""
    import gin
    from mt3x.audio.logfrequency import SpectraConfig
    from mt3x.audio.logmel import SpectrogramConfig
    from mt3x.data.pipeline.augmentation import AugmentationConfig
    from mt3x.data.pipeline.batches import BatchConfig
    from mt3x.data.pipeline.cut import SegmentSizes
    from mt3x.data.pipeline.grain_pipeline import PipelineConfig
    from mt3x.data.pipeline.pitch_shift import PitchShiftConfig
    from mt3x.data.pipeline.stem_mixing import MixConfig
    from mt3x.data.synthetic.examples import ExampleConfig
    from mt3x.data.synthetic.played_examples import PlayedConfig
    from mt3x.model.config import TransformerConfig
    from mt3x.model.trunk import TrunkConfig
    from mt3x.music.instruments import Granularity
    from mt3x.tokens.spec import NoteSpec
    from mt3x.tokens.vocabulary import VocabularyConfig
    from mt3x.training.adafactor import AdafactorConfig
    from mt3x.training.config import LossConfig, OptimizerConfig, TrainConfig
    from mt3x.training.frame_loss import FrameLossConfig
    from mt3x.training.schedule import LearningRateConfig
    from mt3x.training.sources.built import BuiltDatasets
    from mt3x.training.sources.seqio_task import SeqioTask
    from mt3x.training.sources.synthetic import DrawnMusic, PlayedMusic
    from mt3x.transcription.frames.config import FrameConfig, Thresholds
    from mt3x.transcription.tokens.config import TranscriptionConfig, transcription_config

    for names in (NoteSpec, Granularity):
        gin.constants_from_enum(names, module="mt3x")
    kinds = (
        *(SpectrogramConfig, VocabularyConfig, TransformerConfig, TranscriptionConfig, transcription_config),
        *(OptimizerConfig, AdafactorConfig, LearningRateConfig, LossConfig, TrainConfig),
        *(SpectraConfig, TrunkConfig, Thresholds, FrameConfig, FrameLossConfig, PlayedConfig, PlayedMusic),
        *(AugmentationConfig, BatchConfig, ExampleConfig, DrawnMusic),
        *(SegmentSizes, MixConfig, PitchShiftConfig, PipelineConfig, BuiltDatasets, SeqioTask),
    )
    return gin_files.register(Settings, "train", kinds)


def train_model(settings: Settings, stop_after_minutes: float | None, weights: str | None) -> None:
    """Trains; Ctrl-C, SIGTERM and `stop_after_minutes` save and stop early.

    Args:
      weights: what `--resume_from_weights` names.
    """
    from mt3x.training.evaluation import evaluate_pieces
    from mt3x.training.loop import Evaluation, train

    model, training = settings.model, settings.training
    start = _start(settings, weights)
    report = functools.partial(_report, training.total_steps, settings.source.batch_size, time.monotonic())
    pieces = settings.source.evaluation_pieces(settings.eval_pieces)
    evaluation = Evaluation(settings.eval_period, lambda params: evaluate_pieces(model, params, pieces))
    deadline = float("inf") if stop_after_minutes is None else time.monotonic() + 60 * stop_after_minutes
    with _Signals() as signals, settings.source.open(model) as feed:
        train(
            model,
            training,
            feed,
            Path(settings.model_dir),
            start=start,
            report=report,
            should_stop=lambda: signals.came or time.monotonic() > deadline,
            evaluation=evaluation if pieces else None,
        )


def _start(settings: Settings, weights: str | None) -> "Callable[[], StartingPoint] | None":
    """Where a run without checkpoints begins; None for fresh weights."""
    from mt3x.checkpoints import latest_step
    from mt3x.training.initialization import start_from_checkpoint, start_from_weights
    from mt3x.training.loop import CHECKPOINTS

    model, training = settings.model, settings.training
    if weights is not None:
        return lambda: _told(weights, start_from_weights(weights, model, training))
    path = settings.initial_checkpoint_path
    if path is None or latest_step(Path(settings.model_dir) / CHECKPOINTS) is not None:
        return None
    # Read at once: a run that cannot begin must not leave a directory that holds its configuration.
    point = _told(path, start_from_checkpoint(path, model, training, settings.initial_checkpoint_preset))
    return lambda: point


def _told(path: str, point: "StartingPoint") -> "StartingPoint":
    """The starting point; one line says what the weights there lack."""
    if point.fresh:
        layers = sorted({name.removeprefix("network/").rpartition("/")[0] for name in point.fresh})
        print(f"mt3x train: {path} has no {', '.join(layers)}; fresh weights for these", file=sys.stderr)
    return point


class _Signals:
    """Takes SIGTERM and Ctrl-C as wishes within the block: `came` tells; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.came = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: object) -> None:
        if self.came and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.came = True
        print("mt3x train: saving, then stopping", file=sys.stderr)


def _report(total_steps: int, batch_size: int, started: float, line: dict[str, float]) -> None:
    """One line for people: progress, or what an evaluation found."""
    words = [f"step {line['step']:.0f}/{total_steps}"]
    if "loss" not in line:
        words += [f"{name} {value:.3f}" for name, value in line.items() if name != "step"]
    else:
        minutes_left = (total_steps - line["step"]) * batch_size / line["examples_per_second"] / 60
        accuracies = [name for name in line if name.endswith("_accuracy")]
        words += [
            f"loss {line['loss']:.3f}",
            *(f"{name.replace('_', ' ')} {line[name]:.3f}" for name in accuracies),
        ]
        words += [f"{line['examples_per_second']:.1f} examples/s"]
        words += [f"{(time.monotonic() - started) / 60:.1f} min, {minutes_left:.0f} min left"]
    print("  ".join(words), file=sys.stderr)


if __name__ == "__main__":
    from mt3x.apps.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
