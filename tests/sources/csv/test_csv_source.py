"""What a CSV gives: its facts, its rows, and what it is refused for."""

from __future__ import annotations

import datetime
import gzip
import itertools
import math
import random
import signal
import threading
import zlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, InputChangedError, InputMissingError, MemoryBudgetError, UsageError
from pipeline.sources.column_types import arrow_type
from pipeline.sources.csv import cells as csv_cells
from pipeline.sources.csv.dialect import Dialect
from pipeline.sources.csv.parse import CsvParser
from pipeline.sources.csv.reader import CsvReader
from pipeline.sources.csv.source import CsvSource
from pipeline.sources.csv.spelling import Spelling
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need
from pipeline.types.rows import BadCell, Slice
from tests.contracts.source import check_source

Rows = list[tuple[object, ...]]
Write = Callable[..., InputFile]
BOM = b"\xef\xbb\xbf"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    numbers = itertools.count()

    def new(content: bytes, name: str = "data.csv", partitions: tuple[tuple[str, str | None], ...] = ()) -> InputFile:
        path = tmp_path / str(next(numbers)) / name
        path.parent.mkdir()
        path.write_bytes(content)
        return InputFile(name, str(path), 0, "csv", partitions)

    return new


def kept(facts: FileFacts) -> list[Need]:
    return [Need(column.field.name, "kept") for column in facts.columns]


@dataclass
class Read:
    """What a whole file gave: the closed reader, and its bad records."""

    reader: CsvReader
    bad: list[BadCell]

    @property
    def bad_count(self) -> int:
        return self.reader.bad_count

    @property
    def begin(self) -> int:
        return self.reader.begin

    @property
    def end(self) -> int:
        return self.reader.end


def read(
    file: InputFile, needs: Sequence[Need] | None = None, options: CsvOptions | None = None, **sizes: int
) -> tuple[Rows, Read]:
    source = CsvSource(options or CsvOptions(), **sizes)
    facts = source.facts(file)
    piece = Slice(0, facts.data_start, facts.identity.size, None)
    rows: Rows = []
    bad: list[BadCell] = []
    with source.read(file, facts.identity, piece, kept(facts) if needs is None else needs, 100_000) as reader:
        for batch in reader:
            batch.validate(full=True)
            bad += reader.take_bad()
            rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    assert reader.rows == len(rows)
    assert len(bad) == reader.bad_count
    return rows, Read(reader, bad)


def names(file: InputFile, options: CsvOptions | None = None) -> list[str]:
    return [column.field.name for column in CsvSource(options or CsvOptions()).facts(file).columns]


def only_bad(file: InputFile, needs: Sequence[Need] | None = None, options: CsvOptions | None = None) -> BadCell:
    reader = read(file, needs, options)[1]
    assert reader.bad_count == len(reader.bad) == 1
    return reader.bad[0]


TABLE = pa.table(
    {
        "id": [f"row {number}" for number in range(60)],
        "x": [None if number % 7 == 0 else number / 3 for number in range(60)],
        "text": ["line\nbreak", 'q"q', "", "a,b", None, "é\r\nü"] * 10,
    }
)


@pytest.mark.parametrize("options", [CsvOptions(), CsvOptions(delimiter=";", quote="'")])
def test_the_contract_of_a_source(write: Write, options: CsvOptions) -> None:
    def make(table: pa.Table) -> InputFile:
        rows = [[_cell(value, options) for value in row] for row in zip(*table.to_pydict().values(), strict=True)]
        lines = [options.delimiter.join(row) for row in [table.column_names, *rows]]
        return write("\n".join(lines).encode() + b"\n")

    needs = [Need("text", "kept"), Need("x", "numeric"), Need("id", "categorical"), Need("id", "kept")]
    expected = pa.table([TABLE["text"], TABLE["x"], TABLE["id"], TABLE["id"]], names=["0", "1", "2", "3"])
    check_source(CsvSource(options), make, TABLE, needs, expected)


def _cell(value: object, options: CsvOptions) -> str:
    if not isinstance(value, str):
        return "" if value is None else repr(value)
    return options.quote + value.replace(options.quote, options.quote * 2) + options.quote


@pytest.mark.parametrize("name", ["data.csv.gz", "data.csv"])
def test_the_contract_of_a_source_holds_for_a_compressed_file(write: Write, name: str) -> None:
    def make(table: pa.Table) -> InputFile:
        sink = pa.BufferOutputStream()
        arrow_csv.write_csv(table, sink)
        return write(gzip.compress(sink.getvalue().to_pybytes()), name)

    check_source(CsvSource(CsvOptions()), make, TABLE, [Need("x", "numeric"), Need("text", "kept")])


class TestHeader:
    def test_names_come_as_they_are_written(self, write: Write) -> None:
        file = write(BOM + b'"a,1"," b","two\r\nlines","say ""no""",caf\xc3\xa9,12" pipe\r\n1,2,3,4,5,6\r\n')
        assert names(file) == ["a,1", " b", "two\r\nlines", 'say "no"', "café", '12" pipe']
        assert read(file)[0] == [("1", "2", "3", "4", "5", "6")]

    @pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n", BOM])
    def test_an_empty_file_has_no_columns_and_no_rows(self, write: Write, content: bytes) -> None:
        assert names(write(content)) == []
        rows, reader = read(write(content), [Need("x", "numeric")])
        assert (rows, reader.bad_count, reader.end) == ([], 0, len(content))

    def test_an_empty_file_contradicts_no_need(self, write: Write) -> None:
        source = CsvSource(CsvOptions())
        assert source.field(source.facts(write(b"")), Need("x", "numeric")).type == pa.float64()

    @pytest.mark.parametrize("content", [b"a,b", b"a,b\n", b"a,b\r\n\r\n", BOM + b"a,b\r"])
    def test_a_header_alone_is_zero_rows(self, write: Write, content: bytes) -> None:
        assert names(write(content)) == ["a", "b"]
        rows, reader = read(write(content))
        assert (rows, reader.bad_count, reader.end) == ([], 0, len(content))

    def test_a_header_longer_than_what_is_read_at_first(self, write: Write) -> None:
        wide = [f"column_number_{number:06d}" for number in range(6000)]
        file = write(",".join(wide).encode() + b"\n" + b",".join([b"1"] * 6000))
        assert names(file) == wide
        assert read(file, [Need(wide[-1], "numeric")])[0] == [(1.0,)]

    def test_names_given_by_the_caller_leave_no_header(self, write: Write) -> None:
        options = CsvOptions(columns=("x", "y"))
        assert read(write(BOM + b"1,2\n3,4\n"), options=options)[0] == [("1", "2"), ("3", "4")]
        assert read(write(b""), options=options)[0] == []

    def test_duplicate_and_blank_names_matter_only_where_needed(self, write: Write) -> None:
        file = write(b",a,b,a\n0,1,2,3\n")
        source = CsvSource(CsvOptions())
        facts = source.facts(file)
        assert read(file, [Need("b", "numeric")])[0] == [(2.0,)]
        with pytest.raises(LookupError, match="2 columns 'a'; its header is '', a, b, a"):
            source.field(facts, Need("a", "kept"))
        with pytest.raises(LookupError, match="a column without a name"):
            source.field(facts, Need("", "kept"))

    def test_a_missing_column_names_the_header_found(self, write: Write) -> None:
        source = CsvSource(CsvOptions())
        with pytest.raises(LookupError, match="no column 'x'; its header is 1, 2"):
            source.field(source.facts(write(b"1,2\n3,4\n")), Need("x", "numeric"))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b'a,"b\n1,2\n', "quote in the header is not closed"),
            (b"a\0,b\n1,2\n", "NUL"),
            (b"a,\xe9\n1,2\n", "not valid utf-8"),
            (b"," * 70_000 + b"\n", "70,001 columns"),
            ("a,b\n1,2\n".encode("utf-16"), "--encoding utf-16"),
            ("a,b\n1,2\n".encode("utf-32"), "--encoding utf-32"),
            (b"PAR1....", "is Parquet"),
            (b"BZh91AY", "is bzip2"),
            (b"x" * 9_000_000, "does not end within 4 MiB"),
        ],
    )
    def test_what_is_no_header(self, write: Write, content: bytes, message: str) -> None:
        with pytest.raises(DataError, match=message):
            CsvSource(CsvOptions()).facts(write(content))


class TestFacts:
    def test_rows_are_estimated_from_both_ends(self, write: Write) -> None:
        facts = CsvSource(CsvOptions()).facts(write(b"a,b\n" + b"123,45678\n" * 50_000))
        assert facts.rows is None
        assert facts.cuttable
        assert facts.data_start == 4
        assert facts.row_bytes == pytest.approx(10, rel=0.01)
        assert facts.estimated_rows == pytest.approx(50_000, rel=0.01)

    def test_a_compressed_file_is_one_slice_with_an_estimate(self, write: Write) -> None:
        content = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(50_000)))
        facts = CsvSource(CsvOptions()).facts(write(content, "data.csv.gz"))
        assert (facts.cuttable, facts.data_start) == (False, 0)
        assert facts.estimated_rows == pytest.approx(50_000, rel=0.5)

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputMissingError):
            CsvSource(CsvOptions()).facts(InputFile("x.csv", str(tmp_path / "x.csv"), 0, "csv"))

    @pytest.mark.parametrize(
        "options",
        [
            CsvOptions(delimiter=""),
            CsvOptions(delimiter="ab"),
            CsvOptions(delimiter="\n"),
            CsvOptions(delimiter='"'),
            CsvOptions(quote="é"),
            CsvOptions(escape="é"),
            CsvOptions(escape='"'),
            CsvOptions(escape=","),
            CsvOptions(escape="\\", comment="\\"),
            CsvOptions(comment="//"),
            CsvOptions(comment=","),
            CsvOptions(comment='"'),
            CsvOptions(quote="", comment="\n"),
            CsvOptions(skip_lines=-1),
            CsvOptions(encoding="klingon"),
            CsvOptions(encoding="base64"),
            CsvOptions(types=(("a", "integer"),)),
        ],
    )
    def test_options_that_cannot_be(self, options: CsvOptions) -> None:
        with pytest.raises(UsageError):
            CsvSource(options)


class TestRecords:
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_line_ends(self, write: Write, end: bytes) -> None:
        content = end.join([b"a,b", b"1,x", b"", b'2,"y\r\n"', b"3,"])
        assert read(write(content))[0] == [("1", "x"), ("2", "y\r\n"), ("3", None)]
        assert read(write(content + end))[0] == read(write(content))[0]

    def test_one_column_has_blank_lines_as_rows(self, write: Write) -> None:
        assert read(write(b"a\n1\n\n\n2\n"))[0] == [("1",), (None,), (None,), ("2",)]
        assert read(write(b"a\r\n1\r\n\r\n2"))[0] == [("1",), (None,), ("2",)]

    def test_a_quote_inside_a_field_is_text(self, write: Write) -> None:
        assert read(write(b'a,b\n12" pipe,x\na"b"c,"d"\n'))[0] == [('12" pipe', "x"), ('a"b"c', "d")]

    def test_no_quoting_at_all(self, write: Write) -> None:
        assert read(write(b'a,b\n"x,y"\n'), options=CsvOptions(quote=""))[0] == [('"x', 'y"')]

    def test_a_byte_order_mark_in_the_middle_is_data(self, write: Write) -> None:
        rows = [("x" * 20, "y"), ("\ufeffx", "y"), ("\ufeff\ufeff", None)]
        content = b"a,b\n" + b"x" * 20 + b",y\n" + BOM + b"x,y\n" + BOM + BOM + b",\n"
        for piece_bytes in (1, 8, 24, 1000):
            assert read(write(content), piece_bytes=piece_bytes)[0] == rows

    def test_a_quoted_field_of_many_lines_over_many_pieces(self, write: Write) -> None:
        text = 'line, with "quotes"\n' * 5000
        quoted = text.replace('"', '""').encode()
        content = b"a,b\n" + (b'1,"' + quoted + b'"\n2,x\n') * 3
        rows = read(write(content), piece_bytes=1000)[0]
        assert rows == [("1", text), ("2", "x")] * 3

    def test_batches_are_bounded_and_small_batches_take_small_pieces(self, write: Write) -> None:
        file = write(b"a,b\n" + b"123456,abcdef\n" * 200_000)
        source = CsvSource(CsvOptions())
        facts = source.facts(file)
        before = pa.total_allocated_bytes()
        with source.read(file, facts.identity, Slice(0, 4, facts.identity.size, None), kept(facts), 1000) as reader:
            peak = 0
            for batch in reader:
                assert batch.num_rows <= 1000
                peak = max(peak, pa.total_allocated_bytes() - before)
        assert reader.rows == 200_000
        assert reader.bytes_read >= facts.identity.size
        assert peak < 1_000_000


class TestValues:
    def test_roles_and_types(self, write: Write) -> None:
        content = b"n,c,k,d,t,m,b\n1.5,AA,007,2020-02-29,2013-01-01 05:00:00,12.50,true\n,,,,,,\n"
        types = (("d", "date32"), ("t", "timestamp[us]"), ("m", "decimal128(12, 2)"), ("b", "bool"))
        needs = [Need("n", "numeric"), Need("c", "categorical"), Need("k", "kept")]
        needs += [Need(name, "kept") for name, _ in types] + [Need("k", "kept", "int64")]
        source = CsvSource(CsvOptions(types=types))
        facts = source.facts(write(content))
        fields = [source.field(facts, need).type for need in needs]
        assert fields[:3] == [pa.float64(), pa.dictionary(pa.int32(), pa.string()), pa.string()]
        first, second = read(facts.file, needs, CsvOptions(types=types))[0]
        moment = datetime.datetime(2013, 1, 1, 5)
        assert first == (1.5, "AA", "007", datetime.date(2020, 2, 29), moment, Decimal("12.50"), True, 7)
        assert second == (None,) * 8

    def test_an_unknown_type_suggests_the_nearest(self) -> None:
        with pytest.raises(UsageError, match='did you mean "float64"'):
            CsvSource(CsvOptions(types=(("a", "flaot64"),)))

    def test_null_is_the_unquoted_empty_field(self, write: Write) -> None:
        assert read(write(b'a,b\n,""\n'))[0] == [(None, "")]

    def test_spellings_of_null_are_for_features_alone(self, write: Write) -> None:
        content = b'a,b\nNA,NA\n1,"NA"\n,\n-,-\n'
        needs = [Need("a", "numeric"), Need("a", "kept"), Need("b", "categorical"), Need("b", "kept")]
        rows = read(write(content), needs, CsvOptions(nulls=("NA", "-")))[0]
        assert rows == [
            (None, "NA", None, "NA"),
            (1.0, "1", "NA", "NA"),
            (None, None, None, None),
            (None, "-", None, "-"),
        ]

    def test_kept_text_stays_as_written_where_no_feature_reads_it(self, write: Write) -> None:
        rows = read(write(b"a,b\nNA,1\n 1.50 ,NA\n"), options=CsvOptions(nulls=("NA",)))[0]
        assert rows == [("NA", "1"), (" 1.50 ", "NA")]

    def test_infinities_are_values(self, write: Write) -> None:
        rows, reader = read(write(b"a,b\ninf,1\n-Infinity,2\nnan,3\n"), [Need("a", "numeric")])
        assert rows[:2] == [(math.inf,), (-math.inf,)]
        assert math.isnan(rows[2][0])
        assert reader.bad_count == 0

    def test_the_bits_of_good_rows_do_not_depend_on_bad_ones(self, write: Write) -> None:
        numbers = [b"0.1", b"1e-320", b"123456789.123456789", b"2.2250738585072014e-308", b"9007199254740993.0"]
        good = read(write(b"a,b\n" + b"".join(n + b",x\n" for n in numbers)), [Need("a", "numeric")])[0]
        mixed = b"a,b\n" + b"".join(n + b",x\nNA,y\n1e400,z\n1\n" for n in numbers)
        rows, reader = read(write(mixed), [Need("a", "numeric")])
        assert rows == good
        assert reader.bad_count == 15
        assert [cell.text for cell in reader.bad] == ["NA", "1e400", "1"] * 5

    @pytest.mark.parametrize("cell", ["9007199254740993", "-9007199254740993", "+009007199254740993", "1" + "0" * 300])
    @pytest.mark.parametrize("form", ["{}", '"{}"', " {}\t"])
    def test_an_integer_that_float64_does_not_have_is_a_bad_cell(self, write: Write, cell: str, form: str) -> None:
        written = form.format(cell)
        file = write(f"a,b\n0.1,x\n{written},y\n1e300,z\n".encode())
        for needs in ([Need("a", "numeric")], [Need("a", "kept", "float64"), Need("a", "numeric")]):
            rows, reader = read(file, needs)
            assert rows == [(0.1,) * len(needs), (1e300,) * len(needs)]
            assert [(bad.record, bad.column, bad.text) for bad in reader.bad] == [(1, "a", written.strip('"')[:200])]
            assert reader.bad[0].reason == "cannot be held exactly as a float64 (integers: up to 9007199254740992)"
            assert file_tail(file, reader.bad[0]).startswith(written.encode())

    def test_large_numbers_that_are_values(self, write: Write) -> None:
        cells = [
            "9007199254740992",
            "-9007199254740992",
            "0009007199254740992",
            "9007199254740993.0",
            "9007199254740993.",
        ]
        cells += ["1e300", "9007199254740993e0", "inf", "-Infinity", "", "9" * 15]
        file = write("\n".join(["a,b", *(f"{cell},x" for cell in cells)]).encode())
        rows, reader = read(file, [Need("a", "numeric")])
        assert rows == [(float(cell) if cell else None,) for cell in cells]
        assert reader.bad_count == 0
        assert read(file, [Need("a", "kept")])[0] == [(cell or None,) for cell in cells]

    def test_an_integer_that_is_no_feature_is_what_its_type_says(self, write: Write) -> None:
        file = write(b"a,b\n9007199254740993,x\n")
        assert read(file, [Need("a", "kept", "int64")])[0] == [(2**53 + 1,)]
        assert read(file, [Need("a", "numeric", "int64")])[0] == [(2**53 + 1,)]
        assert only_bad(file, [Need("a", "numeric")]).reason.startswith("cannot be held exactly")
        assert read(file, [Need("a", "numeric", "float32")])[0] == [(2.0**53,)]

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(cells=st.lists(st.integers(-(2**55), 2**55) | st.integers(2**53 - 3, 2**53 + 3), min_size=1, max_size=20))
    def test_integers_come_exactly_or_not_at_all(self, write: Write, cells: list[int]) -> None:
        rows, reader = read(
            write("\n".join(["a,b", *(f"{cell},x" for cell in cells)]).encode()), [Need("a", "numeric")]
        )
        assert [int(row[0]) for row in rows] == [cell for cell in cells if abs(cell) <= 2**53]  # type: ignore[call-overload]
        assert reader.bad_count == len(cells) - len(rows)

    @pytest.mark.parametrize("content", [b"a,b\n1,x\n2,y\n", b'a,b\n1,"x\ny"\n"2",\n', b"a,b\r\n1,\xff\r\n2,y"])
    def test_no_needs_still_count_the_rows(self, write: Write, content: bytes) -> None:
        source = CsvSource(CsvOptions())
        facts = source.facts(write(content))
        piece = Slice(0, facts.data_start, facts.identity.size, None)
        with source.read(facts.file, facts.identity, piece, [], 1) as reader:
            assert [(batch.num_rows, batch.num_columns) for batch in reader] == [(1, 0), (1, 0)]
        assert (reader.rows, reader.bad_count) == (2, 0)

    def test_no_needs_leave_out_bad_records(self, write: Write) -> None:
        source = CsvSource(CsvOptions())
        facts = source.facts(write(b'a,b\n1,"x"\n2\n3,z\n'))
        piece = Slice(0, facts.data_start, facts.identity.size, None)
        with source.read(facts.file, facts.identity, piece, [], 10) as reader:
            assert [batch.num_rows for batch in reader] == [2]
        assert reader.bad_count == 1

    def test_partition_values_are_constants(self, write: Write) -> None:
        file = write(b"x\n1\n2\n", partitions=(("year", "2013"), ("empty", None)))
        needs = [Need("year", "numeric"), Need("x", "kept"), Need("year", "kept"), Need("empty", "kept")]
        assert read(file, needs)[0] == [(2013.0, "1", "2013", None), (2013.0, "2", "2013", None)]
        assert read(file, [Need("year", "kept", "int64")])[0] == [(2013,), (2013,)]

    def test_a_column_in_file_and_path(self, write: Write) -> None:
        source = CsvSource(CsvOptions())
        facts = source.facts(write(b"x\n1\n", partitions=(("x", "2"),)))
        with pytest.raises(LookupError, match="both in the file and in its path"):
            source.field(facts, Need("x", "kept"))


class TestBadRecords:
    def test_text_in_a_numeric_column(self, write: Write) -> None:
        file = write(b"id,x\n1,2\n2,abc\n3,4\n")
        assert only_bad(file, [Need("x", "numeric")]) == BadCell(1, "x", "abc", "no number", offset=9, line="2,abc")
        assert read(file, [Need("x", "numeric")])[0] == [(2.0,), (4.0,)]

    def test_a_finite_literal_that_overflows(self, write: Write) -> None:
        cell = only_bad(write(b"x,y\ninf,1\n1e400,2\n"), [Need("x", "numeric")])
        assert cell == BadCell(1, "x", "1e400", "out of range", ("double",), offset=10, line="1e400,2")
        assert cell.reason == "is beyond the range of double"
        cell = only_bad(write(b"x,y\n3e38,1\n1e39,2\n"), [Need("x", "numeric", "float32")])
        assert (cell.record, cell.text) == (1, "1e39")

    @pytest.mark.parametrize(
        ("line", "fields", "reason"),
        [(b"1,2,3", 3, "has 3 fields instead of 2"), (b"1", 1, "has 1 field instead of 2")],
    )
    @pytest.mark.parametrize("tail", [b"", b'8,"q"\n'])
    def test_ragged(self, write: Write, line: bytes, fields: int, reason: str, tail: bytes) -> None:
        file = write(b"a,b\n\n1,2\n\r\n" + line + b"\n3,4\n" + tail)
        cell = only_bad(file)
        assert cell == BadCell(1, "", line.decode(), "ragged", (fields, 2), offset=11, line=line.decode())
        assert cell.reason == reason
        assert read(file)[0][:2] == [("1", "2"), ("3", "4")]

    def test_invalid_utf8_is_bad_where_it_is_needed(self, write: Write) -> None:
        file = write(b"a,b\nx,y\n\xe9t\xe9,z\nw,w\n")
        assert only_bad(file) == BadCell(1, "a", r"\xe9t\xe9", "undecodable", ("UTF-8",), offset=8, line=r"\xe9t\xe9,z")
        assert only_bad(file, [Need("a", "categorical")]).column == "a"
        assert read(file, [Need("b", "kept")])[0] == [("y",), ("z",), ("w",)]

    def test_nul_is_bad_wherever_it_stands(self, write: Write) -> None:
        file = write(b"a,b\nx,y\nq,z\0\nw,w\n")
        cell = BadCell(1, "b", "z\0", "nul byte", offset=8, line="q,z\0")
        assert only_bad(file, [Need("a", "kept")]) == cell

    @pytest.mark.parametrize("byte", [b"\xff", b"\0"])
    @pytest.mark.parametrize("mark", ["?", ".", "|"])
    def test_one_bad_byte_costs_no_other_row_whatever_the_delimiter(self, write: Write, mark: str, byte: bytes) -> None:
        content = "a,b\n1,äb\n2,ö\n3,c\n4,z#\n5,ü\n".replace(",", mark).encode().replace(b"#", byte)
        file = write(content)
        rows, reader = read(file, options=CsvOptions(delimiter=mark))
        assert [row[0] for row in rows] == ["1", "2", "3", "5"]
        assert [cell.record for cell in reader.bad] == [3]

    def test_a_torn_tail_of_nul(self, write: Write) -> None:
        cell = only_bad(write(b"a,b\nx,y\n" + bytes(5000)))
        assert (cell.record, cell.offset, len(cell.text)) == (1, 8, 200)

    @pytest.mark.parametrize("needs", [None, [Need("a", "kept")], [Need("b", "numeric")]])
    def test_an_unterminated_quote(self, write: Write, needs: list[Need] | None) -> None:
        content = b'a,b\nx,1\ny,"2\nz,3\n'
        cell = only_bad(write(content), needs)
        assert (cell.record, cell.column, cell.offset, cell.text) == (1, "", 8, 'y,"2\nz,3\n')
        assert cell.line == cell.text
        assert "not closed" in cell.reason
        rows, reader = read(write(content), needs)
        assert len(rows) == 1
        assert reader.end == len(content)

    def test_a_repeated_header_is_recognised(self, write: Write) -> None:
        cell = only_bad(write(b"x,y\n1,2\nx,y\n3,4\n"), [Need("y", "numeric")])
        assert (cell.column, cell.text) == ("y", "y")
        assert "were files concatenated?" in cell.reason

    @pytest.mark.parametrize("header", [b"x,y\n", b'"x","y"\r\n', BOM + b"x,y\n"])
    def test_a_header_where_names_are_given_is_recognised(self, write: Write, header: bytes) -> None:
        options = CsvOptions(columns=("x", "y"))
        for file in (write(header + b"1,2\n"), write(gzip.compress(header + b"1,2\n"), "data.csv.gz")):
            cell = only_bad(file, [Need("y", "numeric")], options)
            assert (cell.record, cell.text) == (0, "y")
            assert cell.reason == "is not a number; this record looks like a header: leave out --columns"
        assert only_bad(write(b"1,2\nx,y\n"), [Need("y", "numeric")], options).reason == "is not a number"

    def test_offsets_of_bad_records_behind_many_pieces(self, write: Write) -> None:
        lines = [b'%d,"t\n%d"\n' % (number, number) for number in range(5000)]
        lines[4321] = b'oops,"t\n1"\n'
        cell = only_bad(write(b"a,b\n" + b"".join(lines)), [Need("a", "numeric")])
        assert (cell.record, cell.offset) == (4321, 4 + len(b"".join(lines[:4321])))

    def test_every_cell_bad_is_found_in_reasonable_time(self, write: Write) -> None:
        content = b"a,b\n" + b"".join(b"1e%dx,%d\n" % (number, number) for number in range(30_000))
        reader = read(write(content), [Need("a", "numeric")])[1]
        assert reader.bad_count == 30_000

    def test_a_record_longer_than_the_limit(self, write: Write) -> None:
        begin = b'a,b\n1,2\n3,"'
        file = write(begin + b"x\n" * 40_000)
        with pytest.raises(MemoryBudgetError, match=r"the record at byte 8 is longer than 1000 B"):
            read(file, piece_bytes=100, record_bytes=1000)
        file = write(begin + b"x\n" * 2_000)
        source = CsvSource(CsvOptions(), piece_bytes=100, record_bytes=1000)
        facts = source.facts(file)
        with source.read(file, facts.identity, Slice(0, 9, facts.identity.size, None), kept(facts), 9) as reader:
            list(reader)
        assert reader.bad_count > 0


class TestEncodings:
    def test_latin_1_is_cut_by_bytes(self, write: Write) -> None:
        content = 'näme,wert\nü\u00a0é,1\n"ÿ\nß",x\n'.encode("latin-1")
        options = CsvOptions(encoding="latin-1")
        source = CsvSource(options)
        facts = source.facts(write(content))
        assert facts.cuttable
        for piece_bytes in (1, 5, 100):
            rows, reader = read(facts.file, options=options, piece_bytes=piece_bytes)
            assert rows == [("ü\u00a0é", "1"), ("ÿ\nß", "x")]
            assert reader.end == len(content)
        cell = only_bad(facts.file, [Need("wert", "numeric")], options)
        assert (cell.record, cell.offset) == (1, content.index(b'"'))

    def test_a_byte_that_the_encoding_does_not_have(self, write: Write) -> None:
        cell = only_bad(write(b"a,b\n\x80,1\nx\x81,2\n"), options=CsvOptions(encoding="cp1252"))
        assert (cell.record, cell.column, cell.offset, cell.reason) == (1, "a", 8, "is not valid cp1252")

    @pytest.mark.parametrize(
        "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "shift_jis", "gb18030", "cp037"]
    )
    def test_other_encodings_are_one_slice(self, write: Write, encoding: str) -> None:
        text = 'name,x\n"ア,1",2\nabc,y\n' if encoding != "cp037" else 'name,x\n"a,1",2\nabc,y\n'
        file = write(text.encode(encoding))
        options = CsvOptions(encoding=encoding)
        assert not CsvSource(options).facts(file).cuttable
        rows = read(file, options=options, piece_bytes=3)[0]
        assert rows == [("ア,1" if encoding != "cp037" else "a,1", "2"), ("abc", "y")]
        cell = only_bad(file, [Need("x", "numeric")], options)
        assert (cell.record, cell.text) == (1, "y")
        plain = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(encoding, encoding)
        assert file_tail(file, cell) == "abc,y\n".encode(plain)

    def test_offsets_in_utf_16(self, write: Write) -> None:
        for encoding, before in (("utf-16", "a,b\n1,😀\n"), ("utf-16-le", "a,b\n1,😀\n")):
            file = write((before + "x,1\n").encode(encoding))
            cell = only_bad(file, [Need("a", "numeric")], CsvOptions(encoding=encoding))
            assert cell.offset == len(before.encode(encoding))

    def test_broken_utf_16(self, write: Write) -> None:
        content = "a,b\nx,y\n".encode("utf-16-le") + b"\x00\xd8" + "z,1\n".encode("utf-16-le")
        assert read(write(content), options=CsvOptions(encoding="utf-16-le"))[1].bad_count == 1


def file_tail(file: InputFile, cell: BadCell) -> bytes:
    assert cell.offset is not None
    return Path(file.location).read_bytes()[cell.offset :]


class TestCompressed:
    ROWS = b"".join(b'%d,"te\nxt"\n' % number for number in range(20_000))

    def test_gzip_and_zstd_are_streams(self, write: Write) -> None:
        plain = read(write(b"a,b\n" + self.ROWS), [Need("a", "numeric"), Need("b", "kept")])[0]
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(b"a,b\n" + self.ROWS)
        for content in (gzip.compress(b"a,b\n" + self.ROWS), sink.getvalue().to_pybytes()):
            rows, reader = read(write(content), [Need("a", "numeric"), Need("b", "kept")])
            assert rows == plain
            assert (reader.begin, reader.end) == (0, len(content))

    def test_members_one_behind_the_other(self, write: Write) -> None:
        content = gzip.compress(b"a,b\n1,2\n3") + gzip.compress(b",4\n") + gzip.compress(b"")
        assert read(write(content))[0] == [("1", "2"), ("3", "4")]

    @pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage", "checksum"])
    def test_damage_is_an_error(self, write: Write, damage: str) -> None:
        content = bytearray(gzip.compress(b"a,b\n" + self.ROWS))
        if damage == "truncated":
            del content[-20:]
        elif damage == "flipped":
            content[len(content) // 2] ^= 0x10
        elif damage == "checksum":
            content[-8] ^= 1
        else:
            content += b"garbage"
        with pytest.raises(DataError, match="damaged or cut off"):
            read(write(bytes(content)))

    def test_damage_behind_the_rows_that_are_taken_is_not_met(self, write: Write) -> None:
        source = CsvSource(CsvOptions(), piece_bytes=10_000)
        facts = source.facts(write(gzip.compress(b"a,b\n" + 8 * self.ROWS)[:-20]))
        slice_ = Slice(0, 0, facts.identity.size, None)
        with source.read(facts.file, facts.identity, slice_, kept(facts), 50) as reader:
            assert next(iter(reader))["a"].to_pylist()[:2] == ["0", "1"]
        with source.read(facts.file, facts.identity, slice_, kept(facts), 50) as reader:
            with pytest.raises(DataError, match="damaged or cut off"):
                list(reader)
            assert reader.rows > 100_000
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("logitstream-ahead")]

    def test_truncated_zstd(self, write: Write) -> None:
        content = pa.compress(b"a,b\n" + self.ROWS, "zstd", asbytes=True)
        with pytest.raises(DataError, match="damaged or cut off"):
            read(write(content[:-7]))

    def test_a_name_that_lies(self, write: Write) -> None:
        with pytest.raises(DataError, match="is not gzip, although its name says so"):
            read(write(b"a,b\n1,2\n", "data.csv.gz"))

    def test_offsets_are_those_of_the_text(self, write: Write) -> None:
        content = b"a,b\n" + b"1,2\n" * 100_000 + b"x,2\n"
        cell = only_bad(write(gzip.compress(content)), [Need("a", "numeric")])
        assert (cell.record, cell.offset) == (100_000, len(content) - 4)

    def test_a_great_text_in_a_small_file_takes_little_memory(self, write: Write) -> None:
        packer = zlib.compressobj(wbits=31)
        line = b"1,2\n" * 250_000
        content = packer.compress(b"a,b\n") + b"".join(packer.compress(line) for _ in range(30)) + packer.flush()
        file = write(content)
        source = CsvSource(CsvOptions())
        facts = source.facts(file)
        peak, before, rows = 0, pa.total_allocated_bytes(), 0
        with source.read(file, facts.identity, Slice(0, 0, len(content), None), [Need("a", "numeric")], 4096) as reader:
            for batch in reader:
                rows += batch.num_rows
                peak = max(peak, pa.total_allocated_bytes() - before)
        assert rows == 7_500_000
        assert peak < 8_000_000


def test_a_file_that_grows_while_it_is_read(write: Write) -> None:
    file = write(b"a,b\n" + b"1,2\n" * 1000)
    source = CsvSource(CsvOptions())
    facts = source.facts(file)
    with source.read(file, facts.identity, Slice(0, 4, facts.identity.size, None), kept(facts), 10) as reader:
        batches = iter(reader)
        next(batches)
        with Path(file.location).open("ab") as stream:
            stream.write(b"3,4\n")
        with pytest.raises(InputChangedError, match=r"data\.csv has changed"):
            list(batches)


def test_a_begin_behind_the_stop_is_zero_rows(write: Write) -> None:
    file = write(b"a,b\n1,2\n3,4\n")
    source = CsvSource(CsvOptions())
    facts = source.facts(file)
    with source.read(file, facts.identity, Slice(0, 5, 7, None), kept(facts), 10, begin=8) as reader:
        assert list(reader) == []
    assert (reader.begin, reader.end, reader.rows) == (8, 8, 0)


@pytest.mark.parametrize(("type_name", "alphabet"), [("float64", "+-.eE09 ifnaxt("), ("int64", "+-0x9aF .e")])
@pytest.mark.parametrize("decimal", [".", ","])
def test_the_numerals_are_those_that_the_parser_takes(type_name: str, alphabet: str, decimal: str) -> None:
    alphabet = alphabet.replace(".", decimal)
    type_ = arrow_type(type_name)
    parser = CsvParser(Dialect(), 1)
    chosen = random.Random(7)
    cells = {"".join(letters) for length in (1, 2) for letters in itertools.product(alphabet, repeat=length)}
    cells |= {"".join(chosen.choices(alphabet, k=chosen.randint(3, 6))) for _ in range(1500)}
    cells |= {"nan", "-NaN", "inf", "+Infinity", "nan(1a)", "1e5", "0x1F", "-0x1F", "007", "\v1", "1\f", "\n1", "1\r"}
    ordered = sorted(cell.encode() for cell in cells)
    options = parser.converting({0: type_}, (), decimal=decimal)
    taken = [
        cell
        for cell in ordered
        if parser.parse(parser.piece(b'"' + cell + b'"\n', final=True), options).arrays is not None
    ]
    columns = SimpleNamespace(parser=parser, spelling=Spelling(decimal=decimal))
    refused = csv_cells._refused(pa.array(ordered, pa.binary()), type_, columns)
    assert sorted(set(ordered) - set(refused)) == taken


def test_a_line_that_is_longer_than_slices_is_searched_in_little_memory(write: Write) -> None:
    content = b"a,b\n1," + b"x" * 5_000_000 + b"\r\n2,y\r\n"
    source = CsvSource(CsvOptions())
    facts = source.facts(write(content))
    begins = []
    for start in range(1_000_000, 5_000_000, 1_000_000):
        piece = Slice(0, start, start + 1_000_000, None)
        with source.read(facts.file, facts.identity, piece, kept(facts), 10) as reader:
            assert list(reader) == []
        begins.append((reader.begin, reader.end))
    assert begins == [(len(content) - 5, len(content) - 5)] * 4


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b'%d,%d,"first, ""line""\nsecond"\n', id="at the end"),
        pytest.param(b'%d,"first\r\nsecond\r\n\r\nlast",%d\r\n', id="in the middle"),
        pytest.param(b'"\n%d",%d,"\n1,2\n"\n', id="like records"),
    ],
)
def test_a_slice_begins_where_a_record_does_though_each_has_line_ends_in_quotes(write: Write, record: bytes) -> None:
    records = [record % (number, number * number) for number in range(3_000)]
    source = CsvSource(CsvOptions())
    facts = source.facts(write(b"a,b,c\n" + b"".join(records)))
    begins = list(itertools.accumulate(map(len, records), initial=facts.data_start))
    for start in range(5_000, facts.identity.size, 5_000):
        piece = Slice(0, start, start + 5_000, None)
        with source.read(facts.file, facts.identity, piece, kept(facts), 1_000) as reader:
            next(iter(reader))
        assert reader.begin == begins[bisect_left(begins, start)]


@pytest.mark.parametrize("long_field", [b"x" * 200_000, b'"' + b"x\n" * 100_000 + b'"'])
def test_a_long_record_across_the_stop_does_not_make_batches_small(write: Write, long_field: bytes) -> None:
    content = b"a,b\n" + b"1,2\n" * 2000 + b"3," + long_field + b"\n" + b"4,5\n" * 2000
    source = CsvSource(CsvOptions())
    facts = source.facts(write(content))
    with source.read(facts.file, facts.identity, Slice(0, 0, 8010, None), kept(facts), 100_000) as reader:
        assert len(list(reader)) <= 3
    assert (reader.rows, reader.end) == (2001, len(content) - 8000)


class TestTheNumbersOfRecords:
    def test_bad_records_are_handed_out_while_they_are_few(self, write: Write) -> None:
        content = b"a\n" + b"x\n" * 40_000 + b"1\n"
        source = CsvSource(CsvOptions())
        facts = source.facts(write(content))
        piece = Slice(0, facts.data_start, facts.identity.size, None)
        most = taken = 0
        with source.read(facts.file, facts.identity, piece, [Need("a", "numeric")], 10_000) as reader:
            for batch in reader:
                bad = reader.take_bad()
                most, taken = max(most, len(bad)), taken + len(bad)
                assert reader.bad_count == taken
                last = batch
        assert (most, taken) == (16_384, 40_000)
        assert last.num_rows == reader.rows == 1

    def test_batches_that_are_parts_of_a_piece(self, write: Write) -> None:
        lines = [b"bad" if number % 3 == 1 else b"%d" % number for number in range(20)]
        source = CsvSource(CsvOptions())
        facts = source.facts(write(b"a\n" + b"\n".join(lines)))
        with source.read(facts.file, facts.identity, Slice(0, 2, facts.identity.size, None), kept(facts)[:0], 100) as r:
            assert [batch.num_rows for batch in r] == [20]
        with source.read(
            facts.file, facts.identity, Slice(0, 2, facts.identity.size, None), [Need("a", "numeric")], 4
        ) as reader:
            for batch in reader:
                values = batch.column(0).to_pylist()
                assert [reader.record(row) for row in range(len(values))] == values
                backwards = reader.origins(range(len(values) - 1, -1, -1))
                assert [float(origin.line or "") for origin in backwards] == values[::-1]
                assert [origin.offset for origin in backwards] == [
                    2 + len(b"\n".join(lines[: int(value)])) + 1 if value else 2 for value in values[::-1]
                ]

    def test_of_a_long_line_64_kib_are_kept(self, write: Write) -> None:
        cell = only_bad(write(b"a,b\nx," + b"\xc3\xa9" * 100_000 + b"\n"), [Need("a", "numeric")])
        assert cell.line == "x," + "é" * 32_767
        cell = only_bad(write(b"a,b\nx," + b"y" * 65_534 + b"\r\n"), [Need("a", "numeric")])
        assert cell.line == "x," + "y" * 65_534

    def test_a_line_is_the_text_that_its_encoding_makes_of_it(self, write: Write) -> None:
        options = CsvOptions(encoding="cp1252")
        cell = only_bad(write(b"a,b\n\x80\x81,2\n"), options=options)
        assert (cell.text, cell.line) == ("€\ufffd", "€\ufffd,2")


def test_a_signal_whose_handler_returns_costs_no_text(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow stops when a signal arrives on the main thread, and then sends it to the handler of the program."""
    calls: list[int] = []
    received: list[int] = []
    parse = arrow_csv.read_csv

    def interrupted(*arguments: object, **options: object) -> pa.Table:
        calls.append(len(calls))
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
            raise pa.ArrowCancelled("Operation cancelled", signal.SIGINT)
        return parse(*arguments, **options)

    monkeypatch.setattr(arrow_csv, "read_csv", interrupted)
    before = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        rows, reader = read(write(b"a,b\n1,2\n3\n4,5\n"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert received == [signal.SIGINT]
    assert rows == [("1", "2"), ("4", "5")]
    assert reader.bad_count == 1
    assert len(calls) >= 2
