"""Beams show beats."""

from fractions import Fraction

import pytest

from mt3x.score.notation.beams import beam
from mt3x.score.notation.written_values import Span, metre_units, write_values


def beamed(beats: int, beat_type: int, lengths: str) -> str:
    """Beams of values, `r` for rests, as letters: b begin, c continue, e end, > and < hooks, - none."""
    spans, time = [], Fraction(0)
    for i, word in enumerate(lengths.split()):
        length = Fraction(word.removeprefix("r"))
        spans.append(Span(time, time + length, None if word.startswith("r") else i))
        time += length
    letters = {"begin": "b", "continue": "c", "end": "e", "forward hook": ">", "backward hook": "<"}
    values = write_values(spans, metre_units(beats, beat_type))
    return " ".join("".join(letters[b] for b in beams) or "-" for beams in beam(values, beats, beat_type))


E, S = "1/2 ", "1/4 "


@pytest.mark.parametrize(
    ("metre", "lengths", "expected"),
    [
        ((4, 4), E * 8, "b c c e b c c e"),
        ((4, 4), S * 4 + E * 6, "bb cc cc ee b e b c c e"),
        ((4, 4), "1 " + E * 6, "- b e b c c e"),
        ((4, 4), "1/2 r1/2 1/2 1/2 2", "- - b e -"),
        ((4, 4), "r1/2 1/2 1/2 r1/2 1 1", "- b e - - -"),
        ((4, 4), "r1/2 1/2 1/4 1/4 1/2 2", "- - bb ce e -"),
        ((4, 4), "3/4 1/4 1/4 3/4 2", "b e< b> e -"),
        ((2, 4), E * 4, "b c c e"),
        ((3, 4), E * 6, "b c c c c e"),
        ((3, 4), "1 " + E * 4, "- b e b e"),
        ((6, 8), E * 6, "b c e b c e"),
        ((6, 8), "3/4 1/4 1/2 3/2", "b c< e -"),
        ((5, 8), E * 5, "b c e b e"),
        ((7, 8), E * 7, "b e b e b c e"),
        ((3, 8), E * 3, "b c e"),
        ((2, 2), E * 8, "b c c e b c c e"),
        ((4, 4), "1/3 1/3 1/3 1/2 1/2 2", "b c e b e -"),
        ((4, 4), "1/2 1 1/2 2", "- - - -"),
        ((2, 4), "1/4 1/2 1/4 1", "b> c e< -"),
    ],
)
def test_beams_show_beats(metre, lengths, expected):
    assert beamed(*metre, lengths) == expected
