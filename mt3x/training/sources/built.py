"""Data sets that `mt3x prepare` built as a run's source, drawn from by Grain.

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
from mt3x.data.pipeline.grain_pipeline import PipelineConfig, open_pipeline
from mt3x.data.pipeline.stem_mixing import example_mixing
from mt3x.data.records.array_records import Records
from mt3x.data.records.recordings import SAMPLE_RATE, check_sample_rate
from mt3x.training.evaluation import Piece
from mt3x.training.loop import Feed
from mt3x.training.sources.sharing import divide, same_for_all
from mt3x.transcription.config import ModelConfig
from mt3x.transcription.frames.config import FrameConfig


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
          ValueError: the batch cannot be divided among the processes, or the model reads another sample rate
            than that of the data sets.
          DataError: a data set is not there.
        """
        check_sample_rate(model.sample_rate)
        process, processes = divide(self.batch_size)
        pipeline = _fitted(self.pipeline, model)
        pipeline = dataclasses.replace(
            pipeline,
            batch_size=self.batch_size // processes,
            target_lengths=(
                pipeline.target_lengths if processes == 1 else same_for_all(pipeline.target_lengths)
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
