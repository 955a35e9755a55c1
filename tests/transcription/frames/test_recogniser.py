"""Segments through the frame recogniser: in order, whatever the batch, and what the network never sees."""

import numpy as np
import pytest

from mt3x.transcription.frames.recogniser import FrameRecogniser
from mt3x.transcription.segment import Segment


@pytest.fixture(scope="module")
def segments(tiny_config):
    random = np.random.default_rng(0)
    return [
        Segment(
            random.normal(size=tiny_config.segment_samples).astype(np.float32) * 0.1,
            16,
            12 * number - 2,
            is_silent=number in (1, 4),
            source=number,
            tuning_cents=10.0 * number,
        )
        for number in range(7)
    ]


@pytest.fixture(scope="module")
def alone(tiny_config, guessing_params):
    """The recogniser with one segment at a time."""
    return FrameRecogniser(tiny_config, guessing_params, batch_size=1)


@pytest.fixture(scope="module")
def by_threes(tiny_config, guessing_params):
    return FrameRecogniser(tiny_config, guessing_params, batch_size=3)


@pytest.fixture(scope="module")
def expected(alone, segments):
    return list(alone.recognise(segments))


def test_segments_come_back_in_order_and_silent_ones_are_not_shown(expected):
    assert [segment.source for segment, _ in expected] == list(range(7))
    assert [number for number, (_, found) in enumerate(expected) if found is None] == [1, 4]


def test_predictions_are_probabilities_of_candidates_and_frames(expected):
    found = expected[0][1]
    assert found.onset.shape == found.row.shape == found.velocity.shape == (6,)
    assert found.programs.shape == (6, 128)
    assert found.active.shape == found.offset.shape == (16, 88)
    assert (found.cents.shape, found.drums.shape) == ((8, 88), (32, 47))
    for name in ("probability", "is_note", "active", "offset", "drums"):
        assert ((getattr(found, name) >= 0) & (getattr(found, name) <= 1)).all(), name
    assert (found.probability > 0).any()


def test_predictions_do_not_depend_on_the_batch(by_threes, segments, expected):
    together = by_threes.recognise(iter(segments))
    for (segment, found), (other, reference) in zip(together, expected, strict=True):
        assert segment is other and (found is None) == (reference is None)
        if found is not None:
            for name in ("probability", "active", "offset", "drums"):
                np.testing.assert_allclose(getattr(found, name), getattr(reference, name), atol=1e-3)


def test_no_more_than_a_batch_is_read_ahead(by_threes, segments):
    read = []
    endless = (read.append(1) or segments[0] for _ in iter(int, 1))
    next(by_threes.recognise(endless))
    assert len(read) == 3


def test_another_tuning_reads_other_frequencies(alone, segments, expected):
    ((_, detuned),) = alone.recognise([segments[0]._replace(tuning_cents=40.0)])
    assert not np.allclose(detuned.active, expected[0][1].active, atol=1e-3)


def test_a_batch_of_nothing_is_refused(tiny_config, guessing_params):
    with pytest.raises(ValueError, match="batch_size is 0; it must be at least 1"):
        FrameRecogniser(tiny_config, guessing_params, 0)
