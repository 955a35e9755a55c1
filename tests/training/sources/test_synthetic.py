"""Music drawn and played as a source, also one of several processes'; what else it gives is tested where it
trains.
"""

import contextlib
import dataclasses
import types

import jax
import numpy as np
import pytest

from mt3x.data.pipeline.augmentation import AugmentationConfig
from mt3x.data.pipeline.batches import BatchConfig
from mt3x.data.synthetic.bands import pack_bands
from mt3x.data.synthetic.examples import ExampleConfig
from mt3x.data.synthetic.played_examples import PlayedConfig
from mt3x.data.synthetic.scores import PIECE_NOTE_DTYPE, Piece, save_scores
from mt3x.synthesis.sampled.instruments import save_samples
from mt3x.synthesis.soundfonts import SynthesisError
from mt3x.training.sources import synthetic
from mt3x.training.sources.seqio_task import SeqioTask
from mt3x.training.sources.synthetic import DrawnMusic, PlayedMusic
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.tokens.config import TranscriptionConfig
from tests.data.synthetic.band_folders import write_grooves, write_sheets
from tests.synthesis.sampled.sine_library import Recorded, make_library

MODEL = TranscriptionConfig(segment_frames=64, max_target_length=256)
FRAMES = FrameConfig(segment_frames=32)


def test_drawn_batches_are_divided_of_one_shape_and_not_the_same(processes, monkeypatch, tmp_path):
    opened = []

    @contextlib.contextmanager
    def open_batches(batches, *_):
        opened.append(batches)
        yield iter(())

    sound = types.SimpleNamespace(open_sources=None, prepare=None, resources=None)
    monkeypatch.setattr(synthetic, "DrawnBatches", open_batches)
    monkeypatch.setattr(synthetic, "rendered_sound", lambda *_: sound)
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


@pytest.mark.parametrize(
    ("examples", "batches", "message"),
    [
        (
            {"max_tokens": 256},
            {"target_lengths": (64, 128)},
            "end at 128, but examples have up to 256 tokens",
        ),
        (
            {"max_tokens": 300},
            {"target_lengths": (300,)},
            "max_tokens is 300; the model writes at most .*256",
        ),
    ],
)
def test_drawn_examples_that_are_too_long_are_told(tmp_path, examples, batches, message):
    (tmp_path / "scores.npz").touch()
    music = DrawnMusic(
        ExampleConfig(**examples),
        BatchConfig(**batches),
        AugmentationConfig(),
        str(tmp_path / "scores.npz"),
        soundfonts=("sf_GMbank",),
    )
    with pytest.raises(ValueError, match=message), music.open(MODEL):
        pass


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Played music of a score, a drummer, a song and two instruments; few and short examples."""
    folder = tmp_path_factory.mktemp("played")
    pieces = []
    for number in range(4):
        notes = np.array([(i / 2, 0.5, 60 + i % 12, 0) for i in range(64)], PIECE_NOTE_DTYPE)
        bars, tempos = np.arange(0, 32, 4, np.float32), np.zeros((0, 2), np.float32)
        pieces.append(Piece(f"piece {number}", "", "", ("Piano",), notes, bars, tempos))
    save_scores(pieces, folder / "scores.npz")
    pack_bands(write_grooves(folder / "grooves"), write_sheets(folder / "sheets"), folder / "bands.npz")
    recorded = [Recorded("grand", 0, pitch) for pitch in range(24, 108, 8)]
    save_samples(make_library([*recorded, Recorded("tack", 0, 60)]), folder / "samples")
    return PlayedMusic(
        PlayedConfig(lead_seconds=0.2),
        BatchConfig(batch_size=3, pool_batches=2),
        scores_file=str(folder / "scores.npz"),
        bands_file=str(folder / "bands.npz"),
        samples_folder=str(folder / "samples"),
        soundfonts=("sf_GMbank",),
        held_out=("tack",),
    )


def test_played_music_gives_batches_of_samples_and_notes(played):
    with played.open(FRAMES) as feed:
        batches = [next(feed.batches) for _ in range(3)]
        samples = feed.prepare(jax.random.key(0), batches[0], feed.resources)
    assert samples is batches[0]["samples"]
    assert played.batch_size == 3 and played.evaluation_pieces(4) == []
    for batch in batches:
        assert batch["samples"].shape == (3, FRAMES.segment_samples)
        assert batch["samples"].dtype == np.float32
        assert batch["num_frames"].tolist() == [FRAMES.segment_frames] * 3
        for name in ("start", "end", "pitch", "program", "is_drum", "cents", "vibrato_hz", "has_cents"):
            assert batch[f"note_{name}"].shape == (3, played.examples.max_notes)
        assert "targets" not in batch
        assert batch["pedal"].shape[0] == 3 and batch["pedal"].dtype == np.float32
        lasting = batch["note_pitch"] >= 0
        assert (batch["note_start"][lasting] < FRAMES.segment_seconds).all()
    assert any(np.abs(batch["samples"]).max() > 0.01 for batch in batches)
    assert any((batch["note_pitch"] >= 0).any() for batch in batches)


def test_played_batches_are_divided_and_not_the_same(processes, monkeypatch, played):
    opened = []

    @contextlib.contextmanager
    def open_batches(batches, *_):
        opened.append(batches)
        yield iter(())

    monkeypatch.setattr(synthetic, "DrawnBatches", open_batches)
    with dataclasses.replace(played, batches=BatchConfig(batch_size=6, seed=5)).open(FRAMES):
        pass
    process, count = processes
    assert opened[0].batch_size == 6 // count
    assert (opened[0].seed == 5) == (process == 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores_file": "no.npz"}, "scores_file no.npz is missing; mt3x prepare scores makes it"),
        ({"bands_file": "no.npz"}, "bands_file no.npz is missing; mt3x prepare bands makes it"),
        ({"soundfonts": ()}, r"soundfonts are \(\); give at least one"),
    ],
)
def test_played_music_without_its_files_is_refused(played, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(played, **changes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"soundfonts": ("nowhere.sf2",)}, SynthesisError, "nowhere.sf2"),
        ({"samples_folder": "nowhere"}, ValueError, "nowhere holds no finished sample library"),
        ({"held_out": ("tuba",)}, ValueError, "no instrument 'tuba'; there are grand, tack"),
    ],
)
def test_what_cannot_play_is_told_before_any_worker_starts(played, changes, error, message):
    with pytest.raises(error, match=message), dataclasses.replace(played, **changes).open(FRAMES):
        pass


def test_each_kind_of_model_is_fed_with_what_it_reads(played):
    with pytest.raises(ValueError, match="PlayedMusic has no tokens"), played.open(MODEL):
        pass
    source = SeqioTask("mine", "records", batch_size=6)
    message = "SeqioTask makes tokens, which a frame recogniser does not read; give it BuiltDatasets"
    with pytest.raises(ValueError, match=message), source.open(FRAMES):
        pass
