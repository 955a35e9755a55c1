"""Several recordings, or stems of them, heard together: audio summed, notes merged.

Notes are merged before they become tokens, so that held notes need no mending: a segment's mix has one tie
section like any other. `tokens.mixing` merges tokens, as MT3's tasks do.

Source: MT3 `mixing.py` (any number of examples up to N, each number equally often; the sum scaled to a peak
of 1); YourMT3+ (arXiv 2407.04822) for stems left out within a recording and taken from others.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mt3x.data.records.array_records import StoredRecording
from mt3x.music.checks import check_at_least, check_shares
from mt3x.music.notes import empty_notes, sort_notes

_DRUMS = 128
"""The instrument number of drums, after all programs."""


@dataclasses.dataclass(frozen=True)
class MixConfig:
    """What is put together in one example. The default only scales audio to a peak of 1.

    Attributes:
      count_weights: relative chances of one recording, two, three, ...
      stem_probability: chance of each stem of a recording to be heard, at least one of them; 1.0 keeps the
        mix that the data set made.
      max_stems: at most so many are summed, those of the first recording first.
      has_distinct_instruments: from further recordings only stems are taken that bring new programs, or
        drums where there were none.
      gain_db: of each recording, drawn uniformly.

    Raises:
      ValueError: no weights or negative ones, a probability outside 0..1, no stems, or a range that falls.
    """

    count_weights: tuple[float, ...] = (1.0,)
    stem_probability: float = 1.0
    max_stems: int = 12
    has_distinct_instruments: bool = False
    gain_db: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not self.count_weights or min(self.count_weights) < 0 or sum(self.count_weights) <= 0:
            raise ValueError(f"count_weights are {self.count_weights}; give one at least 0 for each count")
        check_shares(stem_probability=self.stem_probability)
        check_at_least(1, max_stems=self.max_stems)
        low, high = self.gain_db
        if not low <= high:
            raise ValueError(f"gain_db is {self.gain_db}; give the lower end first")


def example_mixing(max_examples: int) -> MixConfig:
    """MT3's mixing (`max_examples_per_mix`): one to `max_examples` whole examples, equally often.

    Raises:
      ValueError: `max_examples` below 1.
    """
    check_at_least(1, max_examples=max_examples)
    return MixConfig(count_weights=(1.0,) * max_examples, max_stems=10**6)


STEM_MIXING = MixConfig(
    count_weights=(4.0, 3.0, 2.0, 1.0),
    stem_probability=0.7,
    has_distinct_instruments=True,
    gain_db=(-6.0, 0.0),
)
"""Within and across recordings, in the manner of YourMT3+; the numbers are our own."""


def draw_count(rng: np.random.Generator, config: MixConfig) -> int:
    """How many recordings an example is made of, from 1."""
    weights = np.asarray(config.count_weights, np.float64)
    return 1 + int(rng.choice(len(weights), p=weights / weights.sum()))


def draw_stems(
    rng: np.random.Generator, recordings: Sequence[tuple[StoredRecording, int]], config: MixConfig
) -> list[tuple[int, ...]]:
    """Which stems of each recording are heard; none, perhaps, of those after the first.

    Args:
      recordings: each with the number of its mix.
    """
    chosen: list[tuple[int, ...]] = []
    instruments: set[int] = set()
    for place, (stored, mix) in enumerate(recordings):
        room = config.max_stems - sum(len(stems) for stems in chosen)
        stems = _kept(rng, stored, mix, config.stem_probability)
        if place and config.has_distinct_instruments:
            stems = [stem for stem in stems if not instruments & instruments_of(stored.notes[stem])]
        chosen.append(tuple(stems[: max(room, 0)]))
        instruments.update(*(instruments_of(stored.notes[stem]) for stem in chosen[-1]))
    return chosen


def _kept(rng: np.random.Generator, stored: StoredRecording, mix: int, probability: float) -> list[int]:
    if probability == 1.0:
        return list(stored.mixes[mix])
    num_stems = len(stored.notes)
    kept = np.flatnonzero(rng.random(num_stems) < probability)
    return kept.tolist() or [int(rng.integers(num_stems))]


def instruments_of(notes: np.ndarray) -> set[int]:
    """The programs that play, 128 for drums."""
    return set(np.unique(np.where(notes["is_drum"], _DRUMS, notes["program"])).tolist())


def mix_audio(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of audio, scaled to a peak of 1; silence stays silence, and one part is scaled, too.

    Args:
      parts: float32 [N] each, at least one.

    Returns:
      float32 [N].
    """
    total = np.asarray(np.sum(parts, axis=0, dtype=np.float32))
    peak = np.abs(total).max(initial=0.0)
    return total / peak if peak > 0 else total


def merge_notes(parts: Sequence[np.ndarray]) -> np.ndarray:
    """All notes, sorted. Where two parts play one note of one instrument, both stay until written."""
    return sort_notes(np.concatenate([empty_notes(), *parts]))
