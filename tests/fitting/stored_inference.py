"""What statsmodels says of fits, stored so that tests need no statsmodels.

    python -m tests.fitting.stored_inference

fits each case and writes coefficients, errors and measures to ``tests/fitting/data/inference.json``. Needs statsmodels;
the data come with scikit-learn.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer

from pipeline.fitting.design import DesignColumn, FitDesign, NumberSource
from pipeline.fitting.layout import FitLayout, Tile
from pipeline.fitting.learnt import FitAccounts, Learnt
from pipeline.fitting.objective import Solution
from pipeline.fitting.terms import NumberTerm
from tests.fitting.newton import joined, solved

STORED = Path(__file__).parent / "data" / "inference.json"


@dataclass(frozen=True)
class InferenceCase:
    """A fit of columns of numbers, whose tiles are centred and scaled."""

    data: Callable[[], tuple[np.ndarray, np.ndarray]]


def tumours(*columns: int) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    def data() -> tuple[np.ndarray, np.ndarray]:
        found = load_breast_cancer()
        return found.data[:, list(columns)], found.target

    return data


CASES = {"numbers": InferenceCase(tumours(0, 1, 4, 8))}


def tile_of(case: InferenceCase) -> tuple[FitDesign, Tile]:
    """Return the design and the rows of a case, in one tile."""
    matrix, classes = case.data()
    centers, scales = matrix.mean(axis=0), matrix.std(axis=0)
    count = matrix.shape[1]
    columns = tuple(
        DesignColumn(NumberTerm(f"x{number}"), f"x{number}", number, center=center, scale=scale)
        for number, (center, scale) in enumerate(zip(centers.tolist(), scales.tolist(), strict=True))
    )
    sources = tuple(NumberSource(f"x{number}", "error") for number in range(count))
    dense = np.asfortranarray(np.column_stack([np.ones(len(matrix)), (matrix - centers) / scales]))
    layout = FitLayout(count, classes=int(classes.max()) + 1, outputs=int(classes.max()))
    return FitDesign(layout, columns, sources, ()), Tile(dense, (), classes.astype(np.intp))


def fitted(case: InferenceCase) -> tuple[FitDesign, Learnt, Solution]:
    """Return a case as it is fitted by the Newton's method of the tests."""
    design, tile = tile_of(case)
    classes, weights, _ = joined([tile])
    shares = tuple(np.bincount(classes, weights).tolist())
    learnt = Learnt(
        FitAccounts(read=tile.rows, used=tile.rows), float(weights.sum()), tuple(range(len(shares))), shares
    )
    return design, learnt, solved([tile], design.layout)


def _expected(case: InferenceCase) -> dict[str, Any]:
    import statsmodels.api as sm

    matrix, classes = case.data()
    result = sm.Logit(classes, sm.add_constant(matrix)).fit(method="newton", tol=1e-12, maxiter=100, disp=0)
    low, high = result.conf_int().T
    return {
        "value": result.params.tolist(),
        "error": result.bse.tolist(),
        "z": result.tvalues.tolist(),
        "p": result.pvalues.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "measures": {
            "log_loss": -result.llf / result.nobs,
            "deviance": -2 * result.llf,
            "null_deviance": -2 * result.llnull,
            "likelihood_ratio": result.llr,
            "likelihood_ratio_p": result.llr_pvalue,
            "degrees_of_freedom": int(result.df_model),
            "aic": result.aic,
            "bic": result.bic,
            "mcfadden": result.prsquared,
        },
    }


if __name__ == "__main__":
    STORED.parent.mkdir(exist_ok=True)
    STORED.write_text(json.dumps({name: _expected(case) for name, case in CASES.items()}, indent=1) + "\n")
