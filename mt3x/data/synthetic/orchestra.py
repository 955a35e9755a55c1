"""Which instruments may play which role, and which pitches they can reach.

Programs are 0-based General MIDI programs. Roles weigh programs so that every class of eight programs is
heard except percussive instruments and sound effects (112..127); piano is drawn more than others, since it is
what people transcribe most. Ranges are sounding pitches within what players reach, a little widened where
soundfonts carry on; both ends are included.
"""

import enum

import numpy as np

LAST_MELODIC_PROGRAM = 111
"""Programs above are percussive instruments and sound effects: they have no pitch worth transcribing."""


class Role(enum.Enum):
    """What a line of music does: a program is drawn for it."""

    PIANO = "a keyboard of the piano class"
    CHORDS = "accompaniment of several notes at a time"
    POLYPHONIC = "a whole texture on one instrument that isn't a piano"
    MELODY = "one note at a time"
    BASS = "the lowest line"
    ANY = "any melodic program, all equally likely"


# (first program, last program, weight of the group); a group's weight is shared evenly.
_ROLE_GROUPS: dict[Role, tuple[tuple[int, int, float], ...]] = {
    Role.PIANO: ((0, 0, 60), (1, 1, 12), (2, 2, 6), (3, 3, 4), (4, 5, 13), (6, 6, 4), (7, 7, 1)),
    Role.CHORDS: (
        (0, 1, 38), (2, 7, 10), (8, 15, 5), (16, 23, 11), (24, 28, 14), (29, 31, 3), (46, 46, 4), (48, 51, 6),
        (52, 54, 2), (61, 63, 1), (88, 95, 3), (96, 103, 1), (104, 108, 2),
    ),
    Role.POLYPHONIC: (
        (6, 7, 6), (8, 15, 14), (16, 23, 22), (24, 28, 26), (29, 31, 4), (46, 46, 8), (48, 51, 8),
        (52, 54, 3), (61, 63, 2), (80, 87, 2), (88, 95, 4), (96, 103, 1), (104, 108, 2),
    ),
    Role.MELODY: (
        (0, 7, 4), (8, 15, 4), (16, 23, 4), (24, 31, 9), (40, 40, 9), (41, 41, 4), (42, 42, 6), (43, 45, 3),
        (48, 51, 4), (52, 54, 12), (55, 55, 0.3), (56, 57, 8), (58, 59, 3), (60, 60, 4), (61, 63, 3),
        (64, 67, 8), (68, 71, 12), (72, 72, 2), (73, 74, 8), (75, 79, 5), (80, 87, 9), (88, 95, 2),
        (96, 103, 1), (104, 111, 4),
    ),
    Role.BASS: (
        (0, 0, 3), (32, 33, 40), (34, 37, 20), (38, 39, 10), (42, 42, 6), (43, 43, 8), (47, 47, 1),
        (57, 58, 5), (67, 67, 2), (70, 70, 4), (87, 87, 1),
    ),
    Role.ANY: ((0, LAST_MELODIC_PROGRAM, 1),),
}  # fmt: skip

_CHOIRS: tuple[tuple[float, tuple[int, ...]], ...] = (
    (40, (40, 40, 41, 42)),
    (6, (40, 41, 42, 43)),
    (8, (48, 48, 48, 48)),
    (3, (49, 50, 51, 49)),
    (3, (45, 45, 45, 45)),
    (2, (44, 44, 44, 44)),
    (9, (56, 56, 60, 57)),
    (6, (56, 60, 57, 58)),
    (3, (61, 61, 61, 61)),
    (9, (73, 68, 71, 70)),
    (5, (73, 71, 60, 70)),
    (6, (64, 65, 66, 67)),
    (3, (74, 74, 74, 74)),
    (3, (71, 71, 71, 70)),
    (7, (52, 52, 53, 53)),
    (3, (52, 54, 53, 52)),
)
"""Ensembles of one family: weight, and its programs from the highest seat to the lowest."""

_CLASS_RANGES = (
    (21, 108), (48, 96), (36, 96), (40, 88), (24, 60), (28, 100), (28, 96), (36, 89),
    (36, 88), (60, 96), (36, 96), (36, 96), (36, 96), (48, 84), (36, 84), (36, 84),
)  # fmt: skip
_PROGRAM_RANGES = {
    4: (28, 103), 5: (28, 103), 6: (29, 89), 7: (28, 96),
    8: (60, 108), 9: (76, 108), 10: (60, 96), 11: (53, 89), 12: (45, 96), 13: (65, 108),
    14: (60, 77), 15: (48, 84), 20: (36, 91), 21: (41, 93), 22: (60, 96), 23: (41, 93), 31: (40, 100),
    40: (55, 103), 41: (48, 91), 42: (36, 79), 43: (28, 60), 46: (24, 103), 47: (38, 57),
    52: (41, 84), 53: (41, 84), 54: (41, 84), 55: (48, 72),
    56: (54, 86), 57: (34, 74), 58: (26, 58), 59: (54, 86), 60: (34, 77),
    64: (56, 88), 65: (49, 81), 66: (44, 76), 67: (37, 69), 68: (58, 91), 69: (52, 81), 70: (34, 75),
    71: (50, 94), 72: (74, 108), 74: (60, 93), 77: (55, 84), 79: (60, 84),
    104: (48, 77), 107: (55, 84), 109: (36, 77), 110: (55, 96), 111: (48, 72),
}  # fmt: skip


def _ranges() -> tuple[np.ndarray, np.ndarray]:
    rows = [_PROGRAM_RANGES.get(program, _CLASS_RANGES[program // 8]) for program in range(128)]
    low, high = np.array(rows, np.int32).T
    return low, high


LOWEST_PITCH, HIGHEST_PITCH = _ranges()
"""int32 [128] each: the range of every program; at least an octave."""


def _cumulative(groups: tuple[tuple[int, int, float], ...]) -> np.ndarray:
    weights = np.zeros(128)
    for first, last, weight in groups:
        weights[first : last + 1] += weight / (last + 1 - first)
    return np.cumsum(weights) / weights.sum()


_ROLE_CUMULATIVE = {role: _cumulative(groups) for role, groups in _ROLE_GROUPS.items()}
_CHOIR_CUMULATIVE = np.cumsum([weight for weight, _ in _CHOIRS]) / sum(weight for weight, _ in _CHOIRS)


def draw_program(rng: np.random.Generator, role: Role) -> int:
    """A program that fits the role."""
    return int(np.searchsorted(_ROLE_CUMULATIVE[role], rng.random(), side="right"))


def draw_choir(rng: np.random.Generator, num_lines: int) -> np.ndarray:
    """Programs of one family: int64 [num_lines], from the highest seat to the lowest."""
    seats = _CHOIRS[int(np.searchsorted(_CHOIR_CUMULATIVE, rng.random(), side="right"))][1]
    return np.array(seats)[np.arange(num_lines) * len(seats) // num_lines]


def octaves_into_range(pitch: np.ndarray, program: int) -> int:
    """By how many semitones (whole octaves) to move a line so that its middle lies in the instrument's range.

    A line that fits stays where it is.

    >>> octaves_into_range(np.array([62, 67]), 0), octaves_into_range(np.array([62, 67]), 32)
    (0, -24)
    """
    low, high = int(LOWEST_PITCH[program]), int(HIGHEST_PITCH[program])
    lowest, highest = int(pitch.min()), int(pitch.max())
    if low <= lowest and highest <= high:
        return 0
    return 12 * round((low + high - lowest - highest) / 24)


def fold_into_range(pitch: np.ndarray, program: np.ndarray) -> np.ndarray:
    """Pitches moved by whole octaves into the range of their programs: int [N], int [N] -> int [N].

    >>> fold_into_range(np.array([20, 60, 110]), np.array([40, 40, 40])).tolist()
    [56, 60, 98]
    """
    too_low = np.maximum(LOWEST_PITCH[program] - pitch, 0)
    too_high = np.maximum(pitch - HIGHEST_PITCH[program], 0)
    return pitch + 12 * (-(-too_low // 12)) - 12 * (-(-too_high // 12))
