"""Pictures of graphs: what is drawn, and files of each kind."""

import sys

import pytest

from mt3x.score.graphs.graph import create_random_music_graph
from mt3x.score.graphs.plots import plot_graph

GRAPH = create_random_music_graph(24, 1, 5)


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_files_are_of_the_kind_they_are_named_after(tmp_path, suffix, start):
    path = tmp_path / f"graph{suffix}"
    plot_graph(GRAPH, path, num_notes=8)
    assert path.read_bytes().startswith(start)


def test_edges_between_different_notes_are_drawn_over_bars():
    figure = plot_graph(GRAPH, relations=("onset", "consecutive"))
    bars, *edges = figure.axes[0].collections
    drawn = {each.get_label(): each for each in edges}
    assert len(bars.get_paths()) == 24
    onset = GRAPH.edges["note", "onset", "note"]
    assert len(drawn["onset"].get_segments()) == (onset[0] != onset[1]).sum()
    assert len(drawn["consecutive"].get_segments()) == GRAPH.edges["note", "consecutive", "note"].shape[1]
    assert "during" not in drawn
    assert [line.get_label() for line in figure.axes[0].lines] == ["beat"]


def test_a_part_of_a_graph_holds_no_edges_that_leave_it():
    figure = plot_graph(GRAPH, first_note=4, num_notes=10, relations=("consecutive",))
    source, target = GRAPH.edges["note", "consecutive", "note"]
    inside = (source >= 4) & (source < 14) & (target >= 4) & (target < 14)
    drawn = {each.get_label(): each for each in figure.axes[0].collections}
    assert len(drawn["consecutive"].get_segments()) == inside.sum()


def test_what_cannot_be_drawn_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="must end in one of .svg, .png, .pdf"):
        plot_graph(GRAPH, tmp_path / "graph.txt")
    with pytest.raises(ValueError, match="no notes from 24 to 24 in 24"):
        plot_graph(GRAPH, first_note=24)
    with pytest.raises(ValueError, match=r"no note edges \['next'\]"):
        plot_graph(GRAPH, relations=("next",))


def test_a_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"mt3x\[plot\]"):
        plot_graph(GRAPH)
