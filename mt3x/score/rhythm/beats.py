"""Beats, downbeats, metre and tempo of transcribed notes.

Beats are times in seconds. A beat is a quarter note, or a dotted quarter where beats fall into three
(`is_compound`: 6/8, 9/8, 12/8). Tempo is in quarter notes per minute. The times of notes are never changed.

First each moment gets a probability of being a beat, then `mt3x.score.rhythm.beat_decoding` finds the best
regular chain of them; in the end each beat moves to the notes struck with it.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mt3x.music.notes import sort_notes, validate_notes
from mt3x.music.tempo_map import TempoMap, signatures_of_bars
from mt3x.score.rhythm.beat_decoding import FRAMES_PER_SECOND, DecodingSettings, decode_beats
from mt3x.score.rhythm.beat_network import detect_beats
from mt3x.score.rhythm.beat_salience import onset_events
from mt3x.score.rhythm.grids import reading_cost

SNAP_SECONDS = 0.05
"""A beat moves to the nearest event if it is no farther than this."""

_LEAD_SECONDS = 2.0
_COMPOUND_SHARE = 0.8
_TEMPO_SPREAD = 0.1
_RUN_COST = 6.0


@dataclass(frozen=True, eq=False)
class Beats:
    """The beats of a performance.

    Attributes:
      seconds: float64 [K], increasing. The first may lie before 0, where a bar begins with silence.
      is_downbeat: bool [K], whether it is the first of a bar. Beats before the first downbeat are a pickup.
      beats_per_measure: of the usual bar; bars in between may differ.
      is_compound: a beat is a dotted quarter, in three; else it is a quarter.

    Raises:
      ValueError: fewer than two beats, times that don't increase, shapes that differ, no downbeat.
    """

    seconds: np.ndarray
    is_downbeat: np.ndarray
    beats_per_measure: int
    is_compound: bool = False

    def __post_init__(self) -> None:
        seconds, is_downbeat = np.asarray(self.seconds, np.float64), np.asarray(self.is_downbeat, bool)
        object.__setattr__(self, "seconds", seconds)
        object.__setattr__(self, "is_downbeat", is_downbeat)
        if seconds.ndim != 1 or seconds.shape != is_downbeat.shape or len(seconds) < 2:
            raise ValueError(
                f"seconds has shape {list(seconds.shape)} and is_downbeat {list(is_downbeat.shape)}; both "
                "must be [K] with K at least 2"
            )
        if not np.isfinite(seconds).all() or not (np.diff(seconds) > 0).all():
            raise ValueError("the seconds of beats must be finite and increase; sort them and drop doubles")
        if not is_downbeat.any():
            raise ValueError("no beat is a downbeat; mark at least one")
        if self.beats_per_measure < 1:
            raise ValueError(f"beats_per_measure is {self.beats_per_measure}; it must be at least 1")

    @property
    def quarters_per_beat(self) -> float:
        return 1.5 if self.is_compound else 1.0

    def positions(self, seconds: np.ndarray) -> np.ndarray:
        """Times as beats since the first one, with fractions; before and after all beats, tempo holds on."""
        index = np.arange(len(self.seconds))
        position = np.interp(seconds, self.seconds, index)
        first, last = np.diff(self.seconds)[[0, -1]]
        position = position + np.minimum(seconds - self.seconds[0], 0) / first
        return position + np.maximum(seconds - self.seconds[-1], 0) / last


BeatDetector = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray, dict[int, float]]]
"""(notes, number of frames) -> for each frame the probability of a beat, and of a downbeat if it is one; and
for each number of beats in a bar what is added to its prior."""


def track_beats(
    notes: np.ndarray, settings: DecodingSettings | None = None, detect: BeatDetector = detect_beats
) -> Beats:
    """The beats of transcribed notes.

    Args:
      notes: `NOTE_DTYPE` [N], in any order; of all instruments together.
      detect: the trained network; `mt3x.score.rhythm.beat_salience.beat_salience` needs no training and finds
        less.

    Raises:
      ValueError: the notes are unsound, or there is none.
    """
    notes = sort_notes(validate_notes(notes))
    if not len(notes):
        raise ValueError("there is no note to find beats in; give at least one")
    times, _ = onset_events(notes)
    shift = _LEAD_SECONDS - times[0]
    shifted = notes.copy()
    shifted["start"] += shift
    shifted["end"] += shift
    num_frames = int((times[-1] + shift + 1.0) * FRAMES_PER_SECOND) + 1
    beat, downbeat, bars = detect(shifted, num_frames)
    settings = settings or DecodingSettings()
    believed = tuple((size, prior + bars.get(size, 0.0)) for size, prior in settings.bars)
    settings = dataclasses.replace(settings, bars=believed)
    frames, position, size = decode_beats(beat, downbeat, settings)
    seconds = _snap(frames / FRAMES_PER_SECOND - shift, times)
    is_compound = is_in_threes(seconds, times)
    if is_compound and size == 4:
        size = 2  # 12/8 is seldom written, and hard to tell from two bars of 6/8
    seconds, is_downbeat = _frame_music(seconds, position % max(size, 1) == 0, size, times)
    return Beats(seconds, is_downbeat, size or len(seconds), is_compound)


def _snap(seconds: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Beats moved to the events they fall on; the others keep their place between them."""
    right = np.clip(np.searchsorted(events, seconds), 1, max(len(events) - 1, 1))
    near = np.stack([events[right - 1], events[np.minimum(right, len(events) - 1)]])
    nearest = near[np.abs(near - seconds).argmin(0), np.arange(len(seconds))]
    snapped = np.where(np.abs(nearest - seconds) <= SNAP_SECONDS, nearest, seconds)
    return np.where(np.append(True, np.diff(snapped) > 0.1), snapped, seconds)


def _frame_music(
    seconds: np.ndarray, is_downbeat: np.ndarray, size: int, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Beats from the bar or the pickup that the music begins in until its last onset."""
    if len(seconds) < 2:
        size = size or 4
        seconds = events[0] + 0.5 * np.arange(size)
        is_downbeat = np.arange(size) == 0
    # The search may end early, where nothing is left that has to be a beat.
    gap = seconds[-1] - seconds[-2]
    late = np.arange(1, int((events[-1] - seconds[-1]) / gap + 0.25) + 1)
    latest = int(np.flatnonzero(is_downbeat)[-1]) if is_downbeat.any() else 0
    is_downbeat = np.append(is_downbeat, (len(seconds) - 1 + late - latest) % size == 0)
    seconds = np.append(seconds, _snap(seconds[-1] + late * gap, events))
    first = int(np.searchsorted(seconds, events[0] + SNAP_SECONDS, side="right")) - 1
    first = min(max(first, 0), len(seconds) - 2)
    seconds, is_downbeat = seconds[first:], is_downbeat[first:]
    # A bar whose first half is there already began with a rest; else the music has a pickup.
    if not is_downbeat.any():
        is_downbeat = np.arange(len(seconds)) == 0
    missing = (size - int(np.argmax(is_downbeat))) % size
    step = seconds[1] - seconds[0]
    if events[0] < seconds[0] - SNAP_SECONDS:
        missing = max(missing, 1)
    if 0 < 2 * missing < size:
        seconds = np.concatenate([seconds[0] - step * np.arange(missing, 0, -1), seconds])
        is_downbeat = np.concatenate([np.arange(missing) == 0, is_downbeat])
    return seconds, is_downbeat


def is_in_threes(seconds: np.ndarray, events: np.ndarray) -> bool:
    """Whether what falls between beats reads more easily as parts of dotted quarters than of quarters."""
    index = np.searchsorted(seconds, events + SNAP_SECONDS, side="right") - 1
    inside = (index >= 0) & (index < len(seconds) - 1)
    events, index = events[inside], index[inside]
    if not len(events):
        return False
    beat_seconds = np.diff(seconds)[index]
    position = np.maximum(index + (events - seconds[index]) / beat_seconds, 0)
    costs = [reading_cost(position, beat_seconds, is_compound) for is_compound in (False, True)]
    return costs[1] < _COMPOUND_SHARE * costs[0]


def midi_tempo_map(beats: Beats) -> TempoMap:
    """What a MIDI file needs for its bars to lie under notes whose times in seconds stay as they are.

    Every beat gets the tempo that brings the next one in time. The file begins with a few beats, at most
    twice as fast as the music, that fill the time before the first one; less than half a beat is filled with
    an eighth to a half of one, and what is shorter still belongs to the first beat. A bar that is not whole,
    as the first one then, has a time signature of its own. Beats before 0 s are left out.

    Raises:
      ValueError: no beat comes at 0 s or later, or a tempo that MIDI cannot store.
    """
    first = int(np.searchsorted(beats.seconds, 0))
    if first == len(beats.seconds):
        raise ValueError(f"the last beat is at {beats.seconds[-1]} s; at least one must be at 0 s or later")
    quarters = beats.quarters_per_beat
    seconds = beats.seconds[first:].copy()
    gap = float(np.diff(beats.seconds)[min(first, len(beats.seconds) - 2)])
    lead = _lead_beats(float(seconds[0]) / gap)
    tempos = []
    if lead:
        tempos.append((0.0, 60 * lead * quarters / float(seconds[0])))
    else:
        seconds[0] = 0.0
    gaps = np.diff(seconds).tolist() or [gap]
    tempos += [((lead + i) * quarters, 60 * quarters / gap) for i, gap in enumerate(gaps)]
    return TempoMap(tuple(tempos), signatures_of_bars(_bars(beats, first, lead)))


def _lead_beats(beats: float) -> float:
    """How many beats fill the time that would hold these: a whole number, or a half, quarter or eighth."""
    for parts in (1, 2, 4, 8):
        if round(beats * parts):
            return round(beats * parts) / parts
    return 0.0


def _bars(beats: Beats, first: int, lead: float) -> list[tuple[float, float, int, int]]:
    """Bars from the start of a file as (start, length, beats, beat type), start and length in quarters.

    Args:
      first: index of the first beat that is kept.
      lead: beats before it.
    """
    size = beats.beats_per_measure
    downbeats = np.flatnonzero(beats.is_downbeat) - first
    if downbeats[-1] < 0:
        downbeats = np.append(downbeats, downbeats[-1] % size)
    starts = lead + downbeats[downbeats >= 0]
    # Whole bars from the first downbeat back to the start, and what is left there.
    before = np.arange(starts[0], 0, -size)[::-1]
    starts = np.unique(np.concatenate([[0.0], before, starts]))
    lengths = np.append(np.diff(starts), size)
    count, beat_type = (3 * size, 8) if beats.is_compound else (size, 4)
    quarters = beats.quarters_per_beat
    return [
        (start * quarters, length * quarters, count, beat_type)
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]


def tempo_marks(beats: Beats) -> tuple[tuple[int, float], ...]:
    """The few tempos that a reader is told: (beats since the first one, quarters per minute).

    Each holds for a run of bars. The runs are those of least total cost: bars cost the square of their
    logarithmic tempo's distance from the run's mean, in units of `_TEMPO_SPREAD`, and every run `_RUN_COST`.
    """
    starts = np.unique(np.concatenate([[0], np.flatnonzero(beats.is_downbeat), [len(beats.seconds) - 1]]))
    num_beats = np.diff(starts)
    tempo = np.log(60 * beats.quarters_per_beat * num_beats / np.diff(beats.seconds[starts]))
    count, total, square = (
        np.concatenate([[0.0], np.cumsum(num_beats * values)])
        for values in (np.ones_like(tempo), tempo, tempo**2)
    )
    best, origin = np.zeros(len(starts)), np.zeros(len(starts), np.int64)
    for end in range(1, len(starts)):
        n = count[end] - count[:end]
        spread = square[end] - square[:end] - (total[end] - total[:end]) ** 2 / n
        costs = best[:end] + spread / beats.beats_per_measure / _TEMPO_SPREAD**2 + _RUN_COST
        origin[end] = int(costs.argmin())
        best[end] = costs.min()
    marks, end = [], len(starts) - 1
    while end > 0:
        begin = int(origin[end])
        mean = (total[end] - total[begin]) / (count[end] - count[begin])
        marks.append((int(starts[begin]), float(np.exp(mean))))
        end = begin
    return tuple(marks[::-1])
