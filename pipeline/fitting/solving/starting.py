"""Solvers by the name of their method, and where they start."""

from __future__ import annotations

import numpy as np

from pipeline.fitting.tiles.layout import Floats
from pipeline.fitting.solving.objective import Method, Objective, Solver
from pipeline.fitting.passes.points import Passes, Point
from pipeline.fitting.solving.choice import NEWTON_SIZE
from pipeline.fitting.solving.conjugate import newton_cg
from pipeline.fitting.solving.drive import drive
from pipeline.fitting.solving.newton import newton
from pipeline.fitting.solving.orthant import owlqn
from pipeline.fitting.solving.steepest import gradient

_SOLVERS = {"newton": newton, "newton-cg": newton_cg, "owlqn": owlqn}
# A start need not be nearer to the optimum of the sample than that is to the optimum of all rows.
_NEAR = 1e-2
_PASSES = 60
# As if each coefficient had been seen at 0 with a standard error of 1, in rows of the mean weight: levels that have one
# class in the sample stay finite.
_RIDGE = 1.0


def begin(
    method: Method, objective: Objective, start: Floats, *, learning_rate: float = 0.1, iterations: int = 1_000
) -> Solver:
    """Return a solver that will start at some coefficients; the last two are those of gradient descent."""
    if method == "gradient":
        return gradient(objective, start, learning_rate=learning_rate, iterations=iterations)
    return _SOLVERS[method](objective, start)


def warm_start(sample: Passes, objective: Objective) -> Floats:
    """Return coefficients near the optimum of a sample; 0 where the sample has no rows.

    Slightly shrunk, so that they are finite where the sample is separated.
    """
    layout = objective.layout
    zeros = np.zeros((layout.outputs, layout.width))
    kinked = (objective.penalty is not None and objective.penalty.l1 > 0) or objective.signs is not None
    seen = sample.sums([Point(zeros, 0, objective.fold)])[0]
    if seen.weight <= 0:
        return zeros
    ridge = _RIDGE * seen.weight / seen.rows
    if layout.size > NEWTON_SIZE and kinked:
        solver = owlqn(objective, zeros, passes=_PASSES)
    else:
        solve = newton if layout.size <= NEWTON_SIZE else newton_cg
        solver = solve(objective, zeros, passes=_PASSES, enough=_NEAR, ridge=ridge)
    solution = drive(sample, [solver])[0]
    return solution.coefficients if np.isfinite(solution.objective) else zeros
