"""Facts that are recorded come back as they were, whatever the files hold."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.scan import Record, discover, gather_facts, record_of, recorded
from pipeline.sources import content
from pipeline.types.inputs import CsvOptions, FileColumns, FileFacts

FLIGHTS = Path(__file__).resolve().parents[2] / "sample_data" / "flights"
TABLES = {
    "plain": pa.table({"x": np.arange(10.0), "n": [None, *range(9)]}),
    "texts": pa.table({"t": ["ü"] * 7, "d": pa.array(["a"] * 7).dictionary_encode()}),
    "nested": pa.table({"l": [[1.0, 2.0], []], "s": [{"a": 1, "b": [{"c": "x"}]}] * 2, "m": [[[1]], [[2]]]}),
    "times": pa.table({"t": pa.array([datetime(2020, 1, 1)], pa.timestamp("ns", "Europe/Berlin"))}),
    "required": pa.table([[1, 2]], schema=pa.schema([pa.field("i", pa.int8(), nullable=False, metadata={"k": "v"})])),
    "exact": pa.table({"d": [Decimal("1.25")], "f": pa.array([b"1234"], pa.binary(4))}),
    "uuid": pa.table({"u": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([UUID(int=1).bytes], pa.binary(16)))}),
    "empty": pa.table({"x": pa.array([], pa.float64())}),
    "twins": pa.table([[1], [2.0]], names=["x", "x"]),
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[FileFacts]:
    # No test can set the time of an inode, and the temporary files of a machine may be in memory.
    now, device = time.time_ns, tmp_path.stat().st_dev
    monkeypatch.setattr(content.time, "time_ns", lambda: now() + 120_000_000_000)
    monkeypatch.setattr(recorded, "devices_keeping_time", lambda: frozenset({device}))
    for name, table in TABLES.items():
        folder = tmp_path / "hive=1"
        folder.mkdir(exist_ok=True)
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=3)
    pq.write_table(TABLES["times"], tmp_path / "int96.parquet", use_deprecated_int96_timestamps=True)
    return list(gather_facts(discover([str(tmp_path)]).files, CsvOptions()))


def _plainly(facts: FileFacts) -> tuple[object, ...]:
    columns = [(c.field, c.field.metadata, c.encoded_bytes, c.decoded_bytes, c.member_bytes) for c in facts.columns]
    rest = replace(facts, columns=(), group_rows=np.empty(0, np.int64))
    dtypes = [each.dtype for each in (facts.group_rows, facts.columns.encoded)]
    return columns, facts.group_rows.tolist(), dtypes, {name: getattr(rest, name) for name in _NAMES}


_NAMES = ("file", "identity", "rows", "row_bytes", "data_start", "cuttable", "state")


@pytest.mark.parametrize("a_batch", [1, 400, 2**20])
def test_facts_come_back_as_they_were(files: list[FileFacts], a_batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "_BATCH", a_batch)
    record = Record.of(record_of(files))
    assert len(files) == len(TABLES) + 1
    for facts in files:
        found = record.facts(facts.file)
        assert found is not None
        assert _plainly(found) == _plainly(facts)


def test_files_of_one_schema_share_their_fields(tmp_path: Path, files: list[FileFacts]) -> None:
    pq.write_table(TABLES["plain"], tmp_path / "other.parquet")
    found = gather_facts(discover([str(tmp_path)]).files, CsvOptions())
    record = Record.of(record_of(found))
    plain = [
        record.facts(facts.file) for facts in found if facts.file.path in {"hive=1/plain.parquet", "other.parquet"}
    ]
    assert plain[0].columns.fields is plain[1].columns.fields


def test_content_that_was_digested_is_digested_again(files: list[FileFacts]) -> None:
    digested = [replace(facts, identity=replace(facts.identity, content="00")) for facts in files]
    assert [Record.of(record_of(digested)).facts(facts.file).identity for facts in files] == [f.identity for f in files]


def test_a_file_that_is_gone_or_is_read_as_csv_has_no_facts(files: list[FileFacts]) -> None:
    record = Record.of(record_of(files))
    assert record.facts(replace(files[0].file, format="csv")) is None
    Path(files[0].file.location).unlink()
    assert record.facts(files[0].file) is None
    assert record.facts(files[1].file) is not None


def test_files_without_a_state_are_left_out(files: list[FileFacts]) -> None:
    fresh = [replace(facts, state=b"") for facts in files]
    assert record_of(fresh) == b""
    record = Record.of(record_of([*fresh[:3], *files[3:]]))
    assert [record.facts(facts.file) is None for facts in files] == [True] * 3 + [False] * (len(files) - 3)


def test_a_record_that_is_too_large_is_none(files: list[FileFacts], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = record_of(files)
    size = sum(88 + 24 * len(facts.columns) + 8 * len(facts.group_rows) for facts in files)
    monkeypatch.setattr(recorded, "_LARGEST", size)
    assert record_of(files) == whole
    monkeypatch.setattr(recorded, "_LARGEST", size - 1)
    assert record_of(files) == b""


def test_recording_takes_little_memory_besides_the_record(files: list[FileFacts]) -> None:
    fields = tuple(pa.field(f"c{number}", pa.float64()) for number in range(500))
    sizes = np.zeros(500, np.int64)
    many = [replace(files[0], columns=FileColumns(fields, sizes, sizes, sizes)) for _ in range(1_000)]
    tracemalloc.start()
    try:
        record = record_of(many)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert record
    assert peak < 5_000_000 < 1_000 * 3 * sizes.nbytes


@pytest.mark.parametrize("made", [b"", b"no record", b"\xff" * 100])
def test_other_bytes_are_an_empty_record(files: list[FileFacts], made: bytes) -> None:
    assert Record.of(made).facts(files[0].file) is None
    assert record_of([]) == b""


def test_files_without_row_groups_come_back_too(files: list[FileFacts]) -> None:
    (empty,) = [facts for facts in files if facts.file.path.endswith("empty.parquet")]
    none = replace(empty, group_rows=np.empty(0, np.int64))
    found = Record.of(record_of([none])).facts(none.file)
    assert found is not None
    assert _plainly(found) == _plainly(none)


_ALONE = """
import os, sys
from pipeline.scan import Record, discover, gather_facts, record_of, recorded
from pipeline.sources import content
from pipeline.types.inputs import CsvOptions
files = discover(sys.argv[1:]).files
# The files may be new, on any file system.
content._SETTLED_NS = 0
devices = frozenset({os.stat(sys.argv[1]).st_dev})
recorded.devices_keeping_time = lambda: content.devices_keeping_time() | devices
loaded = {*sys.modules}
record = Record.of(record_of(gather_facts(files, CsvOptions())))
print(all(record.facts(file) is not None for file in files), {*sys.modules} - loaded)
"""


def test_nothing_more_is_loaded_to_record_and_to_read_it() -> None:
    command = [sys.executable, "-c", _ALONE, str(FLIGHTS)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "True set()\n"
