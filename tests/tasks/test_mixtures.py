import itertools

import pytest

LENGTHS = {"inputs": 32, "targets": 256}


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global seqio, mixtures, registered, FrontEnd, TaskOptions
    import seqio
    from mt3x.tasks import mixtures, registered

    from mt3x.data.seqio.tasks import FrontEnd, TaskOptions


@pytest.mark.slow
def test_mega_can_be_drawn_without_cache(data_dir):
    registered.register(TaskOptions(data_dir=data_dir, shuffle_buffer_size=10))
    mixture = seqio.MixtureRegistry.get("mega_notes_ties_vb1_train_in_step")
    assert {task.name.split("_notes")[0] for task in mixture.tasks} == set(mixtures.DATASET_NAMES)
    dataset = mixture.get_dataset(LENGTHS, split="train", use_cached=False, seed=1, num_epochs=None)
    drawn = list(itertools.islice(dataset.as_numpy_iterator(), 12))
    assert len(drawn) == 12
    assert all(set(ex) == {"samples", "num_frames", "targets"} for ex in drawn)


def test_data_sets_are_drawn_by_the_size_to_the_power_of_three_tenths(data_dir):
    registered.register(TaskOptions(data_dir=data_dir))
    for suffix, count in (("train", 6), ("eval", {"maestrov3": 2, "cerberus4": 1, "slakh": 1})):
        mixture = seqio.MixtureRegistry.get(f"mega_notes_ties_vb1_{suffix}")
        for task in mixture.tasks:
            size = count if isinstance(count, int) else count.get(task.name.split("_notes")[0], 6)
            assert mixture.get_rate(task) == pytest.approx(size**0.3)


def test_counts_of_mt3s_files_give_rates_too():
    registered.register(TaskOptions(tfrecord_root="gs://"))
    mixture = seqio.MixtureRegistry.get("mega_notes_ties_vb1_train")
    rates = {task.name.split("_notes")[0]: mixture.get_rate(task) for task in mixture.tasks}
    assert rates["maestrov3"] == pytest.approx(962**0.3)
    ordered = ("urmp", "musicnet_em", "guitarset", "maestrov3", "cerberus4", "slakh")
    assert sorted(rates, key=rates.__getitem__) == list(ordered)


def test_a_mixture_needs_its_data_sets():
    with pytest.raises(ValueError, match="not registered: cerberus4_notes_ties_vb1_train"):
        mixtures.register(TaskOptions(front_end=FrontEnd.LOG_MEL))
