"""Cut a text into pieces of whole records, without knowing beforehand where quotes open and close."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.dataclass import dataclass
from pipeline.errors import BalanceError
from pipeline.sources.csv.cells import Fault, judge
from pipeline.sources.csv.dialect import last_line_end, next_line_start
from pipeline.sources.csv.parse import Parsed, Piece, agrees_with_lines, begins_a_line, is_plain_utf8
from pipeline.sources.csv.quoting import Odd, find_odd
from pipeline.units import KIB, MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from pipeline.choices import Cause
    from pipeline.sources.csv.columns import CsvColumns
    from pipeline.sources.csv.decode import TextEncoding, Window
    from pipeline.sources.csv.parse import CsvParser

_AHEAD = 16 * KIB
_SMALLEST = 32 * KIB
_FIRST_ROW = 64
_SAMPLE = 64 * KIB
_CANDIDATES = 16
_LINE_END = 2
_JUDGED = 16_384


@dataclass(frozen=True)
class Sizes:
    """Bytes of a piece, of the longest record that is read, and of a block for the parser."""

    piece: int = 4 * MIB
    record: int = 64 * MIB
    block: int = 512 * KIB


@dataclass(frozen=True)
class Cut:
    """A piece: its good rows, the number of its records, and what is wrong with the bad ones, in order.

    ``text`` is the piece as UTF-8, ``length`` its bytes in the window. It has no quote unless ``quoted``; ``odd`` are
    its odd quotes. ``open`` says that the piece is a record without an end; ``overlong`` that it is the beginning of a
    record longer than the limit, after which nothing can be read.
    """

    batch: pa.RecordBatch
    records: int
    faults: tuple[Fault, ...]
    text: bytes | memoryview
    length: int
    quoted: bool
    odd: Odd
    open: bool = False
    overlong: bool = False


def guess_begin(window: Window, stop: int, limit: int, parser: CsvParser) -> int:
    """Return where a record seems to begin, after the first byte of the window, and move the window there.

    A guess: after a line end, which may be inside quotes. The search ends ``limit`` bytes after ``stop``. Of several
    line ends before ``stop`` the guess is the first after which all records have the right number of fields, or else
    the one with the fewest wrong records.
    """
    window.fill(_AHEAD)
    found = next_line_start(window.text, 1, window.length, final=window.ended) if window.length else 0
    while found is None:
        window.drop(window.length - 1)  # the last byte may be half of a line end
        window.fill(MIB)
        too_far = window.offset > stop + limit
        found = next_line_start(window.text, 1, window.length, final=window.ended or too_far)
    window.drop(found)
    window.fill(_SAMPLE)
    place, best, fewest = 0, 0, math.inf
    for _ in range(_CANDIDATES):
        misfits = _misfits(window, place, parser)
        if misfits < fewest:
            best, fewest = place, misfits
        following = next_line_start(window.text, place + 1, window.length, final=window.ended)
        if not misfits or following is None or window.offset + following >= stop:
            break
        place = following
    window.drop(best)
    return window.offset


def _misfits(window: Window, place: int, parser: CsvParser) -> float:
    """Return how many records have the wrong number of fields if one begins at a place of the window."""
    end = last_line_end(window.text, window.length, final=window.ended)
    if end <= place:
        return math.inf
    piece = parser.piece(memoryview(window.text)[place:end], final=window.ended and end == window.length)
    if not piece.quoted:
        return 0
    parsed = parser.structure(piece)
    return len(parsed.ragged) if parsed.length else math.inf


class Cutter:
    """Walks through a text from the known begin of a record to the first record that begins at ``stop`` or later.

    A piece ends at a line end that was found without regard to quotes. If the piece has a quote, a probe record is
    parsed after it: where the piece ended inside quotes, the parser reports the record that was cut, and the next
    piece begins there. By induction from the first record this is right for whatever the parser takes as quoting.

    Parameters
    ----------
    window : Window
        It begins at the first record.
    stop : int
        Offset in the stream.
    columns : CsvColumns
    encoding : TextEncoding
    sizes : Sizes
    batch_rows : int
        Pieces are smaller where so many rows take less.
    """

    def __init__(
        self, window: Window, stop: int, columns: CsvColumns, encoding: TextEncoding, sizes: Sizes, batch_rows: int
    ) -> None:
        self._window, self._stop = window, stop
        self._columns, self._encoding = columns, encoding
        self._sizes, self._batch_rows = sizes, batch_rows
        self._target = self._size_for(_FIRST_ROW)

    def __iter__(self) -> Iterator[Cut]:
        """Yield one piece after the other; the window moves past a piece when the next one is asked for."""
        while self._window.offset < self._stop:
            cut = self._next()
            if cut is None:
                return
            yield cut
            self._window.drop(cut.length)
            if cut.overlong:
                return
            if cut.records:
                self._target = self._size_for(cut.length / cut.records)

    def _size_for(self, row_bytes: float) -> int:
        return min(self._sizes.piece, max(_SMALLEST, int(self._batch_rows * row_bytes)))

    def _next(self) -> Cut | None:
        window = self._window
        wanted = min(self._target, self._stop - window.offset + _AHEAD)
        while True:
            window.fill(wanted)
            if not window.length:
                return None
            cut = self._try(self._place())
            if cut is not None:
                return cut
            if window.ended:
                return self._open_record("open quote")
            # The longest record and its line end, never more: otherwise the window size would decide what is too long.
            longest = self._sizes.record + _LINE_END
            if window.length >= longest:
                return self._open_record("too long", format_bytes(self._sizes.record))
            wanted = min(2 * window.length, longest)

    def _place(self) -> int | None:
        """Return a line end of the window to cut at: the last one, or the first one at ``stop`` or later."""
        window = self._window
        at = self._stop - window.offset
        if window.length < at:
            return last_line_end(window.text, window.length, final=window.ended)
        return next_line_start(window.text, at, window.length, final=window.ended)

    def _try(self, place: int | None) -> Cut | None:
        """Return the whole records before a place, or the record across ``stop``; ``None`` if that is open."""
        if not place:
            return None
        cut = self._parse(place)
        window = self._window
        if cut is not None or window.offset + window.length < self._stop:
            return cut
        end = self._columns.parser.dialect.record_end(window.text, 0, window.length, final=window.ended)
        cut = self._parse(end) if end is not None and end != place else None
        if cut is not None and cut.length != end:
            raise BalanceError("the CSV parser ends a record at another byte")
        return cut

    def _parse(self, place: int) -> Cut | None:
        """Return the whole records before a place, ``None`` where there are none."""
        memory = memoryview(self._window.text)
        final = self._window.ended and place == self._window.length
        if self._encoding.kind == "bytewise":
            piece = self._columns.parser.piece(self._encoding.utf8(bytes(memory[:place])), final=final)
        else:
            piece = self._columns.parser.piece(memory[:place], final=final, memory=memory)
        parsed, batch = self._convert(piece)
        if not parsed.length:
            return None
        length = place
        if parsed.length < len(piece.text):
            piece = piece.until(parsed.length)
            length = self._window_bytes(piece.text)
        odd = self._odd(piece)
        if batch is None or odd.behind or self._has_comment(piece):
            return self._judged(piece, length, odd)
        if not piece.quoted:
            self._count(piece, batch.num_rows)
        return Cut(batch, batch.num_rows, (), piece.text, length, piece.quoted, odd)

    def _convert(self, piece: Piece) -> tuple[Parsed, pa.RecordBatch | None]:
        if is_plain_utf8(piece):
            return self._columns.convert(piece)
        parsed = self._columns.parser.structure(piece)
        if parsed.ragged or not parsed.length or b"\0" in bytes(piece.text):
            return parsed, None
        return parsed, self._columns.convert(piece.until(parsed.length))[1]

    def _odd(self, piece: Piece) -> Odd:
        if not piece.quoted:
            return Odd()
        dialect = self._columns.parser.dialect
        text = piece.text if piece.escapes is None else piece.escapes.masked(piece.text, ord(dialect.letter))
        return find_odd(text, dialect.plain)

    def _has_comment(self, piece: Piece) -> bool:
        """Return whether a record begins with the comment character."""
        parser = self._columns.parser
        comment = parser.dialect.comment.encode()
        if not comment or not begins_a_line(piece.text, comment[0]):
            return False
        if not piece.quoted:
            return True
        text = bytes(piece.text)
        # Such a line may be inside quotes.
        records = parser.dialect.records(text, blank=parser.blank_lines_count)
        return any(text.startswith(comment, start) for start, _ in records)

    def _judged(self, piece: Piece, length: int, odd: Odd) -> Cut:
        name = self._encoding.name
        verdict = judge(piece, odd, self._columns, "UTF-8" if name == "utf-8" else name, _JUDGED)
        if verdict.length < len(piece.text):
            piece = piece.until(verdict.length)
            length, odd = self._window_bytes(piece.text), odd.until(verdict.length)
        batch: pa.RecordBatch | None = self._columns.no_rows()
        if verdict.good:
            batch = self._columns.convert(self._columns.parser.piece(verdict.good, final=True))[1]
        if batch is None or batch.num_rows != verdict.records - len(verdict.faults):
            raise BalanceError("the CSV parser takes a record as good and as bad")
        return Cut(batch, verdict.records, verdict.faults, piece.text, length, piece.quoted, odd)

    def _count(self, piece: Piece, rows: int) -> None:
        if not agrees_with_lines(rows, piece, blank=self._columns.parser.blank_lines_count):
            message = f"the CSV parser found {rows:,} rows, but the text has another number of lines"
            raise BalanceError(message)

    def _open_record(self, cause: Cause, *values: str) -> Cut:
        window = self._window
        text = self._encoding.utf8(bytes(window.text[: window.length]))
        fault = Fault(0, 0, len(text), None, text, cause, values)
        rows, piece = self._columns.no_rows(), self._columns.parser.piece(text, final=True)
        odd, overlong = self._odd(piece), cause == "too long"
        return Cut(rows, 1, (fault,), text, window.length, piece.quoted, odd, open=True, overlong=overlong)

    def _window_bytes(self, text: bytes | memoryview) -> int:
        """Return the bytes of the window that a piece of UTF-8 text was made of."""
        return self._encoding.file_bytes(text) if self._encoding.kind == "bytewise" else len(text)
