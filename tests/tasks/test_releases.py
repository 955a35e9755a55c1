"""From a release as it is published to examples: every registered task, by its own reader."""

import functools

import pytest

from mt3x.data.datasets import READERS, make_reader
from mt3x.data.records.build import build
from tests.data.datasets import releases_slakh
from tests.data.datasets.test_readers import OPTIONS, RELEASES

QUARTET = (releases_slakh.PIANO, releases_slakh.DRUMS, releases_slakh.BASS, releases_slakh.GUITAR)
QUICK = {("guitarset", "log_mel"), ("slakh", "in_step")}


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global seqio, registered, FrontEnd, TaskOptions, assert_evaluation_task_conforms
    global assert_train_task_conforms, select, DATASETS
    import seqio
    from mt3x.tasks import registered

    from mt3x.data.seqio.tasks import FrontEnd, TaskOptions
    from tests.tasks.conformance import assert_evaluation_task_conforms, assert_train_task_conforms, select

    DATASETS = {dataset.CONFIG.name: dataset for dataset in registered.DATASETS}


@pytest.fixture(scope="module")
def records_of(tmp_path_factory):
    """name -> folder in which the data set of this name is built, from its miniature release."""

    @functools.cache
    def make(name):
        folder = tmp_path_factory.mktemp(name)
        RELEASES[name](folder / "release")
        if name == "cerberus4":  # the miniature of Slakh has no quartet to test with
            releases_slakh.write_track(folder / "release/test/Track01877", QUARTET)
        build(make_reader(name, **OPTIONS.get(name, {})), folder / "release", folder / name)
        return folder

    return make


def test_every_reader_has_its_tasks():
    assert set(DATASETS) == set(READERS) == set(RELEASES)
    for name, dataset in DATASETS.items():
        reader = make_reader(name, **OPTIONS.get(name, {}))
        assert {split.records.split for split in dataset.CONFIG.splits.values()} == set(reader.splits)


def test_every_registered_task_is_one_of_a_data_set_and_so_is_tested_below():
    for front_end in FrontEnd:
        for dataset in DATASETS.values():
            dataset.register(TaskOptions(front_end=front_end))
    names = set(seqio.TaskRegistry.names())
    registered.register()
    assert set(seqio.TaskRegistry.names()) == names


@pytest.mark.parametrize(
    ("name", "front_end"),
    [
        pytest.param(name, front_end, marks=() if (name, front_end) in QUICK else pytest.mark.slow)
        for name in READERS
        for front_end in ("log_mel", "in_step")
    ],
)
def test_all_tasks_of_a_release_conform(name, front_end, records_of):
    folder, config = records_of(name), DATASETS[name].CONFIG
    DATASETS[name].register(TaskOptions(str(folder), front_end=front_end))
    selected = {key: select(folder / name, split.records) for key, split in config.splits.items()}
    train_splits = {"train": config.train_split, "eval": config.train_eval_split}
    evaluation_splits = {split.suffix: split.name for split in config.infer_eval_splits}
    for task in seqio.TaskRegistry.names():
        if seqio.TaskRegistry.get(task).splits == ("eval",):
            plain = task.removesuffix("_in_step")
            (split,) = [split for suffix, split in evaluation_splits.items() if plain.endswith(f"_{suffix}")]
            assert_evaluation_task_conforms(task, selected[split])
        else:
            for split, key in train_splits.items():
                assert_train_task_conforms(task, split, selected[key])
