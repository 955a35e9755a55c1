"""Which programs play a recording, as far as it is known: they probably play on.

The note head classifies each segment's notes for themselves and would scatter a flute over all that sounds
like one. So the notes of a segment are decided together: a note's logits are added to the logarithm of how
many notes programs have, before and in this segment without the note itself, up to a few: what has played
for long is no likelier than what came in later. Deciding one note after the other, where each choice weighs
upon the next, named a quartet's programs at multi-onset F1 .36 in place of .63 (docs/experiments.md).

Once all of a recording is known, programs with a few notes that another one explains nearly as well are given
up (`fold_strays`). A recording that goes on cannot wait for that.
"""

from collections.abc import Iterable

import numpy as np

from mt3x.model.note_head import NUM_PROGRAMS
from mt3x.music.instruments import PROGRAMS_PER_CLASS

_CLASS_WEIGHT, _PROGRAM_WEIGHT = 0.55, 0.7
"""How much it counts that a class has played, and a program within its class."""

_ENOUGH_NOTES = 8
"""After so many notes it counts fully."""

_PSEUDO_COUNT, _COMMON_PSEUDO_COUNT = 0.02, 1.5
"""For how many notes it counts not to have played; for a program of `_COMMON_PROGRAMS` within its class."""

_ROUNDS = 3
"""So often the notes of a segment are weighed against each other."""

_STRAY_NATS = 2.5
"""A program stays if its notes are so much likelier of it than of the others, times the root of their number:
the evidence of notes that lie side by side is not independent."""

_USUAL_NOTES = 300
"""In a recording with more notes, the evidence must be larger by the root of how many times more."""

_COMMON_PROGRAMS = (
    *(0, 4, 6, 11, 16, 19, 21, 24, 25, 27, 30, 32, 33, 40, 41, 42, 43, 46, 48, 53, 56, 57, 58, 60),
    *(64, 65, 66, 67, 68, 70, 71, 73, 74, 81),
)
"""Of each class, those that are played: a bright piano that sounds like a piano is a piano."""


class InstrumentPrior:
    """Chooses programs, segment by segment.

    programs: those that may play; fewer than all are known to play, and count as heard from the first note.
    """

    def __init__(self, programs: Iterable[int] = range(NUM_PROGRAMS)) -> None:
        self._may_play = np.isin(np.arange(NUM_PROGRAMS), list(programs))
        self._counts = np.zeros(NUM_PROGRAMS)
        if not self._may_play.all():
            self._counts[self._may_play] = _ENOUGH_NOTES
        self._pseudo_counts = np.full(NUM_PROGRAMS, _PSEUDO_COUNT)
        self._pseudo_counts[list(_COMMON_PROGRAMS)] = _COMMON_PSEUDO_COUNT

    def choose(self, logits: np.ndarray) -> np.ndarray:
        """The programs of the next notes, int64 [N], from their logits [N, 128]."""
        if not len(logits):
            return np.zeros(0, np.int64)
        logits = np.where(self._may_play, logits, -np.inf).reshape(len(logits), -1, PROGRAMS_PER_CLASS)
        counts, pseudo = (x.reshape(-1, PROGRAMS_PER_CLASS) for x in (self._counts, self._pseudo_counts))
        by_class = np.logaddexp.reduce(logits, axis=2)  # [N, classes]
        classes = _decide(by_class, counts.sum(axis=1), _CLASS_WEIGHT, _PSEUDO_COUNT)
        programs = np.zeros(len(logits), np.int64)
        for chosen in np.unique(classes).tolist():
            mine = classes == chosen
            within = _decide(logits[mine, chosen], counts[chosen], _PROGRAM_WEIGHT, pseudo[chosen])
            programs[mine] = chosen * PROGRAMS_PER_CLASS + within
        np.add.at(self._counts, programs, 1)
        return programs


def fold_strays(logits: np.ndarray, programs: np.ndarray) -> np.ndarray:
    """The programs of a recording's notes, int64 [N], without strays: their notes go to the likeliest left.

    The program with the least evidence is given up first, then what is left is looked at again.

    Args:
      logits: float [N, 128]; programs: int64 [N], as chosen.
    """
    programs = programs.copy()
    often = max(len(programs) / _USUAL_NOTES, 1.0)
    while len(present := np.unique(programs)) > 1:
        found = logits[:, present]  # [N, K]
        own = np.searchsorted(present, programs)  # [N]
        others = found.copy()
        others[np.arange(len(programs)), own] = -np.inf
        evidence = found[np.arange(len(programs)), own] - others.max(axis=1)
        counts = np.bincount(own)
        evidence = np.bincount(own, evidence) / np.sqrt(counts * often)
        least = int(np.argmin(evidence))
        if evidence[least] >= _STRAY_NATS:
            break
        strays = own == least
        programs[strays] = present[np.argmax(others[strays], axis=1)]
    return programs


def _decide(
    logits: np.ndarray, counts: np.ndarray, weight: float, pseudo_counts: np.ndarray | float
) -> np.ndarray:
    """Which of K things each of N notes is, int64 [N], from its logits [N, K] and how many notes each had
    before [K].
    """
    likely = _softmax(logits + weight * _log_counts(counts, pseudo_counts))
    for _ in range(_ROUNDS):
        others = likely.sum(axis=0) - likely  # [N, K]
        likely = _softmax(logits + weight * _log_counts(counts + others, pseudo_counts))
    return np.argmax(likely, axis=1)


def _log_counts(counts: np.ndarray, pseudo_counts: np.ndarray | float) -> np.ndarray:
    return np.log(np.clip(counts, 0, _ENOUGH_NOTES) + pseudo_counts)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
