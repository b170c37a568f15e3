"""A Newton step: where the quadratic that a pass describes is smallest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.passes.blocks import unpack
from pipeline.fitting.passes.points import PassSums
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.solving.quadratic import Edges, minimum
from pipeline.fitting.tiles.layout import Floats

# What is first added to a unit diagonal that rounding has made indefinite.
_FIRST_RIDGE = 1e-13
# What must be left of the diagonal.
_LEAST = 1e-14
# An inverse takes as long as a pass where there are many coefficients: it is made for few, or near the optimum.
_FEW = 300
_NEAR = 1e-14
# How large the correction of a step that has lost digits may be, relative to it.
_CORRECTION = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class NewtonStep:
    """A step, and how large it is.

    Attributes
    ----------
    move : ndarray of float64, shape (size,)
    decrement : float
        The squared Newton decrement.
    largest : float or None
        The largest step in standard errors; with a penalty relative to ``max(1, |b|)`` on scaled features. ``None``
        where it would take an inverse of many coefficients far from the optimum.
    sure : bool
        Whether the Hessian was positive definite as it is.
    """

    move: Floats
    decrement: float
    largest: float | None
    sure: bool


def newton_step(problem: Minimised, sums: PassSums, values: Floats) -> NewtonStep:
    """Return the step from some coefficients, given the sums there."""
    assert sums.hessian is not None
    hessian = unpack(sums.hessian, problem.layout.size)
    hessian[np.diag_indices_from(hessian)] += problem.bend(sums.weight)
    problem.hold_shifts(hessian)
    bent = np.diag(hessian) > 0
    flat = problem.free & ~bent
    # What no row has, a penalty alone decides.
    move = np.where(flat & (problem.factors == 0), 0.0, -values)
    used = np.flatnonzero(problem.free & bent)
    matrix = hessian if len(used) == len(hessian) else hessian[np.ix_(used, used)]
    slope, edges = problem.slope(sums, values)[used], problem.edges(sums.weight).of(used)
    step = _smooth(matrix, slope) if edges.smooth else _kinked(matrix, slope, values[used], edges)
    move[used] = step.move
    # A slope without a curvature: every row is so far out that rounding has lost it.
    step = replace(step, sure=step.sure and not problem.subgradient(sums, values)[flat].any())
    if problem.penalised:
        return replace(step, move=move, largest=largest_relative(problem, values, move))
    return replace(step, move=move)


def _smooth(matrix: Floats, slope: Floats) -> NewtonStep:
    unit = _Unit(matrix)
    move = unit.solved(-slope)
    decrement = max(0.0, -float(slope @ move))
    return NewtonStep(move, decrement, unit.largest(move, decrement), unit.sure)


def _kinked(matrix: Floats, slope: Floats, values: Floats, edges: Edges) -> NewtonStep:
    there = minimum(matrix, slope - matrix @ values, values, edges)
    move = _refined(matrix, slope, there, there - values, edges)
    decrement = max(0.0, float(move @ matrix @ move))
    if edges.slopes.any():
        return NewtonStep(move, decrement, None, sure=True)
    inside = np.flatnonzero(there)
    unit = _Unit(matrix[np.ix_(inside, inside)])
    return NewtonStep(move, decrement, unit.largest(move[inside], decrement), unit.sure)


def largest_relative(problem: Minimised, values: Floats, move: Floats) -> float:
    """Return the largest step relative to ``max(1, |b|)``, on scaled features."""
    scales = np.where(problem.factors > 0, problem.factors, 1.0)
    return float((np.abs(scales * move) / np.maximum(1.0, np.abs(scales * values))).max(initial=0.0))


def _refined(matrix: Floats, slope: Floats, there: Floats, move: Floats, edges: Edges) -> Floats:
    """Return a step with all digits of its own: a difference of coefficients has only those that they leave."""
    inside = np.flatnonzero(there)
    rest = slope[inside] + edges.slopes[inside] * np.sign(there[inside]) + matrix[inside] @ move
    unit = _Unit(matrix[np.ix_(inside, inside)])
    correction = -unit.solved(rest)
    # Where nothing decides between coefficients, a correction is none.
    if not unit.sure or unit.size(correction) > _CORRECTION * unit.size(move[inside]):
        return move
    move = move.copy()
    move[inside] += correction
    return move


class _Unit:
    """A symmetric matrix brought to a unit diagonal in place, and made positive definite where rounding spoilt that."""

    def __init__(self, matrix: Floats) -> None:
        self._lengths = np.sqrt(np.diag(matrix))
        unit = matrix
        unit /= self._lengths
        unit /= self._lengths[:, np.newaxis]
        self._ridge = 0.0
        while not _is_definite(unit):
            grown = max(_FIRST_RIDGE, 10.0 * self._ridge)
            unit[np.diag_indices_from(unit)] += grown - self._ridge
            self._ridge = grown
        self._unit = unit

    @property
    def sure(self) -> bool:
        """Whether nothing was added."""
        return self._ridge == 0.0

    def largest(self, move: Floats, decrement: float) -> float | None:
        """Return the largest step in standard errors."""
        if len(move) > _FEW and decrement > _NEAR:
            return None
        variances = np.maximum(np.diag(np.linalg.inv(self._unit)), np.finfo(float).tiny)
        return float((np.abs(move) * self._lengths / np.sqrt(variances)).max(initial=0.0))

    def size(self, move: Floats) -> float:
        """Return the length of a step in units of the diagonal."""
        return float(np.linalg.norm(move * self._lengths))

    def solved(self, right: Floats) -> Floats:
        """Return the solution of a system."""
        solution: Floats = np.linalg.solve(self._unit, right / self._lengths) / self._lengths
        return solution


def _is_definite(matrix: Floats) -> bool:
    """Whether a matrix with a unit diagonal is positive definite beyond rounding."""
    try:
        return bool((np.diag(np.linalg.cholesky(matrix)) ** 2).min(initial=1.0) > _LEAST)
    except np.linalg.LinAlgError:
        return False
