"""The pieces that models are tested on: none of them is in training, by title and composer or by its music.

Training leaves out about 6 % of all scores by their names (`scores.is_held_out`). A name tells nothing of
what another file holds, so those whose title and composer, work, or music is also in training are taken out
again: `TWINS_IN_TRAINING`. What is left is `TEST_PIECES`, names of files of OpenScore Lieder ("lc...") and
OpenScore String Quartets (both CC0). The list is written down, so that a test set stays the same when scores
are added to OpenScore; the tests prove it, by titles and by music.
"""

from collections.abc import Iterable, Mapping, Sequence

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
