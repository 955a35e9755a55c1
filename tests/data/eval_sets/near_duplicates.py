"""Scores that hold the same work or the same music: by title and composer, and by phrases.

Music is compared by phrases: what the highest notes of a part do over `PHRASE_INTERVALS` intervals, in
semitones, without rhythm and without repeated notes. So a transposed edition or an arrangement is still
found. Phrases of few different intervals (scales, trills) say nothing and are left out. Measured on the 1,485
scores: of the one piece that is there twice, every phrase is found in training; of any part of another test
piece, at most 29 %.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from mt3x.data.synthetic.scores import Piece, is_held_out

PHRASE_INTERVALS = 12
MOST_SHARED = 0.5
"""A piece of which more phrases of a part are in training is a near-duplicate."""

_LEAST_PHRASES = 16
_LEAST_DIFFERENT_INTERVALS = 4
_LARGEST_INTERVAL = 12
_SAME_TIME_QUARTERS = 1e-3


def work_keys(name: str, title: str, composer: str) -> set[str]:
    """By what a work is recognised: its title and composer, and the file's name where that tells the work.

    Case, accents, punctuation, and what stands in brackets or behind a comma don't count, nor do a composer's
    first names.

    >>> sorted(work_keys("lc1", "Ellens Gesang II, D.838", "Franz Schubert"))
    ['ellens gesang ii / schubert']
    """
    keys = {f"{_plain(title.split(',')[0])} / {_plain(composer).split(' ')[-1]}"}
    work, separator, _ = name.rpartition("__sq")
    if separator:
        keys.add(_plain(work))
    return keys


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", re.sub(r"\([^)]*\)|\[[^]]*\]", "", text))
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", " ", letters.casefold()).strip()


def part_phrases(notes: np.ndarray) -> np.ndarray:
    """The phrases of one part: int64 [K], sorted, each once; a number stands for its intervals.

    Args:
      notes: `PIECE_NOTE_DTYPE` [N] of one part.
    """
    order = np.lexsort((-notes["pitch"].astype(np.int64), notes["onset_quarters"]))
    is_highest = np.diff(notes["onset_quarters"][order], prepend=-np.inf) > _SAME_TIME_QUARTERS
    pitch = notes["pitch"][order][is_highest].astype(np.int64)
    interval = np.diff(pitch)
    interval = np.clip(interval[interval != 0], -_LARGEST_INTERVAL, _LARGEST_INTERVAL) + _LARGEST_INTERVAL
    if len(interval) < PHRASE_INTERVALS:
        return np.zeros(0, np.int64)
    phrases = np.lib.stride_tricks.sliding_window_view(interval, PHRASE_INTERVALS)
    different = 1 + np.count_nonzero(np.diff(np.sort(phrases, axis=1), axis=1), axis=1)
    base = 2 * _LARGEST_INTERVAL + 1
    weights = base ** np.arange(PHRASE_INTERVALS, dtype=np.int64)  # 25 ** 12 fits 63 bits
    return np.unique(phrases[different >= _LEAST_DIFFERENT_INTERVALS] @ weights)


def score_phrases(score: Piece) -> list[np.ndarray]:
    """The phrases of each part that has some."""
    parts = (part_phrases(score.notes[score.notes["part"] == part]) for part in range(len(score.part_names)))
    return [phrases for phrases in parts if len(phrases)]


def shared_music(parts: Sequence[np.ndarray], known: np.ndarray) -> float:
    """How much of a piece is among known phrases: the largest share of a part, 0 to 1.

    Args:
      parts: phrases of each part; those of parts too short to tell anything are counted together.
      known: int64 [N] phrases, sorted.
    """
    long = [phrases for phrases in parts if len(phrases) >= _LEAST_PHRASES]
    return max((float(_is_known(phrases, known).mean()) for phrases in long or parts), default=0.0)


def _is_known(phrases: np.ndarray, known: np.ndarray) -> np.ndarray:
    """bool [K]; `np.isin` would sort a million known phrases each time."""
    if not len(known):
        return np.zeros(len(phrases), bool)
    return known[np.minimum(np.searchsorted(known, phrases), len(known) - 1)] == phrases


def find_near_duplicates(scores: Iterable[Piece]) -> dict[str, str]:
    """Held-out scores that are in training, too: name -> why.

    Args:
      scores: all scores, those for training (not `is_held_out`) and those held out.
    """
    scores = list(scores)
    training = [score for score in scores if not is_held_out(score.name)]
    works = {
        key: score.name for score in training for key in work_keys(score.name, score.title, score.composer)
    }
    known = [phrases for score in training for phrases in score_phrases(score)]
    known = np.unique(np.concatenate(known)) if known else np.zeros(0, np.int64)
    found = {}
    for score in scores:
        if not is_held_out(score.name):
            continue
        for key in sorted(work_keys(score.name, score.title, score.composer) & works.keys()):
            found[score.name] = f"{works[key]} is the same work: {key}"
        shared = shared_music(score_phrases(score), known)
        if shared > MOST_SHARED:
            found[score.name] = f"{shared:.0%} of its phrases are in training"
    return found
