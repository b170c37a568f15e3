"""Error signals: the norm of dL/dz in each layer of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.drawing.picture import COLOURS, style

_SIZE = (8, 4.6)
# More marks than this on the axis of layers run into each other.
_MOST_TICKS = 20


@dataclass(frozen=True, slots=True)
class NormLine:
    """The norms in the layers of a network, the first one next to the input, with their spread, and its name."""

    label: str
    norms: Sequence[float]
    lowest: Sequence[float]
    highest: Sequence[float]


def draw_norms(lines: Sequence[NormLine], title: str, measured: str = "mean norm of dL/dz; band: all seeds") -> Any:
    """Return a figure with a line for each network on a logarithmic axis, and its spread as a band.

    The input is on the left, the output on the right, as the axis says. Zeros and infinities are not drawn. The
    other axis is labelled ``measured``.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    depth = max((len(line.norms) for line in lines), default=1)
    with style():
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        for number, line in enumerate(lines):
            colour = COLOURS[number % len(COLOURS)]
            layers = range(1, len(line.norms) + 1)
            axes.fill_between(layers, _drawn(line.lowest), _drawn(line.highest), color=colour, alpha=0.18, linewidth=0)
            axes.plot(layers, _drawn(line.norms), color=colour, marker="o", markersize=4, label=line.label)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        ticks = _ticks(depth)
        axes.set_xticks(ticks, [f"{tick}{_end(tick, depth)}" for tick in ticks])
        axes.set_xlabel("layer; the error signal goes from right to left")
        axes.set_ylabel(measured)
        axes.set_title(title, loc="left", fontsize=10)
        axes.legend(title="norm in layer 1, divided by that in the last layer", alignment="left", fontsize=8)
    return figure


def _drawn(values: Sequence[float]) -> list[float]:
    return [value if 0 < value < math.inf else math.nan for value in values]


def _end(layer: int, depth: int) -> str:
    return {1: "\nnext to the input", depth: "\nnext to the output"}.get(layer, "")


def _ticks(depth: int) -> list[int]:
    step = math.ceil(depth / _MOST_TICKS)
    inner = range(step, depth, step)
    return sorted({1, depth, *(tick for tick in inner if tick + step / 2 < depth)})
