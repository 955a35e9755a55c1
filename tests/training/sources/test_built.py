"""What built data sets feed a run with, alone and one of several processes."""

import dataclasses

import jax
import numpy as np
import pytest

from mt3x.audio.logfrequency import SpectraConfig
from mt3x.audio.logmel import SpectrogramConfig
from mt3x.data.pipeline.grain_pipeline import PipelineConfig
from mt3x.data.records.build import build
from mt3x.data.records.recordings import SAMPLE_RATE, Item, Recording, Stem
from mt3x.music.notes import make_notes
from mt3x.training.sources import built as source_module
from mt3x.training.sources.built import BuiltDatasets
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.tokens.config import TranscriptionConfig

MODEL = TranscriptionConfig(segment_frames=64, max_target_length=256)
FRAMES = FrameConfig(segment_frames=32)


def test_batches_of_built_data_sets_are_divided_and_of_one_shape(processes, monkeypatch):
    opened = []

    def open_pipeline(sources, pipeline):
        opened.append(pipeline)
        return (batch for batch in ())  # can be closed

    monkeypatch.setattr(source_module, "open_pipeline", open_pipeline)
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


@pytest.mark.parametrize(
    "model",
    [
        TranscriptionConfig(spectrogram=SpectrogramConfig(sample_rate=22050)),
        FrameConfig(spectra=SpectraConfig(sample_rate=22050)),
    ],
    ids=["tokens", "frames"],
)
def test_models_of_another_sample_rate_are_refused(model):
    message = "reads 22050 samples a second, but data sets hold 16000; set sample_rate .* to 16000"
    with (
        pytest.raises(ValueError, match=message),
        BuiltDatasets("records", ("mine",), PipelineConfig()).open(model),
    ):
        pass


class Release:
    """A reader of one recording of 4 s, without files; notes overlap at any time, to its very end."""

    name, splits = "mine", ("train",)

    def items(self, source, report):
        return [Item("one", "train", ())]

    def read(self, source, item, report):
        start = np.arange(0, 3.6, 0.2)
        notes = make_notes(start, start + 0.39, np.arange(len(start)) + 40, program=20)
        samples = np.full(4 * SAMPLE_RATE, 0.5, np.float32)
        return Recording(item.id, item.split, (Stem("organ", samples, notes),))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The release as a data set; its segments' targets would be longer than the target lengths."""
    folder = tmp_path_factory.mktemp("built")
    build(Release(), folder, folder / "mine")
    pipeline = PipelineConfig(batch_size=4, target_lengths=(1, 2), seed=3)
    return BuiltDatasets(str(folder), ("mine",), pipeline)


def test_built_data_sets_give_a_frame_recogniser_samples_and_notes_without_tokens(built):
    with built.open(FRAMES) as feed:
        batches = [next(feed.batches) for _ in range(8)]
        samples = feed.prepare(jax.random.key(0), batches[0], feed.resources)
    assert samples.shape == (4, FRAMES.segment_samples)
    counts, latest = set(), 0.0
    for batch in batches:
        assert "targets" not in batch and not batch["skipped"].any()
        is_note = batch["note_pitch"] >= 0
        assert is_note.any() and (batch["note_program"][is_note] == 20).all()
        for frames, heard, ends in zip(batch["num_frames"], is_note, batch["note_end"], strict=True):
            counts.add(int(frames))
            # A segment that is cut off is silent from there on, and so its notes end there.
            if frames < FRAMES.segment_frames:
                assert (ends[heard] <= frames / FRAMES.frames_per_second + 1e-6).all()
            latest = max(latest, ends[heard].max(initial=0.0))
    assert min(counts) < FRAMES.segment_frames == max(counts)
    assert latest > FRAMES.segment_seconds  # of a whole segment, notes last beyond it


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_a_frame_recogniser_go_on_where_they_were_left(built, workers):
    source = dataclasses.replace(built, pipeline=dataclasses.replace(built.pipeline, workers=workers))
    with source.open(FRAMES) as feed:
        next(feed.batches)
        state = feed.batches.get_state()
        following = next(feed.batches)
    with source.open(FRAMES) as feed:
        feed.batches.set_state(state)
        again = next(feed.batches)
    assert following.keys() == again.keys()
    for name, values in following.items():
        np.testing.assert_array_equal(again[name], values)
    with pytest.raises(ValueError, match="closed"):  # the block's end ended its workers
        next(feed.batches)
