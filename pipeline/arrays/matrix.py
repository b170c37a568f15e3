"""Arrow columns side by side as one matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import BadCellsError
from pipeline.models.columns import bad_cell, numbers
from pipeline.units import escape

Matrix = npt.NDArray[np.float64]


def to_matrix(batches: Sequence[Sequence[pa.Array]], names: Sequence[str]) -> Matrix:
    """Return the columns of batches as float64 of shape (rows, columns), Fortran-ordered, null as NaN.

    Parameters
    ----------
    batches : sequence of sequences of pyarrow.Array
        For each batch one numeric or boolean array for each name.
    names : sequence of str

    Raises
    ------
    BadCellsError
        A value is not exactly a float64.
    """
    rows = [len(columns[0]) if columns else 0 for columns in batches]
    matrix = np.empty((sum(rows), len(names)), dtype=np.float64, order="F")
    first = 0
    for columns, count in zip(batches, rows, strict=True):
        for position, column in enumerate(columns):
            _fill(matrix[first : first + count, position], column, names[position])
        first += count
    return matrix


def _fill(target: Matrix, column: pa.Array, name: str) -> None:
    cells = numbers(column)
    if cells.inexact.size:
        cell = bad_cell(column, int(cells.inexact[0]), name, "inexact")
        raise BadCellsError(
            f"column {escape(name)}: float64 cannot hold {escape(cell.text)} exactly",
            f'round it by giving the column the type float64 (types={{"{escape(name)}": "float64"}}), or leave it out',
        )
    target[:] = cells.values
    if cells.null is not None:
        target[cells.null] = np.nan
