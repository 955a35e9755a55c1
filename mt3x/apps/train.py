"""`mt3x train`: trains a transcriber on examples drawn from scores, from gin files.

    python -m mt3x.apps.train --gin_file=run/default_model.gin --gin.MODEL_DIR="'runs/default'" \\
        --gin.SCORES_FILE="'openscore.npz'"

As in T5X, `--gin_file` may come several times, and `--gin.NAME=VALUE` sets one thing more; gin is read nowhere
else in the project. Files are looked up among one's own and in the package's `gin/`. The same command goes on with a
run that was stopped.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mt3x

GIN_DIRECTORIES = (Path(mt3x.__file__).parent / "gin", Path(mt3x.__file__).parents[1] / "gin")
"""In an installed package, and in a checkout."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train",
        help="train a model",
        description="Trains a model from gin files; goes on where a stopped run left off.",
    )
    parser.add_argument("--gin_file", action="append", default=[], metavar="FILE", help="may come several times")
    parser.add_argument(
        "--gin",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one gin binding, in T5X's spelling --gin.NAME=VALUE",
    )
    parser.add_argument("--stop_after_minutes", type=float, help="save and stop after this time")


def run(args: argparse.Namespace) -> int:
    """Trains; 0 when the run is complete or saved, 1 when it failed, 2 for a wrong configuration."""
    try:
        import gin  # noqa: F401
        import optax  # noqa: F401
    except ImportError as error:
        print(f"mt3x train: {error.name} is missing; pip install 'mt3x[train]'", file=sys.stderr)
        return 2
    try:
        start = _configured(args.gin_file, args.gin)
    except (ValueError, TypeError, OSError, SyntaxError) as error:
        print(f"mt3x train: {error}", file=sys.stderr)
        return 2
    try:
        start(stop_after_minutes=args.stop_after_minutes)
    except (ValueError, RuntimeError, FloatingPointError, OSError) as error:
        print(f"mt3x train: {error}", file=sys.stderr)
        return 1
    return 0


def _configured(files: list[str], bindings: list[str]) -> Callable[..., None]:
    """`train_on_drawn_examples` with everything set but `stop_after_minutes`."""
    import gin

    from mt3x.audio.logmel import SpectrogramConfig
    from mt3x.data.augmentation import AugmentationConfig
    from mt3x.data.batches import BatchConfig
    from mt3x.data.examples import ExampleConfig
    from mt3x.model.config import TransformerConfig
    from mt3x.music.instruments import Granularity
    from mt3x.runtime.presets import TranscriptionConfig
    from mt3x.runtime.state import OptimizerConfig
    from mt3x.runtime.step import LossConfig
    from mt3x.runtime.train import TrainConfig
    from mt3x.tokens.spec import NoteSpec
    from mt3x.tokens.vocabulary import VocabularyConfig

    for kind in (
        *(SpectrogramConfig, VocabularyConfig, TransformerConfig, TranscriptionConfig),
        *(OptimizerConfig, LossConfig, TrainConfig),
        *(AugmentationConfig, BatchConfig, ExampleConfig),
    ):
        gin.external_configurable(kind)
    for names in (NoteSpec, Granularity):
        gin.constants_from_enum(names, module="mt3x")
    for directory in GIN_DIRECTORIES:
        gin.add_config_file_search_path(str(directory))
    start = gin.configurable(train_on_drawn_examples)
    gin.parse_config_files_and_bindings(files, bindings)
    return start


def train_on_drawn_examples(
    model,
    training,
    examples,
    batches,
    augmentation,
    model_dir: str,
    scores_file: str,
    soundfonts: Sequence[str] = (),
    stop_after_minutes: float | None = None,
) -> None:
    """Trains `model` (a TranscriptionConfig) as `training` (TrainConfig) says, on examples drawn as the others say.

    Args:
      model_dir: where checkpoints and the log go.
      scores_file: scores packed by `mt3x.data.scores.pack_scores`.
      soundfonts: names or files, to render with.
      stop_after_minutes: saves and stops early.
    """
    from mt3x.data.batches import DrawnBatches
    from mt3x.data.sound import rendered_sound
    from mt3x.runtime.train import train

    sound = rendered_sound(soundfonts, examples, augmentation, model.spectrogram.sample_rate)
    started = time.monotonic()

    def report(line: dict[str, float]) -> None:
        left = (training.total_steps - line["step"]) * batches.batch_size / line["examples_per_second"]
        print(
            f"step {line['step']:.0f}/{training.total_steps}  loss {line['loss']:.3f}  "
            f"token accuracy {line['token_accuracy']:.3f}  frame loss {line['frame_loss']:.2f}  "
            f"{line['examples_per_second']:.1f} examples/s  "
            f"{(time.monotonic() - started) / 60:.1f} min, {left / 60:.0f} min left",
            file=sys.stderr,
        )

    with DrawnBatches(examples, batches, Path(scores_file), sound.open_sources, model.segment_frames) as drawn:
        train(
            model,
            training,
            drawn,
            sound.prepare,
            sound.resources,
            Path(model_dir),
            report,
            stop_after_seconds=None if stop_after_minutes is None else 60 * stop_after_minutes,
        )


if __name__ == "__main__":
    from mt3x.apps.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
