"""Segments through the note head: in order, whatever the batch, and what the network never sees."""

import jax
import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.model.config import TransformerConfig
from mt3x.model.transformer import Transformer
from mt3x.runtime.hearing import MAX_PLACES, NOTE_HEAD, fresh_head
from mt3x.runtime.listener import Listener
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.runtime.segment import Segment

CONFIG = TranscriptionConfig(
    spectrogram=SpectrogramConfig(hop_width=256, num_mel_bins=64, log_floor=1e-5),
    network=TransformerConfig(
        emb_dim=32,
        num_heads=2,
        head_dim=16,
        mlp_dim=32,
        num_encoder_layers=1,
        num_decoder_layers=1,
        input_depth=64,
    ),
    segment_frames=24,
    search="frames",
    note_head_width=16,
)


@pytest.fixture(scope="module")
def params():
    frames, ids = np.zeros((1, 24, 64), np.float32), np.zeros((1, 2), np.int32)
    network = Transformer(CONFIG.network).init(jax.random.key(0), frames, ids)["params"]
    head = fresh_head(32, 16, jax.random.key(1))
    random = np.random.default_rng(0)  # else nearly nothing is likely enough to be looked at
    head = jax.tree.map(lambda x: x + 0.5 * random.normal(size=x.shape).astype(np.float32), head)
    return {**network, NOTE_HEAD: head}


@pytest.fixture(scope="module")
def segments():
    random = np.random.default_rng(0)
    return [
        Segment(
            random.normal(size=24 * 256).astype(np.float32) * 0.1,
            24 if number < 6 else 9,
            19 * number,
            is_silent=number in (1, 4),
            source=number,
        )
        for number in range(7)
    ]


@pytest.fixture(scope="module")
def expected(params, segments):
    return list(Listener(CONFIG, params, batch_size=1).listen(segments))


def test_segments_come_back_in_order_and_silent_ones_unheard(expected):
    assert [segment.source for segment, _ in expected] == list(range(7))
    assert [number for number, (_, heard) in enumerate(expected) if heard is None] == [1, 4]
    heard = expected[0][1]
    assert heard.onset.shape == heard.drum_probability.shape == (MAX_PLACES,)
    assert heard.active.shape == (24, 128)
    assert (heard.probability > 0).any() and heard.programs.shape == (MAX_PLACES, 128)


def test_nothing_is_heard_past_the_frames_that_count(expected):
    last = expected[6][1]
    assert (last.onset[last.probability > 0] < 9 * 0.016).all()


@pytest.mark.parametrize("batch_size", [3, 16])
def test_what_is_heard_does_not_depend_on_the_batch(params, segments, expected, batch_size):
    found = list(Listener(CONFIG, params, batch_size).listen(iter(segments)))
    for (segment, heard), (other, reference) in zip(found, expected, strict=True):
        assert segment is other and (heard is None) == (reference is None)
        if heard is not None:
            order, others = (
                np.lexsort((heard.onset, heard.pitch)),
                np.lexsort((reference.onset, reference.pitch)),
            )
            for name in ("onset", "pitch", "probability", "velocity"):
                np.testing.assert_allclose(
                    getattr(heard, name)[order], getattr(reference, name)[others], atol=1e-3
                )


def test_no_more_than_a_batch_is_read_ahead(params, segments):
    read = []
    endless = (read.append(1) or segments[0] for _ in iter(int, 1))
    next(Listener(CONFIG, params, batch_size=2).listen(endless))
    assert len(read) == 2


def test_bfloat16_hears_much_the_same(params, segments, expected):
    found = list(Listener(CONFIG, params, 4, "bfloat16").listen(segments))
    for (_, heard), (_, reference) in zip(found, expected, strict=True):
        if heard is not None:
            np.testing.assert_allclose(heard.active, reference.active, atol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"dtype": "int8"}, "dtype is 'int8'; where notes are heard, choose one of float32, bfloat16"),
    ],
)
def test_bad_options_are_refused(params, options, message):
    with pytest.raises(ValueError, match=message):
        Listener(CONFIG, params, **options)


def test_the_decoder_is_not_needed(params, segments):
    without = {name: part for name, part in params.items() if name != "decoder"}
    assert next(Listener(CONFIG, without, 1).listen(segments))[1] is not None
