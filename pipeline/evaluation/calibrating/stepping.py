"""Newton steps to the optimum of a calibration, and what shows how far from it the weights are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, combinations

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.evaluation.calibrating.curves import CurveSums
from pipeline.evaluation.tiles import Floats

# Where the squared decrement is at or under this, no weight moves by more than 1e-8 of its standard error.
CONVERGED = 1e-16
# Below it whole steps end at the optimum, and the log loss cannot show any more that it falls.
_NEAR = 1e-6
_MOST_STEPS = 200
_MOST_HALVINGS = 60
# The Hessian of functions with a deviation of 1, a row: with a smaller eigenvalue its inverse has no digits left.
_SINGULAR = 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class BoundedStep:
    """A step from some weights.

    Attributes
    ----------
    step : ndarray of float64, shape (width,)
    decrement : float
        The squared Newton decrement: twice what the quadratic model of the log loss falls by.
    gradient : float
        The largest derivative of the log loss by a weight, of the sum over the rows. One that only a weight outside its
        bounds would lower does not count.
    """

    step: Floats
    decrement: float
    gradient: float


def newton_step(weights: Floats, sums: CurveSums, bounded: Sequence[int]) -> BoundedStep | None:
    """Return the step to the optimum of the quadratic model, within the bounds; ``None`` where it has no single one.

    With a bound or two, each set of weights that may end at 0 is tried: the optimum is the best of those that are
    allowed.

    Parameters
    ----------
    weights : ndarray of float64, shape (width,)
    sums : CurveSums
        At these weights.
    bounded : sequence of int
        The places of weights that may not be negative.
    """
    if not np.isfinite(sums.hessian).all() or not np.isfinite(sums.gradient).all():
        return None
    scale = np.trace(sums.hessian) / len(weights)
    if scale <= 0 or np.linalg.eigvalsh(sums.hessian)[0] <= _SINGULAR * scale:
        return None
    sets = chain.from_iterable(combinations(bounded, size) for size in range(len(bounded) + 1))
    steps = [_step_to(weights, sums, held) for held in sets]
    allowed = [step for step in steps if all(weights[place] + step[place] >= 0 for place in bounded)]
    falls = [_fall(step, sums) for step in allowed]
    best = int(np.argmin(falls))
    free = [place for place in range(len(weights)) if place not in bounded or weights[place] > 0]
    steepest = [abs(float(sums.gradient[place])) for place in free]
    steepest += [max(0.0, -float(sums.gradient[place])) for place in bounded if weights[place] <= 0]
    return BoundedStep(allowed[best], max(0.0, -2.0 * falls[best]), max(steepest))


def _fall(step: Floats, sums: CurveSums) -> float:
    """Return the change of the quadratic model over a step."""
    bent = (sums.hessian * step).sum(axis=1)
    return float((step * (sums.gradient + bent / 2)).sum())


def _step_to(weights: Floats, sums: CurveSums, held: Sequence[int]) -> Floats:
    """Return the step to the optimum of the quadratic model where some weights end at 0."""
    step = np.zeros(len(weights))
    step[list(held)] = -weights[list(held)]
    free = [place for place in range(len(weights)) if place not in held]
    gradient = sums.gradient + (sums.hessian * step).sum(axis=1)
    step[free] = -np.linalg.solve(sums.hessian[np.ix_(free, free)], gradient[free])
    return step


def minimised(start: Floats, sums_of: Callable[[Floats], CurveSums], bounded: Sequence[int]) -> Floats | None:
    """Return the weights at which sums that cost little have their lowest log loss.

    ``None`` where the Hessian is singular on the way there.
    """
    weights, sums = start, sums_of(start)
    for _ in range(_MOST_STEPS):
        found = newton_step(weights, sums, bounded)
        if found is None:
            return None
        if found.decrement <= CONVERGED:
            break
        for halving in range(_MOST_HALVINGS):
            nearer = weights + found.step * 0.5**halving
            tried = sums_of(nearer)
            if tried.loss < sums.loss or found.decrement <= _NEAR:
                break
        else:
            break
        weights, sums = nearer, tried
    return weights
