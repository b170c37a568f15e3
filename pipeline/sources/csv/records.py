"""Find where the records of a piece come from: number in the slice, place in the file, text."""

from __future__ import annotations

import codecs
from bisect import bisect_right
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import BalanceError
from pipeline.sources.csv.quoting import line_ends_inside
from pipeline.types.rows import BadCell, Origin
from pipeline.units import KIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.choices import Hint
    from pipeline.sources.csv.cutting import Cut
    from pipeline.sources.csv.decode import TextEncoding
    from pipeline.sources.csv.dialect import Dialect
    from pipeline.types.inputs import Integers

ODD_QUOTING = "odd quoting"
LINE_ENDS = "line ends inside quotes"

_LINE_FEED, _RETURN = b"\n\r"
SHOWN_TEXT = 200
SHOWN_LINE = 64 * KIB

# What decoding makes of a byte that is not valid in the encoding (see ``decode``), as UTF-8.
_UNDECODABLE = "\udcff".encode("utf-8", "surrogatepass")


class Records:
    """The records of one piece, good and bad. Valid until the next piece is asked for, which overwrites its text.

    The places of the good ones are found when they are first asked for.

    Parameters
    ----------
    cut : Cut
    before : int
        Records of the slice before the piece.
    offset : int
        Where the piece begins in the file.
    dialect : Dialect
    encoding : TextEncoding
    blank : bool
        Whether a blank line is a record.
    """

    def __init__(
        self, cut: Cut, before: int, offset: int, dialect: Dialect, encoding: TextEncoding, *, blank: bool
    ) -> None:
        self._cut, self._before = cut, before
        self._dialect, self._encoding, self._blank = dialect, encoding, blank
        self._place, self._offset, self._begin = 0, offset, offset
        # how many good records come before each bad one
        self._good_before = [fault.record - index for index, fault in enumerate(cut.faults)]

    def number(self, row: int) -> int:
        """Return the number within the slice of a good record, given its row among the good ones."""
        return self._before + self._index(row)

    def places(self, first: int, rows: int, *, numbers: bool) -> Integers:
        """Return the offset in the file of each of some good records in a row, or its number within the slice."""
        good = np.arange(first, first + rows)
        indices = good + np.searchsorted(self._good_before, good, side="right")
        return self._before + indices if numbers else self._begin + self._file_starts[indices]

    def origins(self, rows: Sequence[int]) -> list[Origin]:
        """Return where good records come from."""
        found = []
        for row in rows:
            start, stop = self._spans[self._index(row)].tolist()
            found.append(Origin(self.number(row), self._offset_of(start), self._line(start, stop)))
        return found

    def bad(self, names: Sequence[str], hint: Callable[[bytes, int], Hint | None]) -> Iterator[BadCell]:
        """Yield what is wrong with the bad records, in order.

        Parameters
        ----------
        names : sequence of str
            The columns.
        hint : callable
            Returns what a record seems to be, given it without its line end, and its number.
        """
        for fault in self._cut.faults:
            column = "" if fault.position is None else names[fault.position]
            number = self._before + fault.record
            start, stop = fault.start, fault.stop
            # 200 characters are at most 800 bytes, and what follows them may be long
            text = self._shown(fault.text[: 4 * SHOWN_TEXT])[:SHOWN_TEXT]
            seems = hint(self._record(start, stop), number)
            offset, line = self._offset_of(start), self._line(start, stop)
            yield BadCell(number, column, text, fault.cause, fault.values, seems, offset, line)

    def quoting_events(self, most: int) -> dict[str, int]:
        """Return what a person should hear about the quotes of the first records, at most so many."""
        cut = self._cut
        if not cut.quoted or most <= 0:
            return {}
        text, records = cut.text, cut.records
        if most < records:
            text, records = cut.text[: self._spans[most - 1][1]], most
        odd = cut.odd.until(len(text))
        unended = cut.open or text[-1] not in b"\r\n"
        return {
            ODD_QUOTING: len(odd.places) + (len(odd.behind) if cut.open else 0),
            LINE_ENDS: line_ends_inside(text, records, self._dialect, blank=self._blank, unended=unended),
        }

    def _index(self, row: int) -> int:
        return row + bisect_right(self._good_before, row)

    @cached_property
    def _file_starts(self) -> Integers:
        """Where each record begins, in bytes of the file from the beginning of the piece."""
        starts = self._line_starts
        if starts is None:
            starts = self._spans[:, 0]
        if self._encoding.kind == "utf-8":
            return starts
        # Each character is a byte of the file, and begins with a byte that does not continue one.
        begins = (np.frombuffer(self._cut.text, dtype=np.uint8) & 0xC0) != 0x80
        return np.cumsum(begins)[starts] - 1

    @property
    def _line_starts(self) -> Integers | None:
        """The beginning of each record of a piece without quotes and blank lines, each ended by LF or CR LF.

        ``None`` for any other piece. Here a line is a record, and there is no need to go from record to record.
        """
        text = np.frombuffer(self._cut.text, dtype=np.uint8)
        ends = np.flatnonzero(text == _LINE_FEED)
        returns = np.flatnonzero(text[:-1] == _RETURN)
        if self._cut.quoted or len(ends) < len(returns) or not np.all(text[returns + 1] == _LINE_FEED):
            return None
        starts = np.concatenate([[0], ends[ends < text.size - 1] + 1])
        return starts if len(starts) == self._cut.records else None

    @cached_property
    def _spans(self) -> Integers:
        records = self._dialect.records(bytes(self._cut.text), blank=self._blank)
        spans = np.fromiter(chain.from_iterable(records), np.int64).reshape(-1, 2)
        if len(spans) != self._cut.records:
            found = f"{self._cut.records:,} records where its lines make {len(spans):,}"
            raise BalanceError(f"the CSV parser finds {found}")
        return spans

    def _offset_of(self, place: int) -> int:
        """Return the offset in the file of a place in the text; cheap if places are asked for in ascending order."""
        if place < self._place:
            self._place, self._offset = 0, self._begin
        self._offset += self._encoding.file_bytes(self._cut.text[self._place : place])
        self._place = place
        return self._offset

    def _record(self, start: int, stop: int) -> bytes:
        """Return a record without its line end; a record that does not end in the piece has none."""
        text = self._cut.text
        if not self._cut.open and stop > start and text[stop - 1] in b"\r\n":
            stop -= 2 if bytes(text[max(start, stop - 2) : stop]) == b"\r\n" else 1
        return bytes(text[start:stop])

    def _line(self, start: int, stop: int) -> str:
        record = self._record(start, min(stop, start + SHOWN_LINE + 2))
        return self._shown(record[:SHOWN_LINE], cut=len(record) > SHOWN_LINE)

    def _shown(self, text: bytes, *, cut: bool = False) -> str:
        """Return bytes as text that UTF-8 can hold; a character that is cut in two is dropped."""
        if self._encoding.kind != "utf-8":
            text = text.replace(_UNDECODABLE, "\ufffd".encode())
        return codecs.getincrementaldecoder("utf-8")("backslashreplace").decode(text, final=not cut)
