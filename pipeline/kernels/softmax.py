"""The softmax over columns: one result for each column, row by row, in tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.kernels.logistic import Library, library_of
from pipeline.kernels.tiles import Floats, as_source, as_target, settle_nan
from pipeline.registry import function_named

if TYPE_CHECKING:
    from pipeline.choices import Precision

# Elements of a tile over all of its columns: 256 KiB.
_TILE_SIZE = 32_768
# Up to here the columns are added one after the other; of more, the first half and the last, and so on.
_FEW_COLUMNS = 64


def softmax(
    x: npt.ArrayLike,
    *,
    axis: int = -1,
    out: npt.NDArray[Any] | None = None,
    precision: Precision = "fast",
    temperature: float = 1.0,
) -> npt.NDArray[Any]:
    """Return ``exp(x_i / temperature)``, divided by its sum along an axis, without overflow.

    Error in float64: at most (5 + n/2 + 2 d) u for n columns and d = (max x - x_i) / temperature. The bits of a
    row depend only on its values. A NaN or plus infinity in a row makes the whole row NaN, minus infinity gives 0.
    Types, ``out``, ``precision`` and errors are those of :func:`pipeline.kernels.sigmoid`. Memory beyond the result is
    1 MiB at most for rows of up to 32,768 columns.
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
    """Return the diagonal of the derivative, ``p_i (1 - p_i) / temperature``.

    The other elements of the derivative are ``-p_i p_j / temperature``. For the largest p_i, 1 - p_i is computed as the
    sum of the others, so that nothing cancels. Error in float64, from ``x``: at most (10 + 2 n + 6 r) u for n columns
    and r = (max x - min x) / temperature. A ``value`` must be a whole row of results. Types and errors are those of
    :func:`softmax`.

    Raises
    ------
    TypeError
        Both ``x`` and ``value`` are given or neither.
    """
    if x is not None and value is None:
        return _along_axis(_Softmax(precision, temperature, is_gradient=True), x, axis, out)
    if x is not None or value is None:
        raise TypeError("softmax_grad takes either x or value=")
    return _along_axis(_FromValue(temperature), value, axis, out)


def softmax_columns(
    columns: Sequence[Floats], *, precision: Precision = "fast", temperature: float = 1.0
) -> list[Floats]:
    """Return the softmax of float64 columns of equal length, one result for each, with the bits of :func:`softmax`."""
    function = _Softmax(precision, temperature, is_gradient=False)
    results = [np.empty_like(column) for column in columns]
    with np.errstate(all="ignore"):
        for start, stop in _steps(columns[0].size, len(columns)):
            tile = _tile(len(columns), stop - start)
            for row, column in zip(tile, columns, strict=True):
                row[...] = column[start:stop]
            function(tile)
            for row, result in zip(tile, results, strict=True):
                result[start:stop] = row
    return results


class _Softmax:
    def __init__(self, precision: Precision, temperature: float, *, is_gradient: bool) -> None:
        self.library: Library = library_of(precision)
        self.temperature = function_named("softmax").arguments({"temperature": temperature})["temperature"]
        self.is_gradient = is_gradient

    def __call__(self, tile: Floats) -> None:
        """Replace the values of a tile of shape (columns, rows) by the results."""
        memory = _memory_of(tile)
        largest = np.maximum.reduce(tile, axis=0)
        np.subtract(tile, largest, out=tile)
        first = _first_of_zeros(tile) if self.is_gradient else None
        if self.temperature != 1:
            np.divide(memory, self.temperature, out=memory)
        self.library.exp(memory, out=memory)
        if first is None:
            total = _sum(tile)
            np.divide(tile, total, out=tile)
        else:
            total = self._differentiate(tile, first)
        # Where one value of a row is NaN, so are their sum and with it all results.
        if np.isnan(np.minimum.reduce(total)):
            tile[:, np.isnan(total)] = np.nan

    def _differentiate(self, tile: Floats, first: npt.NDArray[np.bool_]) -> Floats:
        # The first of the largest is 1 and is left out of the sum of the others: 1 - p of it would cancel.
        others = _sum(np.where(first, 0.0, tile))
        total = others + 1.0
        rest = total - tile
        np.copyto(rest, others, where=first)
        np.multiply(tile, rest, out=tile)
        # With few columns the sums are as large as a tile is: not all are held at once.
        del rest, others
        np.divide(tile, total * total * self.temperature, out=tile)
        return total


class _FromValue:
    def __init__(self, temperature: float) -> None:
        self.temperature = function_named("softmax").arguments({"temperature": temperature})["temperature"]

    def __call__(self, tile: Floats) -> None:
        memory = _memory_of(tile)
        first = _mask(np.argmax(tile, axis=0), tile)
        others = _sum(np.where(first, 0.0, tile))
        rest = 1.0 - tile
        np.copyto(rest, others, where=first)
        np.multiply(tile, rest, out=tile)
        if self.temperature != 1:
            np.divide(memory, self.temperature, out=memory)
        settle_nan(memory)


def _tile(columns: int, rows: int, like: Floats | None = None) -> Floats:
    """Return a tile of shape (columns, rows), laid out ``like`` another, or row by row if there are many columns."""
    is_by_columns = columns <= _FEW_COLUMNS if like is None else like.flags.c_contiguous
    return np.empty((columns, rows)) if is_by_columns else np.empty((rows, columns)).T


def _place_of(result: npt.NDArray[Any]) -> Floats:
    """Return where to compute a tile: in the memory of its results if its layout allows that, else in a new tile."""
    if result.shape[0] > _FEW_COLUMNS and result.dtype == np.float64 and result.T.flags.carray:
        return result
    return _tile(*result.shape)


def _memory_of(tile: Floats) -> Floats:
    return (tile if tile.flags.c_contiguous else tile.T).reshape(-1)


def _first_of_zeros(tile: Floats) -> npt.NDArray[np.bool_]:
    return _mask(np.argmax(tile == 0, axis=0), tile)


def _mask(places: npt.NDArray[np.intp], tile: Floats) -> npt.NDArray[np.bool_]:
    """Return a mask that is true at one place of each row."""
    mask = np.zeros(tile.shape, dtype=np.bool_)
    mask[places, np.arange(tile.shape[1])] = True
    return mask


def _sum(tile: Floats) -> Floats:
    """Return the sums over the columns, added in an order that depends only on how many there are."""
    total: Floats
    if tile.shape[0] <= _FEW_COLUMNS:
        total = tile[0].copy()
        for column in tile[1:]:
            np.add(total, column, out=total)
        return total
    columns = len(tile)
    half = columns // 2
    rest = _tile(columns - half, tile.shape[1], like=tile)
    rest[half:] = tile[half : columns - half]
    np.add(tile[:half], tile[columns - half :], out=rest[:half])
    columns -= half
    while columns > 1:
        half = columns // 2
        np.add(rest[:half], rest[columns - half : columns], out=rest[:half])
        columns -= half
    total = rest[0].copy()
    return total


def _steps(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    step = max(1, _TILE_SIZE // columns)
    return ((start, min(start + step, rows)) for start in range(0, rows, step))


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
    with np.errstate(all="ignore"):
        # Blocks along the last axis, one after the other for each place on the axes between.
        for place in np.ndindex(*rest[:-1]):
            line, result = columns[(slice(None), *place)], results[(slice(None), *place)]
            for start, stop in _steps(rest[-1], count):
                target = result[:, start:stop]
                tile = _place_of(target)
                tile[...] = line[:, start:stop]
                function(tile)
                if tile is not target:
                    target[...] = tile


def _is_same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    same_place = one.__array_interface__["data"] == other.__array_interface__["data"]
    return bool(same_place and one.strides == other.strides and one.shape == other.shape and one.dtype == other.dtype)
