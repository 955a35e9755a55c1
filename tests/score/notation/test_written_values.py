"""Note values show the beats of the measure."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.score.notation.written_values import (
    VALUE_NAMES,
    Span,
    Tuplet,
    is_compound,
    metre_units,
    write_values,
)

LENGTHS = {name: length for length, name in VALUE_NAMES.items()}


def written(beats: int, beat_type: int, *divisions: str) -> str:
    """The values of spans in one line; `r` before a length is a rest: written(4, 4, "1", "r3")."""
    spans, position = [], Fraction(0)
    for i, word in enumerate(divisions):
        length = Fraction(word.removeprefix("r"))
        spans.append(Span(position, position + length, None if word.startswith("r") else i))
        position += length
    values = write_values(spans, metre_units(beats, beat_type))
    return " ".join(
        ("r" if value.is_rest else "")
        + ("~" if value.start > value.span.start and not value.is_rest else "")
        + value.name
        + "." * value.dots
        + (f"/{value.tuplet.actual}" if value.tuplet else "")
        for value in values
    )


@pytest.mark.parametrize(
    ("metre", "spans", "expected"),
    [
        ((4, 4), ["4"], "whole"),
        ((4, 4), ["3", "1"], "half. quarter"),
        ((4, 4), ["1", "3"], "quarter half."),
        ((4, 4), ["1", "2", "1"], "quarter half quarter"),
        ((4, 4), ["3/2", "5/2"], "quarter. eighth ~half"),
        ((4, 4), ["1/2", "1", "1", "1", "1/2"], "eighth quarter eighth ~eighth quarter eighth"),
        ((4, 4), ["1/2", "7/2"], "eighth quarter. ~half"),
        ((4, 4), ["5/2", "3/2"], "half ~eighth quarter."),
        ((4, 4), ["7/2", "1/2"], "half ~quarter. eighth"),
        ((4, 4), ["1/4", "1/2", "1/4", "3"], "16th eighth 16th half."),
        ((4, 4), ["1", "3/2", "3/2"], "quarter quarter ~eighth quarter."),
        ((3, 4), ["3"], "half."),
        ((3, 4), ["1", "2"], "quarter half"),
        ((3, 4), ["1/2", "5/2"], "eighth eighth ~half"),
        ((3, 4), ["5/2", "1/2"], "half ~eighth eighth"),
        ((6, 8), ["2", "1"], "quarter. ~eighth quarter"),
        ((6, 8), ["1", "1/2", "1/2", "1"], "quarter eighth eighth quarter"),
        ((6, 8), ["1", "1", "1"], "quarter eighth ~eighth quarter"),
        ((9, 8), ["9/2"], "half. ~quarter."),
        ((12, 8), ["6"], "whole."),
        ((5, 4), ["5"], "whole ~quarter"),
        ((4, 4), ["r1", "3"], "rquarter half."),
        ((4, 4), ["1", "r3"], "quarter rquarter rhalf"),
        ((4, 4), ["r3", "1"], "rhalf rquarter quarter"),
        ((4, 4), ["1/2", "r1", "5/2"], "eighth reighth reighth eighth ~half"),
        ((3, 4), ["1", "r2"], "quarter rquarter rquarter"),
        ((6, 8), ["r1", "2"], "rquarter eighth ~quarter."),
        ((6, 8), ["1/2", "r1", "3/2"], "eighth reighth reighth quarter."),
        ((6, 8), ["3/2", "r3/2"], "quarter. rquarter."),
        ((4, 4), ["1/3", "1/3", "1/3", "3"], "eighth/3 eighth/3 eighth/3 half."),
        ((4, 4), ["2/3", "1/3", "3"], "quarter/3 eighth/3 half."),
        ((4, 4), ["1/3", "r2/3", "3"], "eighth/3 reighth/3 reighth/3 half."),
        ((4, 4), ["2/3", "2/3", "2/3", "2"], "quarter/3 quarter/3 quarter/3 half"),
        ((4, 4), ["4/3", "4/3", "4/3"], "half/3 half/3 half/3"),
        ((4, 4), ["1/6", "1/6", "1/6", "7/2"], "16th/3 16th/3 16th/3 quarter. ~half"),
        ((4, 4), ["1/3", "1/3", "4/3", "2"], "eighth/3 eighth/3 eighth/3 ~quarter half"),
        ((4, 4), ["4/3", "2/3", "2"], "quarter ~eighth/3 quarter/3 half"),
        ((4, 4), ["r1/3", "5/3", "2"], "reighth/3 quarter/3 ~quarter half"),
        ((4, 4), ["1/6", "1/6", "2/3", "3"], "16th/3 16th/3 quarter/3 half."),
        ((4, 4), ["1/6"] * 6 + ["3"], "16th/3 " * 6 + "half."),
        ((6, 8), ["1/6", "1/6", "1/6", "1", "3/2"], "16th/3 16th/3 16th/3 quarter quarter."),
        ((2, 4), ["1/5", "1/5", "1/5", "1/5", "1/5", "1"], "16th/5 " * 5 + "quarter"),
        ((2, 4), ["1/7"] * 7 + ["1"], "16th/7 " * 7 + "quarter"),
        ((2, 2), ["1/2", "1/2", "1", "2"], "eighth eighth quarter half"),
    ],
)
def test_values_show_the_beats(metre, spans, expected):
    assert written(*metre, *spans) == expected


def test_a_pickup_is_cut_where_the_full_measure_would_be():
    spans = [Span(Fraction(3, 2), Fraction(3), 0), Span(Fraction(3), Fraction(4), None)]
    values = write_values(spans, metre_units(4, 4))
    assert [(value.name, value.start) for value in values] == [
        ("eighth", Fraction(3, 2)),
        ("quarter", Fraction(2)),
        ("quarter", Fraction(3)),
    ]


def test_a_pickup_may_begin_inside_a_triplet():
    spans = [Span(Fraction(11, 3), Fraction(4), 0)]
    (value,) = write_values(spans, metre_units(4, 4))
    assert (value.name, value.tuplet) == ("eighth", Tuplet(Fraction(3), Fraction(4), 3, 2))


def test_metres_in_three_are_told():
    assert [is_compound(*metre) for metre in ((6, 8), (9, 8), (12, 16), (3, 8), (3, 4), (6, 2))] == [
        *(True, True, True),
        *(False, False, False),
    ]


@given(
    metre=st.sampled_from([(4, 4), (3, 4), (2, 4), (6, 8), (9, 8), (12, 8), (5, 8), (2, 2)]),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    is_rest=st.lists(st.booleans(), min_size=13, max_size=13),
)
def test_values_fill_their_spans_with_what_they_say(metre, lengths, is_rest):
    end = Fraction(4 * metre[0], metre[1])
    edges = [Fraction(0)]
    for length in lengths:
        edges.append(min(edges[-1] + Fraction(length, 16), end))
    edges = sorted({*edges, end})
    spans = [
        Span(a, b, None if rest else i)
        for i, (a, b, rest) in enumerate(zip(edges, edges[1:], is_rest, strict=False))
    ]
    values = write_values(spans, metre_units(*metre))
    assert [value.start for value in values] == [Fraction(0), *(value.end for value in values[:-1])]
    assert values[-1].end == end
    for value in values:
        length = LENGTHS[value.name] * (Fraction(3, 2) if value.dots else 1)
        assert value.end - value.start == length and value.tuplet is None
        assert value.span.start <= value.start and value.end <= value.span.end


@pytest.mark.parametrize("length", ["1/11", "1/1024"])
def test_what_no_value_expresses_is_refused(length):
    rest = Fraction(4) - Fraction(length)
    with pytest.raises(ValueError, match="quantise the notes first"):
        written(4, 4, length, str(rest))
