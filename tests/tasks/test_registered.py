import importlib

import mt3x.tasks
import numpy as np
import pytest
import seqio
import tensorflow as tf
from mt3x.tasks import cerberus4, maestrov3, registered

from mt3x.data.seqio_tasks import FrontEnd, TaskOptions, postprocess
from mt3x.music.notes import make_notes
from mt3x.music.noteseq import from_note_sequence, to_note_sequence
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import (
    EOS_ID,
    NUM_SPECIAL_IDS,
    VocabularyConfig,
    build_codec,
    vocabulary_from_codec,
)

FRAMES, TARGETS = 48, 256
LENGTHS = {"inputs": FRAMES, "targets": TARGETS}
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


@pytest.fixture(params=FrontEnd)
def front_end(request):
    return request.param


def read(name, split, num_epochs=1):
    task = seqio.TaskRegistry.get(name)
    dataset = task.get_dataset(LENGTHS, split=split, shuffle=False, seed=1, num_epochs=num_epochs)
    assert dataset.element_spec["targets"].dtype == tf.int32
    return list(dataset.as_numpy_iterator())


def codec_of(name):
    return build_codec(VocabularyConfig(num_velocity_bins=1 if "_vb1_" in name else 127))


def assert_heard(ex, name):
    """What a task's examples hold to hear, whatever the front end.

    A chunk of one frame may be the last of a recording, which MT3 pads and which is silent where the
    recording fills whole frames.
    """
    if name.endswith(FrontEnd.IN_STEP.value):
        assert ex["samples"].dtype == np.float32 and ex["samples"].shape == (FRAMES * 128,)
        assert ex["num_frames"].dtype == np.int32 and 1 <= ex["num_frames"] <= FRAMES
        assert not ex["samples"][ex["num_frames"] * 128 :].any()
        assert ex["samples"].any() or ex["num_frames"] == 1
    else:
        assert ex["inputs"].dtype == np.float32 and ex["inputs"].shape[1] == 512
        assert 1 <= len(ex["inputs"]) <= FRAMES
        assert np.isfinite(ex["inputs"]).all()
        assert ex["inputs"].std() > 0 or len(ex["inputs"]) == 1


def assert_train_task_conforms(name):
    codec, spec = codec_of(name), NoteSpec.NOTES_WITH_TIES if "_ties_" in name else NoteSpec.NOTES
    vocabulary = vocabulary_from_codec(codec)
    for split, num_examples in (("train", 6), ("eval", None)):
        examples = read(name, split)
        assert len(examples) == (num_examples or len(examples)) > 0
        for ex in examples:
            assert_heard(ex, name)
            ids = ex["targets"]
            assert ids[-1] == EOS_ID and len(ids) <= TARGETS
            assert ((ids[:-1] >= NUM_SPECIAL_IDS) & (ids[:-1] < NUM_SPECIAL_IDS + codec.num_classes)).all()
            indexes = vocabulary.decode(ids)
            notes, report = decode_segments([indexes], [0.0], codec, spec)
            assert report.dropped_events == 0
            if spec.has_ties:  # of a segment alone, held notes and their ends make no sense
                first, last = codec.event_type_range("pitch")
                held = indexes[: indexes.tolist().index(codec.event_type_range("tie")[0])]
                assert report.invalid_events <= 2 * ((held >= first) & (held <= last)).sum()
            assert set(notes["program"]) <= {0, 32}


def assert_evaluation_task_conforms(name):
    codec = codec_of(name)
    examples = read(name, "eval")
    references = []
    for ex in examples:
        assert_heard(ex, name)
        assert ex["targets"].tolist() == [EOS_ID]
        assert ex["raw_inputs"].dtype == np.float32
        target = postprocess([], ex, is_target=True, codec=codec)
        prediction = postprocess([], ex, is_target=False, codec=codec)
        assert prediction["start_time"] == pytest.approx(ex["input_times"][0], abs=0.01)
        if ex["input_times"][0] == 0.0:
            references.append(target["ref_ns"])
        else:
            assert target["ref_ns"] is None
    assert len(references) == len({int(ex["unique_id"][0]) for ex in examples}) > 0
    for reference in references:
        assert len(from_note_sequence(reference)) >= 10


def test_every_data_set_has_its_tasks_and_mixtures(front_end):
    registered.register()
    ending = "" if front_end is FrontEnd.LOG_MEL else "_in_step"
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


def slow_unless(names, quick):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize(
    "name", slow_unless(TRAIN_TASKS, ("maestrov1_notes_train", "slakh_notes_ties_vb1_train"))
)
def test_train_task_conforms(name, data_dir):
    registered.register(TaskOptions(data_dir=data_dir))
    assert_train_task_conforms(name)


@pytest.mark.slow
def test_all_other_tasks_conform(data_dir, front_end):
    registered.register(TaskOptions(data_dir=data_dir))
    ending = "" if front_end is FrontEnd.LOG_MEL else "_in_step"
    names = [name for name in seqio.TaskRegistry.names() if name.endswith("_in_step") == bool(ending)]
    train_tasks = {name + ending for name in TRAIN_TASKS}
    assert train_tasks < set(names)
    for name in names:
        if name not in train_tasks:
            assert_evaluation_task_conforms(name)
        elif front_end is FrontEnd.IN_STEP:
            assert_train_task_conforms(name)


@pytest.mark.parametrize(
    "name", ["slakh_notes_ties_vb1_test", "midi_folder_notes_ties_vb1_validation_in_step"]
)
def test_evaluation_task_conforms(name, data_dir):
    registered.register(TaskOptions(data_dir=data_dir))
    assert_evaluation_task_conforms(name)


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
    played = set()
    for ex in examples:
        assert_heard(ex, name)
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
