"""What each of several processes is fed with; what a single one gets is tested where it trains."""

import contextlib
import types

import pytest

from mt3x.apps import feeds
from mt3x.apps.feeds import BuiltDatasets, DrawnMusic
from mt3x.data.augmentation import AugmentationConfig
from mt3x.data.batches import BatchConfig
from mt3x.data.examples import ExampleConfig
from mt3x.data.grain_pipeline import PipelineConfig
from mt3x.runtime.presets import TranscriptionConfig

MODEL = TranscriptionConfig(segment_frames=64, max_target_length=256)


@pytest.fixture(params=[(0, 1), (0, 2), (1, 2)])
def processes(request, monkeypatch):
    monkeypatch.setattr(feeds, "this_process", lambda: request.param)
    return request.param


def test_drawn_batches_are_divided_of_one_shape_and_not_the_same(processes, monkeypatch, tmp_path):
    opened = []

    @contextlib.contextmanager
    def open_batches(examples, batches, *_):
        opened.append(batches)
        yield iter(())

    sound = types.SimpleNamespace(open_sources=None, prepare=None, resources=None)
    monkeypatch.setattr(feeds, "DrawnBatches", open_batches)
    monkeypatch.setattr(feeds, "rendered_sound", lambda *_: sound)
    (tmp_path / "scores.npz").touch()
    batches = BatchConfig(batch_size=6, seed=5, target_lengths=(64, 256))
    music = DrawnMusic(
        ExampleConfig(), batches, AugmentationConfig(), str(tmp_path / "scores.npz"), soundfonts=("some",)
    )
    with music.open(MODEL):
        pass
    process, count = processes
    assert opened[0].batch_size == 6 // count
    assert (opened[0].seed == 5) == (process == 0)
    assert opened[0].target_lengths == ((64, 256) if count == 1 else (256,))


def test_batches_of_built_data_sets_are_divided_and_of_one_shape(processes, monkeypatch):
    opened = []

    def open_pipeline(sources, pipeline):
        opened.append(pipeline)
        return (batch for batch in ())  # can be closed

    monkeypatch.setattr(feeds, "open_pipeline", open_pipeline)
    monkeypatch.setattr(BuiltDatasets, "_records", lambda self, split: [])
    pipeline = PipelineConfig(batch_size=6, target_lengths=(64, 512))
    with BuiltDatasets("records", ("mine",), pipeline).open(MODEL):
        pass
    process, count = processes
    assert (opened[0].shard_index, opened[0].shard_count, opened[0].batch_size) == (
        process,
        count,
        6 // count,
    )
    assert opened[0].target_lengths == ((64, 256) if count == 1 else (256,))


def test_a_batch_that_cannot_be_divided_is_told(monkeypatch):
    monkeypatch.setattr(feeds, "this_process", lambda: (0, 4))
    source = BuiltDatasets("records", ("mine",), PipelineConfig(batch_size=6))
    message = "batch of 6 cannot be divided among 4 processes"
    with pytest.raises(ValueError, match=message), source.open(MODEL):
        pass
