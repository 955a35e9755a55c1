"""Notes become a page that can be read: metre, bar lines, hands, names, keys."""

import dataclasses

import numpy as np
import pytest

from mt3x.music.notes import empty_notes, make_notes, sort_notes
from mt3x.score.io.musicxml import musicxml_bytes
from mt3x.score.io.playing import played_notes
from mt3x.score.notation.writing import (
    Hints,
    _key_signatures,
    _with_graces_placed,
    empty_score,
    notate,
    spell_score,
)
from tests.score.io.musicxml_checks import check
from tests.score.pieces import DIVS, alla_turca, part, score, voice


def performed(whole, seed: int = 0) -> np.ndarray:
    """A score as someone plays it: tempo that sways, onsets up to 10 ms off, notes shortened."""
    random = np.random.default_rng(seed)
    notes = played_notes(whole)
    length = (notes["end"] - notes["start"]) * random.uniform(0.7, 1.0, len(notes))
    notes["start"] += 0.5 + 0.1 * np.sin(0.7 * notes["start"]) + random.uniform(-0.01, 0.01, len(notes))
    notes["end"] = notes["start"] + length
    return sort_notes(notes)


def names(notes: np.ndarray) -> list[tuple]:
    return sorted(notes[["pitch", "step", "alter", "octave"]].tolist())


def test_a_performed_theme_is_written_as_it_was_composed():
    theme = alla_turca()
    written = notate(performed(theme), Hints((2, 4)))
    assert written.time_signatures == ((0, 2, 4),)
    assert np.array_equal(written.measures[:2], [[0, 24], [24, 72]])
    piano, original = written.parts[0], theme.parts[0]
    assert piano.name == "Piano" and piano.num_staves == 2
    for staff in (1, 2):
        mine, its = (notes[notes["staff"] == staff] for notes in (piano.notes, original.notes))
        same = set(mine[["onset_div", "pitch"]].tolist()) & set(its[["onset_div", "pitch"]].tolist())
        assert len(same) >= 0.95 * len(its)
    assert names(piano.notes) == names(original.notes)
    check(musicxml_bytes(written))


def test_a_melody_on_a_keyboard_has_one_staff():
    tune = [60, 60, 67, 67, 69, 69, 67, 65, 65, 64, 64, 62, 62, 60] * 2
    start = 0.5 * np.arange(len(tune))
    (piano,) = notate(make_notes(start, start + 0.48, tune)).parts
    assert piano.num_staves == 1 and set(piano.notes["voice"]) == {1}


def test_a_jig_alone_whose_metre_is_known_is_written_in_eighths():
    first = [74, 72, 71, 67, 67, 62, 67, 67, 71, 67, 71, 74, 72, 71, 72, 69, 69, 64, 69, 69, 72, 69, 72, 76]
    second = [74, 72, 71, 67, 67, 62, 67, 67, 71, 67, 71, 74, 72, 71, 72, 71, 72, 69, 74, 72, 71, 67, 67, 67]
    tune = (first + second) * 2  # The Irish Washerwoman
    start = 0.2 * np.arange(len(tune))
    written = notate(make_notes(start, start + 0.18, tune), Hints((6, 8)))
    assert written.time_signatures == ((0, 6, 8),)
    assert set(written.parts[0].notes["duration_div"][:-1]) == {DIVS // 2}
    assert written.tempos[0][1] == pytest.approx(150, rel=0.02)


def test_a_known_metre_in_three_is_kept():
    tune = part(voice("D5:1/2 B4:1/2 G4:1/2 " * 16), program=73)
    written = notate(
        performed(score(tune, beats=6, beat_type=8, num_measures=8, tempo=150.0)), Hints((6, 8), 150)
    )
    assert written.time_signatures == ((0, 6, 8),)
    assert abs(written.tempos[0][1] - 150) < 10


def test_instruments_have_the_names_of_players():
    played = performed(score(*(part(voice("C4:1 E4:1 G4:2"), program=p) for p in (0, 24, 40, 53))))
    assert {p.name for p in notate(played).parts} == {"Piano", "Acoustic Guitar", "Violin", "Voice"}


def test_drums_need_no_names():
    drums = part(voice("36+42:1/2 42:1/2 38+42:1/2 42:1/2 " * 4), is_drum=True)
    written = notate(performed(score(drums, num_measures=2)))
    assert written.parts[0].is_drum and written.key_signatures == ()
    check(musicxml_bytes(written))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("0 0 0 0 3 3 3 3", [(0, 0), (4, 3)]),
        ("0 0 0 0 3 3 3 0 0 0 0", [(0, 0)]),
        ("1 0 0 0 0 0", [(0, 0)]),
        ("- - 4 4 - 4", [(0, 4)]),
        ("2 2 2 2 - - -1 -1 -1 -1", [(0, 2), (6, -1)]),
        ("5", [(0, 5)]),
        ("1 2 2 1 2", [(0, 2)]),
    ],
)
def test_key_signatures_last_and_begin_where_measures_do(keys, expected):
    """A key for each measure, `-` for one without notes -> (measure, fifths)."""
    words = keys.split()
    measures = np.array([[96 * i, 96 * i + 96] for i in range(len(words))])
    notes = [(96 * i + 10, int(word)) for i, word in enumerate(words) if word != "-"]
    onset, fifths = np.array(notes).T
    assert _key_signatures(measures, onset, fifths) == tuple((96 * i, key) for i, key in expected)


def test_a_piece_of_a_few_measures_has_one_key():
    whole = spell_score(score(part(voice("E4:1 G#4:1 B4:1 E5:1"))))
    assert len(whole.key_signatures) == 1 and whole.key_signatures[0][0] == 0


def test_spelling_nothing_changes_nothing():
    assert spell_score(empty_score()) == empty_score()


def graces_placed(*voices):
    whole = score(part(*voices))
    return _with_graces_placed(whole.parts[0], whole.measures, DIVS).notes


def test_grace_notes_join_a_chord_and_never_interrupt_one():
    beside = voice("C5:1 D5:1"), voice("r:1 B4:0", voice=2), voice("E3:4", voice=3, staff=2)
    assert graces_placed(*beside)["voice"].tolist() == [3, 1, 1, 1]
    left = voice("C5:1 D5:1"), voice("r:1 B4:0", voice=3, staff=2), voice("E3:4", voice=3, staff=2)
    assert graces_placed(*left)["staff"].tolist() == [2, 1, 1, 1]
    assert graces_placed(voice("C5:2"), voice("r:1 B4:0"))["pitch"].tolist() == [72]


@pytest.mark.parametrize(
    ("rhythm", "quarters"),
    [
        ("C5:1 r:1 B4:0", 1),
        ("C5:1 r:5/3 B4:0", 1 / 3),
        ("C5:1 B4:0 r:1/4 D5:1/2", 1 / 4),
        ("B4:0 D4:0 r:1/2 C5:0", 1 / 2),
        ("r:15/4 B4:0 E5:0", 1 / 4),
    ],
)
def test_a_grace_note_without_a_chord_becomes_a_note_of_at_most_the_rest_of_its_quarter(rhythm, quarters):
    notes = graces_placed(voice(rhythm))
    (found,) = notes[notes["pitch"] == 71]
    assert found["duration_div"] == round(quarters * DIVS)
    written = musicxml_bytes(
        dataclasses.replace(score(part()), parts=(dataclasses.replace(part(), notes=notes),))
    )
    assert b"<grace" not in written


@pytest.mark.parametrize("metre", [(1, 4), (4, 2), (3, 8), (13, 4)])
def test_metres_that_cannot_be_tracked_are_refused(metre):
    with pytest.raises(ValueError, match=f"time signature is {metre[0]}/{metre[1]}; it must be 2/4 to 12/4"):
        Hints(metre)


def test_a_known_key_is_kept():
    assert notate(performed(alla_turca()), Hints(fifths=0)).key_signatures == ((0, 0),)
    with pytest.raises(ValueError, match="key signature has 8 fifths"):
        Hints(fifths=8)


@pytest.mark.parametrize("tempo", [0, -1, float("inf")])
def test_tempos_that_are_none_are_refused(tempo):
    with pytest.raises(ValueError, match="it must be positive"):
        Hints(quarters_per_minute=tempo)


def test_hints_bind_the_beat_tracker():
    settings = Hints((9, 8), 90.0).decoding_settings()
    assert settings.bars == ((3, 0.0),) and settings.usual_seconds == 1.0
    assert settings.shortest_seconds == 0.8 and settings.longest_seconds == 1.2
    assert dataclasses.replace(Hints()) == Hints()


def test_no_notes_are_refused():
    with pytest.raises(ValueError, match="no note"):
        notate(empty_notes())
    assert len(notate(make_notes([0.0], [1.0], 60)).parts) == 1
