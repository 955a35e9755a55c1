"""When a pedal is down, from probabilities that are written by hand: frames of 40 ms."""

import numpy as np
import pytest

from mt3x.metrics.frames import count_pedal_frames
from mt3x.transcription.frames.config import Thresholds
from mt3x.transcription.frames.pedal import PedalFollower

FRAME = 0.04


def spans(*parts, end=None):
    """Of probabilities in parts that follow each other; in frames."""
    follower, number = PedalFollower(Thresholds(pedal_down=0.5, pedal_up=0.3)), 0
    for part in parts:
        follower.add(FRAME * (number + np.arange(len(part))), np.array(part))
        number += len(part)
    if end is not None:
        follower.lift(FRAME * end)
    return np.round(follower.spans() / FRAME, 6).tolist()


def test_it_goes_down_at_one_threshold_and_up_below_another():
    assert spans([0.4, 0.5, 0.4, 0.3, 0.31, 0.29, 0.49, 0.0]) == [[1, 5]]


def test_it_goes_on_from_part_to_part():
    assert spans([0.1, 0.9], [0.9], [0.9, 0.1], [0.9] * 3, end=8) == [[1, 4], [5, 8]]


def test_what_lasts_less_than_a_tenth_of_a_second_is_left_out():
    assert spans([0.9, 0.9, 0.0, 0.9, 0.9, 0.9, 0.0]) == [[3, 6]]
    assert spans([0.9, 0.9], end=2) == []


def test_nothing_is_an_empty_array():
    empty = PedalFollower(Thresholds()).spans()
    assert empty.shape == (0, 2) and empty.dtype == np.float64


def test_a_pedal_under_noise_is_found_in_nearly_all_of_its_frames():
    random = np.random.default_rng(0)
    truth = np.array([[0.4, 2.0], [2.12, 3.0], [5.0, 9.2]])
    seconds = FRAME * np.arange(300)
    is_down = ((seconds[:, None] >= truth[:, 0]) & (seconds[:, None] < truth[:, 1])).any(axis=1)
    follower = PedalFollower(Thresholds())
    follower.add(seconds, np.clip(np.where(is_down, 0.75, 0.2) + random.normal(0, 0.1, 300), 0, 1))
    assert count_pedal_frames(truth, follower.spans()).scores().f1 > 0.95


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pedal_down": 0.3}, "thresholds.pedal_up is 0.35; it must be at most pedal_down, 0.3"),
        ({"pedal_up": 0.0}, "thresholds.pedal_up is 0.0; it must lie between 0 and 1"),
    ],
)
def test_thresholds_that_cannot_be_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Thresholds(**values)
