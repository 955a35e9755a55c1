"""Notes as one structured NumPy array.

A note list is a 1-D array of `NOTE_DTYPE`: onset and offset in seconds (start <= end, half-open), MIDI pitch
0..127, MIDI velocity 1..127, General MIDI program 0..127, and whether it is a drum hit (then `pitch` is the
General MIDI percussion key and `program` has no meaning). Functions return new arrays and never change their
input.

Source: the note-level operations that MT3 applies through note-seq before tokenization (sustain pedal, then
trimming of overlapping notes); arXiv 2111.03017, section 3.2.
"""

import numpy as np
import numpy.typing as npt

NOTE_DTYPE = np.dtype(
    [
        ("start", np.float64),
        ("end", np.float64),
        ("pitch", np.int32),
        ("velocity", np.int32),
        ("program", np.int32),
        ("is_drum", np.bool_),
    ]
)

SUSTAIN_PEDAL_THRESHOLD = 64
"""A sustain control value >= 64 means that the pedal is down (MIDI 1.0)."""

_LIMITS = {"pitch": (0, 127), "velocity": (1, 127), "program": (0, 127)}


def empty_notes() -> np.ndarray:
    """No notes: `NOTE_DTYPE` [0]."""
    return np.zeros(0, NOTE_DTYPE)


def make_notes(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    pitch: npt.ArrayLike,
    velocity: npt.ArrayLike = 100,
    program: npt.ArrayLike = 0,
    is_drum: npt.ArrayLike = False,
) -> np.ndarray:
    """Notes from columns, each of shape [N] or a scalar that holds for every note.

    >>> make_notes([0.0, 0.5], [0.5, 1.0], [60, 64])["pitch"].tolist()
    [60, 64]
    """
    columns = np.broadcast_arrays(start, end, pitch, velocity, program, is_drum)
    notes = np.zeros(np.atleast_1d(columns[0]).shape, NOTE_DTYPE)
    for name, column in zip(NOTE_DTYPE.names or (), columns, strict=True):
        notes[name] = column
    return notes


def validate_notes(notes: np.ndarray) -> np.ndarray:
    """The same notes, if they are sound.

    Raises:
      ValueError: not a 1-D array of `NOTE_DTYPE`; or a note (named by its position) with a time that is
        negative, not finite or ends before it starts, or a pitch, velocity or program out of range.
    """
    if getattr(notes, "dtype", None) != NOTE_DTYPE or notes.ndim != 1:
        raise ValueError(
            f"notes must be a 1-D array of NOTE_DTYPE, got {_describe(notes)}; use make_notes(...)"
        )
    bad_time = ~(np.isfinite(notes["start"]) & np.isfinite(notes["end"]))
    bad_time |= (notes["start"] < 0) | (notes["end"] < notes["start"])
    if bad_time.any():
        i = int(np.argmax(bad_time))
        raise ValueError(
            f"note {i} lasts from {notes['start'][i]} to {notes['end'][i]} s; times must be finite and "
            "0 <= start <= end"
        )
    for name, (low, high) in _LIMITS.items():
        bad = (notes[name] < low) | (notes[name] > high)
        if bad.any():
            i = int(np.argmax(bad))
            raise ValueError(f"note {i} has {name} {notes[name][i]}; it must be within {low}..{high}")
    return notes


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {list(value.shape)}"
    return type(value).__name__


def sort_notes(notes: np.ndarray) -> np.ndarray:
    """Notes ordered by (start, is_drum, program, pitch, end); equal notes keep their order."""
    order = np.lexsort((notes["end"], notes["pitch"], notes["program"], notes["is_drum"], notes["start"]))
    return notes[order]


def total_seconds(notes: np.ndarray) -> float:
    """The latest offset in seconds; 0.0 without notes."""
    return float(notes["end"].max()) if len(notes) else 0.0


def trim_overlapping_notes(notes: np.ndarray) -> np.ndarray:
    """Ends each note no later than the next onset of the same pitch, program and drum flag.

    Notes that would last no time are dropped: where two start together, the later one (in sorted order)
    stays, because the earlier is cut to nothing. The result is sorted by `sort_notes`.

    >>> trim_overlapping_notes(make_notes([0.0, 1.0], [2.0, 3.0], 60))["end"].tolist()
    [1.0, 3.0]
    """
    order = np.lexsort((notes["end"], notes["start"], notes["pitch"], notes["program"], notes["is_drum"]))
    grouped = notes[order]
    if len(grouped) > 1:
        same = np.ones(len(grouped) - 1, bool)
        for name in ("pitch", "program", "is_drum"):
            same &= grouped[name][1:] == grouped[name][:-1]
        next_start = np.where(same, grouped["start"][1:], np.inf)
        grouped["end"][:-1] = np.minimum(grouped["end"][:-1], next_start)
    return sort_notes(grouped[grouped["end"] > grouped["start"]])


def apply_sustain(notes: np.ndarray, pedal: npt.ArrayLike) -> np.ndarray:
    """Ends the notes of ONE instrument where its sustain pedal lets them end, which is mostly later.

    A note released under the pedal sounds on until the pedal is lifted or the music (the last note or pedal
    event) ends. While the pedal is down, striking a pitch again ends what sounds of that pitch. A pedal that
    moves at the moment of a release or an onset counts as moved before it. Drum hits are left alone.

    Args:
      notes: the instrument's notes.
      pedal: float [P, 2], rows of (time in seconds, control value 0..127), in any order.
    """
    pedal = np.asarray(pedal, np.float64).reshape(-1, 2)
    sustained = notes.copy()
    if not len(notes) or not len(pedal):
        return sustained
    pedal = pedal[np.argsort(pedal[:, 0], kind="stable")]
    end_of_music = max(total_seconds(notes), float(pedal[-1, 0]))
    is_down = pedal[:, 1] >= SUSTAIN_PEDAL_THRESHOLD
    lift_times = pedal[~is_down, 0]

    def is_down_at(times: np.ndarray) -> np.ndarray:
        latest = np.searchsorted(pedal[:, 0], times, side="right") - 1
        return (latest >= 0) & is_down[latest]

    next_lift = np.append(lift_times, end_of_music)[np.searchsorted(lift_times, notes["end"], side="right")]
    end = np.where(is_down_at(notes["end"]), np.maximum(next_lift, notes["end"]), notes["end"])
    is_struck_again = is_down_at(notes["start"]) & ~notes["is_drum"]
    for pitch in np.unique(notes["pitch"]):
        mine = notes["pitch"] == pitch
        onsets = np.append(np.sort(notes["start"][mine & is_struck_again]), np.inf)
        end[mine] = np.minimum(end[mine], onsets[np.searchsorted(onsets, notes["start"][mine], side="right")])
    sustained["end"] = np.where(notes["is_drum"], notes["end"], end)
    return sustained
