import dataclasses
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig, log_mel
from mt3x.data.records.array_records import Example
from mt3x.data.records.recordings import SAMPLE_RATE
from mt3x.music.instruments import Granularity
from mt3x.music.notes import empty_notes, make_notes, sort_notes
from mt3x.music.noteseq import from_note_sequence
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec, vocabulary_from_codec

GOLDEN = Path(__file__).parents[2] / "golden"
LENGTHS = {"inputs": 64, "targets": 200}


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global seqio, tf, seqio_sources, seqio_tasks, postprocess, Selection, MT3_VOCABULARY
    global MULTI_INSTRUMENT_VOCABULARY, DatasetConfig, FrontEnd, GenericTokenVocabulary, InferEvalSplit
    global Split, TaskOptions, add_transcription_task_to_registry, construct_task_name, register_tasks
    global CODEC, CONFIG
    import seqio
    import tensorflow as tf

    from mt3x.data.seqio import sources as seqio_sources
    from mt3x.data.seqio import tasks as seqio_tasks
    from mt3x.data.seqio.evaluation import postprocess
    from mt3x.data.seqio.sources import Selection
    from mt3x.data.seqio.tasks import (
        MT3_VOCABULARY,
        MULTI_INSTRUMENT_VOCABULARY,
        DatasetConfig,
        FrontEnd,
        GenericTokenVocabulary,
        InferEvalSplit,
        Split,
        TaskOptions,
        add_transcription_task_to_registry,
        construct_task_name,
        register_tasks,
    )

    CODEC = build_codec(MULTI_INSTRUMENT_VOCABULARY)
    CONFIG = DatasetConfig(
        name="small",
        splits={name: Split(Selection(name)) for name in ("train", "validation")},
        infer_eval_splits=(
            InferEvalSplit("train", "eval_train", include_in_mixture=False),
            InferEvalSplit("validation", "validation"),
        ),
    )


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """Nothing is registered before and after a test."""
    monkeypatch.setattr(seqio.TaskRegistry, "_REGISTRY", {})
    monkeypatch.setattr(seqio.MixtureRegistry, "_REGISTRY", {})


def serve(monkeypatch, examples):
    monkeypatch.setattr(seqio_sources, "Records", lambda folder, split: examples)


@pytest.fixture
def recordings(monkeypatch):
    """Three recordings of 1.5 to 2.5 s; notes go over the edges of segments."""
    random = np.random.default_rng(0)
    examples = []
    for number in range(3):
        length = SAMPLE_RATE * (3 + number) // 2
        start = random.integers(0, 100, 12) / 100
        end, pitch = start + random.integers(5, 50, 12) / 100, random.integers(40, 80, 12)
        notes = sort_notes(make_notes(start, end, pitch, program=24))
        samples = random.normal(0, 0.1, length).astype(np.float32)
        examples.append(Example(f"take {number}", samples, notes))
    serve(monkeypatch, examples)
    return examples


def register(config=None, vocabulary=None, spec=NoteSpec.NOTES_WITH_TIES, **options):
    options, vocabulary = TaskOptions(data_dir="unused", **options), vocabulary or MULTI_INSTRUMENT_VOCABULARY
    add_transcription_task_to_registry(config or CONFIG, options, vocabulary, spec)


def read(name, split="train", lengths=LENGTHS, **kwargs):
    dataset = seqio.get_mixture_or_task(name).get_dataset(lengths, split=split, **kwargs)
    return list(dataset.as_numpy_iterator())


def golden_notes(rows):
    if not rows:
        return empty_notes()
    start, end, *others, _instrument = np.array(rows, np.float64).T
    return make_notes(start, end, *(column.astype(np.int32) for column in others))


@pytest.mark.parametrize(
    ("config", "num_frames", "granularity"),
    [
        ("vel127_noties", 512, Granularity.MIDI_CLASS),
        ("vel127_noties", 256, Granularity.FULL),
        ("vel1_ties", 256, Granularity.FLAT),
        ("vel1_ties", 512, Granularity.FULL),
    ],
)
def test_targets_of_the_train_task_equal_the_originals(monkeypatch, config, num_frames, granularity):
    data = json.loads((GOLDEN / "tokenization.json").read_text())
    ending = f".{config}.{num_frames}.{granularity.value}"
    keys = [key for key in data["segments"] if key.endswith(ending)]
    sequences = [data["sequences"][key.split(".")[0]] for key in keys]
    serve(
        monkeypatch,
        [
            Example(
                key,
                np.zeros(sequence["num_samples"], np.float32),
                golden_notes(sequence["ns_after_sustain"]["notes"]),
            )
            for key, sequence in zip(keys, sequences, strict=True)
        ],
    )
    monkeypatch.setattr(seqio_tasks, "MAX_NUM_CACHED_FRAMES", num_frames)
    velocities, spec = (127, NoteSpec.NOTES) if config == "vel127_noties" else (1, NoteSpec.NOTES_WITH_TIES)
    vocabulary = VocabularyConfig(num_velocity_bins=velocities)
    register(
        vocabulary=vocabulary,
        spec=spec,
        granularity=granularity,
        front_end=FrontEnd.IN_STEP,
        mt3_compatible=True,
    )
    name = construct_task_name(f"small_{spec.value}", None, vocabulary, "train_in_step")
    # Without sequence lengths nothing is cut at random.
    examples = read(name, lengths=None, shuffle=False)
    want = [segment for key in keys for segment in data["segments"][key]]
    assert len(examples) == len(want)
    for ex, segment in zip(examples, want, strict=True):
        assert ex["targets"].tolist() == segment["encoded"]
        assert ex["num_frames"] == segment["num_frames"]


def test_options_may_be_words():
    options: dict = {"front_end": "in_step", "granularity": "midi_class"}
    assert TaskOptions(**options) == TaskOptions(
        front_end=FrontEnd.IN_STEP, granularity=Granularity.MIDI_CLASS
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"front_end": "step"}, "front_end is 'step'; it must be one of log_mel, in_step"),
        ({"granularity": "fine"}, "granularity is 'fine'; it must be one of flat, midi_class, full"),
        ({"max_examples_per_mix": 0}, "max_examples_per_mix is 0; it must be at least 1"),
        ({"shuffle_buffer_size": 0}, "shuffle_buffer_size is 0; it must be at least 1"),
        ({"spectrogram": SpectrogramConfig(sample_rate=22050)}, "reads 22050 .* hold 16000; set sample_rate"),
    ],
)
def test_options_without_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TaskOptions(**options)


def test_names_are_those_of_mt3():
    assert construct_task_name("maestrov3_notes", task_suffix="train") == "maestrov3_notes_train"
    name = construct_task_name(
        "a", SpectrogramConfig(hop_width=256, num_mel_bins=256), VocabularyConfig(50, 5, 1)
    )
    assert name == "a_hw256mb256_ss50ms5vb1"
    assert construct_task_name("a", SpectrogramConfig(sample_rate=22050)) == "a_sr22050"


def test_a_data_set_has_a_train_task_evaluation_tasks_and_their_mixture():
    register()
    register(vocabulary=MT3_VOCABULARY, spec=NoteSpec.ONSETS, front_end=FrontEnd.IN_STEP)
    ties = [f"small_notes_ties_vb1_{suffix}" for suffix in ("train", "eval_train", "validation")]
    onsets = [f"small_onsets_{suffix}_in_step" for suffix in ("train", "eval_train", "validation")]
    assert set(seqio.TaskRegistry.names()) == {*ties, *onsets}
    assert set(seqio.MixtureRegistry.names()) == {"small_notes_ties_vb1_eval", "small_onsets_eval_in_step"}
    mixture = seqio.MixtureRegistry.get("small_notes_ties_vb1_eval")
    assert [task.name for task in mixture.tasks] == ["small_notes_ties_vb1_validation"]
    assert set(seqio.TaskRegistry.get(ties[0]).splits) == {"train", "eval"}
    assert set(seqio.TaskRegistry.get(ties[1]).splits) == {"eval"}


def test_registering_again_replaces(recordings, monkeypatch):
    register(front_end=FrontEnd.LOG_MEL)
    before = seqio.TaskRegistry.get("small_notes_ties_vb1_train")
    register()
    assert seqio.TaskRegistry.get("small_notes_ties_vb1_train") is not before
    assert len(seqio.TaskRegistry.names()) == 3


def test_where_data_are_is_asked_of_the_environment_when_tasks_are_added(monkeypatch, tmp_path):
    monkeypatch.setenv("MT3X_DATA_DIR", str(tmp_path))
    add_transcription_task_to_registry(CONFIG)
    task = seqio.TaskRegistry.get("small_notes_ties_vb1_train")
    with pytest.raises(ValueError, match=str(tmp_path / "small")):
        task.num_input_examples("train")
    table = Split(Selection("train"), "mt3/train.tfrecord-*", 7)
    config = dataclasses.replace(CONFIG, layout="maestro", splits={"train": table, "validation": table})
    monkeypatch.setenv("MT3X_TFRECORD_ROOT", "gs://")
    add_transcription_task_to_registry(config)
    add_transcription_task_to_registry(dataclasses.replace(CONFIG, name="ours"))
    task = seqio.TaskRegistry.get("small_notes_ties_vb1_train")
    assert task.num_input_examples("train") == 7
    assert task.source._patterns["train"] == "gs://mt3/train.tfrecord-*"
    ours = seqio.TaskRegistry.get("ours_notes_ties_vb1_train")
    assert isinstance(ours.source, seqio_sources.RecordsSource)


def test_train_examples_decode_to_notes_of_the_recording(recordings):
    register(front_end=FrontEnd.IN_STEP)
    examples = read("small_notes_ties_vb1_train_in_step", seed=5, num_epochs=4)
    vocabulary = vocabulary_from_codec(CODEC)
    played = {(note["pitch"], note["program"]) for take in recordings for note in take.notes}
    heard = set()
    for ex in examples:
        notes, report = decode_segments(
            [vocabulary.decode(ex["targets"])], [0.0], CODEC, NoteSpec.NOTES_WITH_TIES
        )
        assert report.dropped_events == 0
        heard |= {(note["pitch"], note["program"]) for note in notes}
        samples = ex["samples"][: ex["num_frames"] * 128]
        assert any(_contains(take.samples, samples[:100]) for take in recordings)
    assert heard and heard <= played


def _contains(samples, excerpt):
    places = np.flatnonzero(samples == excerpt[0])
    return any(np.array_equal(samples[place : place + len(excerpt)], excerpt) for place in places)


def test_both_front_ends_give_the_same_log_mel(recordings):
    register()
    register(front_end=FrontEnd.IN_STEP)
    by_task = read("small_notes_ties_vb1_train", seed=3)
    in_step = read("small_notes_ties_vb1_train_in_step", seed=3)
    assert len(by_task) == len(in_step) == 3
    for ex, raw in zip(by_task, in_step, strict=True):
        assert ex["targets"].tolist() == raw["targets"].tolist()
        assert raw["samples"].shape == (64 * 128,)
        num_frames = int(raw["num_frames"])
        assert ex["inputs"].shape == (num_frames, 512)
        mels = log_mel(raw["samples"][None], raw["num_frames"][None], SpectrogramConfig())
        assert np.array_equal(mels[0, :num_frames], ex["inputs"])


def test_the_same_seed_gives_the_same_examples(recordings):
    register(front_end=FrontEnd.IN_STEP, max_examples_per_mix=2)
    runs = [read("small_notes_ties_vb1_train_in_step", seed=seed) for seed in (1, 1, 2)]
    same = [
        len(run) == len(runs[0])
        and all(np.array_equal(a["samples"], b["samples"]) for a, b in zip(runs[0], run, strict=True))
        for run in runs
    ]
    assert same == [True, True, False]
    assert all(np.isclose(np.abs(ex["samples"]).max(), 1.0) for ex in runs[0])


def test_hosts_read_different_recordings(recordings):
    register(front_end=FrontEnd.IN_STEP)
    name = "small_notes_ties_vb1_validation_in_step"
    lengths = []
    for index in range(2):
        shard = seqio.ShardInfo(index, 2)
        examples = read(name, "eval", lengths=None, shuffle=False, shard_info=shard)
        lengths.append([int(ex["num_frames"]) for ex in examples])
    assert lengths == [[188, 313], [251]]


def test_evaluation_reads_whole_recordings_in_order_with_their_references(recordings):
    register()
    examples = read("small_notes_ties_vb1_validation", "eval", shuffle=False)
    for number, take in enumerate(recordings):
        mine = [ex for ex in examples if ex["unique_id"] == [number]]
        samples = np.concatenate([ex["raw_inputs"] for ex in mine])
        assert np.array_equal(samples[: len(take.samples)], take.samples)
        times = np.concatenate([ex["input_times"] for ex in mine])
        np.testing.assert_allclose(times, np.arange(len(times)) * 0.008, atol=1e-6)
        assert [bool(ex["sequence"][0]) for ex in mine] == [True] + [False] * (len(mine) - 1)
        assert all(ex["targets"].tolist() == [1] and len(ex["inputs"]) <= 64 for ex in mine)
        target = postprocess([], mine[0], is_target=True, codec=CODEC)
        assert target["ref_ns"].id == take.id
        assert np.array_equal(from_note_sequence(target["ref_ns"]), take.notes)
        assert postprocess([], mine[1], is_target=True, codec=CODEC)["ref_ns"] is None


def test_too_many_targets_stop_the_task_or_are_skipped(recordings):
    lengths = {"inputs": 64, "targets": 4}
    register(front_end=FrontEnd.IN_STEP)
    with pytest.raises(tf.errors.InvalidArgumentError, match="targets is longer than 3; give a greater"):
        read("small_notes_ties_vb1_train_in_step", lengths=lengths, seed=1)
    register(front_end=FrontEnd.IN_STEP, skip_too_long=True)
    examples = read("small_notes_ties_vb1_train_in_step", lengths=lengths, seed=1, num_epochs=8)
    assert all(len(ex["targets"]) <= 4 for ex in examples)


def test_seqio_and_models_see_the_same_ids():
    ours = vocabulary_from_codec(CODEC)
    vocabulary = GenericTokenVocabulary(ours)
    assert vocabulary.vocab_size == ours.vocab_size == 1491
    assert (vocabulary.pad_id, vocabulary.eos_id, vocabulary.unk_id) == (0, 1, 2)
    assert vocabulary.encode([0, 1387]) == [3, 1390]
    assert vocabulary.encode_tf(tf.constant([0, 1387])).numpy().tolist() == [3, 1390]
    assert vocabulary.decode([3, 1390, 2, 1, 3]) == [0, 1387, -2, -1]
    decoded = vocabulary.decode_tf(tf.constant([[3, 1390, 1400, 1, 3]]))
    assert decoded.numpy().tolist() == [[0, 1387, -2, -1, -1]]
    assert vocabulary == GenericTokenVocabulary(ours) != seqio.PassThroughVocabulary(1491)
    assert hash(vocabulary) == hash(GenericTokenVocabulary(ours))
    with pytest.raises(ValueError, match="index 1388 does not exist"):
        vocabulary.encode([1388])


def test_a_module_of_ones_own_registers_its_tasks(monkeypatch):
    told = []
    monkeypatch.setitem(sys.modules, "my_tasks", types.SimpleNamespace(register=told.append))
    options = TaskOptions("records", front_end=FrontEnd.IN_STEP)
    register_tasks("my_tasks", options)
    assert told == [options]


@pytest.mark.parametrize("module", ["no_such_tasks", "json"])
def test_a_module_that_registers_nothing_is_told(module):
    with pytest.raises(ValueError, match=f"{module} registers no tasks .*; name a module with a function"):
        register_tasks(module, TaskOptions())
