"""Two models on the same rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline.evaluation import ranking
from pipeline.evaluation.exact import Counts, Floats
from pipeline.evaluation.joint import JointTable
from pipeline.evaluation.measures import class_masses
from pipeline.evaluation.ranking import RankedKeys, placements
from pipeline.evaluation.results import AreaDifference, ModelDifferences
from pipeline.evaluation.states import EvaluationState
from pipeline.kernels.order import Keys
from pipeline.kernels.tails import two_sided_normal


def differences(state: EvaluationState) -> ModelDifferences | None:
    """Return the second model minus the first; ``None`` where there is one model."""
    if state.shape.models < 2:
        return None
    first, second = state.models
    weight = sum(class_masses(state))
    binary = state.shape.classes == 2
    return ModelDifferences(
        log_loss=(second.log_loss.value() - first.log_loss.value()) / weight,
        brier=(second.brier.value() - first.brier.value()) / weight,
        auc=_area_difference(state) if binary else None,
        accuracy=None if binary else _right(state, 1) - _right(state, 0),
    )


def _right(state: EvaluationState, model: int) -> float:
    its = state.models[model]
    cells: Any = its.predicted if its.weights is None else its.weights.values()
    return float(np.trace(cells)) / sum(class_masses(state))


def _area_difference(state: EvaluationState) -> AreaDifference | None:
    first, second = (RankedKeys.of(model.counters[0].table()) for model in state.models)
    if not first.has_both:
        return None
    (before, before_bound), (after, after_bound) = ranking.area(first), ranking.area(second)
    value = after - before
    error = None if state.joint is None else paired_error(state.joint)
    z = value / error if error else None
    p_value = None if z is None else two_sided_normal(z)
    return AreaDifference(value, before_bound + after_bound, error, z, p_value)


def paired_error(table: JointTable) -> float | None:
    """Return the standard error of the difference of two areas under curves of the same rows; ``None`` with few rows.

    The variance of the difference of both placements of each row, which is that of both areas minus twice their
    covariance (DeLong, DeLong and Clarke-Pearson, 1988).
    """
    positives, negatives = table.counts.astype(np.float64)
    if min(positives.sum(), negatives.sum()) < 2:
        return None
    of_first, of_second = (_placed(keys, table.counts) for keys in (table.first, table.second))
    below, above = (one - other for one, other in zip(of_second, of_first, strict=True))
    return math.sqrt(ranking.variance(positives, below) + ranking.variance(negatives, above))


def _placed(keys: Keys, counts: Counts) -> tuple[Floats, Floats]:
    """Return the placements of one model for each pair."""
    found, places = np.unique(keys, return_inverse=True)
    positives, negatives = (np.bincount(places, each, len(found)).astype(np.float64) for each in counts)
    below, above = placements(positives, negatives)
    return below[places], above[places]
