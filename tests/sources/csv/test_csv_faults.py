"""Odd, damaged and hostile CSV files: the right rows, or what is wrong and where. See test_fault_rows.py."""

from __future__ import annotations

import bz2
import gzip
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.causes import remedy_of
from pipeline.errors import DataError, InputMissingError, LogitstreamError, MemoryBudgetError
from pipeline.sources import CsvSource, discover
from pipeline.types.inputs import CsvOptions, InputFile, Need
from pipeline.types.rows import BadCell
from tests.contracts.source import open_descriptors, read_told, whole

COMMA = "is not a number: it has a decimal comma"

Write = Callable[..., InputFile]
ROWS = b"".join(b'%d,"te\nxt %d"\n' % (number, number % 7) for number in range(3000))
X = [Need("x", "numeric")]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def new(content: bytes, name: str = "data.csv") -> InputFile:
        path = tmp_path / name
        path.write_bytes(content)
        return InputFile(name, str(path), 0, "csv")

    return new


def read(
    file: InputFile, needs: list[Need], options: CsvOptions | None = None, batch_rows: int = 1000, **sizes: int
) -> tuple[list[tuple[object, ...]], list[BadCell]]:
    source = CsvSource(options or CsvOptions(), **sizes)
    facts = source.facts(file)
    rows, _, told = read_told(source, facts, whole(facts), needs, batch_rows)
    return rows, told.bad


def refused(file: InputFile, match: str, kind: type[LogitstreamError] = DataError, **sizes: int) -> None:
    with pytest.raises(kind, match=match) as caught:
        read(file, X, **sizes)
    assert type(caught.value) is kind
    assert caught.value.message.startswith(file.path)
    assert caught.value.message.isprintable()
    assert open_descriptors(file.location) == 0


def found(bad: list[BadCell]) -> list[tuple[int, str, str, str]]:
    return [(cell.record, cell.column, cell.text, cell.reason) for cell in bad]


def test_c01_every_ragged_record_has_its_place_and_its_text(write: Write) -> None:
    content = b"x,y\n1,a\n2\n3,b,c\n4,d\n"
    rows, bad = read(write(content), X)
    assert rows == [(1.0,), (4.0,)]
    assert found(bad) == [(1, "", "2", "has 1 field instead of 2"), (2, "", "3,b,c", "has 3 fields instead of 2")]
    assert [(content.index((cell.line or "").encode() + b"\n"), cell.line) for cell in bad] == [
        (cell.offset, cell.text) for cell in bad
    ]


@pytest.mark.parametrize("piece_bytes", [1, 10, 64, 1000, 1 << 20])
def test_c02_quoted_line_ends_whatever_the_size_of_what_is_parsed(write: Write, piece_bytes: int) -> None:
    content = b"x,y\n" + b'1,"a\nb\r\n2,3\n"\n' * 300
    assert read(write(content), [Need("y", "kept")], piece_bytes=piece_bytes)[0] == [("a\nb\r\n2,3\n",)] * 300


@pytest.mark.parametrize("field", [b'1"x', b' "1"', b'" 1"', b'"1""2"'])
def test_c04_a_quote_inside_an_unquoted_field_stays_legal(write: Write, field: bytes) -> None:
    meant = {b'1"x': '1"x', b' "1"': ' "1"', b'" 1"': " 1", b'"1""2"': '1"2'}[field]
    content = b"x,y\n" + field + b",2\n" + field + b",3\n"
    for piece_bytes in (1, 7, 1000):
        assert read(write(content), [Need("x", "kept")], piece_bytes=piece_bytes) == ([(meant,)] * 2, [])


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (b'"1"x,2', 1),
        (b'"1""2"3,2', 1),
        (b'1,"2" ', 2),
        (b'12" pipe,"2"\'', 2),
        (b'"a\nb" ,2', 1),
        (b'"5" pipe, long",2,3', 1),
        (b'"\xff"x,2', 1),
        (b'"""",""""x', 2),
    ],
)
@pytest.mark.parametrize("needs", [[Need("x", "kept")], X], ids=["kept", "numeric"])
def test_c04_text_behind_a_closing_quote_makes_a_bad_row(
    write: Write, record: bytes, field: int, needs: list[Need]
) -> None:
    good = b'1,"2"\n"3",12" pipe\n'
    content = b"x,y\n" + good + record + b"\n" + good + record
    for piece_bytes in (1, 7, 1000):
        rows, bad = read(write(content), needs, piece_bytes=piece_bytes)
        assert [float(str(row[0])) for row in rows] == [1, 3, 1, 3]
        text = record.decode("utf-8", "backslashreplace")
        reason = f"has text behind a closing quote, in field {field}"
        assert found(bad) == [(2, "", text, reason), (5, "", text, reason)]
        assert {cell.cause for cell in bad} == {"behind quote"}
        assert [cell.line for cell in bad] == [text, text]


def test_c04_text_behind_a_closing_quote_in_the_header(write: Write) -> None:
    refused(write(b'x,"y"z\n1,2\n'), r'^data\.csv: the header has text behind a closing quote: x,"y"z')


@pytest.mark.parametrize("ends", [(b"\n", b"\r\n", b"\r"), (b"\r", b"\n", b"\r\n"), (b"\r\n", b"\r", b"\n")])
def test_c08_mixed_line_ends_and_none_at_the_end(write: Write, ends: tuple[bytes, bytes, bytes]) -> None:
    content = b"x,y" + ends[0] + b"1,2" + ends[1] + b"3,4" + ends[2] + b"5,6"
    assert read(write(content), X) == ([(1.0,), (3.0,), (5.0,)], [])


def test_c10_a_field_longer_than_what_is_parsed_at_a_time(write: Write) -> None:
    content = b"x,y\n1,a\n2," + b"y" * 3_000_000 + b"\n3,b\n"
    assert read(write(content), X, piece_bytes=1 << 20)[0] == [(1.0,), (2.0,), (3.0,)]
    refused(
        write(content),
        r"^data\.csv: the record at byte 8 is longer than 1 MiB",
        MemoryBudgetError,
        record_bytes=1 << 20,
    )


def test_c13_a_header_that_is_data_names_what_it_says(write: Write) -> None:
    source = CsvSource(CsvOptions())
    facts = source.facts(write(b"1,2\n3,4\n"))
    with pytest.raises(LookupError, match=r"^has no column 'x'; its header is 1, 2$"):
        source.field(facts, X[0])
    with pytest.raises(LookupError, match=r"^has no column 'x'; its header is 1, 2$"):
        read(facts.file, X)


def test_c15_a_header_in_the_middle_may_be_of_concatenated_files(write: Write) -> None:
    _, bad = read(write(b"x,y\n1,2\nx,y\n3,4\n"), X)
    assert found(bad) == [(1, "x", "x", "is not a number; this record repeats the header (were files concatenated?)")]


def test_c16_a_decimal_comma_is_no_number(write: Write) -> None:
    rows, bad = read(write(b"x;y\n1,5;a\n2;b\n"), X, CsvOptions(delimiter=";"))
    assert (rows, found(bad)) == ([(2.0,)], [(0, "x", "1,5", COMMA)])
    source = CsvSource(CsvOptions())
    with pytest.raises(LookupError, match="its header is x;y"):
        source.field(source.facts(write(b"x;y\n1,5;a\n")), X[0])


@pytest.mark.parametrize("cell", ["19134,07", "-0,5", "1.234,56", "1,5e3", " 7,25 "])
def test_a_decimal_comma_is_told_from_other_texts(write: Write, cell: str) -> None:
    assert found(read(write(f"x;y\n{cell};a\n".encode()), X, CsvOptions(delimiter=";"))[1]) == [(0, "x", cell, COMMA)]


@pytest.mark.parametrize("cell", ["True", "FALSE", "true", " False"])
def test_a_truth_value_for_a_number_is_read_with_a_type(write: Write, cell: str) -> None:
    file = write(f"x,y\n{cell},1\n".encode())
    _, bad = read(file, X)
    assert [each.cause for each in bad] == ["boolean for a number"]
    assert "--type NAME=bool" in remedy_of(bad[0].cause)
    if cell == cell.strip():
        assert read(file, [Need("x", "numeric", "bool")]) == ([(cell.lower() == "true",)], [])


@pytest.mark.parametrize("cell", ["1,234", "1 234", "1.234.567", "1_000", "$5", "5%", "€5", "5kg", "(5)", "1e", "0x"])
def test_c17_numbers_written_for_people_are_bad_cells(write: Write, cell: str) -> None:
    _, bad = read(write(f'x,y\n"{cell}",1\n'.encode()), X)
    assert found(bad) == [(0, "x", cell, "is not a number")]


@pytest.mark.parametrize("spelling", ["NA", "N/A", "null", "NULL", "None", "n/a", "#N/A", "-"])
def test_c18_only_the_spellings_that_were_named_are_null(write: Write, spelling: str) -> None:
    file = write(f"x,y\n{spelling},1\n,2\n".encode())
    assert found(read(file, X)[1]) == [(0, "x", spelling, "is not a number")]
    assert read(file, X, CsvOptions(nulls=(spelling,))) == ([(None,), (None,)], [])
    assert read(file, [Need("x", "categorical")])[0] == [(spelling,), (None,)]


@pytest.mark.parametrize(
    ("cell", "type_name", "reason"),
    [
        ("9223372036854775808", "int64", "is not of type int64"),
        ("300", "int8", "is not of type int8"),
        ("-1", "uint32", "is not of type uint32"),
        ("1.5", "int32", "is not of type int32"),
        ("1e400", "float64", "is beyond the range of double"),
        ("-1e400", "float64", "is beyond the range of double"),
        ("1e39", "float32", "is beyond the range of float"),
        ("1" + "0" * 400, "float64", "is beyond the range of double"),
    ],
)
def test_c19_a_number_beyond_its_type(write: Write, cell: str, type_name: str, reason: str) -> None:
    rows, bad = read(write(f"x,y\n1,a\n{cell},b\n".encode()), [Need("x", "kept", type_name)])
    assert (rows, found(bad)) == ([(1,)], [(1, "x", cell[:200], reason)])


@pytest.mark.parametrize("early", [b"", b"1", b"2013-01-01"])
def test_c20_no_type_comes_from_the_rows_that_come_first(write: Write, early: bytes) -> None:
    content = b"x,y\n" + (early + b",1\n") * 30_000 + b"0.5,text\n"
    needs = [Need("x", "categorical"), Need("y", "kept")]
    rows, bad = read(write(content), needs, batch_rows=100_000)
    assert (rows[0], rows[-1], bad) == ((early.decode() or None, "1"), ("0.5", "text"), [])
    if early != b"2013-01-01":
        assert read(write(content), X, batch_rows=100_000)[0][-1] == (0.5,)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_c22_compressed_data_cut_anywhere_or_with_more_behind_it(write: Write, codec: str) -> None:
    content = gzip.compress(b"x,y\n" + ROWS) if codec == "gzip" else pa.compress(b"x,y\n" + ROWS, codec, asbytes=True)
    for size in [*range(8, len(content) - 1, len(content) // 25), len(content) - 1]:
        refused(write(content[:size]), r"^data\.csv: the (gzip|zstd) data is damaged or cut off near byte")
    for tail in (b"garbage", b"\x1f\x8b", content[: len(content) // 2]):
        refused(write(content + tail), r"^data\.csv: the (gzip|zstd) data is damaged or cut off near byte")


@pytest.mark.parametrize("zeros", [1, 2, 9, 511, 512, 10_240, 300_000])
def test_c22_zero_padding_behind_a_gzip_member_is_read(write: Write, zeros: int) -> None:
    members = [gzip.compress(b"x,y\n" + ROWS), gzip.compress(ROWS)]
    for content in (members[0], b"".join(members)):
        expected = read(write(content, "data.csv.gz"), X)
        assert read(write(content + bytes(zeros), "data.csv.gz"), X) == expected
        refused(write(content + bytes(zeros) + b"x", "data.csv.gz"), "the gzip data is damaged or cut off near byte")
    # Blocks of a tape may be filled up between members, too; Python reads it so.
    between = bytes(zeros).join(members)
    assert gzip.decompress(between) == gzip.decompress(content)
    assert read(write(between, "data.csv.gz"), X) == expected


def test_c22_zeros_inside_a_gzip_member_are_damage(write: Write) -> None:
    content = gzip.compress(b"x,y\n" + ROWS)
    refused(write(content[:-4] + bytes(512), "data.csv.gz"), "the gzip data is damaged or cut off near byte")
    refused(write(content[: len(content) // 2] + bytes(512), "data.csv.gz"), "the gzip data is damaged or cut off")


def test_c22_flips_in_compressed_data_are_noticed(write: Write) -> None:
    content = bytearray(gzip.compress(b"x,y\n" + ROWS, mtime=0))
    expected = read(write(bytes(content)), X)
    for position in range(10, len(content), len(content) // 60):
        content[position] ^= 1 << position % 8
        refused(write(bytes(content)), "damaged or cut off")
        content[position] ^= 1 << position % 8
    assert read(write(bytes(content)), X) == expected


@pytest.mark.parametrize(
    ("content", "kind"),
    [(bz2.compress(b"x,y\n1,2\n"), "bzip2"), (pa.compress(b"x,y\n1,2\n" * 9, "lz4", asbytes=True), "lz4")],
)
def test_c22_other_compression_is_refused_by_name(write: Write, content: bytes, kind: str) -> None:
    refused(write(content), rf"^data\.csv is {kind}, not CSV")


@pytest.mark.parametrize(
    ("content", "remedy"),
    [(b"PAR1 and so on PAR1", "a name that ends in .parquet"), (bz2.compress(b"x,y\n1,2\n"), "gzip or zstd")],
)
def test_what_is_not_csv_is_told_what_to_do(write: Write, content: bytes, remedy: str) -> None:
    with pytest.raises(DataError, match="not CSV") as caught:
        read(write(content), X)
    assert caught.value.remedy.endswith(remedy)


def test_c23_a_second_header_in_a_second_member_is_recognised(write: Write) -> None:
    member = gzip.compress(b"x,y\n1,2\n")
    rows, bad = read(write(member + member, "data.csv.gz"), X)
    assert rows == [(1.0,), (1.0,)]
    assert found(bad) == [(1, "x", "x", "is not a number; this record repeats the header (were files concatenated?)")]


def test_c24_a_gzip_of_one_byte_without_a_line_end(write: Write) -> None:
    file = write(gzip.compress(b"x,y\n1,2\n" + b"0" * 30_000_000, 9), "data.csv.gz")
    assert Path(file.location).stat().st_size < 40_000
    pa.array([0])  # imports pandas where it is installed, which is not to be measured
    tracemalloc.start()
    try:
        refused(
            file, r"^data\.csv\.gz: the record at byte 8 is longer than 1 MiB", MemoryBudgetError, record_bytes=1 << 20
        )
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("preamble", [b"# made by hand\n", b"Report of 2013\n\n", b"sep=,\n", b";;;\n"])
def test_c25_lines_before_the_header_are_taken_for_one(write: Write, preamble: bytes) -> None:
    source = CsvSource(CsvOptions())
    facts = source.facts(write(preamble + b"x,y\n1,2\n"))
    with pytest.raises(LookupError, match=r"^has no column 'x'; its header is "):
        source.field(facts, X[0])


def test_c25_comments_and_totals_are_bad_records(write: Write) -> None:
    content = b"x,y\n1,2\n# a comment\nTotal: 3\n\nz\n5,6\n"
    rows, bad = read(write(content), X)
    assert rows == [(1.0,), (5.0,)]
    assert [cell.text for cell in bad] == ["# a comment", "Total: 3", "z"]
    assert {cell.reason for cell in bad} == {"has 1 field instead of 2"}


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socket"])
def test_c27_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.csv"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mknod(path, 0o140600)
    with pytest.raises(DataError, match=r"^data\.csv is a \w+( \w+)?; only files can be read as data"):
        CsvSource(CsvOptions()).facts(InputFile("data.csv", str(path), 0, "csv"))


def test_c27_standard_input_has_no_name_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputMissingError, match=r"^no such input: -\n"):
        discover(["-"])
    reading, writing = os.pipe()
    try:
        with pytest.raises(DataError, match="is a FIFO; only files can be read as data"):
            discover([f"/dev/fd/{reading}"])
    finally:
        os.close(reading)
        os.close(writing)
