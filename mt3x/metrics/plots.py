"""Figures of an evaluation: how exactly notes were found, by which instruments, and what all figures share.

Every function takes data and returns matplotlib's `Figure`, of which no global state knows (pyplot is not
used): nothing is shown, and nothing has to be closed. Letters have 6 to 8 points at the figures' own sizes,
which are those of a page (7.2 inches) or of a column (3.5). Blue is right and vermilion is wrong, which
colour-blind readers tell apart; what was missed is pale with a dark edge, to be seen in grey as well.

Source: the tolerance sweep of MT3 (arXiv 2111.03017); colours of Okabe and Ito (2008).
"""

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mt3x.metrics.confusions import CONFUSION_CLASSES
from mt3x.metrics.notes import ONSET_TOLERANCE_SECONDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, WRONG, MISSED, PALE = "#0072B2", "#D55E00", "#F0E442", "#A6D3EE"

Interval = tuple[float, float]

_SERIES: tuple[dict[str, Any], ...] = (
    {"color": RIGHT, "marker": "o", "linestyle": "-"},
    {"color": WRONG, "marker": "s", "linestyle": "--"},
    {"color": "#009E73", "marker": "^", "linestyle": "-."},
    {"color": "#CC79A7", "marker": "D", "linestyle": ":"},
)
LABEL_POINTS, TICK_POINTS, _CELL_POINTS = 8, 7, 6
PAGE_INCHES, COLUMN_INCHES = 7.2, 3.5
_CELL, _LETTER, _MARGIN = 0.36, 0.06, 0.4  # of a confusion matrix, inches


def plot_tolerances(
    curves: Mapping[str, Mapping[float, float]],
    bands: Mapping[str, Mapping[float, Interval]] = MappingProxyType({}),
    score_name: str = "Onset + offset F1",
) -> "Figure":
    """F1 against the tolerance, a curve for each label.

    Args:
      curves: label -> tolerance in seconds -> F1, for 1 to 4 labels.
      bands: label -> tolerance -> confidence interval, for labels that have them.
      score_name: what was scored.

    Raises:
      ValueError: no curve or more than 4, or a band without a curve.
      ImportError: matplotlib is not installed.
    """
    if not 1 <= len(curves) <= len(_SERIES):
        raise ValueError(f"{len(curves)} curves; 1 to {len(_SERIES)} can be told apart in one figure")
    if unknown := bands.keys() - curves.keys():
        raise ValueError(f"a band for {min(unknown)!r}, which is none of the curves {', '.join(curves)}")
    figure = new_figure(COLUMN_INCHES, 2.4, layout="constrained")
    axes = figure.add_subplot()
    for (label, curve), style in zip(curves.items(), _SERIES, strict=False):
        milliseconds = [1000 * tolerance for tolerance in curve]
        axes.plot(milliseconds, list(curve.values()), label=label, markersize=3.5, linewidth=1.2, **style)
        if label in bands:
            low, high = zip(*(bands[label][tolerance] for tolerance in curve), strict=True)
            axes.fill_between(milliseconds, low, high, color=style["color"], alpha=0.2, linewidth=0)
    ticks = sorted({1000 * tolerance for curve in curves.values() for tolerance in curve})
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.axvline(1000 * ONSET_TOLERANCE_SECONDS, color="0.6", linewidth=0.6, linestyle=":", zorder=0)
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color="0.9", linewidth=0.5)
    axes.set_xlabel("Tolerance (ms)", fontsize=LABEL_POINTS)
    axes.set_ylabel(score_name, fontsize=LABEL_POINTS)
    if len(curves) > 1:
        axes.legend(fontsize=TICK_POINTS, frameon=False)
    style_axes(axes)
    return figure


def plot_confusions(counts: np.ndarray) -> "Figure":
    """A matrix of `count_confusions`: the classes that occur, each cell with its number of notes.

    Shades are shares of the row, for extra notes shares of the column.

    Raises:
      ValueError: the matrix has another shape.
      ImportError: matplotlib is not installed.
    """
    size = len(CONFUSION_CLASSES)
    if np.shape(counts) != (size + 1, size + 1):
        raise ValueError(f"confusions have shape {np.shape(counts)}; it must be ({size + 1}, {size + 1})")
    kept = [*np.flatnonzero(counts[:size].sum(axis=1) + counts[:, :size].sum(axis=0)), size]
    cells = counts[np.ix_(kept, kept)]
    totals = np.repeat(cells.sum(axis=1)[:, np.newaxis], len(kept), axis=1)
    totals[-1] = cells.sum(axis=0)
    shares = cells / np.maximum(totals, 1)
    names = [CONFUSION_CLASSES[number] for number in kept[:-1]]
    inches = _CELL * len(kept)
    margin = _LETTER * max(map(len, [*names, "(missed)"])) + _MARGIN
    total = margin + inches + 0.02
    figure = new_figure(total, total)
    axes = figure.add_axes((margin / total, 0.02 / total, inches / total, inches / total))
    borders = np.arange(len(kept) + 1) - 0.5
    axes.pcolormesh(borders, borders, _shades(shares), edgecolors="white", linewidth=0.5)
    axes.invert_yaxis()
    for (row, column), count in np.ndenumerate(cells):
        if count:
            ink = "white" if shares[row, column] > 0.5 else "black"
            style = {"ha": "center", "va": "center", "fontsize": _CELL_POINTS, "color": ink}
            axes.text(column, row, str(count) if count < 1e4 else f"{count / 1000:.0f}k", **style)
    positions = np.arange(len(kept))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(positions, [*names, "(missed)"], rotation=90)
    axes.set_yticks(positions, [*names, "(extra)"])
    axes.set_xlabel("Estimate", fontsize=LABEL_POINTS)
    axes.set_ylabel("Reference", fontsize=LABEL_POINTS)
    style_axes(axes)
    axes.tick_params(length=0)
    return figure


def _shades(shares: np.ndarray) -> np.ndarray:
    """float64 [K, K, 3]: from white to the colour for right on the diagonal, for wrong beside it."""
    from matplotlib.colors import to_rgb

    is_right = np.eye(len(shares), dtype=bool)[..., np.newaxis]
    full = np.where(is_right, to_rgb(RIGHT), to_rgb(WRONG))
    return 1 - shares[..., np.newaxis] * (1 - full)


def plot_class_scores(
    scores: Mapping[str, float],
    intervals: Mapping[str, Interval] = MappingProxyType({}),
    score_name: str = "F1",
    group_name: str = "",
) -> "Figure":
    """A bar for each class, or other group of notes, from the top, with its confidence interval.

    Args:
      scores: class name -> score within 0..1.
      intervals: class name -> (low, high), for classes that have one.
      score_name: what was scored.
      group_name: what the classes are, above them.

    Raises:
      ValueError: no classes.
      ImportError: matplotlib is not installed.
    """
    if not scores:
        raise ValueError("0 classes; give at least 1")
    figure = new_figure(COLUMN_INCHES, 0.6 + 0.2 * (len(scores) + bool(group_name)), layout="constrained")
    axes = figure.add_subplot()
    positions = np.arange(len(scores))
    axes.barh(positions, list(scores.values()), height=0.65, color=RIGHT)
    for position, (name, score) in enumerate(scores.items()):
        low, high = intervals.get(name, (score, score))
        axes.plot([low, high], [position, position], color="black", linewidth=1, marker="|", markersize=5)
        axes.text(1.02, position, f"{score:.2f}", va="center", fontsize=TICK_POINTS)
    axes.set_yticks(positions, list(scores))
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel(score_name, fontsize=LABEL_POINTS)
    axes.set_title(group_name, fontsize=LABEL_POINTS, loc="left", pad=4)
    axes.grid(axis="x", color="0.9", linewidth=0.5)
    style_axes(axes)
    return figure


def figure_bytes(
    figure: "Figure", format: Literal["svg", "png"] = "svg", dots_per_inch: float = 150
) -> bytes:
    """The figure as a file's content.

    Args:
      dots_per_inch: of a PNG.
    """
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type")) if format == "svg" else {"Software": None}
    file = io.BytesIO()
    figure.savefig(file, format=format, dpi=dots_per_inch, metadata=metadata)
    return file.getvalue()


def new_figure(
    width_inches: float, height_inches: float, layout: Literal["constrained"] | None = None
) -> "Figure":
    """An empty figure, of which no global state knows.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'mt3x[plot]'") from error
    return Figure(figsize=(width_inches, height_inches), layout=layout, facecolor="white")


def style_axes(axes: "Axes") -> None:
    """Gives axes the lines and letters that all figures share."""
    axes.tick_params(labelsize=TICK_POINTS, length=2.5, width=0.6, pad=2)
    axes.spines[:].set_linewidth(0.6)
    axes.set_axisbelow(True)
