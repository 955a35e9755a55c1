"""Pictures of score graphs: a piano roll, and the edges over it.

A note is a bar from its onset to its end at the height of its pitch, with its node at the onset. Inverse
edges would hide the edges that they invert, and edges from a note to itself have no length: neither is drawn.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mt3x.score.graphs.edges import RELATIONS
from mt3x.score.graphs.graph import BEAT, MEASURE, NOTE, ScoreGraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")
COLORS = {
    **dict(zip(RELATIONS, ("#0072b2", "#d55e00", "#009e73", "#cc79a7"), strict=True)),
    BEAT: "#555555",
    MEASURE: "#000000",
}
BAR_COLOR, BAR_HEIGHT = "#d9d9d9", 0.7
ROWS_BELOW = {BEAT: 3, MEASURE: 6}
"""How far below the lowest pitch the nodes of beats and measures lie, in semitones."""
INCHES_A_NOTE, LEAST_INCHES, MOST_INCHES, HEIGHT_INCHES = 0.18, 6.0, 60.0, 5.0
DOTS_PER_INCH = 150


def plot_graph(
    graph: ScoreGraph,
    path: str | os.PathLike | None = None,
    first_note: int = 0,
    num_notes: int | None = None,
    relations: tuple[str, ...] = RELATIONS,
) -> "Figure":
    """Draws a graph, or some of it, and writes it to a .svg, .png or .pdf file if a path is given.

    Args:
      first_note, num_notes: draws these notes and the edges between them; None: to the last note.
      relations: which edges between notes are drawn.

    Raises:
      ValueError: another kind of file, no notes to draw, or a relation that the graph does not have.
      ImportError: matplotlib is not installed.
    """
    if path is not None and Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} must end in one of {', '.join(SUFFIXES)}")
    last_note = graph.num_nodes() if num_notes is None else min(first_note + num_notes, graph.num_nodes())
    if not 0 <= first_note < last_note:
        raise ValueError(f"there are no notes from {first_note} to {last_note} in {graph.num_nodes()}")
    unknown = [name for name in relations if (NOTE, name, NOTE) not in graph.edges]
    if unknown:
        raise ValueError(f"the graph has no note edges {unknown}; it has {[e[1] for e in graph.edges]}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plot_graph needs matplotlib: pip install 'mt3x[plot]'") from error

    width = np.clip(INCHES_A_NOTE * (last_note - first_note), LEAST_INCHES, MOST_INCHES)
    figure = Figure(figsize=(float(width), HEIGHT_INCHES), layout="constrained")
    axes = figure.add_subplot()
    _draw_notes(axes, graph, first_note, last_note)
    for name in relations:
        _draw_edges(axes, graph, name, first_note, last_note)
    for node_type in (BEAT, MEASURE):
        if node_type in graph.features:
            _draw_clusters(axes, graph, node_type, first_note, last_note)
    axes.set_xlabel("onset (divs)")
    axes.set_ylabel("pitch (MIDI)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=len(relations) + 2, frameon=False)
    if path is not None:
        figure.savefig(path, dpi=DOTS_PER_INCH)
    return figure


def _draw_notes(axes: "Axes", graph: ScoreGraph, first: int, last: int) -> None:
    from matplotlib.collections import PolyCollection

    notes = graph.note_array[first:last]
    left, pitch = notes["onset_div"].astype(float), notes["pitch"].astype(float)
    right = left + notes["duration_div"]
    low, high = pitch - BAR_HEIGHT / 2, pitch + BAR_HEIGHT / 2
    corners = [[left, low], [right, low], [right, high], [left, high]]
    bars = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)  # [N, 4, 2]
    axes.add_collection(PolyCollection(list(bars), facecolors=BAR_COLOR, edgecolors="white", zorder=1))
    axes.scatter(left, pitch, s=12, color="black", zorder=3)


def _draw_edges(axes: "Axes", graph: ScoreGraph, relation: str, first: int, last: int) -> None:
    source, target = graph.edges[NOTE, relation, NOTE]
    is_drawn = (
        (source != target) & (np.minimum(source, target) >= first) & (np.maximum(source, target) < last)
    )
    x, y = graph.note_array["onset_div"], graph.note_array["pitch"]
    ends = [np.stack((x[nodes], y[nodes]), axis=-1) for nodes in (source[is_drawn], target[is_drawn])]
    _draw_lines(axes, np.stack(ends, axis=1), COLORS.get(relation, "black"), relation)


def _draw_clusters(axes: "Axes", graph: ScoreGraph, node_type: str, first: int, last: int) -> None:
    """Nodes of beats or measures under their first notes, joined with all their notes and with each other."""
    clusters, onset = graph.clusters(node_type), graph.note_array["onset_div"]
    present, firsts = np.unique(clusters, return_index=True)
    drawn = np.arange(clusters[first], clusters[last - 1] + 1)
    x = np.interp(drawn, present, onset[firsts])  # one without notes lies between its neighbours
    y = graph.note_array["pitch"][first:last].min() - ROWS_BELOW[node_type]
    notes = np.arange(first, last)
    above = np.stack((onset[notes], graph.note_array["pitch"][notes]), axis=-1)
    below = np.stack((x[clusters[notes] - drawn[0]], np.full(len(notes), y)), axis=-1)
    color = COLORS[node_type]
    _draw_lines(axes, np.stack((above, below), axis=1), color, None, width=0.3, opacity=0.4)
    axes.plot(x, np.full(len(x), y), color=color, marker="s", markersize=4, linewidth=0.8, label=node_type)


def _draw_lines(
    axes: "Axes",
    lines: np.ndarray,
    color: str,
    label: str | None,
    width: float = 0.9,
    opacity: float = 0.7,
) -> None:
    from matplotlib.collections import LineCollection

    options: dict[str, Any] = {} if label is None else {"label": label}
    options |= {"colors": color, "linewidths": width, "alpha": opacity, "zorder": 2}
    axes.add_collection(LineCollection(list(lines.astype(float)), **options))  # [E, 2, 2]
