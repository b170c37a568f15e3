"""scikit-learn, ``predict_proba`` in a loop over row groups.

FORM is ``pandas``, data frames as the estimator is mostly fed, or ``arrays``, matrices stacked from Arrow's columns.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from work import Work, told

BATCH_ROWS = 1_048_576


def estimator(work: Work) -> LogisticRegression:
    """Return what a fit would have left."""
    fitted = LogisticRegression()
    fitted.coef_ = np.array([list(work.weights.values())])
    fitted.intercept_ = np.array([work.intercept])
    fitted.classes_ = np.array([0, 1])
    fitted.n_features_in_ = len(work.weights)
    if work.form == "pandas":
        fitted.feature_names_in_ = np.array(list(work.weights), dtype=object)
    return fitted


def main(work: Work) -> None:
    """Score."""
    fitted, names = estimator(work), list(work.weights)
    schema = pa.schema({"id": pa.int64(), "probability": pa.float64()})
    with pq.ParquetWriter(work.out, schema, compression="snappy") as writer:
        for batch in pq.ParquetFile(work.data).iter_batches(BATCH_ROWS, columns=["id", *names]):
            features = batch.select(names)
            if work.form == "pandas":
                given = features.to_pandas()
            else:
                given = np.column_stack([column.to_numpy() for column in features.columns])
            probability = fitted.predict_proba(given)[:, 1]
            writer.write_table(pa.table({"id": batch["id"], "probability": probability}, schema=schema))


if __name__ == "__main__":
    main(told())
