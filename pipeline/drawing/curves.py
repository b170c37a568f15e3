"""Functions as curves, each with its derivative."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.arrays.functions import apply, differentiate
from pipeline.drawing.picture import COLOURS, style
from pipeline.registry import FUNCTIONS, Function

Floats = npt.NDArray[np.float64]

DEFAULT_RANGE = (-6.0, 6.0)
_POINTS = 1_201
_ACROSS = 3
_PANEL = (4.4, 3.5)
_LINE = 58
_SLOPE = COLOURS[1]
_DASHED = {"linestyle": (0, (4, 2)), "linewidth": 1.6}
# Where a function has a pole, what is beyond this is cut off: more would flatten everything else.
_TALLEST = 8.0


@dataclass(frozen=True, slots=True)
class Curve:
    """A function with its parameters, and what the legend calls it."""

    label: str
    function: str
    parameters: Mapping[str, float] = field(default_factory=dict)


def draw_curves(curves: Sequence[Curve], limits: tuple[float, float] | None = None) -> Any:
    """Return a figure: a panel a function, in it each curve as a line and its derivative as dashes.

    Parameters
    ----------
    curves : sequence of Curve
        Those of one function share its panel.
    limits : (float, float), optional
        The range of x; -6 to 6 unless given. What lies outside the domain of a function is left out.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        panels.setdefault(curve.function, []).append(curve)
    across = min(_ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    with style():
        figure = Figure(figsize=(max(_PANEL[0] * across, 5.2), _PANEL[1] * down), layout="constrained")
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, (name, drawn) in zip(grid, panels.items(), strict=False):
            _draw(axes, FUNCTIONS[name], drawn, limits)
        for first in range(0, len(panels), across):
            _title(grid[first : first + across], [FUNCTIONS[name] for name in list(panels)[first : first + across]])
        for axes in grid[len(panels) :]:
            axes.remove()
    return figure


def _draw(axes: Any, entry: Function, curves: Sequence[Curve], limits: tuple[float, float] | None) -> None:
    x = _domain(entry, limits)
    lowest, highest = 0.0, 0.0
    alone = len(curves) == 1
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        for values, label, look in (
            (_value(curve, x), curve.label, {"color": colour, "linewidth": 2.2}),
            (_slope(curve, x), "derivative" if alone else "", {"color": _SLOPE if alone else colour, **_DASHED}),
        ):
            axes.plot(x, _cut(values), label=label or "_", **look)
            shown = values[np.isfinite(values) & (np.abs(values) <= _TALLEST)]
            lowest, highest = min(lowest, shown.min(initial=0)), max(highest, shown.max(initial=0))
    if not alone:
        axes.plot([], [], label="their derivatives", color="#666666", **_DASHED)
    margin = 0.06 * (highest - lowest or 1.0)
    axes.set_ylim(lowest - margin, highest + margin)
    axes.set_xlim(x[0], x[-1])
    axes.axhline(0, color="#999999", linewidth=0.8, zorder=1)
    if x[0] < 0 < x[-1]:
        axes.axvline(0, color="#999999", linewidth=0.8, zorder=1)
    axes.set_xlabel("x, beside a column of zeros" if entry.several else "x")
    axes.legend(loc="best", fontsize=8, handlelength=2.6, frameon=True, framealpha=0.85, edgecolor="none")


def _title(row: Sequence[Any], entries: Sequence[Function]) -> None:
    """Give each panel of a row its name and formula, all names at one height."""
    formulas = ["\n".join(textwrap.wrap(entry.formula, _LINE)) for entry in entries]
    lines = 1 + max(formula.count("\n") for formula in formulas)
    for axes, entry, formula in zip(row, entries, formulas, strict=False):
        axes.set_title(entry.name, loc="left", fontsize=12, fontweight="bold", pad=8 + 11 * lines)
        axes.annotate(
            formula, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=8, color="#444444"
        )


def _domain(entry: Function, limits: tuple[float, float] | None) -> Floats:
    """Return the points of the range at which the function is a number: all of them, for most functions."""
    x = np.linspace(*(limits or DEFAULT_RANGE), _POINTS)
    inside = x[~np.isnan(_value(Curve("", entry.name), x))]
    if inside.size in {0, x.size}:
        return x
    return np.linspace(inside[0], inside[-1], _POINTS)


def _value(curve: Curve, x: Floats) -> Floats:
    return _column(apply(curve.function, _given(curve, x), **_options(curve)))


def _slope(curve: Curve, x: Floats) -> Floats:
    return _column(differentiate(curve.function, _given(curve, x), **_options(curve)))


def _options(curve: Curve) -> dict[str, Any]:
    return dict(curve.parameters)


def _given(curve: Curve, x: Floats) -> Floats:
    """Return x, or where a function takes several columns x and a column of zeros."""
    return np.column_stack([x, np.zeros_like(x)]) if FUNCTIONS[curve.function].several else x


def _column(values: Floats) -> Floats:
    return values[:, 0] if values.ndim == 2 else values


def _cut(values: Floats) -> Floats:
    """Return values with a gap where a line would join what is not joined: at a jump, and at infinity."""
    shown = np.where(np.isfinite(values), values, np.nan)
    steps = np.abs(np.diff(shown))
    jumps = np.flatnonzero(steps > 0.05 * max(1.0, float(np.nanmax(np.abs(shown), initial=0.0))))
    lone = [i for i in jumps if steps[i] > 20 * max(_around(steps, int(i)), 1e-12)]
    shown[[i + 1 for i in lone]] = np.nan
    return shown


def _around(steps: Floats, i: int) -> float:
    near = np.concatenate([steps[max(0, i - 3) : i], steps[i + 1 : i + 4]])
    return float(np.nanmedian(near)) if near.size else 0.0
