"""Rows as scikit-learn's estimators take them, checked: what is streamed stays as it is, the rest becomes a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, validate_data

from pipeline.fitting.estimator.arrays import BlockFacts
from pipeline.fitting.estimator.row_blocks import Blocks, DaskBlocks, MemoryBlocks, RowBlock
from pipeline.sklearn.lazy import check_columns, note_columns
from pipeline.types.lazy import is_dask, is_dask_frame

_FLOATS = [np.float64, np.float32]


def blocks_of(estimator: Any, rows: Any, target: Any, weights: Any, threads: int) -> Blocks:
    """Return rows to fit, in blocks, and record their columns in the estimator.

    Raises
    ------
    ValueError, TypeError
        scikit-learn does not take the rows, or targets or weights do not fit them.
    """
    if is_dask(rows):
        return _dask_blocks(estimator, rows, target, weights)
    if _is_streamed(rows):
        codes = validate_data(estimator, y=target)
        features = validate_data(estimator, rows, skip_check_array=True)
        check_consistent_length(features, codes)
    else:
        features, codes = validate_data(
            estimator, rows, target, accept_sparse="csr", dtype=_FLOATS, accept_large_sparse=True
        )
    check_classification_targets(codes)
    return MemoryBlocks(RowBlock(features, codes, _weights(weights, len(codes))), threads)


def rows_to_score(estimator: Any, rows: Any) -> Any:
    """Return rows whose columns are those that the estimator was fitted on, a matrix unless they can be streamed."""
    if is_dask(rows):
        check_columns(estimator, rows)
        return rows
    if _is_streamed(rows):
        return validate_data(estimator, rows, reset=False, skip_check_array=True)
    return validate_data(estimator, rows, reset=False, accept_sparse="csr", dtype=_FLOATS, accept_large_sparse=True)


def check_facts(estimator: Any, facts: BlockFacts | None) -> BlockFacts:
    """Return what was learnt of rows, checked: what scikit-learn has checked already where they are in memory.

    Raises
    ------
    ValueError
        There are no rows, a value is missing or infinite, there is one class, or the weights add up to 0.
    """
    name = type(estimator).__name__
    if facts is None or not facts.rows:
        raise ValueError(f"{name} needs rows to fit, and X has 0 samples")
    if facts.problem is not None:
        raise ValueError(
            f"Input X contains {facts.problem}; {name} takes finite numbers: impute or drop the rows first"
        )
    check_classification_targets(facts.classes)
    if len(facts.classes) < 2:
        raise ValueError(f"{name} needs two classes or more, and y has one class: {facts.classes.tolist()[0]!r}")
    weighted = facts.classes[facts.class_weights > 0].tolist()
    if not weighted:
        raise ValueError("sample_weight is zero in every row; at least one weight must be positive")
    if len(weighted) < 2:
        raise ValueError(f"{name} needs two classes or more, and only rows of the class {weighted[0]!r} have a weight")
    return facts


def _is_streamed(rows: Any) -> bool:
    """Tell whether rows are numbers that tiles can be made of where they lie."""
    shape = getattr(rows, "shape", ())
    if len(shape) != 2 or min(shape) < 1:
        return False
    if isinstance(rows, np.ndarray):
        return rows.dtype.kind in "iub"
    if isinstance(rows, pa.Table | pa.RecordBatch):
        return all(_is_number(field.type) for field in rows.schema)
    types = getattr(rows, "dtypes", None)
    if types is None or not hasattr(rows, "columns"):
        return False
    if hasattr(rows, "iloc"):
        # Sparse columns have no kind of their own.
        return all(getattr(each, "kind", "O") in "fiub" and not hasattr(each, "fill_value") for each in types)
    return all(hasattr(each, "is_numeric") and (each.is_numeric() or str(each) == "Boolean") for each in types)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def _weights(weights: Any, rows: int) -> npt.NDArray[np.float64] | None:
    if weights is None:
        return None
    found = np.asarray(weights, dtype=np.float64)
    if found.ndim == 0:
        found = np.full(rows, float(found))
    if found.ndim != 1:
        raise ValueError(f"sample_weight must have one dimension, got {found.ndim}")
    if len(found) != rows:
        raise ValueError(f"sample_weight has {len(found)} weights for {rows} rows")
    return found


def _dask_blocks(estimator: Any, rows: Any, target: Any, weights: Any) -> DaskBlocks:
    if target is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    note_columns(estimator, rows)
    if not is_dask_frame(rows) and rows.numblocks[1] > 1:
        rows = rows.rechunk({1: -1})
    beside = None if weights is None else _blocks_beside(rows, weights, "sample_weight")
    return DaskBlocks.of(rows, _blocks_beside(rows, target, "y"), beside)


def _blocks_beside(rows: Any, values: Any, name: str) -> Any:
    """Return targets or weights with the blocks of Dask rows: a collection, or an array for each block."""
    if not is_dask(values):
        return _cut(rows, np.asarray(values), name)
    if values.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got {values.ndim}")
    if not is_dask_frame(rows) and not is_dask_frame(values) and not np.isnan(rows.shape[0] + values.shape[0]):
        if rows.shape[0] != values.shape[0]:
            raise ValueError(f"X has {rows.shape[0]} rows, but {name} has {values.shape[0]}")
        return values.rechunk((rows.chunks[0],))
    if _count(values) != _count(rows):
        raise ValueError(
            f"X has {_count(rows)} blocks, but {name} has {_count(values)}; give both the same blocks of rows"
        )
    return values


def _count(rows: Any) -> int:
    return int(rows.npartitions if is_dask_frame(rows) else rows.numblocks[0])


def _cut(rows: Any, values: npt.NDArray[Any], name: str) -> Sequence[npt.NDArray[Any]]:
    """Return values in memory, cut as the blocks of Dask rows are."""
    sizes = _sizes(rows)
    if values.ndim != 1 or len(values) != sizes.sum():
        raise ValueError(f"{name} has the shape {values.shape}, and X has {sizes.sum()} rows")
    return np.split(values, np.cumsum(sizes)[:-1])


def _sizes(rows: Any) -> npt.NDArray[np.intp]:
    """Return how many rows each block has; computed where Dask does not know it."""
    if is_dask_frame(rows):
        return np.asarray(rows.map_partitions(len).compute(), dtype=np.intp)
    sizes = np.asarray(rows.chunks[0], dtype=np.float64)
    if np.isnan(sizes).any():
        counted = rows.map_blocks(_size, drop_axis=1, chunks=((1,) * len(sizes),), dtype=np.intp)
        sizes = counted.compute()
    return sizes.astype(np.intp)


def _size(block: Any) -> npt.NDArray[np.intp]:
    return np.array([block.shape[0]], dtype=np.intp)
