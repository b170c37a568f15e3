"""Any bytes as a CSV file: numbers that are those of the text, however it is read, or bad records, or a refusal."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import LogitstreamError
from pipeline.sources import source_for
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need
from pipeline.types.rows import BadCell, Slice
from pipeline.types.sources import Source
from tests.fuzz.target import Check, Target, check_refusal, require, with_dialect

NAME = "data.csv"
OPTIONS = (
    CsvOptions(),
    CsvOptions(nulls=("", "NA", "-")),
    CsvOptions(delimiter=";", quote="'"),
    CsvOptions(delimiter="\t", encoding="latin-1"),
    CsvOptions(encoding="utf-16"),
    CsvOptions(columns=("a", "b", "c")),
    CsvOptions(columns=("a", "b"), types=(("a", "int64"), ("b", "bool"))),
    CsvOptions(encoding="shift_jis"),
    CsvOptions(delimiter=";", decimal=",", thousands=".", nulls=("pandas", "-")),
    CsvOptions(thousands=" ", nulls=("NA",), quoted_null=True),
)
COLUMNS = 3
BATCHES = (1000, 3)
SHOWN = 200
GROUP = 3
# A byte that chooses separators of numbers, and all spellings of pandas.
CELLS = 0x0A
# Arrow strips these from a number; Python would strip more.
BLANK = " \t\n\r\v\f"
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
WHOLE = re.compile(r"[+-]?[0-9]{1,400}")

Row = tuple[object, ...]
Reading = tuple[list[Row], list[BadCell]]


def make(folder: Path) -> Check:
    """Return the check of one input: three bytes that choose the options, and the file."""
    path = folder / NAME
    file = InputFile(NAME, str(path), 0, "csv")

    def check(data: bytes) -> None:
        choice, structure, cells = (*data[:3], 0, 0, 0)[:3]
        options = with_dialect(OPTIONS[choice % len(OPTIONS)], structure, cells)
        source = source_for("csv", options)
        path.write_bytes(data[3:])
        try:
            facts = source.facts(file)
            needs = list(_needs(source, facts))
            first, second = (_read(source, facts, needs, batch_rows) for batch_rows in BATCHES)
        except LogitstreamError as error:
            check_refusal(error, NAME)
            return
        require(repr(first) == repr(second), f"other rows from the same file:\n{first}\n{second}")
        for row in first[0]:
            _check_row(dict(zip(((need.name, need.role) for need in needs), row, strict=True)), options)

    return check


def _needs(source: Source, facts: FileFacts) -> Iterator[Need]:
    for column in facts.columns[:COLUMNS]:
        for role in ("kept", "numeric", "categorical"):
            need = Need(column.field.name, role)
            try:
                source.field(facts, need)
            except LookupError as reason:
                require(str(reason).isprintable(), f"a reason cannot be shown: {reason!r}")
                break
            yield need


def _read(source: Source, facts: FileFacts, needs: list[Need], batch_rows: int) -> Reading:
    rows: list[Row] = []
    bad: list[BadCell] = []
    piece = Slice(0, facts.data_start, facts.identity.size, None)
    with source.read(facts.file, facts.identity, piece, needs, batch_rows) as reader:
        for batch in reader:
            batch.validate(full=True)
            bad += reader.take_bad()
            require(batch.num_rows <= batch_rows, f"a batch of {batch.num_rows:,} rows, not {batch_rows:,}")
            if batch.num_columns:
                rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
            else:
                rows += [()] * batch.num_rows
        bad += reader.take_bad()
    require(len(bad) == reader.bad_count, f"{len(bad):,} bad records came, {reader.bad_count:,} are stated")
    require([cell.record for cell in bad] == sorted({cell.record for cell in bad}), "bad records are out of order")
    require(all(cell.record < len(rows) + len(bad) for cell in bad), "a bad record behind the last one")
    require(all(cell.reason and len(cell.text) <= SHOWN for cell in bad), "a bad record without reason, or too long")
    require(reader.rows == len(rows), f"{len(rows):,} rows came, {reader.rows:,} are stated")
    require(reader.end == facts.identity.size, f"read up to {reader.end:,} of {facts.identity.size:,} bytes")
    return rows, bad


def _check_row(row: dict[tuple[str, str], object], options: CsvOptions) -> None:
    for (name, role), value in row.items():
        text = row[name, "kept"]
        if isinstance(text, str):
            if role == "numeric":
                _check_number(value, text, options)
            elif role == "categorical":
                require(value == text or (value is None and text in options.spellings), f"{value!r} of {text!r}")
        elif text is None:
            require(value is None, f"{value!r} where the file has nothing")


def _check_number(value: object, text: str, options: CsvOptions) -> None:
    if value is None:
        require(text in options.spellings, f"null of {text!r}")
        return
    plain = _plain(text.strip(BLANK), options)
    if isinstance(value, bool):
        require(plain.lower() in {"true", "false", "1", "0"}, f"{value} of {text!r}")
    elif WHOLE.fullmatch(plain):
        require(isinstance(value, int | float) and int(plain) == value, f"{value!r} of {text!r}")
    else:
        require(isinstance(value, float), f"{value!r} of {text!r}")
        _check_float(float(str(value)), plain)


def _plain(text: str, options: CsvOptions) -> str:
    """Return a number without its separators; one with a point where that is not the decimal character is none."""
    if options.thousands:
        whole, mark, rest = text.partition(options.decimal)
        _, *groups = re.split(r"[eE]", whole)[0].split(options.thousands)
        require(all(len(group) == GROUP for group in groups), f"a number of the groups of {text!r}")
        text = whole.replace(options.thousands, "") + mark + rest
    return text if options.decimal == "." else text.replace(".", "?").replace(options.decimal, ".")


def _check_float(value: float, plain: str) -> None:
    try:
        expected = float(plain)
    except ValueError:
        expected = None
    require(expected is not None and "_" not in plain, f"{value!r} of {plain!r}")
    if math.isinf(value):
        require(INFINITE.fullmatch(plain), f"an infinity of {plain!r}")
    require(repr(expected) == repr(value) or (value == 0 == expected), f"{value!r} of {plain!r}, not {expected!r}")


def seeds() -> list[bytes]:
    """Return small files in every dialect, with what readers trip over."""
    plain = b"id,x,c\n1,2.5,a\n2,-1e3,b\n3,,\n"
    quoted = b'id,x,c\r\n"1","2.5","a ""b"" c"\r\n2,"nan","line\nbreak"\r\n3,inf,\r\n'
    odd = 'id,x,é\n9007199254740993,1e400,NA\n0x10, 7 ,\u00a0\n1_0,+1,-\n,-0,""\n'.encode()
    escaped = b'id,note,x\n3,"5\\"",0.7\n4,"7\\"\\\\",0.8\nC:\\new,\\"x,1\n"a"b,,2\n'
    preamble = b'made by hand\n# in 2024\n\n# "\n' + plain + b"# x,y\n" + quoted
    files = [
        (0, plain),
        (0, quoted),
        (0, odd),
        (1, odd),
        (0, b"\xef\xbb\xbf" + plain),
        (2, plain.replace(b",", b";").replace(b"a", b"'a;b'")),
        (3, "id\tx\tname\n1\t2\tcafé\n".encode("latin-1")),
        (4, plain.decode().encode("utf-16")),
        (5, b"1,2,x\n3,4\n5,6,y,z\n"),
        (6, b"1,true\n2,false\n,\n9223372036854775807,1\n"),
        (7, "id,名\n1,表\n".encode("shift_jis")),
        (8, b'x;c\n1.234,5;a\n"1.234.567";"NA"\n-;"-"\n"";\n1.23;x\n0.5;y\n-12.345e3;z\n'),
        (9, b'x,c\n1 234.5,a\n"1 234 567","NA"\n 1 ,\n12 34,b\n"9 007 199 254 740 993",c\n'),
        (0, gzip.compress(plain, mtime=0)),
        (0, b'a,b\n1,"open\n2,3\n'),
        (0, b"x\n1e400\n1\n"),
        (0, b"x,c\ninf,1\n-1e999,2\n"),
        (0, b"a\n1\n\n2\n"),
        (0, b"a,a\n1,2\n"),
        (0, b"a,b\n1,\0\n\xff,2\n"),
        (0, b""),
    ]
    dialects = [(1, escaped), (0x40 | 1, escaped), (0xC1, escaped), (0x14, preamble), (0x24 | 1, preamble), (2, odd)]
    return [
        *(bytes([choice, 0, cells]) + content for choice, content in files for cells in (0, CELLS)),
        *(bytes([choice, dialect, 0]) + content for choice in (0, 1, 5) for dialect, content in dialects),
        *(bytes([choice, dialect, CELLS]) + content for choice in (0, 5) for dialect, content in dialects),
    ]


TOKENS = (
    b"\\",
    b'\\"',
    b"\n#",
    b"!",
    b'"',
    b'""',
    b",",
    b"\r\n",
    b"\n",
    b"\r",
    b";",
    b"\t",
    b"nan",
    b"inf",
    b"1e400",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"NA",
    b"1.234,5",
    b"1 234",
    b"1'234.5",
    b'"NA"',
    b'"1,234"',
    b"#N/A",
)
TARGETS = [Target("csv", make, seeds, TOKENS)]
