"""Clefs, transposition and drums as players know them."""

import numpy as np
import pytest

from mt3x.score.notation import engraving
from mt3x.score.notation.engraving import (
    ALTO,
    BASS,
    DRUMS,
    TENOR,
    TRANSPOSITIONS,
    TREBLE,
    TREBLE_8VB,
    choose_clefs,
    clefs_of,
    drum_place,
    name_at,
    place_of,
)


def places(*names: str) -> np.ndarray:
    return np.array([place_of(name[0], int(name[1])) for name in names], np.int64)


def test_middles_of_clefs_are_their_middle_lines():
    middles = {
        "TREBLE": "B4",
        "TREBLE_8VA": "B5",
        "TREBLE_8VB": "B3",
        "BASS": "D3",
        "ALTO": "C4",
        "TENOR": "A3",
    }
    assert [getattr(engraving, clef).middle for clef in middles] == places(*middles.values()).tolist()


@pytest.mark.parametrize(
    ("program", "staff", "num_staves", "clef"),
    [
        *((0, 1, 2, TREBLE), (0, 2, 2, BASS), (40, 1, 1, TREBLE), (41, 1, 1, ALTO), (42, 1, 1, BASS)),
        *((24, 1, 1, TREBLE_8VB), (33, 1, 1, BASS), (70, 1, 1, BASS), (73, 1, 1, TREBLE)),
    ],
)
def test_instruments_have_their_usual_clefs(program, staff, num_staves, clef):
    assert clefs_of(program, staff, num_staves)[0] == clef


def test_a_clef_changes_where_many_ledger_lines_would_stand():
    low, high = places(*["C3"] * 8), places(*["C6"] * 8)
    assert choose_clefs([low, high, high], (BASS, TREBLE)) == [BASS, TREBLE, TREBLE]
    assert choose_clefs([low, places("C5"), low], (BASS, TREBLE)) == [BASS] * 3
    few_but_far = places("C3", "C6", "D6", "E6")
    assert choose_clefs([low, few_but_far, low], (BASS, TREBLE)) == [BASS, TREBLE, BASS]
    assert choose_clefs([low, places(*["E4"] * 16), low], (BASS, TREBLE)) == [BASS] * 3
    assert choose_clefs([places()] * 2, (BASS, TREBLE)) == [BASS] * 2
    assert choose_clefs([places(*["A4"] * 16)], (BASS, TENOR)) == [TENOR]


def test_transpositions_move_keys_as_they_move_notes():
    shifts = {71: 2, 56: 2, 65: 3, 66: 2, 67: 3, 60: 1, 69: 1, 43: 0, 72: 0, 9: 0}
    assert {program: TRANSPOSITIONS[program].fifths for program in shifts} == shifts
    for transposition in TRANSPOSITIONS.values():
        assert abs(transposition.chromatic - 12 / 7 * transposition.diatonic) < 1.5


def test_names_with_three_accidentals_are_replaced():
    assert name_at(place_of("C", 4), 62) == ("C", 2, 4)
    assert name_at(place_of("C", 4), 63) == ("D", 1, 4)
    assert name_at(place_of("C", 4), 57) == ("B", -2, 3)


def test_no_two_drums_of_the_kit_look_the_same():
    looks = [(drum.step, drum.octave, drum.head) for drum in DRUMS.values()]
    assert len(set(looks)) == len(looks)
    assert drum_place(42).head == "x" and drum_place(38).head == "normal"
    assert drum_place(81).name == "Percussion 81"
