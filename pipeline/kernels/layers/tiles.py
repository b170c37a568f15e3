"""Rows in tiles of exactly 1,024, because BLAS gives a row other bits in a product of another size.

A layer computes with the rows of a tile side by side: an array of shape (features, rows), each feature a run of 1,024
numbers. What comes in and goes out has the shape (rows, features); the result of a layer is such an array seen from the
other side, so that nothing is copied from layer to layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# One row alone gets other bits than among many in 26 to 87 % of values, by the shape. In tiles of this size the bits
# are the same at every offset, and what is in the other rows, NaN and infinity too, changes nothing.
LAYER_ROWS = 1_024

Tile = npt.NDArray[Any]


def by_tiles(function: Callable[..., Sequence[Tile]], arrays: Sequence[Tile], results: Sequence[Tile]) -> None:
    """Call a function with 1,024 rows of each array, and write what it returns into the same rows of the results.

    Of fewer rows a tile is filled up with zeros, and their results are dropped.

    Parameters
    ----------
    function : callable
        It gets a tile of each array, and returns one array of 1,024 rows for each result.
    arrays, results : sequences of ndarray
        All with the same number of rows.
    """
    count = len(arrays[0])
    for start in range(0, count, LAYER_ROWS):
        stop = min(start + LAYER_ROWS, count)
        found = function(*(padded(array[start:stop]) for array in arrays))
        for result, rows in zip(results, found, strict=True):
            result[start:stop] = rows[: stop - start]


def padded(rows: Tile) -> Tile:
    """Return at most 1,024 rows as a tile, filled up with zeros; a full tile is returned itself."""
    if len(rows) == LAYER_ROWS:
        return rows
    tile = np.zeros((LAYER_ROWS, *rows.shape[1:]), dtype=rows.dtype)
    tile[: len(rows)] = rows
    return tile


def side_by_side(tile: Tile, dtype: np.dtype[Any]) -> Tile:
    """Return a tile of shape (rows, features) as a contiguous array of shape (features, rows)."""
    return np.ascontiguousarray(tile.T, dtype=dtype)
