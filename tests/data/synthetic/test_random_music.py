"""Random music: properties of what is drawn, and bad settings."""

import numpy as np
import pytest

from mt3x.data.synthetic.orchestra import HIGHEST_PITCH, LOWEST_PITCH
from mt3x.data.synthetic.random_music import SHORTEST_NOTE_SECONDS, RandomMusicSettings, draw_random_music
from mt3x.music.notes import trim_overlapping_notes, validate_notes


def draw_many(count: int, seconds: float = 3.0, **settings) -> list[np.ndarray]:
    rng = np.random.default_rng(11)
    return [draw_random_music(rng, seconds, RandomMusicSettings(**settings)) for _ in range(count)]


def test_drawn_notes_are_sound() -> None:
    for notes in draw_many(300):
        validate_notes(notes)
        pitched = notes[~notes["is_drum"]]
        assert (notes["start"] < 3.0).all()
        assert (notes["end"] - notes["start"] >= SHORTEST_NOTE_SECONDS).all()
        assert ((notes["velocity"] >= 20) & (notes["velocity"] <= 120)).all()
        assert (pitched["pitch"] >= LOWEST_PITCH[pitched["program"]]).all()
        assert (pitched["pitch"] <= HIGHEST_PITCH[pitched["program"]]).all()
        assert np.array_equal(trim_overlapping_notes(notes), notes)


def test_a_seed_gives_one_piece() -> None:
    first, again, other = (draw_random_music(np.random.default_rng(seed), 4.0) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_whole_keyboard_and_every_melodic_class_are_used() -> None:
    notes = np.concatenate(draw_many(600, drums_probability=0))
    piano = notes[notes["program"] < 8]
    assert piano["pitch"].min() == 21 and piano["pitch"].max() == 108
    assert len(np.unique(piano["pitch"])) == 88
    assert set(np.unique(notes["program"] // 8)) == set(range(14))


def test_parts_stay_within_their_limit() -> None:
    for notes in draw_many(100, max_parts=2, drums_probability=0, solo_piano_probability=0):
        assert len(np.unique(notes["program"])) <= 2
    for notes in draw_many(50, solo_piano_probability=1):
        assert (notes["program"] < 8).all()


def test_polyphony_grows_with_its_limit() -> None:
    def mean_sounding(max_polyphony: int) -> float:
        drawn = draw_many(200, max_polyphony=max_polyphony, drums_probability=0)
        return float(np.mean([((n["start"] < 1.5) & (n["end"] > 1.5)).sum() for n in drawn]))

    one, four, ten = (mean_sounding(limit) for limit in (1, 4, 10))
    assert one < 1.5 < four < ten


def test_density_stays_near_its_limit() -> None:
    rates = [len(notes) / 3.0 for notes in draw_many(300, max_notes_per_second=12, drums_probability=0)]
    assert np.percentile(rates, 95) < 20
    assert np.percentile(rates, 95) < np.percentile([len(n) / 3.0 for n in draw_many(300)], 95)


def test_music_is_under_way_when_the_region_begins() -> None:
    started = [(notes["start"] == 0).any() for notes in draw_many(200)]
    assert np.mean(started) > 0.6


def test_fast_repeated_notes_occur() -> None:
    gaps = []
    for notes in draw_many(300, max_polyphony=1, drums_probability=0):
        same = np.diff(notes["pitch"]) == 0
        gaps.extend(np.diff(notes["start"])[same].tolist())
    assert (np.array(gaps) < 0.1).sum() > 50


def test_drums_join_when_asked() -> None:
    assert all(notes["is_drum"].any() for notes in draw_many(30, seconds=5.0, drums_probability=1))
    assert not any(notes["is_drum"].any() for notes in draw_many(30, drums_probability=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_polyphony": 0}, "max_polyphony is 0; it must be at least 1"),
        ({"max_parts": 0}, "max_parts is 0"),
        ({"max_notes_per_second": 5}, "max_notes_per_second is 5; it must be at least 10"),
        ({"drums_probability": 1.5}, "drums_probability is 1.5; it must be within 0..1"),
        ({"solo_piano_probability": -1}, "solo_piano_probability is -1"),
    ],
)
def test_bad_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomMusicSettings(**settings)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_length_that_is_not_positive_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        draw_random_music(np.random.default_rng(0), seconds)
