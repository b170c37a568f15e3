"""What a model makes of rows that Dask computes: an array of an array, a series or frame of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from pipeline.types.lazy import empty, is_dask_frame


def by_blocks(
    method: Callable[[Any], Any], data: Any, columns: Sequence[str], made: str | Sequence[str], dtype: np.dtype[Any]
) -> Any:
    """Return lazily what a method makes of each block or partition.

    Parameters
    ----------
    method : callable
        Takes rows in memory, returns an array.
    data : dask.array.Array or dask.dataframe.DataFrame
    columns : sequence of str
        The columns that an array must have.
    made : str or sequence of str
        The name of what is made, one-dimensional; or the names of its columns.
    dtype : dtype
        Of what is made.

    Returns
    -------
    dask.array.Array, or dask.dataframe.Series or DataFrame
        With the blocks of an array, or with the index and partitions of a frame.

    Raises
    ------
    SchemaError
        Columns of a frame are missing or of a type that does not fit.
    ValueError, TypeError
        The shape does not fit, or it is a series.
    """
    if is_dask_frame(data):
        return _by_partitions(partial(_labelled, method, made), data)
    checked = _checked(data, len(columns))
    if isinstance(made, str):
        return checked.map_blocks(method, drop_axis=1, dtype=dtype, meta=np.empty(0, dtype=dtype))
    chunks, meta = (data.chunks[0], (len(made),)), np.empty((0, len(made)), dtype=dtype)
    return checked.map_blocks(method, chunks=chunks, dtype=dtype, meta=meta)


def _by_partitions(function: Callable[[Any], Any], data: Any) -> Any:
    if data.ndim != 2:
        raise TypeError("a Dask series is one column, of which the model does not know the name: give a dataframe")
    return data.map_partitions(function, meta=function(empty(data)))


def _labelled(method: Callable[[Any], Any], made: str | Sequence[str], partition: Any) -> Any:
    """Return what a method makes of a partition, with its index."""
    values = method(partition)
    # Of an empty partition, text is text too.
    dtype = str if values.dtype.kind == "U" else values.dtype
    if isinstance(made, str):
        return type(partition)({made: values}, index=partition.index, dtype=dtype)[made]
    return type(partition)(values, index=partition.index, columns=list(made), dtype=dtype)


def _checked(data: Any, features: int) -> Any:
    if data.ndim != 2 or data.shape[1] != features:
        raise ValueError(f"a Dask array must have shape (rows, {features}), got {data.shape}")
    if data.numblocks[1] != 1:
        raise ValueError("columns of the Dask array are in separate blocks; join them: data.rechunk({1: -1})")
    return data
