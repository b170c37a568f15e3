"""States of rows that a test has as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.measures import measures
from pipeline.evaluation.results import BinaryMeasures, MeasureWishes
from pipeline.evaluation.states import EvaluationState, ScoredTile, StateShape


def losses_of(probabilities: Any, target: Any) -> Any:
    """Return the log loss of each row, clipped as scikit-learn does."""
    clipped = np.clip(probabilities, np.finfo(float).eps, 1 - np.finfo(float).eps)
    return -np.where(target == 1, np.log(clipped), np.log1p(-clipped))


def state_of(
    target: Any,
    *models: Any,
    weights: Any = None,
    scores: Any = None,
    cuts: Sequence[int] = (),
    thresholds: tuple[float, ...] = (),
    most: int | None = None,
) -> EvaluationState:
    """Return the state of rows, cut into tiles; each model is the probabilities it gives."""
    shape = StateShape(models=len(models), weighted=weights is not None, thresholds=thresholds)
    state = EvaluationState.empty(shape)
    if most is not None:
        state.limit(most)
    ends = [*sorted(cuts), len(target)]
    for start, end in zip([0, *ends], ends, strict=False):
        probabilities = tuple(np.ascontiguousarray(model[start:end]) for model in models)
        ranked = probabilities if scores is None else tuple(score[start:end] for score in scores)
        losses = tuple(losses_of(each, target[start:end]) for each in probabilities)
        part = None if weights is None else weights[start:end]
        state.add(ScoredTile(ranked, probabilities, losses, target[start:end].astype(np.intp), part))
    return state


def binary(state: EvaluationState, **wishes: Any) -> BinaryMeasures:
    found = measures(state, MeasureWishes(**wishes))
    assert isinstance(found, BinaryMeasures)
    return found


def arrays_equal(one: EvaluationState, other: EvaluationState) -> bool:
    """Return whether two states have the same bits."""
    first, second = one.to_arrays(), other.to_arrays()
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and first[name].tobytes() == second[name].tobytes() for name in first
    )
