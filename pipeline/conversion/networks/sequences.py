"""Rows of sequences for other tools, which take those of one length at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.conversion.importing import Floats
from pipeline.errors import DataError
from pipeline.units import EXACT_INTEGER, format_count

# Takes rows of one length, shape (rows, steps, numbers), and returns what the tool gives, shape (rows, outputs).
Scored = Callable[[Floats], Floats]


def step_numbers(cells: Sequence[Any], width: int) -> list[Floats | None]:
    """Return the steps of each list of a column, shape (steps, width), NaN where a number or a whole step is missing.

    ``None`` where no model gives a score: the list is no whole number of steps, a step has another width, or float64
    cannot hold an integer exactly. A list that is missing has no steps.

    Parameters
    ----------
    cells : sequence
        Lists of numbers, or lists of lists of ``width`` numbers; ``None`` where there is none.
    width : int
    """
    is_nested = any(isinstance(step, list) for cell in cells for step in cell or ())
    return [_numbers(cell or [], width, is_nested=is_nested) for cell in cells]


def _numbers(cell: Sequence[Any], width: int, *, is_nested: bool) -> Floats | None:
    if is_nested:
        steps = [[None] * width if step is None else step for step in cell]
        if any(len(step) != width for step in steps):
            return None
        cell = [number for step in steps for number in step]
    if len(cell) % width or any(isinstance(number, int) and abs(number) > EXACT_INTEGER for number in cell):
        return None
    return np.array(cell, dtype=np.float64).reshape(-1, width)


def scored_by_length(cells: Sequence[Any], width: int, steps: int | None, outputs: int, score: Scored) -> Floats:
    """Return the outputs of a tool for the lists of a column, shape (rows, outputs); NaN where a list has no score.

    A list has none that is missing, has no steps or a number missing, or that :func:`step_numbers` has nothing for.

    Parameters
    ----------
    cells : sequence
        Lists of numbers, or lists of lists of ``width`` numbers; ``None`` where there is none.
    width : int
    steps : int or None
        As many as the tool takes, if it takes no other number.
    outputs : int
    score : callable

    Raises
    ------
    DataError
        A list has another number of steps.
    """
    read = enumerate(step_numbers(cells, width))
    known = {row: each for row, each in read if each is not None and not np.isnan(each).any()}
    found: Floats = np.full((len(cells), outputs), np.nan)
    for length in sorted({len(each) for each in known.values()} - {0}):
        rows = [row for row, each in known.items() if len(each) == length]
        if steps not in {None, length}:
            raise DataError(
                f"row {format_count(rows[0] + 1)} of the rows to check has {format_count(length)} steps, but the "
                f"file takes {steps}",
                "give rows of that length, or leave out the rows to check",
            )
        found[rows] = score(np.stack([known[row] for row in rows]))
    return found
