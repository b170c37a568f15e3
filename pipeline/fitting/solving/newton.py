"""Newton's method: the exact step from the Hessian, halved by losses that the same pass has summed."""

from __future__ import annotations

import numpy as np

from pipeline.fitting.layout import Floats
from pipeline.fitting.objective import Certificate, Objective, PassRecord, Solution, Solver
from pipeline.fitting.points import PassSums, Point

DECREMENT = 1e-16
STEP = 1e-8
PASSES = 100


def newton(objective: Objective, start: Floats, *, passes: int = PASSES) -> Solver:
    """Return the coefficients where the squared Newton decrement and every step are small enough."""
    point = start.copy()
    move: Floats | None = None
    records: list[PassRecord] = []
    while True:
        record = records[-1] if records else None
        sums: PassSums = yield Point(point.copy(), order=2, fold=objective.fold, step=move, record=record)
        assert sums.hessian is not None
        assert sums.gradient is not None
        hessian = full(sums.hessian, objective.layout.size)
        gradient = sums.gradient.ravel()
        step: Floats = np.linalg.solve(hessian, -gradient).astype(np.float64)
        decrement = max(0.0, float(-gradient @ step))
        errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
        largest = float((np.abs(step) / errors).max())
        slope = float(np.abs(gradient).max()) / sums.weight
        records.append(PassRecord(sums.loss / sums.weight, slope, decrement, largest))
        converged = decrement <= DECREMENT and largest <= STEP
        if converged or len(records) == passes:
            reason = "the Newton decrement is at its limit" if converged else f"{passes} passes were not enough"
            certificate = Certificate(converged, reason, decrement, largest, slope, len(records), sums.rows)
            return Solution(point, sums, sums.loss / sums.weight, certificate, tuple(records))
        taken = step.reshape(objective.layout.outputs, -1)
        move = taken
        point += taken


def full(packed: Floats, size: int) -> Floats:
    """Return a symmetric matrix from its lower triangle, row by row."""
    matrix = np.zeros((size, size))
    rows, columns = np.tril_indices(size)
    matrix[rows, columns] = packed
    matrix[columns, rows] = packed
    return matrix
