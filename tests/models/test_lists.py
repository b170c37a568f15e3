"""Steps of columns of lists: those of plain Python lists, for arrays of every form, cut anywhere, with nulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.models.lists import Sequences

Cell = list[Any] | None
Number = float | None


def numbers(generator: np.random.Generator, count: int) -> list[Number]:
    """Return numbers, some of them null, NaN or infinite."""
    odd: list[Number] = [None, math.nan, math.inf]
    return [
        odd[int(generator.integers(3))] if generator.random() < 0.1 else float(np.float16(generator.normal()))
        for _ in range(count)
    ]


def drawn_cells(generator: np.random.Generator, rows: int, width: int, form: str) -> list[Cell]:
    """Return cells of a column; some have a step of another width."""
    cells: list[Cell] = []
    for _ in range(rows):
        steps = 3 if form.startswith("fixed") else int(generator.integers(0, 6))
        if generator.random() < 0.15:
            cells.append(None)
        elif form.endswith("flat"):
            extra = 0 if form.startswith("fixed") else int(generator.random() < 0.1)
            cells.append(numbers(generator, steps * width + extra))
        else:
            wrong = form.endswith("nested") and generator.random() < 0.1
            made: list[Cell] = [numbers(generator, width + (wrong and not step)) for step in range(steps)]
            cells.append([None if generator.random() < 0.05 else step for step in made])
    return cells


def expected(cell: Cell, width: int, form: str) -> tuple[int, bool, list[Number] | None]:
    """Return the steps of a cell, whether its length is one of whole steps, and its numbers, if they are."""
    if cell is None:
        return 0, True, []
    if form.endswith("flat"):
        return len(cell) // width, len(cell) % width == 0, cell[: len(cell) // width * width]
    if any(step is not None and len(step) != width for step in cell):
        return len(cell), True, None
    return len(cell), True, [number for step in cell for number in step or [None] * width]


TYPES = {
    "flat": lambda width: pa.list_(pa.float32()),
    "large flat": lambda width: pa.large_list(pa.float64()),
    "fixed flat": lambda width: pa.list_(pa.float64(), 3 * width),
    "nested": lambda width: pa.list_(pa.list_(pa.float64())),
    "large nested": lambda width: pa.large_list(pa.large_list(pa.float32())),
    "of fixed": lambda width: pa.list_(pa.list_(pa.float64(), width)),
    "fixed of fixed": lambda width: pa.list_(pa.list_(pa.float32(), width), 3),
    "fixed nested": lambda width: pa.list_(pa.list_(pa.float64()), 3),
}


def read_back(cells: Sequences, rows: np.ndarray, at_once: int) -> list[tuple[list[float], bool]]:
    """Return the numbers of rows, NaN where they are missing, and whether a step is wrong, some steps at a time."""
    longest = int(cells.counts[rows].max(initial=0))
    found: list[tuple[list[float], bool]] = [([], False) for _ in rows]
    for first in range(0, longest, at_once):
        block = cells.block(rows, first, min(at_once, longest - first))
        for place, row in enumerate(rows.tolist()):
            steps = min(max(int(cells.counts[row]) - first, 0), block.values.shape[1])
            values = block.values[place, :steps].astype(float).ravel()
            assert not block.values[place, steps:].any()
            if block.missing is not None:
                values = np.where(block.missing[place, :steps].ravel(), np.nan, values)
                assert not block.missing[place, steps:].any()
            infinite = block.infinite is not None and bool(block.infinite[place])
            assert infinite == bool(np.isinf(values).any())
            wrong = block.wrong is not None and bool(block.wrong[place])
            found[place] = ([*found[place][0], *values.tolist()], found[place][1] or wrong)
    return found


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("form", TYPES)
def test_steps_are_those_of_plain_lists_for_arrays_of_every_form(form: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    width = int(generator.integers(1, 4))
    cells = drawn_cells(generator, 30, width, form)
    start, stop = sorted(generator.integers(0, 31, 2).tolist())
    array = pa.array(cells, TYPES[form](width)).slice(start, stop - start)
    found = Sequences.read(array, width)
    wanted = [expected(cell, width, form) for cell in cells[start:stop]]
    assert found.counts.tolist() == [steps for steps, _, _ in wanted]
    assert found.whole.tolist() == [whole for _, whole, _ in wanted]
    order = generator.permutation(stop - start)
    for rows in (np.arange(stop - start), order):
        if len(rows):
            compare(read_back(found, rows, int(generator.integers(1, 5))), [wanted[row] for row in rows.tolist()])


def compare(found: Sequence[tuple[list[float], bool]], wanted: Sequence[tuple[int, bool, list[Number] | None]]) -> None:
    for (values, wrong), (_, _, numbers_of_row) in zip(found, wanted, strict=True):
        assert wrong == (numbers_of_row is None)
        if numbers_of_row is not None:
            np.testing.assert_array_equal(values, [math.nan if each is None else each for each in numbers_of_row])


def test_rows_that_follow_each_other_in_equal_lengths_are_not_copied() -> None:
    values = np.arange(24.0)
    cells = Sequences.read(pa.FixedSizeListArray.from_arrays(pa.array(values), 6), 2)
    block = cells.block(np.arange(1, 4), 1, 2)
    np.testing.assert_array_equal(block.values, values.reshape(4, 3, 2)[1:, 1:])
    assert not block.values.flags.owndata
    assert block.missing is block.wrong is block.inexact is block.infinite is None
