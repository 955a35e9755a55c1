"""Piano rolls: what is in them, counted by hand."""

import itertools
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from mt3x.metrics.plots import RIGHT, WRONG, figure_bytes
from mt3x.metrics.rolls import MARKS, note_rectangles, plot_rolls
from mt3x.music.notes import empty_notes, make_notes
from tests.metrics.drawn_notes import random_notes

pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="Matplotlib is not installed")

LENGTH, MISSED_MARK, EXTRA_MARK, FOUND = MARKS

# One note found 20 ms late and released early, one with its onset 0.2 s late, one of a wrong pitch; and a
# found, a missed and an extra drum hit.
REFERENCE = np.concatenate(
    [make_notes([0, 1, 2], [1, 2, 3], [60, 62, 64]), make_notes([0.5, 1.5], [0.6, 1.6], 36, is_drum=True)]
)
ESTIMATE = np.concatenate(
    [
        make_notes([0.02, 1.2, 2], [0.9, 2, 3], [60, 62, 67], program=40),
        make_notes([0.5, 1.5], [0.6, 1.6], [36, 38], is_drum=True),
    ]
)


def marks(axes):
    """label -> number of rectangles."""
    return {str(c.get_label()): len(c.get_paths()) for c in axes.collections if c.get_label() in MARKS}


def extents(axes, name):
    """(start, end, low, high) of a label's rectangles."""
    (collection,) = [c for c in axes.collections if c.get_label() == name]
    boxes = [path.get_extents() for path in collection.get_paths()]
    return [tuple(np.round([b.x0, b.x1, b.y0, b.y1], 6).tolist()) for b in boxes]


def test_rectangles_lie_about_the_pitch_from_onset_to_offset():
    rectangles = note_rectangles(make_notes(1.0, 2.5, 60))
    np.testing.assert_allclose(rectangles, [[[1, 59.6], [1, 60.4], [2.5, 60.4], [2.5, 59.6]]])


def test_roll_has_a_mark_for_each_note_that_is_found_missed_or_extra():
    (figure,) = plot_rolls(REFERENCE, ESTIMATE)
    pitched, drums = figure.axes
    assert marks(pitched) == {LENGTH: 1, MISSED_MARK: 2, EXTRA_MARK: 2, FOUND: 1}
    assert marks(drums) == {LENGTH: 1, MISSED_MARK: 1, EXTRA_MARK: 1, FOUND: 1}
    assert extents(pitched, FOUND) == [(0.02, 0.9, 59.6, 60.4)]
    assert extents(pitched, LENGTH) == [(0.0, 1.0, 59.6, 60.4)]
    assert extents(pitched, MISSED_MARK) == [(1.0, 2.0, 61.6, 62.4), (2.0, 3.0, 63.6, 64.4)]
    assert extents(drums, EXTRA_MARK) == [(1.5, 1.55, 0.6, 1.4)], "50 ms on the lane of the second key"
    assert [label.get_text() for label in drums.get_yticklabels()] == ["36", "38"]
    assert (pitched.get_ylabel(), drums.get_xlabel()) == ("MIDI pitch", "Time (s)")


def test_marks_have_the_colours_of_the_legend():
    from matplotlib.colors import to_rgb

    (figure,) = plot_rolls(REFERENCE, ESTIMATE)
    (legend,) = figure.legends
    shown = {
        text.get_text(): patch.get_facecolor()
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    drawn = {c.get_label(): tuple(c.get_facecolor()[0]) for axes in figure.axes for c in axes.collections[1:]}
    assert shown == drawn and len(shown) == 4
    assert drawn[FOUND][:3] == to_rgb(RIGHT) and drawn[EXTRA_MARK][:3] == to_rgb(WRONG)


def test_long_piece_is_cut_into_equal_rows_and_figures():
    notes = make_notes([5, 18, 59], [6, 23, 60], 60)
    figures = plot_rolls(notes, notes, row_seconds=20, rows_per_figure=2)
    limits = [axes.get_xlim() for figure in figures for axes in figure.axes]
    assert [len(figure.axes) for figure in figures] == [2, 1] and limits == [(0, 20), (20, 40), (40, 60)]
    assert [marks(axes)[FOUND] for figure in figures for axes in figure.axes] == [2, 1, 1], (
        "a note over the border is in both rows"
    )


def test_a_little_more_than_a_row_gets_no_row_of_its_own():
    notes = make_notes(0, 20.5, 60)
    (figure,) = plot_rolls(notes, notes, row_seconds=20)
    assert [axes.get_xlim() for axes in figure.axes] == [(0, 20.5)]


def test_segment_edges_are_lines_through_every_panel():
    (figure,) = plot_rolls(REFERENCE, ESTIMATE, [0.0, 2.048, 4.096])
    for axes in figure.axes:
        (lines,) = [c for c in axes.collections if c.get_label() == "segment edge"]
        assert [segment[0, 0] for segment in lines.get_segments()] == [0.0, 2.048, 4.096]
        assert axes.get_xlim() == (0, 4.096)
    assert figure.legends[0].get_texts()[-1].get_text() == "segment edge"


def test_panels_do_not_overlap_and_stay_inside_the_figure():
    notes = np.concatenate([random_notes(1), make_notes(1095, 1100, 30, is_drum=True)])
    for figure in plot_rolls(notes, random_notes(2), np.arange(0, 1100, 2.0), 100):
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        width, height = figure.bbox.size
        assert all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in boxes)
        legend = figure.legends[0].get_window_extent()
        assert legend.x0 >= 0 and legend.x1 <= width and legend.y0 >= max(b.y1 for b in boxes)


def test_drums_alone_have_no_panel_of_pitches():
    drums = REFERENCE[REFERENCE["is_drum"]]
    (figure,) = plot_rolls(drums, drums)
    assert [axes.get_ylabel() for axes in figure.axes] == ["Drums"]


def test_nothing_at_all_can_be_drawn():
    (figure,) = plot_rolls(empty_notes(), empty_notes())
    assert sum(marks(figure.axes[0]).values()) == 0
    assert figure_bytes(figure)


def test_notes_that_last_no_time_are_not_drawn():
    (figure,) = plot_rolls(make_notes([0, 1], [0, 2], 60), empty_notes())
    assert marks(figure.axes[0])[MISSED_MARK] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"row_seconds": 0}, "row_seconds is 0; it must be above 0"),
        ({"row_seconds": float("nan")}, "row_seconds is nan"),
        ({"rows_per_figure": 0}, "rows_per_figure is 0; it must be at least 1"),
    ],
)
def test_roll_without_rows_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_rolls(REFERENCE, ESTIMATE, **arguments)


def test_unsound_notes_are_refused():
    with pytest.raises(ValueError, match="note 0 lasts from 2.0 to 1.0"):
        plot_rolls(make_notes(2.0, 1.0, 60), ESTIMATE)


def test_nothing_is_drawn_through_pyplot(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for figure in plot_rolls(REFERENCE, ESTIMATE):
        assert figure_bytes(figure)


def test_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'mt3x\[plot\]'"):
        plot_rolls(REFERENCE, ESTIMATE)


def test_tolerance_of_onsets_decides_what_is_found():
    (figure,) = plot_rolls(REFERENCE[:1], make_notes(0.2, 1.0, 60), onset_tolerance_seconds=0.25)
    assert marks(figure.axes[0])[FOUND] == 1
