"""The path of key signatures: evidence on the circle of fifths in, one signature a note out."""

import numpy as np

from mt3x.score.spelling.key_path import PathCosts, key_path

COSTS = PathCosts(change=12.0, fifth=1.0, sides=12.0, accidentals=0.05)


def evidence_for(keys: list[int], nats: float = 1.0) -> np.ndarray:
    evidence = np.zeros((len(keys), 12))
    evidence[np.arange(len(keys)), np.array(keys) % 12] = nats
    return evidence


def test_a_short_visit_to_another_key_is_not_a_signature():
    assert set(key_path(evidence_for([0] * 30 + [1] * 5 + [0] * 30), COSTS)) == {0}


def test_a_long_stay_in_another_key_is_one():
    assert key_path(evidence_for([0] * 40 + [3] * 40), COSTS).tolist() == [0] * 40 + [3] * 40


def test_five_flats_are_chosen_over_seven_sharps():
    assert set(key_path(evidence_for([7] * 20), COSTS)) == {-5}


def test_a_turn_to_the_parallel_minor_of_five_flats_is_written_with_four_sharps():
    assert key_path(evidence_for([-5] * 200 + [-8] * 200), COSTS).tolist() == [-5] * 200 + [4] * 200


def test_no_notes_have_no_signature():
    assert key_path(np.zeros((0, 12)), COSTS).shape == (0,)


def test_distances_are_counted_on_the_circle():
    between = PathCosts(change=1.0, fifth=1.0, sides=5.0).between()
    assert between[0, 0] == 0  # seven flats, no change
    assert between[7, 8] == 2  # C major to G major
    assert between[2, 11] == 1 + 3 + 5  # five flats to four sharps
