"""Excerpts of scores, performed: tempo, instruments, timing, dynamics and pedal drawn at random.

Conventions: an excerpt is a region that begins at 0 s in the middle of the music; notes that sound on from
before it start at 0. Every note starts before `seconds`; it may end later. A caller who wants natural note
beginnings for a segment draws a longer excerpt and cuts the segment from its later part. "Quarters" are
quarter notes, `bpm` counts them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mt3x.data.synthetic.drums import HIT_SECONDS, draw_drum_pattern
from mt3x.data.synthetic.orchestra import Role, draw_choir, draw_program, fold_into_range, octaves_into_range
from mt3x.data.synthetic.scores import Piece
from mt3x.music.checks import check_at_least, check_positive, check_shares
from mt3x.music.instruments import PIANO_PROGRAMS
from mt3x.music.notes import make_notes, trim_overlapping_notes, validate_notes

SHORTEST_NOTE_SECONDS = 0.02
_BPM_LIMITS = (40.0, 200.0)
_UNMARKED_BPM = 100.0
_LONGEST_HELD_QUARTERS = 8.0
"""How far before the region notes are looked for that still sound in it."""
_TEMPO_DRIFT_LIMIT = 0.25
"""Local tempo stays within exp(+-0.25) of the excerpt's."""
_LONGEST_PEDAL_SECONDS = 4.0
_CHORDAL_NAMES = ("pian", "klavier", "harpsichord", "cembalo", "organ", "orgel", "guitar", "harp", "pf")


@dataclass(frozen=True)
class PerformanceSettings:
    """What may be drawn.

    max_parts: the most instruments at once, drums included.
    max_notes_per_second: denser excerpts are thinned at random to about this density, drums not counted.
    solo_piano_probability: share of excerpts played on a piano alone.
    solo_other_probability: share played on one other instrument.
    drums_probability: share of excerpts with a drum pattern in the music's tempo, where max_parts > 1.
    pedal_probability: share of piano lines whose notes a pedal draws out; nothing tells where it is down.
    exact_probability: share of excerpts played as a sequencer does: the notes of a chord begin and end
      together. In the others every note has its own delay and length, so that no ear can tell their order.
    max_transposition: in semitones, up or down.
    """

    max_parts: int = 6
    max_notes_per_second: float = 30.0
    solo_piano_probability: float = 0.4
    solo_other_probability: float = 0.1
    drums_probability: float = 0.2
    pedal_probability: float = 0.55
    exact_probability: float = 0.4
    max_transposition: int = 6

    def __post_init__(self) -> None:
        check_at_least(1, max_parts=self.max_parts)
        check_positive(max_notes_per_second=self.max_notes_per_second)
        if not 0 <= self.max_transposition <= 24:
            raise ValueError(f"max_transposition is {self.max_transposition}; it must be within 0..24")
        solo = self.solo_piano_probability, self.solo_other_probability
        check_shares(pedal_probability=self.pedal_probability)
        if min(*solo, self.drums_probability) < 0 or sum(solo) > 1 or self.drums_probability > 1:
            raise ValueError(
                f"solo piano {solo[0]}, solo other {solo[1]}, drums {self.drums_probability}: probabilities "
                "must be within 0..1, those of solos together at most 1"
            )


def draw_excerpt(
    scores: Sequence[Piece],
    rng: np.random.Generator,
    seconds: float,
    settings: PerformanceSettings | None = None,
) -> np.ndarray:
    """A performance of `seconds` seconds from one of the scores: `NOTE_DTYPE` [N], sorted.

    No pitch of an instrument overlaps itself, no note is shorter than 20 ms, velocities lie in 20..120. Now
    and then there is no note, as in music.

    Raises:
      ValueError: there is no score, or `seconds` isn't positive.
    """
    if not len(scores):
        raise ValueError("no score to draw from; give at least one")
    check_positive(seconds=seconds)
    settings = settings or PerformanceSettings()
    score = _draw_score(scores, rng)
    region = _draw_region(score, rng, seconds)
    has_drums = settings.max_parts > 1 and rng.random() < settings.drums_probability
    lines = _draw_arrangement(score, region, rng, settings, settings.max_parts - has_drums)
    notes = _perform(lines, region, rng, settings, seconds)
    if has_drums:
        notes = np.concatenate([notes, _draw_drums(score, region, rng, seconds)])
    notes = trim_overlapping_notes(notes)
    return validate_notes(notes[notes["end"] - notes["start"] >= SHORTEST_NOTE_SECONDS])


def _draw_score(scores: Sequence[Piece], rng: np.random.Generator) -> Piece:
    """The longer one of two: quartets are few, but long."""
    first, second = (scores[int(i)] for i in rng.integers(len(scores), size=2))
    return first if len(first.notes) >= len(second.notes) else second


@dataclass(frozen=True)
class _Region:
    """A stretch of a score and its tempo map; notes of `score.notes[first:last]` may sound in it."""

    first: int
    last: int
    bpm: float
    quarters: np.ndarray  # float64 [K]: knots of the tempo map
    times: np.ndarray  # float64 [K]: their seconds, the first is 0
    dynamics: np.ndarray  # float64 [K]: velocity added there

    def seconds(self, quarters: np.ndarray) -> np.ndarray:
        """Score time to seconds; what lies before the region is at 0."""
        return np.interp(quarters, self.quarters, self.times)


def _draw_region(score: Piece, rng: np.random.Generator, seconds: float) -> _Region:
    onsets = score.notes["onset_quarters"]
    anchor = float(onsets[int(rng.integers(len(onsets)))])
    marks = score.tempos[score.tempos[:, 0] <= anchor, 1]
    marked = float(marks[-1]) if len(marks) else _UNMARKED_BPM
    bpm = float(np.clip(marked * np.exp(rng.uniform(np.log(0.6), np.log(1.8))), *_BPM_LIMITS))
    length = seconds * bpm / 60
    begin = max(0.0, anchor - rng.random() * length)
    knots = int(np.ceil(length * np.exp(_TEMPO_DRIFT_LIMIT))) + 2
    drift = np.cumsum(rng.normal(0, rng.uniform(0, 0.06), knots))
    drift = np.clip(drift, -_TEMPO_DRIFT_LIMIT, _TEMPO_DRIFT_LIMIT)
    gaps = np.append(60 / bpm * np.exp(-drift), 60 / bpm * 64)  # the last knot is far: long notes end there
    quarters = begin + np.append(np.arange(knots + 1), knots + 64)
    dynamics = np.clip(np.cumsum(rng.normal(0, rng.uniform(0, 6), knots + 2)), -20, 20)
    return _Region(
        first=int(np.searchsorted(onsets, np.float32(begin - _LONGEST_HELD_QUARTERS))),
        last=int(np.searchsorted(onsets, np.float32(begin + knots))),
        bpm=bpm,
        quarters=quarters,
        times=np.append(0, np.cumsum(gaps)),
        dynamics=dynamics,
    )


@dataclass(frozen=True)
class _Lines:
    """The region's notes dealt to lines of one instrument each; arrays are [N] but for `programs` [L]."""

    onset: np.ndarray  # in quarters
    end: np.ndarray
    pitch: np.ndarray
    line: np.ndarray
    programs: np.ndarray


def _draw_arrangement(
    score: Piece, region: _Region, rng: np.random.Generator, settings: PerformanceSettings, max_parts: int
) -> _Lines:
    notes = score.notes[region.first : region.last]
    onset = notes["onset_quarters"].astype(np.float64)
    end = onset + notes["duration_quarters"]
    is_sounding = end > region.quarters[0]
    density = is_sounding.sum() / region.times[-2]
    if density > settings.max_notes_per_second:
        is_sounding &= rng.random(len(onset)) < settings.max_notes_per_second / density
    onset, end, part = onset[is_sounding], end[is_sounding], notes["part"][is_sounding]
    pitch = notes["pitch"][is_sounding].astype(np.int64)
    pitch = pitch + rng.integers(-settings.max_transposition, settings.max_transposition + 1)
    parts, line = np.unique(part, return_inverse=True)
    lines = _Lines(onset, end, pitch, line, np.zeros(max(len(parts), 1), np.int64))
    is_chordal = [_is_chordal(score.part_names[p]) for p in parts]

    kind = rng.random() - settings.solo_piano_probability
    if not len(parts):
        return lines
    if kind < 0:
        lines = _draw_piano_solo(lines, is_chordal, rng)
    elif kind < settings.solo_other_probability or max_parts == 1:
        lines = _draw_other_solo(lines, is_chordal, rng)
    else:
        lines = _draw_ensemble(lines, is_chordal, rng, int(rng.integers(2, max_parts + 1)))
    return _without_unisons(_into_ranges(lines))


def _is_chordal(part_name: str) -> bool:
    name = part_name.lower()
    return any(word in name for word in _CHORDAL_NAMES)


def _select(lines: _Lines, kept: np.ndarray, line: np.ndarray, programs: np.ndarray) -> _Lines:
    return _Lines(lines.onset[kept], lines.end[kept], lines.pitch[kept], line[kept], programs)


def _draw_piano_solo(lines: _Lines, is_chordal: list[bool], rng: np.random.Generator) -> _Lines:
    """The piano's part where there is one, or all parts reduced to it; now and then an octave away."""
    kept = np.ones(len(lines.line), bool)
    if any(is_chordal) and not all(is_chordal) and rng.random() < 0.5:
        kept = np.array(is_chordal)[lines.line]
    programs = np.array([draw_program(rng, Role.PIANO)])
    lines = _select(lines, kept, np.zeros_like(lines.line), programs)
    if rng.random() < 0.15:
        pitch = lines.pitch + 12 * (2 * rng.integers(2) - 1)
        lines = _Lines(lines.onset, lines.end, pitch, lines.line, programs)
    return lines


def _draw_other_solo(lines: _Lines, is_chordal: list[bool], rng: np.random.Generator) -> _Lines:
    """One part alone, or all parts on one instrument that plays chords."""
    kept = np.ones(len(lines.line), bool)
    role = Role.POLYPHONIC
    if rng.random() < 0.6:
        chosen = int(rng.integers(len(is_chordal)))
        kept = lines.line == chosen
        role = Role.POLYPHONIC if is_chordal[chosen] else Role.MELODY
    return _select(lines, kept, np.zeros_like(lines.line), np.array([draw_program(rng, role)]))


def _draw_ensemble(lines: _Lines, is_chordal: list[bool], rng: np.random.Generator, num_parts: int) -> _Lines:
    """At most `num_parts` instruments: parts left out, given one instrument, split at a pitch, or doubled."""
    onset, end, pitch, line = lines.onset, lines.end, lines.pitch, lines.line
    roles = [Role.CHORDS if chordal else Role.MELODY for chordal in is_chordal]
    if len(roles) > num_parts:
        seats = rng.permutation(len(roles)) % num_parts  # parts of one seat share its instrument
        roles = [roles[int(np.flatnonzero(seats == seat)[0])] for seat in range(num_parts)]
        line = seats[line]
    if len(roles) < num_parts and Role.CHORDS in roles and rng.random() < 0.5:
        split = rng.integers(45, 58)
        line = np.where((line == roles.index(Role.CHORDS)) & (pitch < split), len(roles), line)
        roles.append(Role.BASS)
    for _ in range(min(num_parts - len(roles), 2)):
        if rng.random() < 0.5:
            continue
        doubled = line == rng.integers(len(roles))
        octave = (0, 0, 12, -12)[int(rng.integers(4))]
        onset, end = np.append(onset, onset[doubled]), np.append(end, end[doubled])
        pitch = np.append(pitch, pitch[doubled] + octave)
        line = np.append(line, np.full(int(doubled.sum()), len(roles)))
        roles.append(Role.MELODY if rng.random() < 0.5 else Role.CHORDS)
    programs = np.array([draw_program(rng, role) for role in roles])
    if Role.CHORDS not in roles and rng.random() < 0.65:
        count = np.bincount(line, minlength=len(roles))
        height = np.bincount(line, pitch, minlength=len(roles)) / np.maximum(count, 1)
        programs[np.argsort(-height, kind="stable")] = draw_choir(rng, len(roles))
    return _Lines(onset, end, pitch, line, programs)


def _into_ranges(lines: _Lines) -> _Lines:
    pitch = lines.pitch.copy()
    for index, program in enumerate(lines.programs):
        mine = lines.line == index
        if mine.any():
            pitch[mine] += octaves_into_range(pitch[mine], int(program))
    pitch = fold_into_range(pitch, lines.programs[lines.line])
    return _Lines(lines.onset, lines.end, pitch, lines.line, lines.programs)


def _without_unisons(lines: _Lines) -> _Lines:
    """Unisons of one instrument are one note, the longest; ordered by onset, program, pitch."""
    program = lines.programs[lines.line]
    order = np.lexsort((-lines.end, lines.pitch, program, lines.onset))
    keys = np.stack([lines.onset, program, lines.pitch])[:, order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    return _select(lines, order[is_first], lines.line, lines.programs)


def _perform(
    lines: _Lines,
    region: _Region,
    rng: np.random.Generator,
    settings: PerformanceSettings,
    seconds: float,
) -> np.ndarray:
    """Score time to seconds, with jitter, rolled chords, articulation, dynamics and pedal."""
    num_notes, num_lines = len(lines.onset), len(lines.programs)
    if not num_notes:
        return make_notes([], [], [])
    onset, end = region.seconds(lines.onset), region.seconds(lines.end)
    is_exact = rng.random() < settings.exact_probability
    jitter = 0.0 if is_exact else rng.uniform(0, 0.02)
    late = rng.normal(0, 0.4 * jitter, num_lines)[lines.line] + rng.normal(0, jitter, num_notes)
    late = np.clip(late, -0.05, 0.05)
    if rng.random() < 0.12:
        late += _roll_delays(lines, rng)
    # Legato to staccato, one manner for each line.
    manner = np.where(rng.random(num_lines) < 0.6, rng.uniform(0.85, 1.05, num_lines), 0.0)
    manner = np.where(manner == 0, rng.uniform(0.25, 0.9, num_lines), manner)
    length = (end - onset) * manner[lines.line]
    if not is_exact:
        length *= rng.uniform(0.93, 1.07, num_notes)
    start = np.where(lines.onset < region.quarters[0], 0.0, np.maximum(onset + late, 0.0))
    end = start + np.maximum(length, 0.04)
    end = _pedal(lines, region, rng, end, settings.pedal_probability)

    level = rng.uniform(45, 105) + rng.normal(0, 10, num_lines)[lines.line]
    level += np.interp(lines.onset, region.quarters, region.dynamics)
    level += rng.normal(0, rng.uniform(2, 10), num_notes)
    velocity = np.clip(np.rint(level), 20, 120)
    program = lines.programs[lines.line]
    return make_notes(start, end, lines.pitch, velocity, program)[start < seconds]


def _roll_delays(lines: _Lines, rng: np.random.Generator) -> np.ndarray:
    """Delays that spread some chords from the lowest note up: float64 [N], seconds."""
    program = lines.programs[lines.line]
    is_new = np.ones(len(program), bool)
    is_new[1:] = (np.diff(lines.onset) != 0) | (np.diff(program) != 0)
    position = np.arange(len(program))
    rank = position - np.maximum.accumulate(np.where(is_new, position, 0))
    chord = np.cumsum(is_new) - 1
    is_rolled = rng.random(int(chord[-1]) + 1) < rng.uniform(0.2, 1.0)
    return rank * rng.uniform(0.008, 0.05) * is_rolled[chord]


def _pedal(
    lines: _Lines, region: _Region, rng: np.random.Generator, end: np.ndarray, probability: float
) -> np.ndarray:
    """Ends of piano notes drawn out to where the pedal is lifted: every one or two beats, or every four."""
    is_piano = np.isin(lines.programs, PIANO_PROGRAMS)
    has_pedal = is_piano & (rng.random(len(is_piano)) < probability)
    if not has_pedal.any():
        return end
    every = (1, 2, 2, 4)[int(rng.integers(4))]
    last_knot = len(region.times) - 2
    lifts = region.times[int(rng.integers(every)) : last_knot + 1 : every] + rng.uniform(-0.03, 0.08)
    is_down = rng.random(len(lifts) + 1) < rng.uniform(0.5, 1.0)
    index = np.searchsorted(lifts, end)
    lifted = np.minimum(np.append(lifts, 0.0)[index], end + _LONGEST_PEDAL_SECONDS)
    return np.where(has_pedal[lines.line] & is_down[index], np.maximum(end, lifted), end)


def _draw_drums(score: Piece, region: _Region, rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A drum pattern on the bars of the score, warped by the tempo map."""
    bar = int(np.searchsorted(score.bars, region.quarters[0], side="right")) - 1
    bar_start = float(score.bars[max(bar, 0)])
    quarters = float(np.diff(score.bars[max(bar, 0) : bar + 2]).sum()) or 4.0
    beats = {2.0: 2, 3.0: 3, 1.5: 3, 6.0: 3, 9.0: 3}.get(quarters, 4)
    last_quarter = float(region.quarters[-2])
    length = max(last_quarter - bar_start, 1.0)
    hits = draw_drum_pattern(rng, length * 60 / region.bpm, region.bpm, beats)
    onset = bar_start + hits["start"] * region.bpm / 60
    hits["start"] = region.seconds(onset)
    hits["end"] = hits["start"] + HIT_SECONDS
    return hits[(onset >= region.quarters[0]) & (hits["start"] < seconds)]
