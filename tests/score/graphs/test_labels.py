"""Labels of spellings and keys, against GraphMuse's and each by itself."""

import numpy as np
import pytest

from mt3x.score.graphs.labels import (
    ALTERS,
    NUM_KEYS,
    NUM_SPELLINGS,
    STEPS,
    decode_key,
    decode_spelling,
    encode_key,
    encode_spelling,
    score_labels,
)
from tests.score.graphs.graph_goldens import SCORES, read_golden


@pytest.mark.parametrize("name", SCORES)
def test_labels_equal_those_of_graphmuse(name):
    stored, notes = read_golden(name)
    labels = score_labels(notes)
    np.testing.assert_array_equal(labels["spelling"], stored["y_pitch"])
    np.testing.assert_array_equal(labels["key"], stored["y_key"])


def test_every_name_has_its_own_label():
    steps, alters = np.repeat(STEPS, len(ALTERS)), np.tile(ALTERS, len(STEPS))
    labels = encode_spelling(steps, alters)
    assert labels.tolist() == list(range(NUM_SPELLINGS)) == list(range(35))
    decoded = decode_spelling(labels)
    assert decoded[0].tolist() == steps.tolist() and decoded[1].tolist() == alters.tolist()


def test_every_pitch_class_has_three_names_and_g_sharp_two():
    steps, alters = decode_spelling(np.arange(NUM_SPELLINGS))
    natural = np.array([dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))[step] for step in steps])
    assert np.bincount((natural + alters) % 12).tolist() == [3] * 8 + [2] + [3] * 3


def test_every_key_signature_has_its_own_label():
    labels = encode_key(np.arange(-7, 8))
    assert labels.tolist() == list(range(NUM_KEYS))
    assert decode_key(labels).tolist() == list(range(-7, 8))


@pytest.mark.parametrize(
    ("step", "alter", "message"),
    [
        (["C", "F"], [0, 3], "note 1, F, is altered by 3"),
        (["H"], [0], "note 0 has the step 'H'"),
        ([""], [0], "note 0 has the step ''"),
        (["C", "D"], [0], "2 steps and 1 alterations"),
    ],
)
def test_names_without_a_label_are_errors(step, alter, message):
    with pytest.raises(ValueError, match=message):
        encode_spelling(step, alter)


def test_keys_and_labels_out_of_range_are_errors():
    with pytest.raises(ValueError, match="note 1 has a key signature of 8"):
        encode_key([0, 8])
    with pytest.raises(ValueError, match=r"label 0 is 35; it must be within 0\.\.34"):
        decode_spelling([35])
    with pytest.raises(ValueError, match=r"label 1 is -1; it must be within 0\.\.14"):
        decode_key([0, -1])
