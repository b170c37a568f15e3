"""Costs as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.drawing.picture import COLOURS, style

_THICKNESS = 0.19
_HEIGHT = 0.16


def draw_bars(costs: Mapping[str, Mapping[str, float]], contenders: Sequence[str], title: str, unit: str) -> Any:
    """Return a figure with a group of bars for each function: one bar, with its number, for each contender."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    bars = sum(len([c for c in contenders if c in costs[name]]) for name in costs)
    with style():
        figure = Figure(figsize=(8, 1.1 + _HEIGHT * (bars + 1.5 * len(costs))), layout="constrained")
        axes = figure.subplots()
        place, ticks = 0.0, []
        for cost in costs.values():
            first = place
            for contender, colour in zip(contenders, COLOURS, strict=False):
                if contender in cost:
                    axes.barh(place, cost[contender], _THICKNESS, color=colour)
                    axes.annotate(
                        f"{cost[contender]:.2f}",
                        (cost[contender], place),
                        (3, 0),
                        textcoords="offset points",
                        va="center",
                        fontsize=7,
                        color="#333333",
                    )
                    place += _THICKNESS * 1.1
            ticks.append((first + place - _THICKNESS * 1.1) / 2)
            place += _THICKNESS * 1.5
        for contender, colour in zip(contenders, COLOURS, strict=False):
            if any(contender in cost for cost in costs.values()):
                axes.barh(0, 0, color=colour, label=contender)
        axes.set_yticks(ticks, list(costs))
        axes.set_ylim(place - _THICKNESS, -_THICKNESS)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.08)
        axes.set_xlabel(unit)
        axes.set_title(title, loc="left", fontsize=10)
        # Below the bars, because they leave no corner free.
        figure.legend(loc="outside lower center", ncols=len(contenders))
    return figure
