"""Standard errors, tests and measures of a fit without a penalty."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.fitting.design import FitDesign
from pipeline.fitting.layout import FitLayout, Floats
from pipeline.fitting.learnt import Learnt
from pipeline.fitting.objective import Solution
from pipeline.fitting.own_units import OwnUnits, free_of, slice_of
from pipeline.fitting.report import CoefficientRow, FitMeasures
from pipeline.fitting.tails import NORMAL_975, chi_square_tail, two_sided_normal

INTERCEPT = "(intercept)"


@dataclass(frozen=True, eq=False)
class Inference:
    """What follows from a solution about the certainty of its coefficients.

    Parameters
    ----------
    design : FitDesign
    learnt : Learnt
    solution : Solution
    penalised : bool
        Then there are no errors and no tests.
    """

    design: FitDesign
    learnt: Learnt
    solution: Solution
    penalised: bool = False

    @cached_property
    def free(self) -> npt.NDArray[np.bool_]:
        """Which of all coefficients were fitted, shape (size,)."""
        return np.tile(free_of(self.solution, self.design.layout), self.design.layout.outputs)

    @cached_property
    def covariance(self) -> Floats | None:
        """The covariance of the coefficients of tiles, shape (size, size): 0 for those that were not fitted.

        ``None`` where there is none: with a penalty, or where the solver has no Hessian.
        """
        triangle = self.solution.sums.hessian
        if self.penalised or triangle is None:
            return None
        inverse = inverse_of(square_of(triangle, self.design.layout)[np.ix_(self.free, self.free)])
        covariance = np.zeros((self.design.layout.size, self.design.layout.size))
        covariance[np.ix_(self.free, self.free)] = inverse
        return covariance

    @cached_property
    def own_covariance(self) -> Floats | None:
        """The covariance in units of the columns."""
        return None if self.covariance is None else OwnUnits.of(self.design).covariance(self.covariance)


def coefficient_rows(found: Inference) -> tuple[CoefficientRow, ...]:
    """Return the table of coefficients, in units of their columns: class by class, the intercept first."""
    layout = found.design.layout
    own = OwnUnits.of(found.design).coefficients(found.solution.coefficients)
    errors = np.full(layout.size, np.nan)
    if found.own_covariance is not None:
        errors[found.free] = np.sqrt(np.diag(found.own_covariance))[found.free]
    names = list(_names(found.design))
    return tuple(
        _row(*name, None, float(value), float(error))
        for values, per_output in zip(own, errors.reshape(own.shape), strict=True)
        for name, value, error in zip(names, values, per_output, strict=True)
    )


def measures(found: Inference) -> FitMeasures:
    """Return how well the model fits."""
    sums, layout = found.solution.sums, found.design.layout
    deviance = 2.0 * sums.loss
    count = int(found.free.sum())
    null = null_deviance(found.learnt.class_weights)
    degrees = count - layout.intercept * layout.outputs
    ratio = null - deviance
    return FitMeasures(
        log_loss=sums.loss / sums.weight,
        deviance=deviance,
        null_deviance=null,
        likelihood_ratio=ratio,
        likelihood_ratio_p=chi_square_tail(ratio, degrees),
        degrees_of_freedom=degrees,
        aic=deviance + 2.0 * count,
        bic=deviance + math.log(sums.weight) * count,
        mcfadden=1.0 - deviance / null,
    )


def null_deviance(class_weights: tuple[float, ...]) -> float:
    """Return the deviance of the model that has an intercept alone: the share of each class is its probability."""
    total = math.fsum(class_weights)
    return -2.0 * math.fsum(weight * math.log(weight / total) for weight in class_weights if weight > 0)


def square_of(triangle: Floats, layout: FitLayout) -> Floats:
    """Return the symmetric matrix of a lower triangle."""
    square = np.zeros((layout.size, layout.size))
    square[np.tril_indices(layout.size)] = triangle
    return square + np.tril(square, -1).T


def inverse_of(matrix: Floats) -> Floats:
    """Return the inverse of a positive definite matrix, scaled to a diagonal of ones meanwhile.

    Raises
    ------
    numpy.linalg.LinAlgError
        It is not positive definite.
    """
    scale = 1.0 / np.sqrt(np.diag(matrix))
    half = np.linalg.inv(np.linalg.cholesky(matrix * np.outer(scale, scale)))
    inverse: Floats = (half.T @ half) * np.outer(scale, scale)
    return inverse


def _names(design: FitDesign) -> Iterator[tuple[str, str | None]]:
    """Yield feature and label of each coefficient of one raw prediction, in their order."""
    found: dict[int, tuple[str, str | None]] = {0: (INTERCEPT, None)} if design.layout.intercept else {}
    for column in design.columns:
        place = slice_of(column, design.layout)
        labels = column.labels or (None,)
        found |= {place.start + number: (column.name, label) for number, label in enumerate(labels)}
    return (found[position] for position in range(design.layout.width))


def _row(feature: str, label: str | None, output: str | None, value: float, error: float) -> CoefficientRow:
    if math.isnan(error):
        return CoefficientRow(feature, label, output, value)
    z, half = value / error, NORMAL_975 * error
    return CoefficientRow(feature, label, output, value, error, z, two_sided_normal(z), value - half, value + half)
