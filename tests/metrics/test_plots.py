"""Figures: what is in them, and that they are files that a browser shows."""

import itertools
import sys
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec

import numpy as np
import pytest

from mt3x.metrics.plots import (
    MISSED,
    PALE,
    RIGHT,
    WRONG,
    figure_bytes,
    plot_class_scores,
    plot_confusions,
    plot_tolerances,
)

pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="Matplotlib is not installed")


def test_colours_stay_apart_for_colour_blind_eyes():
    from matplotlib.colors import to_rgb

    # Machado et al. 2009: what is left of linear RGB without red and without green cones.
    protan = [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
    deutan = [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
    for matrix in (np.eye(3), np.array(protan), np.array(deutan)):
        seen = [
            np.clip(matrix @ np.array(to_rgb(name)) ** 2.2, 0, 1) ** (1 / 2.2)
            for name in (RIGHT, WRONG, MISSED, PALE)
        ]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.35


def test_confusion_matrix_shows_the_classes_that_occur_and_their_numbers():
    from matplotlib.colors import to_rgb

    counts = np.zeros((18, 18), int)
    counts[0, 0], counts[0, 5], counts[17, 16], counts[5, 17] = 30, 10, 23456, 2
    (axes,) = plot_confusions(counts).axes
    columns = ["Piano", "Strings", "Drums"]
    assert [label.get_text() for label in axes.get_xticklabels()] == [*columns, "(missed)"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [*columns, "(extra)"]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "30", (1, 0): "10", (2, 3): "23k", (3, 1): "2"}
    shades = np.asarray(axes.collections[0].get_array())
    quarter_wrong = 1 - 0.25 * (1 - np.array(to_rgb(WRONG)))
    np.testing.assert_allclose(shades[0, 1], quarter_wrong, err_msg="10 of Piano's 40")
    np.testing.assert_allclose(shades[3, 2], to_rgb(WRONG), err_msg="all drum hits are extra")
    np.testing.assert_allclose(shades[2, 2], 1.0)


def test_no_confusions_can_be_drawn():
    assert figure_bytes(plot_confusions(np.zeros((18, 18), int)))


def test_confusions_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"confusions have shape \(2, 2\); it must be \(18, 18\)"):
        plot_confusions(np.zeros((2, 2), int))


def test_tolerances_are_points_of_a_curve_with_its_band():
    curves = {"ours": {0.01: 0.2, 0.05: 0.5, 0.5: 0.9}, "theirs": {0.05: 0.4, 0.5: 0.6}}
    (axes,) = plot_tolerances(curves, {"ours": {0.01: (0.1, 0.3), 0.05: (0.4, 0.6), 0.5: (0.8, 1)}}).axes
    points = {line.get_label(): line.get_xydata().tolist() for line in axes.lines[:2]}
    assert points == {"ours": [[10, 0.2], [50, 0.5], [500, 0.9]], "theirs": [[50, 0.4], [500, 0.6]]}
    assert len(axes.collections) == 1
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "50", "500"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Tolerance (ms)", "Onset + offset F1")


@pytest.mark.parametrize(
    ("curves", "bands", "message"),
    [
        ({}, {}, "0 curves; 1 to 4"),
        ({str(i): {0.05: 0.5} for i in range(5)}, {}, "5 curves; 1 to 4"),
        ({"a": {0.05: 0.5}}, {"b": {0.05: (0.4, 0.6)}}, "a band for 'b', which is none of the curves a"),
    ],
)
def test_too_many_curves_and_bands_of_none_are_refused(curves, bands, message):
    with pytest.raises(ValueError, match=message):
        plot_tolerances(curves, bands)


def test_classes_are_bars_from_the_top_with_intervals():
    (axes,) = plot_class_scores({"Piano": 0.8, "Drums": 0.25}, {"Piano": (0.7, 0.9)}, "F1", "Class").axes
    assert (axes.get_xlabel(), axes.get_title("left")) == ("F1", "Class")
    assert [bar.get_width() for bar in axes.patches] == [0.8, 0.25]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Piano", "Drums"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert axes.lines[0].get_xdata().tolist() == [0.7, 0.9]
    with pytest.raises(ValueError, match="0 classes; give at least 1"):
        plot_class_scores({})


def test_figures_become_svg_and_png():
    figure = plot_class_scores({"Piano": 0.8})
    root = ElementTree.fromstring(figure_bytes(figure))
    assert root.tag.endswith("svg")
    width, height = np.frombuffer(figure_bytes(figure, "png", 100)[16:24], ">u4")
    assert (width, height) == (350, 80)


def test_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'mt3x\[plot\]'"):
        plot_class_scores({"Piano": 0.8})
