"""Which notes share a beam: those of a beat, or of half a measure that holds only eighths and their rests."""

from collections.abc import Sequence
from fractions import Fraction

from mt3x.score.notation.written_values import FLAGS, WrittenValue, is_compound

_GROUPS_OF_EIGHTHS = {5: (3, 2), 7: (2, 2, 3), 8: (3, 3, 2)}
_EIGHTH = Fraction(1, 2)


def beam_groups(beats: int, beat_type: int) -> tuple[list[Fraction], list[Fraction]]:
    """Where groups begin: of any notes, and the wider ones of plain eighths; in quarters."""
    whole = Fraction(4 * beats, beat_type)
    if is_compound(beats, beat_type):
        narrow = _multiples(Fraction(12, beat_type), whole)
        return narrow, narrow
    if beat_type == 8 and beats in _GROUPS_OF_EIGHTHS:
        sizes = _GROUPS_OF_EIGHTHS[beats]
        narrow = [_EIGHTH * sum(sizes[:i]) for i in range(len(sizes))]
        return narrow, narrow
    if beat_type >= 8:
        return [Fraction(0)], [Fraction(0)]
    narrow = _multiples(min(Fraction(4, beat_type), Fraction(1)), whole)
    wide = _multiples(Fraction(2), whole) if beats % 2 == 0 else [Fraction(0)] if beats == 3 else narrow
    return narrow, wide


def beam(values: Sequence[WrittenValue], beats: int, beat_type: int) -> list[tuple[str, ...]]:
    """For each value, what the beams on it do, from the first (eighths) on: begin, continue, end or a hook.

    Values are those of one voice in one measure; values without a beam get ().
    """
    narrow, wide = beam_groups(beats, beat_type)
    wide_starts = [max(edge for edge in wide if edge <= value.start) for value in values]
    is_plain = {
        start: all(_is_plain_eighth(v) for v, own in zip(values, wide_starts, strict=True) if own == start)
        for start in set(wide_starts)
    }
    result: list[tuple[str, ...]] = [()] * len(values)
    group: list[int] = []
    group_key: tuple[bool, Fraction] | None = None
    for i, value in enumerate(values):
        in_wide = is_plain[wide_starts[i]]
        key = (in_wide, wide_starts[i] if in_wide else max(edge for edge in narrow if edge <= value.start))
        if value.is_rest or value.name not in FLAGS or key != group_key:
            _close(group, values, result)
            group = []
        group_key = key
        if not value.is_rest and value.name in FLAGS:
            group.append(i)
    _close(group, values, result)
    return result


def _is_plain_eighth(value: WrittenValue) -> bool:
    return (value.name, value.dots, value.tuplet) == ("eighth", 0, None)


def _close(group: Sequence[int], values: Sequence[WrittenValue], result: list[tuple[str, ...]]) -> None:
    """Writes the beams of a finished group."""
    if len(group) < 2:
        return
    flags = [FLAGS[values[i].name] for i in group]
    for place, i in enumerate(group):
        before = flags[place - 1] if place else 0
        after = flags[place + 1] if place + 1 < len(group) else 0
        result[i] = tuple(_at_level(level, before, after, place == 0) for level in range(1, flags[place] + 1))


def _at_level(level: int, before: int, after: int, is_first: bool) -> str:
    if before >= level:
        return "continue" if after >= level else "end"
    if after >= level:
        return "begin"
    return "forward hook" if is_first else "backward hook"


def _multiples(unit: Fraction, end: Fraction) -> list[Fraction]:
    return [unit * i for i in range(int(-(-end // unit)))]
