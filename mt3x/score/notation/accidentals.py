"""Which accidentals are printed.

An accidental holds for its line or space until the end of the measure. A note that is tied from before has
none. Where a note might be read wrongly, because its line was altered in the measure before or its step in
another octave, one in parentheses reminds.
"""

import enum

_ORDER_OF_SHARPS = "FCGDAEB"

NAMES = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
"""MusicXML's names, by alteration."""


class Shown(enum.Enum):
    """Whether an accidental is printed."""

    NO = enum.auto()
    YES = enum.auto()
    AS_REMINDER = enum.auto()


def key_alteration(step: str, fifths: int) -> int:
    """What a key signature does to a step.

    >>> key_alteration("F", 1), key_alteration("B", -1), key_alteration("F", -1)
    (1, -1, 0)
    """
    place = _ORDER_OF_SHARPS.index(step)
    return int(place < fifths) - int(place >= 7 + fifths)


class Accidentals:
    """Decides for the notes of one staff, measure by measure, in the order in which they sound."""

    def __init__(self) -> None:
        self._fifths = 0
        self._here: dict[tuple[str, int], int] = {}
        self._before: dict[tuple[str, int], int] = {}

    def begin_measure(self, fifths: int) -> None:
        """A bar line, after which this key signature holds."""
        self._before, self._here, self._fifths = self._here, {}, fifths

    def show(self, step: str, alter: int, octave: int) -> Shown:
        """Whether the next note needs its accidental; of simultaneous notes the first one asked for."""
        line = (step, octave)
        expected = self._here.get(line, key_alteration(step, self._fifths))
        is_new = line not in self._here
        self._here[line] = alter
        if alter != expected:
            return Shown.YES
        if is_new and self._is_doubtful(line, alter):
            return Shown.AS_REMINDER
        return Shown.NO

    def _is_doubtful(self, line: tuple[str, int], alter: int) -> bool:
        """Whether the same line before, or the same step in another octave here, was something else."""
        others = [a for (step, octave), a in self._here.items() if step == line[0] and octave != line[1]]
        return self._before.get(line, alter) != alter or any(other != alter for other in others)
