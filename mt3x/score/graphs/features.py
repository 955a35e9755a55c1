"""What a network sees of a note: 25 features of its place in the bar, its duration and its pitch.

Source: GraphMuse's `get_score_features` (Karystinaios and Widmer 2024). Deviation: pitches from 120 on belong
to the highest octave; there they are an error.
"""

from typing import Any

import numpy as np

PITCH_CLASSES, OCTAVES = 12, 10
FEATURE_NAMES = (
    "bar_exp_duration",
    "onset_bar_norm",
    "is_down_beat",
    *(f"pc_{number:02d}" for number in range(PITCH_CLASSES)),
    *(f"octave_{number:02d}" for number in range(OCTAVES)),
)
"""In order of columns: 1 - tanh(duration in bars), place in the bar, whether on a beat, one-hot pitch."""


def get_score_features(score: Any) -> tuple[np.ndarray, list[str]]:
    """Features of a score's notes, and their names.

    Args:
      score: a note array with the fields onset_beat, duration_beat, ts_beats and pitch; or anything whose
        `note_array(include_time_signature=True)` gives one, as partitura's scores do.

    Returns:
      float32 [N, 25], and the 25 names.

    Raises:
      ValueError: a missing field; a time that is not finite; a time signature without beats; a pitch outside
        of 0..127.
    """
    notes = score if isinstance(score, np.ndarray) else score.note_array(include_time_signature=True)
    _check(notes)
    bar = notes["ts_beats"].astype(np.float64)
    onset = notes["onset_beat"].astype(np.float64)
    columns = np.zeros((len(notes), len(FEATURE_NAMES)), np.float32)
    columns[:, 0] = 1 - np.tanh(notes["duration_beat"] / bar)
    columns[:, 1] = np.remainder(onset, bar) / bar
    columns[:, 2] = np.remainder(onset, 1) == 0
    rows, pitch = np.arange(len(notes)), notes["pitch"].astype(np.int64)
    columns[rows, 3 + pitch % PITCH_CLASSES] = 1
    columns[rows, 3 + PITCH_CLASSES + np.minimum(pitch // PITCH_CLASSES, OCTAVES - 1)] = 1
    return columns, list(FEATURE_NAMES)


def _check(notes: np.ndarray) -> None:
    names = notes.dtype.names or ()
    missing = [name for name in ("onset_beat", "duration_beat", "ts_beats", "pitch") if name not in names]
    if missing:
        raise ValueError(f"features need the fields {missing}; the note array has {list(names)}")
    for name, is_sound, rule in (
        ("onset_beat", np.isfinite(notes["onset_beat"]), "be finite"),
        (
            "duration_beat",
            np.isfinite(notes["duration_beat"]) & (notes["duration_beat"] >= 0),
            "be 0 or more",
        ),
        ("ts_beats", notes["ts_beats"] >= 1, "be 1 or more"),
        ("pitch", (notes["pitch"] >= 0) & (notes["pitch"] <= 127), "be within 0..127"),
    ):
        if not is_sound.all():
            note = int(np.argmin(is_sound))
            raise ValueError(f"note {note} has {name} {notes[name][note]}; it must {rule}")
