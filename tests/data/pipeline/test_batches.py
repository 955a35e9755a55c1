"""Batches: always the same ones, whoever draws them and wherever one begins."""

import dataclasses
import functools
import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mt3x.data.pipeline import batches
from mt3x.data.pipeline.augmentation import AugmentationConfig
from mt3x.data.pipeline.batches import BatchConfig, DrawnBatches, stack
from mt3x.data.pipeline.sound import note_bank_sound
from mt3x.data.synthetic.examples import Example, ExampleConfig, open_example_maker
from mt3x.data.synthetic.scores import PIECE_NOTE_DTYPE, Piece, is_held_out, save_scores
from mt3x.music.notes import make_notes
from mt3x.synthesis.note_banks import NoteBank, save_note_bank

EXAMPLES = ExampleConfig(segment_seconds=0.5, lead_seconds=0.1, max_tokens=96, max_notes=24)
SIZES = BatchConfig(batch_size=2, pool_batches=3, target_lengths=(16, 32, 96), total_steps=20, seed=5)
NUM_FRAMES = 31


def piece(name: str) -> Piece:
    notes = np.array([(i / 2, 0.5, 60 + i % 12, 0) for i in range(64)], PIECE_NOTE_DTYPE)
    bars, tempos = np.arange(0, 32, 4, np.float32), np.zeros((0, 2), np.float32)
    return Piece(name, name, "", ("Piano",), notes, bars, tempos)


def a_name(held_out: bool) -> str:
    return next(f"piece {i}" for i in range(1000) if is_held_out(f"piece {i}") is held_out)


@pytest.fixture(scope="module")
def scores_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("scores") / "scores.npz"
    save_scores([piece(a_name(held_out=True)), piece(a_name(held_out=False))], file)
    return file


@pytest.fixture(scope="module")
def open_sources(tmp_path_factory):
    """Opens a note bank that has one silent row for everything: quick, and without FluidSynth."""
    folder = tmp_path_factory.mktemp("bank")
    ones = np.ones(1, np.float32)
    lookup = np.zeros((129, 128, 1), np.int32)
    save_note_bank(
        NoteBank(np.zeros((1, 16000), np.int16), ones, ones, lookup, np.array([80], np.int32), 16000, "none"),
        folder,
    )
    return note_bank_sound([str(folder)], EXAMPLES, AugmentationConfig(), 16000).open_sources


@pytest.fixture
def start(scores_file, open_sources):
    """Makes `DrawnBatches`, closed after the test."""
    started = []

    def make(config=EXAMPLES, sizes=SIZES, scores=scores_file, sources=open_sources):
        open_maker = functools.partial(open_example_maker, config, scores, sources)
        started.append(DrawnBatches(sizes, open_maker, NUM_FRAMES))
        return started[-1]

    yield make
    for drawn in started:
        drawn.close()


@pytest.fixture(scope="module")
def expected(scores_file, open_sources):
    """(batches, the position after each) of three pools drawn by one worker."""
    open_maker = functools.partial(open_example_maker, EXAMPLES, scores_file, open_sources)
    with DrawnBatches(SIZES, open_maker, NUM_FRAMES) as drawn:
        pairs = [(next(drawn), drawn.get_state()) for _ in range(9)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def assert_same(batch, other):
    assert set(batch) == set(other)
    for name in batch:
        assert np.array_equal(batch[name], other[name]), name


def test_batches_have_few_shapes(expected):
    for batch in expected[0]:
        assert batch["targets"].shape in {(2, 16), (2, 32), (2, 96)}
        assert batch["targets"].dtype == np.int32
        assert np.array_equal(batch["num_frames"], [NUM_FRAMES] * 2)
        for name in ("start", "end", "pitch", "program", "is_drum"):
            assert batch[f"note_{name}"].shape == (2, 24)
        assert batch["bank_onsets"].shape == (2, 24)


def test_a_position_counts_pools_and_the_batches_taken_from_them(expected):
    positions = [(state["pool"], state["taken"]) for state in expected[1]]
    assert positions == [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0)]


def test_examples_of_a_batch_are_of_similar_length_and_batches_in_no_order(expected):
    longest = [
        [int((batch["targets"] > 0).sum(axis=1).max()) for batch in expected[0][k : k + 3]] for k in (0, 3, 6)
    ]
    assert any(lengths != sorted(lengths) for lengths in longest)


def test_two_workers_draw_the_same_batches_as_one(start, expected):
    drawn = start(sizes=BatchConfig(**{**vars(SIZES), "workers": 2}))
    for batch in expected[0]:
        assert_same(next(drawn), batch)


def test_a_run_goes_on_from_any_batch(start, expected):
    drawn = start()
    drawn.set_state(expected[1][3])
    for batch in expected[0][4:7]:
        assert_same(next(drawn), batch)
    drawn.close()  # the workers; the position stays
    assert_same(next(iter(drawn)), expected[0][7])


def test_closing_ends_the_workers(start, expected):
    drawn = start()
    drawn.set_state(expected[1][-1])
    next(drawn)
    ((process, _),) = drawn._workers
    assert process.is_alive()
    drawn.close()
    assert not process.is_alive()
    drawn.close()  # twice is no error


def test_held_out_pieces_are_not_drawn_from(start, tmp_path):
    save_scores([piece(a_name(held_out=True))], tmp_path / "held_out.npz")
    drawn = start(
        ExampleConfig(**{**vars(EXAMPLES), "score_share": 1.0, "random_share": 0.0}),
        scores=tmp_path / "held_out.npz",
    )
    with pytest.raises(RuntimeError, match="failed: ValueError: no score to draw from"):
        next(drawn)


def test_what_fails_in_a_worker_is_told_here(start, capfd):
    drawn = start(sources=functools.partial(int, "no soundfont"))
    with pytest.raises(RuntimeError, match="draws training examples failed: ValueError: invalid literal"):
        next(drawn)


def test_a_worker_that_is_killed_is_reported(start, monkeypatch):
    monkeypatch.setattr(batches, "_POLL_SECONDS", 0.2)
    drawn = start()
    next(drawn)
    for process, _ in drawn._workers:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    with pytest.raises(RuntimeError, match=r"worker .* died \(exit code -9\)"):
        list(itertools.islice(drawn, 20))  # what it sent before is still used


ORPHAN = """
import functools, os, signal, sys
from pathlib import Path
from mt3x.data.pipeline.batches import BatchConfig, DrawnBatches
from mt3x.data.synthetic.examples import ExampleConfig, open_example_maker
from mt3x.data.pipeline.sound import _open_banks
open_sources = functools.partial(_open_banks, (sys.argv[2],), 128)
drawn = DrawnBatches(
    BatchConfig(batch_size=2, pool_batches=2),
    functools.partial(open_example_maker, ExampleConfig(), Path(sys.argv[1]), open_sources),
    125,
)
next(drawn)
print(drawn._workers[0][0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_workers_end_when_their_run_is_killed(scores_file, open_sources):
    command = [sys.executable, "-c", ORPHAN, str(scores_file), open_sources.args[0][0]]
    killed = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{killed.stdout.strip()}") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert time.monotonic() < deadline


def example(num_targets: int, num_notes: int, draw: float) -> Example:
    notes = make_notes(0.25 + 0.1 * np.arange(num_notes), 0.5 + 0.1 * np.arange(num_notes), 60, program=8)
    sound = {"samples": np.full(4, draw, np.float32), "note_velocity": notes["velocity"]}
    return Example(np.arange(3, 3 + num_targets, dtype=np.int32), notes, sound)


@dataclasses.dataclass
class Drawer:
    """What `stack` asks of a maker: its config."""

    config: ExampleConfig

    def draw(self, rng, progress):
        raise NotImplementedError


def test_examples_are_padded_to_the_next_length_and_times_count_from_the_segment():
    maker = Drawer(ExampleConfig(lead_seconds=0.25, max_notes=3))
    batch = stack([example(5, 2, 0.1), example(7, 1, 0.2)], (6, 8, 256), maker, 10)
    assert batch["targets"].tolist() == [[3, 4, 5, 6, 7, 0, 0, 0], [3, 4, 5, 6, 7, 8, 9, 0]]
    assert np.allclose(batch["note_start"][:, 0], 0.0, atol=1e-7)
    assert np.allclose(batch["note_start"][0, 1], 0.1) and np.allclose(batch["note_end"][0, 1], 0.35)
    assert batch["note_start"].dtype == batch["note_end"].dtype == np.float32
    assert batch["note_pitch"].tolist() == [[60, 60, -1], [60, -1, -1]]
    assert batch["note_program"].tolist() == [[8, 8, 0], [8, 0, 0]]
    assert batch["note_is_drum"].dtype == bool and not batch["note_is_drum"].any()
    # Of the source's arrays, columns beside the notes are padded, others stacked.
    assert batch["note_velocity"].tolist() == [[100, 100, 0], [100, 0, 0]]
    assert batch["samples"].shape == (2, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"pool_batches": 0}, "pool_batches is 0; it must be at least 1"),
        ({"total_steps": 0}, "total_steps is 0; it must be at least 1"),
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"target_lengths": ()}, r"target_lengths are \(\); give at least one, rising"),
        ({"target_lengths": (32, 32)}, "give at least one, rising"),
    ],
)
def test_sizes_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BatchConfig(**settings)


def test_examples_without_targets_make_a_batch_without_them():
    batch = stack([example(0, 2, 0.1), example(0, 1, 0.2)], (6, 8), Drawer(ExampleConfig(max_notes=3)), 10)
    assert "targets" not in batch and batch["note_pitch"].shape == (2, 3)


def test_lengths_that_cannot_hold_the_longest_example_are_refused():
    message = (
        "target_lengths end at 8, but an example has 9 tokens; let the last length be at least max_tokens"
    )
    with pytest.raises(ValueError, match=message):
        stack([example(5, 2, 0.1), example(9, 1, 0.2)], (6, 8), Drawer(ExampleConfig()), 10)


def test_a_position_in_pools_of_another_size_is_refused(start):
    with pytest.raises(ValueError, match="3 batches of a pool were given out, but pool_batches is 3; go on"):
        start().set_state({"pool": 1, "taken": 3})
