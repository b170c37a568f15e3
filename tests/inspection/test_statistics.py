"""What a footer states: nothing that it may hold ends the process."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.compact import STRUCT, Compact
from pipeline.errors import DataError
from pipeline.sources.parquet.statistics import column_statistics
from pipeline.types.inputs import InputFile


def stated(path: Path):
    return {column.name: column for column in column_statistics(InputFile(path.name, str(path), 0, "parquet"))}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    table = pa.table(
        {
            "a": pa.array(range(100), pa.int32()),
            "b": [n / 3 for n in range(100)],
            "s": [f"t{n}" for n in range(100)],
            "l": [[n] for n in range(100)],
            "z": [True, None] * 50,
        }
    )
    path = tmp_path / "base.parquet"
    pq.write_table(table, path, row_group_size=50)
    return path


def test_row_groups_are_put_together(base):
    found = stated(base)
    assert [(found[name].smallest.as_py(), found[name].largest.as_py()) for name in "abs"] == [
        (0, 99),
        (0.0, 33.0),
        (b"t0", b"t99"),
    ]
    assert found["z"].nulls == 50
    assert (found["l"].nulls, found["l"].ranged) == (None, False)


def test_bytes_that_do_not_fit_their_type_are_no_statistic(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([b"ab", b"cd"], pa.binary(2))}), path, store_schema=False)
    content = path.read_bytes()
    # in the schema: FIXED_LEN_BYTE_ARRAY, of 2 bytes; Arrow's own function ends the process where it says 3
    assert content.count(b"\x15\x0e\x15\x04") == 1
    path.write_bytes(content.replace(b"\x15\x0e\x15\x04", b"\x15\x0e\x15\x06"))
    assert stated(path)["a"].smallest.as_py() == b"ab"
    pq.write_table(pa.table({"a": pa.array([1, 2], pa.int32())}), path, store_schema=False, use_dictionary=False)
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little") + 8
    data, footer = content[:-length], content[-length:]
    # INT32 is INT64 now, where the schema and the column state it
    retyped = footer.replace(b"\x15\x02\x25\x02", b"\x15\x04\x25\x02").replace(
        b"\x26\x00\x1c\x15\x02", b"\x26\x00\x1c\x15\x04"
    )
    assert retyped != footer
    path.write_bytes(data + retyped)
    assert not stated(path)["a"].ranged


def test_whatever_is_flipped_in_a_footer_it_is_read_or_refused(base):
    content = base.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    chance = random.Random(7)
    read = 0
    for _ in range(300):
        changed = bytearray(content)
        for _ in range(chance.choice((1, 1, 2))):
            changed[chance.randrange(footer, len(content) - 8)] ^= 1 << chance.randrange(8)
        base.write_bytes(changed)
        try:
            read += len(stated(base)) > 0
        except DataError:
            continue
    assert read > 20


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x19",
        b"\x19\xfc",
        b"\x1c" * 10_000,
        b"\x19\xfc" + b"\xff" * 12,
        b"\x18\xff\xff\x03a",
        b"\x1b\x01",
        b"\x05",
    ],
)
def test_a_torn_structure_is_an_error_that_ends(text):
    with pytest.raises((ValueError, IndexError, RecursionError)):
        Compact(text).skip(STRUCT)
