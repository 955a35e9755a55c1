"""Cutting recordings: a worked example, the stored frame counts, and blocks of every length."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.audio.segments import Segments, iter_segments, split_segments

GOLDEN = Path(__file__).parents[1] / "golden"


def join(parts):
    return Segments(*(np.concatenate([getattr(p, f) for p in parts]) for f in vars(parts[0])))


def test_seven_samples_make_two_segments_of_two_frames_of_two():
    segments = split_segments(np.arange(1, 8, dtype=np.float32), segment_frames=2, hop_samples=2)
    assert len(segments) == 2
    assert segments.samples.tolist() == [[1, 2, 3, 4], [5, 6, 7, 0]]
    assert segments.num_frames.tolist() == [2, 2] and segments.num_frames.dtype == np.int32
    assert segments.first_frames.tolist() == [0, 2] and segments.first_frames.dtype == np.int64
    assert segments.samples.dtype == np.float32


def test_an_exact_number_of_segments_gains_one_silent_frame_as_in_mt3():
    segments = split_segments(np.ones(32768), segment_frames=256, hop_samples=128)
    assert segments.num_frames.tolist() == [256, 1] and segments.first_frames.tolist() == [0, 256]
    assert not segments.samples[1].any()


def test_frame_counts_equal_mt3():
    stored = json.loads((GOLDEN / "audio_to_frames.json").read_text())["by_num_samples"]
    for num_samples, row in stored.items():
        segments = split_segments(np.ones(int(num_samples)), segment_frames=100, hop_samples=128)
        assert segments.num_frames.sum() == row["num_frames"], num_samples
        last_frame = segments.first_frames[-1] + segments.num_frames[-1] - 1
        assert last_frame * 128 / 16000 == row["last_time"], num_samples


def test_nothing_makes_one_segment_of_one_silent_frame():
    for segments in (split_segments(np.zeros(0), 4, 8), join(list(iter_segments([], 4, 8)))):
        assert segments.samples.shape == (1, 32) and segments.num_frames.tolist() == [1]


@given(st.lists(st.integers(0, 90), max_size=12), st.integers(1, 5), st.integers(1, 7))
def test_blocks_of_any_length_give_the_same_segments(lengths, segment_frames, hop_samples):
    samples = np.arange(1, sum(lengths) + 1, dtype=np.float32)
    blocks = np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []
    streamed = join(list(iter_segments(blocks, segment_frames, hop_samples)))
    whole = split_segments(samples, segment_frames, hop_samples)
    for field in vars(whole):
        np.testing.assert_array_equal(getattr(streamed, field), getattr(whole, field))
        assert getattr(streamed, field).dtype == getattr(whole, field).dtype
    assert whole.num_frames.sum() == len(samples) // hop_samples + 1
    np.testing.assert_array_equal(whole.samples.reshape(-1)[: len(samples)], samples)
    assert not whole.samples.reshape(-1)[len(samples) :].any()


def test_segments_may_overlap():
    segments = join(list(iter_segments([np.arange(1.0, 12.0, dtype=np.float32)], 3, 2, overlap_frames=1)))
    assert segments.samples.tolist() == [[1, 2, 3, 4, 5, 6], [5, 6, 7, 8, 9, 10], [9, 10, 11, 0, 0, 0]]
    assert segments.first_frames.tolist() == [0, 2, 4] and segments.num_frames.tolist() == [3, 3, 2]


@given(st.lists(st.integers(0, 90), max_size=8), st.integers(2, 6), st.integers(1, 5), st.data())
def test_overlapping_segments_of_any_blocks_hold_every_sample(lengths, segment_frames, hop_samples, data):
    overlap = data.draw(st.integers(0, segment_frames - 1))
    samples = np.arange(1, sum(lengths) + 1, dtype=np.float32)
    blocks = np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []
    streamed = join(list(iter_segments(blocks, segment_frames, hop_samples, overlap)))
    whole = join(list(iter_segments([samples], segment_frames, hop_samples, overlap)))
    for field in vars(whole):
        np.testing.assert_array_equal(getattr(streamed, field), getattr(whole, field))
    padded = np.zeros((whole.first_frames[-1] + segment_frames) * hop_samples, np.float32)
    padded[: len(samples)] = samples
    for row, first in zip(whole.samples, whole.first_frames, strict=True):
        begin = first * hop_samples
        np.testing.assert_array_equal(row, padded[begin : begin + segment_frames * hop_samples])
    assert whole.first_frames[-1] + whole.num_frames[-1] == len(samples) // hop_samples + 1
    assert (np.diff(whole.first_frames) == segment_frames - overlap).all()


@pytest.mark.parametrize("overlap_frames", [-1, 4])
def test_an_overlap_that_leaves_no_step_is_refused(overlap_frames):
    with pytest.raises(
        ValueError, match=f"overlap_frames is {overlap_frames}; .* less than segment_frames, 4"
    ):
        next(iter_segments([], 4, 8, overlap_frames))


def test_segments_leave_while_blocks_are_still_arriving():
    taken = []

    def blocks():
        for _ in range(1000):
            taken.append(1)
            yield np.ones(10, np.float32)

    next(iter_segments(blocks(), segment_frames=4, hop_samples=8))
    assert len(taken) == 4  # 32 samples need four blocks of ten


def test_bad_shapes_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 5\).*average the channels"):
        split_segments(np.zeros((2, 5)), 4, 8)
    with pytest.raises(ValueError, match="segment_frames is 0"):
        split_segments(np.zeros(5), 0, 8)
    with pytest.raises(ValueError, match="hop_samples 0"):
        next(iter_segments([np.zeros(5)], 4, 0))
    with pytest.raises(ValueError, match="segment_frames is 0"):
        next(iter_segments([], 0, 8))
    with pytest.raises(ValueError, match=r"shape \(2, 5\)"):
        next(iter_segments([np.zeros((2, 5))], 4, 8))
