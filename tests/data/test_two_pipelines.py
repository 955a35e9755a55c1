"""Which training examples the seqio task and the Grain pipeline have in common.

The same: samples and target ids of one place, that is a run of frames of a recording; and from where an epoch
takes its examples, one of every 2000 frames (here 100) of each recording. By which rule they are drawn there
is tested in test_cut.py. Not the same: which places a seed gives, and in which order, since TensorFlow's and
NumPy's random numbers differ.
"""

import dataclasses

import numpy as np
import pytest

from mt3x.data.pipeline.cut import SegmentSizes, cut
from mt3x.data.pipeline.grain_pipeline import PipelineConfig, SegmentMaker, open_pipeline
from mt3x.data.records.array_records import Example
from mt3x.data.records.recordings import SAMPLE_RATE
from mt3x.music.notes import make_notes, trim_overlapping_notes

FRAMES, HOP, PIECE = 64, 128, 100
CONFIG = PipelineConfig(
    batch_size=5,
    sizes=SegmentSizes(segment_frames=FRAMES, hop_samples=HOP, grid_samples=HOP, piece_frames=PIECE),
    target_lengths=(400,),
    max_notes=100,
)


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What needs TensorFlow is imported when the first test here runs: it takes seconds."""
    global seqio, seqio_sources, seqio_tasks, Selection, DatasetConfig, FrontEnd, InferEvalSplit, Split
    global TaskOptions, add_transcription_task_to_registry
    import seqio

    from mt3x.data.seqio import sources as seqio_sources
    from mt3x.data.seqio import tasks as seqio_tasks
    from mt3x.data.seqio.sources import Selection
    from mt3x.data.seqio.tasks import (
        DatasetConfig,
        FrontEnd,
        InferEvalSplit,
        Split,
        TaskOptions,
        add_transcription_task_to_registry,
    )


@dataclasses.dataclass(frozen=True)
class Stored:
    """A recording in memory, as records give it."""

    example: Example
    mixes = ((0,),)

    @property
    def notes(self):
        return (self.example.notes,)

    @property
    def num_samples(self):
        return len(self.example.samples)

    def samples(self, stem, start=0, stop=None):
        return self.example.samples[start:stop]


class Recordings(list):
    """A split in memory, for both pipelines."""

    @property
    def lengths(self):
        return np.array([len(example.samples) for example in self])

    def stored(self, index):
        return Stored(self[index]), 0


@pytest.fixture
def recordings(monkeypatch):
    random = np.random.default_rng(0)
    recordings = Recordings()
    for number in range(5):
        length = int(SAMPLE_RATE * random.uniform(0.6, 3.0))
        start = random.uniform(0, length / SAMPLE_RATE - 0.1, 40)
        notes = make_notes(
            start,
            np.minimum(start + random.exponential(0.3, 40), length / SAMPLE_RATE),
            random.integers(50, 60, 40),
            program=random.choice([0, 24], 40),
            is_drum=random.random(40) < 0.2,
        )
        samples = random.normal(0, 0.1, length).astype(np.float32)
        recordings.append(Example(f"take {number}", samples, trim_overlapping_notes(notes)))
    monkeypatch.setattr(seqio_tasks, "MAX_NUM_CACHED_FRAMES", PIECE)
    monkeypatch.setattr(seqio_sources, "Records", lambda folder, split: recordings)
    monkeypatch.setattr(seqio.TaskRegistry, "_REGISTRY", {})
    monkeypatch.setattr(seqio.MixtureRegistry, "_REGISTRY", {})
    return recordings


def seqio_examples(epochs, seed=0):
    splits = {name: Split(Selection(name)) for name in ("train", "validation")}
    table = DatasetConfig("small", splits, (InferEvalSplit("validation", "validation"),))
    add_transcription_task_to_registry(table, TaskOptions(data_dir="unused", front_end=FrontEnd.IN_STEP))
    task = seqio.get_mixture_or_task("small_notes_ties_vb1_train_in_step")
    lengths = {"inputs": FRAMES, "targets": 400}
    dataset = task.get_dataset(lengths, split="train", shuffle=True, seed=seed, num_epochs=epochs)
    return list(dataset.as_numpy_iterator())


def place_of(samples, recordings):
    """(recording, first sample) at which these samples are heard: noise never repeats itself."""
    for number, example in enumerate(recordings):
        for start in np.flatnonzero(example.samples == samples[0]):
            heard = samples[: len(example.samples) - start]
            if np.array_equal(example.samples[start : start + len(heard)], heard):
                return number, int(start)
    raise AssertionError("these samples are in no recording")


def places(samples, num_frames, recordings):
    return [
        place_of(row[: HOP * int(count)], recordings) for row, count in zip(samples, num_frames, strict=True)
    ]


def test_a_place_gives_the_same_samples_and_targets_in_both(recordings):
    maker = SegmentMaker([recordings], CONFIG)
    examples = seqio_examples(epochs=2)
    assert len(examples) == 2 * sum(maker.piece_counts)
    for example in examples:
        frames = int(example["num_frames"])
        number, start = place_of(example["samples"][: frames * HOP], recordings)
        segment = cut(Stored(recordings[number]), (0,), start, CONFIG.sizes, frames=frames)
        assert segment.num_frames == frames
        assert np.array_equal(segment.samples, example["samples"])
        assert np.array_equal(maker.target_ids(segment), example["targets"])


def test_an_epoch_holds_one_segment_of_every_piece_of_a_recording_in_both(recordings):
    frames_of = [len(example.samples) // HOP + 1 for example in recordings]
    pieces = [
        (number, piece) for number, frames in enumerate(frames_of) for piece in range(-(-frames // PIECE))
    ]
    assert len(pieces) > len(recordings)
    config = dataclasses.replace(CONFIG, batch_size=len(pieces))
    batch = next(iter(open_pipeline([recordings], config)))
    examples = seqio_examples(epochs=1)
    drawn = []
    for samples, counts in (
        (batch["samples"], batch["num_frames"]),
        ([example["samples"] for example in examples], [example["num_frames"] for example in examples]),
    ):
        found = places(samples, counts, recordings)
        assert sorted((number, start // HOP // PIECE) for number, start in found) == pieces
        for (_, start), count in zip(found, counts, strict=True):
            assert start // HOP % PIECE + count <= PIECE  # no segment crosses into the next piece
        drawn.append(sorted(found))
    assert drawn[0] != drawn[1]  # the places: each library draws its own


def test_both_cut_recordings_into_pieces_of_as_many_frames():
    assert SegmentSizes().piece_frames == seqio_tasks.MAX_NUM_CACHED_FRAMES == 2000
