"""Where tasks find their examples: seqio sources over our records, and over MT3's own TFRecord files.

A source yields references (which example of which split; which part of which file), and the task's first
preprocessor, `read_examples`, reads them. For seqio keeps every source below 10,000 examples in memory as it
comes: like this it keeps numbers, not hours of audio. Shuffling is global, and each host reads only its
share. What was kept in memory comes in the same order in every epoch, unless `get_dataset` is given
`try_in_mem_cache=False`.

`read_examples` yields id (string), samples (float32 [N], mono, 16 kHz) and notes (string: `NOTE_DTYPE` [K] as
bytes). The classes have the interface of `seqio.DataSource` (`seqio.DataSourceInterface`).
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mt3x.data.records.array_records import Records
from mt3x.data.records.mt3_records import feature_description, parse_fields
from mt3x.data.records.recordings import DataError

if TYPE_CHECKING:
    import seqio  # pyright: ignore[reportMissingImports]
    import tensorflow as tf  # pyright: ignore[reportMissingImports]

DATA_DIR_VARIABLE = "MT3X_DATA_DIR"
"""The environment variable that names the folder in which each data set has its own."""

MOST_WORK_UNITS = 128
"""Into how many parts seqio_cache_tasks may cut a split of our records."""

_OPEN_FILES = 4


@dataclasses.dataclass(frozen=True)
class Selection:
    """Part of a split of our records: examples 0, every, 2 * every, and so on."""

    split: str
    every: int = 1


class _Source:
    """What both kinds of sources answer alike."""

    caching_permitted = True
    supports_arbitrary_sharding = True
    performs_internal_shuffling = False

    def __init__(self, splits: Sequence[str]):
        self.splits = tuple(splits)

    @property
    def output_features(self) -> Any:
        """Part of seqio's interface that no source answers."""
        raise NotImplementedError("sources have no output features; ask the task")


class RecordsSource(_Source):
    """A data set that `mt3x prepare` built."""

    def __init__(self, folder: str | None, selections: Mapping[str, Selection]):
        """Opens nothing yet.

        Args:
          folder: of the data set; None fails when data are first asked for.
          selections: what each of seqio's splits ("train", "eval") reads.
        """
        super().__init__(tuple(selections))
        self._folder = folder
        self._selections = dict(selections)
        self._open = functools.cache(self._open_split)

    def num_input_examples(self, split: str) -> int:
        """Examples, as the manifest says.

        Raises:
          DataError: there is no finished data set in the folder.
        """
        return len(self._indices(split))

    def list_shards(self, split: str) -> list[str]:
        """Names of the parts that can be read apart from each other."""
        count = min(self.num_input_examples(split), MOST_WORK_UNITS)
        return [f"{self._selections[split].split}-{i:03d}-of-{count:03d}" for i in range(count)]

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: "seqio.ShardInfo | None" = None,
        **_unused: Any,
    ) -> "tf.data.Dataset":
        """References: {split: string, index: int64}, in the order of the records unless shuffled."""
        import tensorflow as tf  # pyright: ignore[reportMissingImports]

        indices = self._indices(split)
        if shard_info is not None:
            indices = indices[shard_info.index :: shard_info.num_shards]
        dataset = tf.data.Dataset.from_tensor_slices(indices)
        if shuffle and len(indices):
            dataset = dataset.shuffle(len(indices), seed=seed)
        name = self._selections[split].split
        return dataset.map(lambda index: {"split": name, "index": index})

    def read_examples(self, dataset: "tf.data.Dataset") -> "tf.data.Dataset":
        """Preprocessor: references to examples."""
        import tensorflow as tf  # pyright: ignore[reportMissingImports]

        def read(split: bytes, index: np.int64) -> tuple[bytes, np.ndarray, bytes]:
            example = self._open(split.decode())[int(index)]
            return example.id.encode(), example.samples, example.notes.tobytes()

        def read_tf(reference: dict[str, Any]) -> dict[str, Any]:
            return _as_example(tf.numpy_function(read, [reference["split"], reference["index"]], _dtypes()))

        return dataset.map(read_tf, num_parallel_calls=tf.data.AUTOTUNE)

    def _indices(self, split: str) -> np.ndarray:
        selection = self._selections[split]
        return np.arange(0, len(self._open(selection.split)), selection.every, dtype=np.int64)

    def _open_split(self, split: str) -> Records:
        if self._folder is None:
            raise DataError(
                f"no folder of data is known: set {DATA_DIR_VARIABLE}, or give data_dir to register()"
            )
        return Records(self._folder, split)


class TFRecordSource(_Source):
    """MT3's own TFRecord files of a data set, on disk or under `gs://`."""

    def __init__(
        self,
        patterns: Mapping[str, str],
        layout: str,
        num_input_examples: Mapping[str, int] | None = None,
    ):
        """Opens nothing yet.

        Args:
          patterns: the files of each of seqio's splits ("train", "eval"), with wildcards.
          layout: one of `mt3_records.LAYOUTS`.
          num_input_examples: by split; the files do not tell.
        """
        super().__init__(tuple(patterns))
        self._patterns = dict(patterns)
        self._layout = layout
        self._num_input_examples = dict(num_input_examples or {})

    def num_input_examples(self, split: str) -> int | None:
        """Examples, if they are known."""
        return self._num_input_examples.get(split)

    def list_shards(self, split: str) -> list[str]:
        """The files.

        Raises:
          DataError: there are none.
        """
        import tensorflow as tf  # pyright: ignore[reportMissingImports]

        files = sorted(tf.io.gfile.glob(self._patterns[split]))
        if not files:
            raise DataError(f"{self._patterns[split]}: no such file; check the folder that holds MT3's data")
        return files

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: "seqio.ShardInfo | None" = None,
        **_unused: Any,
    ) -> "tf.data.Dataset":
        """References {file: string, first: int64, every: int64}: records first, first + every, ... of a file.

        Hosts share out files, or where there are fewer files than hosts, the records of every file.
        """
        import tensorflow as tf  # pyright: ignore[reportMissingImports]

        files, first, every = self.list_shards(split), 0, 1
        if shard_info is not None and shard_info.num_shards <= len(files):
            files = files[shard_info.index :: shard_info.num_shards]
        elif shard_info is not None:
            first, every = shard_info.index, shard_info.num_shards
        dataset = tf.data.Dataset.from_tensor_slices(files)
        if shuffle:
            dataset = dataset.shuffle(len(files), seed=seed)
        part = {"first": np.int64(first), "every": np.int64(every)}
        return dataset.map(lambda file: {"file": file, **part})

    def read_examples(self, dataset: "tf.data.Dataset") -> "tf.data.Dataset":
        """Preprocessor: references to examples."""
        import tensorflow as tf  # pyright: ignore[reportMissingImports]

        description = feature_description(self._layout)

        def read_file(reference: dict[str, Any]) -> tf.data.Dataset:
            records = tf.data.TFRecordDataset(reference["file"])
            mine = records.shard(reference["every"], reference["first"])
            return mine.map(lambda record: tf.io.parse_single_example(record, description))

        def parse(*values: Any) -> tuple[bytes, np.ndarray, bytes]:
            example = parse_fields(self._layout, dict(zip(sorted(description), values, strict=True)))
            return example.id.encode(), example.samples, example.notes.tobytes()

        def parse_tf(fields: dict[str, Any]) -> dict[str, Any]:
            values = [fields[key] for key in sorted(description)]
            return _as_example(tf.numpy_function(parse, values, _dtypes()))

        read = dataset.interleave(read_file, _OPEN_FILES, num_parallel_calls=tf.data.AUTOTUNE)
        return read.map(parse_tf, num_parallel_calls=tf.data.AUTOTUNE)


def _dtypes() -> list[Any]:
    import tensorflow as tf  # pyright: ignore[reportMissingImports]

    return [tf.string, tf.float32, tf.string]


def _as_example(values: Sequence[Any]) -> dict[str, Any]:
    example_id, samples, notes = values
    example_id.set_shape([])
    samples.set_shape([None])
    notes.set_shape([])
    return {"id": example_id, "samples": samples, "notes": notes}
