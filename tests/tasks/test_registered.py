import importlib

import numpy as np
import pytest

from mt3x.music.notes import make_notes
from mt3x.music.noteseq import to_note_sequence
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import vocabulary_from_codec

TRAIN_TASKS = (
    "maestrov1_notes_train",
    "maestrov3_notes_train",
    *(
        f"{name}_notes_ties_vb1_train"
        for name in (
            *("maestrov3", "guitarset", "urmp", "musicnet", "musicnet_em", "cerberus4", "slakh"),
            *("openscore_synth", "monophonic", "midi_folder"),
        )
    ),
)


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global mt3x, seqio, tf, cerberus4, maestrov3, registered, FrontEnd, TaskOptions, assert_heard
    global codec_of, read
    import mt3x.tasks
    import seqio
    import tensorflow as tf
    from mt3x.tasks import cerberus4, maestrov3, registered

    from mt3x.data.seqio.tasks import FrontEnd, TaskOptions
    from tests.tasks.conformance import assert_heard, codec_of, read


@pytest.fixture(params=["log_mel", "in_step"])
def front_end(request):
    return request.param


def test_every_data_set_has_its_tasks_and_mixtures(front_end):
    registered.register()
    ending = "" if front_end == "log_mel" else "_in_step"
    names = set(seqio.TaskRegistry.names())
    assert {name + ending for name in TRAIN_TASKS} == {n for n in names if n.endswith("_train" + ending)} - {
        n for n in names if n.endswith("_eval_train" + ending)
    }
    for large in (
        "maestrov1_notes",
        "maestrov3_notes_ties_vb1",
        "slakh_notes_ties_vb1",
        "cerberus4_notes_ties_vb1",
    ):
        for suffix in ("eval_train_full", "eval_train", "validation_full", "validation", "test"):
            assert f"{large}_{suffix}{ending}" in names
    assert f"musicnet_em_notes_ties_vb1_test{ending}" in names
    assert f"urmp_notes_ties_vb1_test{ending}" not in names
    mixtures = set(seqio.MixtureRegistry.names())
    assert {f"mega_notes_ties_vb1_{suffix}{ending}" for suffix in ("train", "eval")} <= mixtures
    assert {name.replace("_train", "_eval") + ending for name in TRAIN_TASKS} <= mixtures


def test_registering_twice_is_registering_once():
    registered.register()
    tasks, mixtures = set(seqio.TaskRegistry.names()), set(seqio.MixtureRegistry.names())
    registered.register()
    assert set(seqio.TaskRegistry.names()) == tasks
    assert set(seqio.MixtureRegistry.names()) == mixtures


def test_importing_the_room_registers_nothing_and_importing_registered_everything():
    importlib.reload(mt3x.tasks)
    assert not seqio.TaskRegistry.names()
    importlib.reload(registered)
    assert "maestrov3_notes_ties_vb1_train" in seqio.TaskRegistry.names()


def test_subsets_are_parts_of_their_splits(data_dir):
    maestrov3.register(TaskOptions(data_dir=data_dir))
    numbers = {
        suffix: seqio.TaskRegistry.get(f"maestrov3_notes_ties_vb1_{suffix}").num_input_examples("eval")
        for suffix in ("validation_full", "validation", "eval_train_full", "eval_train")
    }
    assert numbers == {"validation_full": 6, "validation": 2, "eval_train_full": 6, "eval_train": 1}


def test_mt3s_own_files_are_read_where_they_lie(tmp_path):
    table = cerberus4.CONFIG.splits
    for name in ("train", "validation"):
        path = tmp_path / table[name].pattern.replace("?????", "00000")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(multitrack_record())
    options = TaskOptions(tfrecord_root=str(tmp_path), front_end=FrontEnd.IN_STEP)
    cerberus4.register(options)
    name = "cerberus4_notes_ties_vb1_train_in_step"
    assert seqio.TaskRegistry.get(name).num_input_examples("train") == table["train"].num_input_examples
    codec = codec_of(name)
    vocabulary = vocabulary_from_codec(codec)
    examples = read(name, "train", num_epochs=8)  # chunks at random: some hold few of the notes
    assert len(examples) == 8
    assert_heard(examples, name)
    played = set()
    for ex in examples:
        notes, _ = decode_segments([vocabulary.decode(ex["targets"])], [0.0], codec, NoteSpec.NOTES_WITH_TIES)
        played |= set(zip(notes["program"].tolist(), notes["is_drum"].tolist(), strict=True))
    assert played == {(0, False), (24, False), (32, False), (0, True)}


def multitrack_record():
    tracks = [
        to_note_sequence(make_notes([0.0, 0.1, 0.2], [0.1, 0.2, 0.3], 50 + i)).SerializeToString()
        for i in range(4)
    ]
    strings = {"inst_names": [b"bass", b"drums", b"guitar", b"piano"], "note_sequences": tracks}
    strings |= {"track_id": [b"Track1"], "target_type": [b"mix"]}
    mix = np.random.default_rng(0).normal(0, 0.1, 4800)
    features = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for key, v in strings.items()}
    features["mix"] = tf.train.Feature(float_list=tf.train.FloatList(value=mix))
    features["audio_sample_rate"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[16000]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
