"""Batches for the beat network: events of performances, which of them are beats, and the metre.

Of every batch some performances are new, the others are drawn again from those before. A share of the new
ones are exercises instead of music, without which simple tunes are read at half their tempo; of another share
one part alone is left, a song without its piano, say.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mt3x.data.beats.performances import MetricalScore, Performance, draw_exercise, perform
from mt3x.music.checks import check_shares
from mt3x.score.rhythm.beat_network import METRES, NUM_FEATURES, event_features
from mt3x.score.rhythm.beat_salience import onset_events

NUM_EVENTS = 192
"""Events of an example; later ones of a performance are left out."""

SECONDS = 50.0
"""The length of a performance."""

SAME_SECONDS = 0.06
"""So near to a beat, an event may be that beat."""

BATCH_SIZE = 16
NUM_NEW = 4
MEMORY = 4096
"""Performances that are kept to be drawn again."""

FEWEST_NOTES = 16
"""A part with fewer notes is not left alone."""


@dataclasses.dataclass(frozen=True)
class BeatVariation:
    """What is drawn beside whole performances of scores.

    Attributes:
      exercises: the share of exercises; single_parts: the share of performances that keep one part.

    Raises:
      ValueError: a share is outside 0 to 1.
    """

    exercises: float = 0.06
    single_parts: float = 0.2

    def __post_init__(self) -> None:
        check_shares(exercises=self.exercises, single_parts=self.single_parts)


class BeatBatches:
    """An endless iterator of batches, whose order depends on the seed alone.

    A batch holds `features` float32 [B, E, NUM_FEATURES], `targets` and `weights` float32 [B, E, 2] (beat,
    and downbeat if it is a beat), `metre` int32 [B], an index into `METRES`, and `metre_weight` float32 [B],
    0 for a metre that is not among them.
    """

    def __init__(self, scores: Sequence[MetricalScore], seed: Sequence[int], variation: BeatVariation):
        """Draws nothing yet.

        Raises:
          ValueError: there is no score.
        """
        if not scores:
            raise ValueError("there is no score to learn beats from; give a folder of .mxl files")
        self._scores, self._variation = scores, variation
        self._rng = np.random.default_rng(list(seed))
        self._memory: list[dict[str, np.ndarray]] = []

    def __iter__(self) -> "BeatBatches":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        new = 0
        while new < NUM_NEW or len(self._memory) < BATCH_SIZE:
            example = self._draw()
            if example is not None:
                self._memory.append(example)
                new += 1
        del self._memory[:-MEMORY]
        again = self._rng.integers(len(self._memory), size=BATCH_SIZE - NUM_NEW)
        chosen = self._memory[-NUM_NEW:] + [self._memory[index] for index in again.tolist()]
        return {name: np.stack([example[name] for example in chosen]) for name in chosen[0]}

    def _draw(self) -> dict[str, np.ndarray] | None:
        rng = self._rng
        is_exercise = rng.random() < self._variation.exercises
        score = draw_exercise(rng) if is_exercise else self._scores[int(rng.integers(len(self._scores)))]
        played = perform(score, rng, SECONDS)
        if played is None:
            return None
        if rng.random() < self._variation.single_parts:
            played = one_part(played, score, rng)
        return beat_example(played)


def one_part(played: Performance, score: MetricalScore, rng: np.random.Generator) -> Performance:
    """A performance of one part alone; all of it where no part has enough notes."""
    part = np.where(played.rows >= 0, score.notes[played.rows, 3], -1)
    parts, counts = np.unique(part[part >= 0], return_counts=True)
    parts = parts[counts >= FEWEST_NOTES]
    if not len(parts):
        return played
    is_kept = part == rng.choice(parts)
    return dataclasses.replace(played, notes=played.notes[is_kept], rows=played.rows[is_kept])


def beat_example(performance: Performance) -> dict[str, np.ndarray]:
    """What the network reads of a performance, and what it should say: a row of a batch."""
    notes, beats = performance.notes, performance.beats
    times, _ = onset_events(notes)
    is_inside = times < beats[-1]
    distance = np.abs(times[:, None] - beats)
    nearest = distance.argmin(1)
    # The event nearest to a beat is that beat, if it is near; a second one beside it is not.
    is_beat = distance.argmin(0)[nearest] == np.arange(len(times))
    is_beat &= distance.min(1) < SAME_SECONDS
    features = np.zeros((NUM_EVENTS, NUM_FEATURES), np.float32)
    targets, weights = np.zeros((NUM_EVENTS, 2), np.float32), np.zeros((NUM_EVENTS, 2), np.float32)
    size = min(NUM_EVENTS, len(times))
    features[:size] = event_features(notes)[:size]
    targets[:size, 0] = is_beat[:size]
    targets[:size, 1] = performance.is_downbeat[nearest][:size]
    weights[:size] = np.stack([is_inside, is_inside & is_beat], axis=1)[:size]
    metre = (performance.beats_per_measure, performance.is_compound)
    return {
        "features": features,
        "targets": targets,
        "weights": weights,
        "metre": np.array(METRES.index(metre) if metre in METRES else 0, np.int32),
        "metre_weight": np.array(metre in METRES, np.float32),
    }
