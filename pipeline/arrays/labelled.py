"""Functions of series and frames: results keep index, names and type, and are lazy where Dask computes them.

Nothing is imported: if there is a series of pandas, pandas is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.types.lazy import empty, is_dask_frame

# What a function of arrays, or of anything that can be made one, is called with.
OfArray = Callable[[Any], Any]


def library_of(x: Any) -> str | None:
    """Return the library of labelled data: a series, an index, a frame, an array of pandas, or data of xarray.

    ``None`` for others.
    """
    if isinstance(x, np.ndarray | np.generic):
        return None
    if is_dask_frame(x):
        return "dask"
    if not (hasattr(x, "shape") or hasattr(x, "data_vars")):
        # Other things of these libraries, such as a time or an expression, are no data.
        return None
    modules = (kind.__module__.partition(".")[0] for kind in type(x).__mro__)
    # What else Dask has is no data before it is computed.
    return next((name for name in modules if name in _LIBRARIES and name != "dask"), None)


def mapped(library: str, function: OfArray, x: Any, along: int | None) -> Any:
    """Return the results of a function for labelled data, in the kind of ``x``.

    Parameters
    ----------
    library : str
        Whose data it is.
    function : callable
        A picklable function that takes arrays, Dask arrays, and by this function labelled data.
    x : object
    along : int or None
        The axis of a function that needs several values at once; ``None`` if each value has its own result.
    """
    return _LIBRARIES[library](function, x, along)


def _of_partitions(function: OfArray, x: Any, along: int | None) -> Any:
    if not x.ndim:
        raise TypeError("a Dask scalar is one number: compute() it first")
    meta = function(empty(x))
    if along is not None and along % x.ndim == 0 and x.npartitions > 1:
        raise ValueError(
            "rows of the Dask dataframe are in separate partitions; join them: x.repartition(npartitions=1)"
        )
    return x.map_partitions(function, meta=meta)


def _of_pandas(function: OfArray, x: Any, along: int | None) -> Any:
    if x.ndim == 1:
        values, null = _plain(x)
        made = _pandas_array(function(values), null, x.dtype)
        if hasattr(x, "index"):
            return type(x)(made, index=x.index, name=x.name)
        return sys.modules["pandas"].Index(made, name=x.name) if hasattr(x, "name") else made
    if along is not None:
        rows = np.column_stack([_plain(x.iloc[:, i])[0] for i in range(x.shape[1])])
        return type(x)(function(rows), index=x.index, columns=x.columns)
    made = {i: _named(function, x.iloc[:, i], name) for i, name in enumerate(x.columns)}
    frame = type(x)(made, index=x.index)
    frame.columns = x.columns
    return frame


def _plain(x: Any) -> tuple[Any, Any]:
    """Return the values of a series of pandas with NaN for null, and where a nullable type has null."""
    if not hasattr(x.dtype, "numpy_dtype") or x.dtype.kind not in "fiub":
        return np.asarray(x), None
    dtype = np.dtype(np.float32 if x.dtype.kind == "f" and x.dtype.itemsize == 4 else np.float64)
    return x.to_numpy(dtype=dtype, na_value=np.nan), np.asarray(x.isna())


def _pandas_array(values: Any, null: Any, dtype: Any) -> Any:
    """Return values as an array of pandas of the same family as a type: null is null, NaN is NaN."""
    if null is None:
        return values
    arrays = sys.modules["pandas"].arrays
    if hasattr(dtype, "pyarrow_dtype"):
        return arrays.ArrowExtensionArray(pa.array(values, mask=null))
    return arrays.FloatingArray(values, null)


def _of_polars(function: OfArray, x: Any, along: int | None) -> Any:
    if not hasattr(x, "iter_columns"):
        return _polars_series(function, x)
    if along is not None:
        rows = np.column_stack([_polars_plain(column) for column in x.iter_columns()])
        return type(x)(function(rows), schema=x.columns)
    return type(x)([_named(function, column, column.name) for column in x.iter_columns()])


def _polars_series(function: OfArray, x: Any) -> Any:
    made = type(x)(x.name, function(_polars_plain(x)))
    return made.set(x.is_null(), None) if x.null_count() else made


def _polars_plain(x: Any) -> Any:
    """Return the values of a series of Polars, with NaN for null."""
    polars = sys.modules["polars"]
    counted = x.dtype.is_integer() or x.dtype == polars.Boolean
    if x.dtype.is_decimal() or (counted and x.null_count()):
        x = x.cast(polars.Float64)
    return x.to_numpy()


def _named(function: OfArray, column: Any, name: object, called: str = "column") -> Any:
    try:
        return function(column)
    except TypeError as error:
        raise TypeError(f"{called} {name!r}: {error}") from None


def _of_xarray(function: OfArray, x: Any, along: int | None) -> Any:
    if hasattr(x, "data_vars"):
        return x.assign({name: _named(function, each, name, "variable") for name, each in x.data_vars.items()})
    if along is not None and x.chunks and -x.ndim <= along < x.ndim and len(x.chunks[along]) > 1:
        dimension = x.dims[along]
        raise ValueError(f"{dimension!r} is in separate chunks; join them: x.chunk({{{dimension!r}: -1}})")
    # The function itself is lazy on the Dask array inside.
    return sys.modules["xarray"].apply_ufunc(function, x, dask="allowed", keep_attrs=True)


_LIBRARIES: Mapping[str, Callable[[OfArray, Any, int | None], Any]] = {
    "dask": _of_partitions,
    "pandas": _of_pandas,
    "polars": _of_polars,
    "xarray": _of_xarray,
}
