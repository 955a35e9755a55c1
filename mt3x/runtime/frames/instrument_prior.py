"""Which programs play a recording, as far as it is known: they probably play on.

The note head classifies each segment's notes for themselves and would scatter a flute over all that sounds
like one. A note's logits are added to the logarithm of how often programs were chosen before, up to a few
times: what has played for long is no likelier than what came in later.
"""

from collections.abc import Iterable

import numpy as np

from mt3x.model.note_head import NUM_PROGRAMS
from mt3x.music.instruments import PROGRAMS_PER_CLASS

_CLASS_WEIGHT, _PROGRAM_WEIGHT = 0.55, 0.8
"""How much it counts that a class has played, and a program within its class."""

_ENOUGH_NOTES = 8
"""After so many notes it counts fully."""

_PSEUDO_COUNT, _COMMON_PSEUDO_COUNT = 0.02, 0.5
"""For how many notes it counts not to have played; for a program of `_COMMON_PROGRAMS` within its class."""

_COMMON_PROGRAMS = (
    *(0, 4, 6, 11, 16, 19, 21, 24, 25, 27, 30, 32, 33, 40, 41, 42, 43, 46, 48, 53, 56, 57, 58, 60),
    *(64, 65, 66, 67, 68, 70, 71, 73, 74, 81),
)
"""Of each class, those that are played: a bright piano that sounds like a piano is a piano."""


class InstrumentPrior:
    """Chooses programs note by note.

    programs: those that may play; fewer than all are known to play, and count as heard from the first note.
    common_programs: of each class, those that are played more than the others.
    """

    def __init__(
        self,
        programs: Iterable[int] = range(NUM_PROGRAMS),
        common_programs: Iterable[int] = _COMMON_PROGRAMS,
    ) -> None:
        self._may_play = np.isin(np.arange(NUM_PROGRAMS), list(programs))
        self._counts = np.zeros(NUM_PROGRAMS)
        if not self._may_play.all():
            self._counts[self._may_play] = _ENOUGH_NOTES
        self._pseudo_counts = np.full(NUM_PROGRAMS, _PSEUDO_COUNT)
        self._pseudo_counts[list(common_programs)] = _COMMON_PSEUDO_COUNT

    def choose(self, logits: np.ndarray) -> int:
        """The program of the next note, from its logits [128]."""
        logits = np.where(self._may_play, logits, -np.inf)
        logits, counts, pseudo = (
            x.reshape(-1, PROGRAMS_PER_CLASS) for x in (logits, self._counts, self._pseudo_counts)
        )
        past = _CLASS_WEIGHT * _log_counts(counts.sum(axis=1), _PSEUDO_COUNT)
        chosen = int(np.argmax(np.logaddexp.reduce(logits, axis=1) + past))
        within = logits[chosen] + _PROGRAM_WEIGHT * _log_counts(counts[chosen], pseudo[chosen])
        program = chosen * PROGRAMS_PER_CLASS + int(np.argmax(within))
        self._counts[program] += 1
        return program


def _log_counts(counts: np.ndarray, pseudo: np.ndarray | float) -> np.ndarray:
    return np.log(np.minimum(counts, _ENOUGH_NOTES) + pseudo)
