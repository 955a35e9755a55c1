"""A piece of a recording as recognisers take it."""

from typing import Any, NamedTuple

import numpy as np


class Segment(NamedTuple):
    """One segment of a recording.

    Attributes:
      samples: float32 [N], zeros past the recording's end.
      num_frames: how many of its frames count.
      first_frame: its place in the recording; negative where it begins with silence in front.
      is_silent: the network is not asked; nothing is found in the segment.
      source: what the caller wants to find again beside what is found.
      tuning_cents: how far the recording lies above 440 Hz, as far as it is known.
    """

    samples: np.ndarray
    num_frames: int
    first_frame: int
    is_silent: bool = False
    source: Any = None
    tuning_cents: float = 0.0
