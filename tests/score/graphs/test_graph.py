"""Score graphs against GraphMuse's, stored; and what they refuse."""

import numpy as np
import pytest

from mt3x.score.graphs.edges import RELATIONS
from mt3x.score.graphs.graph import (
    ScoreGraph,
    create_random_music_graph,
    create_score_graph,
    load_graph,
    save_graph,
)
from tests.score.graphs.graph_goldens import RANDOM, SCORES, read_golden


@pytest.mark.parametrize("name", SCORES)
def test_graph_with_beats_and_measures_equals_graphmuse(name):
    stored, notes = read_golden(name)
    graph = create_score_graph(stored["x__note"], notes, measures=stored["measures"], add_beats=True)
    edge_types = [tuple(key.split("__")[1:]) for key in stored if key.startswith("edge__")]
    assert graph.metadata() == (["note", "measure", "beat"], edge_types)
    for edge_type in edge_types:
        np.testing.assert_array_equal(graph.edges[edge_type], stored["__".join(("edge", *edge_type))])
    np.testing.assert_array_equal(graph.features["note"], stored["x__note"])
    for node_type in ("measure", "beat"):
        # Sums of float32 in another order differ in the last digit.
        np.testing.assert_allclose(graph.features[node_type], stored[f"x__{node_type}"], rtol=2e-6)
        np.testing.assert_array_equal(graph.clusters(node_type), stored[f"note__{node_type}_cluster"])


@pytest.mark.parametrize("name", [*SCORES, *RANDOM])
def test_note_edges_equal_the_list_of_graphmuse(name):
    stored, notes = read_golden(name)
    graph = create_score_graph(np.zeros((len(notes), 1)), notes)
    edges = [graph.edges["note", relation, "note"] for relation in RELATIONS]
    kinds = np.repeat(np.arange(len(RELATIONS)), [pairs.shape[1] for pairs in edges])
    source, target = np.concatenate(edges, axis=1)
    order = np.lexsort((kinds, target, source))
    np.testing.assert_array_equal(np.stack((source, target))[:, order], stored["raw_edges"])
    np.testing.assert_array_equal(kinds[order], stored["raw_types"])


def make_notes(onset=(0, 0, 2), duration=(2, 4, 1), pitch=(60, 64, 62), beat=None):
    columns = [np.array(onset), np.array(duration), np.array(pitch)]
    names = ["onset_div", "duration_div", "pitch"]
    if beat is not None:
        columns, names = [*columns, np.array(beat)], [*names, "onset_beat"]
    return np.rec.fromarrays(columns, names=names)


FEATURES = np.arange(6.0).reshape(3, 2)


def test_inverse_edges_are_types_of_their_own_or_the_same_or_none():
    graph = create_score_graph(FEATURES, make_notes())
    assert graph.edges["note", "during", "note"].tolist() == [[1], [2]]
    assert graph.edges["note", "during_rev", "note"].tolist() == [[2], [1]]
    assert ("note", "onset_rev", "note") not in graph.edges
    both = create_score_graph(FEATURES, make_notes(), add_reverse="undirected")
    assert both.edges["note", "during", "note"].tolist() == [[1, 2], [2, 1]]
    for bare in (both, create_score_graph(FEATURES, make_notes(), add_reverse=False)):
        assert [relation for _, relation, _ in bare.edges] == list(RELATIONS)


def test_sorting_takes_features_and_labels_along():
    notes = make_notes(onset=(2, 0, 0), pitch=(62, 64, 60))
    graph = create_score_graph(FEATURES, notes, np.array([7, 8, 9]), sort=True)
    assert graph.note_array["pitch"].tolist() == [60, 64, 62]
    assert graph.features["note"].tolist() == [[4, 5], [2, 3], [0, 1]]
    assert graph.labels["y"].tolist() == [9, 8, 7]


def test_beats_and_measures_sum_their_notes():
    notes = make_notes(beat=(0.0, 0.0, 2.5))
    graph = create_score_graph(FEATURES, notes, measures=[(0, 2), (2, 4)], add_beats=True)
    assert graph.features["beat"].tolist() == [[2, 4], [0, 0], [4, 5]]
    assert graph.features["measure"].tolist() == [[2, 4], [4, 5]]
    assert graph.edges["beat", "connects", "note"].tolist() == [[0, 0, 2], [0, 1, 2]]
    assert (graph.num_nodes(), graph.num_nodes("beat"), graph.num_nodes("chord")) == (3, 3, 0)


def test_whole_numbers_may_be_floats():
    graph = create_score_graph(FEATURES, make_notes(onset=(0.0, 0.0, 2.0)))
    assert graph.edges["note", "during", "note"].tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        (make_notes(onset=(0, 2, 0)), r"note 2, \(0, 62\), comes after \(2, 64\)"),
        (make_notes(pitch=(64, 60, 62)), "must be sorted"),
        (make_notes(duration=(2, -1, 1)), "note 1 has a duration of -1 divs"),
        (make_notes(onset=(0, np.nan, 2)), "onset_div must hold whole numbers, note 1 has nan"),
        (make_notes(onset=(0, 0.5, 2)), "onset_div must hold whole numbers, note 1 has 0.5"),
        (make_notes(duration=(2, 4, np.inf)), "duration_div must hold whole numbers, note 2 has inf"),
        (make_notes(pitch=("C", "D", "E")), "pitch must hold whole numbers, note 0 has C"),
        (make_notes()[:0], "has no notes"),
        (np.zeros(3), "must be structured"),
        (make_notes().reshape(3, 1), "must be structured and 1-D"),
        (np.zeros(3, [("onset_div", int), ("pitch", int)]), r"lacks \['duration_div'\]"),
    ],
)
def test_unsound_note_arrays_are_errors(notes, message):
    with pytest.raises(ValueError, match=message):
        create_score_graph(FEATURES[: len(notes)], notes)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (FEATURES[:2], None, r"must be of shape \[3, D\]"),
        (FEATURES[:, 0], None, r"must be of shape \[3, D\]"),
        (np.where(FEATURES == 3, np.nan, FEATURES), None, "features of note 1 are not finite"),
        (FEATURES, np.zeros(2, int), "labels 'y' must be integers"),
        (FEATURES, {"key": np.zeros(3)}, "labels 'key' must be integers"),
    ],
)
def test_features_and_labels_that_do_not_fit_are_errors(features, labels, message):
    with pytest.raises(ValueError, match=message):
        create_score_graph(features, make_notes(), labels)


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        (make_notes(), "beats need the field onset_beat"),
        (make_notes(beat=(0, np.nan, 1)), "note 1 has onset_beat nan"),
        (make_notes(beat=(0, 1, 1e9)), "more than 10000000 beats"),
    ],
)
def test_beats_need_onsets_in_beats(notes, message):
    with pytest.raises(ValueError, match=message):
        create_score_graph(FEATURES, notes, add_beats=True)


def test_random_graphs_are_reproducible_voices_without_rests():
    graph = create_random_music_graph(50, 1, 9, feature_size=3)
    again = create_random_music_graph(50, 1, 9, feature_size=3)
    assert graph.features["note"].shape == (50, 3)
    assert graph.edges["note", "rest", "note"].shape[1] <= 4 * 4  # only the ends of voices
    for edge_type, pairs in graph.edges.items():
        np.testing.assert_array_equal(pairs, again.edges[edge_type])
    other = create_random_music_graph(50, 1, 9, feature_size=3, seed=1)
    assert not np.array_equal(graph.features["note"], other.features["note"])
    assert "beat" not in create_random_music_graph(50, 1, 9, add_beat_nodes=False).features


@pytest.mark.parametrize(("arguments", "message"), [((3, 1, 9), "at least 4"), ((9, 2, 2), "1 <= min < max")])
def test_random_graphs_without_room_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_random_music_graph(*arguments)


def test_graph_is_the_same_after_saving(tmp_path):
    stored, notes = read_golden("pt_example")
    labels = {"key": stored["y_key"], "spelling": stored["y_pitch"]}
    graph = create_score_graph(stored["x__note"], notes, labels, measures=stored["measures"], add_beats=True)
    save_graph(tmp_path / "graph.npz", graph)
    loaded = load_graph(tmp_path / "graph.npz")
    assert loaded.metadata() == graph.metadata()
    for one, other in (
        (graph.features, loaded.features),
        (graph.edges, loaded.edges),
        (graph.labels, loaded.labels),
    ):
        assert list(one) == list(other)
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])
    np.testing.assert_array_equal(graph.note_array, loaded.note_array)


def test_notes_of_python_objects_are_not_saved(tmp_path):
    notes = np.zeros(1, [("onset_div", int), ("duration_div", int), ("pitch", int), ("id", object)])
    with pytest.raises(ValueError, match="Python objects"):
        save_graph(tmp_path / "graph.npz", create_score_graph(np.zeros((1, 1)), notes))


def test_other_files_are_no_graphs(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="holds no score graph"):
        load_graph(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("edges", "notes", "message"),
    [
        ([[0], [1]], 1, "lead to note 1 of 1"),
        ([[-1], [0]], 1, "lead to note -1 of 1"),
        ([[0], [0]], 2, "2 notes"),
    ],
)
def test_stored_edges_that_lead_nowhere_are_errors(tmp_path, edges, notes, message):
    graph = ScoreGraph(
        {"note": np.zeros((1, 1), np.float32)},
        {("note", "onset", "note"): np.array(edges)},
        make_notes()[:notes],
    )
    save_graph(tmp_path / "graph.npz", graph)
    with pytest.raises(ValueError, match=message):
        load_graph(tmp_path / "graph.npz")
