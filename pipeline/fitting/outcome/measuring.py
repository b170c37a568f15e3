"""How well a model fits: deviances, tests and criteria.

With log likelihood L = -loss, k coefficients and n the summed weights: deviance -2 L, AIC 2 k - 2 L, BIC k log n - 2 L,
McFadden 1 - L / L0, and the likelihood ratio 2 (L - L0), which without an effect is a chi-square number with as many
degrees of freedom as coefficients besides the intercepts (McCullagh and Nelder, Generalized Linear Models; McFadden,
1974). L0 is that of the null model: the intercept if there is one, and the offset.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.outcome.inference import Inference, is_penalised, is_robust
from pipeline.fitting.passes.points import Point
from pipeline.fitting.report import FitMeasures
from pipeline.fitting.solving.objective import Certificate, Solution, Solver
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.kernels.tails import chi_square_tail

# Newton's method for one number: what is left behind the last pass is far below the last digit.
_DECREMENT = 1e-20
_PASSES = 50
# A shorter step changes the loss by less than it is rounded.
_HALVED = 1e-6
# A longer step counts by its logarithm: where an offset has made all probabilities 0 or 1, the curve falls by the
# factor e with each unit, and may be 0.
_LONG = 4.0
_FLAT = 1e-280


def measures_of(found: Inference, class_totals: Iterable[float], null: Solution | None = None) -> FitMeasures:
    """Return how well a model fits.

    Parameters
    ----------
    found : Inference
    class_totals : iterable of float
        The summed weights of the rows of each class, as they are in the loss.
    null : Solution, optional
        What :func:`null_solver` found, where there is one.
    """
    sums, layout = found.solution.sums, found.design.layout
    deviance = 2.0 * sums.loss
    null_deviance = null_deviance_of(layout, tuple(class_totals)) if null is None else 2.0 * null.sums.loss
    held = sums.held_loss / sums.held_weight if sums.held_weight else None
    plain = FitMeasures(sums.loss / sums.weight, deviance, null_deviance, held_out_log_loss=held)
    if is_penalised(found.job) or not found.solution.certificate.converged:
        return plain
    count = int(found.free.sum())
    degrees = count - layout.intercept * layout.outputs
    fit = replace(plain, degrees_of_freedom=degrees, mcfadden=1.0 - deviance / null_deviance if null_deviance else None)
    if not _is_likelihood(found.job):
        return fit
    ratio = null_deviance - deviance
    return replace(
        fit,
        likelihood_ratio=ratio,
        likelihood_ratio_p=chi_square_tail(ratio, degrees) if degrees else None,
        aic=deviance + 2.0 * count,
        bic=deviance + math.log(sums.weight) * count,
    )


def null_deviance_of(layout: FitLayout, class_totals: tuple[float, ...]) -> float:
    """Return the deviance of the null model without an offset.

    With an intercept the probability of a class is its share; without one all classes are equally likely.
    """
    total = math.fsum(class_totals)
    if not layout.intercept:
        return 2.0 * total * math.log(layout.classes)
    return -2.0 * math.fsum(weight * math.log(weight / total) for weight in class_totals if weight > 0)


def null_solver(job: FitJob, layout: FitLayout) -> Solver | None:
    """Return what solves for the null model of a fit with an offset, ``None`` where it has a closed form.

    It may share the passes of other solvers: each of its points costs a gradient and the product with one direction.
    """
    if job.model.offset is None or layout.classes > 2:
        return None
    return _intercept_alone(layout)


def _intercept_alone(layout: FitLayout) -> Solver:
    """Fit the intercept, or nothing where there is none, by Newton's method; a step that fails is halved."""
    direction = np.zeros((1, layout.width))
    direction[0, 0] = 1.0 if layout.intercept else 0.0
    place, step, best, count = np.zeros((1, layout.width)), 0.0, math.inf, 0
    while True:
        count += 1
        sums = yield Point(place.copy(), order=1, direction=direction)
        assert sums.gradient is not None
        assert sums.product is not None
        slope, curve = float(sums.gradient[0, 0]), max(float(sums.product[0, 0]), _FLAT)
        decrement = slope * slope / curve if layout.intercept else 0.0
        if decrement <= _DECREMENT or count == _PASSES:
            certificate = Certificate(decrement <= _DECREMENT, "", decrement, None, abs(slope), count, sums.rows)
            return Solution(place, sums, sums.loss / sums.weight, certificate, ())
        if sums.loss > best and abs(step) > _HALVED:
            step /= 2.0
            place[0, 0] -= step
            continue
        length = abs(slope) / curve
        best, step = sums.loss, -math.copysign(min(length, _LONG + math.log1p(length)), slope)
        place[0, 0] += step


def _is_likelihood(job: FitJob) -> bool:
    """Return whether the loss is that of the rows as they are: weights of a sample or of classes are no counts."""
    return job.model.class_weights is None and not (is_robust(job) and job.model.weight is not None)
