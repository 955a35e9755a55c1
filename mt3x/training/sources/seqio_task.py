"""A seqio task or mixture as a run's source."""

import contextlib
import dataclasses
from collections.abc import Iterator

from mt3x.data.pipeline.augmentation import AugmentationConfig, make_prepare
from mt3x.data.records.recordings import SAMPLE_RATE
from mt3x.music.checks import check_at_least
from mt3x.training.evaluation import Piece
from mt3x.training.loop import Feed
from mt3x.training.sources.sharing import divide, token_config
from mt3x.transcription.config import ModelConfig


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
        check_at_least(1, batch_size=self.batch_size)

    @contextlib.contextmanager
    def open(self, model: ModelConfig) -> Iterator[Feed]:
        """The feed of a model; with several processes, this one's part of it.

        Raises:
          ValueError: the model writes no tokens or reads another sample rate than that of the records, there
            is no such task or module, or the batch cannot be divided among the processes.
        """
        model = token_config(model, "SeqioTask", "BuiltDatasets")
        from mt3x.data.seqio.feed import SeqioBatches
        from mt3x.data.seqio.tasks import FrontEnd, TaskOptions, register_tasks, task_name

        process, processes = divide(self.batch_size)
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
