"""L-BFGS within an orthant, for an L1 penalty, or signs, on many coefficients.

Andrew and Gao, Scalable training of L1-regularized log-linear models, 2007. The first scaling is the Hessian's
diagonal at the start.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from pipeline.fitting.layout import Floats
from pipeline.fitting.objective import Objective, Solver
from pipeline.fitting.points import PassSums
from pipeline.fitting.solving import ending
from pipeline.fitting.solving.descent import Descent
from pipeline.fitting.solving.problem import Mask, Minimised

PASSES = 3_000
# Pairs of steps and changes of the gradient that are kept.
_MEMORY = 20
# Passes within which the subgradient must have fallen.
_PATIENCE = 100
# How much of the fall of a step whose parts all go down another one must promise.
_WORTH = 0.1


def owlqn(objective: Objective, start: Floats, *, passes: int = PASSES) -> Solver:
    """Return the optimum; it has converged when the minimal subgradient is 1e-9 of that at the start."""
    way = Descent(Minimised(objective), start, passes)
    memory = _CurvatureMemory()
    watched, first, norms = False, 0.0, []
    while True:
        sums = yield way.point(1, watched=watched and way.line is not None, diagonal=way.line is None)
        if way.went_too_far(sums):
            watched = True
            if (reason := way.given_up()) is not None:
                return way.solution(sums, way.certificate(sums, converged=False, reason=reason))
            continue
        if way.begins_anew(sums):
            continue
        watched = way.line is None
        way.note(sums)
        norms.append(float(np.linalg.norm(way.problem.subgradient(sums, way.here))))
        first = first or max(norms[0], way.problem.l1)
        memory.learn(way, sums)
        if (ended := _ended(way, norms, first)) is not None:
            certificate = replace(way.certificate(sums, *ended), subgradient=norms[-1] / first if first else 0.0)
            return way.solution(sums, certificate)
        slope = way.problem.subgradient(sums, way.here)
        move = memory.move(way, slope)
        way.go(move, way.value(sums), min(0.0, float(slope @ move)))


def _ended(way: Descent, norms: list[float], first: float) -> tuple[bool, str] | None:
    if norms[-1] <= ending.SUBGRADIENT * first:
        return True, f"the minimal subgradient is {norms[-1] / first if first else 0.0:.1e} of that at the start"
    if len(norms) > _PATIENCE and min(norms[-_PATIENCE:]) > 0.5 * min(norms[:-_PATIENCE]):
        return False, f"progress ended at a minimal subgradient of {norms[-1] / first:.1e} of that at the start"
    return (False, way.spent_reason) if way.spent else None


class _CurvatureMemory:
    """What the last steps tell of the curvature."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[Floats, Floats]] = deque(maxlen=_MEMORY)
        self._before: tuple[Floats, Floats] | None = None
        self._inverse: Floats = np.empty(0)

    def learn(self, way: Descent, sums: PassSums) -> None:
        """Take the gradient of the smooth part here."""
        slope = way.problem.slope(sums, way.here) / sums.weight
        if sums.diagonal is not None:
            diagonal = (sums.diagonal.ravel() + way.problem.bend(sums.weight)) / sums.weight
            self._inverse = np.where(diagonal > 0, 1.0 / np.where(diagonal > 0, diagonal, 1.0), 0.0)
        if self._before is not None:
            move, change = way.here - self._before[0], slope - self._before[1]
            if move @ change > 1e-12 * float(np.linalg.norm(move) * np.linalg.norm(change)):
                self._pairs.append((move, change))
        self._before = (way.here, slope)

    def move(self, way: Descent, slope: Floats) -> Floats:
        """Return the step, which does not leave the orthant that the smallest subgradient points into."""
        edges = way.problem.edges(1.0)
        kinked = (edges.slopes > 0) | ~edges.rising | ~edges.falling
        down = -self._times(slope)
        falls = down * slope < 0
        move, sure = (self._inside(way, slope, np.where(kept, down, 0.0), kinked) for kept in (falls | ~kinked, falls))
        # Where each part goes down the whole does; the first one is better, mostly.
        return move if slope @ move <= _WORTH * (slope @ sure) else sure

    @staticmethod
    def _inside(way: Descent, slope: Floats, down: Floats, kinked: Mask) -> Floats:
        orthant = np.where(way.here != 0, np.sign(way.here), -np.sign(slope))
        there = way.here + down
        return np.where(kinked & (there * orthant <= 0), 0.0, there) - way.here

    def _times(self, slope: Floats) -> Floats:
        """Return the inverse Hessian times a slope, by the two loops of L-BFGS."""
        rest, shares = slope.copy(), []
        for move, change in reversed(self._pairs):
            share = float(move @ rest) / float(move @ change)
            rest -= share * change
            shares.append(share)
        scale = 1.0
        if self._pairs:
            move, change = self._pairs[-1]
            scale = float(move @ change) / float(change @ (self._inverse * change))
        rest = scale * self._inverse * rest
        for (move, change), share in zip(self._pairs, reversed(shares), strict=True):
            rest += (share - float(change @ rest) / float(move @ change)) * move
        return rest
