"""Drawing for ``plot``."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.options.functions import Asked
from jobs.show import console
from pipeline.drawing import Curve, check_picture, draw_curves, save
from pipeline.units import escape, format_count


def draw_functions(functions: Sequence[Asked], limits: tuple[float, float] | None, output: str) -> None:
    """Draw functions and their derivatives into a file, and report it."""
    check_picture(output)
    curves = [Curve(each.label, each.function, dict(each.parameters)) for each in functions]
    save(draw_curves(curves, limits), output)
    count = len(curves)
    console.tell(f"{escape(output, 1000)}: {format_count(count)} curve{'' if count == 1 else 's'} with derivative")
