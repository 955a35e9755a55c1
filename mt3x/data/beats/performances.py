"""Performances whose beats are known: excerpts of scores or exercises, with rubato, rolls, pedal and errors.

Times of scores are in quarters. A time signature of n/d has beats of one unit 4/d, or of three where n is a
multiple of three above three: 6/8 has two beats, 3/4 and 3/8 three, 2/2 two. Tempo is drawn for beats.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mt3x.data.synthetic.drums import HIT_SECONDS, draw_drum_pattern
from mt3x.data.synthetic.scores import piece_of_score, score_name
from mt3x.music.notes import make_notes, sort_notes, trim_overlapping_notes
from mt3x.score.io.reading import read_score
from mt3x.score.score import Score

_SHORTEST_SECONDS = 0.02
_BEAT_SECONDS = (0.3, 1.4)


@dataclass(frozen=True, eq=False)
class MetricalScore:
    """Notes and beats of a score, all in quarters.

    notes: float64 [N, 4], rows of (onset, end, pitch, part), by onset.
    beats: float64 [K]; is_downbeat bool [K]; beats_per_measure int [K] and is_compound bool [K] of the bar.
    quarters_per_minute: as marked at the start; 0: not marked.
    staff: int [N] where known, else empty.
    """

    name: str
    notes: np.ndarray
    beats: np.ndarray
    is_downbeat: np.ndarray
    beats_per_measure: np.ndarray
    is_compound: np.ndarray
    quarters_per_minute: float = 0.0
    staff: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Performance:
    """Notes (`NOTE_DTYPE`) with their beats in seconds, and where each note stands in the score, in quarters.

    rows: int [N], the score's note that each note plays, -1 for an invented one or a drum.
    """

    notes: np.ndarray
    beats: np.ndarray
    is_downbeat: np.ndarray
    beats_per_measure: int
    is_compound: bool
    rows: np.ndarray


def read_metrical_score(path: str | Path) -> MetricalScore:
    """A score with its beats; one that names no time signature is in 4/4.

    Raises:
      ValueError: it can't be read, or holds no pitched note.
    """
    return metrical_score(read_score(path), score_name(path))


def read_metrical_scores(paths: Iterable[Path], report: Callable[[str], None]) -> Iterator[MetricalScore]:
    """The scores that can be read; `report` is told of the others, which are left out."""
    for path in paths:
        try:
            yield read_metrical_score(path)
        except ValueError as error:
            report(f"left out: {error}")


def metrical_score(score: Score, name: str) -> MetricalScore:
    """A score with its beats.

    Raises:
      ValueError: it holds no pitched note.
    """
    piece = piece_of_score(score, name)
    notes = piece.notes
    if not len(notes):
        raise ValueError(f"{name} holds no pitched note; leave it out")
    onset = notes["onset_quarters"].astype(np.float64)
    rows = np.stack([onset, onset + notes["duration_quarters"], notes["pitch"], notes["part"]], axis=1)
    starts = piece.bars.tolist()
    ends = [*starts[1:], float(rows[:, 1].max())]
    metres = np.array(score.time_signatures)
    which = np.searchsorted(metres[:, 0], score.measures[:, 0], side="right") - 1
    bars = [
        (start, end, *metre)
        for start, end, metre in zip(starts, ends, metres[which, 1:].tolist(), strict=True)
        if end > start
    ]
    tempo = float(piece.tempos[0, 1]) if len(piece.tempos) else 0.0
    return MetricalScore(name, rows, *beats_of_bars(bars), tempo)


def beats_of_bars(
    bars: list[tuple[float, float, int, int]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(beats, is_downbeat, beats_per_measure, is_compound) of bars (start, end, beats, beat type)."""
    columns: list[tuple[float, bool, int, bool]] = []
    for index, (start, end, count, unit) in enumerate(bars):
        is_compound = count % 3 == 0 and count > 3
        size = 4 / unit * (3 if is_compound else 1)
        usual = count // 3 if is_compound else count
        inside = max(round((end - start) / size), 1)
        is_pickup = index == 0 and inside < usual
        offset = end - size * inside if is_pickup else start  # a pickup's beats are counted from its end
        columns += [
            (offset + beat * size, beat == 0 and not is_pickup, usual, is_compound) for beat in range(inside)
        ]
    beats, is_downbeat, beats_per_measure, is_compound = map(np.array, zip(*columns, strict=True))
    return beats, is_downbeat, beats_per_measure, is_compound


def draw_exercise(rng: np.random.Generator) -> MetricalScore:
    """A piece as beginners play: a scale, chord or stroll in one rhythm, over a bass, chords or nothing."""
    size, is_compound = ((2, False), (3, False), (4, False), (2, True), (3, True))[rng.integers(5)]
    beat, bars = 1.5 if is_compound else 1.0, 40
    beats = beat * np.arange(size * bars + 1)
    ways = ([0.0], [0.0, 1.0], [0.0, 0.5, 1.0]) if is_compound else ([0.0], [0.0, 0.5], [0.0, 0.75])
    chosen = rng.integers(len(ways), size=1 if rng.random() < 0.5 else size)
    pattern = np.concatenate([i * beat + np.array(ways[chosen[i % len(chosen)]]) for i in range(size)])
    onset = (beats[:-1:size, None] + pattern).ravel()
    index = np.arange(len(onset))
    walk = np.abs(np.cumsum(rng.integers(-2, 3, len(onset)))) % 14
    top = int(rng.integers(4, 9))
    degree = (index % top, top - np.abs(index % (2 * top) - top), np.array([0, 2, 4, 7])[index % 4], walk)
    roots = np.tile(rng.choice([0, 3, 4, 5], int(rng.choice([1, 2, 4, 8]))), bars)[:bars]
    melody = degree[rng.integers(4)] + (rng.random() < 0.5) * np.repeat(roots, len(pattern))
    rows: list[np.ndarray] = [
        np.stack([onset, np.append(onset[1:], beats[-1]), 60 + _of_scale(melody), 0 * onset], axis=1)
    ]
    bass, other = beats[:-1:size], np.delete(beats[:-1], slice(None, None, size))
    way = rng.integers(5)
    if way in (1, 2):  # held, or struck before the chords
        ends = bass + (size if way == 1 else 1) * beat
        rows.append(np.stack([bass, ends, 36 + _of_scale(roots), 0 * bass + 1], axis=1))
    if way >= 2:
        at = beats[:-1] if way == 3 else bass if way == 4 else other
        length = size * beat if way == 4 else beat
        root = roots[(at // (size * beat)).astype(int)]
        rows += [
            np.stack([at, at + length, 48 + _of_scale(root + third), 0 * at + 1], axis=1)
            for third in (0, 2, 4)
        ]
    notes = np.concatenate(rows)
    same = np.ones(len(beats), np.int64)
    is_downbeat = np.arange(len(beats)) % size == 0
    return MetricalScore(
        "exercise",
        notes[np.lexsort((notes[:, 2], notes[:, 0]))],
        beats,
        is_downbeat,
        size * same,
        is_compound * same,
    )


def _of_scale(degree: np.ndarray) -> np.ndarray:
    """Semitones above the first note of a major scale."""
    return 12 * (degree // 7) + np.array([0, 2, 4, 5, 7, 9, 11])[degree % 7]


def perform(score: MetricalScore, rng: np.random.Generator, seconds: float) -> Performance | None:
    """About `seconds` seconds of a score, from its start or from any bar; None where it is too thin there.

    The excerpt has one metre throughout.
    """
    beat_seconds = _draw_beat_seconds(score, rng)
    downbeats = np.flatnonzero(score.is_downbeat)
    if len(downbeats) < 4:
        return None
    first = 0 if rng.random() < 0.3 else int(downbeats[rng.integers(len(downbeats) - 3)])
    last = min(first + int(seconds / beat_seconds), len(score.beats) - 1)
    kind = np.stack([score.beats_per_measure, score.is_compound])[:, first : last + 1]
    if last - first < 8 or (kind != kind[:, :1]).any():
        return None
    knots = score.beats[first : last + 1]
    times = 0.5 * rng.random() + np.concatenate(
        [[0.0], np.cumsum(_draw_gaps(rng, last - first, beat_seconds))]
    )
    begin = -np.inf if first == 0 else knots[0] - 1e-6
    rows = np.flatnonzero((score.notes[:, 0] >= begin) & (score.notes[:, 0] < knots[-1] - 1e-6))
    if len(rows) < 16:
        return None
    is_exact = rng.random() < 0.2
    notes, rows = _play(score, rows, knots, times, rng, is_exact)
    if rng.random() < 0.12 and kind[0, 0] in (2, 3, 4):
        drums = _draw_drums(times, int(kind[0, 0]), rng)
        notes, rows = np.concatenate([notes, drums]), np.append(rows, np.full(len(drums), -1))
    order = np.lexsort((notes["pitch"], notes["start"]))
    return Performance(
        notes[order],
        times,
        score.is_downbeat[first : last + 1],
        int(kind[0, 0]),
        bool(kind[1, 0]),
        rows[order],
    )


def _draw_beat_seconds(score: MetricalScore, rng: np.random.Generator) -> float:
    if score.quarters_per_minute:
        usual = 60 / score.quarters_per_minute * float(np.median(np.diff(score.beats)))
        usual *= np.exp(rng.normal(0, 0.2))
    else:
        usual = 0.6 * np.exp(rng.normal(0, 0.35))
    return float(np.clip(usual, *_BEAT_SECONDS))


def _draw_gaps(rng: np.random.Generator, count: int, beat_seconds: float) -> np.ndarray:
    """Seconds between beats: a random walk, a slow wave, and some slowing at ends of phrases."""
    if rng.random() < 0.2:
        return np.full(count, beat_seconds)
    walk = np.cumsum(rng.normal(0, rng.uniform(0, 0.03), count))
    walk -= np.linspace(0, walk[-1], count)
    index = np.arange(count)
    wave = rng.uniform(0, 0.12) * np.sin(2 * np.pi * (index / rng.integers(8, 33) + rng.random()))
    phrase = int(rng.choice([8, 12, 16, 24]))
    near_end = np.clip((index + rng.integers(phrase)) % phrase - (phrase - 3), 0, None)
    slowing = rng.uniform(0, 0.1) * near_end * (rng.random() < 0.5)
    own = rng.normal(0, rng.uniform(0, 0.02), count)
    return np.clip(beat_seconds * np.exp(np.clip(walk, -0.3, 0.3) + wave + slowing + own), 0.25, 2.0)


def _play(
    score: MetricalScore,
    rows: np.ndarray,
    knots: np.ndarray,
    times: np.ndarray,
    rng: np.random.Generator,
    is_exact: bool,
) -> tuple[np.ndarray, np.ndarray]:
    onset, end, pitch, part = score.notes[rows].T
    length = np.diff(times)
    before = (onset - knots[0]).clip(max=0) / (knots[1] - knots[0]) * length[0]
    after = (end - knots[-1]).clip(min=0) / (knots[-1] - knots[-2]) * length[-1]
    start = np.maximum(np.interp(onset, knots, times) + before, 0)
    stop = np.interp(end, knots, times) + after
    manners = np.where(rng.random(8) < 0.6, rng.uniform(0.85, 1.05, 8), rng.uniform(0.3, 0.9, 8))
    sounding = (stop - start) * manners[part.astype(int) % 8]
    if not is_exact:
        sounding *= np.exp(rng.normal(0, 0.1, len(rows)))
        start = start + rng.normal(0, rng.uniform(0.002, 0.018), len(rows))
        if rng.random() < 0.3:  # the top voice comes early, as pianists play
            top = np.append(np.diff(onset) > 0, True)
            start = start - top * rng.uniform(0, 0.025)
        if rng.random() < 0.25:
            new = np.append(True, np.diff(onset) > 0)
            rank = np.arange(len(rows)) - np.maximum.accumulate(np.where(new, np.arange(len(rows)), 0))
            rolled = (rng.random(int(new.sum())) < 0.4)[np.cumsum(new) - 1]
            start = start + rolled * rank * rng.uniform(0.005, 0.03)
    start = np.maximum(start, 0)
    stop = start + np.maximum(sounding, 0.05)
    if rng.random() < 0.4:
        lifts = times[:: int(rng.choice([1, 2, 3, 4]))] + rng.uniform(-0.03, 0.06)
        stop = np.maximum(stop, np.append(lifts, stop.max())[np.searchsorted(lifts, stop)])
    on_beat = np.abs(onset[:, None] - knots).min(1) < 1e-3
    level = rng.uniform(50, 95) + rng.uniform(-3, 12) * on_beat + rng.normal(0, rng.uniform(2, 10), len(rows))
    # What a transcriber misses, and what it invents.
    kept = rng.random(len(rows)) > rng.uniform(0, 0.08) * (rng.random() < 0.5)
    pitch = np.clip(pitch + rng.integers(-6, 7), 21, 108)
    notes = make_notes(start, stop, pitch, np.clip(level, 20, 120).astype(int))[kept]
    trimmed = trim_overlapping_notes(notes)
    trimmed = trimmed[trimmed["end"] - trimmed["start"] > _SHORTEST_SECONDS]
    where = {(s, p): row for s, p, row in zip(notes["start"], notes["pitch"], rows[kept], strict=True)}
    played = np.array(
        [where[s, p] for s, p in zip(trimmed["start"], trimmed["pitch"], strict=True)], np.int64
    )
    return trimmed, played


def _draw_drums(times: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    beat = float(np.median(np.diff(times)))
    hits = draw_drum_pattern(rng, beat * (len(times) - 1), 60 / beat, size)
    hits["start"] = np.interp(hits["start"] / beat, np.arange(len(times)), times)
    hits["end"] = hits["start"] + HIT_SECONDS
    return sort_notes(hits)
