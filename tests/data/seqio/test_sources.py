import itertools
import types

import numpy as np
import pytest

from mt3x.data.records.array_records import Example
from mt3x.data.records.mt3_records import feature_description
from mt3x.data.records.recordings import DataError
from mt3x.music.notes import NOTE_DTYPE, make_notes
from mt3x.music.noteseq import to_note_sequence


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global tf, seqio_sources, MOST_WORK_UNITS, RecordsSource, Selection, TFRecordSource
    import tensorflow as tf

    from mt3x.data.seqio import sources as seqio_sources
    from mt3x.data.seqio.sources import MOST_WORK_UNITS, RecordsSource, Selection, TFRecordSource


def shard(index, num_shards):
    return types.SimpleNamespace(index=index, num_shards=num_shards)


def make_example(number):
    samples = np.full(100 + number, number / 1000, np.float32)
    return Example(f"recording {number}", samples, make_notes(0.0, [0.5, 1.0], 60 + number % 12))


@pytest.fixture
def source(monkeypatch):
    """Ten examples to train, five to validate."""
    splits = {"train": range(10), "validation": range(200, 205)}
    monkeypatch.setattr(
        seqio_sources, "Records", lambda folder, split: [make_example(i) for i in splits[split]]
    )
    return RecordsSource("folder", {"train": Selection("train"), "eval": Selection("validation", every=2)})


def ids(source, dataset):
    return [ex["id"].decode() for ex in source.read_examples(dataset).as_numpy_iterator()]


def indices(dataset):
    return [int(reference["index"]) for reference in dataset.as_numpy_iterator()]


def test_records_come_in_order_with_samples_and_notes(source):
    examples = list(source.read_examples(source.get_dataset("train", shuffle=False)).as_numpy_iterator())
    assert [ex["id"].decode() for ex in examples] == [f"recording {i}" for i in range(10)]
    for number, ex in enumerate(examples):
        want = make_example(number)
        assert np.array_equal(ex["samples"], want.samples)
        assert np.array_equal(np.frombuffer(ex["notes"], NOTE_DTYPE), want.notes)


def test_a_selection_takes_every_so_manyth_example(source):
    dataset = source.get_dataset("eval", shuffle=False)
    assert ids(source, dataset) == ["recording 200", "recording 202", "recording 204"]
    assert source.num_input_examples("eval") == 3
    assert source.list_shards("eval") == [f"validation-00{i}-of-003" for i in range(3)]


def test_the_same_seed_shuffles_alike_and_another_one_otherwise(source):
    orders = [indices(source.get_dataset("train", shuffle=True, seed=seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == list(range(10))


def test_hosts_share_out_all_examples(source):
    parts = [indices(source.get_dataset("train", shuffle=False, shard_info=shard(i, 3))) for i in range(3)]
    assert sorted(itertools.chain.from_iterable(parts)) == list(range(10))
    assert [len(part) for part in parts] == [4, 3, 3]


def test_more_hosts_than_examples_leave_some_without_any(source):
    dataset = source.get_dataset("eval", shuffle=True, shard_info=shard(4, 5))
    assert indices(dataset) == []


def test_large_splits_are_cut_into_a_bounded_number_of_work_units(monkeypatch):
    monkeypatch.setattr(seqio_sources, "Records", lambda folder, split: range(1000))
    assert len(RecordsSource("folder", {"train": Selection("train")}).list_shards("train")) == MOST_WORK_UNITS


def test_a_source_without_folder_says_how_to_give_one():
    source = RecordsSource(None, {"train": Selection("train")})
    assert source.splits == ("train",)
    with pytest.raises(DataError, match="set MT3X_DATA_DIR, or give data_dir to register"):
        source.num_input_examples("train")


def test_a_folder_without_data_is_named(tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        RecordsSource(str(tmp_path), {"train": Selection("train")}).num_input_examples("train")


def test_sources_have_no_output_features(source):
    with pytest.raises(NotImplementedError, match="ask the task"):
        _ = source.output_features


@pytest.fixture
def tfrecords(tmp_path):
    """Three files of four recordings each, in MT3's layout of MusicNet, with a feature that is not read."""
    for file in range(3):
        with tf.io.TFRecordWriter(str(tmp_path / f"train.tfrecord-{file:05d}-of-00003")) as writer:
            for place in range(4):
                writer.write(musicnet_record(f"{file}{place}"))
    return tmp_path


def musicnet_record(name):
    notes = make_notes([0.0], [0.5], 60, program=40)

    def strings(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def floats(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    features = {
        "id": strings(name.encode()),
        "sequence": strings(to_note_sequence(notes).SerializeToString()),
        "sample_rate": floats([16000]),
        "audio": floats([0.0, 0.25, 0.5]),
        "velocity_range": strings(b"unused"),
    }
    assert set(feature_description("musicnet")) < set(features)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def tfrecord_source(folder):
    return TFRecordSource({"train": f"{folder}/train.tfrecord-*"}, "musicnet", {"train": 12})


def test_tfrecords_of_mt3_are_read(tfrecords):
    source = tfrecord_source(tfrecords)
    examples = list(source.read_examples(source.get_dataset(shuffle=False)).as_numpy_iterator())
    assert sorted(ex["id"].decode() for ex in examples) == [f"{i}{j}" for i in range(3) for j in range(4)]
    assert examples[0]["samples"].tolist() == [0.0, 0.25, 0.5]
    assert np.frombuffer(examples[0]["notes"], NOTE_DTYPE)["program"].tolist() == [40]
    assert source.num_input_examples("train") == 12
    assert source.num_input_examples("eval") is None


@pytest.mark.parametrize("num_hosts", [2, 3, 5])
def test_hosts_share_out_files_or_else_records(tfrecords, num_hosts):
    source = tfrecord_source(tfrecords)
    parts = [
        ids(source, source.get_dataset(shuffle=True, seed=1, shard_info=shard(host, num_hosts)))
        for host in range(num_hosts)
    ]
    assert sorted(itertools.chain.from_iterable(parts)) == [f"{i}{j}" for i in range(3) for j in range(4)]


def test_missing_tfrecords_are_named(tmp_path):
    with pytest.raises(DataError, match="train.tfrecord-.*: no such file"):
        tfrecord_source(tmp_path).list_shards("train")
