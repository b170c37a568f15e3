"""Fits of rows in memory, for tests."""

from __future__ import annotations

import numpy as np

from pipeline.fitting.tiles.layout import Floats
from pipeline.fitting.solving.objective import Objective, Penalty, Solution
from pipeline.fitting.solving import drive, newton
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from tests.fitting.rows import Rows


def zeros(rows: Rows) -> Floats:
    return np.zeros((rows.outputs, rows.layout.width))


def penalty(rows: Rows, l1: float, l2: float) -> Penalty:
    """Every coefficient but the intercept is penalised as it is."""
    factors = np.ones(rows.layout.width)
    factors[: rows.intercept] = 0.0
    return Penalty(l1, l2, factors)


def fitted(
    rows: Rows, start: Floats | None = None, *, l1: float = 0.0, l2: float = 0.0, **objective: object
) -> Solution:
    of = Objective(rows.layout, penalty(rows, l1, l2) if l1 or l2 else None, **objective)  # type: ignore[arg-type]
    return drive(MemoryPasses(rows.layout, rows.tiles()), [newton(of, zeros(rows) if start is None else start)])[0]
