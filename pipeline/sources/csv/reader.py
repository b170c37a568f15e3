"""Read the rows of one slice of a CSV."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.disk import input_error, show
from pipeline.errors import InputChangedError, MemoryBudgetError
from pipeline.formats import HEAD_BYTES
from pipeline.sources.content import STILL, open_planned, same_state
from pipeline.sources.csv.columns import CsvColumns
from pipeline.sources.csv.cutting import Cut, Cutter, Sizes, guess_begin
from pipeline.sources.csv.decode import (
    Ahead,
    Inflated,
    RawFile,
    Recoded,
    Stream,
    TextEncoding,
    Window,
    compression_of,
    identify,
    refuse_foreign,
)
from pipeline.sources.csv.header import Header, read_header
from pipeline.sources.csv.parse import CsvParser
from pipeline.sources.csv.records import Records
from pipeline.units import KIB, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.choices import Hint
    from pipeline.disk import OpenFile
    from pipeline.sources.csv.dialect import Dialect
    from pipeline.types.inputs import CsvOptions, Identity, InputFile, Integers, Need
    from pipeline.types.rows import BadCell, Origin, Slice

_MARKS = {"utf-16": (b"\xff\xfe", b"\xfe\xff"), "utf-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff")}


@dataclass(frozen=True)
class Settings:
    """How the files are written, in the form that the reader uses."""

    options: CsvOptions
    dialect: Dialect
    encoding: TextEncoding
    sizes: Sizes


@dataclass(frozen=True)
class OpenText:
    """The text of an open file, decompressed, and decoded where it can only be decoded as a stream.

    ``mark`` is the number of bytes of a byte order mark that the decoder removes.
    """

    raw: RawFile
    codec: str | None
    window: Window
    header: Header
    mark: int


def open_text(file: OpenFile, settings: Settings) -> OpenText:
    """Return the text of an open file, its header read; the window is at the beginning."""
    path = file.path
    head = file.read_at(HEAD_BYTES, 0)
    named = settings.options.columns is None
    codec = compression_of(head, path, named=named)
    raw = RawFile(file)
    stream: Stream = raw if codec is None else Inflated(raw, codec)
    encoding = settings.encoding
    if encoding.kind == "stream":
        stream = Recoded(stream, encoding, path)
    window = Window(stream)
    if codec is not None:
        window.fill(64 * KIB)
        refuse_foreign(bytes(window.text[: min(window.length, HEAD_BYTES)]), path, text=named)
    header = read_header(window, settings.dialect, encoding, settings.options, path)
    mark = next((len(mark) for mark in _MARKS.get(encoding.name, ()) if head.startswith(mark)), 0)
    return OpenText(raw, codec, window, header, mark)


class CsvReader:
    """Reads a slice in pieces. See :class:`~pipeline.types.sources.SliceReader`; used by one thread.

    A record is bad if it is ragged, is not closed, has text behind a closing quote, begins with the comment character,
    contains NUL, or has a cell that its type does not allow; also if a feature has an integer beyond 2**53 that float64
    would change. Bad records raise nothing, because a slice whose
    begin was guessed may begin inside a record. Memory is a few times a piece, or the longest record, if the bad
    records are taken at every batch.

    Raises
    ------
    InputChangedError
        The file is not the one that was planned, before the first row or after the last.
    DataError
        Compressed data is damaged or cut off.
    MemoryBudgetError
        A record that certainly begins there is longer than the limit.
    """

    def __init__(
        self,
        file: InputFile,
        identity: Identity,
        piece: Slice,
        needs: Sequence[Need],
        batch_rows: int,
        begin: int | None,
        settings: Settings,
    ) -> None:
        self.rows = 0
        self.begin = self.end = piece.start
        self.bytes_read = 0
        self.bad_count = 0
        self.events: Mapping[str, int] = {}
        self.limit: int | None = None
        self._file, self._identity, self._slice, self._needs = file, identity, piece, needs
        self._batch_rows, self._given, self._settings = batch_rows, begin, settings
        self._pending = False
        self._bad: list[BadCell] = []
        self._before = self._first = self._part_rows = 0
        self._is_whole = False
        self._piece: Records | None = None
        self._ahead: Ahead | None = None

    def __enter__(self) -> Self:
        self._stored = open_planned(self._file)
        try:
            self._compare()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if self._pending and exc[0] is None:
                self._compare()
        finally:
            self._close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self._pending = True
        try:
            opened = open_text(self._stored, self._settings)
            for cut in self._pieces(opened):
                # bad records alone are one batch without a row
                for start in range(0, max(cut.batch.num_rows, bool(cut.faults)), self._batch_rows):
                    part = cut.batch.slice(start, self._batch_rows)
                    self._first, self._part_rows = start, part.num_rows
                    self.rows += part.num_rows
                    self.bytes_read = self._read_from(opened)
                    yield part
            self._piece = None
        except pa.ArrowMemoryError as error:
            raise MemoryBudgetError(f"{show(self._file.path)}: {escape(str(error), 300)}", "raise --memory") from error
        except OSError as error:
            raise input_error(error, self._file.path) from error
        self.bytes_read = self._read_from(opened)
        self._pending = False
        self._compare()

    def take_bad(self) -> list[BadCell]:
        """Return the bad records of the pieces read so far that were not taken yet."""
        taken, self._bad = self._bad, []
        return taken

    def record(self, row: int) -> int:
        """Return the number within the slice of a row of the last batch, until the next one is asked for."""
        assert self._piece is not None
        return self._piece.number(self._first + row)

    def places(self) -> Integers:
        """Return the offsets of the records of the last batch; their numbers where the file is read in one piece."""
        assert self._piece is not None
        return self._piece.places(self._first, self._part_rows, numbers=self._is_whole)

    def origins(self, rows: Sequence[int]) -> list[Origin]:
        """Return where rows of the last batch come from, until the next one is asked for."""
        assert self._piece is not None
        return self._piece.origins([self._first + row for row in rows])

    def _read_from(self, opened: OpenText) -> int:
        return opened.raw.bytes_read if self._ahead is None else self._ahead.bytes_read

    def _close(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self._stored.close()

    def _compare(self) -> None:
        if not same_state(identify(self._stored), self._identity):
            raise InputChangedError(f"{show(self._file.path)} has changed since the run was planned", STILL)

    def _pieces(self, opened: OpenText) -> Iterator[Cut]:
        cuttable = opened.codec is None and self._settings.encoding.kind != "stream"
        self._is_whole = not cuttable
        if not cuttable:
            yield from self._whole(opened)
            return
        window = self._seek(opened)
        self.begin = self.end = window.offset
        for cut in self._cuts(window, opened.header, self._slice.stop):
            self._note(cut, opened.header, window.offset)
            yield cut
            self.end = window.offset + cut.length if not cut.overlong else self._identity.size

    def _whole(self, opened: OpenText) -> Iterator[Cut]:
        window = opened.window
        encoding = self._settings.encoding
        offset = opened.header.end
        if encoding.kind == "stream":
            offset = opened.mark + encoding.file_bytes(window.text[:offset])
        window.drop(opened.header.end)
        self._ahead = window.read_ahead(opened.raw)
        for cut in self._cuts(window, opened.header, sys.maxsize):
            self._note(cut, opened.header, offset)
            yield cut
            offset += encoding.file_bytes(cut.text)
        self.end = self._slice.stop

    def _seek(self, opened: OpenText) -> Window:
        """Return a window that begins at the first record: given, behind the header, or guessed."""
        first = opened.header.end
        begin = self._given if self._given is not None else first if self._slice.start <= first else None
        if begin is not None and begin == first:
            opened.window.drop(first)
            return opened.window
        if begin is not None:
            opened.raw.move(begin)
            return Window(opened.raw, begin)
        opened.raw.move(self._slice.start - 1)
        window = Window(opened.raw, self._slice.start - 1)
        if opened.header.names:
            guess_begin(window, self._slice.stop, self._settings.sizes.record, self._parser(opened.header))
            if window.length > self._settings.sizes.record:
                # What the guess looked at must not decide which record is too long.
                begin = window.offset
                opened.raw.move(begin)
                window = Window(opened.raw, begin)
        return window

    def _cuts(self, window: Window, header: Header, stop: int) -> Iterator[Cut]:
        if not header.names or window.offset >= stop:
            return
        settings = self._settings
        columns = CsvColumns(self._parser(header), self._file, header.names, self._needs, settings.options)
        yield from Cutter(window, stop, columns, settings.encoding, settings.sizes, self._batch_rows)

    def _parser(self, header: Header) -> CsvParser:
        return CsvParser(self._settings.dialect, len(header.names), self._settings.sizes.block)

    def _note(self, cut: Cut, header: Header, offset: int) -> None:
        """Keep the places of the records of a piece, and what is wrong with the bad ones."""
        if cut.overlong and self._certain(header):
            message = f"{show(self._file.path)}: the record at byte {offset:,} {cut.faults[0].reason}"
            raise MemoryBudgetError(message, "close the quote there, or name the --quote or --escape of the file")
        if cut.overlong:
            # The begin was guessed. Whoever knows it reads the record again from there, and refuses it.
            self.begin = -1
        settings = self._settings
        blank = len(header.names) == 1
        self._piece = Records(cut, self._before, offset, settings.dialect, settings.encoding, blank=blank)
        found = self._piece.quoting_events(cut.records if self.limit is None else self.limit - self._before)
        if any(found.values()):
            self.events = dict(Counter(self.events) + Counter(found))
        self._before += cut.records
        self.bad_count += len(cut.faults)
        repeated = settings.encoding.utf8(header.record)
        self._bad += self._piece.bad(header.names, lambda record, number: self._hint(record, number, header, repeated))

    def _certain(self, header: Header) -> bool:
        return self._given is not None or self._slice.start <= header.end

    def _hint(self, record: bytes, number: int, header: Header, repeated: bytes) -> Hint | None:
        """Return what a bad record seems to be: a repeated header, or the header although --columns is given."""
        if repeated and record == repeated:
            return "repeats the header"
        if self._settings.options.columns is None or number or self._slice.start > header.end:
            return None
        fields, _ = self._settings.dialect.fields(record)
        is_header = fields == [name.encode() for name in header.names]
        return "looks like a header" if is_header else None
