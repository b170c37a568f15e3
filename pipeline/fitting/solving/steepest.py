"""Full-batch gradient descent with a fixed learning rate, for comparison."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.fitting.tiles.layout import Floats
from pipeline.fitting.solving.objective import Objective, Solver
from pipeline.fitting.passes.points import PassRecord, PassSums
from pipeline.fitting.solving import ending
from pipeline.fitting.solving.choice import NEWTON_SIZE
from pipeline.fitting.solving.descent import Descent
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.solving.step import newton_step


def gradient(objective: Objective, start: Floats, *, learning_rate: float, iterations: int) -> Solver:
    """Return where a number of steps of gradient descent end, one pass each, and how far from the optimum that is.

    The last pass has the Hessian, whose Newton decrement is the distance in standard errors; with too many coefficients
    for one there is none. A penalty of L1 is applied after each step as a shrinkage, and signs as a projection.
    """
    way = Descent(Minimised(objective), start, iterations + 1)
    while len(way.records) < iterations:
        sums = yield way.point(1)
        way.note(sums)
        if not np.isfinite(sums.loss):
            reason = f"the loss is not finite after {len(way.records) - 1} steps: lower the learning rate"
            return way.solution(sums, way.certificate(sums, converged=False, reason=reason))
        way.here = _after(way, sums, learning_rate)
    sums = yield way.point(2 if objective.layout.size <= NEWTON_SIZE else 1)
    if sums.hessian is None:
        way.note(sums)
        reason = f"{iterations} steps of gradient descent; their distance from the optimum is not known"
        return way.solution(sums, way.certificate(sums, converged=False, reason=reason))
    step = newton_step(way.problem, sums, way.here)
    slope = float(np.abs(way.problem.subgradient(sums, way.here)).max(initial=0.0))
    way.note(sums, PassRecord(way.value(sums), slope, step.decrement, step.largest))
    small = step.largest is not None and step.largest <= ending.STEP
    converged = step.sure and small and step.decrement <= ending.DECREMENT
    reason = f"{iterations} steps of gradient descent end at a squared Newton decrement of {step.decrement:.1e}"
    certificate = way.certificate(sums, converged=converged, reason=reason)
    return way.solution(sums, replace(certificate, decrement=step.decrement, largest_step=step.largest))


def _after(way: Descent, sums: PassSums, rate: float) -> Floats:
    """Return the coefficients after a step."""
    edges = way.problem.edges(1.0)
    moved = way.here - rate * way.problem.slope(sums, way.here) / sums.weight
    return edges.inside(np.sign(moved) * np.maximum(np.abs(moved) - rate * edges.slopes, 0.0))
