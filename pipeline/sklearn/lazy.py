"""Dask collections: the columns that they have before they are computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.types.lazy import is_dask_frame


def values_of(column: Any) -> Any:
    """Return a Dask array for a Dask array or series."""
    return column.values if is_dask_frame(column) else column


def note_columns(estimator: Any, rows: Any) -> None:
    """Record what ``validate_data`` records for rows in memory."""
    check_types(rows)
    estimator.n_features_in_ = width(rows)
    if is_dask_frame(rows):
        estimator.feature_names_in_ = np.array(list(rows.columns), dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def check_types(rows: Any) -> None:
    """Raise if the types of Dask rows, which are known before they are computed, are not numbers."""
    is_frame = is_dask_frame(rows)
    for name, dtype in rows.dtypes.items() if is_frame else [("", rows.dtype)]:
        if dtype.kind not in "fiub":
            column = f" in column {name!r}" if is_frame else ""
            raise ValueError(f"expected numbers or booleans, got {dtype}{column}")


def check_columns(estimator: Any, rows: Any) -> None:
    """Raise unless Dask rows have the columns that the estimator was fitted on."""
    check_types(rows)
    found, fitted = width(rows), getattr(estimator, "n_features_in_", None)
    if fitted not in {None, found}:
        raise ValueError(f"X has {found} features, but {type(estimator).__name__} is expecting {fitted} features")
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and is_dask_frame(rows) and list(rows.columns) != list(names):
        raise ValueError(f"the columns of X are {list(rows.columns)}, but fit had {list(names)}")


def width(rows: Any) -> int:
    """Return the number of columns."""
    if rows.ndim != 2:
        raise ValueError(f"expected 2 dimensions, rows and columns, got {rows.ndim}")
    return int(rows.shape[1])
