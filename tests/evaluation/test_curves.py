"""Curves of a report go through the points of the curves of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from pipeline.evaluation.curves import curves
from pipeline.evaluation.states import EvaluationState, StateShape
from tests.evaluation.states_of import state_of
from tests.evaluation.test_ranking import rows_of


@pytest.mark.parametrize("name", ["spread", "ties", "rare", "constant"])
@pytest.mark.parametrize("weighted", [False, True])
def test_points_are_those_of_scikit_learn(name: str, weighted: bool) -> None:
    probabilities, target = rows_of(name)
    weights = np.random.default_rng(0).integers(0, 5, len(target)) / 2 if weighted else None
    found = curves(state_of(target, probabilities, weights=weights))
    assert found is not None
    passed, recall, _ = metrics.roc_curve(target, probabilities, sample_weight=weights, drop_intermediate=False)
    points = set(zip(np.round(passed, 9), np.round(recall, 9), strict=True))
    assert set(zip(np.round(found.false_positive_rate, 9), np.round(found.recall, 9), strict=True)) <= points
    assert (found.false_positive_rate[-1], found.recall[-1]) == (1.0, pytest.approx(1.0))
    precision, reached, _ = metrics.precision_recall_curve(target, probabilities, sample_weight=weights)
    points = set(zip(np.round(reached, 9), np.round(precision, 9), strict=True))
    assert set(zip(np.round(found.reached, 9), np.round(found.precision, 9), strict=True)) <= points
    assert found.lift[-1] == pytest.approx(1.0)
    assert found.share[-1] == 1.0
    assert len(found.recall) <= 401
    sums = [np.average(target == code, weights=weights) for code in (1, 0)]
    total = 3000 if weights is None else weights.sum()
    assert [sum(found.positives), sum(found.negatives)] == pytest.approx([each * total for each in sums])
    assert len(found.edges) == len(found.positives) + 1


def test_precision_is_drawn_from_the_first_positive_on() -> None:
    found = curves(state_of(np.array([0, 1, 1, 0]), np.array([0.1, 0.5, 0.6, 0.9])))
    assert found is not None
    assert (found.reached, found.precision) == ((0.5, 1.0), (0.5, pytest.approx(2 / 3)))


def test_there_are_no_curves_of_one_class_or_of_several() -> None:
    assert curves(state_of(np.ones(9), np.linspace(0.1, 0.9, 9))) is None
    assert curves(EvaluationState.empty(StateShape(classes=3))) is None
