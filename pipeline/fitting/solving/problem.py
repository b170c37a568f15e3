"""What is minimised, as numbers: penalties, bounds and what nothing decides, beside the sums of a pass.

Coefficients are flat here: output by output. Slopes and curvatures are of the summed loss with the penalty times the
sum of the weights, so that a Newton decrement is in standard errors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.fitting.tiles.layout import Floats
from pipeline.fitting.solving.objective import Objective
from pipeline.fitting.passes.points import PassSums
from pipeline.fitting.solving.quadratic import Edges

Mask = npt.NDArray[np.bool_]


class Minimised:
    """An objective, and how it is made of sums.

    Attributes
    ----------
    l1, l2 : float
    factors : ndarray of float64, shape (size,)
        0 for what is not penalised.
    free : ndarray of bool, shape (size,)
        Which coefficients are fitted; :meth:`drop` takes columns away.

    Parameters
    ----------
    objective : Objective
    ridge : float
        What is added to every second derivative of the summed loss, for a start alone.
    """

    def __init__(self, objective: Objective, ridge: float = 0.0) -> None:
        layout, penalty = objective.layout, objective.penalty
        self.objective = objective
        self.layout = layout
        self._ridge = ridge
        self.l1 = 0.0 if penalty is None else penalty.l1
        self.l2 = 0.0 if penalty is None else penalty.l2
        factors = np.zeros(layout.width) if penalty is None or not self.penalised else penalty.factors
        signs = np.zeros(layout.width, np.int8) if objective.signs is None else objective.signs
        fixed = np.zeros(layout.width, bool) if objective.fixed is None else objective.fixed
        self.factors: Floats = np.tile(factors, layout.outputs).astype(np.float64)
        self.free: Mask = ~np.tile(fixed, layout.outputs)
        self._signs = np.tile(signs, layout.outputs)

    @property
    def penalised(self) -> bool:
        """Whether there is a penalty."""
        return self.l1 > 0 or self.l2 > 0

    def drop(self, columns: list[int]) -> None:
        """Leave columns at 0, in each output."""
        for output in range(self.layout.outputs):
            self.free[[output * self.layout.width + column for column in columns]] = False

    def value(self, loss: float, weight: float, values: Floats) -> float:
        """Return the objective: a loss for each unit of weight, and the penalty."""
        kinks = self.l1 * np.abs(self.factors * values).sum()
        return float((loss + 0.5 * (self.bend(weight) @ values**2)) / weight + kinks)

    def slope(self, sums: PassSums, values: Floats) -> Floats:
        """Return the derivative of the smooth part, 0 for what is not fitted."""
        assert sums.gradient is not None
        return np.where(self.free, sums.gradient.ravel() + self.bend(sums.weight) * values, 0.0)

    def subgradient(self, sums: PassSums, values: Floats) -> Floats:
        """Return the smallest subgradient of the objective, for each unit of weight."""
        smallest = self.edges(sums.weight).subgradient(self.slope(sums, values), values)
        return np.where(self.free, smallest, 0.0) / sums.weight

    def fall(self, slope: Floats, weight: float, values: Floats, move: Floats) -> float:
        """Return what the slope at some values promises that a step adds to the objective; not above 0."""
        kinks = self.l1 * (np.abs(self.factors * (values + move)) - np.abs(self.factors * values)).sum()
        return min(0.0, float(slope @ move) / weight + float(kinks))

    def bend(self, weight: float) -> Floats:
        """Return the second derivative of the smooth penalty, by each coefficient."""
        return weight * self.l2 * self.factors**2 + self._ridge

    def edges(self, weight: float) -> Edges:
        """Return the kinks and bounds."""
        return Edges(weight * self.l1 * self.factors, self._signs >= 0, self._signs <= 0)

    def shaped(self, values: Floats) -> Floats:
        """Return values in the shape (outputs, width)."""
        return values.reshape(self.layout.outputs, self.layout.width)

    @property
    def undecided(self) -> npt.NDArray[np.intp]:
        """Columns whose coefficients may all be shifted alike and change nothing: all classes have one, unpenalised."""
        layout = self.layout
        if layout.outputs < layout.classes or layout.classes == 2 or self._ridge:
            return np.empty(0, np.intp)
        free = self.free.reshape(layout.outputs, -1).all(axis=0)
        return np.flatnonzero(free & (self.factors[: layout.width] == 0.0))

    def decided(self, slope: Floats) -> Floats:
        """Return a slope without what rounding leaves along the shifts that nothing decides."""
        columns = self.undecided
        if not len(columns):
            return slope
        shaped = self.shaped(slope.copy())
        shaped[:, columns] -= shaped[:, columns].mean(axis=0)
        return shaped.ravel()

    def settled(self, values: Floats) -> Floats:
        """Return values shifted, column by column, to where the penalty of all classes together is smallest.

        No raw prediction gains on another by it, so that sums stay as they are; a method that finds its way by
        curvature makes no headway along such shifts.
        """
        layout = self.layout
        if layout.outputs < layout.classes or layout.classes == 2 or self.l1 <= 0 or self._signs.any():
            return values
        shaped = self.shaped(values)
        count, factors = layout.outputs, self.factors[: layout.width]
        shifts = list(shaped)
        if self.l2 > 0:
            # Between two values the penalty is smallest where its slope is 0, if that is there.
            reach = self.l1 / (count * self.l2 * np.where(factors > 0, factors, np.inf))
            shifts += [shaped.mean(axis=0) + more * reach for more in range(-count, count + 1, 2)]
        choices = np.stack(shifts)
        left = np.abs(shaped - choices[:, np.newaxis]) * factors
        best = (self.l1 * left + 0.5 * self.l2 * left**2).sum(axis=1).argmin(axis=0)
        chosen = choices[best, np.arange(layout.width)]
        free = self.free.reshape(layout.outputs, -1).all(axis=0) & (factors > 0)
        return (shaped - np.where(free, chosen, 0.0)).ravel()

    def hold_shifts(self, hessian: Floats) -> None:
        """Bend the Hessian, in place, along the shifts that nothing decides; no step goes there then."""
        layout = self.layout
        for column in self.undecided:
            places = np.arange(layout.outputs) * layout.width + column
            hessian[np.ix_(places, places)] += hessian[places, places].mean() / layout.outputs
