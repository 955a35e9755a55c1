import numpy as np
import pytest

from mt3x.music.notes import empty_notes, make_notes
from mt3x.score.rhythm.beats import Beats, track_beats
from mt3x.score.rhythm.quantise import _grace_places, _Placed, quantise
from mt3x.score.score import make_score_notes
from tests.score.performances import jig, play, scale, waltz

FLUTE = 73


def regular_beats(num_beats, tempo=120.0, size=4, pickup=0, is_compound=False):
    seconds = 1 + np.arange(num_beats) * 60 / tempo * (1.5 if is_compound else 1)
    return Beats(seconds, (np.arange(num_beats) - pickup) % size == 0, size, is_compound)


def rows(score, part=0):
    """(onset, duration, pitch) of a part, in quarters."""
    notes = score.parts[part].notes
    return sorted((n["onset_div"] / 24, n["duration_div"] / 24, int(n["pitch"])) for n in notes)


def line(*durations, pitch=72):
    """A melody of these durations in quarters; negative ones are rests."""
    notes, now = [], 0.0
    for duration in durations:
        if duration > 0:
            notes.append((now, duration, pitch + len(notes) % 3))
        now += abs(duration)
    return notes


@pytest.mark.parametrize(
    ("piece", "size", "is_compound", "signature"),
    [(scale(), 4, False, (0, 4, 4)), (waltz(), 3, False, (0, 3, 4)), (jig(), 2, True, (0, 6, 8))],
    ids=["scale", "waltz", "jig"],
)
def test_an_exact_performance_gives_its_score_back(piece, size, is_compound, signature):
    score = quantise(play(piece, 120), regular_beats(100, size=size, is_compound=is_compound))
    assert rows(score) == piece
    assert score.time_signatures == (signature,)
    assert score.tempos == ((0, 120.0),)
    assert score.end_div == 24 * max(onset + duration for onset, duration, _ in piece)


def test_random_rhythms_played_exactly_come_back():
    rng = np.random.default_rng(5)
    thirds = [1 / 3] * 3
    figures = [[1], [0.5, 0.5], [0.25] * 4, thirds, [0.75, 0.25], [-0.5, 0.5], [2], [1.5, 0.5], [0.125] * 8]
    for tempo in (60, 120, 180):
        piece = line(1, *(d for i in rng.integers(len(figures), size=60) for d in figures[i]))
        score = quantise(play(piece, tempo, program=FLUTE), regular_beats(150, tempo))
        np.testing.assert_allclose(rows(score), piece, atol=1e-9)


def test_a_human_performance_gives_the_note_values_of_its_score():
    piece = scale()
    notes = play(piece, 110, rubato=0.15, jitter=0.015, legato=0.8)
    assert rows(quantise(notes, track_beats(notes))) == piece


def test_triplets_are_told_from_sixteenths_although_uneven():
    piece = line(*[1 / 3] * 3, *[0.25] * 4, 1, *[1 / 3] * 3, 0.5, 0.25, 0.25, 1)
    notes = play(piece, 80, jitter=0.012, legato=0.9, program=FLUTE, seed=3)
    np.testing.assert_allclose(
        [row[0] for row in rows(quantise(notes, regular_beats(12, 80)))], [note[0] for note in piece]
    )


def test_two_against_three_share_a_beat():
    piece = sorted([(i / 2, 0.5, 48) for i in range(8)] + [(i / 3, 1 / 3, 76) for i in range(12)])
    score = quantise(play(piece, 90), regular_beats(8, 90))
    np.testing.assert_allclose(rows(score), piece, atol=1e-9)


def test_a_heard_rest_is_written_and_a_breath_is_not():
    piece = [(0.0, 1.0, 72), (2.0, 0.85, 74), (3.0, 0.9, 76)]
    score = quantise(play(piece, 97, legato=0.93, program=FLUTE), regular_beats(8, 97))
    assert rows(score) == [(0.0, 1.0, 72), (2.0, 1.0, 74), (3.0, 1.0, 76)]


def test_a_pickup_is_a_short_first_measure():
    piece = [(0.0, 0.5, 67), *((0.5 + onset, duration, pitch) for onset, duration, pitch in scale(4))]
    seconds = 1 + 0.25 + np.arange(-1, 18) * 0.5
    score = quantise(play(piece, 120), Beats(seconds, np.arange(-1, 18) % 4 == 0, 4))
    assert score.measures[:2].tolist() == [[0, 12], [12, 108]]
    assert score.time_signatures == ((0, 4, 4),)
    assert rows(score) == piece


def test_a_short_note_before_a_beat_is_a_grace_note():
    notes = make_notes([1.0, 1.43, 1.5, 2.0], [1.4, 1.5, 1.95, 2.5], [72, 76, 74, 72], program=FLUTE)
    written = quantise(notes, regular_beats(4)).parts[0].notes
    assert written[written["duration_div"] == 0]["pitch"].tolist() == [76]
    assert written["onset_div"].tolist() == [0, 24, 24, 48]


def test_grace_notes_keep_the_order_in_which_they_were_played():
    notes = make_notes([1.4, 1.4, 1.45, 1.5, 1.9, 2.0], 3.0, [79, 83, 76, 74, 60, 72])
    onset, is_grace = np.array([24, 24, 24, 24, 48, 48]), np.array([True, True, True, False, True, False])
    placed = _Placed(notes, np.array([0, 0, 1, 2, 3, 4]), onset, notes["end"], is_grace)
    assert _grace_places(placed, np.ones(6, np.int32)).tolist() == [2, 2, 1, 0, 1, 0]
    assert _grace_places(placed, np.array([1, 2, 1, 1, 1, 1])).tolist() == [2, 1, 1, 0, 1, 0]


def test_a_measure_of_another_length_changes_the_time_signature():
    beats = Beats(1 + np.arange(11) * 0.5, np.isin(np.arange(11), [0, 4, 6, 10]), 4)
    score = quantise(play(line(*[1] * 10), 120), beats)
    assert score.time_signatures == ((0, 4, 4), (96, 2, 4), (144, 4, 4))


def test_programs_and_drums_become_parts():
    melody = play(line(1, 1, 1, 1), 120, program=FLUTE)
    drums = make_notes([1.0, 1.5, 2.0], [1.05, 1.55, 2.05], 38, is_drum=True)
    piano = play(line(4, pitch=48), 120)
    score = quantise(np.concatenate([drums, piano, melody]), regular_beats(5))
    assert [(part.name, part.is_drum) for part in score.parts] == [
        ("Flute", False),
        ("Acoustic Grand Piano", False),
        ("Drums", True),
    ]
    assert rows(score, 2) == [(0.0, 1.0, 38), (1.0, 1.0, 38), (2.0, 1.0, 38)]


def test_a_note_struck_twice_at_one_place_is_written_once():
    notes = make_notes([1.0, 1.01, 1.5], [1.2, 1.5, 2.0], [60, 60, 62])
    assert rows(quantise(notes, regular_beats(4))) == [(0.0, 1.0, 60), (1.0, 1.0, 62)]


def test_notes_outside_of_the_beats_are_written_too():
    notes = play(line(*[1] * 12), 120)
    inner = Beats(3 + np.arange(3) * 0.5, np.array([True, False, False]), 4)
    assert rows(quantise(notes, inner)) == line(*[1] * 12)


def test_notation_has_no_fields_that_only_spelling_knows():
    written = quantise(play(scale(2), 120), regular_beats(8)).parts[0].notes
    assert written.dtype == make_score_notes([], [], []).dtype
    assert set(written["step"].tolist()) == {""}


def test_no_notes_make_no_score():
    with pytest.raises(ValueError, match="no note to write"):
        quantise(empty_notes(), regular_beats(4))


def test_under_a_pedal_the_written_notes_last_until_the_next():
    onset = np.arange(16) * 0.25
    pitch = np.array([48, 55, 60, 64] * 4)
    lift = (np.floor(onset) + 1) - 0.02
    notes = make_notes(1 + onset, 1 + lift + 0.001 * np.arange(16) % 0.003, pitch, program=24)
    written = quantise(notes, regular_beats(9)).parts[0].notes
    assert written["duration_div"].tolist() == [12] * 16
    assert set(written["voice"].tolist()) == {1}


def test_a_singer_stands_above_the_piano_and_strings_below_it():
    notes = np.concatenate(
        [
            make_notes([0.0, 0.5, 1.0, 1.5], [0.5, 1.0, 1.5, 2.0], 60, program=program)
            for program in (0, 40, 53)
        ]
    )
    beats = Beats(np.arange(5) / 2, np.arange(5) % 4 == 0, 4)
    assert [part.program for part in quantise(notes, beats).parts] == [53, 0, 40]
