"""Pictures of fits: every coefficient with its interval, every penalty with its log loss."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from pipeline.drawing import Estimate, TriedPenalty, draw_coefficients, draw_path

pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)")


def test_a_coefficient_is_a_point_on_the_line_of_its_interval() -> None:
    (axes,) = draw_coefficients([Estimate("distance", 0.5, 0.25, 0.75), Estimate("$x$ \x1b", -1.0)]).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["distance", r"$x$ \x1b"]
    zero, interval, point, alone = axes.lines
    assert list(zero.get_xdata()) == [0, 0]
    assert list(interval.get_xdata()) == [0.25, 0.75]
    assert (list(point.get_xdata()), list(alone.get_xdata())) == ([0.5], [-1.0])
    assert axes.get_xscale() == "linear"
    assert axes.get_title(loc="left") == "Coefficients with 95 % intervals"
    top, bottom = axes.get_ylim()[::-1]
    assert top < 0 < 1 < bottom


def test_of_very_many_coefficients_the_largest_are_drawn_in_their_order() -> None:
    estimates = [Estimate(f"x{number}", (-1.0) ** number * number) for number in range(100)]
    (axes,) = draw_coefficients(estimates).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"x{number}" for number in range(40, 100)]
    assert axes.get_title(loc="left") == "Coefficients\nthe 60 largest of 100"


def test_small_coefficients_can_be_seen_beside_large_ones() -> None:
    (axes,) = draw_coefficients([Estimate("small", 1e-6), Estimate("large", 1e3), Estimate("none", 0.0)]).axes
    assert axes.get_xscale() == "symlog"
    assert not [label for label in axes.get_xticklabels() if "$" in label.get_text()]
    assert axes.transData.transform((1e-6, 0))[0] - axes.transData.transform((0, 0))[0] > 10


def test_nothing_to_draw_is_an_empty_picture() -> None:
    (axes,) = draw_coefficients([]).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == []


def test_a_path_shows_each_penalty_and_the_one_chosen() -> None:
    tried = [TriedPenalty(1.0, 0.6, 0.05), TriedPenalty(0.1, 0.5, 0.05, chosen=True), TriedPenalty(0.01, 0.55)]
    (axes,) = draw_path(tried).axes
    losses, chosen = axes.lines[0], axes.lines[-1]
    assert (list(losses.get_xdata()), list(losses.get_ydata())) == ([1.0, 0.1, 0.01], [0.6, 0.5, 0.55])
    assert (list(chosen.get_xdata()), list(chosen.get_ydata())) == ([0.1], [0.5])
    assert [text.get_text() for text in axes.texts] == ["chosen"]
    assert axes.get_xscale() == "log"
    assert "0.01" in [label.get_text() for label in axes.get_xticklabels()]
    assert draw_path([TriedPenalty(0.0, 0.5)]).axes[0].get_xscale() == "linear"
