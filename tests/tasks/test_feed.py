"""What the project's trainer takes from seqio tasks."""

import itertools

import numpy as np
import pytest

TASK = "slakh_notes_ties_vb1_train"
LENGTHS = {"inputs": 32, "targets": 128}


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global slakh, SeqioBatches, FrontEnd, TaskOptions
    from mt3x.tasks import slakh

    from mt3x.data.seqio.feed import SeqioBatches
    from mt3x.data.seqio.tasks import FrontEnd, TaskOptions


def open_batches(data_dir, **options):
    slakh.register(TaskOptions(data_dir, front_end=FrontEnd.IN_STEP, shuffle_buffer_size=10))
    return SeqioBatches(f"{TASK}_in_step", LENGTHS, batch_size=2, seed=3, **options)


def test_batches_hold_samples_and_targets_of_one_shape(data_dir):
    for batch in itertools.islice(open_batches(data_dir), 3):
        assert batch["samples"].shape == (2, 32 * 128) and batch["samples"].dtype == np.float32
        assert batch["targets"].shape == (2, 128) and batch["targets"].dtype == np.int32
        assert batch["num_frames"].shape == (2,)


def test_a_run_goes_on_where_it_was(data_dir):
    batches = open_batches(data_dir)
    for _ in range(2):
        next(batches)
    position = batches.get_state()
    expected = [next(batches) for _ in range(3)]
    again = open_batches(data_dir)
    again.set_state(position)
    for batch in expected:
        found = next(again)
        assert all(np.array_equal(found[name], batch[name]) for name in batch)
    assert again.get_state() == batches.get_state() == {"taken": 5}


def test_hosts_draw_different_examples(data_dir):
    first, second = (next(open_batches(data_dir, shard_index=i, shard_count=2)) for i in range(2))
    assert not np.array_equal(first["samples"], second["samples"])


def test_a_task_that_is_not_there_or_makes_its_own_spectrogram_is_refused(data_dir):
    with pytest.raises(ValueError, match="no seqio task or mixture 'nothing' is registered; import"):
        SeqioBatches("nothing", LENGTHS, 2)
    slakh.register(TaskOptions(data_dir))
    with pytest.raises(ValueError, match="hold no samples; register it with front_end='in_step'"):
        SeqioBatches(TASK, LENGTHS, 2)
