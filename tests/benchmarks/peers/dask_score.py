"""dask.dataframe, from ``read_parquet`` to ``to_parquet``, a partition a row group, in threads.

FORM is ``columns``, one expression over columns of the data frame, or ``partitions``, a function mapped over them.
"""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from work import Work, told


def of_partition(rows: pd.DataFrame, weights: dict[str, float], intercept: float) -> pd.DataFrame:
    """Return id and probability of a partition."""
    raw = np.full(len(rows), intercept)
    for name, weight in weights.items():
        raw += rows[name].to_numpy() * weight
    return pd.DataFrame({"id": rows["id"].to_numpy(), "probability": 1 / (1 + np.exp(-raw))})


def main(work: Work) -> None:
    """Score."""
    rows = dd.read_parquet(work.data, columns=["id", *work.weights], split_row_groups=True)
    if work.form == "partitions":
        meta = pd.DataFrame({"id": pd.Series(dtype="int64"), "probability": pd.Series(dtype="float64")})
        scored = rows.map_partitions(of_partition, work.weights, work.intercept, meta=meta)
    else:
        raw = work.intercept
        for name, weight in work.weights.items():
            raw = raw + rows[name] * weight
        scored = rows[["id"]].assign(probability=1 / (1 + np.exp(-raw)))
    scored.to_parquet(work.out, write_index=False, compression="snappy")


if __name__ == "__main__":
    with dask.config.set(scheduler="threads"):
        main(told())
