"""Accidentals are printed where a reader needs them."""

import pytest

from mt3x.score.notation.accidentals import Accidentals, Shown, key_alteration


def shown(fifths: int, *measures: str) -> list[str]:
    """What is printed of notes such as `F#4`: `+` an accidental, `?` a reminder, `.` nothing."""
    signs = {Shown.YES: "+", Shown.AS_REMINDER: "?", Shown.NO: "."}
    accidentals, result = Accidentals(), []
    for measure in measures:
        accidentals.begin_measure(fifths)
        names = measure.split()
        alters = [name.count("#") - name.count("b") for name in names]
        printed = [accidentals.show(n[0], a, int(n[-1])) for n, a in zip(names, alters, strict=True)]
        result.append("".join(signs[sign] for sign in printed))
    return result


@pytest.mark.parametrize(
    ("fifths", "measures", "expected"),
    [
        (0, ["F4 F#4 F#4 F4"], [".+.+"]),
        (0, ["F#4 F#5 F#4"], ["++."]),
        (1, ["F#4 F4 F#4"], [".++"]),
        (-1, ["Bb4 B4 Bb4"], [".++"]),
        (0, ["F#4", "F4 F4", "F4"], ["+", "?.", "."]),
        (0, ["F#4", "F#4"], ["+", "+"]),
        (0, ["F#4 F5"], ["+?"]),
        (2, ["C#5 F##4 F#4"], [".++"]),
    ],
)
def test_accidentals_hold_to_the_bar_line_and_doubt_brings_a_reminder(fifths, measures, expected):
    assert shown(fifths, *measures) == expected


def test_key_signatures_alter_steps():
    assert [key_alteration(step, 7) for step in "CDEFGAB"] == [1] * 7
    assert [key_alteration(step, -7) for step in "CDEFGAB"] == [-1] * 7
    assert [key_alteration(step, -3) for step in "CDEFGAB"] == [0, 0, -1, 0, 0, -1, -1]
