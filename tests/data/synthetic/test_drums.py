"""Drum patterns: keys, grid, and bad input."""

import numpy as np
import pytest

from mt3x.data.synthetic.drums import HIT_SECONDS, draw_drum_pattern
from mt3x.music.notes import validate_notes


@pytest.mark.parametrize("bpm", [None, 40, 120, 200])
@pytest.mark.parametrize("beats_per_bar", [2, 3, 4])
def test_hits_are_sound_drum_notes_in_time(bpm: float | None, beats_per_bar: int) -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        hits = validate_notes(draw_drum_pattern(rng, 3.0, bpm, beats_per_bar))
        assert hits["is_drum"].all()
        assert (hits["start"] < 3.0).all() and (np.diff(hits["start"]) >= 0).all()
        assert (hits["end"] <= hits["start"] + HIT_SECONDS + 1e-9).all()
        assert ((hits["velocity"] >= 20) & (hits["velocity"] <= 120)).all()


def test_keys_are_those_of_the_kit() -> None:
    rng = np.random.default_rng(6)
    keys = np.concatenate([draw_drum_pattern(rng, 6.0)["pitch"] for _ in range(300)])
    assert keys.min() >= 35 and keys.max() <= 76
    assert (keys <= 59).mean() > 0.85
    assert {35, 36, 38, 42, 46, 49, 51} <= set(keys.tolist())


def test_hits_keep_to_the_steps_of_the_tempo() -> None:
    rng = np.random.default_rng(7)
    step = 60 / 100 / 4
    for _ in range(100):
        late = draw_drum_pattern(rng, 6.0, 100)["start"] / step % 1
        straight = (late < 0.2) | (late > 0.99)
        assert (straight | (late < 0.36 + 0.2)).all()
        assert straight.mean() > 0.4


def test_a_kick_or_another_hit_opens_most_bars() -> None:
    rng = np.random.default_rng(8)
    opened = [(draw_drum_pattern(rng, 4.0, 120)["start"] < 0.03).any() for _ in range(100)]
    assert np.mean(opened) > 0.8


def test_a_seed_gives_one_pattern() -> None:
    first, again, other = (draw_drum_pattern(np.random.default_rng(seed), 8.0) for seed in (9, 9, 10))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("seconds", "bpm", "beats", "message"),
    [
        (0, 120, 4, "seconds is 0; it must be positive"),
        (float("nan"), 120, 4, "seconds is nan"),
        (2, 10, 4, "bpm is 10; it must be within 20..400"),
        (2, 120, 5, "beats_per_bar is 5; it must be 2, 3 or 4"),
    ],
)
def test_bad_input_is_named(seconds: float, bpm: float, beats: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_drum_pattern(np.random.default_rng(0), seconds, bpm, beats)
