"""Which training examples the seqio task and the Grain pipeline have in common.

The same: samples and target ids of one place, that is an example of a data set and a first frame; and which
examples an epoch holds, where recordings are shorter than 16 s. Not the same: which places a seed gives, and
in which order, since TensorFlow's and NumPy's random numbers differ.
"""

import dataclasses

import numpy as np
import pytest
import seqio

from mt3x.data import seqio_sources
from mt3x.data.cut import SegmentSizes, cut
from mt3x.data.grain_pipeline import PipelineConfig, SegmentMaker, open_pipeline
from mt3x.data.recordings import SAMPLE_RATE
from mt3x.data.records import Example
from mt3x.data.seqio_sources import Selection
from mt3x.data.seqio_tasks import (
    DatasetConfig,
    FrontEnd,
    InferEvalSplit,
    Split,
    TaskOptions,
    add_transcription_task_to_registry,
)
from mt3x.music.notes import make_notes, trim_overlapping_notes

FRAMES, HOP = 64, 128
CONFIG = PipelineConfig(
    batch_size=5,
    sizes=SegmentSizes(segment_frames=FRAMES, hop_samples=HOP, grid_samples=HOP),
    target_lengths=(400,),
    max_notes=100,
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
    examples = seqio_examples(epochs=4)
    assert len(examples) == 4 * len(recordings)
    for example in examples:
        frames = int(example["num_frames"])
        samples = example["samples"][: frames * HOP]
        number, start = place_of(samples, recordings)
        # At a recording's beginning, T5's chunks may be short; Grain's are whole there.
        sizes = dataclasses.replace(CONFIG.sizes, segment_frames=frames)
        segment = cut(Stored(recordings[number]), (0,), start, sizes)
        assert segment.num_frames == frames
        assert np.array_equal(segment.samples, samples)
        assert np.array_equal(maker.target_ids(segment), example["targets"])


def test_an_epoch_holds_the_same_recordings_in_both(recordings):
    batch = next(iter(open_pipeline([recordings], CONFIG)))
    from_grain = places(batch["samples"], batch["num_frames"], recordings)
    examples = seqio_examples(epochs=1)
    from_seqio = places(
        [example["samples"] for example in examples],
        [example["num_frames"] for example in examples],
        recordings,
    )
    assert sorted(number for number, _ in from_grain) == sorted(number for number, _ in from_seqio)
    assert sorted(from_grain) != sorted(from_seqio)  # the places: each library draws its own
