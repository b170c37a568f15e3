"""Areas, average precision and what is counted, against scikit-learn, SciPy and brute force."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from pipeline.evaluation import ranking
from pipeline.evaluation.ranking import RankedKeys
from pipeline.evaluation.results import ThresholdRates
from tests.evaluation.states_of import binary, losses_of, state_of

EXACT = 1e-10


def rows_of(name: str, size: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and classes that they are right for."""
    random = np.random.default_rng(7)
    base = random.random(size)
    probabilities = {
        "spread": base,
        "ties": np.round(base, 2),
        "two values": np.where(base < 0.3, 0.25, 0.75),
        "constant": np.full(size, 0.25),
        "rare": base**9,
        "near one": 1 - 1e-9 * base,
        "tiny": 1e-300 * base,
        "narrow": 0.5 + 1e-4 * base,
        "certain": np.where(base < 0.1, 0.0, np.where(base > 0.9, 1.0, base)),
    }[name]
    target = random.random(size) < (
        probabilities if name in {"spread", "ties", "rare", "certain"} else 0.3 + 0.4 * base
    )
    return probabilities, target.astype(np.intp)


NAMES = ("spread", "ties", "two values", "constant", "rare", "near one", "tiny", "narrow", "certain")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_measures_are_those_of_scikit_learn(name: str, weighted: bool) -> None:
    probabilities, target = rows_of(name)
    weights = np.random.default_rng(1).exponential(size=len(target)) if weighted else None
    found = binary(state_of(target, probabilities, weights=weights, cuts=[100, 2000]))
    given_ = {"sample_weight": weights}
    assert found.auc == pytest.approx(metrics.roc_auc_score(target, probabilities, **given_), abs=EXACT)
    precision = metrics.average_precision_score(target, probabilities, **given_)
    assert found.average_precision == pytest.approx(precision, abs=EXACT)
    assert found.auc_bound == found.average_precision_bound == 0.0
    assert found.brier == pytest.approx(metrics.brier_score_loss(target, probabilities, **given_), abs=EXACT)
    assert found.log_loss == pytest.approx(metrics.log_loss(target, probabilities, **given_), abs=EXACT)
    assert found.prevalence == pytest.approx(np.average(target, weights=weights), abs=EXACT)
    assert found.mean_probability == pytest.approx(np.average(probabilities, weights=weights), abs=EXACT)
    assert found.gini == pytest.approx(2 * found.auc - 1, abs=EXACT)
    rates = metrics.roc_curve(target, probabilities, drop_intermediate=False, **given_)
    assert found.ks == pytest.approx(np.abs(rates[1] - rates[0]).max(), abs=EXACT)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("most", [3, 300])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_binned_is_inside_the_printed_bound(name: str, most: int, weighted: bool) -> None:
    probabilities, target = rows_of(name)
    weights = np.random.default_rng(1).integers(0, 3, len(target)) / 2 if weighted else None
    state = state_of(target, probabilities, weights=weights, cuts=[1500], most=most)
    found = binary(state)
    assert found.keys <= most
    area = metrics.roc_auc_score(target, probabilities, sample_weight=weights)
    assert abs(found.auc - area) <= found.auc_bound + 1e-12
    precision = metrics.average_precision_score(target, probabilities, sample_weight=weights)
    assert abs(found.average_precision - precision) <= found.average_precision_bound + 1e-12
    assert found.brier == pytest.approx(np.average((probabilities - target) ** 2, weights=weights), abs=EXACT)
    assert bool(found.warnings) == (found.auc_bound > 2e-5)


def orders_of(positives: int, negatives: int) -> Iterator[list[tuple[int, int]]]:
    """Yield every order of rows from the top, equal ones together."""
    if not positives and not negatives:
        yield []
    for p in range(positives + 1):
        for n in range(negatives + 1):
            if p or n:
                yield from ([(p, n), *rest] for rest in orders_of(positives - p, negatives - n))


def precision_of(groups: list[tuple[int, int]]) -> Fraction:
    reached = passed = 0
    total = Fraction()
    for p, n in groups:
        reached, passed = reached + p, passed + n
        total += Fraction(p * reached, max(reached + passed, 1))
    return total / reached


@pytest.mark.parametrize("inside", [(1, 1), (1, 3), (2, 2), (3, 2), (4, 3)])
@pytest.mark.parametrize("above", [(0, 0), (1, 0), (0, 2), (5, 3)])
def test_average_precision_within_a_key_is_anything_between_its_bounds(above, inside) -> None:
    every = [precision_of([above, *order]) for order in orders_of(*inside)]
    counts = np.array([inside, above], dtype=np.float64).T
    keys = RankedKeys(
        counts.sum(axis=0).astype(np.int64), counts[0], counts[1], np.array([True, False]), np.zeros(2), np.zeros(2),
        np.zeros((3, 2)), weighted=False,
    )  # fmt: skip
    middle, half = ranking.average_precision(keys)
    assert middle - half == pytest.approx(float(min(every)), abs=1e-14)
    assert middle + half == pytest.approx(float(max(every)), abs=1e-14)


def test_the_area_within_a_key_is_anything_between_its_bounds() -> None:
    keys = RankedKeys(
        np.array([5]), np.array([3.0]), np.array([2.0]), np.array([True]), np.zeros(1), np.zeros(1), np.zeros((3, 1)),
        weighted=False,
    )  # fmt: skip
    assert ranking.area(keys) == (0.5, 0.5)


def delong(target: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the placements of DeLong and others, by comparing all pairs."""
    apart = scores[target == 1][:, None] - scores[target == 0][None, :]
    kernel = (apart > 0) + 0.5 * (apart == 0)
    return kernel.mean(axis=1), kernel.mean(axis=0)


@pytest.mark.parametrize("name", ["spread", "ties", "two values", "rare"])
def test_the_standard_error_is_that_of_all_pairs(name: str) -> None:
    probabilities, target = (each[:500] for each in rows_of(name))
    found = binary(state_of(target, probabilities, cuts=[77]))
    of_positives, of_negatives = delong(target, probabilities)
    variance = np.var(of_positives, ddof=1) / len(of_positives) + np.var(of_negatives, ddof=1) / len(of_negatives)
    assert found.auc_standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_the_largest_distance_is_that_of_scipy() -> None:
    probabilities, target = rows_of("ties")
    expected = stats.ks_2samp(probabilities[target == 1], probabilities[target == 0]).statistic
    assert binary(state_of(target, probabilities)).ks == pytest.approx(expected, abs=1e-12)


def test_deciles_add_up_from_the_highest_scores() -> None:
    probabilities, target = rows_of("spread")
    found = binary(state_of(target, probabilities)).deciles
    ordered = target[np.argsort(-probabilities)]
    assert [each.rows for each in found] == [300 * number for number in range(1, 11)]
    assert [each.positives for each in found] == [int(ordered[:end].sum()) for end in range(300, 3001, 300)]
    assert found[0].lift == pytest.approx(ordered[:300].mean() / target.mean())
    assert found[-1].gains == found[-1].lift == 1.0
    constant = binary(state_of(target, np.full(3000, 0.5))).deciles
    assert {each.rows for each in constant} == {3000}


@pytest.mark.parametrize("weighted", [False, True])
def test_rates_at_thresholds_are_those_of_scikit_learn(weighted: bool) -> None:
    probabilities, target = rows_of("ties")
    weights = np.random.default_rng(3).random(len(target)) if weighted else None
    found = binary(state_of(target, probabilities, weights=weights, cuts=[11], thresholds=(0.25, 0.5, 0.9, 2.0)))
    assert [each.threshold for each in found.thresholds] == [0.25, 0.5, 0.9, 2.0]
    for rates in found.thresholds:
        check_rates(rates, target, probabilities, weights)


def check_rates(rates: ThresholdRates, target, probabilities, weights) -> None:
    said = probabilities >= rates.threshold
    given_ = {"sample_weight": weights}
    expected = metrics.confusion_matrix(target, said, labels=[0, 1], **given_).ravel()
    counts = (rates.true_negatives, rates.false_positives, rates.false_negatives, rates.true_positives)
    np.testing.assert_allclose(counts, expected, rtol=1e-12, atol=1e-12)
    assert rates.accuracy == pytest.approx(metrics.accuracy_score(target, said, **given_), abs=EXACT)
    assert rates.recall == pytest.approx(metrics.recall_score(target, said, **given_), abs=EXACT)
    assert rates.f1 == pytest.approx(metrics.f1_score(target, said, **given_), abs=EXACT)
    if not said.any():
        assert rates.precision is None
        assert rates.mcc is None
        return
    assert rates.precision == pytest.approx(metrics.precision_score(target, said, **given_), abs=EXACT)
    assert rates.mcc == pytest.approx(metrics.matthews_corrcoef(target, said, **given_), abs=EXACT)
    balanced = metrics.balanced_accuracy_score(target, said, **given_)
    assert rates.balanced_accuracy == pytest.approx(balanced, abs=EXACT)
    specificity = metrics.recall_score(target, said, pos_label=0, **given_)
    assert rates.specificity == pytest.approx(specificity, abs=EXACT)


@pytest.mark.parametrize("name", ["spread", "ties", "rare", "certain"])
def test_no_threshold_beats_the_best_ones(name: str) -> None:
    probabilities, target = (each[:60] for each in rows_of(name))
    found = binary(state_of(target, probabilities), cost=(1.0, 5.0)).best
    every = np.unique(probabilities)
    says = [probabilities >= threshold for threshold in every]
    f1 = max(metrics.f1_score(target, said) for said in says)
    youden = max(metrics.balanced_accuracy_score(target, said, adjusted=True) for said in says)
    cost = min((1.0 * (said & (target == 0)) + 5.0 * (~said & (target == 1))).mean() for said in says)
    for best, value in ((found.f1, f1), (found.youden, youden), (found.cost, cost)):
        assert best is not None
        assert best.value == pytest.approx(value, abs=1e-12)
        assert best.score == best.rates.threshold
        check_rates(best.rates, target, probabilities, None)


def test_the_best_threshold_of_raw_predictions_is_told_as_score_and_as_probability() -> None:
    probabilities, target = rows_of("spread")
    raw = np.log(probabilities / (1 - probabilities))
    found = binary(state_of(target, probabilities, scores=(raw,), cuts=[999])).best.f1
    assert found is not None
    assert found.score in raw
    assert found.rates.threshold == probabilities[raw == found.score][0]
    check_rates(found.rates, target, probabilities, None)


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_alone_has_no_area_and_says_so(only: int) -> None:
    found = binary(state_of(np.full(50, only), np.linspace(0.1, 0.9, 50)))
    assert found.auc is found.auc_bound is found.average_precision is found.ks is found.calibration_slope is None
    assert found.best.f1 is found.hosmer_lemeshow is None
    assert found.prevalence == only
    (note,) = found.notes
    assert note.startswith(f"all 50 rows are {('negatives', 'positives')[only]}: ")


def test_rows_of_a_weight_of_zero_count_for_nothing() -> None:
    probabilities, target = rows_of("spread", 500)
    weights = (np.arange(500) % 3 > 0).astype(float)
    here = weights > 0
    found = binary(state_of(target, probabilities, weights=weights))
    other = binary(state_of(target[here], probabilities[here]))
    assert found.auc == pytest.approx(other.auc, abs=1e-12)
    assert found.average_precision == pytest.approx(other.average_precision, abs=1e-12)
    assert found.ece == pytest.approx(other.ece, abs=1e-12)
    assert found.rows == 500


def test_weights_that_are_too_small_to_be_added_exactly_are_told() -> None:
    probabilities, target = rows_of("spread", 500)
    small = binary(state_of(target, probabilities, weights=np.full(500, 1e-12)))
    assert small.auc == pytest.approx(binary(state_of(target, probabilities)).auc, abs=1e-6)
    (warning,) = small.warnings
    assert warning.startswith("weights are 1e-12 on average")
    for enough in (1e-8, 2.0**-30):
        assert binary(state_of(target, probabilities, weights=np.full(500, enough))).warnings == ()


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([2, 3, 5, 9]))
def test_bounds_hold_on_any_rows(seed: int, most: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(4, 40))
    probabilities = random.choice([random.random(size), np.round(random.random(size), 1), random.random(size) ** 30])
    target = np.concatenate([[0, 1], random.integers(0, 2, size - 2)])
    weights = random.choice([0.25, 1.0, 3.0], size) if seed % 2 else None
    found = binary(state_of(target, probabilities, weights=weights, most=most))
    area = metrics.roc_auc_score(target, probabilities, sample_weight=weights)
    precision = metrics.average_precision_score(target, probabilities, sample_weight=weights)
    assert abs(found.auc - area) <= found.auc_bound + 1e-12
    assert abs(found.average_precision - precision) <= found.average_precision_bound + 1e-12
    assert found.log_loss == pytest.approx(np.average(losses_of(probabilities, target), weights=weights))
