"""How long notes and rests are written: values, dots, ties and tuplets that show the beats of a measure.

A measure is divided into units, from the whole measure down to its smallest notes: 4, 2, 1, 1/2 ... quarters
in 4/4, and 3, 3/2, 1/2, 1/4 ... in 6/8. The level of a position is the first unit that it is a multiple of:
the lower, the stronger. A value that hides a stronger position than its own is cut there, into tied values,
but for the usual syncopations (eighth, quarter, eighth). Rests hide nothing. All positions are exact, in
quarters.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from math import ceil

VALUE_NAMES = {
    Fraction(8): "breve",
    Fraction(4): "whole",
    Fraction(2): "half",
    Fraction(1): "quarter",
    Fraction(1, 2): "eighth",
    Fraction(1, 4): "16th",
    Fraction(1, 8): "32nd",
    Fraction(1, 16): "64th",
    Fraction(1, 32): "128th",
    Fraction(1, 64): "256th",
}
"""MusicXML's names of note values, by their length."""

FLAGS = {"eighth": 1, "16th": 2, "32nd": 3, "64th": 4, "128th": 5, "256th": 6}

_TUPLETS = ((3, 2), (5, 4), (7, 4))
_SMALLEST = min(VALUE_NAMES)


@dataclasses.dataclass(frozen=True)
class Tuplet:
    """`actual` notes in the time of `normal` ones of a value, from start to end."""

    start: Fraction
    end: Fraction
    actual: int
    normal: int

    @cached_property
    def units(self) -> tuple[Fraction, ...]:
        """As of a measure: the whole tuplet, its notes, their halves ..., in written lengths."""
        written = self.to_written(self.end)
        return (written, *_halvings(written / self.actual))

    def to_written(self, position: Fraction) -> Fraction:
        """The written length from the start of the tuplet to a position."""
        return (position - self.start) * self.actual / self.normal

    def from_written(self, written: Fraction) -> Fraction:
        """The position that `to_written` came from."""
        return self.start + written * self.normal / self.actual


@dataclasses.dataclass(frozen=True)
class Span:
    """Time that a note, a chord or a rest (None) takes; `index` says which note or chord."""

    start: Fraction
    end: Fraction
    index: int | None


@dataclasses.dataclass(frozen=True)
class WrittenValue:
    """One note head's worth of a span: `name` of the value with `dots`, tied to what follows or not."""

    span: Span
    start: Fraction
    end: Fraction
    name: str
    dots: int
    tuplet: Tuplet | None

    @property
    def is_rest(self) -> bool:
        return self.span.index is None


def metre_units(beats: int, beat_type: int) -> tuple[Fraction, ...]:
    """Lengths that a measure divides into, in quarters, longest first.

    >>> [str(unit) for unit in metre_units(6, 8)[:4]]
    ['3', '3/2', '1/2', '1/4']
    """
    beat = Fraction(4, beat_type)
    whole = beats * beat
    if is_compound(beats, beat_type):
        halves = (whole / 2,) if beats == 12 else ()
        return (whole, *halves, 3 * beat, *_halvings(beat))
    halves = (whole / 2,) if beats == 4 else ()
    return tuple(dict.fromkeys((whole, *halves, *_halvings(beat))))


def is_compound(beats: int, beat_type: int) -> bool:
    """Whether beats fall into three: 6/8, 9/8, 12/8 and the like, but not 3/4 or 3/8."""
    return beats in (6, 9, 12) and beat_type >= 4


def write_values(spans: Sequence[Span], units: tuple[Fraction, ...]) -> list[WrittenValue]:
    """The values that spans are written with.

    Args:
      spans: one after the other without gaps, within one measure; positions from where a full measure begins.
      units: `metre_units` of the measure.

    Raises:
      ValueError: a position that no tuplet of 3, 5 or 7 notes can express.
    """
    tuplets = _find_tuplets(spans, units)
    values = []
    for span in spans:
        bounds = {span.start, span.end}
        bounds |= {edge for t in tuplets for edge in (t.start, t.end) if span.start < edge < span.end}
        edges = sorted(bounds)
        for start, end in itertools.pairwise(edges):
            tuplet = next((t for t in tuplets if t.start <= start < t.end), None)
            values += _write_piece(span, start, end, tuplet, units)
    return values


def _write_piece(
    span: Span, start: Fraction, end: Fraction, tuplet: Tuplet | None, units: tuple[Fraction, ...]
) -> list[WrittenValue]:
    if tuplet is None:
        cuts = _cut(start, end, units, span.index is None)
        return [WrittenValue(span, a, b, *_name(b - a), None) for a, b in cuts]
    cuts = _cut(tuplet.to_written(start), tuplet.to_written(end), tuplet.units, span.index is None)
    return [
        WrittenValue(span, tuplet.from_written(a), tuplet.from_written(b), *_name(b - a), tuplet)
        for a, b in cuts
    ]


def _cut(
    start: Fraction, end: Fraction, units: tuple[Fraction, ...], is_rest: bool
) -> list[tuple[Fraction, Fraction]]:
    """Pieces of start..end that can each be one value."""
    inner = next((k for k, unit in enumerate(units) if (start // unit + 1) * unit < end), None)
    if inner is None or (_is_rest_value if is_rest else _is_note_value)(start, end, units, inner):
        return [(start, end)]
    unit = units[inner]
    starts_strong = _level(start, units) <= inner
    cut = (ceil(end / unit) - 1 if starts_strong else start // unit + 1) * unit
    return _cut(start, cut, units, is_rest) + _cut(cut, end, units, is_rest)


def _is_note_value(start: Fraction, end: Fraction, units: tuple[Fraction, ...], inner: int) -> bool:
    """Whether a note that hides a position of level `inner` reads well as one value."""
    length = end - start
    if _name_or_none(length) is None:
        return False
    first, last = _level(start, units), _level(end, units)
    in_halves = inner + 1 < len(units) and units[inner] == 2 * units[inner + 1]
    if first <= inner:
        return last <= inner or (last == inner + 1 and in_halves)
    is_syncopation = first == inner + 1 and in_halves
    return is_syncopation and (length == units[inner] or (last <= inner and length == 3 * units[inner + 1]))


def _is_rest_value(start: Fraction, end: Fraction, units: tuple[Fraction, ...], inner: int) -> bool:
    """Whether a rest is one unit of the measure, or the first two thirds of a beat in three."""
    length = end - start
    if _name_or_none(length) is None:
        return False
    if length in units:
        return start % length == 0
    unit = units[inner]
    in_thirds = inner > 0 and unit <= Fraction(1, 2) and units[inner - 1] == 3 * unit
    return in_thirds and length == 2 * unit and _level(start, units) < inner


def _find_tuplets(spans: Sequence[Span], units: tuple[Fraction, ...]) -> list[Tuplet]:
    """The tuplets that positions off the binary grid need, the widest where they nest."""
    ends = sorted({edge for span in spans for edge in (span.start, span.end)})
    found: list[Tuplet] = []
    for edge in ends:
        if not _is_binary(edge) and not any(t.start < edge < t.end for t in found):
            found.append(_tuplet_around(edge, spans, ends, units))
    return [t for t in found if not any(o is not t and o.start <= t.start and t.end <= o.end for o in found)]


def _tuplet_around(
    edge: Fraction, spans: Sequence[Span], edges: Sequence[Fraction], units: tuple[Fraction, ...]
) -> Tuplet:
    """The tuplet for a position off the binary grid: of a quarter if that reads well, else another."""
    plain = [unit for unit in units if unit in VALUE_NAMES and unit >= 8 * _SMALLEST]
    # A pickup may begin inside a tuplet.
    earliest = edges[0] if _is_binary(edges[0]) else Fraction(0)
    possible = []
    for unit in sorted(plain, key=lambda unit: (unit > 1, abs(unit - 1))):
        start = edge // unit * unit
        inside = [other for other in edges if start < other < start + unit]
        for actual, normal in _TUPLETS:
            fits = all(_is_binary((other - start) / unit * actual) for other in inside)
            if fits and earliest <= start and start + unit <= edges[-1]:
                tuplet = Tuplet(start, start + unit, actual, normal)
                is_mixed = any(_is_binary(other) for other in inside)
                possible.append(
                    (sum(_crosses(span, tuplet) for span in spans), is_mixed, len(possible), tuplet)
                )
                break
    if not possible:
        raise ValueError(
            f"a note begins or ends {edge} quarters into its measure, which no triplet, quintuplet or "
            "septuplet of a plain value can express; quantise the notes first"
        )
    return min(possible)[-1]


def _crosses(span: Span, tuplet: Tuplet) -> bool:
    """Whether a span has ends off the binary grid both inside and outside a tuplet."""
    odd_ends = [edge for edge in (span.start, span.end) if not _is_binary(edge)]
    return len(odd_ends) == 2 and sum(tuplet.start < edge < tuplet.end for edge in odd_ends) == 1


def _halvings(unit: Fraction) -> tuple[Fraction, ...]:
    """The unit, its half, its quarter ... as long as there are such note values."""
    units = []
    while unit >= _SMALLEST:
        units.append(unit)
        unit /= 2
    return tuple(units)


def _is_binary(position: Fraction) -> bool:
    denominator = position.denominator
    return denominator & (denominator - 1) == 0 and position % _SMALLEST == 0


def _level(position: Fraction, units: tuple[Fraction, ...]) -> int:
    return next((k for k, unit in enumerate(units) if position % unit == 0), len(units))


def _name_or_none(length: Fraction) -> tuple[str, int] | None:
    if length in VALUE_NAMES:
        return VALUE_NAMES[length], 0
    plain = length * Fraction(2, 3)
    return (VALUE_NAMES[plain], 1) if plain in VALUE_NAMES else None


def _name(length: Fraction) -> tuple[str, int]:
    named = _name_or_none(length)
    if named is None:
        raise ValueError(
            f"no note value lasts {length} quarters; the shortest is {_SMALLEST}; quantise the notes first"
        )
    return named
