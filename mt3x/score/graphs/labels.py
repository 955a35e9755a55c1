"""What networks learn of notes: the spelling of the pitch (35 classes) and the key signature (15 classes).

Spellings are the names A to G with up to two accidentals, in this order of steps, and of each step plain,
sharp, double sharp, flat, double flat; that makes three names for each pitch class, and two for G sharp. Key
signatures are -7 (seven flats) to 7 (seven sharps).

Source: the encoders of GraphMuse's pitch spelling (Karystinaios and Widmer 2024). Deviation: three
accidentals are an error, not another note's label.
"""

import numpy as np
import numpy.typing as npt

STEPS = ("A", "B", "C", "D", "E", "F", "G")
ALTERS = (0, 1, 2, -1, -2)
NUM_SPELLINGS = len(STEPS) * len(ALTERS)
MAX_FIFTHS = 7
NUM_KEYS = 2 * MAX_FIFTHS + 1


def encode_spelling(step: npt.ArrayLike, alter: npt.ArrayLike) -> np.ndarray:
    """Labels int64 [N] of note names.

    >>> encode_spelling(["A", "C", "G"], [0, 1, -2]).tolist()
    [0, 11, 34]

    Raises:
      ValueError: a step that is not A to G, or more than two accidentals.
    """
    step, alter = np.asarray(step, "U1"), np.asarray(alter, np.int64)
    if step.shape != alter.shape:
        raise ValueError(f"{step.size} steps and {alter.size} alterations; there must be one for each note")
    matches = step[..., np.newaxis] == np.array(STEPS)
    unknown = ~matches.any(axis=-1)
    if unknown.any():
        note = int(np.argmax(unknown))
        raise ValueError(
            f"note {note} has the step {str(step[note])!r}; it must be one of {', '.join(STEPS)}"
        )
    unwritable = np.abs(alter) > 2
    if unwritable.any():
        note = int(np.argmax(unwritable))
        raise ValueError(
            f"note {note}, {step[note]}, is altered by {alter[note]}; labels go from -2 (double flat) to 2; "
            "respell the note or leave the piece out"
        )
    place = np.array([ALTERS.index(value) for value in (0, 1, 2, -2, -1)])  # place[-1] is that of a flat
    return matches.argmax(axis=-1) * len(ALTERS) + place[alter]


def decode_spelling(labels: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Steps U1 [N] and alterations int32 [N] of labels.

    Raises:
      ValueError: a label outside of 0 .. 34.
    """
    labels = _check_labels(labels, NUM_SPELLINGS)
    return np.array(STEPS)[labels // len(ALTERS)], np.array(ALTERS, np.int32)[labels % len(ALTERS)]


def encode_key(fifths: npt.ArrayLike) -> np.ndarray:
    """Labels int64 [N] of key signatures, which are numbers of sharps, or of flats if negative.

    Raises:
      ValueError: more than seven accidentals.
    """
    fifths = np.asarray(fifths, np.int64)
    if (np.abs(fifths) > MAX_FIFTHS).any():
        note = int(np.argmax(np.abs(fifths) > MAX_FIFTHS))
        raise ValueError(f"note {note} has a key signature of {fifths[note]}; it must be within -7..7")
    return fifths + MAX_FIFTHS


def decode_key(labels: npt.ArrayLike) -> np.ndarray:
    """Key signatures int32 [N] of labels.

    Raises:
      ValueError: a label outside of 0 .. 14.
    """
    return (_check_labels(labels, NUM_KEYS) - MAX_FIFTHS).astype(np.int32)


def score_labels(note_array: np.ndarray) -> dict[str, np.ndarray]:
    """Labels of a spelled note array (fields step, alter, ks_fifths): "spelling" and "key", int64 [N] each.

    Raises:
      ValueError: a name or key signature that has no label.
    """
    return {
        "spelling": encode_spelling(note_array["step"], note_array["alter"]),
        "key": encode_key(note_array["ks_fifths"]),
    }


def _check_labels(labels: npt.ArrayLike, num_classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    bad = (labels < 0) | (labels >= num_classes)
    if bad.any():
        note = int(np.argmax(bad))
        raise ValueError(f"label {note} is {labels[note]}; it must be within 0..{num_classes - 1}")
    return labels
