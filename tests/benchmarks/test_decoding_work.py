"""What the benchmarks rely on of the engine's inner parts."""

import dataclasses

import numpy as np
import pytest
from decoding_work import make_steps, watch

from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.engine import Engine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def segments(small_model):
    config, _ = small_model
    samples = np.random.default_rng(7).standard_normal((30, config.segment_samples)).astype(np.float32)
    return [Segment(samples[i], config.segment_frames, i * config.segment_frames) for i in range(30)]


LENGTHS = np.random.default_rng(1).integers(1, 15, 30)


@pytest.mark.parametrize("batch_size", [4, 16])
def test_segments_end_at_their_own_lengths(small_model, segments, batch_size):
    engine = Engine(*small_model, batch_size)
    watched = watch(engine, LENGTHS)
    found = [len(ids) for _, ids in engine.decode(segments)]
    assert found == (LENGTHS - 1).tolist()
    assert watched.num_ids == sum(watched.needed) == LENGTHS.sum()
    assert sorted(watched.needed) == sorted(LENGTHS)
    counts = watched.counts()
    assert counts["segments"] == 30 and counts["needed_per_id"] == 1 <= counts["row_steps_per_id"]
    watched.clear()
    assert (watched.needed, watched.num_ids, engine.num_steps) == ([], 0, 0)


def test_beam_search_needs_steps_beyond_the_end(small_model, segments):
    config = dataclasses.replace(small_model[0], search="beam", max_target_length=1024)
    engine = Engine(config, small_model[1], 4)
    watched = watch(engine, 10 * LENGTHS)
    assert [len(ids) for _, ids in engine.decode(segments[:6])] == (10 * LENGTHS[:6] - 1).tolist()
    assert sum(watched.needed) > watched.num_ids == 10 * LENGTHS[:6].sum()


def test_counting_alone_changes_no_ids(small_model, segments):
    engine = Engine(*small_model, 4)
    expected = [ids.tolist() for _, ids in engine.decode(segments)]
    watched = watch(engine)
    assert [ids.tolist() for _, ids in engine.decode(segments)] == expected
    longest = small_model[0].max_target_length
    assert watched.num_ids == sum(min(len(ids) + 1, longest) for ids in expected)


def test_steps_are_taken_as_many_times_as_one_likes(small_model):
    steps = make_steps(Engine(*small_model, 4), 8)
    for _ in range(3):
        steps()
