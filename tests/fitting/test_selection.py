"""A path of penalties begins where nothing is left, and rows that were left out choose one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from pipeline.fitting.solving.objective import Objective
from pipeline.fitting.solving.selection import PathChoice, models_of_path, select
from tests.fitting.fits import fitted, penalty
from tests.fitting.rows import Rows, binary

RNG = np.random.default_rng(6)
PLAIN = binary(RNG, 600, [1.0, -0.5, 0.25, 0.1, *([0.0] * 16)])
FOLDED = replace(PLAIN, folds=(np.arange(600) % 4).astype(np.int8))
HELD = replace(PLAIN, folds=np.where(np.arange(600) % 5 == 0, -1, 0).astype(np.int8))


class CountedPasses(MemoryPasses):
    """Passes that note how many models share each."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows.layout, rows.tiles())
        self.shared: list[int] = []

    def sums(self, points: list[Point]) -> list[PassSums]:  # type: ignore[override]
        self.shared.append(len(points))
        return super().sums(points)


def chosen(rows: Rows, l1: float, l2: float, **options: object) -> PathChoice:
    passes = MemoryPasses(rows.layout, rows.tiles())
    return select(passes, Objective(rows.layout, penalty(rows, l1, l2)), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("l1", "l2"), [(1e-3, 0.0), (1e-3, 5e-4)])
def test_a_path_begins_with_the_smallest_penalty_that_leaves_nothing(l1: float, l2: float) -> None:
    path = chosen(PLAIN, l1, l2, count=12)
    assert path.tried[0].nonzero == 0
    assert path.tried[1].nonzero >= 1
    below = fitted(PLAIN, l1=0.999 * path.tried[0].l1, l2=0.999 * path.tried[0].l2)
    assert np.count_nonzero(below.coefficients[0, 1:]) == 1
    assert (path.tried[-1].l1, path.tried[-1].l2) == (l1, l2)
    steps = np.diff(np.log([one.l1 for one in path.tried]))
    np.testing.assert_allclose(steps, steps[0])


def test_each_solution_of_a_path_is_the_one_found_alone() -> None:
    path = chosen(PLAIN, 1e-3, 1e-3, count=12)
    for tried, coefficients in zip(path.tried, path.coefficients, strict=True):
        alone = fitted(PLAIN, l1=tried.l1, l2=tried.l2).coefficients
        np.testing.assert_allclose(coefficients, alone, rtol=1e-6, atol=1e-9)


def test_a_path_without_an_intercept_begins_where_nothing_is_left() -> None:
    rows = replace(PLAIN, intercept=False)
    first, second = chosen(rows, 1e-3, 0.0, count=8).coefficients[:2]
    assert not first.any()
    assert second.any()


def test_a_path_of_l2_begins_where_little_is_left() -> None:
    path = chosen(PLAIN, 0.0, 1e-3, count=8)
    assert np.abs(path.coefficients[0][0, 1:]).max() < 2e-3
    assert path.tried[-1].l2 == 1e-3
    assert path.solution.certificate.converged
    assert path.tried[-1].chosen


def test_folds_choose_what_scikit_learn_would() -> None:
    path = chosen(FOLDED, 1e-3, 0.0, count=10, folds=4)
    losses = np.empty((10, 4))
    for place, tried in enumerate(path.tried):
        for fold in range(4):
            kept = FOLDED.folds != fold
            model = LogisticRegression(
                l1_ratio=1.0, C=1.0 / (tried.l1 * kept.sum()), solver="saga", tol=1e-9, max_iter=20_000
            )
            model.fit(PLAIN.x[kept], PLAIN.y[kept])
            p = model.predict_proba(PLAIN.x[~kept])
            losses[place, fold] = -np.log(p[np.arange(len(p)), PLAIN.y[~kept]]).mean()
    # The first is left out: saga stops where no coefficient changes, though the intercept still does.
    means, errors = losses.mean(axis=1), losses.std(axis=1, ddof=1) / 2.0
    np.testing.assert_allclose([one.log_loss for one in path.tried[1:]], means[1:], rtol=1e-6)
    np.testing.assert_allclose([one.error for one in path.tried[1:]], errors[1:], rtol=1e-5)
    assert [one.chosen for one in path.tried].index(True) == losses.mean(axis=1).argmin()


def test_the_rule_of_one_standard_error_takes_a_larger_penalty() -> None:
    best = chosen(FOLDED, 1e-3, 0.0, count=10, folds=4)
    rule = chosen(FOLDED, 1e-3, 0.0, count=10, folds=4, one_standard_error=True)
    at = [one.chosen for one in best.tried].index(True)
    larger = [one.chosen for one in rule.tried].index(True)
    assert larger < at
    limit = best.tried[at].log_loss + best.tried[at].error
    assert rule.tried[larger].log_loss <= limit < rule.tried[larger - 1].log_loss
    np.testing.assert_array_equal(rule.solution.coefficients, rule.coefficients[larger])
    assert rule.penalty is not None
    assert rule.penalty.l1 == rule.tried[larger].l1


def test_rows_held_out_choose_without_folds() -> None:
    path = chosen(HELD, 1e-3, 0.0, count=10)
    held = HELD.folds == -1
    place = [one.chosen for one in path.tried].index(True)
    z = PLAIN.matrix()[held] @ path.coefficients[place][0]
    expected = np.logaddexp(0, z * (1 - 2 * PLAIN.y[held])).mean()
    assert path.tried[place].log_loss == pytest.approx(expected)
    assert path.tried[place].error is None
    assert path.tried[place].log_loss == min(one.log_loss for one in path.tried)


def test_folds_judge_a_single_fit_too() -> None:
    rows = replace(FOLDED, x=PLAIN.x[:, :3])
    passes = MemoryPasses(rows.layout, rows.tiles())
    path = select(passes, Objective(rows.layout), folds=4)
    assert len(path.tried) == 1
    assert path.penalty is None
    assert path.tried[0].error is not None
    assert path.solution.sums.hessian is not None


def test_more_models_at_once_save_passes_and_change_no_bit() -> None:
    found = []
    for together in (1, 3, 100):
        passes = CountedPasses(FOLDED)
        objective = Objective(FOLDED.layout, penalty(FOLDED, 1e-3, 0.0))
        found.append((select(passes, objective, count=10, folds=4, together=together), passes))
    (one, alone), (_, some), (many, shared) = found
    assert max(alone.shared) == 1
    assert max(some.shared) == 3
    assert max(shared.shared) == 10
    assert len(shared.shared) < len(some.shared) / 2 < len(alone.shared) / 4
    assert one.tried == many.tried
    assert one.solution.coefficients.tobytes() == many.solution.coefficients.tobytes()
    assert many.passes == len(shared.shared)
    assert many.unconverged == 0


@pytest.mark.parametrize(("count", "folds"), [(1, 4), (5, 0), (12, 2)])
def test_as_many_models_share_a_pass_as_the_plan_counts(count: int, folds: int) -> None:
    passes = CountedPasses(FOLDED)
    objective = Objective(FOLDED.layout, penalty(FOLDED, 1e-3, 0.0))
    select(passes, objective, count=count, folds=folds, together=100)
    assert max(passes.shared) == models_of_path(count, folds)


def test_a_penalty_that_leaves_nothing_is_a_path_of_one() -> None:
    path = chosen(PLAIN, 10.0, 0.0, count=10)
    assert [(one.l1, one.nonzero) for one in path.tried] == [(10.0, 0)]


@pytest.mark.parametrize(("classes", "outputs"), [(3, 3), (3, 2)])
def test_a_path_of_several_classes_begins_where_nothing_is_left(classes: int, outputs: int) -> None:
    y = np.where(PLAIN.y == 1, 2, RNG.integers(0, 2, 600))
    rows = replace(PLAIN, y=y, classes=classes, outputs=outputs)
    passes = CountedPasses(rows)
    path = select(passes, Objective(rows.layout, penalty(rows, 1e-3, 0.0)), count=5)
    # One pass for the shares of the classes, one that finds them to be the optimum; then stretches.
    assert path.passes == len(passes.shared) <= 2 + 5 * 5
    first = path.tried[0]
    assert not fitted(rows, l1=first.l1).coefficients[:, 1:].any()
    assert fitted(rows, l1=0.99 * first.l1).coefficients[:, 1:].any()


def test_a_path_for_many_coefficients_reuses_where_it_stands() -> None:
    path = chosen(PLAIN, 0.0, 1e-2, count=4, method="newton-cg")
    for tried, coefficients in zip(path.tried, path.coefficients, strict=True):
        np.testing.assert_allclose(coefficients, fitted(PLAIN, l2=tried.l2).coefficients, rtol=1e-6, atol=1e-9)
