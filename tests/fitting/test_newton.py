"""Newton's method finds the optimum that others find, and says how it knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from pipeline.errors import DataError
from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from pipeline.fitting.solving import drive, newton
from pipeline.fitting.solving.objective import Objective, PassRecord
from pipeline.fitting.tiles.layout import Floats
from tests.fitting.fits import fitted, zeros
from tests.fitting.rows import Rows, binary


def of_scikit_learn(rows: Rows, l2: float = 0.0) -> Floats:
    """The coefficients of scikit-learn, its penalty made ours: for each unit of weight."""
    weight = len(rows.y) if rows.weights is None else rows.weights.sum()
    model = LogisticRegression(
        C=1.0 / (l2 * weight) if l2 else np.inf,
        solver="newton-cholesky",
        tol=1e-12,
        max_iter=1_000,
        fit_intercept=rows.intercept,
    )
    x = rows.matrix()[:, int(rows.intercept) :]
    model.fit(x, rows.y, sample_weight=rows.weights)
    intercept = model.intercept_[:, None] if rows.intercept else np.empty((len(model.coef_), 0))
    return np.hstack([intercept, model.coef_])


RNG = np.random.default_rng(1)
PLAIN = binary(RNG, 4_000, [0.5, -1.0, 0.2, 0.0, 2.0], -1.0)
CLOSE = Rows(np.column_stack([PLAIN.x, 0.999 * PLAIN.x[:, 0] + 0.0447 * RNG.normal(size=4_000)]), PLAIN.y)
CASES = {
    "plain": PLAIN,
    "no intercept": replace(PLAIN, intercept=False),
    "correlation of 0.999": CLOSE,
    "one in a hundred positive": binary(RNG, 20_000, [0.5, 1.0], -5.2),
    "weights": replace(PLAIN, weights=RNG.integers(0, 5, 4_000).astype(float)),
    "levels": replace(PLAIN, levels=[(RNG.integers(-1, 20, 4_000), None)], counts=(20,)),
    "levels with values": replace(PLAIN, levels=[(RNG.integers(-1, 4, 4_000), PLAIN.x[:, 1])], counts=(4,)),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_coefficients_are_those_of_scikit_learn(name: str) -> None:
    rows = CASES[name]
    solution = fitted(rows)
    np.testing.assert_allclose(solution.coefficients, of_scikit_learn(rows), rtol=1e-8, atol=1e-10)
    certificate = solution.certificate
    assert certificate.converged
    assert certificate.decrement is not None
    assert certificate.decrement <= 1e-16
    assert certificate.largest_step is not None
    assert certificate.largest_step <= 1e-8
    assert certificate.passes == len(solution.records) <= 10
    assert certificate.rows == len(rows.y)


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("l2", [1e-3, 0.1])
def test_all_classes_with_a_penalty_are_those_of_scikit_learn(classes: int, l2: float) -> None:
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(3_000, 4))
    y = (x @ rng.normal(size=(4, classes)) + rng.gumbel(size=(3_000, classes))).argmax(axis=1)
    rows = Rows(x, y, classes=classes, outputs=classes)
    solution = fitted(rows, l2=l2)
    expected = of_scikit_learn(rows, l2)
    # Nothing decides a shift that all intercepts share.
    expected[:, 0] -= expected[:, 0].mean()
    np.testing.assert_allclose(solution.coefficients, expected, rtol=1e-7, atol=1e-9)
    assert abs(solution.coefficients[:, 0].sum()) < 1e-10
    assert solution.certificate.converged


@pytest.mark.parametrize("classes", [3, 10])
def test_classes_against_a_reference_are_those_of_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(3_000, 2))
    y = (x @ rng.normal(size=(2, classes)) + rng.gumbel(size=(3_000, classes))).argmax(axis=1)
    rows = Rows(x, y, classes=classes, outputs=classes - 1)
    expected = of_scikit_learn(rows)
    np.testing.assert_allclose(fitted(rows).coefficients, expected[1:] - expected[0], rtol=1e-6, atol=1e-8)


def test_breast_cancer_with_a_penalty_is_that_of_scikit_learn() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    rows = Rows(scale(x), y)
    np.testing.assert_allclose(fitted(rows, l2=0.01).coefficients, of_scikit_learn(rows, 0.01), rtol=1e-8)


def test_a_weight_is_as_many_rows() -> None:
    weights = np.random.default_rng(3).integers(0, 4, len(PLAIN.y))
    repeated = Rows(np.repeat(PLAIN.x, weights, axis=0), np.repeat(PLAIN.y, weights))
    weighted = fitted(replace(PLAIN, weights=weights.astype(float)))
    np.testing.assert_allclose(weighted.coefficients, fitted(repeated).coefficients, rtol=1e-10)
    assert weighted.sums.weight == weights.sum()


def test_an_offset_is_a_column_whose_coefficient_is_one() -> None:
    known = fitted(PLAIN).coefficients[0, 1]
    offset = replace(PLAIN, x=PLAIN.x[:, 1:], offset=known * PLAIN.x[:, 0])
    np.testing.assert_allclose(fitted(offset).coefficients[0], np.delete(fitted(PLAIN).coefficients[0], 1), rtol=1e-9)


def test_an_offset_of_several_classes_changes_nothing() -> None:
    rng = np.random.default_rng(9)
    several = replace(PLAIN, y=rng.integers(0, 3, 4_000), classes=3, outputs=2)
    shifted = replace(several, offset=rng.normal(size=4_000))
    np.testing.assert_array_equal(fitted(shifted).coefficients, fitted(several).coefficients)


@settings(max_examples=15, deadline=None)
@given(st.floats(-30.0, 30.0), st.integers(0, 1_000))
def test_any_start_leads_to_the_same_optimum(size: float, seed: int) -> None:
    rows = binary(np.random.default_rng(7), 500, [1.0, -1.0])
    start = size * np.random.default_rng(seed).normal(size=(1, 3))
    solution = fitted(rows, start)
    assert solution.certificate.converged
    np.testing.assert_allclose(solution.coefficients, fitted(rows).coefficients, rtol=1e-8)


def test_a_step_that_goes_too_far_is_shortened_by_losses_of_the_same_pass() -> None:
    solution = fitted(PLAIN, 3.0 * fitted(PLAIN).coefficients)
    # The second pass finds that a quarter of the step is best, and the third is there.
    assert [record.share for record in solution.records[:3]] == [1.0, 1.0, 0.25]
    objectives = [record.objective for record in solution.records]
    assert objectives[1] > objectives[0] > objectives[2]
    assert solution.certificate.converged
    assert len(objectives) <= 8


def test_a_step_of_few_rows_among_many_that_goes_too_far_costs_a_pass() -> None:
    few, many = np.arange(6), np.arange(20)
    y = np.concatenate([few == 0, many < 2]).astype(int)
    level = np.concatenate([np.zeros(6, int), np.full(20, -1)])
    weights = np.concatenate([np.ones(6), np.full(20, 50_000.0)])
    rows = Rows(np.empty((26, 0)), y, [(level, None)], (1,), weights=weights)
    base = np.log(1 / 9)
    solution = fitted(rows, np.array([[base, 5.0 - base]]))
    # Losses on the way are not summed: the step is one of 1e-3 for each unit of weight.
    assert [record.share for record in solution.records[:3]] == [1.0, 1.0, 0.5]
    assert solution.records[1].objective > solution.records[0].objective
    assert solution.certificate.converged
    assert len(solution.records) <= 15
    np.testing.assert_allclose(solution.coefficients, [[base, np.log(1 / 5) - base]], rtol=1e-8)


def test_a_start_that_is_worse_than_nothing_is_left() -> None:
    solution = fitted(PLAIN, np.array([[300.0, 800.0, -900.0, 400.0, 700.0, -800.0]]))
    assert solution.records[1].objective == pytest.approx(np.log(2.0))
    assert len(solution.records) <= 8


SIGNS = {"none may be negative": [0, 1, 1, 1, 1, 1], "some of each": [0, -1, 1, 0, -1, -1]}


@pytest.mark.parametrize("name", sorted(SIGNS))
def test_signs_are_kept_and_the_rest_is_the_optimum(name: str) -> None:
    signs = np.array(SIGNS[name], np.int8)
    solution = fitted(PLAIN, signs=signs)
    assert (solution.coefficients * signs >= 0).all()
    assert solution.certificate.converged
    x, sign = PLAIN.matrix(), 1.0 - 2.0 * PLAIN.y

    def loss(b: Floats) -> tuple[float, Floats]:
        against = (x @ b) * sign
        return float(np.logaddexp(0, against).mean()), x.T @ (sign / (1 + np.exp(-against))) / len(x)

    bounds = [(0 if s > 0 else None, 0 if s < 0 else None) for s in signs]
    other = minimize(loss, np.zeros(6), jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-10})
    assert solution.objective <= other.fun + 1e-14
    np.testing.assert_allclose(solution.coefficients[0], other.x, atol=1e-6)


def test_a_fold_is_left_out_and_models_share_passes() -> None:
    folds = (np.arange(len(PLAIN.y)) % 3).astype(np.int8)
    rows = replace(PLAIN, folds=folds)
    solvers = [newton(Objective(rows.layout, fold=fold), zeros(rows)) for fold in (None, 0, 1, 2)]
    seen: list[tuple[int, int]] = []

    def observe(number: int, points: list[Point], sums: list[PassSums], records: list[PassRecord | None]) -> None:
        assert len(points) == len(sums) == len(records)
        assert all(record is not None and record.decrement is not None for record in records)
        seen.append((number, len(points)))

    solutions = drive(MemoryPasses(rows.layout, rows.tiles()), solvers, observe)  # type: ignore[arg-type]
    assert seen[0] == (1, 4)
    assert len(seen) == max(solution.certificate.passes for solution in solutions)
    for fold in range(3):
        kept = folds != fold
        alone = fitted(Rows(PLAIN.x[kept], PLAIN.y[kept]))
        np.testing.assert_allclose(solutions[fold + 1].coefficients, alone.coefficients, rtol=1e-9)
        assert solutions[fold + 1].sums.held_rows == np.count_nonzero(~kept)


def test_too_few_passes_are_said() -> None:
    certificate = drive(
        MemoryPasses(PLAIN.layout, PLAIN.tiles()), [newton(Objective(PLAIN.layout), zeros(PLAIN), passes=3)]
    )[0].certificate
    assert not certificate.converged
    assert certificate.reason == "3 passes were not enough"


def test_the_duality_gap_is_there_where_all_coefficients_are_penalised() -> None:
    rows = replace(PLAIN, intercept=False)
    gap = fitted(rows, l2=0.1).certificate.gap
    assert gap is not None
    assert 0 <= gap < 1e-16
    assert fitted(PLAIN, l2=0.1).certificate.gap is None


def test_no_row_with_a_weight_is_an_error() -> None:
    with pytest.raises(DataError, match="no row with a positive weight is left to fit"):
        fitted(replace(PLAIN, weights=np.zeros(len(PLAIN.y))))


def test_progress_that_rounding_ends_is_not_called_an_optimum() -> None:
    solver = newton(Objective(PLAIN.layout), zeros(PLAIN), enough=1e-60)
    certificate = drive(MemoryPasses(PLAIN.layout, PLAIN.tiles()), [solver])[0].certificate
    assert not certificate.converged
    assert certificate.reason.startswith("rounding stops progress at a squared Newton decrement of ")
    assert certificate.decrement is not None
    assert 1e-60 < certificate.decrement < 1e-16


def test_nothing_to_fit_is_fitted() -> None:
    solution = fitted(PLAIN, fixed=np.ones(6, bool))
    assert solution.certificate.converged
    assert solution.objective == pytest.approx(np.log(2.0))
    assert not solution.coefficients.any()


def test_one_class_alone_is_separated() -> None:
    certificate = fitted(replace(PLAIN, y=np.ones_like(PLAIN.y))).certificate
    assert (certificate.converged, certificate.separation) == (False, "complete")
    assert certificate.separating[0] == 0
