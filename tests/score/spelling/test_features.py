"""What the spelling network sees: what transposing leaves as it is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mt3x.score.spelling.features import NEIGHBOURS, NUM_FEATURES, WINDOWS, note_features

NEAR = 12 * (2 * len(WINDOWS) + 2)
"""Where the nearness of neighbours begins."""

HEIGHT = NEAR + 2 * len(NEIGHBOURS) + 1


def features_of(pitches, onsets=None):
    pitch = np.array(pitches, int)
    onset = np.arange(len(pitch), dtype=float) if onsets is None else np.array(onsets, float)
    return note_features(onset, np.ones(len(pitch)), pitch)


def test_windows_count_intervals_from_the_note():
    features = features_of([60, 67, 67, 62])  # C G G D
    assert features.shape == (4, NUM_FEATURES)
    before, after = features[2, 24:36] ** 2, features[2, 36:48] ** 2  # two notes each
    np.testing.assert_allclose(before[[0, 11]], [0.5, 0.5], atol=1e-6)  # itself, and a fifth below
    np.testing.assert_allclose(after[1], 0.5, atol=1e-6)  # a fifth above; the piece ends there
    np.testing.assert_allclose(features[0, 12:24] ** 2, [0.25, 0.5, 0.25] + [0] * 9, atol=1e-6)


def test_notes_of_the_same_onset_are_counted():
    features = features_of([60, 64, 67, 72], [0, 0, 0, 1])
    np.testing.assert_allclose(12 * features[0, :12] ** 2, [1, 1, 0, 0, 1] + [0] * 7, atol=1e-5)
    np.testing.assert_allclose(12 * features[3, :12] ** 2, [1] + [0] * 11, atol=1e-5)


def test_a_leading_note_is_told_of_its_tonic_a_semitone_above():
    features = features_of([71, 72, 60])
    after = NEAR + 2 * NEIGHBOURS.index(1) + 1
    np.testing.assert_allclose(features[:, after], [np.exp(-1), 0, 0], atol=1e-6)
    before = NEAR + 2 * NEIGHBOURS.index(-1)
    np.testing.assert_allclose(features[:, before], [0, np.exp(-1), 0], atol=1e-6)


def test_outer_notes_of_a_chord_are_marked():
    features = features_of([60, 64, 67, 72], [0, 0, 0, 1])
    assert features[:, -2].tolist() == [1, 0, 0, 1]
    assert features[:, -1].tolist() == [0, 0, 1, 1]


@given(st.lists(st.integers(20, 80), max_size=30), st.integers(1, 24))
def test_transposing_changes_nothing_but_the_height(pitches, semitones):
    features, moved = features_of(pitches), features_of([pitch + semitones for pitch in pitches])
    features[:, HEIGHT] = moved[:, HEIGHT] = 0
    np.testing.assert_allclose(moved, features, atol=1e-5)
