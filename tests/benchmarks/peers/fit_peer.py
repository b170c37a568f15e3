"""Other tools that fit a logistic regression to a Parquet file: PEER DATA OUT.

glum, scikit-learn (newton-cholesky) and polars-ds, without a penalty, each with its own stopping rule set so that the
optimum is reached. OUT is a JSON file with the intercept and the coefficients, in units of the columns.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TARGET = "y"


def rows(data: str):
    """Return the columns as a matrix in column order, their names, and the target."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(data)
    names = [name for name in table.column_names if name not in {"id", TARGET}]
    matrix = np.empty((table.num_rows, len(names)), order="F")
    for position, name in enumerate(names):
        matrix[:, position] = table[name].to_numpy()
    return matrix, names, table[TARGET].to_numpy().astype("float64")


def glum(data: str) -> dict[str, object]:
    """Fit with glum's IRLS."""
    from glum import GeneralizedLinearRegressor

    matrix, names, y = rows(data)
    fitted = GeneralizedLinearRegressor(
        family="binomial", link="logit", alpha=0, gradient_tol=1e-9, max_iter=100, scale_predictors=True
    ).fit(matrix, y)
    return {"intercept": float(fitted.intercept_), "coefficients": dict(zip(names, fitted.coef_.tolist(), strict=True))}


def sklearn(data: str) -> dict[str, object]:
    """Fit with scikit-learn's Newton on standardised columns, which it needs to converge."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    matrix, names, y = rows(data)
    center, scale = matrix.mean(axis=0), matrix.std(axis=0)
    matrix -= center
    matrix /= scale
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-9, max_iter=100).fit(matrix, y)
    own = fitted.coef_[0] / scale
    return {
        "intercept": float(fitted.intercept_[0] - own @ center),
        "coefficients": dict(zip(names, own.tolist(), strict=True)),
    }


def polars_ds(data: str) -> dict[str, object]:
    """Fit with the GLM of polars-ds."""
    import numpy as np
    import polars as pl
    from polars_ds.linear_models import GLM

    frame = pl.read_parquet(data)
    names = [name for name in frame.columns if name not in {"id", TARGET}]
    fitted = GLM(add_bias=True, family="binomial", max_iter=100, tol=1e-9).fit(
        frame.select(names).to_numpy(), frame[TARGET].cast(pl.Float64).to_numpy()
    )
    return {
        "intercept": float(fitted.bias()),
        "coefficients": dict(zip(names, np.array(fitted.coeffs()).tolist(), strict=True)),
    }


PEERS = {"glum": glum, "scikit-learn": sklearn, "polars-ds": polars_ds}


def main(peer: str, data: str, out: str) -> None:
    """Fit and write the coefficients."""
    Path(out).write_text(json.dumps(PEERS[peer](data)))


if __name__ == "__main__":
    main(*sys.argv[1:])
