"""The temperature of several classes: what rows add to the log loss at inverse temperatures, and where to look next.

At the inverse temperature b a row with the raw predictions z and the class y has the log loss log(sum of exp(b z)) -
b z_y, which is convex in b: its derivative is the mean of z under the softmax of b z, less z_y, and its second
derivative the variance of z (Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.evaluation.calibrating.stepping import CONVERGED
from pipeline.evaluation.tiles import Codes, Floats

# Where the first pass looks: 0, and powers of 4 around 1. Later ladders go on where this one ends.
LADDER = (0.0, *(4.0**power for power in range(-6, 7)))
_RUNGS = len(LADDER) - 1
_BISECTIONS = 200


@dataclass(frozen=True, slots=True)
class SoftPoint:
    """The log loss of all rows at an inverse temperature, with its two derivatives."""

    inverse: float
    loss: float
    slope: float
    curvature: float

    @property
    def decrement(self) -> float:
        """The squared Newton decrement; infinite where the log loss is straight."""
        return self.slope**2 / self.curvature if self.curvature > 0 else np.inf


def softened(raw: Floats, codes: Codes, inverses: Sequence[float]) -> Floats:
    """Return the log loss of rows and its two derivatives at inverse temperatures, shape (inverses, 3).

    Parameters
    ----------
    raw : ndarray of float64, shape (classes, rows)
    codes : ndarray of intp, shape (rows,)
        The number of the class of each row.
    inverses : sequence of float
    """
    above = raw - raw.max(axis=0)
    own = above[codes, np.arange(len(codes))]
    found = np.empty((len(inverses), 3))
    for place, inverse in enumerate(inverses):
        shares = np.exp(above * inverse)
        total = shares.sum(axis=0)
        mean = (shares * above).sum(axis=0) / total
        variance = (shares * (above - mean) ** 2).sum(axis=0) / total
        losses = np.log(total) - own * inverse
        found[place] = losses.sum(), (mean - own).sum(), variance.sum()
    return found


def margin_of(raw: Floats, codes: Codes) -> float:
    """Return by how much the raw prediction of a row's own class is above the others, of the row where it is least."""
    rows = np.arange(len(codes))
    own, others = raw[codes, rows], raw.copy()
    others[codes, rows] = -np.inf
    return float((own - others.max(axis=0)).min(initial=np.inf))


def points_of(inverses: Sequence[float], sums: Floats) -> list[SoftPoint]:
    """Return what was found at inverse temperatures."""
    return [SoftPoint(inverse, *row) for inverse, row in zip(inverses, sums.tolist(), strict=True)]


def next_inverses(points: Sequence[SoftPoint]) -> tuple[float, ...]:
    """Return where to look next for the optimum: at one inverse temperature, or on a ladder above all points.

    Nowhere where the optimum is found: at a point, or between two neighbouring floats.

    Parameters
    ----------
    points : sequence of SoftPoint
        All that were found. At the lowest, 0, the slope is negative.
    """
    ordered = sorted(points, key=lambda point: point.inverse)
    low = max((point for point in ordered if point.slope < 0), key=lambda point: point.inverse)
    if min(point.decrement for point in ordered if point.inverse > 0) <= CONVERGED:
        return ()
    if low is ordered[-1]:
        return tuple(low.inverse * 4.0**rung for rung in range(1, _RUNGS + 1))
    high = next(point for point in ordered if point.slope >= 0)
    between = _root(low, high)
    return () if between in {low.inverse, high.inverse} else (between,)


def optimum_of(points: Sequence[SoftPoint]) -> SoftPoint:
    """Return the point that is nearest to the optimum."""
    return min((point for point in points if point.inverse > 0), key=lambda point: point.decrement)


def _root(low: SoftPoint, high: SoftPoint) -> float:
    """Return where the slope is 0 by the cubic that has the slopes and curvatures of both points."""
    width = high.inverse - low.inverse

    def cubic(share: float) -> float:
        rest = 1.0 - share
        ends = low.slope * (1.0 + 2.0 * share) * rest**2 + high.slope * (1.0 + 2.0 * rest) * share**2
        return float(ends + width * share * rest * (low.curvature * rest - high.curvature * share))

    left, right = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (left + right) / 2
        left, right = (middle, right) if cubic(middle) < 0 else (left, middle)
    return low.inverse + width * right
