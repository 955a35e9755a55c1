"""Recordings as records: what a build stores, and random access to it.

A record is several rows of an ArrayRecord file, so that a few seconds of it are read without the rest: a
first row with all but the audio, then one for every 16 s of it. A row is one TFDS example (a serialized
`tf.train.Example`, which TFDS parses without TensorFlow); a folder of them opens with
`tfds.builder_from_directory(folder)` too.

    id, split   text
    names       [stems] text
    notes       [stems] bytes: `NOTE_DTYPE` [K], little-endian; in the first row
    mix_stems   [sum of mix_sizes] int64: the stems of all mixes, one mix after the other; in the first row
    mix_sizes   [mixes] int64: how many stems each mix sums; in the first row
    audio       [stems] bytes: FLAC, mono, 16 bits, `SAMPLE_RATE`; in the other rows

An example is one mix of one recording: record r with M mixes is M examples, one after the other.
"""

import bisect
import dataclasses
import functools
import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mt3x.data.records.recordings import SAMPLE_RATE, DataError, Recording, Stem
from mt3x.music.notes import NOTE_DTYPE, sort_notes

MANIFEST_FILE = "manifest.json"
FORMAT = 3
"""Of records and their manifest; builds of another format are made again."""

READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:1"
"""Of ArrayRecord: no reading ahead, for access in any order."""

ROW_SAMPLES = 256_000
"""Of audio in one row, the last one less: the 2000 frames from which one segment is drawn in an epoch."""

_STORED_NOTE_DTYPE = NOTE_DTYPE.newbyteorder("<")
_FULL_SCALE = 2**15


class Example(NamedTuple):
    """One mix of a recording.

    Attributes:
      id: the recording's; followed by `#` and the mix's number where there are several.
      samples: float32 [N], the sum of the stems, mono, `SAMPLE_RATE`; it may go beyond -1..1.
      notes: `NOTE_DTYPE` [K], those of all stems, sorted; programs as the reader set them. Those of two stems
        of one program may overlap, and are trimmed where tokens are written.
    """

    id: str
    samples: np.ndarray
    notes: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class StoredRecording:
    """A record whose audio is read and decoded only when it is asked for.

    Attributes:
      id, split: as in `Recording`.
      names: one a stem.
      notes: `NOTE_DTYPE` [K] a stem.
      mixes: the stems of each example, by number.
      num_samples: length of every stem.
      read_audio: the FLAC files, one a stem, of row 0, 1, ... of the audio, `ROW_SAMPLES` each.
    """

    id: str
    split: str
    names: tuple[str, ...]
    notes: tuple[np.ndarray, ...]
    mixes: tuple[tuple[int, ...], ...]
    num_samples: int
    read_audio: Callable[[int], Sequence[bytes]]

    def samples(self, stem: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples `start` to `stop` (left out: to the end) of a stem: float32 [stop - start].

        FLAC seeks, so that no more is decoded.
        """
        import soundfile

        stop = self.num_samples if stop is None else min(stop, self.num_samples)
        parts: list[np.ndarray] = [np.zeros(0, np.float32)]
        for row in range(start // ROW_SAMPLES, -(-stop // ROW_SAMPLES)):
            first = row * ROW_SAMPLES
            file = io.BytesIO(self.read_audio(row)[stem])
            begin, end = max(start - first, 0), min(stop - first, ROW_SAMPLES)
            parts.append(soundfile.read(file, start=begin, stop=end, dtype="float32")[0])
        return np.concatenate(parts)

    def mix(self, number: int, start: int = 0, stop: int | None = None) -> Example:
        """Example `number`: its samples `start` to `stop`, and all its notes, timed from sample 0."""
        stems = self.mixes[number]
        samples = self.samples(stems[0], start, stop)
        for stem in stems[1:]:
            samples += self.samples(stem, start, stop)
        name = self.id if len(self.mixes) == 1 else f"{self.id}#{number}"
        return Example(name, samples, sort_notes(np.concatenate([self.notes[stem] for stem in stems])))

    def recording(self) -> Recording:
        """All of it."""
        stems = [Stem(name, self.samples(i), self.notes[i]) for i, name in enumerate(self.names)]
        return Recording(self.id, self.split, tuple(stems), self.mixes)


def record_rows(recording: Recording) -> list[bytes]:
    """A recording as a record. Samples are rounded to 16 bits; those of a 16-bit file stay as they are.

    Raises:
      ValueError: samples beyond -1..1.
    """
    stems = recording.stems
    audio = [_to_16_bits(stem.samples, recording.id) for stem in stems]
    notes = [stem.notes.astype(_STORED_NOTE_DTYPE).tobytes() for stem in stems]
    rows = [_row_bytes(recording, notes=notes, mixes=recording.mixes)]
    for first in range(0, len(audio[0]), ROW_SAMPLES):
        parts = [_flac_bytes(samples[first : first + ROW_SAMPLES]) for samples in audio]
        rows.append(_row_bytes(recording, audio=parts))
    return rows


def count_rows(num_samples: int) -> int:
    """Rows of a record whose stems have so many samples."""
    return 1 + -(-num_samples // ROW_SAMPLES)


def open_record(read_row: Callable[[int], bytes], num_samples: int) -> StoredRecording:
    """A record of which only the first row is read; `read_row` gives its rows by number."""
    row = _parse_row(read_row(0))
    stems = iter(int(stem) for stem in row["mix_stems"])
    return StoredRecording(
        id=row["id"].decode(),
        split=row["split"].decode(),
        names=tuple(name.decode() for name in row["names"]),
        notes=tuple(np.frombuffer(notes, _STORED_NOTE_DTYPE).astype(NOTE_DTYPE) for notes in row["notes"]),
        mixes=tuple(tuple(itertools.islice(stems, int(size))) for size in row["mix_sizes"]),
        num_samples=num_samples,
        read_audio=functools.cache(lambda number: tuple(_parse_row(read_row(1 + number))["audio"])),
    )


def _row_bytes(
    recording: Recording,
    notes: Sequence[bytes] = (),
    mixes: Sequence[Sequence[int]] = (),
    audio: Sequence[bytes] = (),
) -> bytes:
    from tensorflow_datasets.proto import tf_example_pb2  # pyright: ignore[reportMissingImports]

    example = tf_example_pb2.Example()  # pyright: ignore[reportAttributeAccessIssue]
    feature = example.features.feature
    for name, texts in (
        ("id", [recording.id.encode()]),
        ("split", [recording.split.encode()]),
        ("names", [stem.name.encode() for stem in recording.stems]),
        ("notes", notes),
        ("audio", audio),
    ):
        feature[name].bytes_list.value.extend(texts)
    feature["mix_stems"].int64_list.value.extend(stem for mix in mixes for stem in mix)
    feature["mix_sizes"].int64_list.value.extend(len(mix) for mix in mixes)
    return example.SerializeToString(deterministic=True)  # TFDS's own way orders the features by chance


def _parse_row(data: bytes) -> dict[str, Any]:
    return record_features().deserialize_example_np(data)


@functools.cache
def record_features() -> Any:
    """TFDS's description of a record: a `tfds.features.FeaturesDict`."""
    import tensorflow_datasets as tfds  # pyright: ignore[reportMissingImports]

    return tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "split": tfds.features.Text(),
            "names": tfds.features.Sequence(tfds.features.Text()),
            "audio": tfds.features.Sequence(np.bytes_),
            "notes": tfds.features.Sequence(np.bytes_),
            "mix_stems": tfds.features.Sequence(np.int64),
            "mix_sizes": tfds.features.Sequence(np.int64),
        }
    )


class Records:
    """The examples of one split of a built data set, in any order, without TensorFlow.

    Only the manifest is read at first. A pickled copy opens its files anew, so that it may be sent to worker
    processes.

        records = Records("records/guitarset", "train")
        records[7].samples
        stored, mix = records.stored(7)
        stored.mix(mix, start=16_000, stop=48_000).samples   # two seconds of it

    Attributes:
      name: the data set's.
      num_records: how many recordings there are; each is one example or more.
      lengths: int64 [examples], in samples.
    """

    def __init__(self, folder: str | Path, split: str):
        """Opens a split.

        Raises:
          DataError: `folder` holds no finished build, one of another format or not this split, or a file is
            missing or cut off.
        """
        self._folder = Path(folder)
        manifest = read_manifest(folder)
        if (found := manifest.get("format")) != FORMAT:
            raise DataError(f"{folder}: is of format {found}, not {FORMAT}; run the same mt3x prepare again")
        if split not in manifest["splits"]:
            known = ", ".join(manifest["splits"])
            raise DataError(f"{folder}: has no split {split!r}; its splits are {known}")
        self.name: str = manifest["name"]
        self._shards = manifest["splits"][split]["shards"]
        for shard in self._shards:
            self._check_size(shard)
        mixes = [count for shard in self._shards for count in shard["mixes"]]
        self.num_records = len(mixes)
        samples = [length for shard in self._shards for length in shard["samples"]]
        self.lengths = np.repeat(np.array(samples, np.int64), mixes)
        self._first_examples = np.cumsum([0, *mixes]).tolist()
        # Where each record begins: the number of its shard, and of its first row in there.
        self._places = [
            (number, int(row))
            for number, shard in enumerate(self._shards)
            for row in np.cumsum([0, *map(count_rows, shard["samples"])])[:-1]
        ]
        self._files: dict[int, Any] = {}

    def __len__(self) -> int:
        return self._first_examples[-1]

    def __getitem__(self, index: int) -> Example:
        """Example `index`, 0 to `len - 1`.

        Raises:
          IndexError: there is no such example.
        """
        stored, mix = self.stored(index)
        return stored.mix(mix)

    def __iter__(self) -> Iterator[Example]:
        """All examples; each record is read once."""
        for number in range(self.num_records):
            stored = self.record(number)
            for mix in range(len(stored.mixes)):
                yield stored.mix(mix)

    def stored(self, index: int) -> tuple[StoredRecording, int]:
        """The recording of example `index` and which of its mixes it is; no audio is decoded.

        Raises:
          IndexError: there is no such example.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {self.name}; there are 0 to {len(self) - 1}")
        number = bisect.bisect_right(self._first_examples, index) - 1
        return self.record(number), index - self._first_examples[number]

    def record(self, number: int) -> StoredRecording:
        """Recording `number`; no audio is decoded.

        Raises:
          IndexError: there is no such recording.
        """
        if not 0 <= number < self.num_records:
            raise IndexError(f"record {number} of {self.name}; there are 0 to {self.num_records - 1}")
        shard, first_row = self._places[number]
        length = int(self.lengths[self._first_examples[number]])
        return open_record(lambda row: self._open(shard).read([first_row + row])[0], length)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}

    def _open(self, shard: int) -> Any:
        """ArrayRecord's reader of a shard, which threads may share."""
        if shard not in self._files:
            self._files[shard] = open_shard(self._folder / self._shards[shard]["file"])
        return self._files[shard]

    def _check_size(self, shard: dict[str, Any]) -> None:
        path = self._folder / shard["file"]
        found = path.stat().st_size if path.is_file() else None
        if found != shard["bytes"]:
            state = "is missing" if found is None else f"has {found} bytes, not {shard['bytes']}"
            raise DataError(f"{path}: {state}; build {self.name} again, or copy the file again")


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """What `data.records.build` wrote about a finished build; see there.

    Raises:
      DataError: there is none.
    """
    path = Path(folder) / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not {"name", "splits"} <= set(manifest):
            raise ValueError("it names no data set and splits")
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{folder}: holds no finished data set ({error}); make one with mt3x prepare"
        ) from error
    return manifest


def open_shard(path: Path) -> Any:
    """An ArrayRecord file for access in any order; `read([number])` gives a list of one record."""
    from array_record.python import array_record_module  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]

    return array_record_module.ArrayRecordReader(
        str(path), options=READER_OPTIONS, file_reader_buffer_size=2**15
    )


def _to_16_bits(samples: np.ndarray, name: str) -> np.ndarray:
    """int16 [N] of float32 [N]; full scale itself becomes the largest 16-bit number."""
    if (peak := float(np.abs(samples).max())) > 1.0:
        raise ValueError(f"{name}: samples reach {peak:.3f}; scale them to within -1..1")
    whole = np.clip(np.rint(samples * np.float32(_FULL_SCALE)), -_FULL_SCALE, _FULL_SCALE - 1)
    return whole.astype(np.int16)


def _flac_bytes(samples: np.ndarray) -> bytes:
    """int16 [N] as a FLAC file."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    return file.getvalue()
