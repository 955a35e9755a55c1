"""Performed excerpts: properties over many seeds, on small scores made by hand."""

import numpy as np
import pytest

from mt3x.data.synthetic.orchestra import HIGHEST_PITCH, LOWEST_PITCH
from mt3x.data.synthetic.performance import SHORTEST_NOTE_SECONDS, PerformanceSettings, draw_excerpt
from mt3x.data.synthetic.scores import PIECE_NOTE_DTYPE, Piece
from mt3x.music.notes import trim_overlapping_notes, validate_notes


def make_score(rows: list[tuple], part_names: tuple[str, ...], tempo: float = 120.0) -> Piece:
    """A score in 4/4 from (onset, duration, pitch, part) rows."""
    notes = np.sort(np.array(rows, PIECE_NOTE_DTYPE), order=["onset_quarters", "part", "pitch"])
    bars = np.arange(0, int(notes["onset_quarters"].max()) + 1, 4).astype(np.float32)
    tempos = np.array([[0, tempo]], np.float32)
    return Piece("piece", "Piece", "", part_names, notes, bars, tempos)


def song() -> Piece:
    voice = [(i, 1, 60 + 7 * i % 12, 0) for i in range(64)]
    piano = [(i / 2, 0.5, 48 + i % 5 + third, 1) for i in range(128) for third in (0, 4, 7)]
    return make_score(voice + piano, ("Voice", "Piano"))


def quartet() -> Piece:
    rows = [(i, 1, 76 - 10 * part + i % 6, part) for i in range(96) for part in range(4)]
    return make_score(rows, ("Violin 1", "Violin 2", "Viola", "Violoncello"))


def metronome(pitch: int = 60) -> Piece:
    return make_score([(i, 0.5, pitch, 0) for i in range(200)], ("Voice",))


def draw_many(scores: list[Piece], count: int = 200, seconds: float = 3.0, **settings) -> list[np.ndarray]:
    rng = np.random.default_rng(12)
    return [draw_excerpt(scores, rng, seconds, PerformanceSettings(**settings)) for _ in range(count)]


def test_excerpts_are_sound() -> None:
    for notes in draw_many([song(), quartet()], 400):
        validate_notes(notes)
        pitched = notes[~notes["is_drum"]]
        assert (notes["start"] < 3.0).all()
        assert (notes["end"] - notes["start"] >= SHORTEST_NOTE_SECONDS).all()
        assert ((notes["velocity"] >= 20) & (notes["velocity"] <= 120)).all()
        assert (pitched["pitch"] >= LOWEST_PITCH[pitched["program"]]).all()
        assert (pitched["pitch"] <= HIGHEST_PITCH[pitched["program"]]).all()
        assert (pitched["program"] < 112).all()
        assert np.array_equal(trim_overlapping_notes(notes), notes)


def test_a_seed_gives_one_excerpt() -> None:
    scores = [song(), quartet()]
    first, again, other = (draw_excerpt(scores, np.random.default_rng(seed), 3.0) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("max_parts", [1, 2, 3, 6])
def test_instruments_and_drums_stay_within_max_parts(max_parts: int) -> None:
    counts = [
        len(np.unique(notes["program"][~notes["is_drum"]])) + notes["is_drum"].any()
        for notes in draw_many([song(), quartet()], max_parts=max_parts, drums_probability=0.5)
    ]
    assert max(counts) <= max_parts
    assert max(counts) == max_parts or max_parts == 6


def test_piano_alone_is_drawn_as_often_as_asked() -> None:
    piano_only = [(notes["program"] < 8).all() for notes in draw_many([song(), quartet()], 400)]
    assert 0.35 < np.mean(piano_only) < 0.5
    for notes in draw_many(
        [song()], 50, solo_piano_probability=1, solo_other_probability=0, drums_probability=0
    ):
        assert (notes["program"] < 8).all()


def test_quartets_are_often_played_by_strings() -> None:
    drawn = draw_many([quartet()], 200, solo_piano_probability=0, solo_other_probability=0)
    strings = [np.isin(n["program"][~n["is_drum"]], (40, 41, 42, 43, 48)).all() for n in drawn]
    assert 0.2 < np.mean(strings) < 0.7


def test_tempo_stays_within_its_limits() -> None:
    gaps = [
        np.diff(n["start"])[1:]  # the first note may be one that sounds on
        for n in draw_many([metronome()], 200, 5.0, drums_probability=0, max_parts=1)
    ]
    gaps = np.concatenate(gaps)
    assert gaps.min() > 60 / 200 * np.exp(-0.25) - 0.11
    assert gaps.max() < 60 / (120 * 0.6) * np.exp(0.25) + 0.11
    assert np.percentile(gaps, 90) / np.percentile(gaps, 10) > 1.7


def test_marked_tempo_is_the_base() -> None:
    def mean_gap(tempo: float) -> float:
        score = make_score([(i, 0.5, 60, 0) for i in range(200)], ("Voice",), tempo)
        drawn = draw_many([score], 100, 5.0, drums_probability=0, max_parts=1)
        return float(np.mean(np.concatenate([np.diff(n["start"]) for n in drawn])))

    assert mean_gap(60) > 1.4 * mean_gap(120)


def test_transposition_is_within_its_limit() -> None:
    settings = {"solo_piano_probability": 1, "solo_other_probability": 0, "drums_probability": 0}
    still = np.concatenate(draw_many([metronome(60)], 60, max_transposition=0, **settings))
    moved = np.concatenate(draw_many([metronome(60)], 200, max_transposition=6, **settings))
    assert set(still["pitch"]) <= {48, 60, 72}
    assert set(range(54, 67)) <= set(moved["pitch"])


def test_a_note_that_sounds_on_from_before_starts_at_zero() -> None:
    score = make_score([(8 * i, 8, 60, 0) for i in range(20)], ("Voice",))
    assert any((notes["start"] == 0).any() for notes in draw_many([score], 40, 1.0))


def test_unisons_of_a_reduction_are_struck_once() -> None:
    rows = [(i, 0.25 + 0.25 * part, 60, part) for i in range(100) for part in range(2)]
    for notes in draw_many(
        [make_score(rows, ("Violin 1", "Violin 2"))], 60, solo_piano_probability=1, solo_other_probability=0,
        drums_probability=0,
    ):  # fmt: skip
        assert (np.diff(notes["start"][1:]) > 0.1).all()


def test_dense_music_is_thinned() -> None:
    score = make_score([(i / 8, 0.125, 40 + i % 40, 0) for i in range(800)], ("Piano",))
    settings = {"drums_probability": 0, "max_parts": 1}
    thin = [len(n) / 3.0 for n in draw_many([score], 100, max_notes_per_second=5, **settings)]
    full = [len(n) / 3.0 for n in draw_many([score], 100, max_notes_per_second=1000, **settings)]
    assert 3 < np.mean(thin) < 7 < np.mean(full)


def test_a_pedal_and_articulation_vary_the_ends() -> None:
    drawn = draw_many(
        [metronome()], 200, 4.0, solo_piano_probability=1, solo_other_probability=0, max_parts=1
    )
    shares = [
        np.median((n["end"] - n["start"])[1:-1]) / np.median(np.diff(n["start"])) for n in drawn if len(n) > 4
    ]
    assert min(shares) < 0.25 < 0.9 < max(shares)  # the score says 0.5


def test_without_a_pedal_notes_end_as_articulated() -> None:
    settings = {"solo_piano_probability": 1, "solo_other_probability": 0, "max_parts": 1}
    drawn = draw_many([metronome()], 100, 4.0, pedal_probability=0.0, **settings)
    gaps = [
        np.median((n["end"] - n["start"])[1:-1]) / np.median(np.diff(n["start"])) for n in drawn if len(n) > 4
    ]
    assert max(gaps) < 0.6  # the score says 0.5


def test_drums_follow_the_score_beats() -> None:
    rng = np.random.default_rng(13)
    settings = PerformanceSettings(drums_probability=1, solo_piano_probability=1, solo_other_probability=0)
    hit_near = []
    for _ in range(100):
        notes = draw_excerpt([metronome()], rng, 4.0, settings)
        beats, hits = notes["start"][~notes["is_drum"]][1:], notes["start"][notes["is_drum"]]
        if len(beats) and len(hits):
            hit_near.append(np.mean([np.abs(hits - beat).min() < 0.07 for beat in beats]))
    assert len(hit_near) > 80
    assert np.mean(hit_near) > 0.5


def test_every_melodic_class_is_heard() -> None:
    notes = np.concatenate(draw_many([song(), quartet()], 700, 1.0))
    assert set(np.unique(notes["program"][~notes["is_drum"]] // 8)) == set(range(14))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_parts": 0}, "max_parts is 0; it must be at least 1"),
        ({"max_notes_per_second": 0}, "max_notes_per_second is 0; it must be positive"),
        ({"max_transposition": 30}, "max_transposition is 30; it must be within 0..24"),
        ({"solo_piano_probability": 0.8, "solo_other_probability": 0.4}, "together at most 1"),
        ({"pedal_probability": 1.5}, r"pedal_probability is 1.5; it must be within 0\.\.1"),
        ({"drums_probability": -0.1}, "drums -0.1"),
    ],
)
def test_bad_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PerformanceSettings(**settings)


def test_nothing_to_draw_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no score to draw from"):
        draw_excerpt([], np.random.default_rng(0), 2.0)


@pytest.mark.parametrize("seconds", [0, -2, float("nan")])
def test_a_length_that_is_not_positive_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        draw_excerpt([metronome()], np.random.default_rng(0), seconds)
