"""Newton's method: the exact step from the Hessian, shortened by losses that the same pass has summed.

With an L1 penalty or signs the step is the minimum of the quadratic with its kinks and bounds: proximal Newton (Lee,
Sun and Saunders, Proximal Newton-type methods for minimizing composite functions, 2014). No step costs more than a
pass.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.fitting.passes.blocks import unpack
from pipeline.fitting.passes.points import PassRecord, PassSums, Point
from pipeline.fitting.solving import ending
from pipeline.fitting.solving.dependence import Combination, dependent, handed_over
from pipeline.fitting.solving.descent import FAR, Descent, is_large
from pipeline.fitting.solving.objective import Objective, Solution, Solver
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.solving.step import NewtonStep, newton_step
from pipeline.fitting.tiles.layout import Floats

PASSES = 100
# Below this a measure that has not halved for some passes is stopped by rounding.
_SMALL = 1e-6
_STALLED = 4


def newton(
    objective: Objective,
    start: Floats,
    *,
    passes: int = PASSES,
    enough: float = ending.DECREMENT,
    ridge: float = 0.0,
) -> Solver:
    """Return the optimum, with the Hessian there.

    Parameters
    ----------
    objective : Objective
    start : ndarray, shape (outputs, width)
    passes : int
        The most passes.
    enough : float
        The squared Newton decrement that ends it.
    ridge : float
        What is added to every second derivative of the summed loss: for a start, which needs no exact optimum.
    """
    run = _Newton(Minimised(objective, ridge), start, passes, enough)
    while (solution := run.take((yield run.point()))) is None:
        pass
    return solution


class _Newton:
    """A fit under way: it tells the next point, and takes the sums there."""

    def __init__(self, problem: Minimised, start: Floats, passes: int, enough: float) -> None:
        self._way = Descent(problem, start, passes)
        self._problem = problem
        self._enough = enough
        self._measures: list[float] = []
        self._dropped: dict[int, Combination] | None = None
        self._first_slope = 0.0

    def point(self) -> Point:
        """Return where the next pass sums."""
        way = self._way
        if way.line is None:
            # The margins of a start tell how far out it is.
            return way.point(2, watched=bool(way.here.any()))
        large = is_large(way.records[-1].decrement, way.weight)
        return way.point(2, watched=large or way.suspicious or way.line.share < 1.0)

    def take(self, sums: PassSums) -> Solution | None:
        """Take the sums of a pass; return the solution where it was the last one."""
        way, problem = self._way, self._problem
        if way.went_too_far(sums):
            return self._back(sums)
        if self._dropped is None and not self._begin(sums):
            return None
        step = newton_step(problem, sums, way.here)
        subgradient = problem.subgradient(sums, way.here)
        value, steepest = way.value(sums), float(np.abs(subgradient).max(initial=0.0))
        way.note(sums, PassRecord(value, steepest, step.decrement, step.largest))
        way.count_slow()
        norm = float(np.linalg.norm(subgradient))
        self._first_slope = self._first_slope or ending.distance_of_start(norm, problem)
        if (ended := self._ended(sums, step, norm)) is not None:
            return self._solution(sums, step, norm, ended)
        way.go(step.move, value, problem.fall(problem.slope(sums, way.here), sums.weight, way.here, step.move))
        return None

    def _back(self, sums: PassSums) -> Solution | None:
        """Return ``None`` where a shorter step is tried, or the end where there is none."""
        if (reason := self._way.given_up()) is None:
            return None
        certificate = self._way.certificate(sums, converged=False, reason=reason)
        return replace(self._way.solution(sums, certificate), dropped=self._combinations)

    def _begin(self, sums: PassSums) -> bool:
        """Find columns that others explain, in the first pass; return whether its sums can be used."""
        way = self._way
        if way.begins_anew(sums):
            return False
        found = self._explained(sums)
        # Where the weights of rows are tiny, columns may seem to explain each other.
        if way.here.any() and any(found.values()) and not max(abs(sums.smallest), abs(sums.largest)) <= FAR:
            way.begin_at(np.zeros_like(way.here), sums)
            return False
        self._dropped = found
        way.here = handed_over(self._problem.shaped(way.here), found).ravel()
        self._problem.drop(list(found))
        inside = self._problem.edges(1.0).inside(way.here)
        if not np.array_equal(inside, way.here):
            way.begin_at(inside, sums)
            return False
        return True

    def _explained(self, sums: PassSums) -> dict[int, Combination]:
        problem, layout = self._problem, self._problem.layout
        assert sums.hessian is not None
        hessian = unpack(sums.hessian, layout.size)
        width = layout.width
        blocks = [hessian[first : first + width, first : first + width] for first in range(0, layout.size, width)]
        able = problem.bend(sums.weight)[:width] + problem.edges(sums.weight).slopes[:width] <= 0
        positions = np.flatnonzero(problem.free[:width])
        gram = sum(blocks[1:], start=blocks[0])[np.ix_(positions, positions)]
        return {
            int(positions[column]): tuple((int(positions[other]), factor) for other, factor in combination)
            for column, combination in dependent(gram, able[positions]).items()
        }

    @property
    def _combinations(self) -> tuple[tuple[int, Combination], ...]:
        """The columns that were dropped, with nothing where the intercept alone explains one: a constant."""
        found = (self._dropped or {}).items()
        intercept = self._problem.layout.intercept
        return tuple((c, () if intercept and [other for other, _ in parts] == [0] else parts) for c, parts in found)

    def _ended(self, sums: PassSums, step: NewtonStep, norm: float) -> tuple[bool, str] | None:
        """Return whether it has converged and why it ends; ``None`` where it goes on."""
        relative = norm / self._first_slope if self._first_slope else 0.0
        by_l1, exact = self._problem.l1 > 0, self._enough <= ending.DECREMENT
        if by_l1 and relative <= ending.SUBGRADIENT:
            return True, f"the minimal subgradient is {relative:.1e} of that at the start"
        small = step.sure and step.largest is not None and step.largest <= ending.STEP and not by_l1
        if step.decrement <= self._enough and (small or not exact):
            return True, f"the squared Newton decrement is {step.decrement:.1e}"
        if (reason := self._way.separated(sums)) is not None:
            return False, reason
        return self._given_up(relative if by_l1 else step.decrement, step)

    def _given_up(self, measure: float, step: NewtonStep) -> tuple[bool, str] | None:
        self._measures.append(measure)
        best, lately = min(self._measures), self._measures[-_STALLED:]
        before = min(self._measures[:-_STALLED], default=np.inf)
        if best < _SMALL and min(lately) > 0.5 * before:
            what = "minimal subgradient" if self._problem.l1 > 0 else "squared Newton decrement"
            singular = "" if step.sure else "; the Hessian is singular up to rounding"
            return False, f"rounding stops progress at a {what} of {best:.1e}, above the limit{singular}"
        return (False, self._way.spent_reason) if self._way.spent else None

    def _solution(self, sums: PassSums, step: NewtonStep, norm: float, ended: tuple[bool, str]) -> Solution:
        relative = norm / self._first_slope if self._problem.l1 > 0 and self._first_slope else None
        certificate = replace(
            self._way.certificate(sums, *ended),
            decrement=step.decrement,
            largest_step=step.largest,
            subgradient=relative,
        )
        return replace(self._way.solution(sums, certificate), dropped=self._combinations)
