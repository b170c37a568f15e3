"""Rows of sequences for other tools, which take those of one length at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.conversion.importing import Floats
from pipeline.errors import DataError
from pipeline.units import format_count

# Takes rows of one length, shape (rows, steps, numbers), and returns what the tool gives, shape (rows, outputs).
Scored = Callable[[Floats], Floats]


def scored_by_length(cells: Sequence[Any], width: int, steps: int | None, score: Scored) -> Floats:
    """Return the outputs of a tool for the lists of a column, shape (rows, outputs); NaN where a list is missing.

    Parameters
    ----------
    cells : sequence
        Lists of numbers, or lists of lists of ``width`` numbers; ``None`` where there is none.
    width : int
    steps : int or None
        As many as the tool takes, if it takes no other number.
    score : callable

    Raises
    ------
    DataError
        A list has another number of steps.
    """
    arrays = [np.array([] if cell is None else cell, dtype=np.float64).reshape(-1, width) for cell in cells]
    found: Floats = np.full((len(arrays), 1), np.nan)
    for length in sorted({len(each) for each in arrays} - {0}):
        (rows,) = np.nonzero([len(each) == length for each in arrays])
        if steps not in {None, length}:
            raise DataError(
                f"row {format_count(int(rows[0]) + 1)} of the rows to check has {format_count(length)} steps, but the "
                f"file takes {steps}",
                "give rows of that length, or leave out the rows to check",
            )
        made = score(np.stack([arrays[row] for row in rows]))
        if made.shape[1] != found.shape[1]:
            found = np.full((len(arrays), made.shape[1]), np.nan)
        found[rows] = made
    return found
