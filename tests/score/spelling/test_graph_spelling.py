"""Spelling by a graph network: graphs of quarters by hand, models saved and read, names that sound right."""

import jax
import numpy as np
import pytest

from mt3x.score.graphs.graph import NOTE, ScoreGraph
from mt3x.score.graphs.labels import decode_key, decode_spelling
from mt3x.score.network_files import save_network
from mt3x.score.spelling.graph_spelling import (
    GraphSpellingConfig,
    GraphSpellingModel,
    graph_of_quarters,
    spell_by_graph,
    spell_graph,
)
from mt3x.score.spelling.names import positions_of

# C sharp and E under four sharps, after them D flat under five flats; given from the last to the first.
ONSET, DURATION, PITCH = np.array([1.5, 0.0, 0.0]), np.array([0.5, 1.5, 0.5]), np.array([61, 64, 61])
POSITION, FIFTHS = np.array([-5, 4, 7]), np.array([-5, 4, 4])
TINY = GraphSpellingConfig(hidden_channels=4, encoding_channels=4, num_layers=1, longest=0)


def a_model(config: GraphSpellingConfig = TINY) -> GraphSpellingModel:
    """With weights drawn at random: it prefers names of any pitch."""
    graph = graph_of_quarters(ONSET, DURATION, PITCH)
    metadata = tuple(graph.features), tuple(graph.edges)
    edges = {t: pairs.astype(np.int32) for t, pairs in graph.edges.items()}
    network, piece = config.network(metadata, longest=config.longest), np.zeros(3, np.int32)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), graph.features, edges, piece, 1))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda p: rng.uniform(0.1, 1, p.shape).astype(p.dtype), shapes)
    return GraphSpellingModel(config, *metadata, graph.features[NOTE].shape[1], variables)


@pytest.fixture(scope="module")
def model() -> GraphSpellingModel:
    return a_model()


def test_notes_in_quarters_become_a_sorted_graph_with_labels():
    graph = graph_of_quarters(ONSET, DURATION, PITCH, POSITION, FIFTHS)
    assert graph.note_array["onset_div"].tolist() == [0, 0, 720]
    assert graph.note_array["duration_div"].tolist() == [240, 720, 240]
    assert graph.note_array["pitch"].tolist() == [61, 64, 61]
    names = [
        np.char.add(step, alter.astype(str)) for step, alter in [decode_spelling(graph.labels["spelling"])]
    ]
    assert names[0].tolist() == ["C1", "E0", "D-1"]
    assert decode_key(graph.labels["key"]).tolist() == [4, 4, -5]
    assert graph.edges[NOTE, "consecutive", NOTE].tolist() == [[1], [2]]
    assert graph.edges[NOTE, "connects", "beat"].tolist() == [[0, 1, 2], [0, 0, 1]]
    np.testing.assert_allclose(graph.features[NOTE][:, 1], [0, 0, 0.5])  # place in the quarter


def test_every_name_has_its_label():
    position = np.arange(-15, 20)
    pitch = 60 + 7 * position % 12
    graph = graph_of_quarters(np.arange(35.0), np.ones(35), pitch, position, np.zeros(35))
    np.testing.assert_array_equal(positions_of(*decode_spelling(graph.labels["spelling"])), position)
    with pytest.raises(ValueError, match="note 0 is at 20 on the line of fifths"):
        graph_of_quarters([0.0], [1.0], [60], [20], [0])


def test_names_sound_as_the_notes_do(model):
    pitch = np.random.default_rng(1).integers(0, 128, 40)
    graph = graph_of_quarters(np.arange(40) / 4, np.full(40, 0.25), pitch)
    spelling = spell_graph(graph, model)
    steps = np.array(["CDEFGAB".index(step) for step in spelling.step])
    np.testing.assert_array_equal(
        12 * (spelling.octave + 1) + np.array([0, 2, 4, 5, 7, 9, 11])[steps] + spelling.alter, pitch
    )
    assert (np.abs(spelling.alter) <= 2).all() and (np.abs(spelling.fifths) <= 7).all()


def test_notes_in_any_order_get_their_names(model):
    rng = np.random.default_rng(2)
    onset, pitch = rng.integers(0, 12, 40) / 2, rng.integers(40, 80, 40)
    sorted_first = np.lexsort((pitch, onset))
    spelling = spell_by_graph(onset, np.ones(40), pitch, model)
    graph = graph_of_quarters(onset[sorted_first], np.ones(40), pitch[sorted_first])
    expected = spell_graph(graph, model)
    assert spelling.step[sorted_first].tolist() == expected.step.tolist()
    assert spelling.fifths[sorted_first].tolist() == expected.fifths.tolist()


@pytest.mark.slow
def test_with_grus_a_piece_may_be_longer_than_a_region_in_training():
    recurrent = a_model(GraphSpellingConfig(4, 4, 1, longest=2))
    graph = graph_of_quarters(ONSET, DURATION, PITCH)
    first = spell_graph(graph, recurrent)
    assert len(first.step) == 3


def test_a_saved_model_spells_the_same(model, tmp_path):
    model.save(tmp_path / "model.npz")
    loaded = GraphSpellingModel.load(tmp_path / "model.npz")
    assert (loaded.config, loaded.node_types, loaded.edge_types) == (
        model.config,
        model.node_types,
        model.edge_types,
    )
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, model.variables)
    graph = graph_of_quarters(ONSET, DURATION, PITCH)
    before, after = spell_graph(graph, model), spell_graph(graph, loaded)
    assert before.step.tolist() == after.step.tolist()
    assert before.fifths.tolist() == after.fifths.tolist()


def test_another_network_is_no_graph_spelling_model(tmp_path):
    save_network(tmp_path / "other.npz", {"width": 3}, {})
    with pytest.raises(ValueError, match="other.npz is not a graph spelling model"):
        GraphSpellingModel.load(tmp_path / "other.npz")


def test_graphs_of_another_kind_are_refused(model):
    graph = graph_of_quarters(ONSET, DURATION, PITCH)
    notes = {NOTE: graph.features[NOTE]}
    among_notes = {t: pairs for t, pairs in graph.edges.items() if "beat" not in t}
    narrow = {t: x[:, :7] for t, x in graph.features.items()}
    for features, edges, what in (
        (notes, among_notes, "node types"),
        (graph.features, among_notes, "edge types"),
        (narrow, graph.edges, "features of a note 7, the model reads 25"),
    ):
        with pytest.raises(ValueError, match=f"the graph has the {what}"):
            spell_graph(ScoreGraph(features, edges, graph.note_array), model)
