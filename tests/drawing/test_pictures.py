"""Pictures: the function and its derivative are drawn, and the file is made in one step or not at all."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline.drawing import Curve, check_picture, draw_bars, draw_curves, save
from pipeline.errors import OutputError, UsageError
from pipeline.registry import FUNCTIONS

# Skipped aloud: pytest's -ra lists them with the reason.
pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)")


def test_a_plot_of_the_curve_and_its_derivative() -> None:
    figure = draw_curves([Curve("sigmoid(x)", "sigmoid")], (-4, 4))
    (axes,) = figure.axes
    curve, slope = axes.lines[:2]
    x = curve.get_xdata()
    assert (x[0], x[-1]) == (-4, 4)
    np.testing.assert_array_equal(curve.get_ydata(), pipeline.sigmoid(x))
    np.testing.assert_array_equal(slope.get_ydata(), pipeline.sigmoid_grad(x))
    assert axes.get_title(loc="left") == "sigmoid"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["sigmoid(x)", "derivative"]
    assert FUNCTIONS["sigmoid"].formula in [text.get_text().replace("\n", " ") for text in axes.texts]
    # Told apart by colour and by dashes.
    assert curve.get_color() != slope.get_color()
    assert curve.get_linestyle() != slope.get_linestyle()


def test_every_function_has_a_panel_with_all_of_it_in_sight() -> None:
    figure = draw_curves([Curve(name, name) for name in FUNCTIONS])
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(FUNCTIONS)
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert high - low < 20
        values = axes.lines[0].get_ydata()
        assert np.nanmin(values) >= low
        assert np.nanmax(values) <= high
    (logit,) = (axes for axes in figure.axes if axes.get_title(loc="left") == "logit")
    assert logit.get_xlim() == (0, 1)


@pytest.mark.parametrize(
    ("curve", "limits", "top"),
    [
        (Curve("relu", "relu"), (-20.0, 20.0), 20),
        (Curve("s", "sigmoid", {"low": 1000, "high": 2000}), None, 1990),
        (Curve("s", "sigmoid", {"alpha": 100}), None, 24.9),
    ],
)
def test_nothing_is_cut_where_there_is_no_pole(curve: Curve, limits: tuple[float, float] | None, top: float) -> None:
    (axes,) = draw_curves([curve], limits).axes
    assert axes.get_ylim()[1] >= top


def test_a_range_is_cut_to_the_domain_to_its_very_ends() -> None:
    (axes,) = draw_curves([Curve("logit", "logit")], (-1000.0, 999.0)).axes
    assert axes.get_xlim() == (0, 1)
    assert axes.get_ylim()[1] - axes.get_ylim()[0] < 20
    with pytest.raises(UsageError, match="logit is not defined anywhere from 2 to 3"):
        draw_curves([Curve("logit", "logit")], (2.0, 3.0))


def test_names_of_many_curves_are_below_them_and_shown_as_they_are() -> None:
    names = [r"$\bad{$", "_u", "c"]
    curves = [Curve(name, "sigmoid", {"temperature": 1 + number}) for number, name in enumerate(names)]
    figure = draw_curves(curves)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [*names, "their derivatives"]
    assert not any(text.get_parse_math() for text in axes.get_legend().get_texts())
    figure.draw_without_rendering()
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0


def test_curves_of_one_function_share_a_panel() -> None:
    curves = [Curve("one", "sigmoid"), Curve("flat", "sigmoid", {"temperature": 3}), Curve("tanh", "tanh")]
    figure = draw_curves(curves)
    first, second = figure.axes
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["one", "flat", "their derivatives"]
    assert len(second.lines) == 4
    np.testing.assert_array_equal(
        first.lines[2].get_ydata(), pipeline.sigmoid(first.lines[2].get_xdata(), temperature=3)
    )


def test_a_jump_of_a_derivative_is_not_drawn() -> None:
    (axes,) = draw_curves([Curve("relu", "relu")]).axes
    slope = axes.lines[1].get_ydata()
    assert np.isnan(slope).sum() == 1
    assert set(slope[~np.isnan(slope)]) == {0.0, 1.0}
    assert not np.isnan(axes.lines[0].get_ydata()).any()


def test_the_legend_does_not_cover_bars() -> None:
    figure = draw_bars({"tanh": {"ours": 1.5, "theirs": 9.0}}, ["ours", "theirs"], "t", "ns")
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().y1 < figure.axes[0].get_window_extent().y0


def test_bars_have_their_numbers() -> None:
    figure = draw_bars({"tanh": {"ours": 1.5, "theirs": 2.25}, "relu": {"ours": 0.5}}, ["ours", "theirs"], "t", "ns")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["1.50", "2.25", "0.50"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["tanh", "relu"]


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_equal_curves_make_equal_bytes_in_one_step(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    contents = []
    for _ in range(2):
        save(draw_curves([Curve("relu", "relu")]), path)
        contents.append(path.read_bytes())
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert contents[0] == contents[1]
    starts = {"svg": b"<?xml", "png": b"\x89PNG"}
    assert contents[0].startswith(starts[suffix])
    if suffix == "svg":
        assert not re.search(rb"<text|font-family", contents[0])


def test_what_cannot_be_made_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends neither in \.svg nor in \.png"):
        check_picture(tmp_path / "picture.gif")
    with pytest.raises(OutputError, match="its folder does not exist"):
        check_picture(tmp_path / "none" / "picture.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_picture(tmp_path / "folder.svg")


def test_settings_of_the_user_do_not_matter() -> None:
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 40}):
        (axes,) = draw_curves([Curve("relu", "relu")]).axes
        assert axes.xaxis.label.get_size() < 12
        assert mpl.rcParams["font.size"] == 40
