"""Graphs of spelled scores in many keys: shifts by hand, and how many notes are drawn."""

import numpy as np
import pytest

from mt3x.data.spelling.graphs import graphs_in_many_keys, possible_shifts, spelled_graph
from mt3x.data.spelling.scores import SPELLED_DTYPE, SpelledScore
from mt3x.score.graphs.labels import decode_key, decode_spelling
from mt3x.score.spelling.names import positions_of

# In A major: A, C sharp, E.
CHORD = np.array([(0.0, 1.0, 57, 3, 3, 0), (0.0, 1.0, 61, 7, 3, 0), (0.0, 1.0, 64, 4, 3, 0)], SPELLED_DTYPE)


def a_score(name: str, notes: np.ndarray = CHORD) -> SpelledScore:
    return SpelledScore(name, "", notes)


def test_a_piece_moves_with_its_names_and_signatures():
    graph = spelled_graph(CHORD, -5)  # to B flat major, a semitone up
    assert graph.note_array["pitch"].tolist() == [58, 62, 65]
    assert positions_of(*decode_spelling(graph.labels["spelling"])).tolist() == [-2, 2, -1]
    assert decode_key(graph.labels["key"]).tolist() == [-2] * 3


def test_pieces_move_to_signatures_of_few_accidentals():
    assert possible_shifts(CHORD).tolist() == list(range(-8, 3))
    many = CHORD.copy()
    many["fifths"], many["position"] = 7, many["position"] + 4
    assert possible_shifts(many).tolist() == [*range(-12, -1), 0]
    high = CHORD.copy()
    high["pitch"] = [124, 125, 127]
    assert 0 in possible_shifts(high) and 2 not in possible_shifts(high)  # two fifths: a tone up


def test_pieces_come_once_before_they_come_in_another_key():
    scores = [a_score("one"), a_score("two", CHORD[:2]), a_score("three", CHORD[:1])]
    sizes = [graph.num_nodes() for graph in graphs_in_many_keys(scores, 12)]
    assert sorted(sizes[:3]) == sorted(sizes[3:]) == [1, 2, 3]
    keys = [graph.labels["key"][0] for graph in graphs_in_many_keys(scores[:1], 1000)]
    assert len(keys) == len(set(keys)) == 11
    again, other = (graphs_in_many_keys(scores, 12, seed) for seed in (0, 1))
    assert [graph.num_nodes() for graph in again] == sizes
    assert any(
        (a.note_array["pitch"].tolist() != b.note_array["pitch"].tolist())
        for a, b in zip(again, other, strict=True)
    )


def test_without_scores_there_are_no_graphs():
    with pytest.raises(ValueError, match="none of 0 scores can be spelled"):
        graphs_in_many_keys([], 100)
