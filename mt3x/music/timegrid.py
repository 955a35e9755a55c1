"""Seconds, steps, frames and samples: the only rounding in the project.

Conventions: a *step* is the resolution of event tokens (10 ms at 100 steps per second), a *frame* is one
column of the spectrogram (`hop_samples` samples), a *segment* is a run of frames that the network reads at
once. Times in seconds are float64.

Source: MT3 `spectrograms.py`, `note_sequences.py`, `run_length_encoding.py`, `metrics_utils.py` for the
semantics; see `segment_start_seconds` for the one deviation.
"""

import numpy as np
import numpy.typing as npt


def seconds_to_steps(seconds: npt.ArrayLike, steps_per_second: int) -> np.ndarray:
    """The nearest step, halves to even (Python's `round(seconds * steps_per_second)`): int64, same shape."""
    return np.rint(np.asarray(seconds, np.float64) * steps_per_second).astype(np.int64)


def floor_to_steps(seconds: npt.ArrayLike, steps_per_second: int) -> np.ndarray:
    """The step in which each time lies: int64, same shape.

    A time within a thousandth of a step below a step counts as that step: 2.04 in float32 is step 204.
    """
    return np.floor(np.asarray(seconds, np.float64) * steps_per_second + 1e-3).astype(np.int64)


def steps_to_seconds(steps: npt.ArrayLike, steps_per_second: int) -> np.ndarray:
    """Times of steps in seconds: float64, same shape."""
    return np.asarray(steps, np.int64) / float(steps_per_second)


def num_frames(num_samples: int, hop_samples: int) -> int:
    """Frames of a recording. Its last hop is always padded, so an exact multiple gains a whole frame.

    >>> num_frames(127, 128), num_frames(128, 128), num_frames(129, 128)
    (1, 2, 2)
    """
    return num_samples // hop_samples + 1


def frame_seconds(frames: npt.ArrayLike, hop_samples: int, sample_rate: int) -> np.ndarray:
    """Start times of frames in seconds: float64, same shape."""
    return np.asarray(frames, np.int64) * hop_samples / float(sample_rate)


def segment_start_seconds(
    first_frames: npt.ArrayLike,
    hop_samples: int,
    sample_rate: int,
    steps_per_second: int,
    mt3_compatible: bool = False,
) -> np.ndarray:
    """Where the tokens of a segment count their steps from: its first frame, floored to the step grid.

    MT3 floors in float32 by `t - t % 0.01`, which lands a whole step (10 ms) early for some segments whose
    start is on the grid. The default uses integers and is exact.

    Args:
      first_frames: int [S], the first frame of each segment.
      mt3_compatible: reproduce MT3 under NumPy 2, float accident included.

    Returns:
      float64 [S], seconds.
    """
    first_frames = np.asarray(first_frames, np.int64)
    if mt3_compatible:
        times = (first_frames / (sample_rate / hop_samples)).astype(np.float32)
        return (times - times % np.float32(1 / steps_per_second)).astype(np.float64)
    steps = first_frames * hop_samples * steps_per_second // sample_rate
    return steps_to_seconds(steps, steps_per_second)
