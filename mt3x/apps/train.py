"""`mt3x train`: trains a transcriber on examples drawn from scores, from gin files.

    python -m mt3x.apps.train --gin_file=run/default_model.gin --gin.MODEL_DIR="'runs/default'" \\
        --gin.SCORES_FILE="'openscore.npz'"

As in T5X, `--gin_file` may come several times, and `--gin.NAME=VALUE` sets one thing more; gin is read
nowhere else in the project. Files are looked up among one's own and in the package's `gin/`. The same command
goes on with a run that was stopped.
"""

import argparse
import dataclasses
import functools
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import mt3x

if TYPE_CHECKING:
    from mt3x.data.augmentation import AugmentationConfig
    from mt3x.data.batches import BatchConfig
    from mt3x.data.examples import ExampleConfig
    from mt3x.runtime.presets import TranscriptionConfig
    from mt3x.runtime.train import TrainConfig

GIN_DIRECTORIES = (Path(mt3x.__file__).parent / "gin", Path(mt3x.__file__).parents[1] / "gin")
"""In an installed package, and in a checkout."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train",
        help="train a model",
        description="Trains a model from gin files; goes on where a stopped run left off.",
    )
    parser.add_argument(
        "--gin_file", action="append", required=True, metavar="FILE", help="may come several times"
    )
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
        import gin.config  # noqa: F401  (plain `import gin` finds a checkout's folder of gin files)
        import optax  # noqa: F401
    except ImportError as error:
        print(f"mt3x train: {error.name} is missing; pip install 'mt3x[train]'", file=sys.stderr)
        return 2
    try:
        settings = read_settings(args.gin_file, args.gin)
    except (ValueError, TypeError, NameError, OSError, SyntaxError) as error:
        print(f"mt3x train: {_one_line(error)}", file=sys.stderr)
        return 2
    try:
        train_on_drawn_examples(settings, args.stop_after_minutes)
    except (ValueError, RuntimeError, FloatingPointError, OSError) as error:
        print(f"mt3x train: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


_NOT_SET = re.compile(r"No bindings specified for '(\w+)/gin\.macro'")
_NOT_A_VALUE = re.compile(r"Failed to parse token '(.*)' \(line \d+\)")
_GIN_DETAILS = re.compile(r"\s*(No values supplied by Gin|In call to configurable) .*", re.DOTALL)
_LINE_NUMBER = re.compile(r"In bindings string line \d+")  # of all files and bindings together
_INCLUDE = re.compile(r"""^include\s+(['"])(.*)\1\s*(#.*)?$""", re.MULTILINE)


def _one_line(error: Exception) -> str:
    """What an error says, in one line, without the details that gin adds."""
    text = str(error)
    if found := _NOT_SET.search(text):
        return f"{found[1]} is not set; add --gin.{found[1]}=VALUE"
    if found := _NOT_A_VALUE.search(text):
        return f"{found[1]} is not a value; text needs quotes of its own: --gin.NAME=\"'text'\""
    return " ".join(_LINE_NUMBER.sub("In", _GIN_DETAILS.sub("", text)).split())


@dataclasses.dataclass(frozen=True)
class Settings:
    """What gin files set under the name `train_on_drawn_examples`.

    Attributes:
      model: what is trained; training: how; examples, batches, augmentation: on what.
      model_dir: where checkpoints and the log go.
      scores_file: scores packed by `mt3x prepare scores`.
      soundfonts: names or files, to render with; or
      note_banks: folders that `mt3x prepare note-bank` wrote, to compose audio inside the step.

    Raises:
      ValueError: the examples are not of the model's length or tokens, there is no file of scores, or not
        either soundfonts or note banks.
    """

    model: "TranscriptionConfig"
    training: "TrainConfig"
    examples: "ExampleConfig"
    batches: "BatchConfig"
    augmentation: "AugmentationConfig"
    model_dir: str
    scores_file: str
    soundfonts: Sequence[str] = ()
    note_banks: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("segment_seconds", "vocabulary", "spec", "granularity"):
            wanted, given = getattr(self.model, name), getattr(self.examples, name)
            if given != wanted:
                raise ValueError(f"ExampleConfig.{name} is {given}; the model's is {wanted}: make them equal")
        if self.examples.max_tokens > self.model.max_target_length:
            raise ValueError(
                f"ExampleConfig.max_tokens is {self.examples.max_tokens}; the model writes at most "
                f"max_target_length, {self.model.max_target_length}: make it no more"
            )
        if bool(self.soundfonts) == bool(self.note_banks):
            raise ValueError(
                f"soundfonts are {self.soundfonts} and note_banks {self.note_banks}; "
                "give one of the two, such as soundfonts = ('FluidR3_GM',)"
            )
        if not Path(self.scores_file).is_file():
            raise ValueError(f"scores_file {self.scores_file} is missing; mt3x prepare scores makes it")


def read_settings(files: Sequence[str], bindings: Sequence[str]) -> Settings:
    """What the gin files and the bindings after them say.

    Raises:
      OSError: a file, or one that it includes, is not found.
      ValueError, TypeError, NameError, SyntaxError: what is written there is wrong; gin says where.
    """
    import gin

    make_settings = _register()
    gin.clear_config()
    gin.parse_config_files_and_bindings([], [*map(_with_includes, files), *bindings])
    return make_settings()


def _with_includes(name: str) -> str:
    """The text of a gin file, with those that it includes in their places.

    gin's own search also asks for Python packages: it fails where a folder of one's own is called like one of
    ours (`run`), and logs an error for each place where a file is not.
    """
    paths = (folder / name for folder in (Path(), *GIN_DIRECTORIES))
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        places = ", ".join(str(folder) for folder in GIN_DIRECTORIES)
        raise FileNotFoundError(f"there is no gin file {name}, here or in {places}")
    return _INCLUDE.sub(lambda found: _with_includes(found[2]), path.read_text(encoding="utf-8"))


@functools.cache  # gin's register is global, and takes each name once
def _register() -> Callable[..., Settings]:
    """Tells gin what it may set; returns the `Settings` that it makes."""
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
    return gin.external_configurable(Settings, "train_on_drawn_examples")  # pyright: ignore[reportReturnType]


def train_on_drawn_examples(settings: Settings, stop_after_minutes: float | None = None) -> None:
    """Trains on examples drawn from scores and at random; `stop_after_minutes` saves and stops early."""
    from mt3x.data.batches import DrawnBatches
    from mt3x.data.sound import note_bank_sound, rendered_sound
    from mt3x.runtime.train import train

    model, training, batches = settings.model, settings.training, settings.batches
    make_sound = note_bank_sound if settings.note_banks else rendered_sound
    sound = make_sound(
        settings.note_banks or settings.soundfonts,
        settings.examples,
        settings.augmentation,
        model.spectrogram.sample_rate,
    )
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

    with DrawnBatches(
        settings.examples, batches, Path(settings.scores_file), sound.open_sources, model.segment_frames
    ) as drawn:
        train(
            model,
            training,
            drawn,
            sound.prepare,
            sound.resources,
            Path(settings.model_dir),
            report,
            stop_after_seconds=None if stop_after_minutes is None else 60 * stop_after_minutes,
        )


if __name__ == "__main__":
    from mt3x.apps.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
