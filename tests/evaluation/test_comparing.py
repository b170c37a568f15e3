"""Two models on the same rows, against all pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from pipeline.evaluation.comparing import differences
from tests.evaluation.states_of import losses_of, state_of
from tests.evaluation.test_ranking import delong


def rows_of(size: int, digits: int = 17) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two columns of probabilities that are alike, and classes."""
    random = np.random.default_rng(11)
    raw = random.normal(size=size)
    models = [1 / (1 + np.exp(-(raw + noise * random.normal(size=size)))) for noise in (0.3, 0.6)]
    target = (random.random(size) < 1 / (1 + np.exp(-raw))).astype(np.intp)
    return np.round(models[0], digits), np.round(models[1], digits), target


@pytest.mark.parametrize("digits", [17, 2, 1])
def test_the_paired_error_is_that_of_all_pairs(digits: int) -> None:
    first, second, target = rows_of(600, digits)
    found = differences(state_of(target, first, second, cuts=[50, 400]))
    assert found is not None
    assert found.auc is not None
    areas = [metrics.roc_auc_score(target, each) for each in (first, second)]
    assert found.auc.value == pytest.approx(areas[1] - areas[0], abs=1e-12)
    placed = [delong(target, each) for each in (first, second)]
    covariance = sum(np.cov(placed[0][side], placed[1][side]) / len(placed[0][side]) for side in (0, 1))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert found.auc.standard_error == pytest.approx(math.sqrt(variance), rel=1e-9)
    assert found.auc.z == pytest.approx(found.auc.value / math.sqrt(variance), rel=1e-9)
    assert found.auc.p_value == pytest.approx(2 * stats.norm.sf(abs(found.auc.z)), rel=1e-9)
    assert found.auc.bound == 0.0
    losses = [losses_of(each, target).mean() for each in (first, second)]
    assert found.log_loss == pytest.approx(losses[1] - losses[0], abs=1e-12)
    briers = [((each - target) ** 2).mean() for each in (first, second)]
    assert found.brier == pytest.approx(briers[1] - briers[0], abs=1e-12)


def test_fewer_pairs_of_keys_give_nearly_the_same_error() -> None:
    first, second, target = rows_of(5000)
    exact = differences(state_of(target, first, second)).auc
    found = differences(state_of(target, first, second, cuts=[1000], most=1 << 10)).auc
    assert found.standard_error == pytest.approx(exact.standard_error, rel=0.05)
    assert abs(found.value - exact.value) <= found.bound


def test_a_model_does_not_differ_from_itself() -> None:
    first, _, target = rows_of(300)
    found = differences(state_of(target, first, first)).auc
    assert (found.value, found.standard_error, found.z, found.p_value) == (0.0, 0.0, None, None)


def test_there_is_no_difference_of_areas_of_one_class_and_no_error_with_weights() -> None:
    first, second, target = rows_of(100)
    assert differences(state_of(np.ones(100), first, second)).auc is None
    found = differences(state_of(target, first, second, weights=np.full(100, 0.5))).auc
    assert found.standard_error is None
    assert found.value == pytest.approx(differences(state_of(target, first, second)).auc.value)
    assert differences(state_of(target, first)) is None
