"""How instruments are written: clefs, transposition, and the places of drums on their staff.

A place on a staff is a number of diatonic steps, 0 for C 0, so that 28 is middle C (C 4) and 35 the C above.
Transposition leads from what sounds to what is written. Drums follow the usual kit notation (Weinberg, 1998).
"""

import dataclasses
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from mt3x.score.score import STEP_PITCH_CLASSES

_STEPS = "CDEFGAB"
_CLEF_CHANGE_COST = 40.0


@dataclasses.dataclass(frozen=True)
class Clef:
    """MusicXML's sign, line and octave change, and the place of the staff's middle line."""

    sign: str
    line: int
    octave_change: int
    middle: int


TREBLE = Clef("G", 2, 0, 34)
TREBLE_8VA = Clef("G", 2, 1, 41)
TREBLE_8VB = Clef("G", 2, -1, 27)
BASS = Clef("F", 4, 0, 22)
ALTO = Clef("C", 3, 0, 28)
TENOR = Clef("C", 4, 0, 26)


@dataclasses.dataclass(frozen=True)
class Transposition:
    """Written minus sounding: steps of the staff and semitones."""

    diatonic: int = 0
    chromatic: int = 0

    @property
    def fifths(self) -> int:
        """How many fifths up the line of fifths a name moves: 2 from C to D."""
        return 7 * self.chromatic - 12 * self.diatonic


B_FLAT = Transposition(1, 2)
OCTAVE_UP = Transposition(7, 12)
TRANSPOSITIONS = MappingProxyType(
    {
        **dict.fromkeys((8, 13, 72), Transposition(-7, -12)),  # celesta, xylophone, piccolo
        9: Transposition(-14, -24),  # glockenspiel
        **dict.fromkeys(range(32, 40), OCTAVE_UP),  # basses
        43: OCTAVE_UP,  # contrabass
        **dict.fromkeys((56, 59, 64, 71), B_FLAT),  # trumpets, soprano sax, clarinet
        65: Transposition(5, 9),  # alto sax, E flat
        66: Transposition(8, 14),  # tenor sax, B flat
        67: Transposition(12, 21),  # baritone sax, E flat
        **dict.fromkeys((60, 69), Transposition(4, 7)),  # horn, English horn, F
    }
)
"""By General MIDI program; all others are written as they sound."""

_CLEFS = MappingProxyType(
    {
        **dict.fromkeys(range(24, 32), (TREBLE_8VB,)),  # guitars
        **dict.fromkeys((*range(32, 40), 43), (BASS, TREBLE)),  # basses, contrabass
        41: (ALTO, TREBLE),  # viola
        42: (BASS, TENOR, TREBLE),  # cello
        **dict.fromkeys((57, 70), (BASS, TENOR)),  # trombone, bassoon
        **dict.fromkeys((47, 58), (BASS,)),  # timpani, tuba
        **dict.fromkeys((40, 56, 59, 60, *range(64, 70), 71, 72, 73), (TREBLE,)),
        **dict.fromkeys((52, 53, 54), (TREBLE, TREBLE_8VB, BASS)),  # voices
        74: (TREBLE, TREBLE_8VA),  # recorder
    }
)


def place_of(step: str, octave: int) -> int:
    """The place of a step.

    >>> place_of("C", 4)
    28
    """
    return _STEPS.index(step) + 7 * octave


def pitch_at(place: int) -> int:
    """The MIDI pitch of a place, unaltered.

    >>> pitch_at(28)
    60
    """
    return 12 * (place // 7 + 1) + STEP_PITCH_CLASSES[_STEPS[place % 7]]


def name_at(place: int, pitch: int) -> tuple[str, int, int]:
    """Step, alteration and octave of a pitch at a place, or the next one where it would be altered thrice.

    >>> name_at(28, 61), name_at(28, 63)
    (('C', 1, 4), ('D', 1, 4))
    """
    alter = pitch - pitch_at(place)
    while abs(alter) > 2:
        place += int(np.sign(alter))
        alter = pitch - pitch_at(place)
    return _STEPS[place % 7], alter, place // 7


def clefs_of(program: int, staff: int, num_staves: int) -> tuple[Clef, ...]:
    """Clefs that a staff may have, the usual one first; staff from 1."""
    if num_staves > 1:
        return (TREBLE, BASS) if staff == 1 else (BASS, TREBLE)
    return _CLEFS.get(program, (TREBLE, BASS))


def choose_clefs(places: Sequence[np.ndarray], clefs: Sequence[Clef]) -> list[Clef]:
    """A clef for each measure, so that ledger lines and changes of clef are few; the first is the usual one.

    Args:
      places: of the notes of each measure, int [n].
      clefs: to choose from.
    """
    beyond = np.array([[_ledger_cost(measure, clef) for clef in clefs] for measure in places])
    cost = np.zeros(len(clefs)) + 0.25 * _CLEF_CHANGE_COST * (np.arange(len(clefs)) > 0)
    change = _CLEF_CHANGE_COST * (1 - np.eye(len(clefs)))
    steps = []
    for measure_cost in beyond:
        reached = cost[:, None] + change
        steps.append(reached.argmin(axis=0))
        cost = reached.min(axis=0) + measure_cost
    chosen = [int(cost.argmin())]
    for back in reversed(steps[1:]):
        chosen.append(int(back[chosen[-1]]))
    return [clefs[index] for index in reversed(chosen)]


def _ledger_cost(places: np.ndarray, clef: Clef) -> float:
    """Squared steps beyond the first ledger line, above and below: five lines read far worse than three."""
    beyond = np.maximum(np.abs(places - clef.middle) - 6, 0)
    return float((beyond**2).sum()) / 4


@dataclasses.dataclass(frozen=True)
class DrumPlace:
    """Where a drum is written: the name of its line or space as in the treble clef, and its note head."""

    name: str
    step: str
    octave: int
    head: str = "normal"


DRUMS = MappingProxyType(
    {
        35: DrumPlace("Acoustic Bass Drum", "E", 4),
        36: DrumPlace("Bass Drum", "F", 4),
        37: DrumPlace("Side Stick", "C", 5, "x"),
        38: DrumPlace("Snare", "C", 5),
        39: DrumPlace("Hand Clap", "E", 5, "x"),
        40: DrumPlace("Electric Snare", "C", 5, "diamond"),
        41: DrumPlace("Low Floor Tom", "G", 4),
        42: DrumPlace("Closed Hi-Hat", "G", 5, "x"),
        43: DrumPlace("High Floor Tom", "A", 4),
        44: DrumPlace("Pedal Hi-Hat", "D", 4, "x"),
        45: DrumPlace("Low Tom", "B", 4),
        46: DrumPlace("Open Hi-Hat", "G", 5, "circle-x"),
        47: DrumPlace("Low-Mid Tom", "D", 5),
        48: DrumPlace("Hi-Mid Tom", "E", 5),
        49: DrumPlace("Crash Cymbal 1", "A", 5, "x"),
        50: DrumPlace("High Tom", "F", 5),
        51: DrumPlace("Ride Cymbal 1", "F", 5, "x"),
        52: DrumPlace("Chinese Cymbal", "C", 6, "x"),
        53: DrumPlace("Ride Bell", "F", 5, "diamond"),
        54: DrumPlace("Tambourine", "B", 4, "triangle"),
        55: DrumPlace("Splash Cymbal", "B", 5, "x"),
        56: DrumPlace("Cowbell", "E", 5, "triangle"),
        57: DrumPlace("Crash Cymbal 2", "B", 5, "circle-x"),
        59: DrumPlace("Ride Cymbal 2", "D", 5, "x"),
    }
)
"""The drum kit, by General MIDI percussion key."""


def drum_place(key: int) -> DrumPlace:
    """The place of a percussion key; those that are not of the kit share the space above the staff."""
    return DRUMS.get(key, DrumPlace(f"Percussion {key}", "G", 5, "triangle"))
