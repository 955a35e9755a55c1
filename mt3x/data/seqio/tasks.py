"""One transcription data set as seqio tasks: MT3's names, MT3's order of steps.

`add_transcription_task_to_registry` adds, for a data set and a way of writing notes,

    NAME_notes_ties_vb1_train        random chunks with targets; its split "eval" reads validation data
    NAME_notes_ties_vb1_validation   whole recordings cut in order, with reference notes; one task for each of
    NAME_notes_ties_vb1_test, ...    the data set's evaluation splits, each with the one split "eval"
    NAME_notes_ties_vb1_eval         mixture of those evaluation tasks that MT3 puts there

With `front_end=IN_STEP` the names end in `_in_step`, and the examples hold samples in the place of log-mel.

Sequence lengths, as in `get_dataset(sequence_length={"inputs": 256, "targets": 1024})`, count frames and ids
for either front end. Adding a task again replaces it.

Source: MT3 `tasks.py`, `datasets.py` and `vocabularies.py` (whose GenericTokenVocabulary is wrapped here).
"""

import dataclasses
import enum
import functools
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import seqio  # pyright: ignore[reportMissingImports]
import tensorflow as tf  # pyright: ignore[reportMissingImports]

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.data.records.recordings import check_sample_rate
from mt3x.data.seqio import evaluation
from mt3x.data.seqio import preprocessors as steps
from mt3x.data.seqio.sources import DATA_DIR_VARIABLE, RecordsSource, Selection, TFRecordSource
from mt3x.music.checks import check_at_least
from mt3x.music.instruments import Granularity
from mt3x.tokens.codec import Codec
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import (
    EOS_ID,
    NUM_SPECIAL_IDS,
    UNK_ID,
    Vocabulary,
    VocabularyConfig,
    build_codec,
    vocabulary_from_codec,
)

MAX_NUM_CACHED_FRAMES = 2000
"""Recordings are cut into segments of this many frames before they are cached."""

TFRECORD_ROOT_VARIABLE = "MT3X_TFRECORD_ROOT"
"""The environment variable that names where MT3's own files lie: "gs://", or a folder with the same below."""

MT3_VOCABULARY = VocabularyConfig(num_velocity_bins=127)
MULTI_INSTRUMENT_VOCABULARY = VocabularyConfig(num_velocity_bins=1)


class FrontEnd(enum.Enum):
    """What the network's input is made by, and so what a task's examples hold."""

    LOG_MEL = "log_mel"
    """The task: `inputs` float32 [F, 512], as MT3's."""
    IN_STEP = "in_step"
    """The training step: `samples` float32 [N] and `num_frames` int32 []."""


@dataclasses.dataclass(frozen=True)
class TaskOptions:
    """How tasks are made; the defaults are MT3's tasks over our records.

    Attributes:
      data_dir: folder that holds a folder for each data set, made by `mt3x prepare`; None asks the
        environment variable MT3X_DATA_DIR. Data need not be there before they are read.
      tfrecord_root: read MT3's own TFRecord files instead: "gs://", or a folder in which `mt3/data/datasets`
        and `magentadata/datasets` lie as they do there; None asks MT3X_TFRECORD_ROOT, and where that is not
        set our records are read. Data sets that MT3 does not have are always read from records.
      front_end: what makes the network's input; also as a word, "log_mel" or "in_step".
      granularity: how finely targets tell instruments apart; also as a word, such as "midi_class".
      max_examples_per_mix: hear up to so many examples at once; None: one.
      skip_too_long: leave out examples with too many target ids, instead of failing.
      mt3_compatible: write what MT3 writes, its faults included (stale ties, untrimmed overlaps).
      metric_fns: of evaluation tasks; each takes the lists of targets and predictions of `postprocess`. None
        for MT3's (`evaluation.transcription_metrics`).
      spectrogram: the front end's numbers.
      shuffle_buffer_size: examples; MT3's 1000 hold 0.5 GB of log-mel at 256 frames.

    Raises:
      ValueError: no such front end or granularity, mixes of no examples, a buffer for none, or a spectrogram
        of another sample rate than that of the records.
    """

    data_dir: str | None = None
    tfrecord_root: str | None = None
    front_end: FrontEnd = FrontEnd.LOG_MEL
    granularity: Granularity = Granularity.FULL
    max_examples_per_mix: int | None = None
    skip_too_long: bool = False
    mt3_compatible: bool = False
    metric_fns: Sequence[Callable[..., Any]] | None = None
    spectrogram: SpectrogramConfig = SpectrogramConfig()
    shuffle_buffer_size: int = seqio.SHUFFLE_BUFFER_SIZE

    def __post_init__(self) -> None:
        for name, kind in (("front_end", FrontEnd), ("granularity", Granularity)):
            value = getattr(self, name)
            words = [member.value for member in kind]
            if value not in words and not isinstance(value, kind):
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(words)}")
            object.__setattr__(self, name, kind(value))
        check_sample_rate(self.spectrogram.sample_rate)
        check_at_least(
            1, max_examples_per_mix=self.max_examples_per_mix, shuffle_buffer_size=self.shuffle_buffer_size
        )


@dataclasses.dataclass(frozen=True)
class Split:
    """Where the examples of one split are.

    Attributes:
      records: in our records.
      pattern: MT3's files, below `gs://`; None where there are none.
      num_input_examples: in MT3's files. Of our records the manifest tells.
    """

    records: Selection
    pattern: str | None = None
    num_input_examples: int | None = None


@dataclasses.dataclass(frozen=True)
class InferEvalSplit:
    """One evaluation task: its split, its name's ending, whether it is in the mixture of evaluation tasks."""

    name: str
    suffix: str
    include_in_mixture: bool = True


@dataclasses.dataclass(frozen=True)
class DatasetConfig:
    """The data table of a data set.

    Attributes:
      name: first word of its tasks, and its folder of records.
      splits: by name.
      infer_eval_splits: one for each evaluation task.
      layout: of MT3's files, one of `mt3_records.LAYOUTS`.
      train_split, train_eval_split: what the train task's splits "train" and "eval" read.
      trims_overlaps: MT3 trims overlapping notes of this data set in training. By default all are trimmed.
    """

    name: str
    splits: Mapping[str, Split]
    infer_eval_splits: Sequence[InferEvalSplit]
    layout: str | None = None
    train_split: str = "train"
    train_eval_split: str = "validation"
    trims_overlaps: bool = False


EVAL_ON_SPLITS = (
    InferEvalSplit("train", "eval_train"),
    InferEvalSplit("validation", "validation"),
    InferEvalSplit("test", "test", include_in_mixture=False),
)
"""MT3's evaluation tasks of data sets that are small."""

EVAL_ON_SUBSETS = (
    InferEvalSplit("train", "eval_train_full", include_in_mixture=False),
    InferEvalSplit("train_subset", "eval_train"),
    InferEvalSplit("validation", "validation_full", include_in_mixture=False),
    InferEvalSplit("validation_subset", "validation"),
    InferEvalSplit("test", "test", include_in_mixture=False),
)
"""MT3's evaluation tasks of data sets that are large."""


class GenericTokenVocabulary(seqio.Vocabulary):
    """`tokens.vocabulary.Vocabulary` as seqio wants it: codec indexes to ids (index + 3) and back."""

    def __init__(self, vocabulary: Vocabulary):
        super().__init__(extra_ids=vocabulary.num_extra_ids)
        self._vocabulary = vocabulary

    @property
    def eos_id(self) -> int:
        return EOS_ID

    @property
    def unk_id(self) -> int:
        return UNK_ID

    @property
    def _base_vocab_size(self) -> int:
        return NUM_SPECIAL_IDS + self._vocabulary.num_indexes

    def _encode(self, s: Any) -> list[int]:
        return self._vocabulary.encode(s).tolist()

    def _decode(self, ids: Any) -> list[int]:
        return self._vocabulary.decode(ids).tolist()

    def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        return _call(self._vocabulary.encode, s)

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        return _call(self._vocabulary.decode, ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenericTokenVocabulary) and self._vocabulary == other._vocabulary

    def __hash__(self) -> int:
        return hash(self._vocabulary)


def _call(function: Callable[[np.ndarray], np.ndarray], values: tf.Tensor) -> tf.Tensor:
    result = tf.numpy_function(function, [values], tf.int32)
    result.set_shape(values.shape)
    return result


def construct_task_name(
    task_prefix: str,
    spectrogram_config: SpectrogramConfig | None = None,
    vocab_config: VocabularyConfig | None = None,
    task_suffix: str | None = None,
) -> str:
    """MT3's name of a task, which tells what differs from MT3's default front end and vocabulary (127 bins).

    >>> construct_task_name("urmp_notes_ties", vocab_config=VocabularyConfig(), task_suffix="train")
    'urmp_notes_ties_vb1_train'
    """
    spectrogram = spectrogram_config or SpectrogramConfig()
    numbers = (("sr", spectrogram.sample_rate, 16000), ("hw", spectrogram.hop_width, 128))
    numbers += (("mb", spectrogram.num_mel_bins, 512),)
    abbreviation = "".join(f"{letters}{value}" for letters, value, default in numbers if value != default)
    vocabulary = vocab_config or MT3_VOCABULARY
    fields = (task_prefix, abbreviation, vocabulary.abbrev_str, task_suffix)
    return "_".join(field for field in fields if field)


def task_name(
    name: str, spec: NoteSpec, vocab_config: VocabularyConfig, suffix: str, options: TaskOptions
) -> str:
    """The name of a data set's or mixture's task, front end included."""
    if options.front_end is not FrontEnd.LOG_MEL:
        suffix = f"{suffix}_{options.front_end.value}"
    return construct_task_name(f"{name}_{spec.value}", options.spectrogram, vocab_config, suffix)


def register_tasks(module: str, options: TaskOptions) -> None:
    """Imports a module, such as `mt3x.tasks.registered`, and calls its `register(options)`.

    Raises:
      ValueError: there is no such module, or it has no `register`.
    """
    try:
        register = importlib.import_module(module).register
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(
            f"{module} registers no tasks ({error}); name a module with a function register(TaskOptions), "
            "such as mt3x.tasks.registered"
        ) from error
    register(options)


def add_transcription_task_to_registry(
    dataset_config: DatasetConfig,
    options: TaskOptions | None = None,
    vocab_config: VocabularyConfig = MULTI_INSTRUMENT_VOCABULARY,
    spec: NoteSpec = NoteSpec.NOTES_WITH_TIES,
) -> None:
    """Adds the train task, the evaluation tasks and their mixture, in the place of any of the same name."""
    options = options or TaskOptions()
    codec = build_codec(vocab_config)
    name = functools.partial(task_name, dataset_config.name, spec, vocab_config, options=options)
    features = _output_features(codec, options)
    train_splits = {"train": dataset_config.train_split, "eval": dataset_config.train_eval_split}
    _replace_task(
        name(suffix="train"),
        _source(dataset_config, train_splits, options),
        _train_steps(codec, spec, dataset_config.trims_overlaps, options),
        output_features=features,
        shuffle_buffer_size=options.shuffle_buffer_size,
    )
    metric_fns = options.metric_fns
    if metric_fns is None:
        metric_fns = [functools.partial(evaluation.transcription_metrics, codec=codec, spec=spec)]
    for split in dataset_config.infer_eval_splits:
        _replace_task(
            name(suffix=split.suffix),
            _source(dataset_config, {"eval": split.name}, options),
            _evaluation_steps(options),
            output_features=features,
            postprocess_fn=functools.partial(evaluation.postprocess, codec=codec),
            metric_fns=list(metric_fns),
        )
    mixed = [split.suffix for split in dataset_config.infer_eval_splits if split.include_in_mixture]
    replace_mixture(name(suffix="eval"), [name(suffix=suffix) for suffix in mixed], default_rate=1)


def replace_mixture(name: str, tasks: Sequence[str], default_rate: Any) -> None:
    """Adds a mixture, in the place of any of the same name."""
    if name in seqio.MixtureRegistry.names():
        seqio.MixtureRegistry.remove(name)
    seqio.MixtureRegistry.add(name, tasks, default_rate=default_rate)


def _replace_task(name: str, source: Any, preprocessors: Sequence[Callable], **kwargs: Any) -> None:
    if name in seqio.TaskRegistry.names():
        seqio.TaskRegistry.remove(name)
    seqio.TaskRegistry.add(
        name, source=source, preprocessors=[source.read_examples, *preprocessors], **kwargs
    )


def _output_features(codec: Codec, options: TaskOptions) -> dict[str, Any]:
    vocabulary = GenericTokenVocabulary(vocabulary_from_codec(codec))
    targets = {"targets": seqio.Feature(vocabulary=vocabulary)}
    if options.front_end is FrontEnd.LOG_MEL:
        return {**targets, "inputs": seqio.ContinuousFeature(dtype=tf.float32, rank=2)}
    samples = seqio.ContinuousFeature(dtype=tf.float32, rank=1)
    return {**targets, "samples": samples, "num_frames": seqio.ContinuousFeature(dtype=tf.int32, rank=0)}


def _source(dataset_config: DatasetConfig, splits: Mapping[str, str], options: TaskOptions) -> Any:
    tables = {split: dataset_config.splits[name] for split, name in splits.items()}
    root = options.tfrecord_root or os.environ.get(TFRECORD_ROOT_VARIABLE)
    if root and dataset_config.layout:
        return TFRecordSource(
            {split: os.path.join(root, table.pattern) for split, table in tables.items() if table.pattern},
            dataset_config.layout,
            {name: table.num_input_examples for name, table in tables.items() if table.num_input_examples},
        )
    data_dir = options.data_dir or os.environ.get(DATA_DIR_VARIABLE)
    folder = os.path.join(data_dir, dataset_config.name) if data_dir else None
    return RecordsSource(folder, {split: table.records for split, table in tables.items()})


def _train_steps(
    codec: Codec, spec: NoteSpec, trims_overlaps: bool, options: TaskOptions
) -> list[Callable[..., Any]]:
    partial = functools.partial
    return [
        partial(
            steps.tokenize_transcription_example,
            spectrogram_config=options.spectrogram,
            codec=codec,
            spec=spec,
            trims_overlaps=trims_overlaps or not options.mt3_compatible,
            mt3_compatible=options.mt3_compatible,
        ),
        partial(steps.split_frames, max_frames=MAX_NUM_CACHED_FRAMES, codec=codec, spec=spec),
        seqio.CacheDatasetPlaceholder(),
        steps.select_random_chunk,
        partial(steps.extract_target_sequence_with_indices, codec=codec, spec=spec),
        partial(steps.map_midi_programs, codec=codec, granularity=options.granularity),
        partial(steps.run_length_encode_shifts, codec=codec),
        partial(
            steps.mix_transcription_examples,
            codec=codec,
            max_examples_per_mix=options.max_examples_per_mix,
            mt3_compatible=options.mt3_compatible,
        ),
        partial(steps.remove_redundant_state_changes, codec=codec),
        *_last_steps(options, options.skip_too_long),
    ]


def _evaluation_steps(options: TaskOptions) -> list[Callable[..., Any]]:
    return [
        functools.partial(evaluation.frame_evaluation_example, spectrogram_config=options.spectrogram),
        seqio.CacheDatasetPlaceholder(),
        evaluation.add_unique_id,
        evaluation.split_full_tracks,
        evaluation.add_raw_inputs,
        *_last_steps(options, skip_too_long=False),
    ]


def _last_steps(options: TaskOptions, skip_too_long: bool) -> list[Callable[..., Any]]:
    if options.front_end is FrontEnd.LOG_MEL:
        front_end = functools.partial(steps.compute_spectrograms, spectrogram_config=options.spectrogram)
    else:
        front_end = functools.partial(steps.keep_samples, hop_width=options.spectrogram.hop_width)
    return [
        front_end,
        functools.partial(steps.handle_too_long, skip=skip_too_long),
        functools.partial(seqio.preprocessors.tokenize_and_append_eos, copy_pretokenized=False),
    ]
