"""Error signals: the norm of dL/dz in each layer of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.dataclass import dataclass
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


def draw_norms(
    lines: Sequence[NormLine],
    title: str,
    measured: str = "mean norm of dL/dz; band: all seeds",
    through_time: Sequence[NormLine] = (),
) -> Any:
    """Return a figure with a line for each network on a logarithmic axis, and its spread as a band.

    The input is on the left, the output on the right, as the axis says. Zeros and infinities are not drawn. The
    other axis is labelled ``measured``. Norms through time, the last step at the end of each line, are drawn below.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    depth = max((len(line.norms) for line in lines), default=1)
    with style():
        width, height = _SIZE
        figure = Figure(figsize=(width, height * (2 if through_time else 1)), layout="constrained")
        axes, *below = figure.subplots(2 if through_time else 1, squeeze=False)[:, 0]
        _draw_lines(axes, lines, lambda line: range(1, len(line.norms) + 1))
        ticks = _ticks(depth)
        axes.set_xticks(ticks, [f"{tick}{_end(tick, depth)}" for tick in ticks])
        axes.set_xlabel("layer; the error signal goes from right to left")
        axes.set_ylabel(measured)
        axes.set_title(title, loc="left", fontsize=10)
        axes.legend(title="norm in layer 1, divided by that in the last layer", alignment="left", fontsize=8)
        for each in below:
            _draw_lines(each, through_time, lambda line: range(1 - len(line.norms), 1))
            each.xaxis.get_major_locator().set_params(integer=True)
            each.xaxis.set_major_formatter(lambda back, _: f"{abs(back):g}")
            each.set_xlabel("steps before the last one; the error signal goes from right to left")
            each.set_ylabel("mean norm of dL/dz in a step")
            each.legend(title="norm in the first step, divided by that in the last", alignment="left", fontsize=8)
    return figure


def _draw_lines(axes: Any, lines: Sequence[NormLine], places: Callable[[NormLine], range]) -> None:
    for number, line in enumerate(lines):
        colour, at = COLOURS[number % len(COLOURS)], places(line)
        axes.fill_between(at, _drawn(line.lowest), _drawn(line.highest), color=colour, alpha=0.18, linewidth=0)
        axes.plot(at, _drawn(line.norms), color=colour, marker="o", markersize=4, label=line.label)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")


def _drawn(values: Sequence[float]) -> list[float]:
    return [value if 0 < value < math.inf else math.nan for value in values]


def _end(layer: int, depth: int) -> str:
    return {1: "\nnext to the input", depth: "\nnext to the output"}.get(layer, "")


def _ticks(depth: int) -> list[int]:
    step = math.ceil(depth / _MOST_TICKS)
    inner = range(step, depth, step)
    return sorted({1, depth, *(tick for tick in inner if tick + step / 2 < depth)})
