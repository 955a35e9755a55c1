"""The harmony and melody that a band plays: a region of a lead sheet, or a progression drawn at random.

Conventions: times are quarters from a bar line, the region's first. The first chord begins there. Pitch
classes count from C, intervals are semitones above the root.
"""

import enum
from dataclasses import dataclass

import numpy as np

from mt3x.data.synthetic.lead_sheets import MELODY_NOTE_DTYPE, Chord, LeadSheet


class Style(enum.Enum):
    """What a band plays."""

    ROCK = "rock"
    POP = "pop"
    FUNK = "funk"
    JAZZ = "jazz"
    METAL = "metal"
    LATIN = "latin"
    COUNTRY = "country"


@dataclass(frozen=True, eq=False)
class Song:
    """A region of music before it is arranged.

    chords: at least one; the first begins at 0.
    melody: `MELODY_NOTE_DTYPE` [N], empty where nothing is sung.
    kicks: float64 [K], onsets of the bass drum as the drummer plays them, even if the drummer is silent.
    swing: where in a quarter its second eighth lies; 0.5 is straight.
    """

    style: Style
    num_bars: int
    quarters_per_bar: float
    chords: tuple[Chord, ...]
    melody: np.ndarray
    kicks: np.ndarray
    swing: float

    @property
    def quarters(self) -> float:
        """How long the region is."""
        return self.num_bars * self.quarters_per_bar

    def chord_indices(self, onsets: np.ndarray) -> np.ndarray:
        """Which chord holds at each onset: int64 [N]. A note a little early belongs to the next chord."""
        starts = np.array([chord.onset_quarters for chord in self.chords])
        return np.maximum(np.searchsorted(starts, onsets + 0.1, side="right") - 1, 0)


_MAJOR, _MINOR, _SEVENTH, _POWER = (0, 4, 7), (0, 3, 7), (0, 4, 7, 10), (0, 7)
_MAJOR_SEVENTH, _MINOR_SEVENTH, _HALF_DIMINISHED = (0, 4, 7, 11), (0, 3, 7, 10), (0, 3, 6, 10)
_NINTH, _MINOR_NINTH = (0, 4, 7, 10, 14), (0, 3, 7, 10, 14)

_QUALITIES = {
    "": _MAJOR, "m": _MINOR, "7": _SEVENTH, "5": _POWER, "M7": _MAJOR_SEVENTH, "m7": _MINOR_SEVENTH,
    "h": _HALF_DIMINISHED, "9": _NINTH, "m9": _MINOR_NINTH, "sus": (0, 5, 7), "add9": (0, 4, 7, 14),
}  # fmt: skip

# Each chord is "semitones above the key:quality"; progressions are repeated.
_PROGRESSIONS: dict[Style, tuple[str, ...]] = {
    Style.ROCK: (
        "0: 5: 7: 5:", "0: 10: 5: 0:", "0:m 8: 3: 10:", "0:5 10:5 5:5 0:5", "0:5 3:5 5:5 0:5", "9:m 5: 0: 7:",
        "0:7 0:7 5:7 0:7 7:7 5:7 0:7 7:7",
    ),
    Style.POP: (
        "0: 7: 9:m 5:", "9:m 5: 0: 7:", "0: 9:m 5: 7:", "0:add9 5:M7 9:m7 7:sus", "0:m 8: 3: 10:",
        "5: 7: 4:m 9:m", "0: 4:m 5: 5:m",
    ),
    Style.FUNK: ("0:m7", "0:9", "0:9 5:9", "0:m7 5:7", "0:m9 10:9", "0:m7 3:7 5:7 0:m7"),
    Style.JAZZ: (
        "2:m7 7:7 0:M7 0:M7", "0:M7 9:7 2:m7 7:7", "2:h 7:7 0:m7 0:m7", "0:7 5:7 0:7 0:7 5:7 5:7 0:7 9:7",
        "4:m7 9:7 2:m7 7:9", "0:m7 1:M7",
    ),
    Style.METAL: (
        "0:5", "0:5 1:5", "0:5 8:5 10:5 0:5", "0:5 3:5 1:5 0:5", "0:5 6:5 5:5 3:5", "0:m 8: 10: 7:",
    ),
    Style.LATIN: (
        "0:m 5:m 7:7 0:m", "2:m7 7:7 0:M7 9:7", "0: 5: 7: 5:", "0:m 10: 8: 7:7", "0:m7 5:9",
        "0:M7 2:7 2:m7 7:7",
    ),
    Style.COUNTRY: ("0: 0: 5: 0:", "0: 5: 0: 7:7", "0: 9:m 5: 7:", "0: 7: 7: 0:", "0: 2:7 7:7 0:"),
}  # fmt: skip

_MAJOR_PENTATONIC, _MINOR_PENTATONIC = np.array([0, 2, 4, 7, 9]), np.array([0, 3, 5, 7, 10])


def draw_progression(
    rng: np.random.Generator, style: Style, num_bars: int, quarters_per_bar: float
) -> tuple[Chord, ...]:
    """Chords typical of a style, in a random key, that begin anywhere in their progression."""
    symbols = _PROGRESSIONS[style][int(rng.integers(len(_PROGRESSIONS[style])))].split()
    key = int(rng.integers(12))
    pace = float((0.5, 1, 1, 1, 2)[int(rng.integers(5))]) * quarters_per_bar
    has_powers = style in (Style.METAL, Style.ROCK) and rng.random() < 0.3
    first = int(rng.integers(len(symbols)))
    chords = []
    for number in range(int(np.ceil(num_bars * quarters_per_bar / pace))):
        degree, quality = symbols[(first + number) % len(symbols)].split(":")
        root = (key + int(degree)) % 12
        chords.append(Chord(number * pace, root, _POWER if has_powers else _QUALITIES[quality], root))
    return tuple(chords)


def draw_riff(rng: np.random.Generator, chords: tuple[Chord, ...], quarters: float) -> np.ndarray:
    """A melody on the pentatonic scale of the first chord's root: `MELODY_NOTE_DTYPE` [N].

    Its rhythm and steps are drawn once for two bars or so and come back varied, as riffs and phrases do.
    """
    is_minor = 4 not in chords[0].intervals
    scale = _MINOR_PENTATONIC if is_minor or rng.random() < 0.3 else _MAJOR_PENTATONIC
    grid = float((0.25, 0.5, 0.5, 1.0)[int(rng.integers(4))])
    phrase = int(8 / grid)
    is_struck = rng.random(phrase) < rng.uniform(0.35, 0.95)
    is_struck[int(rng.integers(phrase // 2, phrase)) :] &= rng.random() < 0.5  # a rest at the end
    count = int(np.ceil(quarters / grid)) + 1
    onset = np.flatnonzero(np.resize(is_struck, count) ^ (rng.random(count) < 0.05)) * grid
    if not len(onset):
        return np.zeros(0, MELODY_NOTE_DTYPE)
    steps = rng.choice([-2, -1, -1, 0, 0, 1, 1, 2], len(onset))
    degree = np.clip(np.cumsum(steps) + rng.integers(-3, 4), -7, 8)
    pitch = 60 + chords[0].root + 12 * (degree // 5) + scale[degree % 5]
    duration = np.minimum(np.diff(onset, append=onset[-1] + 2 * grid), rng.uniform(1, 4))
    melody = np.zeros(len(onset), MELODY_NOTE_DTYPE)
    melody["onset_quarters"], melody["duration_quarters"], melody["pitch"] = onset, duration, pitch
    return melody


def cut_sheet(
    sheet: LeadSheet, first_quarter: float, quarters: float, transposition: int
) -> tuple[tuple[Chord, ...], np.ndarray]:
    """Chords and melody of a region that begins `first_quarter` after the sheet's first bar line.

    A note that begins before the region and sounds on in it begins with it, as a chord does; before the first
    chord symbol the first chord holds.
    """
    chords = []
    for chord in sheet.chords:
        onset = chord.onset_quarters - first_quarter
        if onset >= quarters:
            break
        chords = chords if onset > 0 else []
        root, bass = (chord.root + transposition) % 12, (chord.bass + transposition) % 12
        chords.append(Chord(max(onset, 0.0), root, chord.intervals, bass))
    if not chords:  # the region lies before the first symbol
        first = sheet.chords[0]
        root, bass = (first.root + transposition) % 12, (first.bass + transposition) % 12
        chords = [Chord(0.0, root, first.intervals, bass)]
    chords[0] = Chord(0.0, chords[0].root, chords[0].intervals, chords[0].bass)
    onset = sheet.melody["onset_quarters"] - np.float32(first_quarter)
    end = onset + sheet.melody["duration_quarters"]
    kept = (onset < quarters) & (end > 0)
    melody = sheet.melody[kept].copy()
    melody["onset_quarters"] = np.maximum(onset[kept], 0)
    melody["duration_quarters"] = end[kept] - melody["onset_quarters"]
    melody["pitch"] = np.clip(melody["pitch"] + transposition, 0, 127)
    return tuple(chords), melody
