"""Parse one piece of a CSV with Arrow: the one place that meets its exceptions."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.sources.csv.escapes import Escapes
from pipeline.units import EXACT_INTEGER, KIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.sources.csv.dialect import Dialect

Text = bytes | memoryview
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

BOM = b"\xef\xbb\xbf"
_NO_MEMORY = memoryview(b"")

# Larger than any piece: one block, which the parser never cuts.
_ONE_BLOCK = 1 << 30
# A tile of text whose masks stay in an L2 cache.
_TILE = 256 * KIB
# In any case of letters.
_TRUE, _FALSE = (
    [digit, *map("".join, product(*zip(word, word.upper(), strict=True)))]
    for digit, word in (("1", "true"), ("0", "false"))
)
_LIMIT_DIGITS = str(EXACT_INTEGER).encode()
_LONG_INTEGER = r"^[ \t]*[+-]?[0-9]{16,}[ \t]*$"


@dataclass(frozen=True)
class Piece:
    """Text that begins with a record and ends at a line end, or, if ``final``, at the end of the file.

    ``quoted`` says whether it contains a quote character. If not, every line end ends a record. ``plain`` says that it
    is ASCII without NUL, ``line_feeds`` how many line feeds it has, ``None`` where they were not counted. ``escapes``
    are its escape characters, ``None`` where none of them makes another character text. ``memory``, if it is not empty,
    begins with the text and goes on behind it; the parser may write there if it puts back what was there.
    """

    text: Text
    quoted: bool
    plain: bool
    line_feeds: int | None
    final: bool
    escapes: Escapes | None = None
    memory: memoryview = _NO_MEMORY

    def until(self, length: int) -> Piece:
        """Return the beginning of the piece, whole records."""
        if length == len(self.text):
            return self
        escapes = None if self.escapes is None else self.escapes.until(length)
        return replace(self, text=self.text[:length], line_feeds=None, escapes=escapes)


@dataclass(frozen=True)
class Ragged:
    """A record with another number of fields. ``number`` counts all records of the piece from 0."""

    number: int
    fields: int
    text: str


@dataclass(frozen=True)
class Parsed:
    """The result of parsing a piece.

    ``arrays`` are by position of the column, ``None`` where a cell could not be converted. ``length`` is how many
    bytes of the piece are whole records, ``rows`` how many of them have the right number of fields; ``ragged`` are
    the others.
    """

    arrays: dict[int, pa.Array] | None
    rows: int
    length: int
    ragged: Sequence[Ragged]


class CsvParser:
    """Parses pieces of a file with a fixed number of columns. Not to be shared between threads.

    Parameters
    ----------
    dialect : Dialect
    columns : int
        How many fields a record has.
    block_bytes : int
        The parser reads a longer piece in blocks of so many bytes, which stay in its caches.
    """

    def __init__(self, dialect: Dialect, columns: int, block_bytes: int = 512 * KIB) -> None:
        self.dialect = dialect
        self.columns = columns
        self.blank_lines_count = columns == 1
        self._probe = dialect.probe(columns)
        self._quote = dialect.quote.encode()
        self._mask = dialect.mask()
        self._block_bytes = block_bytes
        self._probed = bytearray()
        self._in_blocks, self._in_one = (self._read_options(size) for size in (block_bytes, _ONE_BLOCK))
        self._met: list[Any] = []
        self._count_only = self.converting({0: pa.binary()}, ("",))
        self._options = {
            (quoting, escaping): self._parse_options(quoting, escaping)
            for quoting in (False, True)
            for escaping in (False, True)
        }

    def of_cells(self) -> CsvParser:
        """Return a parser of single cells, in which nothing is escaped."""
        return CsvParser(self.dialect.plain, 1, self._block_bytes)

    def piece(self, text: Text, *, final: bool, memory: memoryview = _NO_MEMORY) -> Piece:
        """Return a text as a piece, after one walk over its bytes, and another one for escape characters."""
        escapes = Escapes.of(text, self.dialect) if self.dialect.escape else None
        if escapes is not None and not len(escapes.pairs):
            escapes = None
        return Piece(text, *_looked_at(text, self._quote), final, escapes, memory)

    def parse(self, piece: Piece, convert: arrow_csv.ConvertOptions) -> Parsed:
        """Parse a piece of UTF-8; if it ends inside quotes, the open record is left out."""
        ending, escapes = b"", piece.escapes
        if piece.quoted or escapes is not None:
            ending = b"\n" + self._probe if piece.final and piece.text[-1] not in b"\r\n" else self._probe
        with self._with(ending, piece) as text:
            length = len(text)
            arrays, rows = self._convert(text, convert, self._options[piece.quoted, escapes is not None])
        ragged = [Ragged(row.number - 1, row.actual_columns, row.text) for row in self._met]
        if ending:
            left_open = len(ragged.pop().text.encode()) + 1
            length -= len(ending) if left_open == len(self._probe) else left_open
        if escapes is not None:
            length = escapes.original_place(length)
        return Parsed(arrays, rows, length, ragged)

    def structure(self, piece: Piece) -> Parsed:
        """Parse a piece of any bytes only for its records; ``arrays`` is empty and texts of records are masked."""
        # The parser's search for the end of a record may take NUL for the end of the text;
        # other bytes may not be UTF-8.
        masked = replace(piece, text=bytes(piece.text).translate(self._mask), memory=_NO_MEMORY)
        return replace(self.parse(masked, self._count_only), arrays={})

    def converting(
        self, types: Mapping[int, pa.DataType], nulls: Sequence[str], *, quoted_null: bool = False, decimal: str = "."
    ) -> arrow_csv.ConvertOptions:
        """Return the options that read columns, by position, as types; at least one."""
        # Arrow takes time over the words for each column of each block, whatever its type.
        words = (_TRUE, _FALSE) if any(map(pa.types.is_boolean, types.values())) else ([], [])
        return arrow_csv.ConvertOptions(
            column_types={str(position): type_ for position, type_ in types.items()},
            include_columns=[str(position) for position in types],
            null_values=list(nulls),
            strings_can_be_null=True,
            quoted_strings_can_be_null=quoted_null,
            decimal_point=decimal,
            check_utf8=True,
            true_values=words[0],
            false_values=words[1],
        )

    def convert_rows(self, columns: Sequence[pa.Array], convert: arrow_csv.ConvertOptions) -> list[pa.Array] | None:
        """Return columns of binary cells converted as those of a piece are, ``None`` where a cell does not convert.

        At least one row. The dialect has no quote, and its delimiter is in no cell that converts; nor is a line end.
        """
        delimiter = self.dialect.delimiter.encode()
        joined = pc.binary_join_element_wise(*columns, delimiter, null_handling="replace", null_replacement=b"")
        lines = pc.binary_join_element_wise(joined, b"", b"\n")
        offsets = np.frombuffer(lines.buffers()[1], np.int32)
        text = memoryview(lines.buffers()[2])[offsets[lines.offset] : offsets[lines.offset + len(lines)]]
        piece = self.piece(text, final=True)
        if piece.line_feeds != len(lines) or count_byte(text, 0x0D):
            return None
        parsed = self.parse(piece, convert)
        if parsed.arrays is None or parsed.ragged:
            return None
        return [parsed.arrays[position] for position in range(self.columns)]

    @contextmanager
    def _with(self, ending: bytes, piece: Piece) -> Iterator[Text]:
        """Give the text of a piece, its lone escape characters doubled, with an ending."""
        length = len(piece.text)
        doubled = 0 if piece.escapes is None else len(piece.escapes.lone)
        size = length + doubled + len(ending)
        if not ending:
            yield piece.text
        elif not doubled and size <= len(piece.memory):
            behind = piece.memory[length:size]
            before = bytes(behind)
            behind[:] = ending
            try:
                yield piece.memory[:size]
            finally:
                behind[:] = before
        else:
            yield self._copied(piece, length + doubled, ending)

    def _copied(self, piece: Piece, length: int, ending: bytes) -> memoryview:
        """Return so long a text with an ending in memory that is used again."""
        size = length + len(ending)
        if len(self._probed) < size:
            self._probed = bytearray(size)
        view = memoryview(self._probed)[:size]
        if piece.escapes is None:
            view[:length] = piece.text
        else:
            piece.escapes.double(piece.text, view[:length])
        view[length:] = ending
        return view

    def _convert(
        self, text: Text, convert: arrow_csv.ConvertOptions, parse: arrow_csv.ParseOptions
    ) -> tuple[dict[int, pa.Array] | None, int]:
        if text[:3] == BOM:
            text = b"".join((BOM, text))  # the parser removes one, and this one is data
        table = self._read(text, self._in_blocks, parse, convert) if self._may_be_cut(text) else None
        if table is None:
            # also where a record is longer than a block
            table = self._read(text, self._in_one, parse, convert)
        if table is None:
            return None, 0
        columns = table.combine_chunks().columns
        return {int(n): _only_chunk(c) for n, c in zip(table.column_names, columns, strict=True)}, table.num_rows

    def _may_be_cut(self, text: Text) -> bool:
        """Return whether a text is longer than a block, and no block ends between CR and LF.

        At such a place the parser drops the LF, even inside quotes.
        """
        ends = range(self._block_bytes, len(text), self._block_bytes)
        return bool(ends) and all(text[end - 1] != 0x0D for end in ends)

    def _read(
        self,
        text: Text,
        read: arrow_csv.ReadOptions,
        parse: arrow_csv.ParseOptions,
        convert: arrow_csv.ConvertOptions,
    ) -> pa.Table | None:
        while True:
            self._met.clear()
            source = pa.BufferReader(pa.py_buffer(text))
            try:
                return arrow_csv.read_csv(source, read_options=read, parse_options=parse, convert_options=convert)
            except pa.ArrowInvalid:
                return None
            except pa.ArrowCancelled:
                # On the main thread Arrow stops at a signal, then sends it to the handler of the program. If that one
                # raised nothing, as where a run may finish its chunks, the text is still wanted.
                continue

    def _read_options(self, block_bytes: int) -> arrow_csv.ReadOptions:
        names = [str(position) for position in range(self.columns)]
        return arrow_csv.ReadOptions(use_threads=False, block_size=block_bytes, column_names=names)

    def _parse_options(self, quoting: bool, escaping: bool) -> arrow_csv.ParseOptions:
        met = self._met

        def note(row: Any) -> str:
            met.append(row)
            return "skip"

        return arrow_csv.ParseOptions(
            delimiter=self.dialect.delimiter,
            quote_char=(quoting and self.dialect.quote) or False,
            escape_char=(escaping and self.dialect.escape) or False,
            newlines_in_values=quoting,
            ignore_empty_lines=not self.blank_lines_count,
            invalid_row_handler=note,
        )


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def is_plain_utf8(piece: Piece) -> bool:
    """Return whether a piece is UTF-8 without NUL."""
    if piece.plain:
        return True
    ends = pa.py_buffer(np.array([0, len(piece.text)], np.int32))
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(piece.text)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return bool(np.frombuffer(piece.text, np.uint8).min() > 0)


def has_nan(array: pa.Array) -> bool:
    """Return whether a floating array has a NaN that is not under a null."""
    return pa.types.is_floating(array.type) and bool(pc.any(pc.is_nan(array)).as_py())


def infinite(array: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Return where a floating array is infinite, or ``None`` where it is nowhere."""
    return _at_least(math.inf, array)


def large(array: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Return where a floating array is 2**53 or more in magnitude, or ``None`` where it is nowhere."""
    return _at_least(EXACT_INTEGER, array)


def beyond_exact(cells: pa.Array) -> list[bytes]:
    """Return the distinct binary cells that spell an integer beyond 2**53 in magnitude without point or exponent."""
    cells = pc.unique(cells.filter(pc.match_substring_regex(cells, _LONG_INTEGER)))
    return [cell for cell in cells.to_pylist() if _exceeds(cell.strip(b" \t+-").lstrip(b"0"))]


def _exceeds(digits: bytes) -> bool:
    # int() refuses thousands of digits
    return (len(digits), digits) > (len(_LIMIT_DIGITS), _LIMIT_DIGITS)


def _at_least(limit: float, array: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    if not pa.types.is_floating(array.type) or not len(array):
        return None
    dtype = np.dtype(array.type.to_pandas_dtype())
    values = np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)
    # ignores NaN, and makes no array as long as the column
    if np.fmax.reduce(values) < limit and np.fmin.reduce(values) > -limit:
        return None
    found: np.ndarray[Any, np.dtype[np.bool_]] = np.abs(values) >= limit
    return found if found.any() else None


def names_infinity(text: bytes) -> bool:
    """Return whether a text that the parser read as a number spells infinity in letters."""
    return b"n" in text.lower()


def _tiles(text: Text) -> Iterator[tuple[Bytes, Flags]]:
    """Yield the bytes of a text, tile by tile, each with room for a flag a byte, which the next one has again."""
    view = np.frombuffer(text, np.uint8)
    room = np.empty(min(_TILE, len(view)), np.bool_)
    for start in range(0, len(view), _TILE):
        tile = view[start : start + _TILE]
        yield tile, room[: len(tile)]


def _looked_at(text: Text, quote: bytes) -> tuple[bool, bool, int | None]:
    """Return whether a text has a quote, whether it is ASCII without NUL, and how many line feeds it has if no quote.

    All in one walk, because the first look at a tile brings it into the cache, and costs most.
    """
    quoted, plain, line_feeds = False, True, 0
    for tile, room in _tiles(text):
        quoted = quoted or (bool(quote) and bool(np.equal(tile, quote[0], out=room).any()))
        plain = plain and bool(tile.view(np.int8).min() > 0)
        if not quoted:
            line_feeds += int(np.count_nonzero(np.equal(tile, 0x0A, out=room)))
    return quoted, plain, None if quoted else line_feeds


def agrees_with_lines(rows: int, piece: Piece, *, blank: bool) -> bool:
    """Return whether a piece without quotes has as many lines as rows, blank ones counted or not."""
    return rows == piece.line_feeds or rows == _count_lines(np.frombuffer(piece.text, np.uint8), blank=blank)


def count_byte(text: Text, byte: int) -> int:
    """Return how often a byte is in a text."""
    return sum(int(np.count_nonzero(np.equal(tile, byte, out=room))) for tile, room in _tiles(text))


def count_up_to(text: Text, byte: int) -> int:
    """Return how many bytes of a text are at most a byte."""
    return sum(int(np.count_nonzero(np.less_equal(tile, byte, out=room))) for tile, room in _tiles(text))


def begins_a_line(text: Text, byte: int) -> bool:
    """Return whether a line of a text begins with a byte; a line end inside quotes counts."""
    view = np.frombuffer(text, np.uint8)
    for number, (tile, room) in enumerate(_tiles(text)):
        if np.equal(tile, byte, out=room).any():
            places = number * _TILE + np.flatnonzero(room)
            before = view[places - 1]
            if places[0] == 0 or ((before == 0x0A) | (before == 0x0D)).any():
                return True
    return False


def _count_lines(view: np.ndarray[Any, np.dtype[np.uint8]], *, blank: bool) -> int:
    ends = np.flatnonzero((view == 0x0A) | (view == 0x0D))
    paired = (view[ends[:-1]] == 0x0D) & (view[ends[1:]] == 0x0A) & (np.diff(ends) == 1)
    starts = np.concatenate(([0], np.delete(ends, np.flatnonzero(paired)) + 1))
    first_bytes = view[starts[starts < len(view)]]
    return len(first_bytes) if blank else int(np.count_nonzero((first_bytes != 0x0A) & (first_bytes != 0x0D)))
