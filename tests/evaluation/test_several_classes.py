"""More than two classes, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from pipeline.evaluation.comparing import differences
from pipeline.evaluation.measures import measures
from pipeline.evaluation.results import MultinomialMeasures
from pipeline.evaluation.states import EvaluationState, ScoredTile, StateShape
from tests.evaluation.states_of import arrays_equal

CLASSES = 4


def rows_of(size: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities, shape (classes, rows), and classes."""
    random = np.random.default_rng(4)
    probabilities = random.dirichlet([0.6, 1.0, 2.0, 0.3], size)
    target = (random.random(size)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    return np.ascontiguousarray(probabilities.T), target.astype(np.intp)


def state_of(probabilities, target, weights=None, cuts=(), models: int = 1, most=None) -> EvaluationState:
    state = EvaluationState.empty(StateShape(classes=CLASSES, models=models, weighted=weights is not None))
    if most:
        state.limit(most)
    for part in np.split(np.arange(len(target)), cuts):
        its = (np.ascontiguousarray(probabilities[:, part]),) * models
        losses = (-np.log(probabilities[target[part], part]),) * models
        state.add(ScoredTile(its, its, losses, target[part], None if weights is None else weights[part]))
    return state


@pytest.mark.parametrize("weighted", [False, True])
def test_measures_of_several_classes_are_those_of_scikit_learn(weighted: bool) -> None:
    probabilities, target = rows_of()
    weights = np.random.default_rng(0).random(len(target)) if weighted else None
    found = measures(state_of(probabilities, target, weights, cuts=[700]))
    assert isinstance(found, MultinomialMeasures)
    given = {"sample_weight": weights}
    said = probabilities.argmax(axis=0)
    assert found.log_loss == pytest.approx(metrics.log_loss(target, probabilities.T, **given), abs=1e-10)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(target, said, **given), abs=1e-10)
    np.testing.assert_allclose(found.confusion_matrix, metrics.confusion_matrix(target, said, **given), rtol=1e-12)
    apart = ((probabilities - np.eye(CLASSES)[:, target]) ** 2).sum(axis=0)
    assert found.brier == pytest.approx(np.average(apart, weights=weights), abs=1e-10)
    areas = [metrics.roc_auc_score(target == code, probabilities[code], **given) for code in range(CLASSES)]
    assert [each.auc for each in found.classes] == pytest.approx(areas, abs=1e-10)
    assert found.auc_macro == pytest.approx(np.mean(areas), abs=1e-10)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(target, said, **given)
    assert [each.precision for each in found.classes] == pytest.approx(precision, abs=1e-10)
    assert [each.recall for each in found.classes] == pytest.approx(recall, abs=1e-10)
    assert [each.f1 for each in found.classes] == pytest.approx(f1, abs=1e-10)
    assert [each.rows for each in found.classes] == np.bincount(target).tolist()


def test_areas_of_few_keys_are_inside_their_bounds_and_a_warning_says_how_large_they_are() -> None:
    probabilities, target = rows_of()
    found = measures(state_of(probabilities, target, most=64))
    for code, each in enumerate(found.classes):
        area = metrics.roc_auc_score(target == code, probabilities[code])
        assert abs(each.auc - area) <= each.auc_bound + 1e-12
    assert max(each.auc_bound for each in found.classes) > 2e-5
    assert "auc of a class is known within" in found.warnings[0]


def test_a_class_without_rows_has_no_area() -> None:
    probabilities, target = rows_of()
    found = measures(state_of(probabilities, np.minimum(target, 2)))
    assert [each.auc is None for each in found.classes] == [False, False, False, True]
    assert found.auc_macro is None
    assert found.notes == ("auc is null for 1 of 4 classes: no row is of that class",)


@pytest.mark.parametrize("weighted", [False, True])
def test_states_of_several_classes_have_the_same_bits_in_any_parts(weighted: bool) -> None:
    probabilities, target = rows_of()
    weights = np.random.default_rng(0).random(len(target)) if weighted else None
    whole = state_of(probabilities, target, weights, models=2)
    parts = [
        state_of(probabilities[:, here], target[here], None if weights is None else weights[here], models=2)
        for here in (slice(0, 900), slice(900, None))
    ]
    parts[1].merge(parts[0])
    assert arrays_equal(whole, EvaluationState.from_arrays(whole.shape, parts[1].to_arrays()))
    found = differences(whole)
    assert (found.log_loss, found.brier, found.accuracy, found.auc) == (0.0, 0.0, 0.0, None)


def test_more_classes_have_fewer_keys_each() -> None:
    assert [StateShape(classes=classes).most_keys for classes in (2, 3, 5, 100, 5000)] == [
        1 << 18, 1 << 16, 1 << 15, 1 << 11, 1 << 8,
    ]  # fmt: skip
