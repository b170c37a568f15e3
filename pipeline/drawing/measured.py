"""Measures: curves of ranks and of calibration, and the scores of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.drawing.picture import COLOURS, style

_SIZE = (4.6, 3.9)
# Lines differ by more than their colours.
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)))
_BAND = 0.18


# Sequences and arrays.
Numbers = Any


@dataclass(frozen=True, slots=True, eq=False)
class DrawnBand:
    """A band over the x of a line, from its lower to its upper edge."""

    low: Numbers
    high: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class DrawnLine:
    """A line with its name, and the band that is drawn in its colour where there is one.

    With ``marks`` there is a point for each pair of numbers, and a thin line between them.
    """

    label: str
    x: Numbers
    y: Numbers
    band: DrawnBand | None = None
    marks: bool = False


@dataclass(frozen=True, slots=True)
class DrawnAxes:
    """What the axes say, and their limits; ``None`` where the lines decide."""

    x: str
    y: str
    x_limits: tuple[float, float | None] | None = None
    y_limits: tuple[float, float | None] | None = None


def draw_lines(lines: Sequence[DrawnLine], axes: DrawnAxes, reference: DrawnLine | None = None) -> Any:
    """Return a figure with a line for each, and a grey one that they are compared with."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    with style():
        figure = Figure(figsize=_SIZE, layout="constrained")
        drawn = figure.subplots()
        if reference is not None:
            drawn.plot(
                reference.x, reference.y, color="#777777", linewidth=1, linestyle=(0, (2, 2)), label=reference.label
            )
        for number, line in enumerate(lines):
            look = {"color": COLOURS[number % len(COLOURS)], "linestyle": _DASHES[number % len(_DASHES)]}
            if line.band is not None:
                drawn.fill_between(line.x, line.band.low, line.band.high, color=look["color"], alpha=_BAND, linewidth=0)
            marks = {"marker": "o", "markersize": 3.5, "linewidth": 1} if line.marks else {"linewidth": 1.8}
            drawn.plot(line.x, line.y, label=line.label, **look, **marks)
        _finish(drawn, axes)
    return figure


def draw_steps(edges: Sequence[float], heights: Sequence[tuple[str, Sequence[float]]], axes: DrawnAxes) -> Any:
    """Return a figure with the outline of a histogram for each name, over the same edges."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    with style():
        figure = Figure(figsize=_SIZE, layout="constrained")
        drawn = figure.subplots()
        for number, (label, shares) in enumerate(heights):
            look = {"color": COLOURS[number % len(COLOURS)], "linestyle": _DASHES[number % len(_DASHES)]}
            drawn.stairs(shares, edges, label=label, linewidth=1.6, **look)
            drawn.stairs(shares, edges, fill=True, color=look["color"], alpha=_BAND, linewidth=0)
        _finish(drawn, axes)
    return figure


def _finish(drawn: Any, axes: DrawnAxes) -> None:
    drawn.set_xlabel(axes.x)
    drawn.set_ylabel(axes.y)
    drawn.set(xlim=axes.x_limits, ylim=axes.y_limits)
    drawn.legend(fontsize=8, handlelength=2.6, frameon=True, framealpha=0.85, edgecolor="none")
