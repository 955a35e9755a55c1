"""Excerpts of test pieces: given to the instruments of a test set, and played.

An excerpt begins at a bar and lasts `EXCERPT_SECONDS`; what sounds on from before it is left out, and notes
end with it. A line is what one instrument plays. The players keep to the score more than those of training
(`data.synthetic.performance`): the marked tempo within 15 %, notes some milliseconds early or late, louder
and softer by the phrase, pianos now and then with pedal. A pitch out of an instrument's range is moved by
octaves.

Parts in which at most 12 % of the onsets are chords are voices, the others keyboards (pianos and guitars):
on the test pieces the former are at most 9 %, the latter at least 14 %.
"""

import enum
from dataclasses import dataclass

import numpy as np

from mt3x.data.synthetic.drums import HIT_SECONDS, draw_drum_pattern
from mt3x.data.synthetic.orchestra import fold_into_range, octaves_into_range
from mt3x.data.synthetic.scores import Piece
from mt3x.music.notes import make_notes, trim_overlapping_notes, validate_notes

EXCERPT_SECONDS = 20.0
SHORTEST_NOTE_SECONDS = 0.03

_MOST_CHORDS = 0.12
_SAME_TIME_QUARTERS = 1e-3
_UNMARKED_BPM, _BPM_LIMITS = 100.0, (40.0, 160.0)
_LEAST_NOTES = 4
"""Of each line in an excerpt."""
_TRIES = 40
_BASS_PITCH = 56
"""A keyboard's lowest notes up to here are its bass line."""
_LONGEST_PEDAL_SECONDS = 2.0

PIANO, ORGAN, GUITAR, CLEAN_GUITAR, BASS, VIOLIN, VIOLA, CELLO = 0, 16, 25, 27, 33, 40, 41, 42
VOICE, TROMBONE, OBOE, BASSOON, FLUTE, ELECTRIC_PIANO = 53, 57, 68, 70, 73, 4

HIGH, MIDDLE, LOW = (VIOLIN, FLUTE, OBOE), (VIOLA, VIOLIN, OBOE, FLUTE), (CELLO, BASSOON, TROMBONE)
"""The challenge's melody instruments by the lines that lie well for them; with the piano they are 8."""


class Ensemble(enum.Enum):
    """Who plays an excerpt."""

    PIANO = "a piano, the whole score or what its keyboard plays"
    QUARTET = "two violins, viola and cello"
    SONG = "a voice and a piano"
    BAND = "guitar, keyboard, bass and drums"
    SOLO = "one of the challenge's instruments"
    DUO = "two of them"
    TRIO = "three of them"


@dataclass(frozen=True)
class Excerpt:
    """Where an excerpt is in its score, and what is played: `notes` are `NOTE_DTYPE` [N], sorted."""

    start_quarters: float
    quarters_per_minute: float
    notes: np.ndarray


@dataclass(frozen=True)
class _Line:
    """What an instrument plays: float64 [N] each, in quarters, but for the pitch."""

    program: int
    onset: np.ndarray
    end: np.ndarray
    pitch: np.ndarray


def can_play(ensemble: Ensemble, score: Piece) -> bool:
    """Whether the score has the parts that the ensemble needs."""
    voices, keyboard = _voices_and_keyboard(score)
    if ensemble is Ensemble.QUARTET:
        return len(voices) >= 4
    if ensemble in (Ensemble.SONG, Ensemble.BAND):
        return bool(voices) and len(keyboard) > 0
    return True


def draw_excerpt(score: Piece, ensemble: Ensemble, rng: np.random.Generator) -> Excerpt | None:
    """An excerpt in which every instrument has something to play; None where no such place is found.

    Raises:
      ValueError: the ensemble can't play this score.
    """
    if not can_play(ensemble, score):
        raise ValueError(f"{score.name} has no parts for {ensemble.value}; choose a score by can_play")
    lines = _draw_lines(score, ensemble, rng)
    for _ in range(_TRIES):
        start = float(score.bars[int(rng.integers(len(score.bars)))])
        marks = score.tempos[score.tempos[:, 0] <= start, 1]
        bpm = float(marks[-1]) if len(marks) else _UNMARKED_BPM
        bpm = float(np.clip(bpm * rng.uniform(0.85, 1.15), *_BPM_LIMITS))
        times = _draw_times(rng, bpm, is_steady=ensemble is Ensemble.BAND)
        length = float(np.interp(EXCERPT_SECONDS, times, np.arange(len(times))))
        start = _start_in_time(score, start, length)
        cut = [_cut(line, start, start + length) for line in lines]
        if min(len(line.onset) for line in cut) >= _LEAST_NOTES:
            break
    else:
        return None
    notes = [_play(line, times, rng) for line in cut]
    if ensemble is Ensemble.BAND:
        notes.append(_draw_drums(score, start, bpm, rng))
    return Excerpt(start, bpm, _tidy(np.concatenate(notes)))


def _start_in_time(score: Piece, start: float, length: float) -> float:
    """The bar to start with, an earlier one where the music would end before the excerpt."""
    latest = float(score.notes["onset_quarters"].max()) - length
    return float(score.bars[max(int(np.searchsorted(score.bars, min(start, latest), side="right")) - 1, 0)])


def _voices_and_keyboard(score: Piece) -> tuple[list[np.ndarray], np.ndarray]:
    """Notes of each voice, the highest voice first, and those of all keyboards together."""
    voices, keyboard = [], []
    for part in range(len(score.part_names)):
        notes = score.notes[score.notes["part"] == part]
        if len(notes):
            _, count = np.unique(notes["onset_quarters"], return_counts=True)
            (voices if (count > 1).mean() <= _MOST_CHORDS else keyboard).append(notes)
    voices.sort(key=lambda notes: -float(notes["pitch"].mean()))
    notes = np.concatenate([score.notes[:0], *keyboard])
    return voices, notes[np.argsort(notes["onset_quarters"], kind="stable")]


def _draw_lines(score: Piece, ensemble: Ensemble, rng: np.random.Generator) -> list[_Line]:
    voices, keyboard = _voices_and_keyboard(score)
    if ensemble is Ensemble.PIANO:
        is_whole = not len(keyboard) or rng.random() < 0.5
        return [_line(PIANO, score.notes if is_whole else keyboard)]
    if ensemble is Ensemble.QUARTET:
        programs = (VIOLIN, VIOLIN, VIOLA, CELLO)
        return [_line(program, notes) for program, notes in zip(programs, voices, strict=False)]
    if ensemble is Ensemble.SONG:
        return [_line(VOICE, voices[0]), _line(PIANO, keyboard)]
    if ensemble is Ensemble.BAND:
        bass, rest = _split_bass(keyboard)
        guitar = int(rng.choice((GUITAR, CLEAN_GUITAR)))
        keys = int(rng.choice((PIANO, ELECTRIC_PIANO, ORGAN)))
        return [_line(guitar, voices[0]), _line(keys, rest), _line(BASS, bass)]
    size = {Ensemble.SOLO: 1, Ensemble.DUO: 2, Ensemble.TRIO: 3}[ensemble]
    return _draw_chamber_lines(voices, keyboard, size, rng)


def _draw_chamber_lines(
    voices: list[np.ndarray], keyboard: np.ndarray, size: int, rng: np.random.Generator
) -> list[_Line]:
    """Lines of one to three of the challenge's instruments, each another one."""
    if not len(keyboard):  # a quartet or choir: some of its voices
        chosen = np.sort(rng.permutation(len(voices))[:size])
        registers = [LOW if i == len(voices) - 1 else MIDDLE if i else HIGH for i in chosen]
        return _give(list(zip(registers, (voices[i] for i in chosen), strict=True)), rng)
    bass, rest = _split_bass(keyboard)
    melody = voices[0] if voices else _top_line(keyboard)
    whole, upper, low = ((PIANO,), keyboard), ((PIANO,), rest), (LOW, bass)
    high = (HIGH + MIDDLE[:1], melody)
    has_piano = rng.random() < 0.6
    if size == 1:
        return _give([whole if has_piano else high], rng)
    if size == 2:
        return _give([high, whole] if has_piano else [high, low], rng)
    return _give([high, upper, low] if has_piano else [high, (MIDDLE, _top_line(rest)), low], rng)


def _give(lines: list[tuple[tuple[int, ...], np.ndarray]], rng: np.random.Generator) -> list[_Line]:
    """Each line to one of its instruments that no other line has."""
    given: list[_Line] = []
    for programs, notes in lines:
        free = [program for program in programs if all(program != line.program for line in given)]
        given.append(_line(int(rng.choice(free)), notes))
    return given


def _is_outer(notes: np.ndarray, direction: int) -> np.ndarray:
    """Whether a note is the highest (1) or the lowest (-1) of its onset: bool [N]."""
    order = np.lexsort((-direction * notes["pitch"].astype(np.int64), notes["onset_quarters"]))
    mask = np.zeros(len(notes), bool)
    mask[order] = np.diff(notes["onset_quarters"][order], prepend=-np.inf) > _SAME_TIME_QUARTERS
    return mask


def _top_line(notes: np.ndarray) -> np.ndarray:
    return notes[_is_outer(notes, 1)]


def _split_bass(keyboard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A keyboard's bass line, and the other notes."""
    is_bass = _is_outer(keyboard, -1)
    if (keyboard["pitch"][is_bass] <= _BASS_PITCH).any():
        is_bass &= keyboard["pitch"] <= _BASS_PITCH
    return keyboard[is_bass], keyboard[~is_bass]


def _line(program: int, notes: np.ndarray) -> _Line:
    """The notes in the instrument's range; winds play one note at a time."""
    onset = notes["onset_quarters"].astype(np.float64)
    end = onset + notes["duration_quarters"]
    pitch = notes["pitch"].astype(np.int64)
    if len(pitch):
        pitch = pitch + octaves_into_range(pitch, program)
        pitch = fold_into_range(pitch, np.full(len(pitch), program))
    if program >= VOICE:
        later = np.searchsorted(onset, onset + _SAME_TIME_QUARTERS)
        end = np.minimum(end, np.append(onset, np.inf)[later])
    return _Line(program, onset, end, pitch)


def _draw_times(rng: np.random.Generator, bpm: float, is_steady: bool) -> np.ndarray:
    """Seconds of each quarter from the excerpt's start on: float64 [K], over more than the excerpt."""
    count = int(np.ceil(1.5 * EXCERPT_SECONDS * bpm / 60)) + 2
    drift = np.zeros(count)
    if not is_steady:
        depth, period, phase = rng.uniform(0.02, 0.08), rng.uniform(12, 32), rng.uniform(0, 2 * np.pi)
        drift = depth * np.sin(2 * np.pi * np.arange(count) / period + phase)
    return np.append(0.0, np.cumsum(60 / bpm * np.exp(-drift)))


def _cut(line: _Line, start: float, end: float) -> _Line:
    kept = (line.onset > start - _SAME_TIME_QUARTERS) & (line.onset < end)
    return _Line(line.program, line.onset[kept] - start, line.end[kept] - start, line.pitch[kept])


def _play(line: _Line, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The notes in seconds: timing, articulation, dynamics and pedal drawn for this line."""
    quarters, count = np.arange(len(times)), len(line.onset)
    onset, end = np.interp(line.onset, quarters, times), np.interp(line.end, quarters, times)
    late = rng.normal(0, 0.004) + rng.normal(0, rng.uniform(0.002, 0.01), count)
    length = (end - onset) * rng.uniform(0.75, 1.0) * rng.uniform(0.95, 1.0, count)
    onset = np.maximum(onset + late, 0.0)
    end = onset + np.maximum(length, 0.05)
    if line.program < 8 and rng.random() < 0.5:
        lifts = times[:: int(rng.choice((1, 2)))] + 0.02
        lift = np.append(lifts, np.inf)[np.searchsorted(lifts, end)]
        end = np.where(lift - end < _LONGEST_PEDAL_SECONDS, lift, end)
    swell = rng.uniform(4, 14) * np.sin(2 * np.pi * line.onset / rng.uniform(6, 20) + rng.uniform(0, 6.3))
    velocity = rng.uniform(60, 95) + swell + rng.normal(0, 4, count)
    return make_notes(onset, end, line.pitch, np.clip(np.rint(velocity), 25, 115), line.program)


def _draw_drums(score: Piece, start: float, bpm: float, rng: np.random.Generator) -> np.ndarray:
    """A pattern that begins with the bar."""
    later = score.bars[score.bars > start]
    quarters = float(later[0]) - start if len(later) else 4.0
    beats = 3 if quarters in (1.5, 3.0, 4.5) else 2 if quarters == 2.0 else 4
    hits = draw_drum_pattern(rng, EXCERPT_SECONDS, bpm, beats)
    hits["end"] = hits["start"] + HIT_SECONDS
    return hits


def _tidy(notes: np.ndarray) -> np.ndarray:
    notes = notes[notes["start"] < EXCERPT_SECONDS - SHORTEST_NOTE_SECONDS]
    notes["end"] = np.minimum(notes["end"], EXCERPT_SECONDS)
    notes = trim_overlapping_notes(notes)
    return validate_notes(notes[notes["end"] - notes["start"] >= SHORTEST_NOTE_SECONDS])
