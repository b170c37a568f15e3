"""Newton's method finds what others find."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from pipeline.fitting.layout import TILE_ROWS, FitLayout, Floats, Tile
from pipeline.fitting.objective import Objective
from pipeline.fitting.solving import drive, newton
from pipeline.fitting.tiles_in_memory import MemoryPasses


def tiles_of(x: Floats, y: np.ndarray, weights: Floats | None = None, rows: int = TILE_ROWS) -> list[Tile]:
    dense = np.column_stack([np.ones(len(x)), x])
    return [
        Tile(
            np.asfortranarray(dense[k : k + rows]),
            (),
            y[k : k + rows].astype(np.intp),
            None if weights is None else weights[k : k + rows],
        )
        for k in range(0, len(x), rows)
    ]


def test_the_coefficients_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20_000, 5))
    y = rng.random(20_000) < 1 / (1 + np.exp(-(x @ [0.5, -1.0, 0.2, 0.0, 2.0] - 1)))
    layout = FitLayout(5)
    found = drive(MemoryPasses(layout, tiles_of(x, y), block=2), [newton(Objective(layout), np.zeros((1, 6)))])[0]
    other = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(x, y)
    expected = np.concatenate([other.intercept_, other.coef_[0]])
    np.testing.assert_allclose(found.coefficients[0], expected, rtol=1e-8)
    assert found.certificate.converged
