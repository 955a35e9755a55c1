"""A part as its player reads it: written pitches, clefs, accidentals, and the voices of every measure."""

import dataclasses
import math
from functools import cached_property

import numpy as np

from mt3x.score.notation.accidentals import Accidentals, Shown
from mt3x.score.notation.engraving import (
    TRANSPOSITIONS,
    Clef,
    Transposition,
    choose_clefs,
    clefs_of,
    name_at,
    place_of,
)
from mt3x.score.notation.lines import Frame, Line, WrittenMeasure, frames, lines_of, written_measure
from mt3x.score.score import MAX_FIFTHS, Part, Score


@dataclasses.dataclass(frozen=True)
class WrittenPitch:
    """A note's name on the page."""

    step: str
    alter: int
    octave: int


class WrittenPart:
    """One part of a score, made ready to be written.

    Attributes:
      part: as it sounds.
      frames: the measures.
      lines: its voices.
      transposition: from what sounds to what is written.
      measures: for each measure the voices that are written in it, staff by staff.

    Raises:
      ValueError: a note without spelling, notes of one voice that overlap, or a position that no note value
        expresses.
    """

    def __init__(self, part: Part, score: Score) -> None:
        self.part = part
        self.num_staves = part.num_staves
        self.frames: list[Frame] = frames(score)
        self.transposition = Transposition() if part.is_drum else _transposition(part.program, score)
        unspelled = np.flatnonzero(part.notes["step"] == "")
        if len(unspelled) and not part.is_drum:
            raise ValueError(
                f"note {unspelled[0]} of part {part.name!r} is not spelled, so it cannot be written; spell "
                "the score first"
            )
        self.lines: list[Line] = lines_of(part)
        divs = score.divs_per_quarter
        self.measures: list[list[WrittenMeasure]] = []
        for number, frame in enumerate(self.frames, start=1):
            try:
                staves = [written_measure(self.lines, s + 1, frame, divs) for s in range(self.num_staves)]
            except ValueError as error:
                raise ValueError(f"part {part.name!r}, measure {number}: {error}") from error
            self.measures.append([line for staff in staves for line in staff])
        self._divs_per_quarter = divs

    @property
    def scale(self) -> int:
        """What divs must be multiplied by so that every written value is a whole number of them."""
        events = [event for lines in self.measures for line in lines for event in line.events]
        lengths = {event.value.end - event.value.start for event in events}
        return math.lcm(1, *((length * self._divs_per_quarter).denominator for length in lengths))

    def written_key(self, fifths: int) -> int:
        """A key signature as written; one with too many accidentals is replaced by its enharmonic."""
        written = fifths + self.transposition.fifths
        return written - 12 * int(np.sign(written)) if abs(written) > MAX_FIFTHS else written

    @cached_property
    def pitches(self) -> list[WrittenPitch]:
        """The written name of each note; drums have none."""
        if self.part.is_drum:
            return []
        names = ("step", "octave", "pitch")
        columns = [self.part.notes[name].tolist() for name in names]
        return [self._written_pitch(*note) for note in zip(*columns, strict=True)]

    @cached_property
    def clefs(self) -> dict[int, list[Clef]]:
        """By staff, from 1: the clef of each measure."""
        places = np.array([place_of(p.step, p.octave) for p in self.pitches], np.int64)
        notes = self.part.notes
        chosen = {}
        for staff in range(1, self.num_staves + 1):
            mine = notes["staff"] == staff
            onset = notes["onset_div"]
            by_measure = [places[mine & (onset >= f.start) & (onset < f.end)] for f in self.frames]
            chosen[staff] = choose_clefs(by_measure, clefs_of(self.part.program, staff, self.num_staves))
        return chosen

    @cached_property
    def shown(self) -> list[Shown]:
        """Whether each note's accidental is printed."""
        notes = self.part.notes
        is_main = notes["duration_div"] > 0
        shown = [Shown.NO] * len(notes)
        for staff in range(1, self.num_staves + 1):
            accidentals = Accidentals()
            mine = np.flatnonzero(notes["staff"] == staff)
            order = mine[np.lexsort((mine, is_main[mine], notes["onset_div"][mine]))]
            bounds = np.searchsorted(notes["onset_div"][order], [frame.end for frame in self.frames])
            for frame, here in zip(self.frames, np.split(order, bounds[:-1]), strict=True):
                accidentals.begin_measure(self.written_key(frame.fifths))
                for i in here.tolist():
                    pitch = self.pitches[i]
                    shown[i] = accidentals.show(pitch.step, pitch.alter, pitch.octave)
        return shown

    def _written_pitch(self, step: str, octave: int, pitch: int) -> WrittenPitch:
        place = place_of(step, octave) + self.transposition.diatonic
        return WrittenPitch(*name_at(place, pitch + self.transposition.chromatic))


def _transposition(program: int, score: Score) -> Transposition:
    """An instrument's transposition, by an enharmonic interval where keys would have too many accidentals."""
    usual = TRANSPOSITIONS.get(program, Transposition())
    if not usual.chromatic:
        return usual
    keys = [fifths for _, fifths in score.key_signatures]
    choices = [Transposition(usual.diatonic + shift, usual.chromatic) for shift in (0, 1, -1)]
    return min(choices, key=lambda choice: sum(abs(fifths + choice.fifths) > MAX_FIFTHS for fifths in keys))
