"""No test piece is in training: by title and composer, and by its music.

`golden/openscore_pieces.tsv` (name, title, composer) and `golden/openscore_phrases.npz` are of the 1,485
scores of OpenScore that the default model is trained on; `write_golden` made them. Of the phrases one in
`SAMPLED` is there, told by its hash, so that a phrase is kept of all pieces or of none. With the scores at
hand, `MT3X_OPENSCORE=openscore.npz pytest tests/data/eval_sets/test_pieces.py` compares all phrases.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from mt3x.data.eval_sets.pieces import TEST_PIECES, TWINS_IN_TRAINING, is_test_piece, select_test_pieces
from mt3x.data.synthetic.scores import PIECE_NOTE_DTYPE, Piece, is_held_out, load_scores
from tests.data.eval_sets.near_duplicates import (
    MOST_SHARED,
    PHRASE_INTERVALS,
    find_near_duplicates,
    part_phrases,
    score_phrases,
    shared_music,
    work_keys,
)

GOLDEN = Path(__file__).parents[2] / "golden"
SAMPLED = 32
"""One of so many phrases is in the golden file."""

rng = np.random.default_rng(0)
MELODY = np.cumsum(rng.choice([-5, -3, -2, -1, 1, 2, 4, 7], 60)) % 24 + 55


def make_score(name="lc1", pitches=MELODY, title="Title", composer="Somebody"):
    notes = np.zeros(len(pitches), PIECE_NOTE_DTYPE)
    notes["onset_quarters"], notes["duration_quarters"] = np.arange(len(pitches)), 1
    notes["pitch"] = pitches
    bars = np.arange(0, len(pitches), 4, dtype=np.float32)
    return Piece(name, title, composer, ("Voice",), notes, bars, np.zeros((0, 2), np.float32))


def names(held_out, count=2):
    found = (f"lc{i}" for i in range(1000))
    return [name for name in found if is_held_out(name) == held_out][:count]


def read_pieces():
    lines = (GOLDEN / "openscore_pieces.tsv").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines[1:]]


def sample(phrases):
    """uint32 hashes of the sampled phrases, sorted."""
    mixed = (phrases.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    return np.unique(mixed[mixed % SAMPLED == 0].astype(np.uint32))


def write_golden(packed):
    """Makes the golden files from an archive of `mt3x prepare scores`."""
    scores = load_scores(packed)
    rows = ["name\ttitle\tcomposer"] + [f"{s.name}\t{s.title}\t{s.composer}" for s in scores]
    (GOLDEN / "openscore_pieces.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    phrases = {
        kind: [
            np.concatenate([np.zeros(0, np.int64), *score_phrases(s)])
            for s in scores
            if is_held_out(s.name) == kind
        ]
        for kind in (False, True)
    }
    held_out = [sample(piece) for piece in phrases[True]]
    np.savez_compressed(
        GOLDEN / "openscore_phrases.npz",
        training_steps=np.diff(sample(np.concatenate(phrases[False])), prepend=np.uint32(0)),
        held_out=np.concatenate(held_out),
        held_out_counts=np.array([len(piece) for piece in held_out], np.int32),
        held_out_names=np.array([s.name for s in scores if is_held_out(s.name)]),
    )


def test_no_test_piece_has_the_title_and_composer_of_one_in_training():
    pieces = read_pieces()
    assert len(pieces) == 1485
    training = {key for piece in pieces if not is_held_out(piece[0]) for key in work_keys(*piece)}
    found = {piece[0] for piece in pieces if piece[0] in TEST_PIECES and work_keys(*piece) & training}
    assert not found
    known = {piece[0] for piece in pieces if is_held_out(piece[0]) and work_keys(*piece) & training}
    assert known == set(TWINS_IN_TRAINING), "the check finds what is known"


def test_the_test_pieces_are_all_that_is_held_out_but_for_the_twins():
    held_out = [name for name, _, _ in read_pieces() if is_held_out(name)]
    assert list(TEST_PIECES) == [name for name in held_out if name not in TWINS_IN_TRAINING]
    assert len(TEST_PIECES) == 84 and all(map(is_test_piece, TEST_PIECES))
    assert not any(map(is_test_piece, TWINS_IN_TRAINING))


def test_no_music_of_a_test_piece_is_in_training():
    with np.load(GOLDEN / "openscore_phrases.npz") as golden:
        training = np.cumsum(golden["training_steps"], dtype=np.uint32)
        bounds = np.cumsum(golden["held_out_counts"])[:-1]
        shared = np.split(np.isin(golden["held_out"], training), bounds)
        shared = dict(zip(golden["held_out_names"].tolist(), shared, strict=True))
    assert len(training) > 30_000
    assert shared["lc30888626"].all() and len(shared["lc30888626"]) > 10, "the check finds the known twin"
    tested = [shared[name] for name in TEST_PIECES]
    assert np.concatenate(tested).mean() < 0.02
    assert max(found.mean() for found in tested if len(found) >= 6) < MOST_SHARED


@pytest.mark.skipif("MT3X_OPENSCORE" not in os.environ, reason="MT3X_OPENSCORE names no archive of scores")
def test_the_twins_are_all_that_are_found_in_the_scores_themselves():
    assert set(find_near_duplicates(load_scores(os.environ["MT3X_OPENSCORE"]))) == set(TWINS_IN_TRAINING)


def test_phrases_outlast_transposition_rhythm_and_repeated_notes():
    phrases = part_phrases(make_score().notes)
    changed = make_score(pitches=np.repeat(MELODY + 5, 2)).notes
    changed["onset_quarters"] *= 0.7
    assert len(phrases) > 20
    assert np.array_equal(part_phrases(changed), phrases)


def test_a_phrase_is_its_intervals():
    pitches = 60 + np.array([0, 1, 3, 2, 0, 4, 3, 5, 7, 6, 2, 1, 0])
    (phrase,) = part_phrases(make_score(pitches=pitches).notes)
    intervals = [1, 2, -1, -2, 4, -1, 2, 2, -1, -4, -1, -1]
    assert phrase == sum((interval + 12) * 25**i for i, interval in enumerate(intervals))


def test_scales_and_short_parts_hold_no_phrase():
    assert not len(part_phrases(make_score(pitches=np.arange(40, 80)).notes))
    assert not len(part_phrases(make_score(pitches=MELODY[:PHRASE_INTERVALS]).notes))
    assert shared_music([], np.zeros(0, np.int64)) == 0


def test_chords_count_with_their_highest_note():
    notes = make_score().notes
    low = notes.copy()
    low["pitch"] -= 20
    both = np.sort(np.concatenate([notes, low]), order=["onset_quarters", "pitch"])
    assert np.array_equal(part_phrases(both), part_phrases(notes))


def test_a_melody_over_another_accompaniment_is_found():
    other = make_score(pitches=MELODY[::-1] - 12).notes
    other["part"] = 1
    score = make_score()
    notes = np.sort(np.concatenate([score.notes, other]), order=["onset_quarters", "part"])
    arrangement = Piece("a", "", "", ("Voice", "Harp"), notes, score.bars, score.tempos)
    assert shared_music(score_phrases(arrangement), part_phrases(score.notes)) == 1


def test_near_duplicates_are_found_by_music_by_title_and_by_work():
    (held_out, another), (training,) = names(True), names(False, 1)
    assert find_near_duplicates(
        [make_score(held_out, composer="A"), make_score(training, MELODY + 3, composer="B")]
    ) == {held_out: "100% of its phrases are in training"}
    found = find_near_duplicates(
        [make_score(held_out), make_score(training, MELODY[::-1], "TITLE, op. 3", "S. Somebody")]
    )
    assert found == {held_out: f"{training} is the same work: title / somebody"}
    other = make_score(training, MELODY[::-1], "Another")
    assert not find_near_duplicates([make_score(held_out), make_score(another), other])
    assert not find_near_duplicates([make_score(held_out)])


def test_movements_of_a_work_have_its_key():
    keys = [work_keys(f"Haydn__Joseph__Quartet__Op.1__sq{i}", f"{i}. Satz", "J. Haydn") for i in range(2)]
    assert keys[0] & keys[1] == {"haydn joseph quartet op 1"}


@pytest.mark.parametrize(
    ("title", "composer"),
    [("Larmes (1878)", "Gabriel Fauré"), ("LARMES, Op. 51", "Faure [1845-1924]"), ("Larmes", "G. FAURÉ")],
)
def test_accents_case_brackets_and_first_names_do_not_matter(title, composer):
    assert work_keys("lc1", title, composer) == {"larmes / faure"}


def test_selecting_keeps_the_order_of_the_names_and_misses_none():
    scores = [make_score("b"), make_score("c"), make_score("a")]
    assert [score.name for score in select_test_pieces(scores, ["a", "b"])] == ["a", "b"]
    with pytest.raises(ValueError, match="2 of 3 test pieces are missing, d is the first"):
        select_test_pieces(scores, ["a", "d", "e"])


if __name__ == "__main__":
    write_golden(sys.argv[1])
