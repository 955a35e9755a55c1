"""What a training run is told: lengths, the loss, the optimizer, the devices. Values only.

`RunConfig` is what all runs are told, those of the models of scores too (`training.score_models`).
"""

import dataclasses
import re
from typing import Literal, get_args

from mt3x.music.checks import check_at_least, check_positive
from mt3x.training.adafactor import AdafactorConfig
from mt3x.training.frame_loss import FrameLossConfig

OptimizerName = Literal["muon", "adamw"]


def _check_decay(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it must be in [0, 1)")


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """The loss of a model that writes tokens: theirs, and that of an auxiliary head on the encoder.

    Attributes:
      z_loss: T5X's penalty on the log of the softmax normaliser.
      label_smoothing: share of a target's probability that the other tokens get; MT3 pretrains with 0.1.
      frame_weight: weight of the auxiliary frame head's loss at the start; at 0 there is none, as in MT3.
      frame_weight_final: its share that is left after `frame_weight_until` of the run.
      onset_positive_weight: weight of cells that hold an onset over cells that do not, which are far more.
      shift_jitter_steps: the decoder reads the shifts before a token with random errors, whose standard
        deviation is drawn for each example from 0 to this. Its own shifts will be off by a step or two: a
        decoder that has only read true ones writes a note again that it wrote too early. MT3 has none.

    Raises:
      ValueError: a weight below 0, or label smoothing outside [0, 1).
    """

    z_loss: float = 1e-4
    label_smoothing: float = 0.0
    frame_weight: float = 0.2
    frame_weight_final: float = 0.15
    frame_weight_until: float = 0.7
    onset_positive_weight: float = 5.0
    shift_jitter_steps: float = 0.0

    def __post_init__(self) -> None:
        check_at_least(
            0,
            z_loss=self.z_loss,
            frame_weight=self.frame_weight,
            frame_weight_final=self.frame_weight_final,
            shift_jitter_steps=self.shift_jitter_steps,
        )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; it must be in [0, 1)")


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Muon or AdamW, their learning rates and schedule; T5X's optimizer is an `AdafactorConfig`.

    Attributes:
      name: "muon" for the layers' matrices with Adam for everything else, or "adamw" for all.
      learning_rate: the peak; Muon's updates are scaled to an RMS of 0.2 as AdamW's.
      adam_learning_rate: of the Adam beside Muon.
      weight_decay: of AdamW; b2: AdamW's decay of the mean of squared gradients.
      warmup_steps: the rates rise linearly from 0.
      decay_from: share of the run after which the rates fall by a half cosine to `final_fraction`.
      clip_norm: gradients with a larger global norm are scaled down to it.

    Raises:
      ValueError: a name that does not exist, or a number outside its limits.
    """

    name: OptimizerName = "muon"
    learning_rate: float = 2e-3
    adam_learning_rate: float = 2e-3
    weight_decay: float = 0.0
    b2: float = 0.98
    warmup_steps: int = 200
    decay_from: float = 0.3
    final_fraction: float = 0.01
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in get_args(OptimizerName):
            raise ValueError(
                f"optimizer is {self.name!r}; choose one of {', '.join(get_args(OptimizerName))}"
            )
        check_at_least(
            0,
            learning_rate=self.learning_rate,
            adam_learning_rate=self.adam_learning_rate,
            weight_decay=self.weight_decay,
            warmup_steps=self.warmup_steps,
        )
        check_positive(clip_norm=self.clip_norm)
        _check_decay("b2", self.b2)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """What every run is told, whatever it trains.

    Attributes:
      total_steps: length of the run; learning rates fall along it.
      seed: of the weights, and of what is drawn in the step.
      log_every: steps between two lines of the log, each the mean over those steps.
      average_decay: of the moving average of the weights, which is what is evaluated and shipped; with 0 that
        is the weights themselves, as in MT3.
      frozen: regular expressions for whole names of parameters, such as "encoder/.*", that stay as they are
        (`optimizer.is_frozen`).

    Raises:
      ValueError: a number below 1, average_decay outside [0, 1), or no regular expressions.
    """

    total_steps: int = 10_000
    seed: int = 0
    log_every: int = 50
    average_decay: float = 0.998
    optimizer: OptimizerConfig | AdafactorConfig = OptimizerConfig()
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_at_least(1, total_steps=self.total_steps, log_every=self.log_every)
        _check_decay("average_decay", self.average_decay)
        if isinstance(self.frozen, str):
            raise ValueError(f"frozen is the text {self.frozen!r}; give a tuple: ({self.frozen!r},)")
        for pattern in self.frozen:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"frozen: {pattern!r} is no regular expression: {error}") from error


@dataclasses.dataclass(frozen=True)
class ResumedRunConfig(RunConfig):
    """A run that goes on where it was stopped.

    Attributes:
      checkpoint_seconds: wall time between two checkpoints.
    """

    checkpoint_seconds: float = 120.0


@dataclasses.dataclass(frozen=True)
class TrainConfig(ResumedRunConfig):
    """A run of a transcriber.

    Attributes:
      keep_checkpoints: how many stay.
      has_alignment_prior: start with attention aligned in time (`model.alignment_prior`).
      num_microbatches: a batch is worked on in so many parts, whose gradients are added up: less memory.
      has_remat: layers are computed again in the backward pass instead of kept: less memory, more work.
      profile_at: the step at which a few are profiled; None for never.
      model_devices: over how many devices each parameter is split; batches are split over the rest.
      loss: the auxiliary frame head's weight falls along the run.

    Raises:
      ValueError: as `RunConfig`.
    """

    keep_checkpoints: int = 2
    has_alignment_prior: bool = True
    num_microbatches: int = 1
    has_remat: bool = False
    model_devices: int = 1
    profile_at: int | None = None
    loss: LossConfig | FrameLossConfig = LossConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(
            1,
            keep_checkpoints=self.keep_checkpoints,
            num_microbatches=self.num_microbatches,
            model_devices=self.model_devices,
        )
