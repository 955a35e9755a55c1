"""Notes that the spelling network learns from: each with what surrounds it and its degree in the key."""

import numpy as np
import pytest

from mt3x.data.spelling.batches import PLAIN, SpellingBatches, SpellingVariation
from mt3x.data.spelling.scores import SPELLED_DTYPE, SpelledScore
from mt3x.score.spelling.features import NUM_FEATURES


def scale(fifths: int, repeats: int = 30, staves: int = 1) -> SpelledScore:
    notes = np.zeros(7 * repeats, SPELLED_DTYPE)
    notes["onset_quarters"], notes["duration_quarters"] = np.arange(len(notes)) / 2, 0.5
    notes["position"] = np.tile([0, 2, 4, -1, 1, 3, 5], repeats) + fifths
    notes["pitch"] = 60 + 7 * notes["position"].astype(int) % 12
    notes["fifths"], notes["staff"] = fifths, np.arange(len(notes)) % staves
    return SpelledScore(f"scale {fifths}", "", notes)


def test_degrees_are_the_same_in_all_keys():
    batch = next(SpellingBatches([scale(-5), scale(3)], 64, 0, PLAIN))
    assert batch["features"].shape == (64, NUM_FEATURES) and batch["features"].dtype == np.float32
    assert sorted(set(batch["degrees"].tolist())) == [8, 9, 10, 11, 12, 13, 14]  # F to B of C major


def test_each_note_comes_as_often_as_asked_before_new_ones_are_drawn():
    batches = SpellingBatches([scale(0, 10)], 70, 0, PLAIN, window_notes=70, pool_windows=1, uses=3)
    drawn = [next(batches)["features"] for _ in range(3)]
    first = np.sort(drawn[0], axis=0)
    assert all(np.array_equal(np.sort(other, axis=0), first) for other in drawn[1:])


def test_short_scores_are_drawn_until_they_fill_a_batch():
    batch = next(SpellingBatches([scale(0, 1)], 100, 0, PLAIN, pool_windows=1))
    assert len(batch["degrees"]) == 100


def test_the_same_seed_draws_the_same_and_varied_notes_keep_their_degrees():
    pieces = [scale(k, staves=2) for k in (-3, 0, 4)]
    always = SpellingVariation(1.0, 1.0, 0.5, 1.0, 1.0)
    first, again = (next(SpellingBatches(pieces, 256, 5, always)) for _ in range(2))
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert set(first["degrees"].tolist()) <= {8, 9, 10, 11, 12, 13, 14}
    plain = next(SpellingBatches(pieces, 256, 5, PLAIN))
    assert not np.array_equal(first["features"], plain["features"])


def test_no_scores_are_refused():
    with pytest.raises(ValueError, match="give at least one"):
        SpellingBatches([])
