"""What is minimised, and what a solver returns.

The objective is ``loss / weight + l1 * sum(factor |b|) + l2 / 2 * sum(factor^2 b^2)``, where ``loss`` and ``weight``
are the sums of a pass, b are the coefficients of the tiles, and ``factor`` turns them into those of scaled columns; it
is 0 for what is not penalised.

A solver is a generator: it yields the point where it wants sums, receives them, and returns a solution. So any number
of solvers can share passes, and none of them knows where the rows are.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.fitting.passes.points import PassRecord, PassSums, Point
from pipeline.fitting.tiles.layout import FitLayout, Floats

__all__ = ["Certificate", "Method", "Objective", "PassRecord", "Penalty", "Solution", "Solver"]

Method = Literal["newton", "newton-cg", "owlqn", "gradient"]


@dataclass(frozen=True, slots=True, eq=False)
class Penalty:
    """How large coefficients are penalised.

    Attributes
    ----------
    l1, l2 : float
    factors : ndarray of float64, shape (width,)
        0 for what is not penalised; else the scale by which the coefficient of a tile becomes that of a scaled column.
    """

    l1: float
    l2: float
    factors: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """What a solver minimises.

    Attributes
    ----------
    layout : FitLayout
    penalty : Penalty or None
    signs : ndarray of int8, shape (width,), or None
        1 where a coefficient must not be negative, -1 where it must not be positive, else 0.
    fixed : ndarray of bool, shape (width,), or None
        Coefficients that stay 0: columns that were dropped.
    fold : int or None
        The fold that is left out.
    """

    layout: FitLayout
    penalty: Penalty | None = None
    signs: npt.NDArray[np.int8] | None = None
    fixed: npt.NDArray[np.bool_] | None = None
    fold: int | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """How it is known that coefficients are the optimum, or how far from it they are.

    Attributes
    ----------
    converged : bool
    reason : str
        Why it ended, as a clause for a person.
    decrement : float or None
        The squared Newton decrement.
    largest_step : float or None
    gradient : float
        Largest absolute value of the gradient of the objective, for each unit of weight.
    gap : float or None
        The duality gap, where every coefficient is penalised or there is an L1 penalty.
    subgradient : float or None
        The norm of the minimal subgradient, relative to that at the start, or to the L1 penalty or 1e-3 where that is
        more: a start may be the optimum. With an L1 penalty, or where ``owlqn`` found the coefficients.
    passes : int
    rows : int
    separation : {"complete", "quasi-complete"} or None
    separating : tuple of int
        The coefficients with a share in a step that separates, the largest share first.
    """

    converged: bool
    reason: str
    decrement: float | None
    largest_step: float | None
    gradient: float
    passes: int
    rows: int
    gap: float | None = None
    subgradient: float | None = None
    separation: Literal["complete", "quasi-complete"] | None = None
    separating: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What a solver returns.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (outputs, width)
    sums : PassSums
        At these coefficients; with the Hessian where the method has it.
    objective : float
    certificate : Certificate
    records : tuple of PassRecord
    dropped : tuple of (int, tuple of (int, float))
        Columns, by their position in the width, whose coefficients stay 0 because they are combinations of others, with
        that combination: the positions of the others and their factors; none for a constant column.
    """

    coefficients: Floats
    sums: PassSums
    objective: float
    certificate: Certificate
    records: tuple[PassRecord, ...]
    dropped: tuple[tuple[int, tuple[tuple[int, float], ...]], ...] = ()


Solver = Generator[Point, PassSums, Solution]
