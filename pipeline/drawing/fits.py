"""Fits: coefficients with their intervals, and penalties with their log loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.drawing.picture import COLOURS, style
from pipeline.units import escape, format_count

_MOST = 60
_ROW_INCHES, _OTHER_INCHES, _WIDTH_INCHES = 0.2, 1.3, 8
# Coefficients are in units of their columns: if some are so many times as large as others, a plain axis hides the rest.
_WIDEST = 1_000.0
_NAME = 48
# Powers of ten are formulas otherwise, and formulas are shown as they are.
_PLAIN = "{x:g}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A coefficient with its name and its confidence interval, ``None`` where there is none."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class TriedPenalty:
    """A penalty, its log loss on rows that were left out with its standard error, and whether it was chosen."""

    penalty: float
    log_loss: float
    error: float | None = None
    chosen: bool = False


def draw_coefficients(estimates: Sequence[Estimate]) -> Any:
    """Return a figure with a point for each coefficient and a line for its interval, in their order.

    Of more than 60 those that are largest are drawn. If some are more than 1,000 times as large as others, the axis is
    logarithmic on both sides of 0.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    largest = sorted(estimates, key=lambda each: abs(each.value), reverse=True)[:_MOST]
    kept = {id(each) for each in largest}
    drawn = [each for each in estimates if id(each) in kept]
    title = "Coefficients with 95 % intervals" if any(each.low is not None for each in drawn) else "Coefficients"
    if len(estimates) > _MOST:
        title += f"\nthe {_MOST} largest of {format_count(len(estimates))}"
    unit = "per unit of the column"
    with style():
        figure = Figure(figsize=(_WIDTH_INCHES, _OTHER_INCHES + _ROW_INCHES * len(drawn)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color="#999999", linewidth=0.8, zorder=1)
        for place, each in enumerate(drawn):
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [place, place], color=COLOURS[0], linewidth=1.6)
            axes.plot([each.value], [place], "o", color=COLOURS[0], markersize=4)
        axes.set_yticks(range(len(drawn)), [escape(each.name, _NAME) for each in drawn])
        axes.set_ylim(len(drawn) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        sizes = [abs(each.value) for each in drawn if each.value]
        if sizes and max(sizes) > _WIDEST * min(sizes):
            axes.set_xscale("symlog", linthresh=min(sizes))
            axes.xaxis.set_major_formatter(_PLAIN)
            unit += ", logarithmic on both sides of 0"
        axes.set_xlabel(unit)
        axes.set_title(title, loc="left", fontsize=10)
    return figure


def draw_path(tried: Sequence[TriedPenalty]) -> Any:
    """Return a figure with the log loss of each penalty, an error bar where there is one, and the one chosen."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    with style():
        figure = Figure(figsize=(_WIDTH_INCHES, 4), layout="constrained")
        axes = figure.subplots()
        x, y = [each.penalty for each in tried], [each.log_loss for each in tried]
        axes.errorbar(x, y, [each.error or 0.0 for each in tried], color=COLOURS[0], marker="o", markersize=4)
        for each in tried:
            if each.chosen:
                place = (each.penalty, each.log_loss)
                axes.plot(*place, "o", color=COLOURS[1], markersize=8, zorder=5)
                axes.annotate("chosen", place, (8, -14), textcoords="offset points", color=COLOURS[1])
        if min(x, default=0) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(_PLAIN)
        axes.set_xlabel("penalty (l1 + l2)")
        axes.set_ylabel("log loss on rows left out")
    return figure
