"""Read the header of a CSV: the names of its columns, and where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.causes import CAUSES
from pipeline.dataclass import dataclass
from pipeline.disk import show
from pipeline.errors import DataError
from pipeline.sources.csv.dialect import next_line_start
from pipeline.sources.csv.parse import BOM
from pipeline.units import KIB, MIB, escape, format_bytes

if TYPE_CHECKING:
    from pipeline.sources.csv.decode import TextEncoding, Window
    from pipeline.sources.csv.dialect import Dialect
    from pipeline.types.inputs import CsvOptions

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


def read_header(window: Window, dialect: Dialect, encoding: TextEncoding, options: CsvOptions, path: str) -> Header:
    """Return the header at the beginning of a stream; the window stays where it is.

    A byte order mark, the lines that the options skip, comments and blank lines before it are skipped. Where the
    options name the columns, the file has no header. A file without any record has no names.

    Raises
    ------
    DataError
        The header is not valid in the encoding, ends inside quotes, contains NUL, or is too long; or the file has too
        few lines.
    """
    given = options.columns
    window.fill(64 * KIB)
    _refuse_foreign_mark(window, encoding, path)
    start = len(BOM) if encoding.kind != "bytewise" and window.text[:3] == BOM else 0
    start = _behind_skipped(window, start, options, path)
    if dialect.comment:
        blank = given is not None and len(given) == 1
        start = _behind_comments(window, start, dialect.comment.encode(), path, blank=blank)
    if given is not None:
        return Header(_counted(given, path), b"", start)
    while True:
        while start < window.length and window.text[start] in b"\r\n":
            start += 1
        end = dialect.record_end(window.text, start, window.length, final=window.ended)
        if end is not None:
            break
        _fill_more(window, path)
    if start == end:
        return Header((), b"", end)
    record = bytes(window.text[start:end])
    return Header(_counted(_names(record, dialect, encoding, path), path), record.rstrip(b"\r\n"), end)


def _fill_more(window: Window, path: str) -> None:
    if window.length > MAX_HEADER:
        message = f"{show(path)}: the header does not end within {format_bytes(MAX_HEADER)}"
        raise DataError(message, "check that it is CSV, and name its --quote and --delimiter")
    window.fill(2 * window.length)


def _behind_skipped(window: Window, start: int, options: CsvOptions, path: str) -> int:
    """Return where the lines end that the options skip."""
    asked = options.skip_lines
    for skipped in range(asked):
        end = _line_end(window, start, path)
        if end == start:
            raise _too_short(path, skipped, f"and --skip-lines {asked} skips more")
        start = end
    if asked and options.columns is None and _line_end(window, start, path) == start:
        raise _too_short(path, asked, f"and --skip-lines {asked} leaves no header")
    return start


def _too_short(path: str, lines: int, why: str) -> DataError:
    message = f"{show(path)} has only {lines:,} {'line' if lines == 1 else 'lines'}, {why}"
    return DataError(message, "give a smaller --skip-lines, or leave the file out")


def _behind_comments(window: Window, start: int, comment: bytes, path: str, *, blank: bool) -> int:
    """Return where the lines end that begin with the comment character; blank lines between them unless records."""
    while True:
        at, end = start, _line_end(window, start, path)
        while not blank and end > at and window.text[at] in b"\r\n":
            at, end = end, _line_end(window, end, path)
        if end == at or window.text[at : at + 1] != comment:
            return start
        start = end


def _line_end(window: Window, start: int, path: str) -> int:
    """Return where the line that begins at ``start`` ends, with its line end; ``start`` where the text ends there."""
    while True:
        end = next_line_start(window.text, start + 1, window.length, final=window.ended)
        if end is not None:
            return end
        _fill_more(window, path)


def _names(record: bytes, dialect: Dialect, encoding: TextEncoding, path: str) -> tuple[str, ...]:
    if 0 in record:
        remedy = "check that it is text; UTF-16 without a byte order mark needs --encoding utf-16-le or utf-16-be"
        raise DataError(f"{show(path)}: the header contains NUL bytes", remedy)
    fields, closed = dialect.fields(encoding.utf8(record.rstrip(b"\r\n")))
    if not closed:
        message = f"{show(path)}: a quote in the header is not closed before the file ends"
        raise DataError(
            message, "close it, or name the --quote of the file (none if nothing is quoted) or its --escape"
        )
    if dialect.behind_quote(record) is not None:
        shown = escape(record[:100].decode("utf-8", "backslashreplace").rstrip("\r\n"))
        raise DataError(
            f"{show(path)}: the header has text behind a closing quote: {shown}", CAUSES["behind quote"].remedy
        )
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
