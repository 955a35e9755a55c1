"""When a sustain pedal is down, from the probabilities of frames in order.

It goes down where the probability reaches one threshold and up where it falls below a lower one, so that a
probability about either does not make it flutter.
"""

import numpy as np

from mt3x.transcription.frames.config import Thresholds

SHORTEST_SECONDS = 0.1
"""A pedal that is down for less is taken for an error."""


class PedalFollower:
    """The pedal of one recording."""

    def __init__(self, thresholds: Thresholds):
        self._down, self._up = thresholds.pedal_down, thresholds.pedal_up
        self._pressed: float | None = None  # seconds, while it is down
        self._spans: list[tuple[float, float]] = []

    def add(self, seconds: np.ndarray, probability: np.ndarray) -> None:
        """Adds frames: float [n] each, where they begin and how likely the pedal is down in them."""
        for start, likely in zip(seconds.tolist(), probability.tolist(), strict=True):
            if self._pressed is None and likely >= self._down:
                self._pressed = start
            elif self._pressed is not None and likely < self._up:
                self.lift(start)

    def lift(self, seconds: float) -> None:
        """Takes it as up from here on, whatever it was before."""
        if self._pressed is not None and seconds - self._pressed >= SHORTEST_SECONDS:
            self._spans.append((self._pressed, seconds))
        self._pressed = None

    def spans(self) -> np.ndarray:
        """Where it was down so far: float64 [K, 2], seconds down and up."""
        return np.array(self._spans, np.float64).reshape(-1, 2)
