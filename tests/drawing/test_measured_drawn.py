"""Pictures of measures: every line with its band, every class with its outline, names as they are."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from pipeline.drawing import DrawnAxes, DrawnBand, DrawnLine, draw_lines, draw_steps

pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)")


def test_lines_differ_by_more_than_their_colours_and_have_their_bands() -> None:
    points = DrawnLine("$a$", [0.1, 0.9], [0.2, 0.8], DrawnBand([0.0, 0.7], [0.2, 1.0]), marks=True)
    figure = draw_lines(
        [points, DrawnLine("b", [0, 1], [0, 1])], DrawnAxes("x", "y", (0, 1)), DrawnLine("by chance", (0, 1), (1, 1))
    )
    (axes,) = figure.axes
    chance, first, second = axes.lines
    assert (list(first.get_xdata()), list(first.get_ydata()), first.get_marker()) == ([0.1, 0.9], [0.2, 0.8], "o")
    assert first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle()
    assert second.get_marker() == "None"
    assert list(chance.get_ydata()) == [1, 1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["by chance", "$a$", "b"]
    (band,) = axes.collections
    low, high = band.get_datalim(axes.transData).get_points()
    assert (list(low), list(high)) == ([0.1, 0.0], [0.9, 1.0])
    assert axes.get_xlim() == (0, 1)


def test_classes_are_outlines_over_the_same_edges() -> None:
    (axes,) = draw_steps(
        [0, 0.5, 1], [("no", [0.25, 0.75]), ("yes", [0.5, 0.5])], DrawnAxes("p", "share", (0, 1), (0, None))
    ).axes
    outlines = [patch for patch in axes.patches if not patch.get_fill()]
    assert [patch.get_label() for patch in outlines] == ["no", "yes"]
    np.testing.assert_array_equal(outlines[0].get_data().values, [0.25, 0.75])
    assert outlines[0].get_linestyle() != outlines[1].get_linestyle()
    assert axes.get_ylim()[0] == 0
