"""Functions as curves, each with its derivative."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.arrays.functions import apply, differentiate
from pipeline.dataclass import dataclass
from pipeline.drawing.picture import COLOURS, style
from pipeline.errors import UsageError
from pipeline.registry import FUNCTIONS, Function

Floats = npt.NDArray[np.float64]

DEFAULT_RANGE = (-6.0, 6.0)
_POINTS = 1_201
_ACROSS = 3
_PANEL = (4.4, 3.5)
_LINE = 58
_SLOPE = COLOURS[1]
_DASHED = {"linestyle": (0, (4, 2)), "linewidth": 1.6}
# A curve with a pole is cut off here: more would flatten everything else.
_TALLEST = 8.0
# Beyond this the distances between the marks of an axis overflow.
_WIDEST = 1e300
# This many curves leave no corner of a panel free: their names are below it, each on a line.
_MANY = 3
_NAME_HEIGHT = 0.17


@dataclass(frozen=True, slots=True)
class Curve:
    """A function with its parameters, and its name in the legend."""

    label: str
    function: str
    parameters: Mapping[str, float] = field(default_factory=dict)


def draw_curves(curves: Sequence[Curve], limits: tuple[float, float] | None = None) -> Any:
    """Return a figure with a panel for each function: every curve as a line and its derivative as dashes.

    Parameters
    ----------
    curves : sequence of Curve
        Curves of one function share a panel.
    limits : (float, float), optional
        The range of x; -6 to 6 unless given. Only the domain of a function is drawn.

    Raises
    ------
    UsageError
        A function is not defined anywhere in the range, or its values are too large to draw.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        panels.setdefault(curve.function, []).append(curve)
    across = min(_ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    named = max(len(drawn) + 1 if len(drawn) >= _MANY else 0 for drawn in panels.values())
    with style():
        figure = Figure(
            figsize=(max(_PANEL[0] * across, 5.2), (_PANEL[1] + _NAME_HEIGHT * named) * down), layout="constrained"
        )
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
    named: list[tuple[Any, str]] = []
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        for values, label, look in (
            (_value(curve, x), curve.label, {"color": colour, "linewidth": 2.2}),
            (_slope(curve, x), "derivative" if alone else "", {"color": _SLOPE if alone else colour, **_DASHED}),
        ):
            (line,) = axes.plot(x, _cut(values), **look)
            if label:
                named.append((line, label))
            shown = _in_sight(values)
            lowest, highest = min(lowest, float(shown.min(initial=0))), max(highest, float(shown.max(initial=0)))
    if not alone:
        (line,) = axes.plot([], [], color="#666666", **_DASHED)
        named.append((line, "their derivatives"))
    if not highest - lowest <= _WIDEST:
        raise UsageError(f"values of {entry.name} are too large to draw", "choose other parameters or another range")
    margin = 0.06 * (highest - lowest or 1.0)
    axes.set_ylim(lowest - margin, highest + margin)
    axes.set_xlim(x[0], x[-1])
    axes.axhline(0, color="#999999", linewidth=0.8, zorder=1)
    if x[0] < 0 < x[-1]:
        axes.axvline(0, color="#999999", linewidth=0.8, zorder=1)
    axes.set_xlabel("x, next to a column of zeros" if entry.several else "x")
    place: dict[str, Any] = {"loc": "best", "frameon": True, "framealpha": 0.85, "edgecolor": "none"}
    if len(curves) >= _MANY:
        place = {"loc": "upper left", "bbox_to_anchor": (0, -0.16), "borderaxespad": 0}
    lines, labels = zip(*named, strict=True)
    axes.legend(lines, labels, fontsize=8, handlelength=2.6, **place)


def _title(row: Sequence[Any], entries: Sequence[Function]) -> None:
    """Give each panel of a row its name and formula, with all names at the same height."""
    formulas = ["\n".join(textwrap.wrap(entry.formula, _LINE)) for entry in entries]
    lines = 1 + max(formula.count("\n") for formula in formulas)
    for axes, entry, formula in zip(row, entries, formulas, strict=False):
        axes.set_title(entry.name, loc="left", fontsize=12, fontweight="bold", pad=8 + 11 * lines)
        axes.annotate(
            formula, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=8, color="#444444"
        )


def _in_sight(values: Floats) -> Floats:
    """Return the values that an axis must have room for: all finite ones, or only those near 0 if there is a pole."""
    finite = values[np.isfinite(values)]
    if not np.isinf(values).any() or not finite.size:
        return finite
    return finite[np.abs(finite) <= max(_TALLEST, float(np.median(np.abs(finite))))]


def _domain(entry: Function, limits: tuple[float, float] | None) -> Floats:
    """Return points of the range where the function is defined; for most functions that is everywhere."""
    x = np.linspace(*(limits or DEFAULT_RANGE), _POINTS)
    if limits is not None:
        # In a wide range, a small domain about 0 would be between two points.
        near = np.linspace(*DEFAULT_RANGE, _POINTS)
        x = np.union1d(x, near[(near > x[0]) & (near < x[-1])])
    inside = np.flatnonzero(~np.isnan(_value(Curve("", entry.name), x)))
    if not inside.size:
        raise UsageError(
            f"{entry.name} is not defined anywhere from {x[0]:g} to {x[-1]:g}",
            f"choose another range (its values are {entry.range})",
        )
    if inside.size == x.size:
        return np.linspace(x[0], x[-1], _POINTS)
    first, last = float(x[inside[0]]), float(x[inside[-1]])
    if inside[0] > 0:
        first = _edge(entry, float(x[inside[0] - 1]), first)
    if inside[-1] < x.size - 1:
        last = _edge(entry, float(x[inside[-1] + 1]), last)
    return np.linspace(first, last, _POINTS)


def _edge(entry: Function, outside: float, inside: float) -> float:
    """Return the end of the domain between two points."""
    while (middle := outside / 2 + inside / 2) not in {outside, inside}:
        if math.isnan(_value(Curve("", entry.name), np.array([middle]))[0]):
            outside = middle
        else:
            inside = middle
    return inside


def _value(curve: Curve, x: Floats) -> Floats:
    return _column(apply(curve.function, _given(curve, x), **_options(curve)))


def _slope(curve: Curve, x: Floats) -> Floats:
    return _column(differentiate(curve.function, _given(curve, x), **_options(curve)))


def _options(curve: Curve) -> dict[str, Any]:
    return dict(curve.parameters)


def _given(curve: Curve, x: Floats) -> Floats:
    """Return x, with a column of zeros if the function takes several columns."""
    return np.column_stack([x, np.zeros_like(x)]) if FUNCTIONS[curve.function].several else x


def _column(values: Floats) -> Floats:
    return values[:, 0] if values.ndim == 2 else values


def _cut(values: Floats) -> Floats:
    """Return values with a gap at each jump and at infinity, so that no line is drawn there."""
    shown = np.where(np.isfinite(values), values, np.nan)
    steps = np.abs(np.diff(shown))
    jumps = np.flatnonzero(steps > 0.05 * max(1.0, float(np.nanmax(np.abs(shown), initial=0.0))))
    lone = [i for i in jumps if steps[i] > 20 * max(_around(steps, int(i)), 1e-12)]
    shown[[i + 1 for i in lone]] = np.nan
    return shown


def _around(steps: Floats, i: int) -> float:
    near = np.concatenate([steps[max(0, i - 3) : i], steps[i + 1 : i + 4]])
    return float(np.nanmedian(near)) if near.size else 0.0
