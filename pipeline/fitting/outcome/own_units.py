"""Coefficients in units of their columns: what the scaling of tiles is undone by."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.fitting.designs.design import DesignColumn, FitDesign
from pipeline.fitting.solving.objective import Solution
from pipeline.fitting.tiles.layout import FitLayout, Floats


@dataclass(frozen=True, eq=False)
class OwnUnits:
    """How coefficients of tiles become those of columns in their own units.

    A coefficient is divided by the scale of its column. What centers take away is taken from the intercept: that minus
    the sum of ``coefficient * center / scale``.

    Attributes
    ----------
    layout : FitLayout
    centers, scales : ndarray of float64, shape (width,)
        0 and 1 for the intercept and for levels without a number.
    """

    layout: FitLayout
    centers: Floats
    scales: Floats

    @classmethod
    def of(cls, design: FitDesign) -> OwnUnits:
        """Return that of a design."""
        layout = design.layout
        centers, scales = np.zeros(layout.width), np.ones(layout.width)
        for column in design.columns:
            place = slice_of(column, layout)
            scales[place] = column.scale
            if column.dense is not None:
                centers[place] = column.center
        return cls(layout, centers, scales)

    def coefficients(self, fitted: Floats) -> Floats:
        """Return coefficients in their own units, shape (outputs, width); an intercept comes first if there is one.

        What is beyond float64 is infinite or NaN.
        """
        with np.errstate(all="ignore"):
            own = fitted / self.scales
        if self.layout.intercept:
            own[:, 0] = self.intercepts(fitted)
        return own

    def intercepts(self, fitted: Floats) -> Floats:
        """Return the raw predictions where every column is 0, shape (outputs,); added exactly and rounded once."""
        with np.errstate(all="ignore"):
            parts = -fitted * self.centers / self.scales
        if self.layout.intercept:
            parts[:, 0] = fitted[:, 0]
        return np.array([math.fsum(row) if np.isfinite(row).all() else np.nan for row in parts])

    def covariance(self, fitted: Floats) -> Floats:
        """Return the covariance of coefficients in their own units, of that of the fitted ones: shape (size, size)."""
        layout = self.layout
        scaled = fitted.reshape(layout.outputs, layout.width, layout.outputs, layout.width).copy()
        scaled /= self.scales[:, None, None]
        scaled /= self.scales
        if layout.intercept:
            taken = -self.centers
            taken[0] = 1.0
            scaled[:, 0] = np.einsum("i,aibj->abj", taken, scaled)
            scaled[..., 0] = np.einsum("aibj,j->aib", scaled, taken)
        return scaled.reshape(layout.size, layout.size)


def slice_of(column: DesignColumn, layout: FitLayout) -> slice:
    """Return where the coefficients of a term are among those of one raw prediction."""
    if column.levels is not None:
        start = layout.starts[column.levels]
        return slice(start, start + layout.levels[column.levels])
    assert column.dense is not None
    start = int(layout.intercept) + column.dense
    return slice(start, start + 1)


def free_of(solution: Solution, layout: FitLayout) -> npt.NDArray[np.bool_]:
    """Return which coefficients of one raw prediction were fitted, shape (width,): those that were not dropped."""
    free = np.ones(layout.width, dtype=np.bool_)
    free[[position for position, _ in solution.dropped]] = False
    return free
