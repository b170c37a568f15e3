"""Newton's method for many coefficients: the step is found by conjugate gradients, a pass for each product.

Preconditioned with the Hessian's diagonal, and with the products of the steps before (Morales and Nocedal, Automatic
preconditioning by limited memory quasi-Newton updating, 2000). How exact a step is grows with how near the optimum is
(Nocedal and Wright, Numerical Optimization, sections 5.1 and 7.1). The decrement of a step is that of the quadratic
where it ends, from below: solved to a relative residual of 1e-6 it is exact to 1e-12.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.passes.points import PassRecord, PassSums, Point
from pipeline.fitting.solving import ending
from pipeline.fitting.solving.curvature import CurvaturePairs
from pipeline.fitting.solving.descent import Descent, is_large
from pipeline.fitting.solving.objective import Objective, Solution, Solver
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.solving.step import largest_relative
from pipeline.fitting.tiles.layout import Floats

PASSES = 1_000
# The relative residual of the step whose decrement certifies, and of the first, roughest ones.
_FINE = 1e-6
_ROUGH = 0.1
# Products that condition the steps after them, and the bytes that they may have.
_KEPT = 40
_KEPT_BYTES = 64 << 20
# Products after which the residual must have halved.
_STALLED = 60
# The curvature along a direction, relative to that of the diagonal, that is rounding.
FLAT = 1e-13


def newton_cg(
    objective: Objective,
    start: Floats,
    *,
    passes: int = PASSES,
    enough: float = ending.DECREMENT,
    ridge: float = 0.0,
) -> Solver:
    """Return the optimum without a Hessian; the parameters are those of :func:`newton`.

    There must be neither an L1 penalty nor signs.
    """
    way = Descent(Minimised(objective, ridge), start, passes)
    known = CurvaturePairs(min(_KEPT, _KEPT_BYTES // (16 * objective.layout.size)))
    while True:
        sums = yield way.point(1, watched=_is_watched(way), diagonal=True)
        if way.went_too_far(sums):
            if (reason := way.given_up()) is not None:
                return way.solution(sums, way.certificate(sums, converged=False, reason=reason))
            continue
        if way.begins_anew(sums):
            continue
        way.note(sums)
        step = yield from _step(way, sums, enough, known)
        way.records[-1] = replace(way.records[-1], decrement=step.decrement, largest_step=step.largest)
        way.count_slow()
        if (ended := _ended(way, sums, step, enough)) is not None:
            return _solution(way, sums, step, ended)
        slope = way.problem.slope(sums, way.here)
        way.go(step.move, way.value(sums), way.problem.fall(slope, sums.weight, way.here, step.move))


@dataclass(slots=True, eq=False)
class _Inexact:
    """A step, the squared decrement of the quadratic at it, its largest part, and its relative residual."""

    move: Floats
    decrement: float
    largest: float | None
    residual: float


def _is_watched(way: Descent) -> bool:
    known = [record.decrement for record in way.records if record.decrement is not None]
    large = is_large(known[-1] if known else None, way.weight)
    return way.line is not None and (way.suspicious or way.line.share < 1.0 or large)


def _step(way: Descent, sums: PassSums, enough: float, known: CurvaturePairs) -> Generator[Point, PassSums, _Inexact]:
    """Solve for the step, as exactly as it is worth here."""
    problem = way.problem
    assert sums.diagonal is not None
    slope, bend = problem.slope(sums, way.here), problem.bend(sums.weight)
    inner = Conjugate(problem, np.where(problem.free, sums.diagonal.ravel() + bend, 0.0), slope, known)
    told: list[tuple[Floats, Floats]] = []
    allowed = _worth(np.sqrt(inner.first), sums.weight, enough)
    while inner.goes_on and not way.spent:
        product = (yield way.point(0, direction=inner.toward)).product
        assert product is not None
        way.records.append(PassRecord(way.records[-1].objective, way.records[-1].gradient))
        bent = np.where(problem.free, product.ravel() + bend * inner.toward, 0.0)
        told.append((inner.toward, bent))
        inner.take(bent)
        # What looks converged is solved until it is known.
        if inner.residual <= (_FINE if -slope @ inner.move <= enough else allowed):
            break
    # What conditions a solve stays as it is while it lasts.
    for direction, bent in told:
        known.add(direction, bent)
    largest = largest_relative(problem, way.here, inner.move) if problem.penalised else None
    return _Inexact(inner.move, max(0.0, -float(slope @ inner.move)), largest, inner.residual)


class Conjugate:
    """Conjugate gradients under way: it tells the next direction, and takes the Hessian times it.

    Attributes
    ----------
    move, toward : ndarray of float64, shape (size,)
        The step so far, and the next direction.
    first : float
        The squared size of the slope, as what is known of the Hessian measures it: about the squared decrement.
    """

    def __init__(
        self, problem: Minimised, diagonal: Floats, slope: Floats, known: CurvaturePairs, *, flat: float = FLAT
    ) -> None:
        # A coefficient whose diagonal is 0 stays where it is.
        self._problem = problem
        self._diagonal = diagonal
        self._inverse = np.where(diagonal > 0, 1.0 / np.where(diagonal > 0, diagonal, 1.0), 0.0)
        self.move: Floats = np.zeros_like(slope)
        self._known = known
        self._flat = flat
        self._rest = -problem.decided(slope)
        self.toward: Floats = known.divided(self._rest, self._inverse)
        self._size = self.first = self._smallest = float(self._rest @ self.toward)
        self._stalled = 0

    @property
    def goes_on(self) -> bool:
        """Whether another product may help."""
        return self._size > 0.0 and self._stalled < _STALLED

    @property
    def residual(self) -> float:
        """What the step leaves of the slope."""
        return float(np.sqrt(self._size / self.first)) if self.first > 0 else 0.0

    def take(self, bent: Floats) -> None:
        """Go as far as the direction is worth, and choose the next."""
        curvature, length = float(self.toward @ bent), float(self._diagonal @ self.toward**2)
        before = self._size
        if curvature <= self._flat * length:
            # Columns are combinations of others: along them the loss is flat, and its slope is rounding.
            flat = self._diagonal * self.toward
            self._rest = self._rest - flat * float(self.toward @ self._rest) / length
            before = np.inf
        else:
            self.move = self.move + (self._size / curvature) * self.toward
            self._rest = self._problem.decided(self._rest - (self._size / curvature) * bent)
        conditioned = self._known.divided(self._rest, self._inverse)
        self._size = float(self._rest @ conditioned)
        self.toward = conditioned + (self._size / before) * self.toward
        if self._size < 0.25 * self._smallest:
            self._smallest, self._stalled = self._size, 0
        else:
            self._stalled += 1


def _worth(decrement: float, weight: float, enough: float) -> float:
    """Return the relative residual that a step is worth, from about its decrement.

    The next decrement is this share of it, and besides about its square over the root of the weight; less than is
    enough is not needed.
    """
    target = 0.1 * np.sqrt(enough) / max(decrement, 1e-300)
    return float(min(_ROUGH, max(decrement / np.sqrt(weight), target, _FINE)))


def _ended(way: Descent, sums: PassSums, step: _Inexact, enough: float) -> tuple[bool, str] | None:
    exact = enough <= ending.DECREMENT
    small = step.largest is None or step.largest <= ending.STEP or not exact
    if step.decrement <= enough and small and step.residual <= _FINE:
        return True, f"the squared Newton decrement is {step.decrement:.1e}, by conjugate gradients"
    if step.decrement <= enough and small:
        return False, f"the Hessian is singular up to rounding: a step leaves {step.residual:.1e} of the gradient"
    reason = way.separated(sums) or (way.spent_reason if way.spent else None)
    return None if reason is None else (False, reason)


def _solution(way: Descent, sums: PassSums, step: _Inexact, ended: tuple[bool, str]) -> Solution:
    certificate = replace(way.certificate(sums, *ended), decrement=step.decrement, largest_step=step.largest)
    return way.solution(sums, certificate)
