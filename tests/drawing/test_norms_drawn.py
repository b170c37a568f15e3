"""Pictures of error signals: the input is on the left, and the axis says so."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest

from pipeline.drawing import NormLine, draw_norms, save

pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)")


def line(norms: list[float], label: str = "glorot") -> NormLine:
    return NormLine(label, norms, [norm / 2 for norm in norms], [2 * norm for norm in norms])


def test_the_first_layer_is_on_the_left_and_the_axis_says_which_end_is_the_input() -> None:
    (axes,) = draw_norms([line([1e-6, 1e-3, 1.0]), line([0.1, 0.5, 1.0], "other")], "a title").axes
    first, second = axes.lines
    assert (list(first.get_xdata()), list(first.get_ydata())) == ([1, 2, 3], [1e-6, 1e-3, 1.0])
    assert list(second.get_ydata()) == [0.1, 0.5, 1.0]
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["1\nnext to the input", "2", "3\nnext to the output"]
    assert axes.get_yscale() == "log"
    assert axes.get_title(loc="left") == "a title"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["glorot", "other"]
    assert len(axes.collections) == 2
    assert not [text for text in axes.get_yticklabels() if "$" in text.get_text()]


def test_norms_through_time_are_drawn_below_with_the_last_step_on_the_right() -> None:
    above, below = draw_norms([line([0.1, 1.0])], "", "norm", [line([1e-3, 1e-2, 1.0], "layer 1")]).axes
    assert above.get_ylabel() == "norm"
    (drawn,) = below.lines
    assert (list(drawn.get_xdata()), list(drawn.get_ydata())) == ([-2, -1, 0], [1e-3, 1e-2, 1.0])
    assert below.get_yscale() == "log"
    assert below.get_xlabel().startswith("steps before the last one;")


def test_zeros_and_infinities_leave_gaps_and_never_fail(tmp_path) -> None:
    figure = draw_norms([line([0.0, 1.0, math.inf]), line([0.0, 0.0, 0.0], "nothing")], "")
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [math.nan, 1.0, math.nan])
    save(figure, tmp_path / "gaps.svg")
    save(draw_norms([line([0.0, 0.0])], ""), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000


@pytest.mark.parametrize("depth", [2, 20, 21, 47, 900])
def test_many_layers_have_few_marks_and_both_ends(depth: int) -> None:
    (axes,) = draw_norms([line([1.0] * depth)], "").axes
    ticks = [int(tick) for tick in axes.get_xticks()]
    assert ticks == sorted(set(ticks))
    assert (ticks[0], ticks[-1]) == (1, depth)
    assert len(ticks) <= 21
