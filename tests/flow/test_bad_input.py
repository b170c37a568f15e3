"""Bad input of every kind: the message, the exit code, and that nothing was published."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import (
    BadCellsError,
    DataError,
    InputChangedError,
    InputMissingError,
    ModelError,
    PermissionDeniedError,
    SchemaError,
    UsageError,
)
from pipeline.types.report import Planned, Progressed
from tests.flow.conftest import FEATURES, STRICT, Bench, sigmoid

HEAD = "x,c\n"
ROWS = "1,a\n2,b\n"
GOOD = pa.table({"x": [1.0, 2.0], "c": ["a", "b"], "k": [1, 2]})


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("record", "place", "found"),
    [
        pytest.param(b"abc,a", ", column x", "'abc' is not a number", id="text in a numeric column"),
        pytest.param(b"1e400,a", ", column x", "'1e400' is beyond the range of double", id="overflow"),
        pytest.param(b"-1e400,a", ", column x", "'-1e400' is beyond the range of double", id="negative overflow"),
        pytest.param(b'"1,234",a', ", column x", "'1,234' is not a number", id="thousands separator"),
        pytest.param(b"1", "", "'1' has 1 field instead of 2", id="short"),
        pytest.param(b"1,a,,", "", "'1,a,,' has 4 fields instead of 2", id="long"),
        pytest.param(b"1,\xff\xfea", ", column c", r"'\xff\xfea' is not valid UTF-8", id="invalid UTF-8"),
        pytest.param(b"1,a\0", ", column c", r"'a\x00' contains a NUL byte (is the file damaged?)", id="NUL"),
        pytest.param(
            b"1\0,a", ", column x", r"'1\x00' contains a NUL byte (is the file damaged?)", id="NUL in a number"
        ),
        pytest.param(b"NA,a", ", column x", "'NA' is not a number", id="another spelling of null"),
        pytest.param(b"\x1b[31m,a", ", column x", r"'\x1b[31m' is not a number", id="control characters"),
        pytest.param(
            b"x,c",
            ", column x",
            "'x' is not a number; this record repeats the header (were files concatenated?)",
            id="repeated header",
        ),
    ],
)
def test_a_bad_cell_is_named_with_its_place_and_the_former_version_stands(
    bench: Bench, former: Path, record: bytes, place: str, found: str
) -> None:
    bench.put("f.csv", (HEAD + ROWS).encode() + record + b"\n" + ROWS.encode())
    message = bench.refused(BadCellsError, known=False, if_exists="replace")
    assert message.splitlines()[0] == f"f.csv: record 3 (byte 12){place}: {found}"
    assert re.match("(fix|write|close|remove) ", message.splitlines()[1])
    assert message.endswith("; nothing was published")
    assert BadCellsError.exit_code == 65


def test_the_remedy_suits_the_fault(bench: Bench) -> None:
    bench.put("f.csv", HEAD + "NA,a\n")
    assert "if it means null, add --null NA" in bench.refused(BadCellsError, known=False)
    assert bench.score(null=["NA"]).totals.events == {"missing x": 1}
    shutil.rmtree(bench.out)
    bench.put("f.csv", HEAD + "1;a\n")
    assert "with --delimiter, --quote or --columns" in bench.refused(BadCellsError, known=False)
    bench.put("f.csv", HEAD + ",a\n")
    message = bench.refused(BadCellsError, known=False, model=bench.model(STRICT))
    assert 'choose another "missing" for this feature in the model file' in message


def test_a_quote_left_open(bench: Bench) -> None:
    bench.put("f.csv", HEAD + ROWS + '1,"a\n' + ROWS * 500)
    message = bench.refused(BadCellsError, known=False, chunk_size="256B")
    assert message.startswith(r"""f.csv: record 3 (byte 12): '1,"a\n1,a\n2,b\n""")
    assert "has a quote that is not closed before the end of the file" in message


def test_a_kept_cell_that_is_not_utf8_is_refused_and_an_unused_one_is_not(bench: Bench) -> None:
    bench.put("f.csv", b"x,c,k\n1,a,k\n1,a,\xe9t\xe9\n")
    message = bench.refused(BadCellsError, known=False, keep=["k"])
    assert message.startswith(r"f.csv: record 2 (byte 12), column k: '\xe9t\xe9' is not valid UTF-8")
    assert "--encoding" in message
    assert bench.score(keep=["x"]).totals.scored == 2


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_the_first_of_the_bad_cells_is_named_across_chunks(bench: Bench, scheduler: str) -> None:
    # Quoted newlines with lines that look like records come before it: numbers and offsets are not those of lines.
    records = [f'{i},a,"line\n{i},zz,7\nline {i}"' for i in range(600)]
    records[400] = "first,a,k"
    records[401] = "second,a,k"
    records[599] = "last,a,k"
    text = "x,c,k\n" + "\n".join(records) + "\n"
    bench.put("a.csv", HEAD + ROWS * 50)
    bench.put("b.csv", text)
    bench.put("c.csv", HEAD + "late,a\n" * 3)
    message = bench.refused(BadCellsError, known=False, chunk_size="1KiB", scheduler=scheduler)
    first, others, _ = message.splitlines()
    assert first == f"b.csv: record 401 (byte {text.index('first'):,}), column x: 'first' is not a number"
    # How many more were read before the end depends on the threads.
    assert int(re.match(r"(\d+) more bad row", others)[1]) >= 1


def test_bad_cells_are_counted(bench: Bench) -> None:
    bench.put("f.csv", HEAD + ROWS + "p,a\n" + ROWS + "q,a\n1\n" + "r,a\n" * 40)
    message = bench.refused(BadCellsError, known=False)
    assert message.startswith("f.csv: record 3 (byte 12), column x: 'p' is not a number\n42 more bad rows were found")
    bench.put("f.csv", HEAD + "p,a\nq,a\n")
    assert "\n1 more bad row was found in the chunks that were read\n" in bench.refused(BadCellsError, known=False)


def test_what_a_model_bars_is_numbered_among_the_records_that_cannot_be_read(bench: Bench) -> None:
    model = bench.model(STRICT)
    bench.put("f.csv", HEAD + "1,a\n1\n,a\n")
    assert bench.refused(BadCellsError, known=False, model=model).startswith("f.csv: record 2 (byte 8): '1' has 1")
    bench.put("f.csv", HEAD + "1,a\n,a\n1\n")
    assert bench.refused(BadCellsError, known=False, model=model).startswith(
        "f.csv: record 2 (byte 8), column x: null is missing"
    )


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (",a", "column x: null is missing, and the model treats that as an error"),
        ("NaN,a", "column x: 'NaN' is missing, and the model treats that as an error"),
        ("1,", "column c: null is missing, and the model treats that as an error"),
        ("1,\tzz", r"column c: '\tzz' is not a level of the model, and the model treats that as an error"),
    ],
)
def test_the_policy_error_names_the_place(bench: Bench, record: str, found: str) -> None:
    bench.put("f.csv", HEAD + "1,a\n" * 30 + record + "\n")
    message = bench.refused(BadCellsError, known=False, model=bench.model(STRICT), chunk_size="32B")
    assert message.splitlines()[0] == f"f.csv: record 31 (byte 124), {found}"


def test_the_policy_error_counts_rows_over_the_row_groups_of_a_parquet_file(bench: Bench) -> None:
    x = [1.0] * 25
    x[17] = None
    bench.put("f.parquet", pa.table({"x": x, "c": ["a"] * 24 + ["q"]}), row_group_size=5)
    message = bench.refused(BadCellsError, known=False, model=bench.model(STRICT), chunk_size=5)
    assert message.startswith("f.parquet: row 18, column x: null is missing, and the model treats that as an error\n")


def test_the_policy_error_counts_rows_over_the_batches_of_a_row_group(bench: Bench) -> None:
    rows, bad = 600_000, 550_000
    x = np.zeros(rows)
    x[bad] = np.nan
    bench.put("f.parquet", pa.table({"x": x, "c": pa.repeat("a", rows)}), row_group_size=rows)
    model = bench.model(STRICT)
    assert bench.preview(model=model).resources.batch_rows < bad
    message = bench.refused(BadCellsError, known=False, model=model)
    assert message.startswith("f.parquet: row 550,001, column x: 'NaN' is missing, and the model treats that as an")


@pytest.mark.parametrize(
    ("values", "row", "text"),
    [
        (pa.array([1, 2**53, 2**53 + 1]), 3, "9007199254740993"),
        (pa.array([-(2**53), -(2**53) - 1]), 2, "-9007199254740993"),
        (pa.array([2**64 - 1], pa.uint64()), 1, "18446744073709551615"),
        (pa.array([Decimal("1.10"), Decimal("12345678901234567890.12")], pa.decimal128(38, 2)), 2, None),
    ],
    ids=["int64", "negative", "uint64", "decimal"],
)
def test_a_number_that_float64_cannot_hold(bench: Bench, values: pa.Array, row: int, text: str | None) -> None:
    bench.put("f.parquet", pa.table({"x": values, "c": ["a"] * len(values)}))
    message = bench.refused(BadCellsError, known=False)
    text = text or "12345678901234567890.12"
    assert message.startswith(f"f.parquet: row {row}, column x: '{text}' cannot be held exactly as a float64")


def test_functions_are_not_answered_in_the_words_of_a_model(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"x": [1, 2**53 + 1], "c": ["a", "b"]}))
    with pytest.raises(BadCellsError, match="row 2, column x: '9007199254740993' cannot be held exactly") as bad:
        pipeline.transform(bench.inputs, "p=sigmoid(x)", bench.out, scheduler="sync")
    rounded = "add --type NAME=float64 with the name of this column to round it, or leave the column out; --max-bad N"
    assert bad.value.remedy.startswith(rounded)
    with pytest.raises(SchemaError) as unfit:
        pipeline.transform(bench.inputs, "p=sigmoid(c)", bench.out, scheduler="sync")
    assert 'column "c" is string, but a function takes an integer, a float, a boolean' in str(unfit.value)
    assert "model" not in f"{bad.value}{unfit.value}"
    assert not bench.out.exists()


def test_the_name_of_a_file_cannot_speak_to_the_terminal(bench: Bench) -> None:
    bench.put("a\x1b[31m\n.csv", HEAD + "zz,a\n")
    message = bench.refused(BadCellsError, known=False)
    assert message.startswith(r"a\x1b[31m\n.csv: record 1 (byte 4)")


def test_a_blank_line_is_a_record_where_there_is_one_column(bench: Bench) -> None:
    bench.put("f.csv", "x\n1\n\n2\n")
    report = bench.score(model=bench.model(FEATURES[:1]))
    assert (report.totals.read, report.totals.events) == (3, {"missing x": 1})


def test_null_nan_and_empty_text(bench: Bench) -> None:
    bench.put("f.csv", 'x,c,k\nnan,"",""\n,,\n-inf,a,\n')
    report = bench.score(keep=["k"])
    assert report.totals.events == {"missing x": 2, "missing c": 1, "unseen c": 1, "infinite x": 1}
    assert bench.table()["k"].to_pylist() == ["", None, None]
    assert bench.table()["probability"].to_pylist() == [None, None, 0.0]


def test_a_cell_longer_than_a_chunk_is_read_whole(bench: Bench) -> None:
    bench.put("f.csv", "x,c,k\n" + "1,a,k\n" * 1000 + '2,b,"' + "y\n" * 100_000 + '"\n' + "1,a,k\n")
    bench.score(keep=["k"], chunk_size="64KiB")
    assert bench.table()["k"].to_pylist() == ["k"] * 1000 + ["y\n" * 100_000, "k"]


def test_a_member_behind_the_first_of_a_gzip_file_begins_with_no_header(bench: Bench) -> None:
    member = gzip.compress((HEAD + ROWS).encode())
    bench.put("f.csv.gz", member * 2)
    message = bench.refused(BadCellsError, known=False)
    assert message.startswith("f.csv.gz: record 3 (byte 12), column x: 'x' is not a number; this record repeats the")


def test_every_difference_of_every_file_is_listed_at_once(bench: Bench, former: Path) -> None:
    bench.put("p0.parquet", GOOD)
    bench.put("p1.parquet", pa.table({"k": [1], "c": ["a"], "x": ["text"]}))
    bench.put("p2.parquet", pa.table({"c": ["a"], "k": [1], "extra": [0]}))
    bench.put("p3.parquet", pa.table({"x": [1.0], "c": ["a"], "k": ["text"]}))
    bench.put("p4.parquet", pa.table({"x": [1.0], "c": [Decimal("1.5")]}))
    message = bench.refused(SchemaError, keep=["k"], if_exists="replace")
    head, *lines, remedy = message.splitlines()
    assert head == "the inputs do not fit the job:"
    assert len(lines) == 4
    assert lines[0].startswith('  p1.parquet: column "x" is string, but a numeric feature is')
    assert lines[1] == "  p2.parquet: has no column 'x'"
    assert lines[2].startswith(
        "  p4.parquet: has no column 'k'; column \"c\" is decimal128(2, 1), but a categorical feature is"
    )
    assert lines[3] == "  k is int64 in 3 files (p0.parquet first), string in 1 file (p3.parquet)"
    assert remedy == (
        "fix the files, or use other columns; --absent null takes what a file lacks (x, k) as null; "
        "--type k=string reads a column as one type"
    )
    assert SchemaError.exit_code == 65


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pa.array([[1.0]]), "is list<"),
        (pa.array([{"a": 1.0}]), "is struct<"),
        (pa.array([0], pa.timestamp("us")), "is timestamp[us], but"),
        (pa.array([Decimal("1.1")], pa.decimal256(50, 2)), "is decimal256(50, 2), but"),
        (pa.array([b"x"]), "is binary, but"),
    ],
    ids=["list", "struct", "timestamp", "wide decimal", "binary"],
)
def test_a_feature_of_an_unfit_type(bench: Bench, column: pa.Array, found: str) -> None:
    bench.put("f.parquet", pa.table({"x": column, "c": ["a"]}))
    message = bench.refused(SchemaError)
    assert 'f.parquet: column "x" ' in message
    assert found in message


def test_a_parquet_file_with_the_column_twice(bench: Bench) -> None:
    table = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0]), pa.array(["a"])], names=["x", "x", "c"])
    bench.put("f.parquet", table)
    assert "f.parquet: has 2 columns 'x'" in bench.refused(SchemaError)


def test_an_unfit_column_is_listed_beside_a_missing_one(bench: Bench) -> None:
    for number in range(30):
        bench.put(f"p{number:02}.parquet", pa.table({"x": ["text"]}))
    _, line, _ = bench.refused(SchemaError).splitlines()
    alike = "(like 29 other files: p01.parquet, p02.parquet, ...)"
    assert line.startswith(f"  p00.parquet {alike}: has no column 'c'; column \"x\" is string, but a numeric feature")


def test_columns_in_another_order_and_extra_columns_are_fine(bench: Bench) -> None:
    bench.put("a.parquet", GOOD)
    bench.put("b.parquet", pa.table({"extra": [[1]], "c": ["b"], "k": [3], "x": pa.array([4], pa.int8())}))
    bench.score(keep=["k"])
    assert bench.table()["k"].to_pylist() == [1, 2, 3]
    assert bench.table()["probability"].to_numpy() == pytest.approx(sigmoid(np.array([2.5, 1.5, 3.5])), rel=1e-14)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("X,d\n1,a\n", "has no columns 'x', 'c'; its header is X, d; did you mean \"X\"?"),
        ("1,a\n2,b\n", "has no columns 'x', 'c'; its header is 1, a"),
        ("x,x,c\n1,1,a\n", "has 2 columns 'x'; its header is x, x, c"),
    ],
    ids=["other names", "no header", "twice"],
)
def test_a_header_that_lacks_a_column_is_shown(bench: Bench, text: str, found: str) -> None:
    bench.put("f.csv", text)
    message = bench.refused(SchemaError)
    assert f"f.csv: {found}" in message
    assert "--delimiter" in message
    assert "--columns" in message


@pytest.mark.parametrize(("delimiter", "written"), [(";", "';'"), ("\t", "tab"), ("|", "'|'")])
def test_a_header_with_another_delimiter_is_answered_with_that(bench: Bench, delimiter: str, written: str) -> None:
    bench.put("f.csv", f"x{delimiter}c\n1{delimiter}a\n")
    message = bench.refused(SchemaError)
    assert "f.csv: has no columns 'x', 'c'" in message
    assert "did you mean" not in message
    assert f"\nadd --delimiter {written}: the header is one field" in message
    assert pipeline.inspect(bench.inputs / "f.csv").notes == (
        f"the header of f.csv is one field with another delimiter in it: add --delimiter {written}",
    )
    assert pipeline.inspect(bench.inputs / "f.csv", delimiter=delimiter).notes == ()


@pytest.mark.parametrize(
    ("before", "delimiter", "found", "options"),
    [
        ("# made by; hand\n", ",", "if the first line is a comment, add --comment '#'", {"comment": "#"}),
        ("sep=;\n", ";", "add --skip-lines 1 --delimiter ';': the", {"skip_lines": 1, "delimiter": ";"}),
        ("sep=,\n", ",", "add --skip-lines 1: the", {"skip_lines": 1}),
        ("SEP=\t\n", "\t", "add --skip-lines 1 --delimiter tab: the", {"skip_lines": 1, "delimiter": "\t"}),
    ],
    ids=["comment", "semicolon", "comma", "tab"],
)
def test_a_line_before_the_header_is_answered_with_the_option_that_skips_it(
    bench: Bench, before: str, delimiter: str, found: str, options: dict[str, Any]
) -> None:
    bench.put("f.csv", f"{before}x{delimiter}c\n1{delimiter}a\n")
    assert f"\n{found}" in bench.refused(SchemaError)
    (note,) = pipeline.inspect(bench.inputs / "f.csv").notes
    assert note.startswith(f"the first line of f.csv may not be its header: {found}")
    assert bench.score(**options).totals.read == 1


def test_a_header_that_begins_with_the_comment_character_is_replaced_as_the_message_says(bench: Bench) -> None:
    bench.put("f.csv", "#x,#c\n1,a\n")
    assert "if it is the header, add --skip-lines 1 --columns" in bench.refused(SchemaError)
    assert bench.score(skip_lines=1, columns=["x", "c"]).totals.read == 1
    bench.put("f.csv", "#x,c\n1,a\n")
    assert "with --skip-lines 1 they replace its header" in bench.refused(SchemaError)


@pytest.mark.parametrize("name", ["f.csv", "f.parquet"])
def test_a_misspelt_column_is_answered_with_the_near_one(bench: Bench, name: str) -> None:
    table = pa.table({"x": [1.0], "c": ["a"], "income": [1]})
    bench.put(name, table if name.endswith("parquet") else "x,c,income\n1,a,1\n")
    message = bench.refused(SchemaError, keep=["incme"])
    assert "has no column 'incme'" in message
    assert 'did you mean "income"?' in message


def test_a_column_without_a_name_is_answered_with_what_pandas_does(bench: Bench) -> None:
    bench.put("f.csv", ",x,c\n0,1,a\n")
    message = bench.refused(SchemaError, keep=[""])
    assert "f.csv: has a column without a name" in message
    assert "pandas writes its index there: write the file with to_csv(index=False), or name the index" in message


def test_a_name_that_is_twice_or_blank_matters_only_where_it_is_needed(bench: Bench) -> None:
    bench.put("f.csv", ",x,y,y,c\n0,1,5,6,a\n")
    assert bench.score().totals.scored == 1
    shutil.rmtree(bench.out)
    assert "has 2 columns 'y'; its header is '', x, y, y, c" in bench.refused(SchemaError, keep=["y"])


def test_a_csv_and_a_parquet_file_agree_on_a_kept_column_only_by_type(bench: Bench) -> None:
    bench.put("a.csv", "x,c,k\n1,a,7\n")
    bench.put("b.parquet", GOOD)
    message = bench.refused(SchemaError, keep=["k"])
    assert "k is string in 1 file (a.csv), int64 in 1 file (b.parquet)" in message
    assert "--type k=int64" in message
    bench.score(keep=["k"], types={"k": "int64"})
    assert bench.table()["k"].to_pylist() == [7, 1, 2]


def test_a_partition_is_a_constant_of_its_file(bench: Bench) -> None:
    bench.put("x=3/f.csv", "c\na\nb\n")
    bench.put("x=__HIVE_DEFAULT_PARTITION__/f.csv", "c\na\n")
    report = bench.score(keep=["x", "c"])
    assert report.totals.events == {"missing x": 1}
    assert bench.table().schema.field("x").type == pa.string()
    assert bench.table()["x"].to_pylist() == ["3", "3", None]
    *known, unknown = bench.table()["probability"].to_pylist()
    assert known == pytest.approx(sigmoid(np.array([4.5, 2.5])), rel=1e-14)
    assert unknown is None


def test_a_partition_that_is_no_number(bench: Bench) -> None:
    bench.put("x=3/f.csv", "c\na\n")
    bench.put("x=abc/f.csv", "c\na\n")
    assert "x=abc/f.csv: column 'x' is 'abc' in the path, which is not a number" in bench.refused(SchemaError)


WHOLE = parquet_bytes(pa.table({"x": np.arange(1000.0), "c": ["a"] * 1000}), compression="none", use_dictionary=False)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "f.parquet is empty: 0 bytes are not a Parquet file"),
        (b"PAR1", "f.parquet is cut short"),
        (WHOLE[: len(WHOLE) // 2], "f.parquet is cut short: its "),
        (WHOLE[:-1], "f.parquet is cut short: its "),
        ((HEAD + ROWS).encode(), r"f.parquet is not a Parquet file: it begins with b'x,c\n', not with b'PAR1'"),
        (WHOLE[:-8] + b"\xff\xff\xff\x7fPAR1", "f.parquet is damaged: a footer of 2,147,483,655 bytes"),
        (WHOLE[:-60] + b"\xff" * 50 + WHOLE[-10:], "f.parquet is "),
    ],
    ids=["0 bytes", "magic only", "half", "last byte", "renamed CSV", "footer length", "footer"],
)
def test_a_damaged_parquet_file_is_named_before_work(bench: Bench, content: bytes, found: str) -> None:
    bench.put("a.parquet", GOOD)
    bench.put("f.parquet", content)
    assert found in bench.refused(DataError)


def test_a_flipped_bit_in_a_page_is_found_by_its_checksum(bench: Bench) -> None:
    table = pa.table({"x": np.arange(1000.0), "c": ["a"] * 1000})
    content = bytearray(parquet_bytes(table, compression="none", use_dictionary=False, write_page_checksum=True))
    content[content.index(np.float64(500).tobytes())] ^= 1
    bench.put("f.parquet", bytes(content))
    assert "f.parquet is damaged" in bench.refused(DataError, known=False)


def test_a_folder_with_the_name_of_a_file_is_a_folder(bench: Bench) -> None:
    (bench.inputs / "x.parquet").mkdir()
    message = bench.refused(InputMissingError, inputs=bench.inputs / "x.parquet")
    assert "the folder" in message
    assert "contains no Parquet or CSV file" in message
    bench.put("x.parquet/f.parquet", GOOD)
    assert bench.score().totals.read == 2


GZIP = gzip.compress((HEAD + "".join(f"{i},a\n" for i in range(5000))).encode(), mtime=0)
ZSTD = bytes(pa.compress((HEAD + ROWS * 2500).encode(), "zstd", asbytes=True))


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("f.csv.gz", GZIP[:-100], "the gzip data is damaged or cut off near byte"),
        ("f.csv.gz", GZIP[:-4], "the gzip data is damaged or cut off near byte"),
        ("f.csv.gz", GZIP[:-7] + bytes([GZIP[-7] ^ 255]) + GZIP[-6:], "the gzip data is damaged or cut off near byte"),
        ("f.csv.gz", GZIP + b"garbage", "the gzip data is damaged or cut off near byte"),
        ("f.csv.zst", ZSTD[:-3], "the zstd data is damaged or cut off near byte"),
        ("f.csv.gz", (HEAD + ROWS).encode(), "is not gzip, although its name says so"),
    ],
    ids=["truncated", "no trailer", "CRC", "trailing garbage", "truncated zstd", "not compressed"],
)
def test_damaged_compression(bench: Bench, name: str, content: bytes, found: str) -> None:
    bench.put(name, content)
    with pytest.raises(DataError, match=f"{re.escape(name)}.* {found}"):
        bench.score()
    assert not bench.out.exists()


@pytest.mark.parametrize(("name", "content"), [("f.csv.gz", GZIP), ("f.csv.zst", ZSTD)])
def test_compressed_csv_is_streamed(bench: Bench, name: str, content: bytes) -> None:
    bench.put(name, content)
    assert bench.score(chunk_size=100).totals.scored == 5000


def test_a_bad_cell_in_a_compressed_csv_has_its_place_in_the_text(bench: Bench) -> None:
    bench.put("f.csv.gz", gzip.compress((HEAD + ROWS + "zz,a\n").encode()))
    message = bench.refused(BadCellsError, known=False)
    assert message.startswith("f.csv.gz: record 3 (byte 12), column x: 'zz' is not a number")


def test_empty_inputs_among_full_ones_are_zero_rows(bench: Bench) -> None:
    bench.put("a.parquet", GOOD.slice(0, 0))
    bench.put("b.csv", "")
    bench.put("c.parquet", GOOD)
    bench.put("d.csv", "x,c\n")
    bench.put("e.csv", "x,c")
    bench.put("f.csv", "x,c\n9,a\n")
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, GOOD.schema) as writer:
        for rows in (GOOD, GOOD.slice(0, 0), GOOD.slice(1)):
            writer.write_table(rows)
    bench.put("g.parquet", buffer.getvalue())
    assert bench.score(keep=["x"], types={"x": "float64"}).totals.read == 6
    assert bench.table()["x"].to_pylist() == [1, 2, 9, 1, 2, 2]


@pytest.mark.parametrize(
    ("name", "content", "known"),
    [
        ("f.parquet", GOOD.slice(0, 0), True),
        ("f.csv", "", True),
        ("f.csv", "x,c\n", True),
        ("f.csv", "x,c", True),
        ("f.csv.gz", gzip.compress(b"x,c\n"), False),
    ],
    ids=["parquet", "no byte", "header", "header without a line end", "compressed"],
)
def test_nothing_but_empty_inputs(bench: Bench, name: str, content: str | bytes | pa.Table, known: bool) -> None:
    bench.put(name, content)
    message = bench.refused(DataError, known=known)
    assert message == "the inputs have no rows\nuse --allow-empty if that is expected"
    report = bench.score(allow_empty=True, keep=["c"])
    assert (report.published, report.totals.read) == (True, 0)
    assert bench.table().num_rows == 0
    assert bench.table().schema.names == ["c", "probability"]
    assert bench.table().schema.field("probability").type == pa.float64()


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("in/nope.csv", "no such input: "),
        ("in/*.parquet", "nothing matches "),
        ("in", "contains no Parquet or CSV file; 1 file with another ending was skipped"),
    ],
)
def test_no_input(bench: Bench, former: Path, argument: str, found: str) -> None:
    bench.put("table.xlsx", "text")
    message = bench.refused(InputMissingError, inputs=bench.folder / argument, if_exists="replace")
    assert found in message
    assert argument in message
    assert InputMissingError.exit_code == 66


def test_a_name_too_long_for_the_system_names_nothing(bench: Bench) -> None:
    assert "nothing matches" in bench.refused(InputMissingError, inputs=bench.inputs / ("*" + "x" * 300))
    file = bench.put("f.csv", HEAD + ROWS)
    pattern = bench.inputs / ("f" + "*" * 300)
    assert bench.score(inputs=pattern).totals.read == 2
    assert file.exists()


def test_input_inside_the_output_and_output_inside_the_input(bench: Bench) -> None:
    file = bench.put("f.csv", HEAD + ROWS)
    message = bench.refused(UsageError, inputs=file, output=bench.inputs)
    assert f"{file}: this input lies inside the output {bench.inputs}" in message
    message = bench.refused(UsageError, output=bench.inputs / "out")
    assert f"{bench.inputs / 'out'} lies inside the input {bench.inputs}" in message
    assert UsageError.exit_code == 2


@pytest.mark.parametrize(
    ("pattern", "output", "options"),
    [
        ("in/*", "in/out", {}),
        ("*/*.csv", "in/out.csv", {}),
        ("in/**/*.csv", "in/out", {"format": "csv"}),
        ("in/../i[n]", "in/out", {}),
    ],
)
def test_an_output_that_a_pattern_would_find_the_next_time(
    bench: Bench, pattern: str, output: str, options: dict[str, str]
) -> None:
    bench.put("f.csv", HEAD + ROWS)
    output = bench.folder / output
    message = bench.refused(UsageError, inputs=bench.folder / pattern, output=output, **options)
    assert f"--output {output} would be found by the input {bench.folder / pattern}" in message
    assert bench.score(inputs=bench.inputs / "*.csv", output=bench.inputs / "apart").published


@pytest.mark.parametrize("other", ["in", "in/f.csv", "in/*.csv", "link"])
def test_an_input_named_twice(bench: Bench, other: str) -> None:
    bench.put("f.csv", HEAD + ROWS)
    (bench.folder / "link").symlink_to(bench.inputs)
    message = bench.refused(UsageError, inputs=[bench.inputs / "f.csv", bench.folder / other])
    assert "a file is named twice" in message
    assert "its rows would be counted twice" in message


def test_a_fifo_is_no_input(bench: Bench) -> None:
    os.mkfifo(bench.inputs / "f.csv")
    message = bench.refused(DataError)
    assert message.startswith("f.csv is a FIFO; only files can be read as data\n")


@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz", "f.parquet"])
@pytest.mark.parametrize("change", ["touched", "replaced", "grown", "removed"])
def test_an_input_that_changes_once_it_was_planned(bench: Bench, former: Path, name: str, change: str) -> None:
    content = {"f.csv": HEAD + ROWS, "f.csv.gz": gzip.compress((HEAD + ROWS).encode()), "f.parquet": GOOD}[name]
    path = bench.put(name, content)

    def disturb(event: object) -> None:
        if not isinstance(event, Planned):
            return
        if change == "touched":
            os.utime(path, ns=(1, 1))
        elif change == "replaced":
            bench.put("new", path.read_bytes()).replace(path)
        elif change == "grown":
            path.write_bytes(path.read_bytes() + b"3,a\n")
        else:
            path.unlink()

    before = {part.name: part.read_bytes() for part in former.iterdir()}
    with pytest.raises(InputChangedError, match=name) as caught:
        bench.score(observe=disturb, if_exists="replace")
    assert re.search("no such input|has changed since", str(caught.value))
    assert {part.name: part.read_bytes() for part in former.iterdir()} == before
    assert InputChangedError.exit_code == 65


def test_an_input_that_changes_while_another_is_read(bench: Bench) -> None:
    bench.put("a.csv", HEAD + ROWS * 10)
    path = bench.put("b.csv", HEAD + ROWS * 10)

    def disturb(event: object) -> None:
        if isinstance(event, Progressed) and path.stat().st_mtime_ns != 1:
            os.utime(path, ns=(1, 1))

    with pytest.raises(InputChangedError, match=r"b\.csv has changed"):
        bench.score(observe=disturb, chunk_size=2)
    assert not bench.out.exists()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (('"version": 1', '"version": 3'), "version at line 1, column 33: is 3; this release reads versions 1 and 2"),
        (('"intercept"', '"interceptt"'), 'unknown key "interceptt"; did you mean "intercept"?'),
        (("0.5", "NaN"), "intercept at line 1, column 80: NaN is not a finite number"),
        (("0.5", "1e999"), "intercept at line 1, column 80: 1e999 is beyond the range of float64"),
        (('"column": "c"', '"column": "x"'), 'features[1].column at line 1, column 155: "x" is already the column'),
    ],
    ids=["version", "unknown key", "NaN", "infinite", "column twice"],
)
def test_a_model_file_that_is_not_one(bench: Bench, change: tuple[str, str], found: str) -> None:
    bench.put("f.csv", HEAD + ROWS)
    model = bench.model(FEATURES)
    model.write_text(model.read_text().replace(*change))
    message = bench.refused(ModelError, model=model)
    assert message.startswith(f"{model} is not a valid model: ")
    assert found in message
    assert ModelError.exit_code == 65


def test_the_model_is_the_one_that_was_read(bench: Bench) -> None:
    bench.put("f.csv", HEAD + ROWS)
    model = bench.model()
    bench.score(model=model, observe=lambda event: model.write_text("{}"))
    assert bench.table()["probability"].to_numpy() == pytest.approx(sigmoid(np.array([2.5, 1.5])), rel=1e-14)


def test_a_pickle_is_not_opened(bench: Bench) -> None:
    bench.put("f.csv", HEAD + ROWS)
    model = bench.folder / "model.pkl"
    model.write_bytes(b"\x80\x04\x95\x00")
    message = bench.refused(ModelError, model=model)
    assert "a pickle runs code" in message
    assert "logitstream.from_sklearn" in message


def test_a_model_that_is_not_there(bench: Bench) -> None:
    bench.put("f.csv", HEAD + ROWS)
    assert "nope.json: no such file" in bench.refused(InputMissingError, model=bench.folder / "nope.json")


def test_the_command_says_it_on_stderr_and_publishes_nothing(bench: Bench, command) -> None:
    bench.put("f.csv", HEAD + ROWS + "abc,a\n")
    done = command("score", bench.inputs, "--model", bench.model(), "--output", bench.out, "-q")
    assert (done.returncode, done.stdout) == (65, "")
    assert done.stderr.startswith("error: f.csv: record 3 (byte 12), column x: 'abc' is not a number\n")
    assert "Traceback" not in done.stderr
    assert not bench.out.exists()


def test_plan_ends_with_the_code_of_score(bench: Bench, command) -> None:
    bench.put("f.csv", "x,d\n1,a\n")
    done = command("plan", bench.inputs, "--model", bench.model(), "--output", bench.out)
    assert (done.returncode, done.stdout) == (65, "")
    assert "f.csv: has no column 'c'; its header is x, d" in done.stderr


UNPRIVILEGED = """
import os, sys, pipeline
inputs, denied, model, output = sys.argv[1:]
# everything that is imported late must be imported before the user changes
pipeline.score(inputs, model, output + "-first", scheduler="sync")
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for call in (pipeline.preview, pipeline.score):
    try:
        call(denied, model, output, scheduler="sync")
    except pipeline.LogitstreamError as error:
        print(error.exit_code, error, sep="|")
"""


@pytest.fixture
def open_bench() -> Iterator[Bench]:
    """A bench that any user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        opened = Bench(Path(folder))
        opened.inputs.mkdir()
        for path in (opened.folder, opened.inputs):
            path.chmod(0o755)
        yield opened


def test_a_file_that_may_not_be_read(open_bench: Bench, command) -> None:
    good = open_bench.put("f.csv", HEAD + ROWS)
    denied = open_bench.put("denied.csv", HEAD + ROWS)
    denied.chmod(0)
    places = open_bench.folder / "results"
    places.mkdir()
    places.chmod(0o1777)
    model = open_bench.model()
    done = command(good, denied, model, places / "out", code=UNPRIVILEGED)
    assert done.returncode == 0, done.stderr
    message = (
        "77|denied.csv cannot be read: Permission denied\ngive the user who runs logitstream permission to read it\n"
    )
    assert done.stdout == message * 2
    assert sorted(p.name for p in places.iterdir() if not p.name.startswith(".")) == ["out-first"]
    assert PermissionDeniedError.exit_code == 77


def test_a_folder_that_may_not_be_written(open_bench: Bench, command) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make a folder that its own process then may not write")
    good = open_bench.put("f.csv", HEAD + ROWS)
    places = open_bench.folder / "results"
    places.mkdir(mode=0o755)
    done = command(good, good, open_bench.model(), places / "out", code=UNPRIVILEGED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("77|cannot write to ") == 2


FULL = """
import resource, sys, pipeline
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
inputs, model, output = sys.argv[1:]
try:
    pipeline.score(inputs, model, output, scheduler="sync", if_exists="replace")
except pipeline.LogitstreamError as error:
    print(error.exit_code, error, sep="|")
"""


def test_writing_that_the_system_refuses_leaves_the_former_version(bench: Bench, former: Path, command) -> None:
    bench.put("f.parquet", pa.table({"x": np.random.default_rng(1).normal(size=50_000), "c": ["a"] * 50_000}))
    before = {part.name: part.read_bytes() for part in former.iterdir()}
    done = command(bench.inputs, bench.model(), bench.out, code=FULL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("74|")
    assert "File too large" in done.stdout
    assert {part.name: part.read_bytes() for part in former.iterdir()} == before


@pytest.mark.parametrize("job", ["score", "plan"])
def test_a_disk_too_small_is_refused_before_work(bench: Bench, command, job: str) -> None:
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount a small file system, in a mount namespace of its own")
    bench.put("f.parquet", pa.table({"x": np.zeros(50_000), "c": ["a"] * 50_000}))
    place = bench.folder / "small"
    place.mkdir()
    script = 'mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@"'
    words = (job, bench.inputs, "--model", bench.model(), "--output", place / "out", "-q")
    done = command(*words, before=("unshare", "-m", "sh", "-c", script, str(place)))
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.returncode == 74, done.stderr
    assert re.search(r"the output takes about 391 KiB, but only \d+ KiB are free there\n", done.stderr), done.stderr
    assert "free some space, or choose another --output" in done.stderr


def test_two_files_of_one_name_are_told_apart(bench: Bench) -> None:
    for folder, content in (("d1", "x,c\n1,a\n"), ("d2", "x,c\nbad,a\n")):
        (bench.inputs / folder).mkdir()
        bench.put(f"{folder}/f.csv", content)
    inputs = [bench.inputs / "d1" / "f.csv", bench.inputs / "d2" / "f.csv"]
    assert "d2/f.csv: record 1 (byte 4)" in bench.refused(BadCellsError, known=False, inputs=inputs)
