"""From a function of a tile to whole NumPy arrays, and to Dask arrays block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.kernels.blas import one_thread
from pipeline.kernels.layers import by_tiles
from pipeline.kernels.tiles import as_source

Block = npt.NDArray[Any]


@dataclass(frozen=True)
class RowFunction:
    """What a layer makes of rows.

    Attributes
    ----------
    tile : callable
        From a tile of each argument to one of each result.
    widths : mapping of str to int
        The arguments by name, and how many columns each has.
    results : int
    units : int
        How many columns each result has.
    dtype : dtype
        Of the results.
    """

    tile: Callable[..., Sequence[Block]]
    widths: Mapping[str, int]
    results: int
    units: int
    dtype: np.dtype[Any]

    def apply(self, *arguments: Any) -> tuple[Any, ...]:
        """Return the results for whole arrays, each of shape (rows, units).

        The bits of a row do not depend on the others, nor on how rows are cut. BLAS has one thread meanwhile.

        Parameters
        ----------
        *arguments : array or None
            NumPy or Dask arrays of shape (rows, width). One row may be a NumPy array of shape (width,); then the others
            and the results are such arrays. ``None`` is zeros, but not for the first. If one is a Dask array, the
            results are, with its blocks of rows.

        Raises
        ------
        TypeError
            An argument holds no numbers, or the first is ``None``.
        ValueError
            The shapes do not fit, or the columns of a Dask array are in several blocks.
        """
        given = dict(zip(self.widths, map(_as_array, arguments), strict=True))
        first, x = next(iter(given.items()))
        if x is None:
            raise TypeError(f"{first} must be an array, got None")
        is_row = isinstance(x, np.ndarray) and x.ndim == 1
        for name, array in given.items():
            _check_width(name, array, self.widths[name], is_row=is_row)
        _check_rows(given)
        present = [name for name, array in given.items() if array is not None]
        arrays = [given[name] for name in present]
        if any(isinstance(array, da.Array) for array in arrays):
            return self._by_blocks(present, arrays)
        if is_row:
            return tuple(result[0] for result in self.of_block(present, *(array[np.newaxis] for array in arrays)))
        return tuple(self.of_block(present, *arrays))

    def of_block(self, present: Sequence[str], *arrays: Block) -> list[Block]:
        """Return the results for NumPy arrays of rows; the names are those of the arrays, the others are zeros."""
        shape = (len(arrays[0]), self.units)
        found = dict(zip(present, arrays, strict=True))
        absent = np.zeros((len(arrays[0]), 1), dtype=self.dtype)
        whole = [found.get(name, np.broadcast_to(absent, (len(absent), width))) for name, width in self.widths.items()]
        results = [np.empty(shape, dtype=self.dtype) for _ in range(self.results)]
        with one_thread():
            by_tiles(self.tile, whole, results)
        return results

    def _by_blocks(self, present: Sequence[str], arrays: Sequence[Any]) -> tuple[Any, ...]:
        rows = next(array.chunks[0] for array in arrays if isinstance(array, da.Array))
        joined = da.map_blocks(
            partial(_joined, self, present),
            *(_in_blocks(name, array, rows) for name, array in zip(present, arrays, strict=True)),
            chunks=(rows, (self.results * self.units,)),
            dtype=self.dtype,
            meta=np.empty((0, 0), dtype=self.dtype),
        )
        if self.results == 1:
            return (joined,)
        ends = range(0, self.results * self.units, self.units)
        return tuple(joined[:, start : start + self.units] for start in ends)


def _joined(function: RowFunction, present: Sequence[str], *arrays: Block) -> Block:
    return np.concatenate(function.of_block(present, *arrays), axis=1)


def _as_array(given: Any) -> Any:
    if isinstance(given, da.Array):
        as_source(np.empty(0, dtype=given.dtype))
        return given
    return None if given is None else as_source(given)


def _check_width(name: str, array: Any, width: int, *, is_row: bool) -> None:
    if array is None:
        return
    shape = f"({width},)" if is_row else f"(rows, {width})"
    if array.ndim != 2 - is_row or array.shape[-1] != width:
        raise ValueError(f"{name} must have the shape {shape}, got {array.shape}")
    if isinstance(array, da.Array) and array.numblocks[1] != 1:
        raise ValueError(f"columns of {name} are in separate blocks; join them: {name}.rechunk({{1: -1}})")


def _check_rows(given: Mapping[str, Any]) -> None:
    counts = {name: array.shape[0] for name, array in given.items() if array is not None and array.ndim == 2}
    known = {name: rows for name, rows in counts.items() if not math.isnan(rows)}
    if len(set(known.values())) > 1:
        raise ValueError(f"the arrays differ in rows: {', '.join(f'{name} {rows}' for name, rows in known.items())}")


def _in_blocks(name: str, array: Any, rows: tuple[float, ...]) -> Any:
    """Return an array as a Dask array with these blocks of rows."""
    if isinstance(array, da.Array) and len(array.chunks[0]) == len(rows) and str(array.chunks[0]) == str(rows):
        return array
    if any(math.isnan(count) for count in (*rows, array.shape[0])):
        raise ValueError(f"{name} cannot be cut like the other arrays, because rows are unknown: compute_chunk_sizes()")
    if isinstance(array, da.Array):
        return array.rechunk({0: rows})
    return da.from_array(array, chunks=(rows, array.shape[1]))
