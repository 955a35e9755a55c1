"""The voices of a part, measure by measure: chords and rests without gaps, written with values and beams.

A line is one voice on one staff. Positions are exact, in quarters from where a full measure would begin: a
pickup ends where such a measure ends.
"""

import dataclasses
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property

import numpy as np

from mt3x.score.notation.beams import beam
from mt3x.score.notation.written_values import Span, WrittenValue, metre_units, write_values
from mt3x.score.score import Part, Score


@dataclasses.dataclass(frozen=True)
class Frame:
    """A measure and what holds in it.

    Attributes:
      origin: div at which a full measure would begin.
      start, end: divs of the measure.
      beats, beat_type: its time signature.
      fifths: its key signature as it sounds.
      is_pickup: shorter than its time signature, and the first.
      is_last: the score ends with it.
    """

    origin: int
    start: int
    end: int
    beats: int
    beat_type: int
    fifths: int
    is_pickup: bool
    is_last: bool


@dataclasses.dataclass(frozen=True)
class Chord:
    """Notes of one line that begin and end together, by their positions in the part's notes."""

    onset: int
    end: int
    notes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Line:
    """One voice on one staff: chords in order of time, and grace notes by their onset."""

    staff: int
    voice: int
    chords: tuple[Chord, ...]
    graces: dict[int, tuple[int, ...]]

    def sounding(self, frame: Frame) -> range:
        """Positions of the chords that sound in a measure."""
        return range(bisect_right(self._ends, frame.start), bisect_left(self._onsets, frame.end))

    @cached_property
    def _onsets(self) -> list[int]:
        return [chord.onset for chord in self.chords]

    @cached_property
    def _ends(self) -> list[int]:
        return [chord.end for chord in self.chords]


@dataclasses.dataclass(frozen=True)
class Event:
    """A chord or rest as it is written, with its grace notes.

    Attributes:
      notes: positions in the part's notes; () for a rest.
      graces: of grace notes before it.
      value: its note value; `value.span.index` is a position in the line's chords.
      beams: see `mt3x.score.notation.beams.beam`.
      ties_back, ties_on: tied to the event before, to the one after.
      tuplet_edges: "start", "stop": whether it is the first or last of a tuplet.
      has_bracket: whether its tuplet needs one, because not all of it is beamed.
      is_hidden: a rest that takes its time but is not printed.
    """

    notes: tuple[int, ...]
    graces: tuple[int, ...]
    value: WrittenValue
    beams: tuple[str, ...]
    ties_back: bool
    ties_on: bool
    tuplet_edges: tuple[str, ...]
    has_bracket: bool
    is_hidden: bool


@dataclasses.dataclass(frozen=True)
class WrittenMeasure:
    """A voice in one measure.

    Attributes:
      events: without gaps.
      is_empty: nothing but one rest of the whole measure.
      graces: after the last event, where the score ends.
    """

    staff: int
    voice: int
    events: tuple[Event, ...]
    is_empty: bool
    graces: tuple[int, ...]


def frames(score: Score) -> list[Frame]:
    """The measures of a score with the signatures that hold in them."""
    made = []
    times, keys = dict((t[0], t[1:]) for t in score.time_signatures), dict(score.key_signatures)
    (beats, beat_type), fifths = times[0], 0
    for index, (start, end) in enumerate(score.measures.tolist()):
        beats, beat_type = times.get(start, (beats, beat_type))
        fifths = keys.get(start, fifths)
        full = 4 * score.divs_per_quarter * beats // beat_type
        is_pickup = index == 0 and end - start < full
        origin, is_last = end - full if is_pickup else start, end == score.end_div
        made.append(Frame(origin, start, end, beats, beat_type, fifths, is_pickup, is_last))
    return made


def lines_of(part: Part) -> list[Line]:
    """The lines of a part, by staff and voice; staves without notes have an empty one.

    Raises:
      ValueError: notes of a line overlap, or begin together and end apart.
    """
    notes = part.notes
    keys = {(staff, staff) for staff in range(1, part.num_staves + 1)}
    if len(notes):
        used = set(zip(notes["staff"].tolist(), notes["voice"].tolist(), strict=True))
        keys = used | {key for key in keys if key[0] not in {staff for staff, _ in used}}
    return [_line(part, staff, voice) for staff, voice in sorted(keys)]


def _line(part: Part, staff: int, voice: int) -> Line:
    notes = part.notes
    mine = np.flatnonzero((notes["staff"] == staff) & (notes["voice"] == voice))
    chords: list[Chord] = []
    graces: dict[int, tuple[int, ...]] = {}
    for i in mine.tolist():
        onset, duration = int(notes["onset_div"][i]), int(notes["duration_div"][i])
        if duration == 0:
            before = (*graces.get(onset, ()), i)
            graces[onset] = tuple(sorted(before, key=lambda grace: -notes["grace"][grace]))
        elif chords and chords[-1].onset == onset and chords[-1].end == onset + duration:
            chords[-1] = dataclasses.replace(chords[-1], notes=(*chords[-1].notes, i))
        else:
            chords.append(Chord(onset, onset + duration, (i,)))
    for before, chord in itertools.pairwise(chords):
        if before.end > chord.onset:
            raise ValueError(
                f"voice {voice} on staff {staff} of part {part.name!r} has notes from div {before.onset} to "
                f"{before.end} and from {chord.onset} to {chord.end}; notes of one voice must begin and end "
                "together or follow each other: give them different voices"
            )
    for onset in graces:
        if any(chord.onset < onset < chord.end for chord in chords):
            raise ValueError(
                f"voice {voice} on staff {staff} of part {part.name!r} has a grace note at div {onset}, "
                "while a note sounds; grace notes come before a note or a rest: give it another voice"
            )
    return Line(staff, voice, tuple(chords), graces)


def written_measure(
    lines: Sequence[Line], staff: int, frame: Frame, divs_per_quarter: int
) -> list[WrittenMeasure]:
    """What is written on one staff in one measure: its lines that sound, or one with a rest.

    Raises:
      ValueError: a position that no note value or tuplet expresses.
    """
    here = [line for line in lines if line.staff == staff]
    sounding = [line for line in here if _sounds(line, frame)] or here[:1]
    return [
        _write_line(line, frame, divs_per_quarter, is_first=number == 0)
        for number, line in enumerate(sounding)
    ]


def _sounds(line: Line, frame: Frame) -> bool:
    graces = any(frame.start <= onset < frame.end + frame.is_last for onset in line.graces)
    return bool(line.sounding(frame)) or graces


def _write_line(line: Line, frame: Frame, divs_per_quarter: int, is_first: bool) -> WrittenMeasure:
    """A line in one measure; where it is not the first of its staff, rests before and after it are hidden."""
    spans = _spans(line, frame, divs_per_quarter)
    values = write_values(spans, metre_units(frame.beats, frame.beat_type))
    beams = beam(values, frame.beats, frame.beat_type)
    sounding = [i for i, value in enumerate(values) if not value.is_rest]
    events = []
    for i, value in enumerate(values):
        chord = None if value.span.index is None else line.chords[value.span.index]
        begins = value.start == value.span.start
        onset = frame.origin + int(value.start * divs_per_quarter) if begins else None
        ties_back = chord is not None and chord.onset != onset
        group = [k for k, other in enumerate(values) if value.tuplet and other.tuplet == value.tuplet]
        edges = [name for name, k in (("start", 0), ("stop", -1)) if group and group[k] == i]
        events.append(
            Event(
                notes=chord.notes if chord else (),
                graces=() if ties_back or onset is None else line.graces.get(onset, ()),
                value=value,
                beams=beams[i],
                ties_back=ties_back,
                ties_on=chord is not None and frame.origin + value.end * divs_per_quarter < chord.end,
                tuplet_edges=tuple(edges),
                has_bracket=not all(beams[k] for k in group),
                is_hidden=not is_first and (not sounding or not sounding[0] <= i <= sounding[-1]),
            )
        )
    is_empty = len(spans) == 1 and not sounding and not frame.is_pickup
    graces = line.graces.get(frame.end, ()) if frame.is_last else ()
    return WrittenMeasure(line.staff, line.voice, tuple(events), is_empty, graces)


def _spans(line: Line, frame: Frame, divs_per_quarter: int) -> list[Span]:
    """The chords of a line in one measure and the rests between them."""
    edges: list[tuple[int, int | None]] = [(frame.start, None)]
    for index in line.sounding(frame):
        chord = line.chords[index]
        edges.append((max(chord.onset, frame.start), index))
        edges.append((min(chord.end, frame.end), None))
    onsets = {onset for onset, index in edges if index is not None}
    # A rest that a grace note comes before begins there.
    graces = [onset for onset in line.graces if frame.start <= onset < frame.end and onset not in onsets]
    edges = sorted(
        [*edges, *((onset, None) for onset in graces)], key=lambda edge: (edge[0], edge[1] is not None)
    )
    return [
        Span(
            Fraction(start - frame.origin, divs_per_quarter),
            Fraction(end - frame.origin, divs_per_quarter),
            index,
        )
        for (start, index), (end, _) in zip(edges, [*edges[1:], (frame.end, None)], strict=True)
        if start < end
    ]
