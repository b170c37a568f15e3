"""Gradient descent is the article's, and says how far from the optimum it ends."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.fitting.solving.objective import Objective, Penalty, Solution
from pipeline.fitting.solving import begin, choose, drive
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from tests.fitting.fits import fitted, penalty, zeros
from tests.fitting.rows import Rows, binary

ROWS = binary(np.random.default_rng(5), 1_000, [1.0, -0.5])


def descended(rows: Rows, iterations: int, rate: float = 0.1, **objective: object) -> Solution:
    of = Objective(rows.layout, **objective)  # type: ignore[arg-type]
    solver = begin("gradient", of, zeros(rows), learning_rate=rate, iterations=iterations)
    return drive(MemoryPasses(rows.layout, rows.tiles()), [solver])[0]


def test_its_steps_are_those_of_the_article() -> None:
    x, b = ROWS.matrix(), np.zeros(3)
    for _ in range(50):
        b -= 0.1 * x.T @ (1 / (1 + np.exp(-x @ b)) - ROWS.y) / len(x)
    found = descended(ROWS, 50)
    np.testing.assert_allclose(found.coefficients[0], b, rtol=1e-12)
    assert found.certificate.passes == 51
    costs = [record.objective for record in found.records]
    assert costs == sorted(costs, reverse=True)


def test_it_tells_its_distance_from_the_optimum() -> None:
    found, best = descended(ROWS, 1_000), fitted(ROWS)
    certificate = found.certificate
    assert not certificate.converged
    assert certificate.decrement is not None
    # Twice the loss that is left, in sums, near the optimum.
    assert certificate.decrement == pytest.approx(2_000 * (found.objective - best.objective), rel=0.05)
    assert best.certificate.passes < 10


def test_a_learning_rate_that_is_too_large_is_named() -> None:
    with np.errstate(all="ignore"):
        found = descended(ROWS, 50, rate=1e308)
    assert "lower the learning rate" in found.certificate.reason


def test_with_penalties_and_signs_it_nears_the_same_optimum() -> None:
    found = descended(ROWS, 300, rate=2.0, penalty=penalty(ROWS, 0.01, 0.1))
    np.testing.assert_allclose(found.coefficients, fitted(ROWS, l1=0.01, l2=0.1).coefficients, atol=1e-9)
    signs = np.array([0, -1, 0], np.int8)
    found = descended(ROWS, 300, rate=1.0, signs=signs)
    np.testing.assert_allclose(found.coefficients, fitted(ROWS, signs=signs).coefficients, atol=1e-9)


NONE, SOME = Penalty(0.0, 0.0, np.ones(1)), Penalty(0.1, 0.0, np.ones(1))
CHOICES = [
    ("auto", FitLayout(1_999), None, None, "newton"),
    ("auto", FitLayout(2_000), NONE, None, "newton-cg"),
    ("auto", FitLayout(999, classes=3, outputs=3), None, None, "newton-cg"),
    ("auto", FitLayout(20), SOME, None, "newton"),
    ("auto", FitLayout(2_000), SOME, None, "owlqn"),
    ("auto", FitLayout(2_000), None, np.ones(2_001, np.int8), "owlqn"),
    ("gradient", FitLayout(2_000), SOME, None, "gradient"),
    ("newton", FitLayout(2_000), None, None, "newton"),
]


@pytest.mark.parametrize("case", CHOICES)
def test_the_method_follows_the_number_of_coefficients_and_the_penalty(case: tuple) -> None:
    *asked, method = case
    assert choose(*asked) == method


def test_conjugate_gradients_refuse_a_penalty_with_kinks() -> None:
    with pytest.raises(UsageError, match="--solver newton-cg cannot fit with --l1"):
        choose("newton-cg", FitLayout(20), SOME)
