"""L-BFGS within an orthant, for an L1 penalty, or signs, on many coefficients.

Andrew and Gao, Scalable training of L1-regularized log-linear models, 2007. The first scaling is the Hessian's
diagonal at the start; where it makes no headway, steps are those of Newton's method.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np

from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.solving import ending
from pipeline.fitting.solving.conjugate import Conjugate
from pipeline.fitting.solving.curvature import CurvaturePairs
from pipeline.fitting.solving.descent import Descent
from pipeline.fitting.solving.objective import Objective, Solution, Solver
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.tiles.layout import Floats

PASSES = 3_000
# Pairs of steps and changes of the gradient that are kept.
_MEMORY = 20
# Steps within which the subgradient must have halved.
_PATIENCE = 30
# Below this share of a step it is better to forget what made it.
_SHORT = 1e-3
# The relative residual of a Newton step.
_EXACT = 1e-3
# Along less curvature than this, relative to the diagonal, a Newton step would be too long.
_FLAT = 1e-7
# How much of the fall of a step whose parts all go down another one must promise.
_WORTH = 0.1


def owlqn(objective: Objective, start: Floats, *, passes: int = PASSES) -> Solver:
    """Return the optimum; it has converged when the minimal subgradient is 1e-9 of that at the start."""
    way = Descent(Minimised(objective), start, passes)
    memory = _CurvatureMemory()
    watched, first, norms = False, 0.0, list[float]()
    while True:
        slow = _is_slow(norms, _PATIENCE)
        sums = yield way.point(1, watched=watched and way.line is not None, diagonal=slow or way.line is None)
        if way.went_too_far(sums):
            watched = True
            if way.line is not None and way.line.share < _SHORT and memory.forget():
                way.here, way.line = way.line.base, None
            elif (reason := way.given_up()) is not None:
                return _solution(way, sums, norms, first, (False, reason))
            continue
        if way.begins_anew(sums):
            continue
        watched = slow or way.line is None
        way.here = way.problem.settled(way.here)
        way.note(sums)
        slope = way.problem.subgradient(sums, way.here)
        norms.append(float(np.linalg.norm(slope)))
        first = first or ending.distance_of_start(norms[0], way.problem)
        memory.learn(way, sums)
        if (ended := _ended(way, norms, first)) is not None:
            return _solution(way, sums, norms, first, ended)
        down = (yield from _newton_down(way, sums, slope)) if slow else memory.down(slope)
        move = _inside(way, slope, down)
        way.go(move, way.value(sums), min(0.0, float(slope @ move)))


def _newton_down(way: Descent, sums: PassSums, slope: Floats) -> Generator[Point, PassSums, Floats]:
    """Return the Newton step of the coefficients that move, by conjugate gradients: for where L-BFGS learns no more.

    Byrd, Chin, Nocedal and Oztoprak, A family of second-order methods for convex l1-regularized optimization, 2016.
    """
    assert sums.diagonal is not None
    bend = way.problem.bend(sums.weight)
    moving = way.problem.free & ((way.here != 0) | (slope != 0))
    diagonal = np.where(moving, sums.diagonal.ravel() + bend, 0.0)
    inner = Conjugate(way.problem, diagonal, sums.weight * slope * moving, CurvaturePairs(0), flat=_FLAT)
    while inner.goes_on and not way.spent and inner.residual > _EXACT:
        product = (yield way.point(0, direction=inner.toward)).product
        assert product is not None
        way.records.append(way.records[-1])
        inner.take(np.where(moving, product.ravel() + bend * inner.toward, 0.0))
    return inner.move


def _ended(way: Descent, norms: list[float], first: float) -> tuple[bool, str] | None:
    if norms[-1] <= ending.SUBGRADIENT * first:
        return True, f"the minimal subgradient is {norms[-1] / first if first else 0.0:.1e} of that at the start"
    if _is_slow(norms, 2 * _PATIENCE):
        return False, f"progress stopped at a minimal subgradient of {norms[-1] / first:.1e} of that at the start"
    return (False, way.spent_reason) if way.spent else None


def _solution(way: Descent, sums: PassSums, norms: list[float], first: float, ended: tuple[bool, str]) -> Solution:
    relative = norms[-1] / first if first else 0.0
    return way.solution(sums, replace(way.certificate(sums, *ended), subgradient=relative))


def _is_slow(norms: list[float], patience: int) -> bool:
    """Whether the subgradient has not halved for some passes."""
    return len(norms) > patience and min(norms[-patience:]) > 0.5 * min(norms[:-patience])


def _inside(way: Descent, slope: Floats, down: Floats) -> Floats:
    """Return the step, which does not leave the orthant that the smallest subgradient points into."""
    edges = way.problem.edges(1.0)
    kinked = (edges.slopes > 0) | ~edges.rising | ~edges.falling
    orthant = np.where(way.here != 0, np.sign(way.here), -np.sign(slope))
    falls = down * slope < 0
    moves = []
    for kept in (falls | ~kinked | (way.here != 0), falls | ~kinked, falls):
        there = way.here + np.where(kept, down, 0.0)
        moves.append(np.where(kinked & (there * orthant <= 0), 0.0, there) - way.here)
    # Where each part goes down the whole does; the others are better, mostly.
    sure = _WORTH * float(slope @ moves[-1])
    return next(move for move in moves if float(slope @ move) <= sure)


class _CurvatureMemory:
    """What the last steps tell of the curvature."""

    def __init__(self) -> None:
        self._pairs = CurvaturePairs(_MEMORY)
        self._before: tuple[Floats, Floats] | None = None
        self._inverse: Floats = np.empty(0)

    def learn(self, way: Descent, sums: PassSums) -> None:
        """Take the gradient of the smooth part here."""
        slope = way.problem.slope(sums, way.here) / sums.weight
        if sums.diagonal is not None:
            diagonal = (sums.diagonal.ravel() + way.problem.bend(sums.weight)) / sums.weight
            self._inverse = np.where(diagonal > 0, 1.0 / np.where(diagonal > 0, diagonal, 1.0), 0.0)
        if self._before is not None:
            self._pairs.add(way.here - self._before[0], slope - self._before[1])
        self._before = (way.here, slope)

    def forget(self) -> bool:
        """Forget all steps; return whether there were any."""
        knew = self._pairs.known
        self._pairs, self._before = CurvaturePairs(_MEMORY), None
        return knew

    def down(self, slope: Floats) -> Floats:
        """Return about minus the inverse Hessian times a slope."""
        return -self._pairs.divided(slope, self._pairs.scale(self._inverse) * self._inverse)
