"""The rows of one slice of a CSV."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from pipeline.errors import BalanceError, InputChangedError, MemoryBudgetError
from pipeline.sources.csv_cells import Fault, judge
from pipeline.sources.csv_columns import Columns
from pipeline.sources.csv_dialect import Bytes, Dialect, last_line_end, next_line_start
from pipeline.sources.csv_header import Header, read_header
from pipeline.sources.csv_parse import Parser, Piece, count_lines, is_plain_utf8
from pipeline.sources.decode import (
    Encoding,
    Inflated,
    RawFile,
    Recoded,
    Stream,
    Window,
    compression_of,
    identify,
)
from pipeline.sources.files import open_regular, show
from pipeline.types import BadCell
from pipeline.units import KIB, MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.types import CsvOptions, Identity, InputFile, Need, Slice

SHOWN_BAD = 10
SHOWN_TEXT = 200
_AHEAD = 16 * KIB
_NO_STOP = sys.maxsize


@dataclass(frozen=True)
class Sizes:
    """Bytes of a piece that is parsed at a time, and of the longest record that is read."""

    piece: int = MIB
    record: int = 64 * MIB


@dataclass(frozen=True)
class Opened:
    """An open CSV: its compression, and a stream of its text from the first byte on."""

    raw: RawFile
    codec: str | None
    window: Window
    mark: int


def open_text(descriptor: int, path: str, encoding: Encoding) -> Opened:
    """Return the text of an open file, decompressed, and decoded where it can only be decoded as a stream.

    ``mark`` is how many bytes of a byte order mark the decoder takes away.
    """
    head = os.pread(descriptor, 8, 0)
    codec = compression_of(head, path)
    raw = RawFile(descriptor, path)
    stream: Stream = raw if codec is None else Inflated(raw, codec)
    if encoding.kind == "stream":
        stream = Recoded(stream, encoding)
    return Opened(raw, codec, Window(stream), _mark(head, encoding) if codec is None else 0)


def _mark(head: bytes, encoding: Encoding) -> int:
    marks = {"utf-16": (b"\xff\xfe", b"\xfe\xff"), "utf-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff")}
    return next((len(mark) for mark in marks.get(encoding.name, ()) if head.startswith(mark)), 0)


class CsvReader:
    """Reads a slice in pieces, each cut at a line end and parsed with a record appended that tells whether it was one.

    See :class:`~pipeline.types.SliceReader`. A record is bad where it is ragged, is not closed, or has a NUL or a cell
    that its type does not allow; nothing about bad records is raised, because a slice whose begin was guessed may have
    begun inside a record. Memory is about four pieces, or four times the longest record.

    Raises
    ------
    InputChangedError
        The file is not the one that was planned, before the first row or after the last.
    DataError
        Compressed data is damaged or cut off.
    MemoryBudgetError
        A record is longer than the limit, where it is certain that the record begins there.
    """

    def __init__(
        self,
        file: InputFile,
        identity: Identity,
        piece: Slice,
        needs: Sequence[Need],
        batch_rows: int,
        begin: int | None,
        settings: tuple[CsvOptions, Dialect, Encoding, Sizes],
    ) -> None:
        self.rows = 0
        self.begin = self.end = piece.start
        self.bad: list[BadCell] = []
        self.bad_count = 0
        self._file, self._identity, self._slice, self._needs = file, identity, piece, needs
        self._batch_rows, self._given = batch_rows, begin
        self._options, self._dialect, self._encoding, self._sizes = settings
        self._descriptor = -1
        self._raw: RawFile | None = None
        self._compared = True

    @property
    def bytes_read(self) -> int:
        """Bytes read from the file for rows and header."""
        return 0 if self._raw is None else self._raw.bytes_read

    def __enter__(self) -> Self:
        self._descriptor = open_regular(self._file.location, self._file.path)
        try:
            self._compare()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if exc[0] is None and not self._compared:
                self._compare()
        finally:
            self._close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self._compared = False
        try:
            yield from self._batches()
        except pa.ArrowMemoryError as error:
            raise MemoryBudgetError(f"{show(self._file.path)}: {error}", "Give more --memory.") from error
        self._compare()
        self._compared = True

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _compare(self) -> None:
        found = identify(self._descriptor, self._file.path)
        if found != self._identity:
            message = f"{show(self._file.path)} has changed since it was planned"
            raise InputChangedError(message, "Run again when nothing writes to it any more.")

    def _batches(self) -> Iterator[pa.RecordBatch]:
        opened = open_text(self._descriptor, self._file.path, self._encoding)
        self._raw = opened.raw
        header = read_header(
            opened.window, self._dialect, self._encoding, self._options.columns, self._file.path
        )
        cuttable = opened.codec is None and self._encoding.kind != "stream"
        walk = self._cut_file(opened, header) if cuttable else self._whole_file(opened, header)
        if not header.names or walk.window.offset >= walk.stop:
            return
        parser = Parser(self._dialect, len(header.names))
        columns = Columns(parser, self._file, header.names, self._needs, self._options)
        for batch in _Pieces(walk, columns, header, self._encoding, self).batches():
            self.rows += batch.num_rows
            for start in range(0, batch.num_rows, self._batch_rows):
                yield batch.slice(start, self._batch_rows)
            self.end = walk.window.offset if cuttable else self.end
