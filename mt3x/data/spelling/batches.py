"""Notes of spelled scores with what surrounds them: what the spelling network learns from.

Windows of scores are varied and their notes mixed. Transposing is no variation: what the network sees and
says does not change with it (`mt3x.score.spelling.features`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mt3x.data.spelling.scores import SpelledScore
from mt3x.score.spelling.features import note_features
from mt3x.score.spelling.network import degree_classes


@dataclass(frozen=True)
class SpellingVariation:
    """How windows are varied, so that a network taught by songs and quartets reads other music too.

    Attributes:
      drop_staff: probability that one staff of several is left out.
      drop_notes: probability that notes are left out; max_dropped: at most this share.
      move_octaves: probability that each staff moves by up to one octave.
      scale_tempo: probability that note values are scaled, by a factor of 1/2 to 2.
    """

    drop_staff: float = 0.3
    drop_notes: float = 0.3
    max_dropped: float = 0.3
    move_octaves: float = 0.3
    scale_tempo: float = 0.5


PLAIN = SpellingVariation(0.0, 0.0, 0.0, 0.0, 0.0)
"""No variation: for evaluation."""


class SpellingBatches:
    """An endless iterator of batches, the same for the same seed.

    A batch holds `features` float32 [B, NUM_FEATURES] and `degrees` int32 [B], the classes of
    `spelling_network.degree_classes`, -1 where there is nothing to learn. So many windows of scores at a time
    are varied and their notes shuffled; each note comes `uses` times before new ones are drawn.

    Raises:
      ValueError: there are no scores.
    """

    def __init__(
        self,
        scores: Sequence[SpelledScore],
        batch_notes: int = 4096,
        seed: int = 0,
        variation: SpellingVariation = SpellingVariation(),
        window_notes: int = 1024,
        pool_windows: int = 32,
        uses: int = 2,
    ) -> None:
        if not scores:
            raise ValueError("no scores are given; give at least one")
        self._scores = [score.notes for score in scores]
        self._ends = np.cumsum([len(notes) for notes in self._scores])
        self._batch_notes, self._window_notes = batch_notes, window_notes
        self._pool_windows, self._uses = pool_windows, uses
        self._rng, self._variation = np.random.default_rng(seed), variation
        self._waiting: list[dict[str, np.ndarray]] = []

    def __iter__(self) -> "SpellingBatches":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if not self._waiting:
            self._fill()
        return self._waiting.pop()

    def _fill(self) -> None:
        """Draws windows until they are enough for a batch, and cuts their shuffled notes into batches."""
        drawn: list[tuple[np.ndarray, np.ndarray]] = []
        while len(drawn) < self._pool_windows or sum(len(d) for _, d in drawn) < self._batch_notes:
            drawn.append(self._draw_window())
        features, degrees = (np.concatenate(columns) for columns in zip(*drawn, strict=True))
        for _ in range(self._uses):
            order = self._rng.permutation(len(degrees))
            for start in range(0, len(order) - self._batch_notes + 1, self._batch_notes):
                chosen = order[start : start + self._batch_notes]
                self._waiting.append({"features": features[chosen], "degrees": degrees[chosen]})

    def _draw_window(self) -> tuple[np.ndarray, np.ndarray]:
        place = int(self._rng.integers(self._ends[-1]))
        notes = self._scores[int(np.searchsorted(self._ends, place, side="right"))]
        first = int(self._rng.integers(max(len(notes) - self._window_notes, 0) + 1))
        around = slice(max(first - self._window_notes // 2, 0), first + self._window_notes * 3 // 2)
        notes = self._varied(notes[around])
        low = max((len(notes) - self._window_notes) // 2, 0)
        inside = slice(low, low + self._window_notes)
        onset, duration = (notes[name].astype(float) for name in ("onset_quarters", "duration_quarters"))
        features = note_features(onset, duration, notes["pitch"].astype(int))
        return features[inside], degree_classes(notes["position"], notes["fifths"])[inside]

    def _varied(self, notes: np.ndarray) -> np.ndarray:
        """Some of `notes`, moved, sorted by (onset, pitch)."""
        rng, variation = self._rng, self._variation
        staves, staff = np.unique(notes["staff"], return_inverse=True)
        kept = np.ones(len(notes), bool)
        if len(staves) > 1 and rng.random() < variation.drop_staff:
            kept &= staff != rng.integers(len(staves))
        if rng.random() < variation.drop_notes:
            kept &= rng.random(len(notes)) >= rng.uniform(0, variation.max_dropped)
        varied = notes.copy()
        if rng.random() < variation.move_octaves:
            moved = notes["pitch"] + 12 * rng.integers(-1, 2, len(staves))[staff]
            varied["pitch"] = np.where((moved >= 0) & (moved <= 127), moved, notes["pitch"])
        if rng.random() < variation.scale_tempo:
            factor = 2 ** rng.uniform(-1, 1)
            varied["onset_quarters"] *= factor
            varied["duration_quarters"] *= factor
        varied = varied[kept] if kept.any() else varied
        return varied[np.lexsort((varied["pitch"], varied["onset_quarters"]))]
