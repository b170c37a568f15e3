"""Read the header of a CSV: the names of its columns, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.disk import show
from pipeline.errors import DataError
from pipeline.sources.csv.parse import BOM
from pipeline.units import KIB, MIB, escape, format_bytes

if TYPE_CHECKING:
    from pipeline.sources.csv.decode import TextEncoding, Window
    from pipeline.sources.csv.dialect import Dialect

MAX_COLUMNS = 65_536
MAX_HEADER = 4 * MIB

_FOREIGN_BOMS = {
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


@dataclass(frozen=True)
class Header:
    """The names of the columns, the record that states them, and the offset after it in the stream."""

    names: tuple[str, ...]
    record: bytes
    end: int


def read_header(
    window: Window, dialect: Dialect, encoding: TextEncoding, given: tuple[str, ...] | None, path: str
) -> Header:
    """Return the header at the beginning of a stream; the window stays where it is.

    Blank lines before it and a byte order mark are skipped. Where names are ``given``, the file has no header. A file
    without any record has no names.

    Raises
    ------
    DataError
        The header is not valid in the encoding, ends inside quotes, contains NUL, or is too long.
    """
    window.fill(64 * KIB)
    _refuse_foreign_mark(window, encoding, path)
    start = len(BOM) if encoding.kind != "bytewise" and window.text[:3] == BOM else 0
    if given is not None:
        return Header(_counted(given, path), b"", start)
    while True:
        while start < window.length and window.text[start] in b"\r\n":
            start += 1
        end = dialect.record_end(window.text, start, window.length, final=window.ended)
        if end is not None:
            break
        if window.length > MAX_HEADER:
            message = f"{show(path)}: the header does not end within {format_bytes(MAX_HEADER)}"
            raise DataError(message, "check that it is CSV, and name its --quote and --delimiter")
        window.fill(2 * window.length)
    if start == end:
        return Header((), b"", end)
    record = bytes(window.text[start:end])
    return Header(_counted(_names(record, dialect, encoding, path), path), record.rstrip(b"\r\n"), end)


def _names(record: bytes, dialect: Dialect, encoding: TextEncoding, path: str) -> tuple[str, ...]:
    if 0 in record:
        remedy = "check that it is text; UTF-16 without a byte order mark needs --encoding utf-16-le or utf-16-be"
        raise DataError(f"{show(path)}: the header contains NUL bytes", remedy)
    fields, closed = dialect.fields(encoding.utf8(record.rstrip(b"\r\n")))
    if not closed:
        message = f"{show(path)}: a quote in the header is not closed before the file ends"
        raise DataError(message, "close it, or name the quote character with --quote ('' if nothing is quoted)")
    try:
        return tuple(field.decode() for field in fields)
    except UnicodeDecodeError as error:
        shown = escape(record[:100].decode("utf-8", "backslashreplace"))
        remedy = "name the encoding of the file with --encoding (such as latin-1)"
        raise DataError(f"{show(path)}: the header is not valid {encoding.name}: {shown}", remedy) from error


def _counted(names: tuple[str, ...], path: str) -> tuple[str, ...]:
    if len(names) > MAX_COLUMNS:
        message = f"{show(path)} has {len(names):,} columns; at most {MAX_COLUMNS:,} can be read"
        raise DataError(message, "check that --delimiter is the delimiter of the file")
    return names


def _refuse_foreign_mark(window: Window, encoding: TextEncoding, path: str) -> None:
    if encoding.kind != "utf-8":
        return
    for mark, name in _FOREIGN_BOMS.items():
        if window.text[: len(mark)] == mark:
            message = f"{show(path)} begins with the byte order mark of {name.upper()}"
            raise DataError(message, f"add --encoding {name}")
