"""Scores as spelled notes: what pitch spelling is trained on. Scores in, one packed archive out.

Conventions: times are quarter notes from the start of the score, in written order. Tied notes are one note,
grace notes last 0 quarters at the onset of the note they lean on. A spelling is a position on the line of
fifths (F -1, C 0, G 1, ..., `mt3x.score.spelling.names`), a key signature its number of fifths, both as they
sound: instruments that transpose are spelled in the key of the score. Pieces are held out by name, as in
`data.synthetic.scores`.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mt3x.data.synthetic.scores import score_name
from mt3x.music.files import whole_file
from mt3x.score.io.reading import read_score
from mt3x.score.score import Score
from mt3x.score.spelling.names import positions_of

SPELLED_DTYPE = np.dtype(
    [
        ("onset_quarters", "f4"),
        ("duration_quarters", "f4"),
        ("pitch", "i2"),
        ("position", "i1"),
        ("fifths", "i1"),
        ("staff", "i2"),
    ]
)


@dataclass(frozen=True, eq=False)
class SpelledScore:
    """A piece: its name, by which it is split, its composer, and its notes.

    notes: `SPELLED_DTYPE` [N] ordered by (onset, pitch); `staff` counts the staves of all parts.
    """

    name: str
    composer: str
    notes: np.ndarray


def read_spelled_score(path: str | Path) -> SpelledScore:
    """Reads a score.

    Raises:
      ValueError: the file is missing, can't be read, or holds no note with a name.
      ImportError: as `mt3x.score.io.reading.read_score`.
    """
    score = read_score(path)
    notes = spelled_notes(score)
    if not len(notes):
        raise ValueError(f"{path} holds no note with a name; give a score with at least one")
    return SpelledScore(score_name(path), score.composer, notes)


def spelled_notes(score: Score) -> np.ndarray:
    """The notes with a name, as `SpelledScore` holds them."""
    keys = np.array(score.key_signatures or ((0, 0),))
    keys = np.concatenate([[[-1, 0]], keys])  # without a signature before the first one
    rows, num_staves = [], 0
    for part in score.parts:
        notes = part.notes[part.notes["step"] != ""]
        staves, staff = np.unique(notes["staff"], return_inverse=True)
        mine = np.zeros(len(notes), SPELLED_DTYPE)
        for name in ("onset", "duration"):
            mine[f"{name}_quarters"] = notes[f"{name}_div"] / score.divs_per_quarter
        mine["pitch"] = notes["pitch"]
        mine["position"] = positions_of(notes["step"], notes["alter"])
        mine["fifths"] = keys[np.searchsorted(keys[:, 0], notes["onset_div"], side="right") - 1, 1]
        mine["staff"] = num_staves + staff
        num_staves += len(staves)
        rows.append(mine)
    spelled = np.concatenate(rows)
    return spelled[np.lexsort((spelled["pitch"], spelled["onset_quarters"]))]


def save_spelled_scores(scores: Sequence[SpelledScore], out_npz: str | Path) -> None:
    """Writes scores to one compressed archive; it appears whole or not at all."""
    notes = np.concatenate([score.notes for score in scores])
    arrays: dict[str, Any] = {
        "names": np.array([score.name for score in scores]),
        "composers": np.array([score.composer for score in scores]),
        "num_notes": np.array([len(score.notes) for score in scores], np.int32),
        **{name: notes[name] for name in SPELLED_DTYPE.names or ()},
    }
    with whole_file(out_npz) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_spelled_scores(npz: str | Path) -> list[SpelledScore]:
    """Reads an archive of `save_spelled_scores`.

    Raises:
      ValueError: the file is missing or isn't such an archive.
    """
    try:
        with np.load(npz, allow_pickle=False) as archive:
            notes = np.zeros(len(archive["pitch"]), SPELLED_DTYPE)
            for name in SPELLED_DTYPE.names or ():
                notes[name] = archive[name]
            pieces = np.split(notes, np.cumsum(archive["num_notes"])[:-1])
            labels = zip(archive["names"].tolist(), archive["composers"].tolist(), pieces, strict=True)
            return [SpelledScore(*fields) for fields in labels]
    except (OSError, KeyError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{npz} is not an archive of spelled scores ({error}); write one with save_spelled_scores"
        ) from error
