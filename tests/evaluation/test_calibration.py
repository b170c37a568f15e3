"""Calibration, the parts of the Brier score and the regression on probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from pipeline.evaluation.results import BinaryMeasures
from tests.evaluation.states_of import binary, state_of


def rows_of(size: int = 2000, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities, and classes that they are nearly right for."""
    random = np.random.default_rng(seed)
    probabilities = random.beta(1, 3, size)
    return probabilities, (random.random(size) < probabilities**1.1).astype(np.intp)


def brier_of(found: BinaryMeasures) -> float:
    parts = found.reliability - found.resolution + found.uncertainty
    return parts + found.within_bin_variance - found.within_bin_covariance


@pytest.mark.parametrize("most", [50, None])
@pytest.mark.parametrize("bins", [1, 7, 20])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_five_parts_add_up_to_the_brier_score(bins: int, weighted: bool, most: int | None) -> None:
    probabilities, target = rows_of()
    weights = np.random.default_rng(2).random(len(target)) if weighted else None
    found = binary(state_of(target, probabilities, weights=weights, most=most), bins=bins)
    assert brier_of(found) == pytest.approx(found.brier, abs=1e-12)
    assert found.brier == pytest.approx(np.average((probabilities - target) ** 2, weights=weights), abs=1e-12)


@pytest.mark.parametrize(("low", "high"), [(-9, -6), (-4, -2), (-8, 0)])
def test_the_five_parts_have_their_digits_where_positives_are_rare(low: int, high: int) -> None:
    random = np.random.default_rng(3)
    probabilities = 10 ** random.uniform(low, high, 20_000)
    target = (random.random(20_000) < probabilities).astype(np.intp)
    found, weighted = (
        binary(state_of(target, probabilities, weights=weights, cuts=[300])) for weights in (None, np.ones(20_000))
    )
    assert brier_of(found) == pytest.approx(found.brier, rel=1e-9, abs=0)
    assert found.within_bin_variance == pytest.approx(weighted.within_bin_variance, rel=1e-6, abs=0)


@pytest.mark.parametrize("bins", [3, 10, 20])
def test_the_curve_has_bins_of_equal_mass(bins: int) -> None:
    probabilities, target = rows_of()
    found = binary(state_of(target, probabilities, cuts=[300]), bins=bins)
    parts = np.array_split(np.argsort(probabilities), bins)
    means = np.array([probabilities[part].mean() for part in parts])
    shares = np.array([target[part].mean() for part in parts])
    assert [each.rows for each in found.calibration_curve] == pytest.approx([len(part) for part in parts], abs=1)
    if len(target) % bins:
        return
    np.testing.assert_allclose([each.mean_probability for each in found.calibration_curve], means, rtol=1e-12)
    np.testing.assert_allclose([each.share_positive for each in found.calibration_curve], shares, rtol=1e-12)
    assert found.ece == pytest.approx(np.abs(means - shares).mean(), abs=1e-12)
    variances = np.array([(probabilities[part] * (1 - probabilities[part])).mean() / len(part) for part in parts])
    assert found.ece_noise_floor == pytest.approx(np.sqrt(2 * variances / np.pi).mean(), rel=1e-9)
    np.testing.assert_allclose(
        [each.standard_error for each in found.calibration_curve], np.sqrt(variances), rtol=1e-9
    )  # fmt: skip


def test_the_noise_floor_is_the_mean_error_of_probabilities_that_are_right() -> None:
    random = np.random.default_rng(0)
    probabilities = random.beta(1, 3, 1000)
    found = [binary(state_of(random.random(1000) < probabilities, probabilities)) for _ in range(100)]
    mean = np.mean([each.ece for each in found])
    assert mean == pytest.approx(found[0].ece_noise_floor, rel=0.04)


def test_equal_probabilities_are_in_one_bin() -> None:
    probabilities = np.repeat([0.1, 0.2, 0.9], [700, 200, 100])
    target = np.arange(1000) % 2
    found = binary(state_of(target, probabilities), bins=10).calibration_curve
    assert [(each.rows, each.mean_probability) for each in found] == [(700, 0.1), (200, 0.2), (100, 0.9)]


def test_the_test_of_hosmer_and_lemeshow_is_that_of_its_formula() -> None:
    probabilities, target = rows_of()
    found = binary(state_of(target, probabilities), bins=10).hosmer_lemeshow
    assert found is not None
    statistic = 0.0
    for part in np.array_split(np.argsort(probabilities), 10):
        expected = probabilities[part].sum()
        statistic += (target[part].sum() - expected) ** 2 / (expected * (1 - expected / len(part)))
    assert found.statistic == pytest.approx(statistic, rel=1e-10)
    assert found.degrees_of_freedom == 8
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 8), rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["as it is", "ties", "tiny", "near one"])
def test_slope_and_intercept_are_those_of_an_unpenalised_regression(name: str, weighted: bool) -> None:
    probabilities, target = rows_of()
    probabilities = {
        "as it is": probabilities,
        "ties": np.clip(np.round(probabilities, 2), 0.01, 0.99),
        "tiny": 1e-9 * probabilities,
        "near one": 1 - 1e-6 * (1 - probabilities),
    }[name]
    weights = np.random.default_rng(2).random(len(target)) if weighted else None
    found = binary(state_of(target, probabilities, weights=weights))
    logits = np.log(probabilities) - np.log1p(-probabilities)
    centre, scale = logits.mean(), logits.std()
    model = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky")
    model.fit(((logits - centre) / scale)[:, None], target, sample_weight=weights)
    slope = model.coef_[0, 0] / scale
    assert found.calibration_slope == pytest.approx(slope, rel=1e-7)
    assert found.calibration_intercept == pytest.approx(model.intercept_[0] - slope * centre, rel=1e-6)


def test_the_slope_of_keys_is_close_to_that_of_rows() -> None:
    probabilities, target = rows_of()
    found = binary(state_of(target, probabilities, most=1 << 8))
    exact = binary(state_of(target, probabilities))
    assert found.auc_bound > 0
    assert found.calibration_slope == pytest.approx(exact.calibration_slope, rel=1e-3)


@pytest.mark.parametrize(
    ("probabilities", "target"),
    [
        (np.full(10, 0.3), np.arange(10) % 2),
        (np.repeat([0.3, np.nextafter(0.3, 1)], 5), np.arange(10) % 2),
        (np.linspace(0.1, 0.9, 10), (np.arange(10) > 4).astype(np.intp)),
        (np.repeat([0.0, 1.0], 5), np.repeat([0, 1], 5)),
    ],
)
def test_there_is_no_slope_without_an_optimum_and_a_note_says_so(probabilities, target) -> None:
    found = binary(state_of(target, probabilities))
    assert found.calibration_slope is found.calibration_intercept is None
    assert any("calibration_slope" in note for note in found.notes)


def test_probabilities_of_zero_and_one_are_clipped_for_the_slope() -> None:
    probabilities, target = rows_of()
    probabilities[:20], probabilities[20:40] = 0.0, 1.0
    found = binary(state_of(target, probabilities))
    assert np.isfinite([found.calibration_slope, found.calibration_intercept]).all()
