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

SUSTAIN_CONTROL = 64
"""The number of the sustain pedal among MIDI's controls."""

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
    return notes[note_order(notes)]


def note_order(notes: np.ndarray) -> np.ndarray:
    """Which notes `sort_notes` puts first, second, ...: int64 [N]."""
    return np.lexsort((notes["end"], notes["pitch"], notes["program"], notes["is_drum"], notes["start"]))


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
    """Lengthens the notes of ONE instrument that are released while its sustain pedal is down.

    A note released under the pedal sounds on until the pedal is lifted, the same pitch is struck again, or
    the music (the last note or pedal event) ends. A pitch struck again under the pedal also ends a note of
    that pitch whose key is still down; of notes of one pitch struck together under the pedal, the last one
    given stays. A pedal that moves at the moment of a release or onset counts as moved before it. Drum hits
    are left alone.

    Args:
      notes: the instrument's notes.
      pedal: float [P, 2], rows of (time in seconds, control value 0..127), in any order.
    """
    pedal = np.asarray(pedal, np.float64).reshape(-1, 2)
    one = np.zeros(len(notes), np.int64)
    sustained = notes.copy()
    sustained["end"], stays = sustained_ends(notes, one, one, pedal, np.zeros(len(pedal), np.int64))
    return sustained[stays]


def sustained_ends(
    notes: np.ndarray,
    instrument: np.ndarray,
    pedal_of: np.ndarray,
    pedal: np.ndarray,
    pedal_number: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """As `apply_sustain` for many instruments: when notes end, float64 [N], and which of them stay, bool [N].

    Args:
      notes: of all instruments.
      instrument: int64 [N], 0 or more, whose note each is.
      pedal_of: int64 [N], the number of the pedal that holds it, or -1; the same for all of an instrument.
      pedal: float64 [P, 2], as in `apply_sustain`, of all pedals.
      pedal_number: int64 [P], 0 or more, which pedal moves.
    """
    if not len(notes) or not len(pedal):
        return notes["end"].copy(), np.ones(len(notes), bool)
    # At one moment the pedal goes down before it goes up, as note-seq orders it.
    is_up = pedal[:, 1] < SUSTAIN_PEDAL_THRESHOLD
    order = np.lexsort((is_up, pedal[:, 0], pedal_number))
    number, moments, is_down = pedal_number[order], pedal[order, 0], ~is_up[order]
    ranks = np.unique(np.concatenate([moments, notes["start"], notes["end"]]))

    def key(numbers: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Orders moments of all pedals by pedal, then by time."""
        return numbers * len(ranks) + np.searchsorted(ranks, times)

    moment_keys = key(number, moments)

    def is_pedal_down(times: np.ndarray) -> np.ndarray:
        latest = np.searchsorted(moment_keys, key(pedal_of, times), side="right") - 1
        return (latest >= 0) & (number[latest] == pedal_of) & is_down[latest]

    pitched = ~notes["is_drum"]
    last_ends = np.zeros(instrument.max() + 1)
    np.maximum.at(last_ends, instrument[pitched], notes["end"][pitched])
    last_moment = moments[np.searchsorted(moment_keys, (pedal_of + 1) * len(ranks)) - 1]
    end_of_music = np.maximum(last_ends[instrument], last_moment)
    lifts = np.append(np.flatnonzero(~is_down), -1)
    next_lift = lifts[np.searchsorted(moment_keys[lifts[:-1]], key(pedal_of, notes["end"]), side="right")]
    is_lifted = (next_lift >= 0) & (number[next_lift] == pedal_of)
    held = is_pedal_down(notes["end"]) & pitched
    held_end = np.maximum(np.where(is_lifted, moments[next_lift], end_of_music), notes["end"])
    ends = np.where(held, held_end, notes["end"])

    # The next onset of the same pitch under the pedal ends whatever still sounds of it.
    by_pitch = np.lexsort((notes["start"], notes["pitch"], instrument, notes["is_drum"]))[: pitched.sum()]
    strikes = np.append(np.flatnonzero(is_pedal_down(notes["start"])[by_pitch]), -1)
    following = strikes[np.searchsorted(strikes[:-1], np.arange(len(by_pitch)), side="right")]
    is_struck = following >= 0
    for column in (notes["pitch"][by_pitch], instrument[by_pitch]):
        is_struck &= column[following] == column
    struck_again = np.full(len(notes), np.inf)
    struck_again[by_pitch] = np.where(is_struck, notes["start"][by_pitch][following], np.inf)
    return np.minimum(ends, struck_again), struck_again > notes["start"]
