"""The pieces that models are tested on: none of them is in training, by title and composer or by its music.

Training leaves out about 6 % of all scores by their names (`scores.is_held_out`). A name tells nothing of
what another file holds, so those whose title and composer, work, or music is also in training are taken out
again: `TWINS_IN_TRAINING`. What is left is `TEST_PIECES`, names of files of OpenScore Lieder ("lc...") and
OpenScore String Quartets (both CC0). The list is written down, so that a test set stays the same when scores
are added to OpenScore; `find_twins` is what proves it, and the tests do.

Music is compared by phrases: what the highest notes of a part do over `PHRASE_INTERVALS` intervals, in
semitones, without rhythm and without repeated notes. So a transposed edition or an arrangement is still
found. Phrases of few different intervals (scales, trills) say nothing and are left out. Measured on the 1,485
scores: of the one piece that is there twice, every phrase is found in training; of any part of another test
piece, at most 29 %.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mt3x.data.synthetic.scores import Piece, is_held_out

_NAMES = """
lc29093213 lc29421746 lc29748284 lc30346709 lc30908438 lc4976646 lc4978373 lc4978396 lc4985951 lc4999292
lc5002160 lc5004731 lc5023662 lc5060972 lc5069048 lc5071644 lc5071686 lc5087944 lc5101361 lc5118339
lc5123355 lc5130351 lc5130634 lc5197231 lc5659823 lc5667843 lc5695716 lc5974308 lc5983679 lc5989993
lc6000428 lc6034767 lc6053984 lc6115317 lc6117552 lc6130821 lc6135958 lc6157283 lc6157363 lc6158642
lc6162666 lc6163298 lc6170065 lc6171433 lc6181076 lc6196782 lc6202660 lc6205297 lc6207045 lc6207073
lc6211555 lc6218732 lc6220532 lc6245971 lc6245972 lc6248302 lc6424314 lc6445119 lc6449397 lc6471199
lc6476797 lc6478017 lc6593095 lc6604146 lc6609847 lc6610246 lc6635580 lc6683352 lc6686980 lc6716614
lc6751462 lc6762513 lc6766045 lc6813842 lc6826058 lc6829065 lc6834542 lc6969398 lc6989204 lc6994136
Beethoven__Ludwig_van__String_Quartet_No.5__Op.18_No.5__sq9396439
Brahms__Johannes__String_Quartet_No.1__Op.51_No.1__sq7108150
Fauré__Gabriel__String_Quartet__Op.121__sq7358708
Haydn__Joseph__String_Quartet_in_F_minor__Hob.III35__Op.20_No.5__sq8807040
"""

TEST_PIECES = tuple(_NAMES.split())
"""Names of the scores that test sets are made of."""

TWINS_IN_TRAINING: Mapping[str, str] = {
    "lc30888626": "lc30893834 is the same song",
    "lc6068212": "lc6088572 has the same title and composer, though other music",
    "Mozart__Wolfgang_Amadeus__String_Quartet_No.18_in_A_major__K.464__Op._10__No._5___sq7075297": (
        "the other movements of this quartet are in training"
    ),
}
"""Held-out scores that are no test pieces, and why."""

PHRASE_INTERVALS = 12
MOST_SHARED = 0.5
"""A piece of which more phrases of a part are in training is a twin."""

_LEAST_PHRASES = 16
_LEAST_DIFFERENT_INTERVALS = 4
_LARGEST_INTERVAL = 12
_SAME_TIME_QUARTERS = 1e-3


def select_test_pieces(scores: Iterable[Piece], names: Sequence[str] = TEST_PIECES) -> list[Piece]:
    """The scores of these names, in the order of the names.

    Raises:
      ValueError: one is missing.
    """
    by_name = {score.name: score for score in scores}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(names)} test pieces are missing, {missing[0]} is the first; give all "
            "scores of OpenScore Lieder and OpenScore String Quartets (`mt3x prepare scores` packs them)"
        )
    return [by_name[name] for name in names]


def is_test_piece(name: str) -> bool:
    """Whether models may be tested on a piece: it is held out and has no twin in training."""
    return is_held_out(name) and name not in TWINS_IN_TRAINING


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


def find_twins(scores: Iterable[Piece]) -> dict[str, str]:
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
    twins = {}
    for score in scores:
        if not is_held_out(score.name):
            continue
        for key in sorted(work_keys(score.name, score.title, score.composer) & works.keys()):
            twins[score.name] = f"{works[key]} is the same work: {key}"
        shared = shared_music(score_phrases(score), known)
        if shared > MOST_SHARED:
            twins[score.name] = f"{shared:.0%} of its phrases are in training"
    return twins
