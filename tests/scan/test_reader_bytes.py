"""What the open columns of a Parquet file take: three copies of a page, by what the footer tells of its rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.memory import COLUMN_READER_BYTES
from pipeline.scan.demand import _reader_bytes
from pipeline.scan.shapes import ColumnNumbers
from pipeline.types.inputs import FileColumns, FileFacts, Identity, InputFile
from pipeline.units import KIB, MIB


@pytest.mark.parametrize(
    ("decoded", "groups", "expected"),
    [
        # A small row group: no page is larger than its column in it.
        (1_000, [10, 20], 3 * 1_000 * 20 // 30 + 64 * KIB),
        (1_000, [30], 3 * 1_000 + 64 * KIB),
        (1_001, [10, 20], 2_002 + 64 * KIB),
        (1_001, [15, 16], -(-3 * 1_001 * 16 // 31) + 64 * KIB),
        (100 * MIB, [10**6], COLUMN_READER_BYTES),
        # Long values: a page of 1,024 of them.
        (10**10, [10**5, 10**5], 3 * 10**10 * 1_024 // (2 * 10**5)),
        (10**10, [500], 3 * 10**10 + 0),
        (0, [], 64 * KIB),
    ],
)
def test_a_reader_holds_three_copies_of_a_page_of_each_needed_column(
    decoded: int, groups: list[int], expected: int
) -> None:
    fields = tuple(pa.field(name, pa.string()) for name in ("x", "other"))
    sizes = np.array([decoded, 10**12])
    rows = np.array(groups, dtype=np.int64)
    columns = FileColumns(fields, sizes, sizes, sizes)
    file = InputFile("a.parquet", "/nowhere", 0, "parquet")
    facts = FileFacts.of_row_groups(file, Identity(1, 1, ""), columns, rows, b"")
    assert _reader_bytes(facts, ColumnNumbers(["x"])) == expected
    assert _reader_bytes(facts, ColumnNumbers([])) == 0
