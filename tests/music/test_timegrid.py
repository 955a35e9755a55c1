import json
from pathlib import Path

import numpy as np
import pytest

from mt3x.music.timegrid import (
    frame_seconds,
    num_frames,
    seconds_to_steps,
    segment_start_seconds,
    steps_to_seconds,
)

GOLDEN = Path(__file__).parents[1] / "golden"
HOP_SAMPLES, SAMPLE_RATE, STEPS_PER_SECOND = 128, 16_000, 100
# [segment, input time, start time under NumPy 2, start time under NumPy 1] of segments of 256 frames
START_ROWS = np.array(
    json.loads((GOLDEN / "decoding.json").read_text())["segment_start_times"]["rows"], np.float64
)


def starts(first_frames, **options):
    return segment_start_seconds(first_frames, HOP_SAMPLES, SAMPLE_RATE, STEPS_PER_SECOND, **options)


def golden_first_frames() -> np.ndarray:
    return np.rint(START_ROWS[:, 1] * SAMPLE_RATE / HOP_SAMPLES).astype(np.int64)


def test_golden_segments_are_whole_frames():
    np.testing.assert_allclose(
        frame_seconds(golden_first_frames(), HOP_SAMPLES, SAMPLE_RATE), START_ROWS[:, 1], rtol=1e-7
    )


def test_compatible_segment_starts_equal_mt3():
    np.testing.assert_array_equal(starts(golden_first_frames(), mt3_compatible=True), START_ROWS[:, 2])


def test_segment_starts_are_exact_where_mt3_is_a_step_early():
    exact = starts(golden_first_frames())
    early = exact - START_ROWS[:, 2]
    assert np.count_nonzero(early > 0.005) == 24
    np.testing.assert_allclose(early[early > 0.005], 0.01, atol=1e-3)
    # Elsewhere MT3 has the same step, up to float32.
    np.testing.assert_allclose(early[early <= 0.005], 0.0, atol=1e-3)


def test_segment_start_is_the_step_at_or_before_its_first_frame():
    frames = np.arange(100_000)
    start_steps = seconds_to_steps(starts(frames), STEPS_PER_SECOND)
    assert (start_steps * SAMPLE_RATE <= frames * HOP_SAMPLES * STEPS_PER_SECOND).all()
    assert ((start_steps + 1) * SAMPLE_RATE > frames * HOP_SAMPLES * STEPS_PER_SECOND).all()
    np.testing.assert_array_equal(starts(frames), start_steps / 100.0)


def test_hand_worked_segment_starts():
    # Frame 256 begins at 2.048 s, frame 5 exactly at 0.04 s.
    assert starts([0, 256, 5]).tolist() == [0.0, 2.04, 0.04]


@pytest.mark.parametrize(("seconds", "steps"), [(0.005, 0), (0.015, 2), (0.025, 2), (0.0251, 3), (1.0, 100)])
def test_seconds_round_to_the_nearest_step_halves_to_even(seconds, steps):
    assert seconds_to_steps(seconds, STEPS_PER_SECOND) == steps


def test_rounding_is_that_of_python():
    times = np.random.default_rng(0).uniform(0, 1000, 10_000).round(3)
    expected = [round(time * 100) for time in times.tolist()]
    np.testing.assert_array_equal(seconds_to_steps(times, 100), expected)


def test_steps_survive_a_round_trip():
    steps = np.arange(200_000)
    np.testing.assert_array_equal(seconds_to_steps(steps_to_seconds(steps, 100), 100), steps)


def test_number_of_frames_equals_mt3():
    counts = json.loads((GOLDEN / "audio_to_frames.json").read_text())["by_num_samples"]
    for num_samples, expected in counts.items():
        frames = num_frames(int(num_samples), HOP_SAMPLES)
        assert frames == expected["num_frames"]
        assert frame_seconds(frames - 1, HOP_SAMPLES, SAMPLE_RATE) == expected["last_time"]
