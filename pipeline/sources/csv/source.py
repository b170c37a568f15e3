"""Read CSV files: records cut by bytes, parsed by Arrow, typed by what a job needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.disk import OpenFile
from pipeline.sources.column_types import arrow_type
from pipeline.sources.content import with_content
from pipeline.sources.csv.columns import csv_field
from pipeline.sources.csv.cutting import Sizes
from pipeline.sources.csv.decode import ENDS, find_encoding, identify
from pipeline.sources.csv.dialect import dialect_of
from pipeline.sources.csv.reader import CsvReader, OpenText, Settings, open_text
from pipeline.sources.csv.spelling import spelling_of
from pipeline.types.inputs import ColumnFacts, FileFacts
from pipeline.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.types.inputs import CsvOptions, Identity, InputFile, Need
    from pipeline.types.rows import Slice


class CsvSource:
    """Reads exactly the rows that one Arrow parser makes of a whole file, however it is cut, and reports bad records.

    A last line without an end is read as if it had one. (Otherwise Arrow 26 takes the empty field after ``"a",`` at
    the end of a file for a quoted one, which is not null.)

    See :class:`~pipeline.types.sources.Source`. A slice without a given ``begin`` guesses it: the first byte after a
    line end. If the guess differs from the ``end`` of the previous slice, the slice must be read again with that
    ``begin``; until then its rows and bad records mean nothing.

    Parameters
    ----------
    options : CsvOptions
    piece_bytes : int
        Bytes that become a batch at a time.
    record_bytes : int
        The longest record that is read.
    block_bytes : int
        Bytes that the parser takes at a time.

    Raises
    ------
    UsageError
        Delimiter, quote, decimal or thousands character, encoding or a type cannot be used.
    """

    def __init__(
        self,
        options: CsvOptions,
        *,
        piece_bytes: int = 4 * MIB,
        record_bytes: int = 64 * MIB,
        block_bytes: int = 512 * KIB,
    ) -> None:
        for _, type_name in options.types:
            arrow_type(type_name)
        spelling_of(options)
        sizes = Sizes(piece_bytes, record_bytes, block_bytes)
        self._settings = Settings(options, dialect_of(options), find_encoding(options.encoding), sizes)

    def facts(self, file: InputFile, *, full: bool = False) -> FileFacts:
        """Return the facts of a file, from its header and 64 KiB at each end; ``rows`` is never known.

        ``full`` reads all bytes once more, for the ``content`` of the identity.

        A compressed file, or one in an encoding that is decoded as a stream, is not ``cuttable``: its one slice is
        ``(0, size)``, and its ``data_start`` is 0.

        Raises
        ------
        DataError
            It is not CSV in the encoding of the options, or its header cannot be read.
        InputChangedError
            It changed while it was read for the content digest.
        """
        with OpenFile.open(file.location, file.path) as stored:
            identity = identify(stored)
            opened = open_text(stored, self._settings)
            row_bytes = self._row_bytes(opened, stored, identity.size)
            if full:
                identity = with_content(identity, stored, identify)
        cuttable = opened.codec is None and self._settings.encoding.kind != "stream"
        return FileFacts(
            file=file,
            identity=identity,
            columns=tuple(ColumnFacts(pa.field(name, pa.string()), 0, 0) for name in opened.header.names),
            rows=None,
            row_bytes=row_bytes,
            group_rows=np.empty(0, np.int64),
            data_start=opened.header.end if cuttable else 0,
            cuttable=cuttable,
        )

    def field(self, facts: FileFacts, need: Need) -> pa.Field:
        """Return the name and type of a needed column; always nullable.

        float64 for a number, a dictionary of text for a category, text for a kept column, unless the need or the
        options name a type. A file without a header and without a row allows any name.

        Raises
        ------
        LookupError
            The file has no such column, or several; the message is a clause that names the header.
        UsageError
            The type asked for is unknown.
        """
        names = [column.field.name for column in facts.columns]
        return csv_field(facts.file, names, need, self._settings.options)

    def read(
        self,
        file: InputFile,
        identity: Identity,
        piece: Slice,
        needs: Sequence[Need],
        batch_rows: int,
        begin: int | None = None,
    ) -> CsvReader:
        """Open a slice for reading; see :class:`~pipeline.sources.csv.reader.CsvReader`."""
        return CsvReader(file, identity, piece, needs, batch_rows, begin, self._settings)

    def _row_bytes(self, opened: OpenText, stored: OpenFile, size: int) -> float:
        """Return the mean stored bytes of a line after the header."""
        window = opened.window
        if opened.codec is None:
            start = min(size, opened.header.end)
            samples = stored.read_at(ENDS, start), stored.read_at(ENDS, max(start, size - ENDS))
            return max(1.0, _mean_line(b"".join(samples)))
        window.fill(MIB)
        stored_bytes = size if window.ended else opened.raw.bytes_read
        text = bytes(window.text[opened.header.end : window.length])
        return max(1.0, _mean_line(text) * stored_bytes / max(1, window.length))


def _mean_line(sample: bytes) -> float:
    lines = max(sample.count(b"\n"), sample.count(b"\r"), 1)
    return len(sample) / lines
