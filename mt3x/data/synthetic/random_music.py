"""Music without harmony: textures of random pitches.

A network trained on scores alone may guess notes from the key and the chord. Here pitches are random, over
the whole keyboard too, in six textures (scattered notes, chords, runs, arpeggios, repeated notes, held notes)
that sound together up to a given polyphony.

Conventions: notes lie in a region that begins at 0 s; music is under way when it begins, so that notes which
sound on from before start at 0. Every note starts before `seconds`; it may end later.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mt3x.data.synthetic.drums import draw_drum_pattern
from mt3x.data.synthetic.orchestra import HIGHEST_PITCH, LOWEST_PITCH, Role, draw_program
from mt3x.music.checks import check_at_least, check_positive, check_shares
from mt3x.music.notes import make_notes, trim_overlapping_notes, validate_notes

SHORTEST_NOTE_SECONDS = 0.02
_SHORTEST_STEP_SECONDS = 0.06
_PART_ROLES = (Role.ANY, Role.MELODY, Role.CHORDS, Role.BASS)


@dataclass(frozen=True)
class RandomMusicSettings:
    """What may be drawn.

    max_polyphony: the most voices that play together, all parts counted, without drums.
    max_parts: the most instruments, without drums.
    max_notes_per_second: about the most onsets in a second, without drums; at least 10.
    solo_piano_probability: share of excerpts with nothing but a piano (and perhaps drums).
    drums_probability: share of excerpts with a drum pattern.
    """

    max_polyphony: int = 10
    max_parts: int = 4
    max_notes_per_second: float = 35.0
    solo_piano_probability: float = 0.4
    drums_probability: float = 0.15

    def __post_init__(self) -> None:
        check_at_least(1, max_polyphony=self.max_polyphony, max_parts=self.max_parts)
        check_at_least(10, max_notes_per_second=self.max_notes_per_second)
        check_shares(
            solo_piano_probability=self.solo_piano_probability, drums_probability=self.drums_probability
        )


def draw_random_music(
    rng: np.random.Generator, seconds: float, settings: RandomMusicSettings | None = None
) -> np.ndarray:
    """Random notes for `seconds` seconds: `NOTE_DTYPE` [N], sorted, none shorter than 20 ms.

    Raises:
      ValueError: `seconds` isn't positive.
    """
    check_positive(seconds=seconds)
    settings = settings or RandomMusicSettings()
    is_solo_piano = rng.random() < settings.solo_piano_probability
    polyphony = int(rng.integers(1, settings.max_polyphony + 1))
    num_parts = 1 if is_solo_piano else int(rng.integers(1, min(settings.max_parts, polyphony) + 1))
    parts = []
    for voices in _shares(rng, polyphony, num_parts):
        program = draw_program(rng, Role.PIANO if is_solo_piano else _PART_ROLES[int(rng.integers(4))])
        max_notes_per_second = settings.max_notes_per_second * voices / polyphony
        parts.append(_draw_part(rng, seconds, program, int(voices), max_notes_per_second))
    if rng.random() < settings.drums_probability:
        parts.append(draw_drum_pattern(rng, seconds))
    notes = trim_overlapping_notes(np.concatenate(parts))
    return validate_notes(notes[notes["end"] - notes["start"] >= SHORTEST_NOTE_SECONDS])


def _shares(rng: np.random.Generator, total: int, num_parts: int) -> np.ndarray:
    """`total` voices dealt to parts at random, at least one each: int [num_parts]."""
    cuts = np.sort(rng.choice(total - 1, num_parts - 1, replace=False)) + 1 if num_parts > 1 else []
    return np.diff(np.concatenate([[0], cuts, [total]])).astype(int)


def _draw_part(
    rng: np.random.Generator, seconds: float, program: int, voices: int, max_notes_per_second: float
) -> np.ndarray:
    low, high = int(LOWEST_PITCH[program]), int(HIGHEST_PITCH[program])
    if rng.random() < 0.5:  # stay within two octaves, as most music does
        low = int(rng.integers(low, max(low, high - 24) + 1))
        high = min(high, low + 24)
    texture = _TEXTURES[int(rng.integers(len(_TEXTURES)))]
    start, duration, pitch = texture(rng, _Task(seconds, voices, low, high, max_notes_per_second))
    velocity = rng.uniform(35, 110) + rng.normal(0, rng.uniform(2, 15), pitch.shape)
    if rng.random() < 0.5:  # else as a sequencer plays
        start = start + rng.normal(0, rng.uniform(0, 0.01), pitch.shape)
    end = start + np.maximum(duration, 0.03)
    start = np.maximum(start, 0)
    heard = (start < seconds) & (end - start >= SHORTEST_NOTE_SECONDS)
    velocity = np.clip(np.rint(velocity[heard]), 20, 120)
    return make_notes(start[heard], end[heard], pitch[heard], velocity, program)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _beats(rng: np.random.Generator, seconds: float, period: float, irregularity: float) -> np.ndarray:
    """Onsets about `period` seconds apart that begin before 0 and reach `seconds`: float64 [K]."""
    count = int(np.ceil(seconds / period * 1.3)) + 3
    gaps = period * np.exp(rng.normal(0, irregularity, count)) if irregularity else np.full(count, period)
    return np.cumsum(gaps) - gaps[0] * (1 + rng.random())


def _reflect(pitch: np.ndarray, low: int, high: int) -> np.ndarray:
    """Pitches that leave low..high turn back at its ends."""
    span = max(high - low, 1)
    above = (pitch - low) % (2 * span)
    return low + np.where(above > span, 2 * span - above, above)


@dataclass(frozen=True)
class _Task:
    """What a texture has to fill: time, voices, a range of pitches (ends included), and how densely."""

    seconds: float
    voices: int
    low: int
    high: int
    max_notes_per_second: float

    @property
    def shortest_period(self) -> float:
        """Seconds between the strokes of all voices together that keep below the limit of density."""
        return max(_SHORTEST_STEP_SECONDS, self.voices / self.max_notes_per_second)

    @property
    def shortest_step(self) -> float:
        """Seconds between single notes that keep below it."""
        return max(_SHORTEST_STEP_SECONDS, 1 / self.max_notes_per_second)


_Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]
"""What a texture draws: start and duration in seconds and pitch, each [strokes, voices]."""


def _strokes_together(task: _Task, period: float) -> int:
    return int(np.clip(task.max_notes_per_second * period, 1, min(task.voices, 4)))


def _scatter(rng: np.random.Generator, task: _Task) -> _Drawn:
    period = _log_uniform(rng, 1.2 * task.shortest_period, max(0.8, 2 * task.shortest_period))
    count = int(np.ceil(task.seconds / period * 1.3)) + 3
    gaps = period * np.exp(rng.normal(0, 0.5, (count, task.voices)))
    start = np.cumsum(gaps, axis=0) - gaps[0] * (1 + rng.random(task.voices))
    duration = gaps * rng.uniform(0.4, 2.0, gaps.shape)
    return start, duration, rng.integers(task.low, task.high + 1, gaps.shape)


def _chords(rng: np.random.Generator, task: _Task) -> _Drawn:
    period = _log_uniform(rng, max(0.1, task.shortest_period), max(1.5, 2 * task.shortest_period))
    start = _beats(rng, task.seconds, period, rng.uniform(0, 0.4))
    intervals = rng.integers(1, rng.integers(2, 13), (len(start), task.voices))
    pitch = rng.integers(task.low, task.high + 1, (len(start), 1)) + np.cumsum(intervals, axis=1)
    duration = np.broadcast_to(period * rng.uniform(0.2, 1.1), pitch.shape)
    return np.broadcast_to(start[:, None], pitch.shape), duration, _reflect(pitch, task.low, task.high)


def _runs(rng: np.random.Generator, task: _Task) -> _Drawn:
    period = _log_uniform(rng, task.shortest_step, max(0.3, 1.5 * task.shortest_step))
    start = _beats(rng, task.seconds, period, rng.uniform(0, 0.1))
    steps = rng.integers(1, 3, len(start))  # semitones and whole tones
    turns = np.cumsum(rng.random(len(start)) < rng.uniform(0, 0.3)) % 2 * 2 - 1
    line = rng.integers(task.low, task.high + 1) + np.cumsum(steps * turns)
    together = _strokes_together(task, period)  # parallel motion: octaves, thirds, ...
    pitch = line[:, None] + np.concatenate([[0], rng.integers(1, 25, together - 1)])
    duration = np.broadcast_to(period * rng.uniform(0.3, 1.2), pitch.shape)
    return np.broadcast_to(start[:, None], pitch.shape), duration, _reflect(pitch, task.low, task.high)


def _arpeggios(rng: np.random.Generator, task: _Task) -> _Drawn:
    period = _log_uniform(rng, task.shortest_step, max(0.4, 1.5 * task.shortest_step))
    start = _beats(rng, task.seconds, period, rng.uniform(0, 0.1))
    size = int(rng.integers(3, 8))
    chord = rng.integers(task.low, task.high + 1) + np.cumsum(rng.integers(2, 8, size))
    order = chord if rng.random() < 0.5 else rng.permutation(chord)
    drift = np.cumsum(rng.random(len(start)) < 0.1) * rng.integers(-5, 6)
    pitch = (order[np.arange(len(start)) % size] + drift)[:, None]
    held = min(task.voices, size)  # each note sounds on while the next ones come: polyphony
    duration = np.full(pitch.shape, period * rng.uniform(0.5, held))
    return start[:, None], duration, _reflect(pitch, task.low, task.high)


def _repeated(rng: np.random.Generator, task: _Task) -> _Drawn:
    period = _log_uniform(rng, task.shortest_step, max(0.4, 1.5 * task.shortest_step))
    start = _beats(rng, task.seconds, period, rng.uniform(0, 0.1))
    together = _strokes_together(task, period)
    pitch = np.tile(rng.integers(task.low, task.high + 1, together), (len(start), 1))
    if rng.random() < 0.3:  # a trill or tremolo: every other stroke elsewhere
        pitch[1::2] += rng.integers(1, 13)
    pitch += (rng.integers(-12, 13) * (np.cumsum(rng.random(len(start)) < 0.08)))[:, None]
    duration = np.broadcast_to(period * rng.uniform(0.3, 1.0), pitch.shape)
    return np.broadcast_to(start[:, None], pitch.shape), duration, _reflect(pitch, task.low, task.high)


def _held(rng: np.random.Generator, task: _Task) -> _Drawn:
    count = int(np.ceil(task.seconds)) + 2
    gaps = np.exp(rng.uniform(np.log(0.7), np.log(4.0), (count, task.voices)))
    start = np.cumsum(gaps, axis=0) - gaps[0] * (1 + rng.random(task.voices))
    return start, gaps * rng.uniform(0.7, 1.3, gaps.shape), rng.integers(task.low, task.high + 1, gaps.shape)


_TEXTURES: tuple[Callable[[np.random.Generator, _Task], _Drawn], ...] = (
    _scatter,
    _scatter,
    _chords,
    _chords,
    _runs,
    _arpeggios,
    _repeated,
    _held,
)
