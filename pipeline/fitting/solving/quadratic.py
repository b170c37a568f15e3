"""A quadratic with an L1 penalty and bounds at 0, minimised on the driver.

Coordinate descent (Friedman, Hastie and Tibshirani, Regularization paths for generalized linear models via coordinate
descent, 2010) finds which coefficients are 0; an active set then finds the others exactly (Nocedal and Wright,
Numerical Optimization, section 16.5).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.fitting.tiles.layout import Floats

# What is left of the subgradient, relative to its terms, when the minimum is found within rounding.
_EXACT = 1e-14
_ROUNDS = 200
_SWEEPS = 10
# What is added to a unit diagonal.
_RAISED = 1e-11


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Where a function of coefficients has a kink, and where they end.

    Attributes
    ----------
    slopes : ndarray of float64
        Of the L1 penalty, at most 0 where there is none.
    rising, falling : ndarray of bool
        Which coefficients may be positive, and which negative.
    """

    slopes: Floats
    rising: npt.NDArray[np.bool_]
    falling: npt.NDArray[np.bool_]

    @property
    def smooth(self) -> bool:
        """Whether there is neither a penalty nor a bound."""
        return bool(self.rising.all() and self.falling.all() and not self.slopes.any())

    def of(self, positions: npt.NDArray[np.intp]) -> Edges:
        """Return those of some coefficients."""
        return Edges(self.slopes[positions], self.rising[positions], self.falling[positions])

    def inside(self, values: Floats) -> Floats:
        """Return the values, 0 where they are beyond a bound."""
        return np.where(((values > 0) & ~self.rising) | ((values < 0) & ~self.falling), 0.0, values)

    def subgradient(self, slope: Floats, values: Floats) -> Floats:
        """Return the smallest subgradient at some values where the smooth part has a slope; 0 at the minimum."""
        up, down = slope + self.slopes, slope - self.slopes
        at_zero = np.where((up < 0) & self.rising, up, np.where((down > 0) & self.falling, down, 0.0))
        return np.where(values > 0, up, np.where(values < 0, down, at_zero))


def minimum(hessian: Floats, linear: Floats, start: Floats, edges: Edges) -> Floats:
    """Return where ``x . linear + x . hessian x / 2`` with the edges is smallest.

    Parameters
    ----------
    hessian : ndarray, shape (size, size)
        Positive semidefinite; the diagonal is positive.
    linear, start : ndarray, shape (size,)
    edges : Edges
    """
    lengths = np.sqrt(np.diag(hessian))
    unit = hessian / np.outer(lengths, lengths)
    linear = linear / lengths
    edges = Edges(edges.slopes / lengths, edges.rising, edges.falling)
    values = edges.inside(start * lengths)
    allowed = _EXACT * (np.abs(linear) + edges.slopes + 1e-300).max(initial=0.0)
    for _ in range(_ROUNDS):
        values = _descended(unit, linear, values, edges)
        values = _polished(unit, linear, values, edges)
        rest = edges.subgradient(unit @ values + linear, values)
        if np.abs(rest).max(initial=0.0) <= allowed:
            break
    return values / lengths


def _descended(unit: Floats, linear: Floats, values: Floats, edges: Edges) -> Floats:
    """Return the values after some sweeps of coordinate descent; fewer where they do not change any more."""
    values = values.copy()
    slope = unit @ values + linear
    positions = range(len(values))
    for _ in range(_SWEEPS):
        changed = 0.0
        for one in positions:
            rest, kink = values[one] - slope[one], edges.slopes[one]
            value = max(rest - kink, 0.0) if rest > 0 else min(rest + kink, 0.0)
            if (value > 0 and not edges.rising[one]) or (value < 0 and not edges.falling[one]):
                value = 0.0
            change = value - values[one]
            if change:
                values[one] = value
                slope += change * unit[one]
                changed = max(changed, abs(change))
        if changed <= 1e-12 * (1.0 + np.abs(values).max(initial=0.0)):
            break
    return values


def _polished(unit: Floats, linear: Floats, values: Floats, edges: Edges) -> Floats:
    """Return nearly the minimum over the values that are not 0, those that would cross 0 left there.

    The diagonal is raised a little: where the matrix is singular, a step goes down along what only the penalty decides.
    Each call comes nearer by the same factor.
    """
    values = values.copy()
    for _ in range(len(values)):
        used = np.flatnonzero((values != 0) | ((edges.slopes == 0) & edges.rising & edges.falling))
        signs = np.sign(values[used])
        slope = unit[used] @ values + linear[used] + edges.slopes[used] * signs
        matrix = unit[np.ix_(used, used)] + _RAISED * np.eye(len(used))
        best = values[used] - np.linalg.solve(matrix, slope)
        kinked = (edges.slopes[used] > 0) | ~edges.rising[used] | ~edges.falling[used]
        crossing = kinked & (best * signs < 0)
        if not crossing.any():
            values[used] = best
            return values
        # As far as the first one reaches 0; each time one more is 0, so that this ends.
        shares = np.where(crossing, values[used] / np.where(crossing, values[used] - best, 1.0), np.inf)
        first = int(shares.argmin())
        values[used] += shares[first] * (best - values[used])
        values[used[first]] = 0.0
    return values
