"""All measures of a state."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.evaluation import ranking
from pipeline.evaluation.calibration import (
    MassBins,
    brier_parts,
    calibration_error,
    calibration_line,
    hosmer_lemeshow,
)
from pipeline.evaluation.deciding import best_thresholds, rates
from pipeline.evaluation.exact import SMALLEST_WEIGHT
from pipeline.evaluation.ranking import RankedKeys, amount
from pipeline.evaluation.results import (
    BestThresholds,
    BinaryMeasures,
    ClassMeasures,
    MeasureWishes,
    MultinomialMeasures,
    ThresholdRates,
)
from pipeline.evaluation.states import EvaluationState, ModelState
from pipeline.units import bound_text, format_count

# A larger bound of an area is told.
BOUND_TOLD = 2e-5
# Weights of rows are rounded to 2**-62; those that are smaller on average lose digits that matter.
_SMALL_WEIGHT = 2.0**-30
_DEFAULT = MeasureWishes()


def measures(
    state: EvaluationState, wishes: MeasureWishes = _DEFAULT, model: int = 0
) -> BinaryMeasures | MultinomialMeasures:
    """Return the measures of one model; the state has rows, and weights that are not all 0."""
    if state.shape.classes == 2:
        return _binary(state, wishes, model)
    return _multinomial(state, model)


def class_masses(state: EvaluationState) -> tuple[float, ...]:
    """Return the number of rows of each class, or their weight."""
    if state.shape.weighted:
        return tuple(weight.value() for weight in state.weights)
    return tuple(float(count) for count in state.classes)


def _binary(state: EvaluationState, wishes: MeasureWishes, model: int) -> BinaryMeasures:
    its = state.models[model]
    keys, bins = _ranked(its, wishes)
    negatives, positives = class_masses(state)
    weight = negatives + positives
    has_both = positives > 0 and negatives > 0
    error, floor = calibration_error(bins)
    line = calibration_line(keys) if has_both else None
    ranked = _ranking(keys) if has_both else dict.fromkeys(_RANKED)
    return BinaryMeasures(
        rows=state.rows,
        weight=weight,
        prevalence=positives / weight,
        mean_probability=float(keys.sums[:2].sum()) / weight,
        log_loss=its.log_loss.value() / weight,
        brier=its.brier.value() / weight,
        **asdict(brier_parts(bins)),
        **ranked,
        deciles=ranking.deciles(keys),
        thresholds=_thresholds(state, its),
        best=best_thresholds(keys, wishes.cost) if has_both else BestThresholds(None, None, None),
        calibration_curve=bins.curve(),
        ece=error,
        ece_noise_floor=floor,
        hosmer_lemeshow=hosmer_lemeshow(bins) if has_both else None,
        calibration_slope=line and line[0],
        calibration_intercept=line and line[1],
        keys=len(keys.rows),
        warnings=(*_loss_warnings(its), *_warnings(ranked), *_weight_warnings(state.rows, weight)),
        notes=_notes(state, positives, negatives, line is None),
    )


def _ranked(its: ModelState, wishes: MeasureWishes) -> tuple[RankedKeys, MassBins]:
    keys = RankedKeys.of(its.counters[0].table())
    return keys, MassBins.of(keys, wishes.bins)


_RANKED = ("auc", "auc_bound", "auc_standard_error", "average_precision", "average_precision_bound", "ks", "gini")


def _ranking(keys: RankedKeys) -> dict[str, Any]:
    area, bound = ranking.area(keys)
    precision, precision_bound = ranking.average_precision(keys)
    error = None if keys.weighted else ranking.standard_error(keys)
    distance = ranking.largest_distance(keys)
    return dict(zip(_RANKED, (area, bound, error, precision, precision_bound, distance, 2.0 * area - 1.0), strict=True))


def _thresholds(state: EvaluationState, its: ModelState) -> tuple[ThresholdRates, ...]:
    weighted = state.shape.weighted
    cells = its.predicted if its.weights is None else its.weights.values()
    negatives, positives = (amount(each, weighted) for each in class_masses(state))
    return tuple(
        rates(threshold, amount(cell[1], weighted), amount(cell[0], weighted), (positives, negatives))
        for threshold, cell in zip(state.shape.thresholds, cells, strict=True)
    )


def _loss_warnings(its: ModelState) -> tuple[str, ...]:
    count = its.log_loss.positive
    if not count:
        return ()
    rows = "1 row" if count == 1 else f"{format_count(count)} rows"
    return (f"log_loss is infinite: the raw prediction is infinite, and wrong, in {rows}",)


def _warnings(ranked: dict[str, Any]) -> tuple[str, ...]:
    bound = ranked["auc_bound"]
    if bound is None or bound <= BOUND_TOLD:
        return ()
    told = (
        f"auc is known within {bound_text(bound)}, and average_precision within "
        f"{bound_text(ranked['average_precision_bound'])}: "
        "many rows have scores that are close to each other, beside a wide range of other scores"
    )
    return (told,)


def _weight_warnings(rows: int, weight: float) -> tuple[str, ...]:
    if weight >= rows * _SMALL_WEIGHT:
        return ()
    told = (
        f"weights are {weight / rows:.2g} on average, and each is rounded to {SMALLEST_WEIGHT:.2g}: multiply all of "
        "them by a constant, which changes no measure"
    )
    return (told,)


def _notes(state: EvaluationState, positives: float, negatives: float, has_no_line: bool) -> tuple[str, ...]:
    notes = []
    if not (positives > 0 and negatives > 0):
        only = "positives" if positives > 0 else "negatives"
        notes.append(f"all {format_count(state.rows)} rows are {only}: measures that compare the classes are null")
    elif has_no_line:
        notes.append(
            "calibration_slope and calibration_intercept are null: all probabilities are equal, or a threshold divides "
            "the classes"
        )
    if state.shape.weighted:
        notes.append("standard errors, the noise floor and the test of Hosmer and Lemeshow are null with weights")
    return tuple(notes)


def _multinomial(state: EvaluationState, model: int) -> MultinomialMeasures:
    its = state.models[model]
    weighted = state.shape.weighted
    cells: Any = its.predicted if its.weights is None else its.weights.values()
    masses = class_masses(state)
    weight = sum(masses)
    classes = tuple(_of_class(state, its, code, cells) for code in range(state.shape.classes))
    areas = [each.auc for each in classes if each.auc is not None]
    bounds = [each.auc_bound for each in classes if each.auc_bound is not None]
    empty = sum(not mass for mass in masses)
    notes = (f"auc is null for {empty} of {len(masses)} classes: no row is of that class",) if empty else ()
    return MultinomialMeasures(
        rows=state.rows,
        weight=weight,
        log_loss=its.log_loss.value() / weight,
        brier=its.brier.value() / weight,
        accuracy=float(np.trace(cells)) / weight,
        confusion_matrix=tuple(tuple(amount(cell, weighted) for cell in row) for row in cells),
        classes=classes,
        auc_macro=sum(areas) / len(areas) if len(areas) == len(classes) else None,
        warnings=(*_loss_warnings(its), *_class_warnings(bounds), *_weight_warnings(state.rows, weight)),
        notes=notes,
    )


def _of_class(state: EvaluationState, its: ModelState, code: int, cells: Any) -> ClassMeasures:
    keys = RankedKeys.of(its.counters[code].table())
    area, bound = ranking.area(keys) if keys.has_both else (None, None)
    masses = class_masses(state)
    right, predicted = float(cells[code, code]), float(cells[:, code].sum())
    return ClassMeasures(
        rows=int(state.classes[code]),
        prevalence=masses[code] / sum(masses),
        auc=area,
        auc_bound=bound,
        precision=right / predicted if predicted else None,
        recall=right / masses[code] if masses[code] else None,
        f1=2.0 * right / (predicted + masses[code]) if predicted + masses[code] else None,
    )


def _class_warnings(bounds: list[float]) -> tuple[str, ...]:
    largest = max(bounds, default=0.0)
    return (f"auc of a class is known within {bound_text(largest)}",) if largest > BOUND_TOLD else ()
