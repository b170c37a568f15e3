"""The softmax over columns: as many results as columns, row by row, in tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.kernels.logistic import Library, library_of
from pipeline.kernels.tiles import Floats, as_source, as_target, settle_nan
from pipeline.registry import function_named

if TYPE_CHECKING:
    from pipeline.types import Precision

# Elements of a tile over all of its columns: 256 KiB.
_TILE_SIZE = 32_768
_LEAST_ROWS = 16


def softmax(
    x: npt.ArrayLike,
    *,
    axis: int = -1,
    out: npt.NDArray[Any] | None = None,
    precision: Precision = "fast",
    temperature: float = 1.0,
) -> npt.NDArray[Any]:
    """Return ``exp(x_i / temperature)``, divided by its sum along an axis, without overflow.

    Error in float64: at most (5 + n/2 + 2 d) u for n columns and d = (max x - x_i) / temperature. The sum is taken in
    the order of the columns: the bits of a row depend on its values alone. A NaN or plus infinity in a row makes the
    whole row NaN, minus infinity gives 0. Types, ``out``, ``precision`` and errors are those of
    :func:`pipeline.kernels.sigmoid`. Memory beyond the result is 1 MiB at most for up to 2,048 columns.
    """
    return _along_axis(_Softmax(precision, temperature, is_gradient=False), x, axis, out)


def softmax_gradient(
    x: npt.ArrayLike | None = None,
    *,
    value: npt.ArrayLike | None = None,
    axis: int = -1,
    out: npt.NDArray[Any] | None = None,
    precision: Precision = "fast",
    temperature: float = 1.0,
) -> npt.NDArray[Any]:
    """Return the diagonal of the derivative, ``p_i (1 - p_i) / temperature``; beside it is ``-p_i p_j / temperature``.

    From ``x``, 1 - p_i is the sum of the others, so that nothing cancels. Otherwise as :func:`softmax`.

    Raises
    ------
    TypeError
        Both ``x`` and ``value`` are given or neither.
    """
    if (x is None) == (value is None):
        raise TypeError("softmax_grad takes x or value=, one of the two")
    if value is None:
        assert x is not None
        return _along_axis(_Softmax(precision, temperature, is_gradient=True), x, axis, out)
    return _along_axis(_FromValue(temperature), value, axis, out)


def softmax_columns(
    columns: Sequence[Floats], *, precision: Precision = "fast", temperature: float = 1.0
) -> list[Floats]:
    """Return the softmax of columns, float64 of one length, as as many columns: the bits of :func:`softmax`."""
    function = _Softmax(precision, temperature, is_gradient=False)
    results = [np.empty_like(column) for column in columns]
    rows = columns[0].size
    step = _rows_of_tile(len(columns))
    tile = np.empty((len(columns), min(step, rows)))
    with np.errstate(all="ignore"):
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            values = tile[:, : stop - start]
            for row, column in zip(values, columns, strict=True):
                row[...] = column[start:stop]
            function(values)
            for row, result in zip(values, results, strict=True):
                result[start:stop] = row
    return results


class _Softmax:
    def __init__(self, precision: Precision, temperature: float, *, is_gradient: bool) -> None:
        self.library: Library = library_of(precision)
        self.temperature = function_named("softmax").arguments({"temperature": temperature})["temperature"]
        self.is_gradient = is_gradient

    def __call__(self, values: Floats) -> None:
        """Replace the values of a tile of shape (columns, rows) by the results."""
        largest = np.maximum.reduce(values, axis=0)
        np.subtract(values, largest, out=values)
        if self.temperature != 1:
            np.divide(values, self.temperature, out=values)
        is_largest = values == 0 if self.is_gradient else None
        for part in _parts(values):
            self.library.exp(part, out=part)
        if is_largest is None:
            total = _sum(values)
            np.divide(values, total, out=values)
        else:
            self._differentiate(values, is_largest)
        for part in _parts(values):
            settle_nan(part)

    def _differentiate(self, values: Floats, is_largest: npt.NDArray[np.bool_]) -> None:
        # The first of the largest is 1 and is left out of the sum of the others: 1 - p of it would cancel.
        first = np.zeros_like(is_largest)
        first[np.argmax(is_largest, axis=0), np.arange(values.shape[1])] = True
        others = _sum(np.where(first, 0.0, values))
        total = others + 1.0
        rest = np.where(first, others, total - values)
        np.multiply(values, rest, out=values)
        np.divide(values, total * total * self.temperature, out=values)


class _FromValue:
    def __init__(self, temperature: float) -> None:
        self.temperature = function_named("softmax").arguments({"temperature": temperature})["temperature"]

    def __call__(self, values: Floats) -> None:
        np.multiply(values, 1.0 - values, out=values)
        if self.temperature != 1:
            np.divide(values, self.temperature, out=values)
        for part in _parts(values):
            settle_nan(part)


def _parts(values: Floats) -> list[Floats]:
    """Return contiguous arrays that share the memory of a tile: one where that is possible, else its rows."""
    return [values.reshape(-1)] if values.flags.c_contiguous else list(values)


def _sum(values: Floats) -> Floats:
    # Of more than one row numpy adds the columns one after the other; of a single one it adds pairs.
    total: Floats = values[0].copy()
    if values.shape[1] > 1:
        np.add.reduce(values, axis=0, out=total)
    else:
        for row in values[1:]:
            np.add(total, row, out=total)
    return total


def _rows_of_tile(columns: int) -> int:
    return max(_LEAST_ROWS, _TILE_SIZE // max(1, columns))


def _along_axis(
    function: _Softmax | _FromValue, x: npt.ArrayLike, axis: int, out: npt.NDArray[Any] | None
) -> npt.NDArray[Any]:
    source = as_source(x)
    if source.ndim == 0:
        raise ValueError("softmax needs an axis: a number has none")
    target = as_target(source, out)
    if out is not None and np.may_share_memory(source, target) and not _is_same(source, target):
        source = source.copy()
    columns = np.moveaxis(source, axis, 0)
    results = np.moveaxis(target, axis, 0)
    if columns.size:
        _by_tiles(function, columns, results)
    return target


def _by_tiles(function: _Softmax | _FromValue, columns: npt.NDArray[Any], results: npt.NDArray[Any]) -> None:
    count, rest = columns.shape[0], columns.shape[1:]
    if not rest:
        columns, results, rest = columns[:, np.newaxis], results[:, np.newaxis], (1,)
    step = _rows_of_tile(count)
    tile = np.empty((count, min(step, rest[-1])))
    with np.errstate(all="ignore"):
        # Blocks along the last axis, one after the other for each place on the axes between.
        for place in np.ndindex(*rest[:-1]):
            line, result = columns[(slice(None), *place)], results[(slice(None), *place)]
            for start in range(0, rest[-1], step):
                stop = min(start + step, rest[-1])
                values = tile[:, : stop - start]
                if stop - start < tile.shape[1]:
                    values = np.empty((count, stop - start))
                values[...] = line[:, start:stop]
                function(values)
                result[:, start:stop] = values


def _is_same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    same_place = one.__array_interface__["data"] == other.__array_interface__["data"]
    return bool(same_place and one.strides == other.strides and one.shape == other.shape and one.dtype == other.dtype)
