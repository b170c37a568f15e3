"""Newton's method: the exact step from the Hessian, shortened by losses that the same pass has summed.

With an L1 penalty or signs the step is the minimum of the quadratic with its kinks and bounds: proximal Newton (Lee,
Sun and Saunders, Proximal Newton-type methods for minimizing composite functions, 2014). No step costs more than a
pass.
"""

from __future__ import annotations

import numpy as np

from pipeline.fitting.blocks import unpack
from pipeline.fitting.dependence import Combination, dependent
from pipeline.fitting.layout import Floats
from pipeline.fitting.objective import Certificate, Objective, Solution, Solver
from pipeline.fitting.points import PassRecord, PassSums, Point
from pipeline.fitting.solving import ending
from pipeline.fitting.solving.line import SMALLEST_SHARE, Line
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.solving.step import NewtonStep, newton_step

PASSES = 100
# Steps with a larger squared decrement may have to be shortened.
_LARGE = 1e-2
# Below this a measure that has not halved for some passes is stopped by rounding.
_SMALL = 1e-6
_STALLED = 4
# Raw predictions beyond this give rows weights that rounding may lose.
_FAR = 15.0


def newton(objective: Objective, start: Floats, *, passes: int = PASSES, enough: float = ending.DECREMENT) -> Solver:
    """Return the optimum, with the Hessian there.

    Parameters
    ----------
    objective : Objective
    start : ndarray, shape (outputs, width)
    passes : int
        The most passes.
    enough : float
        The squared Newton decrement that ends it.
    """
    run = _Newton(objective, start, passes, enough)
    while (solution := run.take((yield run.point()))) is None:
        pass
    return solution


class _Newton:
    """A fit under way: it tells the next point, and takes the sums there."""

    def __init__(self, objective: Objective, start: Floats, passes: int, enough: float) -> None:
        self._problem = Minimised(objective)
        self._passes = passes
        self._enough = enough
        values = np.where(self._problem.free, start.ravel(), 0.0)
        self._here: Floats = self._problem.edges(1.0).inside(values)
        self._line: Line | None = None
        self._records: list[PassRecord] = []
        self._slow = 0
        self._measures: list[float] = []
        self._dropped: dict[int, Combination] | None = None
        self._first_slope = 0.0

    def point(self) -> Point:
        """Return where the next pass sums."""
        line, records = self._line, self._records
        shape = (self._problem.layout.outputs, self._problem.layout.width)
        step = None
        if line is None and self._here.any():
            # The margins of the start tell how far out it is.
            step = self._here.reshape(shape)
        elif line is not None and self._is_watched(line):
            step = line.taken.reshape(shape)
        return Point(
            self._here.reshape(shape),
            fold=self._problem.objective.fold,
            step=step,
            record=records[-1] if records else None,
        )

    def _is_watched(self, line: Line) -> bool:
        """Whether the next pass takes losses on the way, and margins."""
        decrement = self._records[-1].decrement
        return self._slow >= ending.SLOW_STEPS or line.share < 1.0 or decrement is None or decrement > _LARGE

    def take(self, sums: PassSums) -> Solution | None:
        """Take the sums of a pass; return the solution where it was the last one."""
        problem = self._problem
        if self._line is not None and (share := self._line.shorter(problem, sums)) is not None:
            return self._shorten(sums, share)
        if self._dropped is None and not self._begin(sums):
            return None
        value = problem.value(sums.loss, sums.weight, self._here)
        step = newton_step(problem, sums, self._here)
        share = 1.0 if self._line is None else self._line.share
        subgradient = self._subgradient(sums)
        self._records.append(
            PassRecord(value, float(np.abs(subgradient).max(initial=0.0)), step.decrement, step.largest, share)
        )
        self._count_slow()
        if (ended := self._ended(sums, step, subgradient)) is not None:
            return self._solution(sums, value, step, ended)
        fall = self._fall(sums, step)
        self._line = Line(self._here, step.move, value, fall)
        self._here = self._line.here
        return None

    def _shorten(self, sums: PassSums, share: float) -> Solution | None:
        """Go back along the step, as its loss has not fallen."""
        assert self._line is not None
        value = self._problem.value(sums.loss, sums.weight, self._here)
        slope = float(np.abs(self._subgradient(sums)).max(initial=0.0))
        self._records.append(PassRecord(value, slope, share=self._line.share))
        if share < SMALLEST_SHARE or len(self._records) >= self._passes:
            step = NewtonStep(self._line.move, np.nan, np.nan, sure=False)
            return self._solution(sums, value, step, (False, "no part of the last step lowers the loss"))
        self._line.share = share
        self._here = self._line.here
        return None

    def _begin(self, sums: PassSums) -> bool:
        """Find columns that others explain, in the first pass; return whether its sums can be used."""
        far = self._here.any() and not max(abs(sums.smallest), abs(sums.largest)) <= _FAR
        if far and not np.isfinite(sums.loss):
            self._here = np.zeros_like(self._here)
            return False
        found = self._explained(sums)
        # Where the weights of rows are tiny, columns may seem to explain each other.
        if far and any(found.values()):
            self._here = np.zeros_like(self._here)
            return False
        self._dropped = found
        self._hand_over(found)
        self._problem.drop(list(found))
        return True

    def _hand_over(self, found: dict[int, Combination]) -> None:
        """Give the coefficients of columns that are dropped to those that explain them: no raw prediction changes."""
        values = self._here.reshape(self._problem.layout.outputs, -1)
        for column, combination in found.items():
            for other, factor in combination:
                values[:, other] += factor * values[:, column]
            values[:, column] = 0.0

    def _explained(self, sums: PassSums) -> dict[int, Combination]:
        problem, layout = self._problem, self._problem.layout
        assert sums.hessian is not None
        hessian = unpack(sums.hessian, layout.size)
        width = layout.width
        blocks = [hessian[first : first + width, first : first + width] for first in range(0, layout.size, width)]
        free = problem.free[:width]
        able = np.ones(width, bool) if not problem.penalised else problem.factors[:width] == 0
        positions = np.flatnonzero(free)
        gram = sum(blocks[1:], start=blocks[0])[np.ix_(positions, positions)]
        found = dependent(gram, able[positions])
        return {
            int(positions[column]): tuple((int(positions[other]), factor) for other, factor in combination)
            for column, combination in found.items()
        }

    def _named(self, combination: Combination) -> Combination:
        """Return a combination, or nothing where it is the intercept alone: a constant column."""
        constant = self._problem.layout.intercept and [other for other, _ in combination] == [0]
        return () if constant else combination

    def _subgradient(self, sums: PassSums) -> Floats:
        """Return the smallest subgradient of the objective."""
        slope = self._problem.slope(sums, self._here)
        edges = self._problem.edges(sums.weight)
        return np.where(self._problem.free, edges.subgradient(slope, self._here), 0.0) / sums.weight

    def _fall(self, sums: PassSums, step: NewtonStep) -> float:
        """Return what the slope promises that a whole step adds to the objective."""
        problem, here = self._problem, self._here
        smooth = float(problem.slope(sums, here) @ step.move) / sums.weight
        kinks = problem.l1 * (np.abs(problem.factors * (here + step.move)) - np.abs(problem.factors * here)).sum()
        return min(0.0, smooth + float(kinks))

    def _count_slow(self) -> None:
        before = [record.decrement for record in self._records[:-1] if record.decrement is not None]
        now = self._records[-1].decrement
        if before and now is not None and now > ending.SHRUNK * before[-1]:
            self._slow += 1

    def _ended(self, sums: PassSums, step: NewtonStep, subgradient: Floats) -> tuple[bool, str] | None:
        """Return whether it has converged and why it ends; ``None`` where it goes on."""
        norm = float(np.linalg.norm(subgradient))
        self._first_slope = self._first_slope or max(norm, self._problem.l1)
        relative = norm / self._first_slope if self._first_slope else 0.0
        by_l1 = self._problem.l1 > 0
        if by_l1 and relative <= ending.SUBGRADIENT:
            return True, f"the minimal subgradient is {relative:.1e} of that at the start"
        if not by_l1 and step.sure and step.decrement <= self._enough and step.largest <= self._largest_allowed():
            return True, f"the squared Newton decrement is {step.decrement:.1e}"
        if self._line is not None and self._slow >= ending.SLOW_STEPS and ending.separation(sums) is not None:
            return False, f"{ending.separation(sums)} separation: the loss falls for ever along the last steps"
        return self._given_up(relative if by_l1 else step.decrement, step)

    def _largest_allowed(self) -> float:
        return ending.STEP if self._enough <= ending.DECREMENT else np.inf

    def _given_up(self, measure: float, step: NewtonStep) -> tuple[bool, str] | None:
        self._measures.append(measure)
        best, lately = min(self._measures), self._measures[-_STALLED:]
        before = min(self._measures[:-_STALLED], default=np.inf)
        if best < _SMALL and min(lately) > 0.5 * before:
            what = "minimal subgradient" if self._problem.l1 > 0 else "squared Newton decrement"
            singular = "" if step.sure else "; the Hessian is singular within rounding"
            return False, f"rounding ends progress at a {what} of {best:.1e}, above the limit{singular}"
        if len(self._records) >= self._passes:
            return False, f"{self._passes} passes were not enough"
        return None

    def _solution(self, sums: PassSums, value: float, step: NewtonStep, ended: tuple[bool, str]) -> Solution:
        problem = self._problem
        subgradient = self._subgradient(sums)
        found = None if ended[0] or self._line is None or self._slow < ending.SLOW_STEPS else ending.separation(sums)
        norm = float(np.linalg.norm(subgradient))
        certificate = Certificate(
            *ended,
            decrement=step.decrement,
            largest_step=step.largest,
            gradient=float(np.abs(subgradient).max(initial=0.0)),
            passes=len(self._records),
            rows=sums.rows,
            gap=ending.gap(problem, sums, self._here),
            subgradient=norm / self._first_slope if problem.l1 > 0 and self._first_slope else None,
            separation=found,
            separating=ending.separating(self._line.taken) if found and self._line is not None else (),
        )
        shape = (problem.layout.outputs, problem.layout.width)
        dropped = tuple((column, self._named(found)) for column, found in (self._dropped or {}).items())
        return Solution(self._here.reshape(shape), sums, value, certificate, tuple(self._records), dropped)
