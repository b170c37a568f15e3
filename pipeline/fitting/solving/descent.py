"""Going down from point to point: what all solvers keep, and how they go back where a step was too long."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.fitting.passes.points import Order, PassRecord, PassSums, Point
from pipeline.fitting.solving import ending
from pipeline.fitting.solving.line import SMALLEST_SHARE, Line
from pipeline.fitting.solving.objective import Certificate, Solution
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.tiles.layout import Floats

# Steps with a larger squared decrement may have to be shortened; in all, or for each unit of weight.
_LARGE = 1e-2
_LARGE_EACH = 1e-3
# Raw predictions beyond this give rows weights that rounding may lose.
FAR = 15.0


def is_large(decrement: float | None, weight: float) -> bool:
    """Return whether a step may have to be shortened, so that losses on the way are worth their time.

    One that is thought small and goes too far costs a pass.
    """
    return decrement is None or decrement > max(_LARGE, _LARGE_EACH * weight)


class Descent:
    """Where a solver is, how it came there, and its passes so far.

    Parameters
    ----------
    problem : Minimised
    start : ndarray, shape (outputs, width)
    passes : int
        The most passes.
    """

    def __init__(self, problem: Minimised, start: Floats, passes: int) -> None:
        self.problem = problem
        self.here: Floats = problem.edges(1.0).inside(np.where(problem.free, start.ravel(), 0.0))
        self.line: Line | None = None
        self.records: list[PassRecord] = []
        self.slow = 0
        self.weight = 0.0
        self._passes = passes

    @property
    def spent(self) -> bool:
        """Whether all passes are used."""
        return len(self.records) >= self._passes

    @property
    def spent_reason(self) -> str:
        """Why it ends when they are."""
        return f"{self._passes} passes were not enough"

    def point(
        self, order: Order, *, watched: bool = False, direction: Floats | None = None, diagonal: bool = False
    ) -> Point:
        """Return where the next pass sums; ``watched`` asks for losses on the way here, and margins."""
        shaped, step = self.problem.shaped, None
        if watched:
            step = shaped(self.here if self.line is None else self.line.taken)
        return Point(
            shaped(self.here),
            order,
            self.problem.objective.fold,
            step,
            None if direction is None else shaped(direction),
            diagonal=diagonal,
            record=self.records[-1] if self.records else None,
        )

    def value(self, sums: PassSums) -> float:
        """Return the objective here."""
        return self.problem.value(sums.loss, sums.weight, self.here)

    def note(self, sums: PassSums, record: PassRecord | None = None) -> None:
        """Note a pass."""
        if record is None:
            slope = np.abs(self.problem.subgradient(sums, self.here)).max(initial=0.0)
            record = PassRecord(self.value(sums), float(slope))
        self.weight = sums.weight
        self.records.append(replace(record, share=1.0 if self.line is None else self.line.share))

    def count_slow(self) -> None:
        """Count the last step if its decrement has not shrunk."""
        known = [record.decrement for record in self.records if record.decrement is not None]
        if len(known) > 1 and known[-1] > ending.SHRUNK * known[-2]:
            self.slow += 1

    @property
    def suspicious(self) -> bool:
        """Whether so many steps did not shrink that the classes may be separated."""
        return self.slow >= ending.SLOW_STEPS

    def separation(self, sums: PassSums) -> ending.Separation | None:
        """Return whether the last step separates the classes, if so many did not shrink; what is penalised cannot."""
        if not self.suspicious or self.line is None or (found := ending.separation(sums)) is None:
            return None
        shared = list(ending.separating(self.line.taken))
        held = self.problem.bend(1.0) + self.problem.edges(1.0).slopes
        return None if held[shared].any() else found

    def separated(self, sums: PassSums) -> str | None:
        """Return that the classes are separated, as a reason to end; ``None`` where they are not known to be."""
        found = self.separation(sums)
        return None if found is None else f"{found} separation: the loss falls without end along the last steps"

    def go(self, move: Floats, value: float, fall: float) -> None:
        """Take a step from here, where the objective has a value, of which a fall is promised."""
        self.line = Line(self.here, move, value, fall)
        self.here = self.line.here

    def begins_anew(self, sums: PassSums) -> bool:
        """Go to 0 if the start is worse than that is without an offset; return whether it did."""
        worst = sums.weight * np.log(self.problem.layout.classes)
        if self.line is not None or not self.here.any() or sums.loss < worst:
            return False
        self.begin_at(np.zeros_like(self.here), sums)
        return True

    def begin_at(self, values: Floats, sums: PassSums) -> None:
        """Begin elsewhere, after a pass."""
        self.note(sums)
        self.here = values

    def went_too_far(self, sums: PassSums) -> bool:
        """Go back along the step where its loss has not fallen; return whether it had to."""
        if self.line is None or (share := self.line.shorter(self.problem, sums)) is None:
            return False
        self.note(sums)
        self.line.share = share
        self.here = self.line.here
        return True

    def given_up(self) -> str | None:
        """Return why no other pass is made; ``None`` where there may be one."""
        if self.line is not None and self.line.share < SMALLEST_SHARE:
            return "no part of the last step lowers the loss"
        return self.spent_reason if self.spent else None

    def solution(self, sums: PassSums, certificate: Certificate) -> Solution:
        """Return what was found, with the sums of the last pass."""
        records = tuple(self.records)
        return Solution(self.problem.shaped(self.here), sums, self.value(sums), certificate, records)

    def certificate(self, sums: PassSums, converged: bool, reason: str) -> Certificate:
        """Return how it ends, with the separation that was found."""
        found = None if converged else self.separation(sums)
        slope = np.abs(self.problem.subgradient(sums, self.here)).max(initial=0.0)
        return Certificate(
            converged,
            reason,
            decrement=None,
            largest_step=None,
            gradient=float(slope),
            passes=len(self.records),
            rows=sums.rows,
            gap=ending.gap(self.problem, sums, self.here),
            separation=found,
            separating=ending.separating(self.line.taken) if found and self.line is not None else (),
        )
