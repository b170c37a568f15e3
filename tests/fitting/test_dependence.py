"""Columns that say nothing new are named and dropped; columns that are merely alike are not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.fitting.solving.dependence import dependent
from tests.fitting.fits import fitted
from tests.fitting.rows import Rows, binary

RNG = np.random.default_rng(2)
PLAIN = binary(RNG, 2_000, [1.0, -0.5, 0.3])


def more(*columns: np.ndarray) -> Rows:
    return Rows(np.column_stack([PLAIN.x, *columns]), PLAIN.y)


@pytest.mark.parametrize("start", [0.0, 0.7, 40.0])
def test_combinations_are_dropped_with_what_explains_them(start: float) -> None:
    a, b, c = PLAIN.x.T
    rows = more(2.0 * a - b, c, np.full(len(a), 3.0), np.zeros(len(a)))
    solution = fitted(rows, np.full((1, 8), start))
    found = {column: dict(combination) for column, combination in solution.dropped}
    assert found[4] == pytest.approx({1: 2.0, 2: -1.0})
    assert found[5] == pytest.approx({3: 1.0})
    assert found[6] == found[7] == {}
    assert sorted(found) == [4, 5, 6, 7]
    np.testing.assert_allclose(solution.coefficients[0, :4], fitted(PLAIN).coefficients[0], rtol=1e-9)
    assert not solution.coefficients[0, 4:].any()
    assert solution.certificate.converged


def test_dummies_that_sum_to_the_intercept_lose_the_last() -> None:
    rows = Rows(PLAIN.x, PLAIN.y, [(RNG.integers(0, 4, 2_000), None)], (4,))
    ((column, combination),) = fitted(rows).dropped
    assert column == 7
    assert dict(combination) == pytest.approx({0: 1.0, 4: -1.0, 5: -1.0, 6: -1.0})


def test_with_a_penalty_nothing_that_is_penalised_is_dropped() -> None:
    rows = Rows(PLAIN.x, PLAIN.y, [(RNG.integers(0, 4, 2_000), None)], (4,))
    solution = fitted(rows, l2=0.01)
    assert solution.dropped == ()
    assert solution.certificate.converged
    twice = more(PLAIN.x[:, 0])
    assert fitted(twice, l2=0.01).dropped == ()
    assert fitted(twice, l1=0.01).certificate.converged


@pytest.mark.parametrize("closeness", [0.999, 0.99999])
def test_columns_that_are_merely_alike_are_kept(closeness: float) -> None:
    alike = closeness * PLAIN.x[:, 0] + np.sqrt(1 - closeness**2) * RNG.normal(size=2_000)
    solution = fitted(more(alike))
    assert solution.dropped == ()
    assert solution.certificate.converged


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
def test_the_size_of_a_column_does_not_matter(size: float) -> None:
    x = PLAIN.x.copy()
    x[:, 1] *= size
    solution = fitted(Rows(x, PLAIN.y))
    assert solution.dropped == ()
    assert solution.certificate.converged
    expected = fitted(PLAIN).coefficients[0] / [1.0, 1.0, size, 1.0]
    np.testing.assert_allclose(solution.coefficients[0], expected, rtol=1e-8)


def test_what_several_classes_do_not_decide_is_dropped_for_each() -> None:
    rows = Rows(np.column_stack([PLAIN.x, PLAIN.x[:, 1]]), RNG.integers(0, 3, 2_000), classes=3, outputs=2)
    solution = fitted(rows)
    assert [column for column, _ in solution.dropped] == [4]
    assert not solution.coefficients[:, 4].any()


def test_many_columns_are_swept_in_order() -> None:
    x = RNG.normal(size=(400, 120))
    x[:, 70] = x[:, :3].sum(axis=1)
    x[:, 119] = x[:, 70] + x[:, 90]
    found = dependent(x.T @ x, np.ones(120, bool))
    assert {column: sorted(dict(parts)) for column, parts in found.items()} == {70: [0, 1, 2], 119: [0, 1, 2, 90]}


def test_what_may_not_be_dropped_explains_others() -> None:
    x = RNG.normal(size=(50, 2))
    able = np.array([False, False, True])
    assert list(dependent((whole := np.column_stack([x, x[:, 0]])).T @ whole, able)) == [2]
    assert dependent((whole := np.column_stack([x, x[:, 0]])).T @ whole, ~able) == {}
