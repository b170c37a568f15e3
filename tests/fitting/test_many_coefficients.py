"""What has too many coefficients for a Hessian ends at the same optimum, in a bounded number of passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from pipeline.fitting.solving import drive, newton, newton_cg, owlqn, warm_start
from pipeline.fitting.solving.objective import Objective, Solution, Solver
from tests.fitting.fits import fitted, penalty, zeros
from tests.fitting.rows import Rows, binary


def some_rows(rows: int, levels: int, columns: int, seed: int = 0) -> Rows:
    """Numbers, and columns of levels with effects of their own."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5))
    codes = [rng.integers(0, levels, rows) for _ in range(columns)]
    z = x @ rng.normal(size=5) * 0.3 - 1.0 + sum(0.5 * rng.normal(size=levels)[c] for c in codes)
    y = rng.random(rows) < 1.0 / (1.0 + np.exp(-z))
    return Rows(x, y.astype(int), [(c, None) for c in codes], (levels,) * columns)


def solved(rows: Rows, solver: Solver) -> Solution:
    return drive(MemoryPasses(rows.layout, rows.tiles()), [solver])[0]


@pytest.mark.parametrize("l2", [1e-2, 1e-4])
def test_conjugate_gradients_find_the_optimum_of_newton(l2: float) -> None:
    rows = some_rows(8_000, 40, 3)
    found = solved(rows, newton_cg(Objective(rows.layout, penalty(rows, 0.0, l2)), zeros(rows)))
    np.testing.assert_allclose(found.coefficients, fitted(rows, l2=l2).coefficients, rtol=1e-7, atol=1e-9)
    certificate = found.certificate
    assert certificate.converged
    assert certificate.decrement is not None
    assert certificate.decrement <= 1e-16
    assert certificate.largest_step is not None
    assert certificate.largest_step <= 1e-8
    assert certificate.passes == len(found.records) <= 80


def test_conjugate_gradients_without_a_penalty_and_with_classes() -> None:
    plain = binary(np.random.default_rng(1), 4_000, [0.5, -1.0, 0.3])
    found = solved(plain, newton_cg(Objective(plain.layout), zeros(plain)))
    np.testing.assert_allclose(found.coefficients, fitted(plain).coefficients, rtol=1e-8)
    several = replace(plain, y=np.random.default_rng(2).integers(0, 3, 4_000), classes=3, outputs=3)
    found = solved(several, newton_cg(Objective(several.layout, penalty(several, 0.0, 0.01)), zeros(several)))
    expected = fitted(several, l2=0.01).coefficients
    np.testing.assert_allclose(found.coefficients[:, 1:], expected[:, 1:], rtol=1e-6, atol=1e-9)


def test_conjugate_gradients_find_an_optimum_among_columns_that_explain_each_other() -> None:
    plain = binary(np.random.default_rng(1), 1_000, [0.5, -1.0, 0.3])
    rows = replace(plain, x=np.column_stack([plain.x, plain.x[:, 0] - plain.x[:, 1]]))
    levels = replace(rows, levels=[(np.arange(1_000) % 5, None)], counts=(5,))
    found = solved(levels, newton_cg(Objective(levels.layout), zeros(levels)))
    assert found.certificate.converged
    assert found.objective == pytest.approx(fitted(levels).objective, rel=1e-13)


def test_conjugate_gradients_see_separation() -> None:
    x = np.random.default_rng(4).normal(size=(300, 3))
    rows = Rows(x, (x[:, 1] > 0.3).astype(int))
    certificate = solved(rows, newton_cg(Objective(rows.layout), zeros(rows))).certificate
    assert not certificate.converged
    assert certificate.separation is not None
    assert certificate.separating[0] == 2


def test_conjugate_gradients_come_back_from_a_start_far_out() -> None:
    rows = some_rows(3_000, 10, 2)
    start = 30.0 * np.random.default_rng(0).normal(size=(1, rows.layout.width))
    found = solved(rows, newton_cg(Objective(rows.layout, penalty(rows, 0.0, 0.01)), start))
    assert found.certificate.converged
    np.testing.assert_allclose(found.coefficients, fitted(rows, l2=0.01).coefficients, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("l1", "l2"), [(1e-2, 0.0), (1e-3, 1e-3)])
def test_the_orthant_method_finds_the_optimum_of_newton(l1: float, l2: float) -> None:
    rows = some_rows(8_000, 40, 3)
    found = solved(rows, owlqn(Objective(rows.layout, penalty(rows, l1, l2)), zeros(rows)))
    exact = fitted(rows, l1=l1, l2=l2)
    assert found.certificate.converged
    assert found.certificate.subgradient is not None
    assert found.certificate.subgradient <= 1e-9
    assert found.objective == pytest.approx(exact.objective, rel=1e-12)
    np.testing.assert_array_equal(found.coefficients == 0.0, exact.coefficients == 0.0)
    assert found.certificate.passes <= 200


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(-4.0, -1.0), st.booleans())
def test_both_ways_to_any_optimum_end_at_the_same_objective(seed: int, size: float, sparse: bool) -> None:
    rng = np.random.default_rng(seed)
    count, classes = int(rng.integers(50, 800)), int(rng.integers(2, 4))
    outputs = 1 if classes == 2 else int(rng.integers(classes - 1, classes + 1))
    x, codes = rng.normal(size=(count, 4)), rng.integers(-1, 6, count)
    raw = x @ rng.normal(size=(4, classes)) + rng.gumbel(size=(count, classes))
    rows = Rows(x, raw.argmax(axis=1), [(codes, None)], (6,), classes=classes, outputs=outputs)
    rows.weights = rng.integers(0, 3, count).astype(float)
    l1, l2 = (10.0**size, 10.0**size) if sparse else (0.0, 10.0**size)
    objective = Objective(rows.layout, penalty(rows, l1, l2))
    ways = [solved(rows, solver(objective, zeros(rows))) for solver in (newton, owlqn if sparse else newton_cg)]
    assert all(way.certificate.converged for way in ways)
    assert ways[0].objective == pytest.approx(ways[1].objective, rel=1e-12)


@pytest.mark.parametrize(("l1", "l2"), [(3e-3, 0.0), (1e-3, 1e-3)])
@pytest.mark.parametrize("classes", [3, 4])
def test_the_orthant_method_settles_what_all_classes_share(classes: int, l1: float, l2: float) -> None:
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(1_500, 6))
    y = (x @ rng.normal(size=(6, classes)) + rng.gumbel(size=(1_500, classes))).argmax(axis=1)
    rows = Rows(x, y, classes=classes, outputs=classes)
    found = solved(rows, owlqn(Objective(rows.layout, penalty(rows, l1, l2)), zeros(rows)))
    assert found.certificate.converged
    assert found.objective == pytest.approx(fitted(rows, l1=l1, l2=l2).objective, rel=1e-12)


def test_the_orthant_method_keeps_signs() -> None:
    rows = binary(np.random.default_rng(1), 4_000, [0.5, -1.0, 0.3])
    signs = np.array([0, 1, 1, -1], np.int8)
    found = solved(rows, owlqn(Objective(rows.layout, signs=signs), zeros(rows)))
    exact = fitted(rows, signs=signs)
    assert found.certificate.converged
    np.testing.assert_allclose(found.coefficients, exact.coefficients, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("levels", [10, 800])
def test_a_start_from_a_sample_is_nearer_than_none(levels: int) -> None:
    rows = some_rows(20_000, levels, 3)
    objective = Objective(rows.layout, penalty(rows, 0.0, 1e-4))
    # One row in ten.
    sample = Rows(rows.x[::10], rows.y[::10], [(codes[::10], None) for codes, _ in rows.levels], rows.counts)
    start = warm_start(MemoryPasses(rows.layout, sample.tiles()), objective)
    solver = newton if levels == 10 else newton_cg
    cold, warm = (solved(rows, solver(objective, at)) for at in (zeros(rows), start))
    assert cold.certificate.converged
    assert warm.certificate.converged
    assert warm.records[0].objective < cold.records[0].objective - 0.05
    assert warm.certificate.passes <= cold.certificate.passes


def test_a_start_from_a_sample_that_is_separated_or_empty_is_finite() -> None:
    x = np.random.default_rng(4).normal(size=(300, 3))
    rows = Rows(x, (x[:, 1] > 0.3).astype(int))
    start = warm_start(MemoryPasses(rows.layout, rows.tiles()), Objective(rows.layout))
    assert np.abs(start).max() < 50
    assert not warm_start(MemoryPasses(rows.layout, []), Objective(rows.layout)).any()


@pytest.mark.slow
@pytest.mark.parametrize("zipf", [False, True])
@pytest.mark.parametrize("l2", [1e-3, 1e-5])
def test_thirty_thousand_coefficients_take_at_most_eighty_passes(l2: float, zipf: bool) -> None:
    rng = np.random.default_rng(0)
    count, levels = 500_000, 5_000
    x = rng.normal(size=(count, 20))
    codes = [rng.zipf(1.3, count) % levels if zipf else rng.integers(0, levels, count) for _ in range(6)]
    z = x @ rng.normal(size=20) * 0.3 - 1.0 + sum(0.5 * rng.normal(size=levels)[c] for c in codes)
    y = rng.random(count) < 1.0 / (1.0 + np.exp(-z))
    rows = Rows(x, y.astype(int), [(c, None) for c in codes], (levels,) * 6)
    found = solved(rows, newton_cg(Objective(rows.layout, penalty(rows, 0.0, l2)), zeros(rows)))
    assert found.certificate.converged
    assert found.certificate.passes <= 80


@pytest.mark.parametrize("solver", [newton, owlqn])
@pytest.mark.parametrize(("l1", "l2"), [(1e-7, 0.1), (1e-2, 0.0)])
def test_a_start_at_the_optimum_is_the_end(solver: Callable[..., Solver], l1: float, l2: float) -> None:
    rows = some_rows(2_000, 20, 2)
    objective = Objective(rows.layout, penalty(rows, l1, l2))
    found = solved(rows, newton(objective, zeros(rows)))
    again = solved(rows, solver(objective, found.coefficients))
    assert again.certificate.converged
    assert again.certificate.passes <= 3
    np.testing.assert_allclose(again.coefficients, found.coefficients, rtol=1e-8, atol=1e-9)
