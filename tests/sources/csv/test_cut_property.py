"""Pieces of a CSV parsed apart are the rows of the whole file parsed by one reader, for any bytes."""

from __future__ import annotations

import gzip
import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.sources.csv import parse as csv_parse
from pipeline.sources.csv import quoting as csv_quoting
from pipeline.sources.csv.source import CsvSource
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need
from pipeline.types.rows import BadCell, Origin, Slice
from pipeline.units import KIB
from tests.contracts.source import read_told

BOM = b"\xef\xbb\xbf"
TOKENS = [b",", b",", b'"', b'"', b"\n", b"\n", b"\r", b"\r\n", b"a", b"b", b"1", b" ", b"\xc3\xa9"]
LUMPS = [
    b'""',
    b'"a\nb"',
    b',"',
    b'",',
    b'"\n',
    b'\n"',
    b"a,b\n",
    b"1,1,1\r\n",
    b'12" pipe,',
    b"\n\n",
    b"\r\r",
    b'"\r\n"',
]
SPECIAL = [b"\\", b'\\"', b"\\\\", b'"\\""', b'\\",', b"C:\\new", b"\\\n", b"#", b"\n#", b'#"a\n', b'"\n#\n"', b'"1"x']
NASTY = [b"\xff", b"\0", BOM, b"\xed\xb3\xbf", b"NA", b"x", b"y", b"z"]

PLAIN = CsvOptions()

Row = tuple[object, ...]


def csv_bytes(nasty: bool = True, special: bool = False) -> st.SearchStrategy[bytes]:
    tokens = TOKENS * 3 + LUMPS * 2 + (NASTY if nasty else []) + (SPECIAL * 3 if special else [])
    return st.lists(st.sampled_from(tokens), max_size=25).map(b"".join)


# How a file is written, with a comma as delimiter: its structure depends on the first four.
DIALECTS = st.builds(
    CsvOptions,
    quote=st.sampled_from(['"', '"', ""]),
    escape=st.sampled_from(["", "\\", "\\", "b"]),
    skip_lines=st.sampled_from([0, 0, 0, 1, 3]),
    comment=st.sampled_from(["", "#", "a"]),
    nulls=st.sampled_from([("",), ("", "NA"), ("", "pandas"), ("", "pandas", "a", "\\")]),
    quoted_null=st.booleans(),
    decimal=st.sampled_from([".", ".", "!"]),
    thousands=st.sampled_from(["", "'", " "]),
)


@dataclass
class Read:
    """What slices gave one behind the other; records are counted from the first one."""

    rows: list[Row]
    origins: list[Origin]
    bad: list[BadCell]
    odd: int = 0
    line_ends: int = 0


def in_file(content: bytes, folder: str) -> InputFile:
    path = Path(folder) / "data.csv"
    path.write_bytes(content)
    return InputFile("data.csv", str(path), 0, "csv")


def read_in_slices(source: CsvSource, facts: FileFacts, needs: list[Need], size: int, batch_rows: int = 1000) -> Read:
    """Read a file as the flow does: every slice guesses, and is read again where the guess was wrong."""
    total = Read([], [], [])
    known = facts.data_start
    for start in range(0, max(1, facts.identity.size), size):
        piece = Slice(0, start, min(start + size, facts.identity.size), None)
        rows, reader, told = read_told(source, facts, piece, needs, batch_rows)
        if reader.begin != known:
            rows, reader, told = read_told(source, facts, piece, needs, batch_rows, known)
            assert reader.begin == known
        before = len(total.rows) + len(total.bad)
        known = reader.end
        total.odd += reader.events.get("odd quoting", 0)
        total.line_ends += reader.events.get("line ends inside quotes", 0)
        total.rows += rows
        total.origins += [replace(origin, record=before + origin.record) for origin in told.origins]
        total.bad += [replace(cell, record=before + cell.record) for cell in told.bad]
    assert known == facts.identity.size
    return total


class Hand(NamedTuple):
    """A record found char by char. A field is ``None`` if it is empty and unquoted."""

    begin: int
    fields: list[bytes | None]
    closed: bool
    odd: bool
    behind: bool
    line_ends: int


def records_by_hand(text: bytes, columns: int, options: CsvOptions = PLAIN) -> Iterator[Hand]:
    """Give the records of a text without what is before the first of them, char by char."""
    quote, escape = (ord(character) if character else -1 for character in (options.quote, options.escape))
    at = 0

    def escapes(place: int) -> bool:
        return text[place] == escape and place + 1 < len(text) and text[place + 1] in {quote, escape}

    while at < len(text):
        begin = at
        if columns > 1 and text[at] in b"\r\n":
            at += 1
            continue
        fields: list[bytes | None] = []
        closed = ended = odd = behind = False
        line_ends = 0
        while not ended:
            cell, was_quoted, closed = bytearray(), False, True
            if at < len(text) and text[at] == quote:
                at, was_quoted, closed = at + 1, True, False
                while at < len(text) and not closed:
                    if escapes(at) or (text[at] == quote and text[at + 1 : at + 2] == bytes([quote])):
                        at += 1
                        cell.append(text[at])
                    elif text[at] != quote:
                        line_ends += text[at] in b"\r\n" and text[at : at + 2] != b"\r\n"
                        cell.append(text[at])
                    else:
                        closed = True
                    at += 1
            while at < len(text) and text[at] not in b",\r\n":
                behind = behind or was_quoted
                if escapes(at):
                    at += 1
                else:
                    odd = odd or text[at] == quote
                cell.append(text[at])
                at += 1
            fields.append(bytes(cell) if cell or was_quoted else None)
            ended = at >= len(text) or text[at] in b"\r\n"
            at += 2 if text[at : at + 2] == b"\r\n" else 1
        yield Hand(begin, fields, closed, odd, behind, line_ends)


def begin_by_hand(text: bytes, columns: int, options: CsvOptions) -> int | None:
    """Return where the first record may begin, ``None`` where the text has too few lines."""
    at = len(BOM) if text.startswith(BOM) else 0
    for _ in range(options.skip_lines):
        if at == len(text):
            return None
        at = line_by_hand(text, at)
    while options.comment:
        begin = at
        while columns > 1 and begin < len(text) and text[begin] in b"\r\n":
            begin += 1
        if text[begin : begin + 1] != options.comment.encode():
            break
        at = line_by_hand(text, begin)
    return at


def line_by_hand(text: bytes, at: int) -> int:
    while at < len(text) and text[at] not in b"\r\n":
        at += 1
    return min(len(text), at + (2 if text[at : at + 2] == b"\r\n" else 1))


def is_utf8(cell: bytes | None) -> bool:
    try:
        (cell or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def lone_doubled(text: bytes) -> bytes:
    """Return a text with two backslashes for each that stands before neither a quote nor a backslash."""
    return re.sub(rb'\\(["\\]?)', lambda match: b"\\" + (match[1] or b"\\"), text)


def one_reader(text: bytes, columns: int, wanted: list[int], escape: str = "") -> tuple[list[Row], int]:
    """Return the rows that Arrow makes of a whole text, ragged records left out, and how many those are.

    The last line is ended: at the very end of a file Arrow 26 takes the empty field behind ``"a",`` for a quoted one.
    """
    ragged = []

    def skip(row: object) -> str:
        ragged.append(row)
        return "skip"

    if not text:
        return [], 0
    names = [str(position) for position in range(columns)]
    table = arrow_csv.read_csv(
        pa.BufferReader(BOM + text + (b"" if text.endswith((b"\r", b"\n")) else b"\n")),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=1 << 20, column_names=names),
        parse_options=arrow_csv.ParseOptions(
            newlines_in_values=True,
            ignore_empty_lines=columns > 1,
            invalid_row_handler=skip,
            escape_char=escape or False,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[names[position] for position in wanted],
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True)), len(ragged)


# LOGITSTREAM_EXAMPLES=20000 looks for longer
EXAMPLES = int(os.environ.get("LOGITSTREAM_EXAMPLES", "40"))
BLOCKS = st.sampled_from([2, 5, 16, 64, 1 << 20])
MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(
    content=csv_bytes(special=True),
    columns=st.integers(1, 4),
    dialect=DIALECTS,
    size=st.integers(1, 30),
    piece_bytes=st.sampled_from([1, 2, 3, 5, 8, 13, 40, 1000]),
    block_bytes=BLOCKS,
    tile=st.sampled_from([1, 3, 256 * KIB]),
    data=st.data(),
)
@example(b'a,"b\n', 2, CsvOptions(), 3, 1, 64, 3, None)
@example(b'a,"b\r\nc"\n', 2, CsvOptions(), 30, 40, 5, 3, None)
@example(b'\0\0\0C"2",""",,\n', 1, CsvOptions(), 30, 40, 9, 3, None)
@example(b'3,"5\\"",0.7\n4,"7\\"",0.8\n', 3, CsvOptions(escape="\\"), 3, 1, 64, 3, None)
@example(b'C:\\new\\,\\"x\\\\\n"\\\\",\\', 2, CsvOptions(escape="\\"), 3, 1000, 9, 3, None)
def test_slices_read_apart_are_the_rows_of_the_whole(
    content, columns, dialect, size, piece_bytes, block_bytes, tile, data
) -> None:
    numbers = st.lists(st.integers(0, columns - 1), min_size=1, unique=True).map(sorted)
    wanted = data.draw(numbers) if data else list(range(columns))
    options = replace(dialect, columns=tuple(f"c{number}" for number in range(columns)))
    source = CsvSource(options, piece_bytes=piece_bytes, block_bytes=block_bytes)
    needs = [Need(f"c{number}", "kept") for number in wanted]
    skipped = begin_by_hand(content, columns, options)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_parse, "_TILE", tile)
        file = in_file(content, folder)
        if content.startswith((b"\xff\xfe", b"\x1f\x8b")):
            return
        if skipped is None:
            with pytest.raises(DataError, match="--skip-lines"):
                source.facts(file)
            return
        got = read_in_slices(source, source.facts(file), needs, size)
    rows: list[Row] = []
    bad: list[int] = []
    records = list(records_by_hand(content[skipped:], columns, options))
    for record in records:
        chosen = [record.fields[number] for number in wanted] if len(record.fields) == columns else []
        torn = any(b"\0" in (field or b"") for field in record.fields)
        comment = bool(options.comment) and content[skipped + record.begin :].startswith(options.comment.encode())
        if not record.closed or not chosen or torn or record.behind or comment or not all(map(is_utf8, chosen)):
            bad.append(record.begin + skipped)
        else:
            rows.append(tuple(field if field is None else field.decode() for field in chosen))
    assert got.rows == rows
    assert [cell.offset for cell in got.bad] == bad
    assert got.line_ends == sum(record.line_ends for record in records)


@MANY
@given(
    content=csv_bytes(nasty=False, special=True),
    columns=st.integers(1, 3),
    dialect=DIALECTS,
    headed=st.booleans(),
    size=st.integers(1, 30),
    piece_bytes=st.sampled_from([1, 5, 13, 40, 1000]),
    block_bytes=BLOCKS,
)
def test_what_is_compressed_or_utf_16_has_the_rows_of_the_plain_file(
    content, columns, dialect, headed, size, piece_bytes, block_bytes
) -> None:
    names = tuple(f"c{number}" for number in range(columns))
    options = dialect if headed else replace(dialect, columns=names)
    needs = [Need(name, "kept") for name in names]
    content = b"1\n" * dialect.skip_lines + (",".join(names).encode() + b"\n" if headed else b"") + content
    forms = {
        "utf-8": [content, gzip.compress(content), zstd_bytes(content)],
        "utf-16": [content.decode().encode("utf-16")],
    }
    read = []
    with tempfile.TemporaryDirectory() as folder:
        for encoding, texts in forms.items():
            source = CsvSource(replace(options, encoding=encoding), piece_bytes=piece_bytes, block_bytes=block_bytes)
            for text in texts:
                facts = source.facts(in_file(text, folder))
                read.append(read_in_slices(source, facts, needs, size if facts.cuttable else facts.identity.size))
    for other in read:
        assert other.rows == read[0].rows
        assert [(cell.record, cell.text, cell.cause, cell.line) for cell in other.bad] == [
            (cell.record, cell.text, cell.cause, cell.line) for cell in read[0].bad
        ]
        assert (other.odd, other.line_ends) == (read[0].odd, read[0].line_ends)


def zstd_bytes(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@MANY
@given(
    content=csv_bytes(nasty=False) | csv_bytes(nasty=False, special=True),
    columns=st.integers(1, 4),
    escape=st.sampled_from(["", "\\"]),
    size=st.integers(1, 30),
    piece_bytes=st.sampled_from([1, 4, 9, 30, 1000]),
    block_bytes=BLOCKS,
)
def test_slices_read_apart_are_the_rows_of_one_arrow_reader(
    content, columns, escape, size, piece_bytes, block_bytes
) -> None:
    names = tuple(f"c{number}" for number in range(columns))
    options = CsvOptions(columns=names, escape=escape)
    source = CsvSource(options, piece_bytes=piece_bytes, block_bytes=block_bytes)
    # Arrow takes text behind a closing quote, which is a bad row.
    assume(not any(record.behind for record in records_by_hand(content, columns, options)))
    with tempfile.TemporaryDirectory() as folder:
        got = read_in_slices(source, source.facts(in_file(content, folder)), [Need(n, "kept") for n in names], size)
    rows, ragged = one_reader(lone_doubled(content) if escape else content, columns, list(range(columns)), escape)
    open_at_end = [cell for cell in got.bad if "not closed" in cell.reason]
    if open_at_end:
        assert rows[: len(got.rows)] == got.rows
        assert len(rows) + ragged == len(got.rows) + len(got.bad)
    else:
        assert (rows, ragged) == (got.rows, len(got.bad))


@MANY
@given(
    content=csv_bytes(special=True)
    | st.lists(st.sampled_from([*LUMPS, b'"1"x,', b'1"2,', b'x"\n']), max_size=40).map(b"".join),
    columns=st.integers(1, 4),
    escape=st.sampled_from(["", "\\"]),
    size=st.integers(1, 90),
    piece_bytes=st.sampled_from([1, 5, 13, 40, 1000]),
    batch_rows=st.integers(1, 5),
    block=st.sampled_from([1, 7, 64, 100, 1000]),
    few=st.sampled_from([0, 1, 16]),
)
def test_odd_quoting_is_counted_alike_in_any_cut(
    content, columns, escape, size, piece_bytes, batch_rows, block, few
) -> None:
    options = CsvOptions(columns=tuple(f"c{number}" for number in range(columns)), escape=escape)
    source = CsvSource(options, piece_bytes=piece_bytes)
    content = b"first" + content
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_quoting, "_BLOCK", block)
        patch.setattr(csv_quoting, "_FEW", few)
        facts = source.facts(in_file(content, folder))
        got = read_in_slices(source, facts, [Need("c0", "kept")], size, batch_rows)
    records = list(records_by_hand(content, columns, options))
    assert got.odd == sum(map(legally_odd, records))
    assert got.line_ends == sum(record.line_ends for record in records)
    behind = sum(record.behind and record.closed for record in records)
    assert sum(cell.cause == "behind quote" for cell in got.bad) == behind


def legally_odd(record: Hand) -> bool:
    """Return whether a record has odd quoting, and is not bad because of it."""
    return (record.odd or record.behind) and not (record.behind and record.closed)


@MANY
@given(
    content=csv_bytes(),
    piece_bytes=st.sampled_from([1, 5, 13, 40, 1000]),
    batch_rows=st.integers(1, 5),
    limit=st.integers(0, 12),
    early=st.booleans(),
)
def test_quoting_behind_a_limit_is_not_counted(content, piece_bytes, batch_rows, limit, early) -> None:
    source = CsvSource(CsvOptions(columns=("a", "b")), piece_bytes=piece_bytes)
    content = b"first" + content
    with tempfile.TemporaryDirectory() as folder:
        facts = source.facts(in_file(content, folder))
        piece = Slice(0, 0, facts.identity.size, None)
        with source.read(facts.file, facts.identity, piece, [Need("a", "kept")], batch_rows) as reader:
            reader.limit = limit
            for batch in reader:
                if early and batch.num_rows and reader.record(batch.num_rows - 1) >= limit - 1:
                    break
    records = list(itertools.islice(records_by_hand(content, 2), limit))
    expected = {
        "odd quoting": sum(map(legally_odd, records)),
        "line ends inside quotes": sum(record.line_ends for record in records),
    }
    assert reader.events == {name: count for name, count in expected.items() if count}


CELLS = [
    "1",
    "2.5",
    " 7",
    "-0",
    "nan",
    "inf",
    "-Infinity",
    "1e400",
    "NA",
    "",
    '""',
    '"NA"',
    '"3"',
    "x",
    "é",
    '"a\nb"',
    "0x10",
]
CELLS += ['"1e999"', "9007199254740993", "true", '"a,b"', '12" pipe', "\xa0", "1,2", "'", "+1"]


CELLS += ["1'234", '"1 234!5"', "1!5", '"\\""', "\\", '\\"', "#N/A", "-nan", '"nan"', "a", "#", "1''2"]


@MANY
@given(
    lines=st.lists(st.tuples(*[st.sampled_from(CELLS)] * 3), max_size=8),
    dialect=DIALECTS,
    headed=st.booleans(),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    size=st.integers(1, 60),
    piece_bytes=st.sampled_from([1, 7, 30, 1000]),
    block_bytes=BLOCKS,
    batch_rows=st.integers(1, 5),
)
def test_typed_slices_are_the_typed_whole(
    lines, dialect, headed, ends, size, piece_bytes, block_bytes, batch_rows
) -> None:
    skipped = "skipped" + ends
    text = skipped * dialect.skip_lines + ("x,y,z" + ends) * headed + ends.join(map(",".join, lines))
    options = replace(dialect, columns=None if headed else ("x", "y", "z"), types=(("z", "int64"),))
    needs = [Need("x", "numeric"), Need("y", "categorical"), Need("y", "kept"), Need("x", "kept"), Need("z", "numeric")]
    with tempfile.TemporaryDirectory() as folder:
        file = in_file(text.encode(), folder)
        facts = CsvSource(options).facts(file)
        source = CsvSource(options, piece_bytes=piece_bytes, block_bytes=block_bytes)
        cut = read_in_slices(source, facts, needs, size, batch_rows)
        whole = read_in_slices(CsvSource(options), facts, needs, max(1, facts.identity.size))
    assert repr(cut) == repr(whole)


NUMBERS = [b"1,2\n", b'"3",x\r\n', b"NA,9007199254740993\n", b"1e400,1\n", b",\n"]


@MANY
@given(
    content=st.lists(st.sampled_from(NUMBERS) | csv_bytes() | st.binary(max_size=9), max_size=8).map(b"".join),
    encoding=st.sampled_from(["utf-8", "utf-8", "cp1252", "utf-16-le"]),
    size=st.integers(1, 60),
    piece_bytes=st.sampled_from([1, 7, 30, 1000]),
    block_bytes=BLOCKS,
    batch_rows=st.integers(1, 5),
)
def test_records_are_numbered_and_placed_alike_in_any_batch_and_any_cut(
    content, encoding, size, piece_bytes, block_bytes, batch_rows
) -> None:
    options = CsvOptions(columns=("a", "b"), encoding=encoding)
    needs = [Need("a", "numeric"), Need("b", "kept")]
    # a first record that is no mark of another format
    content = "0,0\n".encode(encoding) + content
    with tempfile.TemporaryDirectory() as folder:
        facts = CsvSource(options).facts(in_file(content, folder))
        whole = read_in_slices(CsvSource(options), facts, needs, max(1, facts.identity.size), 1000)
        size = size if facts.cuttable else max(1, facts.identity.size)
        source = CsvSource(options, piece_bytes=piece_bytes, block_bytes=block_bytes)
        cut = read_in_slices(source, facts, needs, size, batch_rows)
    assert cut == whole
    places: list[Origin | BadCell] = [*whole.origins, *whole.bad]
    places.sort(key=lambda place: place.record)
    assert [place.record for place in places] == list(range(len(places)))
    if encoding == "utf-8":
        offsets = [place.offset for place in places]
        texts = [content[start:stop] for start, stop in itertools.pairwise([*offsets, len(content)])]
        assert [text.decode("utf-8", "backslashreplace").rstrip("\r\n") for text in texts] == [
            (place.line or "").rstrip("\r\n") for place in places
        ]


@pytest.mark.parametrize("size", [1, 20, 10_000])
def test_a_quoted_nan_that_pandas_takes_for_null_is_null_wherever_the_file_is_cut(size: int) -> None:
    options = CsvOptions(nulls=("", "pandas"), columns=("x", "y", "z"), types=(("z", "int64"),))
    needs = [Need("x", "numeric"), Need("z", "numeric")]
    with tempfile.TemporaryDirectory() as folder:
        file = in_file(b'1,1,"nan"\n"nan",1,1\n"NAN",1,1\nnan,1,1\n', folder)
        source = CsvSource(options)
        found = read_in_slices(source, source.facts(file), needs, size)
    assert [row[0] for row in found.rows] == [1.0, None, "NaN", None]
