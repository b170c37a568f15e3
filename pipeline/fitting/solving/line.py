"""How far to go along a step: the share whose loss falls enough, of those that a pass has summed."""

from __future__ import annotations

from pipeline.dataclass import dataclass
from pipeline.fitting.passes.points import SHARES, PassSums
from pipeline.fitting.solving.problem import Minimised
from pipeline.fitting.tiles.layout import Floats

# How much of the fall that the slope promises must come true: Nocedal and Wright, Numerical Optimization, section 3.1.
_PROMISED = 1e-4
# What rounding may add to an objective, relative to it.
_ROUNDING = 1e-13
# A fall that is promised to be smaller than this, relative to the objective, is not judged: sums are not that exact.
_SMALL = 1e-11
# A share below this is none.
SMALLEST_SHARE = 1e-9


@dataclass(slots=True, eq=False)
class Line:
    """A step that is taken.

    Attributes
    ----------
    base, move : ndarray of float64, shape (size,)
        Where it begins, and the whole step.
    value, fall : float
        The objective there, and what the slope promises that a whole step adds to it; negative.
    share : float
        How much of the step is tried.
    """

    base: Floats
    move: Floats
    value: float
    fall: float
    share: float = 1.0

    @property
    def taken(self) -> Floats:
        """The part of the step that is tried."""
        return self.share * self.move

    @property
    def here(self) -> Floats:
        """Where that part leads."""
        return self.base + self.taken

    def shorter(self, problem: Minimised, sums: PassSums) -> float | None:
        """Return the share to try next, ``None`` where the objective has fallen enough."""
        if -self.fall <= _SMALL * abs(self.value) or self._falls(problem, sums, self.share, sums.loss):
            return None
        for part, loss in zip(SHARES, sums.shorter, strict=False):
            if self._falls(problem, sums, self.share * part, loss):
                return self.share * part
        return self.share * (SHARES[-1] if sums.shorter else SHARES[0])

    def _falls(self, problem: Minimised, sums: PassSums, share: float, loss: float) -> bool:
        value = problem.value(loss, sums.weight, self.base + share * self.move)
        return value <= self.value + _PROMISED * share * self.fall + _ROUNDING * abs(self.value)
