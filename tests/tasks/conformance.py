"""What every registered task promises of its examples, whatever data set and front end."""

import numpy as np
import seqio
import tensorflow as tf

from mt3x.data.records.array_records import Records
from mt3x.data.seqio.evaluation import postprocess
from mt3x.data.seqio.sources import Selection
from mt3x.data.seqio.tasks import MAX_NUM_CACHED_FRAMES, FrontEnd
from mt3x.music.noteseq import from_note_sequence
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import (
    EOS_ID,
    NUM_SPECIAL_IDS,
    VocabularyConfig,
    build_codec,
    vocabulary_from_codec,
)

FRAMES, TARGETS, HOP = 128, 512, 128
LENGTHS = {"inputs": FRAMES, "targets": TARGETS}


def codec_of(name):
    return build_codec(VocabularyConfig(num_velocity_bins=1 if "_vb1_" in name else 127))


def spec_of(name):
    return NoteSpec.NOTES_WITH_TIES if "_ties_" in name else NoteSpec.NOTES


def read(name, split, num_epochs=1):
    task = seqio.TaskRegistry.get(name)
    dataset = task.get_dataset(LENGTHS, split=split, shuffle=False, seed=1, num_epochs=num_epochs)
    assert dataset.element_spec["targets"].dtype == tf.int32
    return list(dataset.as_numpy_iterator())


def assert_heard(examples, name):
    """All hold input of the right kind, and something is heard in it."""
    in_step = name.endswith(FrontEnd.IN_STEP.value)
    for ex in examples:
        if in_step:
            assert ex["samples"].dtype == np.float32 and ex["samples"].shape == (FRAMES * HOP,)
            assert ex["num_frames"].dtype == np.int32 and 1 <= ex["num_frames"] <= FRAMES
            assert not ex["samples"][ex["num_frames"] * HOP :].any()
        else:
            assert ex["inputs"].dtype == np.float32 and ex["inputs"].shape[1] == 512
            assert 1 <= len(ex["inputs"]) <= FRAMES
            assert np.isfinite(ex["inputs"]).all()
    assert any(ex["samples" if in_step else "inputs"].std() > 0 for ex in examples)


def assert_train_task_conforms(name, split, selected):
    """`selected`: the examples of records that the split reads."""
    assert seqio.TaskRegistry.get(name).num_input_examples(split) == len(selected) > 0
    codec, spec = codec_of(name), spec_of(name)
    vocabulary = vocabulary_from_codec(codec)
    programs = {int(program) for example in selected for program in example.notes["program"]}
    examples = read(name, split, num_epochs=2)
    num_frames = [len(example.samples) // HOP + 1 for example in selected]
    assert len(examples) == 2 * sum(-(-count // MAX_NUM_CACHED_FRAMES) for count in num_frames)
    assert_heard(examples, name)
    for ex in examples:
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
        assert set(notes["program"].tolist()) <= programs | {0}


def assert_evaluation_task_conforms(name, selected):
    """Whole recordings come in order, with their notes."""
    assert seqio.TaskRegistry.get(name).num_input_examples("eval") == len(selected) > 0
    codec = codec_of(name)
    examples = read(name, "eval")
    assert len({int(ex["unique_id"][0]) for ex in examples}) == len(selected)
    assert_heard(examples, name)
    assert all(ex["targets"].tolist() == [EOS_ID] for ex in examples)
    for number, example in enumerate(selected):
        mine = [ex for ex in examples if ex["unique_id"] == [number]]
        heard = np.concatenate([ex["raw_inputs"] for ex in mine])
        assert np.array_equal(heard[: len(example.samples)], example.samples)
        starts = [postprocess([], ex, is_target=False, codec=codec)["start_time"] for ex in mine]
        np.testing.assert_allclose(starts, np.arange(len(mine)) * FRAMES * HOP / 16000, atol=0.01)
        first, *others = [postprocess([], ex, is_target=True, codec=codec)["ref_ns"] for ex in mine]
        assert first.id == example.id and others == [None] * len(others)
        assert np.array_equal(from_note_sequence(first), example.notes)


def select(folder, selection: Selection):
    """The examples of one data set's folder that a split reads."""
    return list(Records(folder, selection.split))[:: selection.every]
