"""A Newton step: where the quadratic that a pass describes is smallest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.fitting.blocks import unpack
from pipeline.fitting.layout import Floats
from pipeline.fitting.points import PassSums
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.solving.quadratic import Edges, minimum

# What is first added to a unit diagonal that rounding has made indefinite.
_FIRST_RIDGE = 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class NewtonStep:
    """A step, and how large it is.

    Attributes
    ----------
    move : ndarray of float64, shape (size,)
    decrement : float
        The squared Newton decrement.
    largest : float
        The largest step in standard errors; with a penalty relative to ``max(1, |b|)`` on scaled features.
    sure : bool
        Whether the Hessian was positive definite as it is.
    """

    move: Floats
    decrement: float
    largest: float
    sure: bool


def newton_step(problem: Minimised, sums: PassSums, values: Floats) -> NewtonStep:
    """Return the step from some coefficients, given the sums there."""
    assert sums.hessian is not None
    hessian = unpack(sums.hessian, problem.layout.size)
    hessian[np.diag_indices_from(hessian)] += problem.bend(sums.weight)
    problem.hold_shifts(hessian)
    move = np.where(problem.free, 0.0, -values)
    used = np.flatnonzero(problem.free & (np.diag(hessian) > 0))
    # What no row has, a penalty alone decides.
    alone = problem.free & (np.diag(hessian) <= 0) & (problem.factors > 0)
    move[alone] = -values[alone]
    matrix = hessian[np.ix_(used, used)]
    slope, edges = problem.slope(sums, values)[used], problem.edges(sums.weight).of(used)
    unit = _Unit(matrix)
    if edges.smooth:
        move[used] = unit.solved(-slope)
        decrement = -float(slope @ move[used])
        moving = np.ones(len(used), bool)
    else:
        linear = slope - unit.matrix(matrix) @ values[used]
        move[used] = minimum(unit.matrix(matrix), linear, values[used], edges) - values[used]
        decrement = float(move[used] @ matrix @ move[used])
        moving = values[used] + move[used] != 0.0
    errors = _errors(unit, matrix, edges, moving)
    largest = largest_relative(problem, values, move) if problem.penalised else _ratio(move[used][moving], errors)
    return NewtonStep(move, max(0.0, decrement), largest, unit.sure)


def largest_relative(problem: Minimised, values: Floats, move: Floats) -> float:
    """Return the largest step relative to ``max(1, |b|)``, on scaled features."""
    scales = np.where(problem.factors > 0, problem.factors, 1.0)
    return float((np.abs(scales * move) / np.maximum(1.0, np.abs(scales * values))).max(initial=0.0))


def _ratio(moves: Floats, errors: Floats) -> float:
    return float((np.abs(moves) / errors).max(initial=0.0))


def _errors(unit: _Unit, matrix: Floats, edges: Edges, moving: Floats) -> Floats:
    """Return the standard errors of the coefficients that are not at a bound."""
    if edges.smooth:
        return unit.errors
    return _Unit(matrix[np.ix_(moving, moving)]).errors


class _Unit:
    """A symmetric matrix brought to a unit diagonal, made positive definite where rounding has spoilt that."""

    def __init__(self, matrix: Floats) -> None:
        self._lengths = np.sqrt(np.diag(matrix))
        unit = matrix / np.outer(self._lengths, self._lengths)
        self._ridge = 0.0
        while not _is_definite(unit):
            grown = max(_FIRST_RIDGE, 10.0 * self._ridge)
            unit[np.diag_indices_from(unit)] += grown - self._ridge
            self._ridge = grown
        self._unit = unit
        self._inverse: Floats = np.linalg.inv(unit).astype(np.float64)

    @property
    def sure(self) -> bool:
        """Whether nothing was added."""
        return self._ridge == 0.0

    @property
    def errors(self) -> Floats:
        """Return the roots of the diagonal of the inverse."""
        errors: Floats = np.sqrt(np.maximum(np.diag(self._inverse), 0.0)) / self._lengths
        return errors

    def matrix(self, matrix: Floats) -> Floats:
        """Return the matrix with what was added."""
        return matrix + np.diag(self._ridge * self._lengths**2) if self._ridge else matrix

    def solved(self, right: Floats) -> Floats:
        """Return the solution, refined once."""
        scaled = right / self._lengths
        solution = self._inverse @ scaled
        solution += self._inverse @ (scaled - self._unit @ solution)
        return solution / self._lengths


def _is_definite(matrix: Floats) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
