"""How a solver ends: its certificate, and why in words."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipeline.fitting.passes.points import PassSums
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.tiles.layout import Floats

# The squared Newton decrement, and the largest step in standard errors, or relative with a penalty, of an optimum.
DECREMENT = 1e-16
STEP = 1e-8
# The minimal subgradient relative to that at the start.
SUBGRADIENT = 1e-9
# A start nearer to the optimum counts as this far from it, on scaled features and for each unit of weight: rounding
# keeps every solver further away than a small part of almost nothing.
_NEAREST_START = 1e-3
# From which step that did not shrink separation is looked for, and what it may leave of a margin.
SLOW_STEPS = 8
SHRUNK = 0.1
MARGIN = 1e-6
# How large the smallest and the largest share in a separating step are.
_SHARE = 0.05

Separation = Literal["complete", "quasi-complete"]


def separation(sums: PassSums) -> Separation | None:
    """Return whether the step of a pass separates the classes, from the smallest and largest margin."""
    if not sums.largest > 0 or sums.smallest < -MARGIN * sums.largest:
        return None
    return "complete" if sums.smallest > 0 else "quasi-complete"


def distance_of_start(norm: float, problem: Minimised) -> float:
    """Return what the minimal subgradient of an optimum is compared with, from its norm at the start."""
    return max(norm, problem.l1, _NEAREST_START)


def separating(move: Floats) -> tuple[int, ...]:
    """Return the coefficients with a share in a step that separates, the largest first."""
    sizes = np.abs(move)
    order = np.argsort(-sizes, kind="stable")
    return tuple(int(one) for one in order if sizes[one] >= _SHARE * sizes[order[0]])


def gap(problem: Minimised, sums: PassSums, values: Floats) -> float | None:
    """Return the duality gap for each unit of weight, where L2 alone penalises every coefficient."""
    factors = problem.factors[problem.free]
    if problem.l2 <= 0 or problem.l1 > 0 or not (factors > 0).all() or not problem.edges(1.0).smooth:
        return None
    slope = problem.slope(sums, values)[problem.free] / sums.weight / factors
    return float(slope @ slope / (2.0 * problem.l2))
