"""The key signature at each note: the most likely path through the fifteen signatures.

A signature is its number of fifths, from -7 (seven flats) to 7 (seven sharps). What is heard tells a key only
up to an enharmonic change (five flats or seven sharps), so evidence is given for the twelve keys of the
circle of fifths, counted from C major by `fifths % 12`. Which of two enharmonic signatures is written is
decided by the path: by how far a signature is from C major, and by not changing sides without need.
"""

from dataclasses import dataclass

import numpy as np

SIGNATURES = np.arange(-7, 8)


@dataclass(frozen=True)
class PathCosts:
    """What a path pays, in nats. The defaults suit the shipped network on held-out scores; they are large
    because neighbouring notes see much the same and say much the same.

    Attributes:
      change: for each change of signature.
      fifth: for each fifth between two signatures, on the circle.
      sides: for a change that respells, as from five flats to four sharps (a minor third on the circle).
      accidentals: a note, for each sharp or flat of the signature beyond five.
    """

    change: float = 300.0
    fifth: float = 20.0
    sides: float = 50.0
    accidentals: float = 0.2

    def between(self) -> np.ndarray:
        """float64 [15, 15]: the cost of going from one signature to another."""
        steps = SIGNATURES[None, :] - SIGNATURES[:, None]
        on_circle = (steps + 6) % 12 - 6
        distance = np.abs(on_circle)
        respells = (np.abs(steps) != distance).astype(float)
        return (steps != 0) * self.change + self.fifth * distance + self.sides * respells

    def of_signature(self) -> np.ndarray:
        """float64 [15]: the cost of each signature, a note."""
        return self.accidentals * np.maximum(np.abs(SIGNATURES) - 5, 0)


def key_path(evidence: np.ndarray, costs: PathCosts) -> np.ndarray:
    """The signatures of the path with the greatest sum of evidence less costs.

    Args:
      evidence: float [N, 12], log-likelihood of each key of the circle at each note; column `fifths % 12`.

    Returns:
      int32 [N], fifths.
    """
    if not len(evidence):
        return np.zeros(0, np.int32)
    gains = evidence[:, SIGNATURES % 12] - costs.of_signature()  # [N, 15]
    between = costs.between()
    came_from = np.zeros(gains.shape, np.int8)
    total = gains[0]
    for note in range(1, len(gains)):
        ways = total[:, None] - between
        came_from[note] = ways.argmax(0)
        total = ways.max(0) + gains[note]
    path = np.zeros(len(gains), np.int32)
    state = int(total.argmax())
    for note in range(len(gains) - 1, -1, -1):
        path[note] = SIGNATURES[state]
        state = int(came_from[note, state])
    return path
