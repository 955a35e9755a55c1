"""Frame scores: in how many frames of which pitches an estimate sounds where the reference does.

A note sounds in the frames floor(start * rate) up to, but not including, floor(end * rate). Notes shorter
than 50 ms are taken to last 50 ms, drum hits always, so that each is seen. A frame of a pitch counts once,
however many notes sound in it; instruments are not looked at. MT3 scores the pitched notes of a piece
together, and tracks on their own: choose the notes first (`metrics.instruments.extract_track`).

Precision, recall and F1 of nothing are 0.

Source: MT3 `metrics_utils.py` (arXiv 2111.03017, section 4.2), whose rolls are pretty_midi's. Deviations: MT3
leaves out the reference's frames where the velocities add up to 30 or less, but none of the estimate's, so
that a perfect estimate of quiet music scores badly; here every note counts on both sides. And in MT3 programs
that share note-seq's instrument 0 hide each other; notes here have no such number, and `drop_overwritten`
takes it as an argument. (That MT3 takes an empty reference for drums changes no score.)
"""

import math

import numpy as np
import numpy.typing as npt

from mt3x.metrics.notes import MatchCounts, Scores
from mt3x.music.notes import validate_notes

FRAMES_PER_SECOND = 62.5
MIN_LENGTH_SECONDS = 0.05
MT3_VELOCITY_THRESHOLD = 30
PEDAL_FRAMES_PER_SECOND = 100.0  # as in arXiv 2010.01815


def lengthen_short_notes(notes: np.ndarray) -> np.ndarray:
    """The same notes in the same order, pitched ones of at least 50 ms, drum hits of exactly that."""
    lengthened = notes.copy()
    is_short = notes["is_drum"] | (notes["end"] - notes["start"] < MIN_LENGTH_SECONDS)
    lengthened["end"] = np.where(is_short, notes["start"] + MIN_LENGTH_SECONDS, notes["end"])
    return lengthened


def drop_overwritten(notes: np.ndarray, instruments: np.ndarray) -> np.ndarray:
    """The notes that MT3's roll shows: of the programs on instrument 0, those of the last one alone.

    Args:
      notes: [N], those that are drawn together.
      instruments: int [N], note-seq's numbers of their tracks.

    Raises:
      ValueError: there are not as many instruments as notes.
    """
    if np.shape(instruments) != notes.shape:
        raise ValueError(f"{np.shape(instruments)} instruments for {notes.shape} notes; each note needs one")
    tracks = notes["program"] * 2 + notes["is_drum"]
    first = np.asarray(instruments) == 0
    return notes[~first | (tracks == tracks[first].max(initial=-1))]


def count_frames(
    reference: np.ndarray,
    estimate: np.ndarray,
    frames_per_second: float = FRAMES_PER_SECOND,
    mt3_compatible: bool = False,
) -> MatchCounts:
    """Numbers of frames, over all pitches: sounding on both sides, in the reference, in the estimate.

    Args:
      reference: notes [N].
      estimate: notes [M]; neither side needs an order.
      mt3_compatible: leave out the reference's frames of a summed velocity of at most 30, as MT3 does.

    Raises:
      ValueError: the notes are unsound, or the frame rate is not above 0.
    """
    if not (np.isfinite(frames_per_second) and frames_per_second > 0):
        raise ValueError(f"frames_per_second is {frames_per_second}; it must be above 0, MT3's is 62.5")
    reference, estimate = (lengthen_short_notes(validate_notes(notes)) for notes in (reference, estimate))
    threshold = MT3_VELOCITY_THRESHOLD if mt3_compatible else 0
    counts = MatchCounts()
    for pitch in np.union1d(reference["pitch"], estimate["pitch"]).tolist():
        sides = [notes[notes["pitch"] == pitch] for notes in (reference, estimate)]
        spans = [_spans(notes, frames_per_second) for notes in sides]
        edges = np.unique(np.concatenate(spans))
        in_reference, in_estimate = (
            _summed_velocities(notes["velocity"], span, edges) > limit
            for notes, span, limit in zip(sides, spans, (threshold, 0), strict=True)
        )
        lengths = np.diff(edges)
        counts += MatchCounts(
            *(int(lengths[where].sum()) for where in (in_reference & in_estimate, in_reference, in_estimate))
        )
    return counts


def frame_scores(
    reference: np.ndarray,
    estimate: np.ndarray,
    frames_per_second: float = FRAMES_PER_SECOND,
    mt3_compatible: bool = False,
) -> Scores:
    """Precision, recall and F1 of frames; arguments and errors as in `count_frames`.

    >>> from mt3x.music.notes import make_notes
    >>> frame_scores(make_notes(0.0, 2.0, 60), make_notes(1.0, 2.0, 60)).recall
    0.504
    """
    return count_frames(reference, estimate, frames_per_second, mt3_compatible).scores()


def _spans(notes: np.ndarray, frames_per_second: float) -> np.ndarray:
    """The first frame of each note, and the one after its last: int64 [N, 2]."""
    times = np.stack([notes["start"], notes["end"]], axis=1)
    return (times * frames_per_second).astype(np.int64)  # cuts towards 0, as Python's int()


def _summed_velocities(velocity: np.ndarray, spans: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """int64 [E - 1], of the notes that sound between each frame in `edges` and the next."""
    changes = np.zeros(len(edges), np.int64)
    for column, sign in ((0, 1), (1, -1)):
        np.add.at(changes, np.searchsorted(edges, spans[:, column]), sign * velocity)
    return np.cumsum(changes)[:-1]


def count_pedal_frames(reference: npt.ArrayLike, estimate: npt.ArrayLike) -> MatchCounts:
    """Numbers of frames in which a sustain pedal is down: on both sides, in the reference, in the estimate.

    A pedal is float [K, 2], rows of seconds down and up; a frame of 10 ms counts by its middle.

    >>> count_pedal_frames([[0.0, 1.0]], [[0.5, 1.5]]).scores().f1
    0.5

    Raises:
      ValueError: a row ends before it begins, or a time is negative or not finite.
    """
    pedals = [np.asarray(pedal, np.float64).reshape(-1, 2) for pedal in (reference, estimate)]
    for pedal in pedals:
        if not np.isfinite(pedal).all() or (pedal < 0).any() or (pedal[:, 1] < pedal[:, 0]).any():
            raise ValueError(
                f"pedal is {pedal.tolist()}; it must be rows of seconds, down, then up, from 0 on"
            )
    end_seconds = max((float(pedal.max()) for pedal in pedals if len(pedal)), default=0.0)
    middle = (np.arange(math.ceil(end_seconds * PEDAL_FRAMES_PER_SECOND)) + 0.5) / PEDAL_FRAMES_PER_SECOND
    ours, theirs = (_is_down(pedal, middle) for pedal in pedals)
    return MatchCounts(int((ours & theirs).sum()), int(ours.sum()), int(theirs.sum()))


def _is_down(pedal: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Whether it is down at these times: bool [F]."""
    presses, lifts = np.sort(pedal, axis=0).T
    return np.searchsorted(presses, seconds, side="right") > np.searchsorted(lifts, seconds, side="right")
