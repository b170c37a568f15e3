"""The table of average marginal effects, from their sums."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.fitting.asking.terms import NumberTerm
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.outcome.effect_sums import EffectSums
from pipeline.fitting.outcome.effects import EffectColumn, EffectPlan
from pipeline.fitting.outcome.own_units import slice_of
from pipeline.fitting.report import EffectRow
from pipeline.fitting.tiles.layout import Floats
from pipeline.kernels.tails import NORMAL_975, two_sided_normal


def effect_rows(
    plan: EffectPlan,
    design: FitDesign,
    coefficients: Floats,
    sums: EffectSums,
    classes: Sequence[str],
    covariance: Floats | None,
) -> tuple[EffectRow, ...]:
    """Return the table: effect by effect in the order of the plan, of several classes class by class.

    Parameters
    ----------
    plan : EffectPlan
    design : FitDesign
    coefficients : ndarray of float64, shape (outputs, width)
    sums : EffectSums
        Of all rows.
    classes : sequence of str
    covariance : ndarray of float64, shape (size, size), or None
        Of the coefficients of tiles; ``None`` leaves the errors out.
    """
    outputs = classes if len(classes) > 2 else (None,)
    made = []
    for column, label, values, gradients in _averages(plan, design, coefficients, sums):
        for output, value, gradient in zip(outputs, values, gradients, strict=True):
            made.append(_row(column.column, label, output, float(value), _error(gradient, covariance)))
    return tuple(made)


def _averages(
    plan: EffectPlan, design: FitDesign, coefficients: Floats, sums: EffectSums
) -> Iterator[tuple[EffectColumn, str | None, Floats, Floats]]:
    """Yield each effect with its label, its values by class, and its gradients by class."""
    place = 0
    for column in plan.columns:
        if column.kind == "slope":
            values, gradients = _slope(column, design, coefficients, sums)
            yield column, None, values / sums.weight, gradients / sums.weight
            continue
        for label, _ in column.changes or ((None, None),):
            yield column, label, sums.values[place] / sums.weight, sums.gradients[place] / sums.weight
            place += 1


def _slope(column: EffectColumn, design: FitDesign, coefficients: Floats, sums: EffectSums) -> tuple[Floats, Floats]:
    """Return the sums of a number that is in one term alone: each unit changes all raw predictions by the same."""
    term = next(each for each in design.columns if each.term == NumberTerm(column.column))
    at = slice_of(term, design.layout).start
    moves = coefficients[:, at] / term.scale
    gradients: Floats = np.einsum("kmrj,r->kmj", sums.bent, moves)
    gradients[:, :, at] += sums.slopes / term.scale
    return sums.slopes @ moves, gradients


def _error(gradient: Floats, covariance: Floats | None) -> float | None:
    if covariance is None:
        return None
    flat = gradient.ravel()
    return math.sqrt(max(0.0, float(flat @ covariance @ flat)))


def _row(feature: str, label: str | None, output: str | None, value: float, error: float | None) -> EffectRow:
    if not error:
        return EffectRow(feature, label, output, value, None, None, None, None, None)
    z, half = value / error, NORMAL_975 * error
    return EffectRow(feature, label, output, value, error, z, two_sided_normal(z), value - half, value + half)
