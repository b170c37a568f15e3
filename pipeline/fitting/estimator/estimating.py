"""A fit over blocks of rows: how scikit-learn states a problem, as the objective of the solvers, and back.

scikit-learn minimises ``C * sum of w_i loss_i + l1_ratio |b|_1 + (1 - l1_ratio) / 2 |b|^2`` over coefficients of
columns in their own units. Divided by C times the sum of the weights that is our objective, and the factors of the
penalty take the scales out of the tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.estimator.arrays import ArrayDesign, ArrayPasses, BlockFacts
from pipeline.fitting.estimator.row_blocks import Blocks
from pipeline.fitting.first_pass.moments import Moments
from pipeline.fitting.outcome.inference import inverse_within
from pipeline.fitting.outcome.own_units import OwnUnits, free_of
from pipeline.fitting.passes.blocks import unpack
from pipeline.fitting.solving import Observer, choose, drive, newton, newton_cg, owlqn, warm_start
from pipeline.fitting.solving.objective import Objective, Penalty, Solution, Solver
from pipeline.fitting.tiles.layout import FitLayout, Floats, Scaling

# Each with the passes of a step.
_SOLVERS: Mapping[str, tuple[Callable[..., Solver], int]] = {
    "newton": (newton, 1),
    "newton-cg": (newton_cg, 10),
    "owlqn": (owlqn, 30),
}
# The share of values that are not zero from which rows are summed faster as dense ones: with a Hessian, and without.
_DENSE = {True: 0.05, False: 0.5}


@dataclass(frozen=True, slots=True, eq=False)
class EstimatorProblem:
    """What is estimated.

    Attributes
    ----------
    inverse : float
        ``C``; infinite for no penalty.
    l1_share : float
        ``l1_ratio``.
    intercept : bool
    intercept_penalty : float
        What the intercept is multiplied by where it is penalised as a coefficient is; 0 for a free one.
    factors : ndarray of float64, shape (classes,), or None
        What the weights of the rows of each class are multiplied by.
    is_exact : bool
        Whether it is Newton's method also for many coefficients.
    iterations : int
        The most steps; without a Hessian there may be 10 passes for each, with an L1 penalty 30.
    start : ndarray of float64, shape (outputs, features + 1), or None
        Coefficients to start at, in units of the columns, with the intercept first; 1 output for two classes.
    """

    inverse: float = 1.0
    l1_share: float = 0.0
    intercept: bool = True
    intercept_penalty: float = 0.0
    factors: Floats | None = None
    is_exact: bool = False
    iterations: int = 100
    start: Floats | None = None

    @property
    def is_penalised(self) -> bool:
        """Whether large coefficients cost something."""
        return math.isfinite(self.inverse)


@dataclass(frozen=True, slots=True, eq=False)
class EstimatorFit:
    """What was estimated, in units of the columns.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (outputs, features)
        1 output for two classes, else one for each class; without a penalty, and with an L2 penalty alone, their sum
        over the classes is 0, as that of the intercepts always is.
    intercepts : ndarray of float64, shape (outputs,)
    covariance : ndarray of float64, shape (size, size), or None
        Of the rows of ``[intercept, coefficients]`` one after the other; at the optimum, without a penalty and without
        weights of classes, which are no frequencies.
    solution : Solution
    """

    coefficients: Floats
    intercepts: Floats
    covariance: Floats | None
    solution: Solution


def estimate(
    blocks: Blocks, facts: BlockFacts, problem: EstimatorProblem, observe: Observer | None = None
) -> EstimatorFit:
    """Return the optimum over all blocks."""
    layout = _layout(facts, problem)
    scaling = _scaling(facts.columns, problem)
    weights = facts.class_weights if problem.factors is None else facts.class_weights * problem.factors
    units = OwnUnits(layout, *_of_width(scaling, layout))
    # A penalty leaves nothing of the coefficient of a column of tiny values, and its factor squared is no float.
    fixed = units.scales < _SMALLEST if problem.is_penalised else None
    objective = Objective(layout, _penalty(problem, units, float(weights.sum())), fixed=fixed)
    method = "newton" if problem.is_exact else choose("auto", layout, objective.penalty)
    is_sparse = facts.filled < _DENSE[method == "newton"] * facts.rows * facts.features
    design = ArrayDesign(layout, scaling, facts.classes, problem.factors, is_sparse)
    solve, passes = _SOLVERS[method]
    start = _start(blocks, design, objective) if problem.start is None else _scaled(problem.start, units)
    solver = solve(objective, start, passes=problem.iterations * passes + 1)
    (solution,) = drive(ArrayPasses(blocks, design), [solver], observe)
    return _estimate(solution, units, problem)


def _start(blocks: Blocks, design: ArrayDesign, objective: Objective) -> Floats:
    """Return where to start: near the optimum of a sample, if there are enough rows that this saves passes."""
    sample = blocks.sample()
    if sample is None:
        return np.zeros((design.layout.outputs, design.layout.width))
    return warm_start(ArrayPasses(sample, design), objective)


# A scale below which a penalty leaves nothing of a coefficient.
_SMALLEST = 1e-100


def _layout(facts: BlockFacts, problem: EstimatorProblem) -> FitLayout:
    classes = len(facts.classes)
    # Without a penalty the raw prediction of the first class is 0, or there would be no unique optimum.
    outputs = 1 if classes == 2 else classes if problem.is_penalised else classes - 1
    return FitLayout(facts.features, intercept=problem.intercept, classes=classes, outputs=outputs)


def _scaling(columns: Moments, problem: EstimatorProblem) -> Scaling:
    """Return centers, where a free intercept can take them up, and scales."""
    is_centred = problem.intercept and not problem.intercept_penalty
    centers = columns.mean if is_centred else np.zeros_like(columns.mean)
    largest = np.maximum(-columns.smallest, columns.largest)
    with np.errstate(all="ignore"):
        scales = columns.deviation if is_centred else np.hypot(columns.deviation, columns.mean)
    # The squares of very large and very small values are no floats.
    scales = np.where(np.isfinite(scales) & (scales > 0), scales, largest)
    return Scaling(np.where(np.isfinite(centers), centers, 0.0), np.where(scales > 0, scales, 1.0))


def _of_width(scaling: Scaling, layout: FitLayout) -> tuple[Floats, Floats]:
    start = int(layout.intercept)
    return np.pad(scaling.centers, (start, 0)), np.pad(scaling.scales, (start, 0), constant_values=1.0)


def _penalty(problem: EstimatorProblem, units: OwnUnits, weight: float) -> Penalty | None:
    if not problem.is_penalised:
        return None
    strength = 1 / (problem.inverse * weight)
    factors = 1 / np.maximum(units.scales, _SMALLEST)
    if problem.intercept:
        factors[0] = problem.intercept_penalty
    return Penalty(problem.l1_share * strength, (1 - problem.l1_share) * strength, factors)


def _scaled(start: Floats, units: OwnUnits) -> Floats:
    """Return coefficients in units of the columns as those of tiles."""
    layout = units.layout
    own = start if len(start) == layout.outputs else start[1:] - start[0]
    scaled = own[:, 1 - layout.intercept :] * units.scales
    if layout.intercept:
        scaled[:, 0] = own[:, 0] + own[:, 1:] @ units.centers[1:]
    return scaled


def _estimate(solution: Solution, units: OwnUnits, problem: EstimatorProblem) -> EstimatorFit:
    layout = units.layout
    own = units.coefficients(solution.coefficients)
    has_covariance = not problem.is_penalised and problem.factors is None
    covariance = _covariance(solution, units) if has_covariance else None
    if layout.outputs > 1:
        spread = _symmetric(layout.classes, layout.outputs)
        # With an L1 penalty other coefficients with the same probabilities are no optimum; only the intercept is free.
        if not problem.is_penalised or not problem.l1_share:
            own = spread @ own
        elif layout.intercept and not problem.intercept_penalty:
            own[:, 0] = spread @ own[:, 0]
        if covariance is not None:
            whole = np.kron(spread, np.eye(layout.width))
            covariance = whole @ covariance @ whole.T
    intercepts = own[:, 0] if layout.intercept else np.zeros(len(own))
    return EstimatorFit(own[:, layout.intercept :].copy(), intercepts.copy(), covariance, solution)


def _symmetric(classes: int, outputs: int) -> Floats:
    """Return what turns coefficients into those with the same probabilities whose sum over the classes is 0."""
    return (np.eye(classes) - 1 / classes)[:, classes - outputs :]


def _covariance(solution: Solution, units: OwnUnits) -> Floats | None:
    """Return the inverse of the Hessian, ``None`` if it has none; 0 for columns left out as combinations of others."""
    layout = units.layout
    if solution.sums.hessian is None or not solution.certificate.converged:
        return None
    free = np.tile(free_of(solution, layout), layout.outputs)
    covariance = inverse_within(unpack(solution.sums.hessian, layout.size), free)
    return None if covariance is None else units.covariance(covariance)
