"""Excerpts of two small scores, a song and a choir, for every ensemble."""

import numpy as np
import pytest

from mt3x.data.eval_sets.arrangements import (
    EXCERPT_SECONDS,
    HIGH,
    LOW,
    MIDDLE,
    SHORTEST_NOTE_SECONDS,
    Ensemble,
    can_play,
    draw_excerpt,
)
from mt3x.data.synthetic.orchestra import HIGHEST_PITCH, LOWEST_PITCH
from mt3x.data.synthetic.scores import PIECE_NOTE_DTYPE, Piece

BEATS = 96


def part(number, pitches, first_beat=0):
    """A note or chord on each beat: int [B, notes] or [B]."""
    pitches = np.atleast_2d(np.asarray(pitches).T).T
    notes = np.zeros(pitches.size, PIECE_NOTE_DTYPE)
    notes["onset_quarters"] = np.repeat(np.arange(len(pitches)), pitches.shape[1]) + first_beat
    notes["duration_quarters"], notes["part"], notes["pitch"] = 1, number, pitches.ravel()
    return notes


def make_score(name, *parts, tempos=((0, 90),)):
    notes = np.sort(np.concatenate(parts), order=["onset_quarters", "part", "pitch"])
    names = tuple(f"Part {i}" for i in range(len(parts)))
    bars = np.arange(0, BEATS, 4, dtype=np.float32)
    return Piece(name, "Title", "Composer", names, notes, bars, np.array(tempos, np.float32).reshape(-1, 2))


def make_song(name="song"):
    beats = np.arange(BEATS)
    chords = np.stack([36 + beats % 5, 52 + beats % 7, 55 + beats % 7, 60 + beats % 4], axis=1)
    return make_score(name, part(0, 62 + beats * 5 % 12), part(1, chords))


def make_choir(name="choir"):
    beats = np.arange(BEATS)
    return make_score(name, *(part(i, 72 - 8 * i + beats * (5 + i) % 7) for i in range(4)))


def draw(score, ensemble, seed=0):
    excerpt = draw_excerpt(score, ensemble, np.random.default_rng(seed))
    assert excerpt is not None
    return excerpt


def programs(notes):
    return np.unique(notes["program"][~notes["is_drum"]]).tolist()


PLAYABLE = [(make_song(), e) for e in Ensemble if e is not Ensemble.QUARTET] + [
    (make_choir(), e) for e in Ensemble if e not in (Ensemble.SONG, Ensemble.BAND)
]


@pytest.mark.parametrize(("score", "ensemble"), PLAYABLE, ids=lambda value: getattr(value, "name", ""))
def test_notes_lie_in_the_excerpt_and_in_the_range_of_their_instruments(score, ensemble):
    assert can_play(ensemble, score)
    for seed in range(4):
        notes = draw(score, ensemble, seed).notes
        assert len(notes) > 10
        assert notes["start"].min() >= 0 and notes["end"].max() <= EXCERPT_SECONDS
        assert (notes["end"] - notes["start"]).min() >= SHORTEST_NOTE_SECONDS
        pitched = notes[~notes["is_drum"]]
        assert (pitched["pitch"] >= LOWEST_PITCH[pitched["program"]]).all()
        assert (pitched["pitch"] <= HIGHEST_PITCH[pitched["program"]]).all()
        assert notes["is_drum"].any() == (ensemble is Ensemble.BAND)


def test_the_same_seed_gives_the_same_excerpt_and_another_seed_another():
    first, again, other = (draw(make_song(), Ensemble.TRIO, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.notes, again.notes) and first.start_quarters == again.start_quarters
    assert not np.array_equal(first.notes, other.notes)


@pytest.mark.parametrize(
    ("ensemble", "expected"),
    [(Ensemble.PIANO, [0]), (Ensemble.QUARTET, [40, 41, 42]), (Ensemble.SONG, [0, 53])],
)
def test_fixed_ensembles_have_their_programs(ensemble, expected):
    score = make_choir() if ensemble is Ensemble.QUARTET else make_song()
    assert programs(draw(score, ensemble).notes) == expected


@pytest.mark.parametrize("score", [make_song(), make_choir()], ids=["song", "choir"])
@pytest.mark.parametrize(("ensemble", "size"), [(Ensemble.SOLO, 1), (Ensemble.DUO, 2), (Ensemble.TRIO, 3)])
def test_chamber_music_is_for_as_many_of_the_eight_instruments(score, ensemble, size):
    eight = {0, *HIGH, *MIDDLE, *LOW}
    assert len(eight) == 8
    for seed in range(6):
        found = programs(draw(score, ensemble, seed).notes)
        assert len(found) == size and set(found) <= eight


def test_a_band_has_guitar_keyboard_and_a_low_bass():
    notes = draw(make_song(), Ensemble.BAND).notes
    guitar, bass = (notes[~notes["is_drum"] & np.isin(notes["program"], p)] for p in ((25, 27), (33,)))
    assert len(programs(notes)) == 3 and len(guitar) and len(bass)
    assert bass["pitch"].max() < guitar["pitch"].min()


def test_the_beat_follows_the_tempo_mark_before_the_excerpt():
    score = make_score("fast", part(0, 60 + np.arange(BEATS) % 12), tempos=[(0, 120)])
    excerpt = draw(score, Ensemble.SOLO)
    assert 0.84 * 120 < excerpt.quarters_per_minute < 1.16 * 120
    gaps = np.diff(excerpt.notes["start"])
    assert np.median(gaps) == pytest.approx(60 / excerpt.quarters_per_minute, rel=0.1)
    unmarked = draw(make_score("plain", part(0, 60 + np.arange(BEATS) % 12), tempos=[]), Ensemble.SOLO)
    assert 84 < unmarked.quarters_per_minute < 116


def test_an_excerpt_begins_early_enough_to_be_full():
    score = make_score("fast", part(0, 60 + np.arange(BEATS) % 12), tempos=[(0, 160)])
    for seed in range(8):
        excerpt = draw(score, Ensemble.SOLO, seed)
        assert excerpt.notes["end"].max() > EXCERPT_SECONDS - 3
        assert excerpt.start_quarters % 4 == 0


def test_a_place_where_an_instrument_is_silent_is_not_taken():
    score = make_score("late", part(0, 60 + np.arange(BEATS) % 12), part(1, [[40, 50]]))
    assert draw_excerpt(score, Ensemble.SONG, np.random.default_rng(0)) is None
    entering = make_score(
        "enters", part(0, 60 + np.arange(24) % 12, 72), part(1, np.tile([40, 50], (BEATS, 1)))
    )
    assert draw(entering, Ensemble.SONG).start_quarters >= 36


def test_who_lacks_parts_cannot_play():
    with pytest.raises(ValueError, match="song has no parts for two violins, viola and cello"):
        draw_excerpt(make_song(), Ensemble.QUARTET, np.random.default_rng(0))
    assert not can_play(Ensemble.SONG, make_choir()) and not can_play(Ensemble.BAND, make_choir())
