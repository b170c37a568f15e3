"""The logistic regression of the article: written from scratch, fitted by a thousand steps along the gradient.

Ours is fitted to the same rows, in fewer than ten passes, and its cost is lower.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")

from sklearn.exceptions import ConvergenceWarning

from pipeline.sklearn import LogisticRegression as Ours

Floats = np.ndarray


@dataclass
class LogisticRegression:
    """As in the article: weights from zero, all rows in each step, the cost noted every hundred steps."""

    learning_rate: float = 0.1
    n_iterations: int = 1_000
    costs: list[float] = field(default_factory=list)

    def fit(self, x: Floats, y: Floats) -> LogisticRegression:
        rows, features = x.shape
        self.weights, self.bias = np.zeros(features), 0.0
        for iteration in range(self.n_iterations):
            error = self.predict_proba(x) - y
            self.weights -= self.learning_rate * (x.T @ error) / rows
            self.bias -= self.learning_rate * float(error.mean())
            if iteration % 100 == 0:
                self.costs.append(cost(y, self.predict_proba(x)))
        return self

    def predict_proba(self, x: Floats) -> Floats:
        return 1 / (1 + np.exp(-np.clip(x @ self.weights + self.bias, -500, 500)))


def cost(y: Floats, probability: Floats) -> float:
    """Return the mean log loss, kept from the logarithm of 0 as in the article."""
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def rows(noise: float) -> tuple[Floats, Floats]:
    """Return a thousand rows of two features, and which side of a line each is on."""
    random = np.random.default_rng(42)
    x = random.normal(size=(1_000, 2))
    return x, (x[:, 0] + x[:, 1] + noise * random.normal(size=1_000) > 0).astype(int)


def test_the_article_class_lowers_its_cost_and_ours_ends_lower_in_under_ten_passes() -> None:
    x, y = rows(noise=0.5)
    theirs = LogisticRegression().fit(x, y)
    assert len(theirs.costs) == 10
    assert theirs.costs == sorted(theirs.costs, reverse=True)
    ours = Ours(C=math.inf).fit(x, y)
    assert ours.certificate_.converged
    assert ours.certificate_.passes < 10
    assert cost(y, ours.predict_proba(x)[:, 1]) < cost(y, theirs.predict_proba(x)) < theirs.costs[-1]


def test_at_the_optimum_a_step_of_the_article_changes_nothing() -> None:
    x, y = rows(noise=0.5)
    ours = Ours(C=math.inf).fit(x, y)
    error = ours.predict_proba(x)[:, 1] - y
    assert np.abs(x.T @ error / len(y)).max() < 1e-12
    assert abs(error.mean()) < 1e-12


def test_rows_that_a_line_separates_have_no_optimum_and_ours_says_so() -> None:
    x, y = rows(noise=0.0)
    theirs = LogisticRegression().fit(x, y)
    with pytest.warns(ConvergenceWarning, match="complete separation"):
        Ours(C=math.inf).fit(x, y)
    with pytest.warns(ConvergenceWarning, match="after 8 iterations"):
        ours = Ours(C=math.inf, max_iter=8).fit(x, y)
    assert ours.certificate_.passes < 10
    assert cost(y, ours.predict_proba(x)[:, 1]) < cost(y, theirs.predict_proba(x))


def test_a_penalty_gives_separated_rows_an_optimum() -> None:
    x, y = rows(noise=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = Ours().fit(x, y)
    assert ours.certificate_.converged
    assert cost(y, ours.predict_proba(x)[:, 1]) < cost(y, LogisticRegression().fit(x, y).predict_proba(x))
