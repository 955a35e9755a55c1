"""Scores as notes to perform, in quarters: scores in, one packed archive out, and the split by piece.

Conventions: times are quarter notes counted from the start of the score, in written order (repeats are not
unfolded, later voltas follow earlier ones); pitches are sounding MIDI pitches. Tied notes are one note. Grace
notes last `GRACE_QUARTERS` each, just before the note that they lean on; those that would begin before the
score does are dropped, and so are drums. Where two voices of a part strike the same pitch together, the
longer note stays.
"""

import hashlib
import unicodedata
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from mt3x.music.files import whole_file
from mt3x.score.io.musicxml_files import SUFFIXES
from mt3x.score.io.reading import read_score
from mt3x.score.score import Score

PIECE_NOTE_DTYPE = np.dtype(
    [("onset_quarters", "f4"), ("duration_quarters", "f4"), ("pitch", "i2"), ("part", "i2")]
)
GRACE_QUARTERS = 0.125
HELD_OUT_PERCENT = 6


@dataclass(frozen=True, eq=False)
class Piece:
    """The notes of a score, and what is needed to perform them.

    name: the file's stem, by which the piece is split (`is_held_out`).
    part_names: one for each part; `notes["part"]` counts into them.
    notes: `PIECE_NOTE_DTYPE` [N], ordered by (onset, part, pitch).
    bars: float32 [M], where each measure starts, in quarters.
    tempos: float32 [T, 2], tempo marks that a player program follows: (quarters, quarter notes per minute).
    """

    name: str
    title: str
    composer: str
    part_names: tuple[str, ...]
    notes: np.ndarray
    bars: np.ndarray
    tempos: np.ndarray


@dataclass(frozen=True)
class PackReport:
    """What `pack_scores` did: scores and notes packed, bytes written, and (name, reason) of each failure."""

    scores: int
    notes: int
    bytes: int
    failures: tuple[tuple[str, str], ...]


def score_name(path: str | Path) -> str:
    """The stem of a score's file name; other dots than the one before the suffix stay.

    >>> score_name("quartets/No.12__Op.127.mxl"), score_name("No.12__Op.127")
    ('No.12__Op.127', 'No.12__Op.127')
    """
    name = Path(path).name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return unicodedata.normalize("NFC", name)


def is_held_out(name: str | Path) -> bool:
    """Whether a piece is kept from training: about 6 %, always the same ones, told by the name alone."""
    digest = hashlib.sha256(score_name(name).encode("utf-8")).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def read_piece(path: str | Path) -> Piece:
    """Reads a score.

    Raises:
      ValueError: the file is missing, can't be read, or holds no pitched note.
      ImportError: as `mt3x.score.io.reading.read_score`.
    """
    piece = piece_of_score(read_score(path), score_name(path))
    if not len(piece.notes):
        raise ValueError(f"{path} holds no pitched note; give a score with at least one")
    return piece


def piece_of_score(score: Score, name: str) -> Piece:
    """What is needed of a score to perform it."""
    rows = []
    for index, part in enumerate(score.parts):
        notes = part.notes[:0] if part.is_drum else part.notes
        quarters = {key: notes[f"{key}_div"] / score.divs_per_quarter for key in ("onset", "duration")}
        before = GRACE_QUARTERS * notes["grace"]
        mine = np.zeros(len(notes), PIECE_NOTE_DTYPE)
        mine["onset_quarters"] = quarters["onset"] - before
        mine["duration_quarters"] = np.where(before > 0, GRACE_QUARTERS, quarters["duration"])
        mine["pitch"], mine["part"] = notes["pitch"], index
        rows.append(mine[quarters["onset"] >= before])
    tempos = [(div / score.divs_per_quarter, tempo) for div, tempo in score.tempos]
    return Piece(
        name=name,
        title=score.title,
        composer=score.composer,
        part_names=tuple(part.name for part in score.parts),
        notes=_longest_of_unisons(np.concatenate(rows)),
        bars=(score.measures[:, 0] / score.divs_per_quarter).astype(np.float32),
        tempos=np.array(tempos, np.float32).reshape(-1, 2),
    )


def pack_scores(paths: Iterable[str | Path], out_npz: str | Path, workers: int = 1) -> PackReport:
    """Reads all scores and saves those that can be read, in the order of `paths`.

    Raises:
      ValueError: not one of them can be read.
    """
    paths = list(paths)
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            outcomes = list(pool.map(_try_read, paths, chunksize=8))
    else:
        outcomes = [_try_read(path) for path in paths]
    scores = [outcome for outcome in outcomes if isinstance(outcome, Piece)]
    failures = tuple(
        (score_name(path), outcome)
        for path, outcome in zip(paths, outcomes, strict=True)
        if isinstance(outcome, str)
    )
    if not scores:
        first = failures[0][1] if failures else "no path was given"
        raise ValueError(
            f"none of {len(paths)} scores can be read ({first}); give at least one readable score"
        )
    save_scores(scores, out_npz)
    return PackReport(len(scores), sum(len(s.notes) for s in scores), Path(out_npz).stat().st_size, failures)


def _try_read(path: str | Path) -> Piece | str:
    try:
        return read_piece(path)
    except ValueError as error:
        return str(error)


def save_scores(scores: Sequence[Piece], out_npz: str | Path) -> None:
    """Writes scores to one compressed archive; it appears whole or not at all."""
    notes = np.concatenate([score.notes for score in scores])
    arrays = {
        "names": np.array([s.name for s in scores]),
        "titles": np.array([s.title for s in scores]),
        "composers": np.array([s.composer for s in scores]),
        "part_names": np.array([name for s in scores for name in s.part_names]),
        "num_parts": np.array([len(s.part_names) for s in scores], np.int32),
        "num_notes": np.array([len(s.notes) for s in scores], np.int32),
        "num_bars": np.array([len(s.bars) for s in scores], np.int32),
        "num_tempos": np.array([len(s.tempos) for s in scores], np.int32),
        "bars": np.concatenate([s.bars for s in scores]),
        "tempos": np.concatenate([s.tempos for s in scores]),
        **{f"note_{column}": notes[column] for column in PIECE_NOTE_DTYPE.names or ()},
    }
    with whole_file(out_npz) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_scores(npz: str | Path) -> list[Piece]:
    """Reads an archive of `save_scores` or `pack_scores`.

    Raises:
      ValueError: the file is missing or isn't such an archive.
    """
    try:
        with np.load(npz, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        notes = np.zeros(len(arrays["note_pitch"]), PIECE_NOTE_DTYPE)
        for column in PIECE_NOTE_DTYPE.names or ():
            notes[column] = arrays[f"note_{column}"]
        pieces = {
            key: np.split(values, np.cumsum(arrays[f"num_{counts}"])[:-1])
            for key, values, counts in (
                ("notes", notes, "notes"),
                ("bars", arrays["bars"], "bars"),
                ("tempos", arrays["tempos"], "tempos"),
                ("part_names", arrays["part_names"], "parts"),
            )
        }
        named = [arrays["names"].tolist(), arrays["titles"].tolist(), arrays["composers"].tolist()]
    except (OSError, KeyError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{npz} is not an archive of scores ({error}); write one with pack_scores"
        ) from error
    return [
        Piece(
            name=name,
            title=title,
            composer=composer,
            part_names=tuple(pieces["part_names"][i].tolist()),
            notes=pieces["notes"][i],
            bars=pieces["bars"][i],
            tempos=pieces["tempos"][i],
        )
        for i, (name, title, composer) in enumerate(zip(*named, strict=True))
    ]


def _longest_of_unisons(notes: np.ndarray) -> np.ndarray:
    """Notes ordered by (onset, part, pitch), one for each such triple: the longest."""
    order = np.lexsort((-notes["duration_quarters"], notes["pitch"], notes["part"], notes["onset_quarters"]))
    notes = notes[order]
    first = np.ones(len(notes), bool)
    first[1:] = False
    for column in ("onset_quarters", "part", "pitch"):
        first[1:] |= notes[column][1:] != notes[column][:-1]
    return notes[first]
