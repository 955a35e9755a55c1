"""Piano rolls of a piece: what was found, missed and made up.

Letters, colours and sizes are those of `metrics.plots`. Source: the piano rolls of MT3 (arXiv 2111.03017).
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mt3x.metrics.frames import lengthen_short_notes
from mt3x.metrics.notes import ONSET_TOLERANCE_SECONDS, match_notes
from mt3x.metrics.plots import (
    LABEL_POINTS,
    MISSED,
    PAGE_INCHES,
    PALE,
    RIGHT,
    TICK_POINTS,
    WRONG,
    new_figure,
    style_axes,
)
from mt3x.music.checks import check_at_least
from mt3x.music.notes import total_seconds, validate_notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# label -> (face, edge, width of the edge in points), in the order of drawing
MARKS: Mapping[str, tuple[str, str, float]] = MappingProxyType(
    {
        "length in the reference": (PALE, PALE, 0.0),
        "missed (false negative)": (MISSED, "black", 0.5),
        "extra (false positive)": (WRONG, "white", 0.3),
        "found (true positive)": (RIGHT, "white", 0.3),
    }
)
"""What a roll is made of."""


# Inches, around the rows of a roll and of what stands in them.
_LEFT, _RIGHT, _HEAD, _FOOT = 0.48, 0.16, 0.3, 0.04
_SEMITONE, _DRUM_LANE, _LEAST_DRUMS, _PANEL_GAP, _ROW_GAP = 0.033, 0.1, 0.4, 0.05, 0.25
_LEAST_SEMITONES = 16  # of a roll, so that music on one pitch is not drawn in a slit
_EDGE_LINE = {"colors": "0.3", "linestyles": [(0, (4, 2))], "linewidths": 0.6}


def note_rectangles(notes: np.ndarray, heights: npt.ArrayLike | None = None) -> np.ndarray:
    """Corners of the notes in a piano roll: float64 [N, 4, 2] of (seconds, pitch).

    Args:
      notes: [N].
      heights: [N], where the notes are drawn, if not at their pitches.
    """
    start, end = notes["start"], notes["end"]
    middle = np.asarray(notes["pitch"] if heights is None else heights, np.float64)
    low, high = middle - 0.4, middle + 0.4
    return np.stack(
        [np.stack([start, start, end, end], axis=1), np.stack([low, high, high, low], axis=1)], axis=2
    )


def plot_rolls(
    reference: np.ndarray,
    estimate: np.ndarray,
    segment_edges_seconds: npt.ArrayLike = (),
    row_seconds: float = 20.0,
    rows_per_figure: int = 4,
    onset_tolerance_seconds: float = ONSET_TOLERANCE_SECONDS,
) -> list["Figure"]:
    """Piano rolls of a piece in rows of equal length, as many figures as it takes.

    Notes match by onset and pitch, whatever plays them; drum hits match among themselves and have lanes of
    their own, as long as 50 ms. Notes that last no time are left out, as in `match_notes`.

    Args:
      reference: notes [N].
      estimate: notes [M].
      segment_edges_seconds: [K], where the recording was cut.
      row_seconds: a row is about as long, from two thirds to one and a half of it.
      rows_per_figure: at most so many are below one another.

    Raises:
      ValueError: the notes are unsound, `row_seconds` is not above 0, or `rows_per_figure` is below 1.
      ImportError: matplotlib is not installed.
    """
    if not (np.isfinite(row_seconds) and row_seconds > 0):
        raise ValueError(f"row_seconds is {row_seconds}; it must be above 0, such as 20")
    check_at_least(1, rows_per_figure=rows_per_figure)
    edges = np.asarray(segment_edges_seconds, np.float64)
    tolerance = onset_tolerance_seconds
    panels = _panels(*(_marks(reference, estimate, is_drum, tolerance) for is_drum in (False, True)))
    seconds = max(total_seconds(reference), total_seconds(estimate), edges.max(initial=0.0)) or row_seconds
    num_rows = max(1, round(seconds / row_seconds))
    borders = np.linspace(0, seconds, num_rows + 1)
    return [
        _roll_figure(panels, edges, borders[first : first + rows_per_figure + 1])
        for first in range(0, num_rows, rows_per_figure)
    ]


_Panel = tuple[float, Callable[["Axes"], None]]
"""(height in inches, what draws it into axes whose seconds are set)"""


def _marks(
    reference: np.ndarray, estimate: np.ndarray, is_drum: bool, tolerance_seconds: float
) -> dict[str, np.ndarray]:
    """The notes of each of `MARKS`."""
    reference, estimate = (
        notes[(notes["is_drum"] == is_drum) & (notes["end"] > notes["start"])]
        for notes in (validate_notes(reference), validate_notes(estimate))
    )
    pairs = match_notes(reference, estimate, onset_tolerance_seconds=tolerance_seconds)
    missed, extra = np.delete(reference, pairs[:, 0]), np.delete(estimate, pairs[:, 1])
    groups = reference[pairs[:, 0]], missed, extra, estimate[pairs[:, 1]]
    return dict(zip(MARKS, map(lengthen_short_notes, groups) if is_drum else groups, strict=True))


def _panels(pitched: dict[str, np.ndarray], drums: dict[str, np.ndarray]) -> list[_Panel]:
    """Those of each row, from the top: pitches, and drum keys if there are any."""
    pitches, keys = (np.unique(np.concatenate([n["pitch"] for n in m.values()])) for m in (pitched, drums))
    panels: list[_Panel] = []
    if len(pitches) or not len(keys):
        low, high = (pitches[0], pitches[-1]) if len(pitches) else (60, 72)
        room = max(2, (_LEAST_SEMITONES - (high - low)) / 2)
        low, high = float(low - room), float(high + room)
        panels.append((_SEMITONE * (high - low), functools.partial(_draw_pitched, pitched, low, high)))
    if len(keys):
        height = max(_LEAST_DRUMS, _DRUM_LANE * (len(keys) + 0.5))
        panels.append((height, functools.partial(_draw_drums, drums, keys)))
    return panels


def _roll_figure(panels: list[_Panel], edges: np.ndarray, borders: np.ndarray) -> "Figure":
    """A row between each two borders, in seconds."""
    row_height = sum(height + _PANEL_GAP for height, _ in panels) + _ROW_GAP
    total = _HEAD + (len(borders) - 1) * row_height + _FOOT
    figure = new_figure(PAGE_INCHES, total)
    for row in range(len(borders) - 1):
        top = total - _HEAD - row * row_height
        start, end = borders[row : row + 2]
        for height, draw in panels:
            axes = figure.add_axes(
                (
                    _LEFT / PAGE_INCHES,
                    (top - height) / total,
                    1 - (_LEFT + _RIGHT) / PAGE_INCHES,
                    height / total,
                )
            )
            top -= height + _PANEL_GAP
            axes.set_xlim(start, end)
            inside = edges[(edges >= start) & (edges <= end)]
            axes.vlines(
                inside, 0, 1, transform=axes.get_xaxis_transform(), label="segment edge", **_EDGE_LINE
            )
            draw(axes)
            style_axes(axes)
            axes.tick_params(labelbottom=draw is panels[-1][1])
    figure.axes[-1].set_xlabel("Time (s)", fontsize=LABEL_POINTS, labelpad=1)
    _add_roll_legend(figure, len(edges) > 0)
    return figure


def _draw_pitched(marks: dict[str, np.ndarray], low: float, high: float, axes: "Axes") -> None:
    _add_marks(axes, marks)
    axes.set_ylim(low, high)
    axes.set_yticks(np.arange(12 * np.ceil(low / 12), high, 12))
    axes.grid(axis="y", color="0.88", linewidth=0.5)
    axes.set_ylabel("MIDI pitch", fontsize=LABEL_POINTS)


def _draw_drums(marks: dict[str, np.ndarray], keys: np.ndarray, axes: "Axes") -> None:
    _add_marks(axes, marks, lanes=keys)
    axes.set_ylim(-0.75, len(keys) - 0.25)
    axes.set_yticks(np.arange(len(keys)), [str(key) for key in keys])
    axes.set_ylabel("Drums", fontsize=LABEL_POINTS)


def _add_marks(axes: "Axes", marks: dict[str, np.ndarray], lanes: np.ndarray | None = None) -> None:
    """The notes that sound within the axes' seconds; on lanes of their pitches, if these are given."""
    from matplotlib.collections import PolyCollection

    start, end = axes.get_xlim()
    for name, notes in marks.items():
        shown = notes[(notes["start"] < end) & (notes["end"] > start)]
        heights = None if lanes is None else np.searchsorted(lanes, shown["pitch"])
        corners = list(note_rectangles(shown, heights))
        face, edge, width = MARKS[name]
        axes.add_collection(
            PolyCollection(
                corners, facecolors=face, edgecolors=edge, linewidths=width, label=name, snap=False
            ),
            autolim=False,
        )


def _add_roll_legend(figure: "Figure", has_edges: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Patch | Line2D] = [
        Patch(facecolor=face, edgecolor=edge, linewidth=width, label=name)
        for name, (face, edge, width) in reversed(list(MARKS.items()))
    ]
    if has_edges:
        handles.append(
            Line2D([], [], color="0.3", linestyle=(0, (4, 2)), linewidth=0.8, label="segment edge")
        )
    style = {"frameon": False, "columnspacing": 1.5, "handlelength": 1.6, "borderaxespad": 0.2}
    figure.legend(handles=handles, loc="upper center", ncols=len(handles), fontsize=TICK_POINTS, **style)
