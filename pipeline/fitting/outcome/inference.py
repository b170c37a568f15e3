"""How certain coefficients are: their covariance, by the Hessian or robust, and what inflates it.

Only without a penalty: a penalised coefficient is biased, and its error would say too little. And only at the optimum.

Formulas: the covariance is the inverse of the summed Hessian of the loss (McCullagh and Nelder, Generalized Linear
Models, 2.2.2). Robust: A^-1 B A^-1, where A is that Hessian and B the sum of the outer products of the gradients of the
rows (White, 1980; Huber, 1967); there is no factor for small samples, as in HC0 of statsmodels. Robust within groups: B
is the sum of the outer products of the summed gradients of each group, and the factor is G / (G - 1) * (n - 1) /
(n - k) for G groups, n rows and k coefficients, as in ``cov_type="cluster"`` of statsmodels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.asking.wishing import objective_of
from pipeline.fitting.designs.design import DesignColumn, FitDesign
from pipeline.fitting.outcome.own_units import OwnUnits, free_of, slice_of
from pipeline.fitting.passes.blocks import unpack
from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.solving.objective import Solution
from pipeline.fitting.tiles.layout import Floats


@dataclass(frozen=True, eq=False)
class Inference:
    """The certainty of the coefficients of a solution. All covariances are 0 where a coefficient was not fitted.

    Parameters
    ----------
    job : FitJob
    design : FitDesign
    solution : Solution
    scored : PassSums, optional
        The sums at :func:`scores_point`; needed where errors are robust.
    """

    job: FitJob
    design: FitDesign
    solution: Solution
    scored: PassSums | None = None

    @cached_property
    def free(self) -> npt.NDArray[np.bool_]:
        """Which of all coefficients have an error, shape (size,).

        Those that were dropped have none, and none that a ``--sign`` holds at 0.
        """
        layout, signs = self.design.layout, objective_of(self.job, self.design).signs
        free = np.tile(free_of(self.solution, layout), (layout.outputs, 1))
        if signs is not None:
            free &= (signs == 0) | (self.solution.coefficients != 0.0)
        return free.ravel()

    @cached_property
    def covariance(self) -> Floats | None:
        """The covariance of the coefficients of tiles, shape (size, size); robust where that is asked for.

        ``None`` where there is none: with a penalty, where the fit did not converge, where the solver has no Hessian,
        or where rows are weighted by their class and errors are not robust.
        """
        inverse = self.inverse
        if inverse is None or not is_robust(self.job):
            return None if self.job.model.class_weights is not None else inverse
        if self.scored is None:
            return None
        robust: Floats = inverse @ self._spread(self.scored) @ inverse
        return robust

    @cached_property
    def own_covariance(self) -> Floats | None:
        """The covariance in units of the columns, shape (size, size)."""
        return None if self.covariance is None else OwnUnits.of(self.design).covariance(self.covariance)

    @cached_property
    def errors(self) -> Floats:
        """The standard errors in units of the columns, shape (outputs, width); NaN where there is none."""
        layout = self.design.layout
        variances = np.zeros(layout.size) if self.own_covariance is None else np.diag(self.own_covariance)
        # Rounding can leave nothing of a variance that is far smaller than those it is made of.
        known = self.free & (variances > 0)
        errors = np.sqrt(variances, out=np.full(layout.size, np.nan), where=known)
        return errors.reshape(layout.outputs, layout.width)

    @cached_property
    def inverse(self) -> Floats | None:
        """The inverse of the Hessian, shape (size, size); ``None`` where there is none."""
        return None if self._hessian is None else inverse_within(self._hessian, self.free)

    def variance_inflation(self, column: DesignColumn) -> float | None:
        """Return by how much the dependence on other columns multiplies the variance of the coefficients of a term.

        It is det(V) * det(P), where V is the covariance of the coefficients of the term and P the block of the Hessian
        that belongs to them once the intercept is eliminated: the generalized variance inflation factor of Fox and
        Monette (1992), as ``vif`` of the R package car has it for glm. Of a term with several coefficients the root is
        taken that makes it comparable to one with a single coefficient: to the power 1 / coefficients. It does not
        depend on which level is the reference. ``None`` with several classes, or where there is no covariance.
        """
        place = slice_of(column, self.design.layout)
        members = np.arange(place.start, place.stop)[self.free[place]]
        if self.inverse is None or self._hessian is None or self.design.layout.outputs > 1 or not members.size:
            return None
        block = np.ix_(members, members)
        precision = self._hessian[block]
        if self.design.layout.intercept:
            with_first = self._hessian[members, 0]
            precision = precision - np.outer(with_first, with_first) / self._hessian[0, 0]
        (sign, logarithm), (other_sign, other) = map(np.linalg.slogdet, (self.inverse[block], precision))
        return float(np.exp((logarithm + other) / members.size)) if sign > 0 and other_sign > 0 else None

    @cached_property
    def _hessian(self) -> Floats | None:
        triangle = self.solution.sums.hessian
        if is_penalised(self.job) or triangle is None or not self.solution.certificate.converged:
            return None
        return unpack(triangle, self.design.layout.size)

    def _spread(self, scored: PassSums) -> Floats:
        if scored.groups is None:
            assert scored.outer is not None
            return unpack(scored.outer, self.design.layout.size)
        scores = np.array([scored.groups[group].ravel() for group in sorted(scored.groups)])
        groups, coefficients = len(scores), int(self.free.sum())
        factor = groups / (groups - 1) * (scored.rows - 1) / (scored.rows - coefficients) if groups > 1 else np.nan
        spread: Floats = factor * (scores.T @ scores)
        return spread


def why_no_errors(found: Inference) -> str:
    """Return why there are no standard errors, in words for a person; empty where there are."""
    if found.own_covariance is not None and not np.isnan(found.errors).all():
        return ""
    if is_penalised(found.job):
        why = "a penalty draws coefficients towards 0"
    elif not found.solution.certificate.converged:
        why = "the coefficients are not those of the optimum"
    elif found.solution.sums.hessian is None:
        why = "the method does not sum the matrix that they need"
    elif found.inverse is None:
        why = "the matrix of second derivatives has no inverse"
    elif not found.free.any():
        why = "no coefficient is free"
    elif not is_robust(found.job):
        why = "rows are weighted by their class; --robust takes that into account"
    else:
        why = "errors within groups need at least two groups"
    return f"there are no standard errors: {why}"


def inflation_notes(found: Inference) -> Iterator[str]:
    """Yield a note if there are standard errors, but with several classes, which have no variance inflation."""
    if found.design.layout.outputs > 1 and found.own_covariance is not None:
        yield "variance inflation is for two classes: with more of them there is none"


def is_penalised(job: FitJob) -> bool:
    """Return whether a fit has a penalty."""
    return job.solve.l1 > 0 or job.solve.l2 > 0


def is_robust(job: FitJob) -> bool:
    """Return whether errors are robust: then weights are those of a sample, not frequencies."""
    return job.solve.robust or job.solve.robust_groups is not None


def scores_point(job: FitJob, solution: Solution) -> Point | None:
    """Return what one more pass sums for robust errors; ``None`` where none is needed."""
    if is_penalised(job) or not is_robust(job) or not solution.certificate.converged or solution.sums.hessian is None:
        return None
    return Point(solution.coefficients, order=0, scores=True)


def inverse_within(matrix: Floats, free: npt.NDArray[np.bool_]) -> Floats | None:
    """Return the inverse of the free rows and columns of a matrix, 0 in the others; ``None`` where it has none."""
    block = np.ix_(free, free)
    inverse = np.zeros_like(matrix)
    try:
        inverse[block] = inverse_of(matrix[block])
    except np.linalg.LinAlgError:
        return None
    return inverse


def inverse_of(matrix: Floats) -> Floats:
    """Return the inverse of a positive definite matrix, scaled to a diagonal of ones meanwhile.

    Raises
    ------
    numpy.linalg.LinAlgError
        It is not positive definite.
    """
    diagonal = np.diag(matrix)
    if not (diagonal > 0).all():
        raise np.linalg.LinAlgError("the diagonal is not positive")
    scale = 1.0 / np.sqrt(diagonal)
    half = np.linalg.inv(np.linalg.cholesky(matrix * np.outer(scale, scale)))
    inverse: Floats = (half.T @ half) * np.outer(scale, scale)
    return inverse
