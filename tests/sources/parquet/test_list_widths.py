"""The bytes of lists in memory are known from the footer, whatever a dictionary makes of their pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sources.parquet.test_parquet_source import SOURCE, input_file

ROWS = 3_000


def lists(type_: pa.DataType, value_of: Any = float) -> pa.Array:
    """Return rows with lists of 0 to 40 equal numbers, some null."""
    made = [None if row % 50 == 0 else [value_of(row % 3)] * (row % 41) for row in range(ROWS)]
    return pa.array(made, type_)


COLUMNS: dict[str, tuple[pa.Array, int]] = {
    "numbers": (lists(pa.list_(pa.float64())), 64),
    "small integers": (lists(pa.large_list(pa.int8()), int), 8),
    "flags": (lists(pa.list_(pa.bool_()), bool), 1),
    "steps of two numbers": (lists(pa.list_(pa.list_(pa.float32(), 2)), lambda value: [value, value]), 32),
    "lists in a record": (
        pa.StructArray.from_arrays([lists(pa.list_(pa.int32()), int), pa.array([1] * ROWS)], ["a", "b"]),
        32,
    ),
    "one length": (pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(4 * ROWS, np.float32)), 4), 32),
}


def leaves(array: pa.Array) -> int:
    """Return how many numbers the lists of a column have."""
    if pa.types.is_struct(array.type):
        return leaves(array.field("a"))
    if pa.types.is_fixed_size_list(array.type):
        return leaves(array.values)
    if not pa.types.is_list(array.type) and not pa.types.is_large_list(array.type):
        return len(array)
    return leaves(array.values)


@pytest.mark.parametrize("use_dictionary", [True, False])
@pytest.mark.parametrize("name", COLUMNS)
def test_the_members_of_lists_are_counted_exactly(name: str, use_dictionary: bool, tmp_path: Path) -> None:
    array, bits = COLUMNS[name]
    path = tmp_path / "lists.parquet"
    pq.write_table(
        pa.table({"x": array, "y": np.arange(ROWS)}), path, row_group_size=700, use_dictionary=use_dictionary
    )
    x, y = SOURCE.facts(input_file(path)).columns
    members = leaves(array)
    # A list without a member, or a null one, counts as one.
    assert members * bits // 8 <= x.member_bytes <= (members + 2 * ROWS) * bits // 8
    assert y.member_bytes == 0
    if use_dictionary and bits > 1:
        assert x.decoded_bytes < x.member_bytes


def test_texts_in_lists_and_a_file_without_rows_have_none(tmp_path: Path) -> None:
    for number, table in enumerate(
        [pa.table({"x": pa.array([["a", "bc"], []])}), pa.table({"x": pa.array([], pa.list_(pa.float64()))})]
    ):
        pq.write_table(table, tmp_path / f"{number}.parquet")
        (x,) = SOURCE.facts(input_file(tmp_path / f"{number}.parquet")).columns
        assert x.member_bytes == 0
