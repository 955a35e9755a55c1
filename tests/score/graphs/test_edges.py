"""Edges between notes against the definition, spelled out note by note."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mt3x.score.graphs.edges
from mt3x.score.graphs.edges import (
    RELATIONS,
    beat_clusters,
    cluster_edges,
    measure_clusters,
    note_edges,
    undirected,
)


def defined_edges(onset, duration):
    """{relation: edges}, by comparing each note with each other."""
    found = {name: [] for name in RELATIONS}
    for i, (start, length) in enumerate(zip(onset, duration, strict=True)):
        end = start + length
        later = [t for t in onset if t > end]
        rests = end not in onset or length == 0
        for j, other in enumerate(onset):
            if other == start:
                found["onset"].append((i, j))
            if other == end:
                found["consecutive"].append((i, j))
            if start < other < end:
                found["during"].append((i, j))
            if rests and later and other == min(later):
                found["rest"].append((i, j))
    return found


notes = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=14)


@given(notes)
def test_edges_are_those_of_the_definition(pairs):
    onset, duration = np.array(sorted(pairs)).T
    edges = note_edges(onset, duration)
    for name, expected in defined_edges(onset.tolist(), duration.tolist()).items():
        assert edges[name].T.tolist() == [list(pair) for pair in expected], name
        assert edges[name].dtype == np.int64


@given(notes, st.integers(-50, 50))
def test_times_that_lie_far_apart_give_the_same_edges(pairs, shift):
    onset, duration = np.array(sorted(pairs)).T
    edges, spread = note_edges(onset, duration), note_edges(1000 * onset + shift, 1000 * duration)
    for name in RELATIONS:
        assert spread[name].tolist() == edges[name].tolist(), name


def test_chord_melody_and_gap_by_hand():
    # C held for 4 under D E, then a gap until F at 6
    edges = note_edges(np.array([0, 0, 2, 6]), np.array([4, 2, 2, 1]))
    assert edges["onset"].T.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [3, 3]]
    assert edges["consecutive"].T.tolist() == [[1, 2]]
    assert edges["during"].T.tolist() == [[0, 2]]
    assert edges["rest"].T.tolist() == [[0, 3], [2, 3]]


def test_grace_note_follows_itself_and_rests_until_the_next_onset():
    edges = note_edges(np.array([0, 0, 3]), np.array([0, 3, 1]))
    assert edges["consecutive"].T.tolist() == [[0, 0], [0, 1], [1, 2]]
    assert edges["rest"].T.tolist() == [[0, 2]]
    assert edges["during"].shape == (2, 0)


def test_too_many_edges_are_an_error_before_they_are_made(monkeypatch):
    monkeypatch.setattr(mt3x.score.graphs.edges, "MAX_EDGES", 8)
    with pytest.raises(ValueError, match="3 notes have 9 edges, more than 8"):
        note_edges(np.zeros(3, int), np.ones(3, int))


def test_undirected_edges_hold_each_direction_once():
    edges = np.array([[0, 0, 1, 2], [0, 2, 0, 0]])
    assert undirected(edges, 3).T.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [2, 0]]


def test_clusters_join_their_notes_and_the_next_cluster():
    connects, following = cluster_edges(np.array([0, 0, 2]), 3)
    assert connects.T.tolist() == [[0, 0], [1, 0], [2, 2]]
    assert following.T.tolist() == [[0, 1], [1, 2]]


def test_beats_of_a_pickup_start_at_zero_and_never_go_back():
    assert beat_clusters(np.array([-1.0, -0.5, 0.0, 1.25, 1.0])).tolist() == [0, 0, 1, 2, 2]
    assert beat_clusters(np.array([3.0, 4.5])).tolist() == [3, 4]


class Moment:
    def __init__(self, t):
        self.t = t


class Measure:
    def __init__(self, start, end):
        self.start, self.end = Moment(start), Moment(end)


def test_measures_are_arrays_lists_or_objects():
    for measures in (
        np.array([[0, 4], [4, 8]]),
        [(0, 4), (4, 8)],
        [Measure(0, 4), Measure(4, 8)],
    ):
        clusters, count = measure_clusters(np.array([0, 3, 4, 7]), measures)
        assert (clusters.tolist(), count) == ([0, 0, 1, 1], 2)


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        (np.zeros((0, 2)), "must be of shape"),
        (np.array([0, 4]), "must be of shape"),
        (np.array([[0, 4], [0, 2]]), "must not decrease"),
        (np.array([[0, np.nan]]), "must be finite"),
        (np.array([[0, 4]]), "note 1 starts at 4 divs, but the last measure ends at 4"),
    ],
)
def test_measures_that_do_not_hold_the_notes_are_errors(measures, message):
    with pytest.raises(ValueError, match=message):
        measure_clusters(np.array([0, 4]), measures)
