"""What the beat network learns from: beats and metre of a performance, worked by hand, and batches."""

import numpy as np
import pytest

from mt3x.data.beats.batches import (
    BATCH_SIZE,
    NUM_EVENTS,
    BeatBatches,
    BeatVariation,
    beat_example,
    one_part,
)
from mt3x.data.beats.performances import Performance, draw_exercise, perform
from mt3x.music.notes import make_notes
from mt3x.score.rhythm.beat_network import METRES, NUM_FEATURES


def test_events_on_beats_are_beats_hand_worked():
    # Beats at 0, 0.5, 1.0 and 1.5 s; an event on each but the last, and one between the first two.
    notes = make_notes([0.0, 0.25, 0.51, 1.0], [0.2, 0.4, 0.8, 1.4], [60, 62, 64, 65])
    beats, is_downbeat = np.array([0.0, 0.5, 1.0, 1.5]), np.array([True, False, True, False])
    example = beat_example(Performance(notes, beats, is_downbeat, 2, False, np.arange(4)))
    assert example["features"].shape == (NUM_EVENTS, NUM_FEATURES)
    assert example["targets"][:5, 0].tolist() == [1, 0, 1, 1, 0]
    assert example["targets"][:4, 1].tolist() == [1, 1, 0, 1]  # the nearest beat's, where it counts
    assert example["weights"][:5].tolist() == [[1, 1], [1, 0], [1, 1], [1, 1], [0, 0]]
    assert METRES[int(example["metre"])] == (2, False) and example["metre_weight"] == 1


def test_a_metre_that_is_not_told_apart_has_no_weight():
    notes = make_notes([0.0, 0.5], [0.2, 0.8], [60, 62])
    played = Performance(
        notes, np.array([0.0, 0.5, 1.0]), np.array([True, False, False]), 5, False, np.arange(2)
    )
    assert beat_example(played)["metre_weight"] == 0


def test_one_part_keeps_the_notes_of_one_part():
    rng = np.random.default_rng(0)
    score = next(s for s in iter(lambda: draw_exercise(rng), None) if len(np.unique(s.notes[:, 3])) == 2)
    played = perform(score, rng, 30.0)
    alone = one_part(played, score, rng)
    parts = np.where(alone.rows >= 0, score.notes[alone.rows, 3], -1)
    assert 0 < len(alone.notes) < len(played.notes) and len(np.unique(parts)) == 1


def test_batches_depend_on_the_seed_alone():
    rng = np.random.default_rng(0)
    scores = [draw_exercise(rng) for _ in range(3)]
    first, again, other = (next(BeatBatches(scores, seed, BeatVariation())) for seed in ((1,), (1,), (2,)))
    assert first["features"].shape == (BATCH_SIZE, NUM_EVENTS, NUM_FEATURES)
    assert first["metre"].dtype == np.int32 and first["targets"].dtype == np.float32
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["features"], other["features"])


def test_no_scores_are_refused():
    with pytest.raises(ValueError, match="no score to learn beats from; give a folder of .mxl files"):
        BeatBatches([], (0,), BeatVariation())


@pytest.mark.parametrize("name", ["exercises", "single_parts"])
def test_a_share_is_from_0_to_1(name):
    with pytest.raises(ValueError, match=f"{name} is 1.5; it must be within 0..1"):
        BeatVariation(**{name: 1.5})
