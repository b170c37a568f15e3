"""Looking at data: the schema over all files, and the values of the columns."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import pipeline
from pipeline.errors import DataError, InputMissingError

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime.datetime(2024, 2, 29, 12)
EVERY_TYPE = pa.table(
    {
        "int": pa.array([3, None, -(2**63)], pa.int64()),
        "uint": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "small": pa.array([200, 7, None], pa.uint8()),
        "float": pa.array([1.5, float("nan"), float("-inf")]),
        "single": pa.array([1.5, 0.25, None], pa.float32()),
        "bool": pa.array([True, False, None]),
        "text": pa.array(["é", "z", None]),
        "level": pa.array(["b", "a", None]).dictionary_encode(),
        "bytes": pa.array([b"\xff", b"a", None]),
        "fixed": pa.array([b"zz", b"ab", None], pa.binary(2)),
        "decimal": pa.array([Decimal("-1.25"), Decimal("10.00"), None], pa.decimal128(38, 2)),
        "day": pa.array([datetime.date(2024, 2, 29), datetime.date(1969, 1, 1), None]),
        "moment": pa.array([NOON, NOON.replace(year=1960), None], pa.timestamp("ns")),
        "zoned": pa.array([NOON, NOON.replace(year=1960), None], pa.timestamp("us", "Europe/Berlin")),
        "time": pa.array([datetime.time(23), datetime.time(1), None], pa.time64("us")),
        "length": pa.array([90, -1, None], pa.duration("s")),
    }
)
RANGES = {
    "int": (-(2**63), 3),
    "uint": (0, 2**64 - 1),
    "small": (7, 200),
    "float": (float("-inf"), 1.5),
    "single": (0.25, 1.5),
    "bool": (False, True),
    "text": ("z", "é"),
    "level": ("a", "b"),
    "bytes": ("a", r"\xff"),
    "fixed": ("ab", "zz"),
    "decimal": ("-1.25", "10.00"),
    "day": ("1969-01-01", "2024-02-29"),
    "moment": ("1960-02-29 12:00:00.000000000", "2024-02-29 12:00:00.000000000"),
    "zoned": ("1960-02-29 12:00:00.000000 UTC", "2024-02-29 12:00:00.000000 UTC"),
    "time": ("01:00:00.000000", "23:00:00.000000"),
    "length": ("-1 s", "90 s"),
}


def columns(path, **options):
    return {column.name: column for column in pipeline.inspect(path, **options).columns}


@pytest.mark.parametrize("full", [False, True])
def test_every_type_has_its_range_by_statistics_and_by_reading(bench, full):
    bench.put("a.parquet", EVERY_TYPE, row_group_size=2)
    found = columns(bench.inputs, full=full)
    assert {name: (column.smallest, column.largest) for name, column in found.items()} == RANGES
    assert {name: column.nulls for name, column in found.items()} == {name: int(name != "float") for name in RANGES}
    assert found["float"].nan == (1 if full else None)
    assert found["float"].infinite == (1 if full else None)
    assert [column.types for column in found.values()] == [((str(f.type), 1),) for f in EVERY_TYPE.schema]


@pytest.mark.parametrize("full", [False, True])
def test_what_has_no_order_has_no_range_but_is_counted_when_read(bench, full):
    table = pa.table({"list": [[1, 2], None], "struct": [{"a": 1}, {"a": 2}], "none": pa.nulls(2), "after": [1, 2]})
    bench.put("a.parquet", table)
    found = columns(bench.inputs, full=full)
    assert (found["list"].smallest, found["struct"].largest, found["none"].smallest) == (None, None, None)
    assert [found[name].nulls for name in ("list", "none")] == ([1, 2] if full else [None, None])
    assert (found["after"].smallest, found["after"].largest) == (1, 2)


def test_statistics_are_what_the_writer_said_and_reading_is_what_is_there(bench):
    path = bench.put("a.parquet", pa.table({"x": pa.array([5, 6, 7], pa.int64())}), compression="none")
    content = path.read_bytes()
    data, footer = content[: -(length := int.from_bytes(content[-8:-4], "little") + 8)], content[-length:]
    lie = (1_000).to_bytes(8, "little")
    path.write_bytes(data + footer.replace((7).to_bytes(8, "little"), lie))
    stated = columns(path)["x"]
    assert (stated.smallest, stated.largest) == (5, 1_000)
    read = columns(path, full=True)["x"]
    assert (read.smallest, read.largest) == (5, 7)


def test_a_file_without_statistics_leaves_a_column_without_a_range(bench):
    bench.put("a.parquet", pa.table({"x": [1, 2], "y": [1, 2]}))
    bench.put("b.parquet", pa.table({"x": [3, None], "y": [3, None]}), write_statistics=["y"])
    found = columns(bench.inputs)
    assert (found["x"].nulls, found["x"].smallest, found["x"].largest) == (None, None, None)
    assert (found["y"].nulls, found["y"].smallest, found["y"].largest) == (1, 1, 3)
    assert columns(bench.inputs, full=True)["x"].largest == 3


def test_a_row_group_of_nulls_alone_takes_nothing_from_the_range(bench):
    bench.put("a.parquet", pa.table({"x": pa.array([None, None, 4, 9])}), row_group_size=2)
    bench.put("b.parquet", pa.table({"x": pa.array([None, None], pa.int64())}))
    found = columns(bench.inputs)["x"]
    assert (found.nulls, found.smallest, found.largest) == (4, 4, 9)


def test_differences_between_files_are_named(bench):
    bench.put("a.parquet", pa.table({"x": [1], "y": ["a"], "z": [1]}))
    bench.put("b.parquet", pa.table({"x": [1.5], "y": ["b"]}))
    bench.put("c.parquet", pa.table({"x": ["text"], "y": ["c"], "new\x1b": [0]}))
    found = pipeline.inspect(bench.inputs)
    assert found.differences == (
        "x is int64 in 1 file (a.parquet), double in 1 file (b.parquet), string in 1 file (c.parquet)",
        "z is missing in 2 files of 3 (b.parquet, c.parquet)",
        r"new\x1b is missing in 2 files of 3 (a.parquet, b.parquet)",
    )
    by_name = {column.name: column for column in found.columns}
    assert by_name["x"].types == (("int64", 1), ("double", 1), ("string", 1))
    assert by_name["x"].smallest is None
    assert [by_name[name].files for name in ("x", "y", "z")] == [3, 3, 1]


def test_numbers_of_different_types_have_one_range(bench):
    bench.put("a.parquet", pa.table({"x": pa.array([2**62], pa.int64())}))
    bench.put("b.parquet", pa.table({"x": pa.array([0.5, float("nan")])}))
    for full in (False, True):
        found = columns(bench.inputs, full=full)["x"]
        assert (found.smallest, found.largest) == (0.5, 2**62)


def test_a_row_group_of_nan_alone_states_no_range(bench):
    bench.put("a.parquet", pa.table({"x": pa.array([0.5, float("nan")])}), row_group_size=1)
    assert columns(bench.inputs)["x"].largest is None
    assert columns(bench.inputs, full=True)["x"].largest == 0.5


def test_nullable_is_what_some_file_allows(bench):
    never = pa.schema([pa.field("x", pa.int64(), nullable=False), pa.field("y", pa.int64(), nullable=False)])
    bench.put("a.parquet", pa.table({"x": [1], "y": [1]}, schema=never))
    bench.put("b.parquet", pa.table({"x": [1], "y": [1]}, schema=never.set(1, pa.field("y", pa.int64()))))
    found = columns(bench.inputs)
    assert (found["x"].nullable, found["y"].nullable) == (False, True)


def test_partitions_are_columns_of_text(bench):
    bench.put("country=NL/a.parquet", pa.table({"x": [1, 2]}))
    bench.put("country=__HIVE_DEFAULT_PARTITION__/b.parquet", pa.table({"x": [1, 2, 3]}))
    for full in (False, True):
        found = columns(bench.inputs, full=full)["country"]
        assert (found.types, found.nulls, found.smallest, found.largest) == ((("text", 2),), 3, "NL", "NL")


def test_columns_of_one_name_are_named_and_left_aside(bench):
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["x", "x", "y"])
    bench.put("a.parquet", twice)
    for full in (False, True):
        found = pipeline.inspect(bench.inputs, full=full)
        assert found.differences == ("a.parquet has several columns 'x': the values are not shown",)
        assert [(c.name, c.smallest) for c in found.columns] == [("x", None), ("y", 3)]


def test_rows_of_a_csv_are_estimated_until_they_are_read(bench, cli):
    bench.put("a.csv", "n,t\n" + "".join(f"{n},{'x' if n % 2 else ''}\n" for n in range(1_000)))
    bench.put("b.parquet", pa.table({"n": [1]}))
    stated = pipeline.inspect(bench.inputs)
    assert stated.rows_estimated
    assert 900 < stated.rows < 1_100
    assert {column.nulls for column in stated.columns} == {None}
    assert "rows        ~" in cli("inspect", bench.inputs).out
    read = pipeline.inspect(bench.inputs, full=True)
    assert (read.rows, read.rows_estimated) == (1_001, False)
    assert "rows        1,001" in cli("inspect", bench.inputs, "--full").out


def test_text_of_a_csv_that_is_all_numbers_has_a_range_of_numbers(bench):
    bench.put("a.csv", "n,t,e\n10,10,\n9,x,\n,1e3,\n1e400,,\n")
    found = columns(bench.inputs, full=True)
    assert (found["n"].smallest, found["n"].largest) == ("10", "9")
    assert (found["n"].smallest_number, found["n"].largest_number) == (9.0, float("inf"))
    assert (found["t"].smallest, found["t"].largest, found["t"].smallest_number) == ("10", "x", None)
    assert [found[name].nulls for name in "nte"] == [1, 1, 4]
    assert (found["e"].smallest, found["e"].smallest_number) == (None, None)


def test_records_that_cannot_be_read_are_counted_and_the_first_is_shown(bench):
    bench.put("a.csv", "x,y\n1,2\n1,2,3\n1,2\n1\n")
    found = pipeline.inspect(bench.inputs, full=True)
    assert (found.rows, found.bad_records, found.errors) == (2, 2, ())
    (difference,) = found.differences
    what, remedy = difference.split("; ")
    assert what == "a.csv has 2 records that cannot be read, the first at byte 8: has 3 fields instead of 2"
    assert remedy.endswith("--delimiter, --quote or --columns")
    assert pipeline.inspect(bench.inputs).bad_records is None


@pytest.mark.parametrize("full", [False, True])
def test_damaged_files_do_not_hide_the_others(bench, cli, full):
    whole = bench.put("a.parquet", pa.table({"x": np.arange(1_000)})).read_bytes()
    (bench.inputs / "cut.parquet").write_bytes(whole[:500])
    (bench.inputs / "empty.parquet").write_bytes(b"")
    found = pipeline.inspect(bench.inputs, full=full)
    assert (found.rows, [each.path for each in found.errors]) == (1_000, ["cut.parquet", "empty.parquet"])
    outcome = cli("inspect", bench.inputs, *(["--full"] if full else []))
    assert outcome.code == 65
    assert "1,000" in outcome.out
    assert outcome.err.splitlines()[0] == "error: 2 files cannot be read"
    assert "cut.parquet is cut short" in outcome.err
    assert "empty.parquet is empty" in outcome.err
    (bench.inputs / "empty.parquet").unlink()
    assert cli("inspect", bench.inputs, "--json").err.startswith("error: cut.parquet is cut short")


def test_a_page_that_is_damaged_is_found_by_reading_alone(bench):
    path = bench.put("a.parquet", pa.table({"x": np.arange(1_000)}), compression="none", write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[1_000] ^= 1
    path.write_bytes(content)
    assert pipeline.inspect(path).errors == ()
    ((error,),) = [pipeline.inspect(path, full=True).errors]
    assert isinstance(error.error, DataError)
    assert "checksum" in error.error.message


def test_nothing_there_is_66(bench, cli):
    with pytest.raises(InputMissingError):
        pipeline.inspect(bench.inputs / "none")
    with pytest.raises(InputMissingError):
        pipeline.inspect(bench.inputs)
    assert cli("inspect", bench.inputs / "*.parquet").code == 66
    assert cli("inspect", bench.inputs / "no.quarantine").code == 66


def test_an_output_says_what_made_it(published, cli):
    found = pipeline.inspect(published.out)
    manifest = json.loads((published.out / "_manifest.json").read_text())
    assert found.output.job_id == manifest["job_id"]
    assert found.output.manifest_digest == manifest["digest"]
    assert found.output.totals["written"] == found.rows == 293
    shown = cli("inspect", published.out).out
    assert f"job         {manifest['job_id'][:12]}" in shown
    assert "score, a logistic model with 2 features" in shown
    assert "300 read, 293 written, 293 scored, 7 quarantined, 4 bad" in shown
    when = datetime.datetime.fromtimestamp(manifest["observed"]["finished_unix"], datetime.UTC)
    assert f"{when:%Y-%m-%d %H:%M:%S} UTC" in shown
    assert pipeline.inspect(published.inputs).output is None


def test_an_output_with_a_damaged_manifest_is_shown_as_data(copy, cli):
    path = copy / "_manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"rows":293', b'"rows":294'))
    outcome = cli("inspect", copy)
    assert outcome.code == 0
    assert "was damaged or edited" in outcome.out
    assert "job " not in outcome.out


def test_away_from_a_terminal_a_row_is_one_line(bench, cli):
    bench.put("a.parquet", EVERY_TYPE)
    outcome = cli("inspect", bench.inputs, "--full")
    assert outcome.err == ""
    lines = outcome.out.splitlines()
    header = next(line for line in lines if line.startswith("column "))
    assert header.split() == ["column", "type", "nulls", "NaN", "infinite", "smallest", "largest"]
    assert sum(line.startswith(tuple(RANGES)) for line in lines) == len(RANGES)
    stated = cli("inspect", bench.inputs).out
    assert "from the statistics" in stated
    assert "NaN" not in stated


@pytest.mark.parametrize("width", [60, 160])
def test_on_a_terminal_the_table_is_no_wider(bench, width):
    bench.put("a.parquet", EVERY_TYPE)
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    command = [sys.executable, "-c", "from jobs.cli import main; main()", "inspect", bench.inputs]
    environment = {"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "TERM": "xterm"}
    shown = b""
    with subprocess.Popen(command, env=environment, stdout=side, stderr=side) as process:
        os.close(side)
        with os.fdopen(terminal, "rb", buffering=0) as stream, contextlib.suppress(OSError):
            while block := stream.read(65_536):
                shown += block
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r", "")
    table = text.split("\n\n")[1].splitlines()
    assert max(map(len, table)) <= width
    assert "".join(table[0].split()) == "columntypenullssmallestlargest"


def test_json_has_the_keys_that_are_documented(bench, cli):
    bench.put("a.parquet", EVERY_TYPE)
    (bench.inputs / "b.parquet").write_bytes(b"PAR1")
    outcome = cli("inspect", bench.inputs, "--full", "--json")
    assert outcome.code == 65
    found = json.loads(outcome.out, parse_constant=pytest.fail)
    assert (found["kind"], found["values"], found["rows"], found["output"]) == ("data", "read", 3, None)
    assert found["errors"][0]["path"] == "b.parquet"
    by_name = {column["name"]: column for column in found["columns"]}
    assert by_name["float"]["smallest"] == "-inf"
    assert by_name["uint"]["largest"] == 2**64 - 1
    from pipeline.inspection import json as documented

    names = {*found, *found["columns"][0], *found["files"][0], *found["errors"][0], *found["columns"][0]["types"][0]}
    assert [name for name in names if f"``{name}``" not in documented.__doc__] == []
    assert json.loads(cli("inspect", bench.inputs, "--json").out)["values"] == "statistics"


def test_public_names_are_functions_whatever_was_imported_before():
    import pipeline.inspection
    import pipeline.verification

    assert callable(pipeline.inspect)
    assert callable(pipeline.verify)


def test_a_dictionary_of_long_texts_is_not_decoded_row_by_row(bench):
    levels = pa.array(["a" * 1_000_000, "b" * 1_000_000])
    indices = pa.array(np.arange(60_000) % 2, pa.int32())
    bench.put("a.parquet", pa.table({"s": pa.DictionaryArray.from_arrays(indices, levels)}))
    # decoded it would take 60 GB
    found = columns(bench.inputs, full=True)["s"]
    assert (found.nulls, found.smallest[0], found.largest[0]) == (0, "a", "b")
