"""Recordings come back from records as they were, one stem, mix or second at a time."""

import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.data.pipeline.cut import SegmentSizes
from mt3x.data.records import array_records as records_room
from mt3x.data.records.array_records import (
    ROW_SAMPLES,
    Records,
    count_rows,
    open_record,
    read_manifest,
    record_rows,
)
from mt3x.data.records.build import build
from mt3x.data.records.recordings import DataError, Item, Recording, Stem
from mt3x.music.notes import empty_notes, make_notes


def sine(pitch, num_samples=16_000, level=0.25):
    samples = level * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * np.arange(num_samples) / 16_000)
    return (np.rint(samples * 2**15) / 2**15).astype(np.float32)  # 16 bits: a record keeps it to the bit


def stem(pitch, program=0):
    return Stem(f"pitch {pitch}", sine(pitch), make_notes([0.1, 0.5], [0.4, 0.9], pitch, 90, program))


def trio(name="piece 1", split="train"):
    stems = stem(60), stem(64, 40), Stem("silence", np.zeros(16_000, np.float32), empty_notes())
    return Recording(name, split, stems, ((0,), (1, 0), (0, 1, 2)))


class Trios:
    """A reader that needs no files: `count` trios and one solo for validation."""

    name, splits = "trios", ("train", "validation", "test")

    def __init__(self, count=3):
        self.count = count

    def items(self, source, report):
        train = [Item(f"piece {number}", "train", ()) for number in range(self.count)]
        return [*train, Item("solo", "validation", ())]

    def read(self, source, item, report):
        if item.id == "solo":
            return Recording("solo", "validation", (stem(70),))
        return trio(item.id)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    build(Trios(count=18), folder, folder)
    return folder


def assert_same(found, wanted):
    assert (found.id, found.split, found.mixes) == (wanted.id, wanted.split, wanted.mixes)
    assert len(found.stems) == len(wanted.stems)
    for mine, theirs in zip(found.stems, wanted.stems, strict=True):
        assert mine.name == theirs.name
        np.testing.assert_array_equal(mine.samples, theirs.samples)
        assert mine.samples.dtype == np.float32
        np.testing.assert_array_equal(mine.notes, theirs.notes)
        assert mine.notes.dtype == theirs.notes.dtype


def stored_as_record(recording, read=None):
    """The recording from its rows; `read` remembers which were read."""
    rows = record_rows(recording)
    assert len(rows) == count_rows(len(recording.stems[0].samples))

    def read_row(number):
        if read is not None:
            read.append(number)
        return rows[number]

    return open_record(read_row, len(recording.stems[0].samples))


def test_a_recording_comes_back_from_its_record():
    assert_same(stored_as_record(trio()).recording(), trio())


def test_names_may_be_in_any_script():
    assert stored_as_record(trio("Für Élise/エリーゼ")).id == "Für Élise/エリーゼ"


@given(
    values=st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=50),
    mixes=st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=2, unique=True), min_size=1, max_size=3),
)
def test_any_16_bit_samples_and_mixes_come_back(values, mixes):
    samples = np.array(values, np.float32) / 2**15
    stems = Stem("a", samples, empty_notes()), Stem("b", -np.maximum(samples, 0), empty_notes())
    recording = Recording("x", "test", stems, tuple(map(tuple, mixes)))
    assert_same(stored_as_record(recording).recording(), recording)


def test_full_scale_becomes_the_largest_number():
    recording = Recording("x", "train", (Stem("mix", np.array([1.0, -1.0, 0.0], np.float32), empty_notes()),))
    samples = stored_as_record(recording).recording().stems[0].samples
    assert samples.tolist() == [32767 / 32768, -1.0, 0.0]


def test_samples_beyond_full_scale_are_refused():
    recording = Recording("x", "train", (Stem("mix", np.array([1.5], np.float32), empty_notes()),))
    with pytest.raises(ValueError, match=r"x: samples reach 1\.500"):
        record_rows(recording)


def test_a_mix_sums_its_stems_and_joins_their_notes():
    stored = stored_as_record(trio())
    mix = stored.mix(1)
    np.testing.assert_array_equal(mix.samples, sine(64) + sine(60))
    assert mix.notes["pitch"].tolist() == [60, 64, 60, 64]
    assert mix.notes["program"].tolist() == [0, 40, 0, 40]
    assert mix.id == "piece 1#1"
    assert stored.num_samples == 16_000


def test_a_part_of_a_mix_is_that_part_of_all_of_it():
    stored = stored_as_record(trio())
    np.testing.assert_array_equal(
        stored.mix(1, start=5_000, stop=9_001).samples, stored.mix(1).samples[5_000:9_001]
    )
    np.testing.assert_array_equal(stored.samples(0, start=15_990), stored.samples(0)[15_990:])


class Counted(io.BytesIO):
    """A file that tells how many bytes were read of it."""

    def __init__(self, data):
        super().__init__(data)
        self.num_read = 0

    def readinto(self, buffer):
        num_read = super().readinto(buffer)
        self.num_read += num_read
        return num_read

    def read(self, size=-1):
        data = super().read(size)
        self.num_read += len(data)
        return data


def noise(num_stems, num_samples):
    samples = np.random.default_rng(0).integers(-(2**13), 2**13, (num_stems, num_samples))
    return samples.astype(np.float32) / 2**15


def test_only_the_rows_seconds_and_stems_asked_for_are_read_and_decoded(monkeypatch):
    samples = noise(3, 3 * ROW_SAMPLES - 1000)
    stems = tuple(Stem("noise", stem, empty_notes()) for stem in samples)
    rows, opened = [], []
    stored = stored_as_record(Recording("x", "train", stems, ((0, 1, 2), (2,))), rows)
    assert rows == [0]

    def open_counted(data):
        opened.append((data, Counted(data)))
        return opened[-1][1]

    monkeypatch.setattr(records_room.io, "BytesIO", open_counted)
    within = slice(ROW_SAMPLES + 100_000, ROW_SAMPLES + 110_000)
    np.testing.assert_array_equal(stored.mix(1, within.start, within.stop).samples, samples[2, within])
    assert rows == [0, 2]
    ((data, file),) = opened
    assert data == stored.read_audio(1)[2] and 0 < file.num_read < 0.3 * len(data)
    stored.mix(0, within.start, within.stop)
    assert rows == [0, 2] and len(opened) == 4  # the other stems are in the same row


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, None),
        (5, ROW_SAMPLES),
        (ROW_SAMPLES - 3, ROW_SAMPLES + 2),
        (ROW_SAMPLES, None),
        (7, 10**9),
        (9, 9),
    ],
)
def test_samples_are_the_same_across_rows(start, stop):
    (samples,) = noise(1, 2 * ROW_SAMPLES)
    stored = stored_as_record(Recording("x", "train", (Stem("mix", samples, empty_notes()),)))
    np.testing.assert_array_equal(stored.samples(0, start, stop), samples[start:stop])


def test_a_record_has_a_row_for_every_16_seconds_begun():
    lengths = (1, ROW_SAMPLES, ROW_SAMPLES + 1, 10 * ROW_SAMPLES)
    assert [count_rows(length) for length in lengths] == [2, 2, 3, 11]
    assert SegmentSizes().piece_frames * SegmentSizes().hop_samples == ROW_SAMPLES


def test_each_mix_of_each_record_is_an_example(folder):
    records = Records(folder, "train")
    assert (len(records), records.num_records, records.name) == (54, 18, "trios")
    ids = [f"piece {number}#{mix}" for number in range(18) for mix in range(3)]
    assert [example.id for example in records] == ids
    assert [records[index].id for index in (53, 0, 27)] == [ids[index] for index in (53, 0, 27)]
    stored, mix = records.stored(28)
    assert (stored.id, mix) == ("piece 9", 1)
    assert records.lengths.tolist() == [16_000] * 54


def test_an_example_with_one_mix_has_the_recordings_name(folder):
    (solo,) = Records(folder, "validation")
    assert solo.id == "solo"
    np.testing.assert_array_equal(solo.samples, sine(70))


def test_records_may_be_pickled_after_use(folder):
    records = Records(folder, "train")
    before = records[20].samples
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(records))[20].samples, before)


def test_there_is_nothing_beyond_the_last_example(folder):
    records = Records(folder, "train")
    for index in (54, -1):
        with pytest.raises(IndexError, match=f"example {index} of trios; there are 0 to 53"):
            records[index]
    with pytest.raises(IndexError, match="record 18 of trios; there are 0 to 17"):
        records.record(18)


def test_an_unknown_split_is_an_error(folder):
    with pytest.raises(DataError, match="has no split 'test'; its splits are train, validation"):
        Records(folder, "test")


def test_a_folder_without_a_build_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no finished data set .*; make one with mt3x prepare"):
        Records(tmp_path, "train")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="it names no data set and splits"):
        read_manifest(tmp_path)


def test_a_build_of_another_format_is_an_error(tmp_path):
    manifest = build(Trios(), tmp_path, tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"format": 1}))
    with pytest.raises(DataError, match="is of format 1, not 3; run the same mt3x prepare again"):
        Records(tmp_path, "train")


def test_a_shard_that_is_missing_or_cut_off_is_an_error(tmp_path):
    build(Trios(), tmp_path, tmp_path)
    (shard,) = tmp_path.glob("trios-train.array_record-*-of-00001")
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DataError, match=f"has 100 bytes, not {size}; build trios again"):
        Records(tmp_path, "train")
    shard.unlink()
    with pytest.raises(DataError, match="is missing; build trios again"):
        Records(tmp_path, "train")


def test_tensorflow_datasets_opens_the_folder(folder):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    assert builder.info.splits["train"].num_examples == 36  # two rows a recording
    first, second = (builder.as_data_source("train")[row] for row in range(2))
    assert first["id"] == second["id"] == b"piece 0"
    assert [int(size) for size in first["mix_sizes"]] == [1, 2, 3] and len(first["audio"]) == 0
    assert len(second["audio"]) == 3 and len(second["notes"]) == 0
