"""Where a run's examples come from, as gin names it: music drawn at random, built data sets, seqio tasks.

What the model fixes (length of a segment, vocabulary, how notes are written) is taken from the model, so
that a gin file says it once.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mt3x.data.pipeline.augmentation import AugmentationConfig, make_prepare
from mt3x.data.pipeline.batches import BatchConfig, DrawnBatches
from mt3x.data.pipeline.grain_pipeline import PipelineConfig, open_pipeline
from mt3x.data.pipeline.sound import note_bank_sound, rendered_sound
from mt3x.data.pipeline.stem_mixing import example_mixing
from mt3x.data.records.array_records import Records
from mt3x.data.records.recordings import SAMPLE_RATE
from mt3x.data.synthetic.examples import ExampleConfig, open_example_maker
from mt3x.data.synthetic.played_examples import PlayedConfig, open_played_examples
from mt3x.synthesis.sampled.instruments import load_samples
from mt3x.synthesis.soundfonts import find_soundfont
from mt3x.training.evaluation import Piece
from mt3x.training.loop import Feed
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.mesh import this_process
from mt3x.transcription.models import ModelConfig
from mt3x.transcription.tokens.config import TranscriptionConfig


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
        model = _token_config(model, "DrawnMusic", "PlayedMusic")
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
        with DrawnBatches(_share(self.batches), open_maker, model.segment_frames) as drawn:
            yield Feed(drawn, sound.prepare, sound.resources)

    def evaluation_pieces(self, count: int) -> list[Piece]:
        """None: what is drawn has no pieces that are held out."""
        return []


def _share(batches: BatchConfig) -> BatchConfig:
    """What this process draws of each batch.

    Raises:
      ValueError: the batch cannot be divided among the processes.
    """
    process, processes = _divide(batches.batch_size)
    if processes == 1:
        return batches
    return dataclasses.replace(
        batches,
        batch_size=batches.batch_size // processes,
        seed=batches.seed + process * _SEEDS_APART,
        target_lengths=_same_for_all(batches.target_lengths),
    )


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
        with DrawnBatches(_share(self.batches), open_maker, model.segment_frames) as drawn:
            yield Feed(drawn, lambda key, batch, resources: batch["samples"])

    def evaluation_pieces(self, count: int) -> list[Piece]:
        """None: what is drawn has no pieces that are held out."""
        return []


@dataclasses.dataclass(frozen=True)
class BuiltDatasets:
    """Data sets that `mt3x prepare` built, drawn from by Grain, without TensorFlow, for models of both kinds.

    Attributes:
      data_dir: the folder that holds a folder for each of `names`.
      pipeline: how segments are drawn; its `temperature` says how often from which data set.
      max_examples_per_mix: MT3's mixing, up to so many examples heard together; None: as `pipeline` says.
      augmentation: None leaves the audio as it is.
      train_split, validation_split: which are trained on, and evaluated on while training.

    Raises:
      ValueError: there is no name.
    """

    data_dir: str
    names: Sequence[str]
    pipeline: PipelineConfig
    max_examples_per_mix: int | None = None
    augmentation: AugmentationConfig | None = None
    train_split: str = "train"
    validation_split: str = "validation"

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("names are (); give the data sets to train on, such as ('openscore_synth',)")

    @property
    def batch_size(self) -> int:
        return self.pipeline.batch_size

    @contextlib.contextmanager
    def open(self, model: ModelConfig) -> Iterator[Feed]:
        """The feed of a model, until the block ends; with several processes, this one's part of it.

        The batches of a frame recogniser hold no `targets`.

        Raises:
          ValueError: the batch cannot be divided among the processes.
          DataError: a data set is not there.
        """
        process, processes = _divide(self.batch_size)
        pipeline = _fitted(self.pipeline, model)
        pipeline = dataclasses.replace(
            pipeline,
            batch_size=self.batch_size // processes,
            target_lengths=(
                pipeline.target_lengths if processes == 1 else _same_for_all(pipeline.target_lengths)
            ),
            shard_index=process,
            shard_count=processes,
        )
        if self.max_examples_per_mix is not None:
            pipeline = dataclasses.replace(pipeline, mix=example_mixing(self.max_examples_per_mix))
        dataset = open_pipeline(self._records(self.train_split), pipeline)
        if isinstance(model, FrameConfig):
            dataset = dataset.map(functools.partial(_for_frames, model))
        batches = iter(dataset)
        try:
            yield Feed(batches, make_prepare(model.segment_samples, SAMPLE_RATE, self.augmentation))
        finally:
            batches.close()

    def evaluation_pieces(self, count: int) -> list[Piece]:
        """Up to `count` whole pieces of the validation split, as many of each data set as can be."""
        sources = self._records(self.validation_split)
        places = [(source, index) for index in range(count) for source in sources if index < len(source)]
        examples = [source[index] for source, index in places[:count]]
        return [Piece(example.samples, SAMPLE_RATE, example.notes) for example in examples]

    def _records(self, split: str) -> list[Records]:
        return [Records(Path(self.data_dir) / name, split) for name in self.names]


def _fitted(pipeline: PipelineConfig, model: ModelConfig) -> PipelineConfig:
    """The pipeline with what the model fixes: the length of segments, and how notes are written."""
    if isinstance(model, FrameConfig):
        hop_samples, vocabulary = model.spectra.hop_samples, pipeline.vocabulary
        lengths = (_MOST_TOKENS_OF_A_NOTE * pipeline.max_notes,)
    else:
        hop_samples, vocabulary = model.spectrogram.hop_width, model.vocabulary
        shorter = [length for length in pipeline.target_lengths if length < model.max_target_length]
        lengths = (*shorter, model.max_target_length)
    return dataclasses.replace(
        pipeline,
        sizes=dataclasses.replace(
            pipeline.sizes, segment_frames=model.segment_frames, hop_samples=hop_samples
        ),
        target_lengths=lengths,
        vocabulary=vocabulary,
        spec=model.spec,
        granularity=model.granularity,
    )


_MOST_TOKENS_OF_A_NOTE = 16
"""Above the two in the tie section, four at the onset and four at the offset that a note takes: no example is
refused for tokens that a frame recogniser does not read."""


def _for_frames(model: FrameConfig, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A batch of the pipeline as a frame recogniser reads it, without tokens.

    A segment that is cut off, at the end of its piece, is silent from there on: its notes end there, too.
    """
    notes = {name: values for name, values in batch.items() if name != "targets"}
    is_cut = batch["num_frames"] < model.segment_frames
    heard_seconds = np.where(is_cut, batch["num_frames"] / np.float32(model.frames_per_second), np.inf)
    notes["note_end"] = np.minimum(batch["note_end"], heard_seconds[:, None]).astype(np.float32)
    return notes


@dataclasses.dataclass(frozen=True)
class SeqioTask:
    """A seqio task or mixture under MT3's name, drawn from by seqio: needs TensorFlow, and no frame head.

    Attributes:
      name: first word of the task's name: a data set's, or "mega"; the rest follows from the model.
      data_dir: the folder that holds a folder of records for each data set.
      module: registers the tasks (`register_tasks`); None where they are registered.
      cache_dir: where `seqio_cache_tasks` left examples, to read these; None makes them of the records.
      max_examples_per_mix: MT3's mixing, up to so many examples heard together; None: one.
      augmentation: None leaves the audio as it is.

    Raises:
      ValueError: the batch is empty.
    """

    name: str
    data_dir: str
    batch_size: int
    seed: int = 0
    module: str | None = None
    cache_dir: str | None = None
    max_examples_per_mix: int | None = None
    augmentation: AugmentationConfig | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be at least 1")

    @contextlib.contextmanager
    def open(self, model: ModelConfig) -> Iterator[Feed]:
        """The feed of a model; with several processes, this one's part of it.

        Raises:
          ValueError: the model writes no tokens, there is no such task or module, or the batch cannot be
            divided among the processes.
        """
        model = _token_config(model, "SeqioTask", "BuiltDatasets")
        from mt3x.data.seqio.feed import SeqioBatches
        from mt3x.data.seqio.tasks import FrontEnd, TaskOptions, register_tasks, task_name

        process, processes = _divide(self.batch_size)
        options = TaskOptions(
            data_dir=self.data_dir,
            front_end=FrontEnd.IN_STEP,
            granularity=model.granularity,
            max_examples_per_mix=self.max_examples_per_mix,
            spectrogram=model.spectrogram,
        )
        if self.module is not None:
            register_tasks(self.module, options)
        batches = SeqioBatches(
            task_name(self.name, model.spec, model.vocabulary, "train", options),
            {"inputs": model.segment_frames, "targets": model.max_target_length},
            self.batch_size // processes,
            self.seed,
            self.cache_dir,
            process,
            processes,
        )
        yield Feed(batches, make_prepare(model.segment_samples, SAMPLE_RATE, self.augmentation))

    def evaluation_pieces(self, count: int) -> list[Piece]:
        """None yet: pieces are read from records, by `BuiltDatasets`."""
        return []


def _token_config(model: ModelConfig, source: str, instead: str) -> TranscriptionConfig:
    """The model, where it is one that writes tokens.

    Raises:
      ValueError: it is a frame recogniser.
    """
    if isinstance(model, TranscriptionConfig):
        return model
    raise ValueError(
        f"{source} makes tokens, which a frame recogniser does not read; give it {instead} instead"
    )


_SEEDS_APART = 1_000_003
"""So far apart are the seeds of processes that draw: another run's seed is no other process's here."""


def _same_for_all(target_lengths: Sequence[int]) -> tuple[int, ...]:
    """The longest alone: processes pad their parts of a batch each for itself, but to one shape."""
    return (target_lengths[-1],)


def _divide(batch_size: int) -> tuple[int, int]:
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
