"""Scores as data are checked where they are made."""

import dataclasses

import numpy as np
import pytest

from mt3x.score.score import Part, Score, empty_score_notes, make_score_notes, sort_score_notes

MEASURES = np.array([[0, 4], [4, 20], [20, 36]], np.int64)


def a_part(**changes) -> Part:
    notes = make_score_notes([0, 4, 4], [4, 8, 8], [66, 62, 61], ["F", "D", "D"], [1, 0, -1], 4)
    return Part(**({"name": "Piano", "program": 0, "is_drum": False, "notes": notes} | changes))


def a_score(**changes) -> Score:
    values = {
        "divs_per_quarter": 4,
        "parts": (a_part(),),
        "measures": MEASURES,
        "time_signatures": ((0, 4, 4), (20, 2, 2)),
        "key_signatures": ((0, -7), (4, 7)),
        "tempos": ((0, 120.0), (6, 60.5)),
    }
    return Score(**(values | changes))


def changed(name: str, value: object, at: int = 1) -> np.ndarray:
    notes = a_part().notes.copy()
    notes[name][at] = value
    return notes


def test_notes_are_made_in_order_of_onset_and_pitch():
    notes = make_score_notes([8, 0, 0], [1, 2, 3], [60, 64, 62])
    assert notes[["onset_div", "duration_div", "pitch"]].tolist() == [(0, 3, 62), (0, 2, 64), (8, 1, 60)]
    assert (notes["voice"] == 1).all() and (notes["staff"] == 1).all() and (notes["step"] == "").all()


def test_unisons_are_ordered_by_duration_staff_and_voice():
    notes = make_score_notes(0, [2, 1, 1, 1], 60, voice=[1, 2, 1, 3], staff=[1, 1, 1, 2])
    assert notes[["duration_div", "voice", "staff"]].tolist() == [(1, 1, 1), (1, 2, 1), (1, 3, 2), (2, 1, 1)]
    assert np.array_equal(sort_score_notes(notes[::-1]), notes)


def test_staves_are_counted():
    assert a_part().num_staves == 1
    assert a_part(notes=changed("staff", 2)).num_staves == 2
    assert a_part(notes=empty_score_notes()).num_staves == 1


def test_scores_are_compared_by_value():
    assert a_score() == a_score()
    assert a_score().end_div == 36
    for change in (
        {"divs_per_quarter": 8},
        {"parts": ()},
        {"parts": (a_part(notes=changed("voice", 2)),)},
        {"title": "A Song"},
        {"composer": "C. Schumann"},
        {"parts": (a_part(name="Harp"),)},
        {"measures": np.array([[0, 20], [20, 36]]), "key_signatures": ()},
        {"time_signatures": ((0, 4, 4),)},
        {"key_signatures": ()},
        {"tempos": ()},
    ):
        base = {"key_signatures": ()} if "measures" in change else {}
        assert a_score(**base) != a_score(**change), change
    assert a_score() != "a score" and a_part() != "a part"


def test_drums_have_no_spelling():
    assert len(a_part(is_drum=True, notes=make_score_notes([0, 4], 4, [36, 38])).notes) == 2
    with pytest.raises(ValueError, match="note 0 of part 'Piano' .* drums have step"):
        a_part(is_drum=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("onset_div", -1, "onset_div is 0 or more"),
        ("onset_div", 0, "sorted"),
        ("duration_div", -1, "duration_div is 0 or more"),
        ("pitch", 128, "within 0..127"),
        ("pitch", 72, "sounds as the pitch"),
        ("step", "H", "one of C D E"),
        ("alter", 3, "within -2..2"),
        ("octave", 5, "sounds as the pitch"),
        ("voice", 0, "voice is 1 or more"),
        ("staff", 0, "staff is 1 or more"),
        ("grace", 1, "grace is 1 or more where the duration is 0, and 0 elsewhere"),
        ("duration_div", 0, "grace is 1 or more where the duration is 0, and 0 elsewhere"),
    ],
)
def test_an_unsound_note_is_named(name, value, message):
    at = 2 if (name, value) in {("onset_div", 0), ("pitch", 72)} else 1
    with pytest.raises(ValueError, match=f"part 'Piano' breaks a rule.*{message}"):
        a_part(notes=changed(name, value, at))


def test_notes_of_another_type_are_refused():
    with pytest.raises(ValueError, match="make_score_notes"):
        a_part(notes=np.zeros(3))
    with pytest.raises(ValueError, match="within 0..127"):
        a_part(program=128)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"divs_per_quarter": 0}, "divs_per_quarter is 0"),
        ({"measures": MEASURES.astype(float)}, "int64"),
        ({"measures": MEASURES[:0]}, "no measures"),
        ({"measures": MEASURES[1:]}, "div 0"),
        ({"measures": MEASURES[[0, 2]]}, "without gaps"),
        ({"measures": np.array([[0, 0], [0, 36]])}, "1 div or longer"),
        ({"time_signatures": ()}, "the first must be at div 0"),
        ({"time_signatures": ((4, 4, 4),)}, "the first must be at div 0"),
        ({"time_signatures": ((0, 4, 4), (8, 3, 4))}, "starts of measures"),
        ({"time_signatures": ((0, 0, 4),)}, "0/4"),
        ({"time_signatures": ((0, 4, 3),)}, "4/3"),
        ({"time_signatures": ((0, 3, 32),)}, "3/32 does not fit 4"),
        ({"key_signatures": ((20, 0), (4, 0))}, "must increase"),
        ({"key_signatures": ((0, 8),)}, "8 fifths"),
        ({"tempos": ((6, 60.0), (6, 61.0))}, "must increase"),
        ({"tempos": ((36, 60.0),)}, r"within 0\.\.35"),
        ({"tempos": ((0, 0.0),)}, "must be positive"),
        ({"measures": MEASURES[:1], "time_signatures": ((0, 4, 4),)}, "must increase|end by div"),
        ({"parts": (a_part(notes=make_score_notes(35, 2, 60)),)}, "end by div 36"),
        ({"parts": (a_part(notes=make_score_notes(37, 0, 60)),)}, "end by div 36"),
    ],
)
def test_an_unsound_score_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        a_score(**change)


def test_scores_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        a_score().divs_per_quarter = 8  # pyright: ignore[reportAttributeAccessIssue]
