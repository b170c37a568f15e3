"""Penalties of L1 and L2 together, on the driver and over passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from pipeline.fitting.solving.quadratic import Edges, minimum
from tests.fitting.fits import fitted
from tests.fitting.rows import Rows


@pytest.mark.parametrize(("l1", "l2"), [(0.02, 0.0), (0.01, 0.01), (1e-3, 1e-3)])
@pytest.mark.parametrize("classes", [2, 3])
def test_elastic_net_objectives_are_those_of_saga(l1: float, l2: float, classes: int) -> None:
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(1_000, 8))
    y = (x @ rng.normal(size=(8, classes)) + rng.gumbel(size=(1_000, classes))).argmax(axis=1)
    rows = Rows(x, y, classes=classes, outputs=classes if classes > 2 else 1)
    ours = fitted(rows, l1=l1, l2=l2)
    model = LogisticRegression(
        C=1.0 / (1_000 * (l1 + l2)), l1_ratio=l1 / (l1 + l2), solver="saga", tol=1e-10, max_iter=100_000
    ).fit(x, y)
    b = np.hstack([model.intercept_[:, None], model.coef_])
    z = rows.matrix() @ b.T
    if classes == 2:
        z = np.hstack([np.zeros((1_000, 1)), z])
    loss = (np.logaddexp.reduce(z, axis=1) - z[np.arange(1_000), y]).mean()
    theirs = loss + l1 * np.abs(model.coef_).sum() + 0.5 * l2 * (model.coef_**2).sum()
    assert ours.objective == pytest.approx(theirs, rel=1e-8)
    assert ours.objective <= theirs * (1 + 1e-12)
    np.testing.assert_array_equal(ours.coefficients[:, 1:] == 0.0, np.abs(model.coef_) < 1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25), st.floats(0.0, 0.9999))
def test_a_quadratic_with_kinks_and_bounds_is_minimised(seed: int, size: int, close: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size + 5, size)) + close / (1.0 - close) * rng.normal(size=(size + 5, 1))
    x *= 10.0 ** rng.uniform(-4, 4, size)
    hessian, linear = x.T @ x, x.T @ rng.normal(size=size + 5)
    slopes = np.where(rng.random(size) < 0.7, np.abs(linear) * rng.random(size), 0.0)
    signs = rng.integers(-1, 2, size)
    edges = Edges(slopes, signs >= 0, signs <= 0)
    found = minimum(hessian, linear, rng.normal(size=size), edges)
    assert (found * signs >= 0).all()
    lengths = np.sqrt(np.diag(hessian))
    rest = edges.subgradient(hessian @ found + linear, found) / lengths
    terms = (np.abs(hessian) @ np.abs(found) + np.abs(linear) + slopes) / lengths
    assert np.abs(rest).max() <= 1e-9 * terms.max()
