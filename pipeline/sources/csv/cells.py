"""Find what is wrong in a piece, record by record and cell by cell."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from pipeline import compute as pc
from pipeline.causes import reason_of
from pipeline.dataclass import dataclass
from pipeline.errors import BalanceError
from pipeline.sources.column_types import is_text
from pipeline.sources.csv.misspelling import misspelling
from pipeline.sources.csv.parse import Piece, beyond_exact, infinite, names_infinity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pipeline.choices import Cause
    from pipeline.sources.csv.columns import CsvColumns
    from pipeline.sources.csv.dialect import Dialect
    from pipeline.sources.csv.quoting import Odd

# The numerals that the parser accepts. Any other cell is bad; these are still given to the parser.
_WORD = r"(?i:inf|infinity|nan(\([0-9A-Za-z_]*\))?)"
_FLOAT = rf"^[ \t]*[+-]?(([0-9]+(POINT)?[0-9]*|POINT[0-9]+)([eE][+-]?[0-9]+)?|{_WORD})[ \t]*$"
_INTEGER = r"^[ \t]*(-?[0-9]+|-?0[xX][0-9A-Fa-f]+)[ \t]*$"

_Blame: TypeAlias = "tuple[Cause, tuple[int | str, ...]]"

_INEXACT: _Blame = ("inexact", ())


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a record: its number and place in the piece, and the cell or the whole record."""

    record: int
    start: int
    stop: int
    position: int | None
    text: bytes
    cause: Cause
    values: tuple[int | str, ...] = ()

    @property
    def reason(self) -> str:
        """What is wrong, as a clause."""
        return reason_of(self.cause, self.values)


@dataclass(frozen=True)
class Verdict:
    """The good records of a piece, in order, and what is wrong with the others.

    ``length`` is how many bytes of the piece were judged: all, or those of as many records as were asked for.
    """

    good: bytes
    length: int
    records: int
    faults: tuple[Fault, ...]


def judge(piece: Piece, odd: Odd, columns: CsvColumns, encoding: str, most: int) -> Verdict:
    """Separate the good records at the beginning of a piece from the bad ones. The piece is whole records of any bytes.

    A good record is one that the parser accepts. Its bytes come back unchanged, except for the line end, so that it
    gets the same values whatever records surround it.

    Parameters
    ----------
    piece : Piece
    odd : Odd
        Its odd quotes.
    columns : CsvColumns
    encoding : str
        The name of the encoding for messages: a cell that is not valid in it is bad.
    most : int
        How many records are judged at most: a fault takes many times the bytes of its record.
    """
    text = bytes(piece.text)
    spans = list(islice(columns.parser.dialect.records(text, blank=columns.parser.blank_lines_count), most))
    if len(spans) == most:
        text = text[: spans[-1][1]]
        piece = piece.until(len(text))
    faults = {
        **_ragged(text, spans, piece, columns),
        **_behind_quotes(text, spans, odd.until(len(text)), columns.parser.dialect),
        **_comments(text, spans, columns.parser.dialect),
    }
    for number, (start, stop) in enumerate(spans):
        if number not in faults and 0 in text[start:stop]:
            faults[number] = _nul(number, (start, stop), text[start:stop], columns)
    sound = [number for number in range(len(spans)) if number not in faults]
    for fault in _bad_cells(text, spans, sound, columns, encoding):
        faults.setdefault(fault.record, fault)
    good = _lines(text, (spans[number] for number in sound if number not in faults))
    return Verdict(good, len(text), len(spans), tuple(faults[number] for number in sorted(faults)))


def _ragged(text: bytes, spans: Sequence[tuple[int, int]], piece: Piece, columns: CsvColumns) -> dict[int, Fault]:
    """Return the faults of records with a wrong number of fields, having compared the records with the parser's."""
    parser = columns.parser
    parsed = parser.structure(piece)
    if parsed.length != len(text) or parsed.rows + len(parsed.ragged) != len(spans):
        found = f"{parsed.rows + len(parsed.ragged):,} records where its lines make {len(spans):,}"
        raise BalanceError(f"the CSV parser finds {found}")
    faults = {}
    for row in parsed.ragged:
        start, stop = spans[row.number]
        record = text[start:stop].rstrip(b"\r\n")
        cause: Cause = "escaped delimiter" if _escapes(record, parser.dialect.delimiter) else "ragged"
        faults[row.number] = Fault(row.number, start, stop, None, record, cause, (row.fields, parser.columns))
    return faults


def _escapes(record: bytes, delimiter: str) -> bool:
    """Return whether a record has a backslash before a delimiter or its end, which other programs take for escaped."""
    pattern = rb"(?<!\\)(?:\\\\)*\\(?:" + re.escape(delimiter.encode()) + rb"|\Z)"
    return re.search(pattern, record) is not None


def _behind_quotes(text: bytes, spans: Sequence[tuple[int, int]], odd: Odd, dialect: Dialect) -> dict[int, Fault]:
    """Return the faults of records with text behind a closing quote."""
    faults = {}
    for place in odd.behind:
        number = bisect_right(spans, place, key=lambda span: span[0]) - 1
        start, stop = spans[number]
        record = text[start:stop].rstrip(b"\r\n")
        field = dialect.behind_quote(record)
        assert field is not None
        faults[number] = Fault(number, start, stop, None, record, "behind quote", (field + 1,))
    return faults


def _comments(text: bytes, spans: Sequence[tuple[int, int]], dialect: Dialect) -> dict[int, Fault]:
    """Return the faults of records that begin with the comment character."""
    comment = dialect.comment.encode()
    if not comment:
        return {}
    return {
        number: Fault(number, start, stop, None, text[start:stop].rstrip(b"\r\n"), "comment", (dialect.comment,))
        for number, (start, stop) in enumerate(spans)
        if text.startswith(comment, start)
    }


def _lines(text: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    # each with its own line end: a lone CR and the LF of a blank line would become one line end
    return b"".join(text[start:stop].rstrip(b"\r\n") + b"\n" for start, stop in spans)


def _nul(number: int, span: tuple[int, int], record: bytes, columns: CsvColumns) -> Fault:
    cells, _ = columns.parser.dialect.fields(record)
    position = next(position for position, cell in enumerate(cells) if 0 in cell)
    return Fault(number, *span, position, cells[position], "nul byte")


def _bad_cells(
    text: bytes, spans: Sequence[tuple[int, int]], sound: Sequence[int], columns: CsvColumns, encoding: str
) -> list[Fault]:
    if not sound:
        return []
    parser = columns.parser
    piece = parser.piece(_lines(text, (spans[number] for number in sound)), final=True)
    faults = []
    for position, target in columns.targets():
        cells = columns.cells(piece, position, target)
        bad = _blamed(cells, target.type, columns, encoding, exact=columns.is_feature(position))
        for row in _rows_with(cells, bad):
            number, cell = sound[row], cells[row].as_py()
            faults.append(Fault(number, *spans[number], position, cell, *bad[cell]))
    return faults


def _blamed(
    cells: pa.Array, type_: pa.DataType, columns: CsvColumns, encoding: str, *, exact: bool
) -> dict[bytes, _Blame]:
    """Return the cells that are bad, each with the reason; ``exact`` numbers must be held exactly by their type."""
    distinct = pc.unique(cells.drop_null())
    plain = columns.spelling.plain(distinct, type_)
    refused = _refused(plain, type_, columns)
    inexact = set(beyond_exact(plain)) if exact and pa.types.is_floating(type_) else set()
    if not refused and not inexact:
        return {}
    bad = {}
    for cell, made in zip(distinct.to_pylist(), plain.to_pylist(), strict=True):
        if made in refused:
            bad[cell] = _blame(cell, type_, encoding, columns, large=refused[made])
        elif made in inexact:
            bad[cell] = _INEXACT
    return bad


def _rows_with(cells: pa.Array, bad: Mapping[bytes, _Blame]) -> list[int]:
    if not bad:
        return []
    found: list[int] = pc.indices_nonzero(pc.is_in(cells, pa.array(list(bad), pa.binary()))).to_pylist()
    return found


def _refused(distinct: pa.Array, type_: pa.DataType, columns: CsvColumns) -> dict[bytes, bool]:
    """Return the plain cells that are not values of a type, each with whether it is a number out of range."""
    if pa.types.is_binary(type_):
        return {}
    if is_text(type_):
        return dict.fromkeys((cell for cell in distinct.to_pylist() if not _is_utf8(cell)), False)
    bad: dict[bytes, bool] = {}
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        decimal = re.escape(columns.spelling.decimal)
        numeral = _INTEGER if pa.types.is_integer(type_) else _FLOAT.replace("POINT", decimal)
        likely = pc.match_substring_regex(distinct, numeral)
        bad = dict.fromkeys(distinct.filter(pc.invert(likely)).to_pylist(), False)
        distinct = distinct.filter(likely)
    _ask(distinct.to_pylist(), _asker(type_, columns), bad)
    return bad


def _ask(cells: list[bytes], convert: Callable[[list[bytes]], pa.Array | None], bad: dict[bytes, bool]) -> None:
    """Add to ``bad`` the cells that do not convert, halving the list until each is alone."""
    if not cells:
        return
    values = convert(cells)
    if values is not None:
        mask = infinite(values)
        overflown = [] if mask is None else [cells[row] for row in mask.nonzero()[0]]
        bad.update(dict.fromkeys((cell for cell in overflown if not names_infinity(cell)), True))
    elif len(cells) == 1:
        bad[cells[0]] = False
    else:
        _ask(cells[: len(cells) // 2], convert, bad)
        _ask(cells[len(cells) // 2 :], convert, bad)


def _asker(type_: pa.DataType, columns: CsvColumns) -> Callable[[list[bytes]], pa.Array | None]:
    """Return a function that converts cells with the parser, each as the only field of a record, quoted."""
    parser = columns.parser.of_cells()
    options = parser.converting({0: type_}, (), decimal=columns.spelling.decimal)
    quote = parser.dialect.quote.encode()

    def convert(cells: list[bytes]) -> pa.Array | None:
        lines = (quote + cell.replace(quote, quote * 2) + quote if quote else cell for cell in cells)
        arrays = parser.parse(parser.piece(b"\n".join(lines) + b"\n", final=True), options).arrays
        return None if arrays is None else arrays[0]

    return convert


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return False
    return True


def _blame(cell: bytes, type_: pa.DataType, encoding: str, columns: CsvColumns, *, large: bool) -> _Blame:
    """Return why a cell is not a value of a type; ``large`` says that it is a number out of range."""
    if large:
        return "out of range", (str(type_),)
    if is_text(type_):
        return "undecodable", (encoding,)
    return misspelling(cell, type_, columns.spelling, columns.parser.dialect)
