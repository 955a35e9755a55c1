"""Synthetic examples as a run's source: music drawn at random, and played.

What the model fixes (length of a segment, vocabulary, how notes are written) is taken from the model, so
that a gin file says it once.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from mt3x.data.pipeline.augmentation import AugmentationConfig
from mt3x.data.pipeline.batches import BatchConfig, DrawnBatches
from mt3x.data.pipeline.sound import note_bank_sound, rendered_sound
from mt3x.data.synthetic.examples import ExampleConfig, open_example_maker
from mt3x.data.synthetic.played_examples import PlayedConfig, open_played_examples
from mt3x.synthesis.sampled.instruments import load_samples
from mt3x.synthesis.soundfonts import find_soundfont
from mt3x.training.evaluation import Piece
from mt3x.training.loop import Feed
from mt3x.training.sources.sharing import share_of, token_config
from mt3x.transcription.config import ModelConfig
from mt3x.transcription.frames.config import FrameConfig


@dataclasses.dataclass(frozen=True)
class DrawnMusic:
    """Score excerpts and random notes, drawn anew for every example and played with soundfonts.

    Attributes:
      scores_file: scores packed by `mt3x prepare scores`.
      soundfonts: names or files, to render with; or
      note_banks: folders that `mt3x prepare note-bank` wrote, to compose audio inside the step.

    Raises:
      ValueError: there is no file of scores, or not either soundfonts or note banks.
    """

    examples: ExampleConfig
    batches: BatchConfig
    augmentation: AugmentationConfig
    scores_file: str
    soundfonts: Sequence[str] = ()
    note_banks: Sequence[str] = ()

    def __post_init__(self) -> None:
        if bool(self.soundfonts) == bool(self.note_banks):
            raise ValueError(
                f"soundfonts are {self.soundfonts} and note_banks {self.note_banks}; "
                "give one of the two, such as soundfonts = ('FluidR3_GM',)"
            )
        if not Path(self.scores_file).is_file():
            raise ValueError(f"scores_file {self.scores_file} is missing; mt3x prepare scores makes it")

    @property
    def batch_size(self) -> int:
        return self.batches.batch_size

    @contextlib.contextmanager
    def open(self, model: ModelConfig) -> Iterator[Feed]:
        """The feed of a model, until the block ends; with several processes, this one's part of it.

        Raises:
          ValueError: examples may be longer than what the model writes, or the batch cannot be divided among
            the processes.
          SynthesisError: a soundfont is missing.
        """
        model = token_config(model, "DrawnMusic", "PlayedMusic")
        if self.batches.target_lengths[-1] < self.examples.max_tokens:
            raise ValueError(
                f"target_lengths end at {self.batches.target_lengths[-1]}, but examples have up to "
                f"{self.examples.max_tokens} tokens; let the last length be at least max_tokens"
            )
        if self.examples.max_tokens > model.max_target_length:
            raise ValueError(
                f"ExampleConfig.max_tokens is {self.examples.max_tokens}; the model writes at most "
                f"max_target_length, {model.max_target_length}: make it no more"
            )
        examples = dataclasses.replace(
            self.examples,
            segment_seconds=model.segment_seconds,
            vocabulary=model.vocabulary,
            spec=model.spec,
            granularity=model.granularity,
        )
        make_sound = note_bank_sound if self.note_banks else rendered_sound
        sound = make_sound(
            self.note_banks or self.soundfonts, examples, self.augmentation, model.spectrogram.sample_rate
        )
        open_maker = functools.partial(
            open_example_maker, examples, Path(self.scores_file), sound.open_sources
        )
        with DrawnBatches(share_of(self.batches), open_maker, model.segment_frames) as drawn:
            yield Feed(drawn, sound.prepare, sound.resources)

    def evaluation_pieces(self, count: int) -> list[Piece]:
        """None: what is drawn has no pieces that are held out."""
        return []


@dataclasses.dataclass(frozen=True)
class PlayedMusic:
    """Music drawn anew for every example, played by sampled instruments, soundfonts and synthesisers: what
    the frame recogniser learns from.

    Attributes:
      scores_file: scores packed by `mt3x prepare scores`; bands_file: lead sheets and drummers packed by
        `mt3x prepare bands`.
      samples_folder: instruments packed by `mt3x prepare note-bank --samples`; None for none.
      soundfonts: names or files.
      held_out: instruments of the samples that are not played, to measure on.

    Raises:
      ValueError: a file is missing, or there is no soundfont.
    """

    examples: PlayedConfig
    batches: BatchConfig
    scores_file: str
    bands_file: str
    samples_folder: str | None = None
    soundfonts: Sequence[str] = ()
    held_out: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, kind in (("scores_file", "scores"), ("bands_file", "bands")):
            if not Path(getattr(self, name)).is_file():
                raise ValueError(f"{name} {getattr(self, name)} is missing; mt3x prepare {kind} makes it")
        if not self.soundfonts:
            raise ValueError("soundfonts are (); give at least one, such as ('FluidR3_GM',)")

    @property
    def batch_size(self) -> int:
        return self.batches.batch_size

    @contextlib.contextmanager
    def open(self, model: ModelConfig) -> Iterator[Feed]:
        """The feed of a model, until the block ends; with several processes, this one's part of it.

        Raises:
          ValueError: the model writes tokens, the batch cannot be divided among processes, the samples are
            not packed, or they have no such instrument as is held out.
          SynthesisError: a soundfont is missing.
        """
        if not isinstance(model, FrameConfig):
            raise ValueError("PlayedMusic has no tokens, which the model writes; give it DrawnMusic instead")
        for name in self.soundfonts:  # fail here, not in a worker
            find_soundfont(name)
        if self.samples_folder is not None:
            load_samples(self.samples_folder).without(self.held_out)
        examples = dataclasses.replace(
            self.examples, segment_seconds=model.segment_seconds, sample_rate=model.spectra.sample_rate
        )
        open_maker = functools.partial(
            open_played_examples,
            examples,
            self.scores_file,
            self.bands_file,
            self.samples_folder,
            tuple(self.soundfonts),
            tuple(self.held_out),
        )
        with DrawnBatches(share_of(self.batches), open_maker, model.segment_frames) as drawn:
            yield Feed(drawn, lambda key, batch, resources: batch["samples"])

    def evaluation_pieces(self, count: int) -> list[Piece]:
        """None: what is drawn has no pieces that are held out."""
        return []
