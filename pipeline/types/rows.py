"""Slices and chunks of the input, the origin of a row, and the accounts of what became of the rows."""

from __future__ import annotations

from pipeline.causes import reason_of
from pipeline.choices import Cause, Hint
from pipeline.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of one input file: row groups ``[start, stop)`` of a Parquet file, bytes ``[start, stop)`` of a CSV.

    For a CSV these are the records whose first byte is in the range. ``rows`` is ``None`` where only reading shows it.
    """

    file: int
    start: int
    stop: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of work, of accounting and of output: one part is written from it.

    ``row_group_rows`` are the rows of a row group of its part. ``limit`` is the most rows to read from the slices, in
    order; ``None`` reads all.
    """

    index: int
    slices: tuple[Slice, ...]
    row_group_rows: int
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class BadCell:
    """A cell, or a record, that keeps its row out of the output.

    Attributes
    ----------
    record : int
        Number of the record within its slice, from 0, including bad ones; from a block function, number of the row
        within its batch.
    column : str
        Empty where the whole record is bad (ragged, unterminated quote).
    text : str
        What was found, unescaped; at most 200 characters.
    cause : str
        Why it cannot be used, a word of :data:`~pipeline.choices.Cause`.
    values : tuple of int and str
        Values in the text of the cause: fields found and expected, the name of a type.
    hint : str or None
        What the record seems to be, a word of :data:`~pipeline.choices.Hint`.
    offset : int or None
        Offset of the first byte of the record in the file; ``None`` for Parquet, and from a block function.
    line : str or None
        The record as it is in the CSV, at most 64 KiB of it; ``None`` where ``offset`` is.
    by_policy : bool
        Whether the model file sends such rows to the quarantine: then the row is not a bad one.
    """

    record: int
    column: str
    text: str
    cause: Cause
    values: tuple[int | str, ...] = ()
    hint: Hint | None = None
    offset: int | None = None
    line: str | None = None
    by_policy: bool = False

    @property
    def reason(self) -> str:
        """Why it cannot be used, as a clause ("is not a number")."""
        return reason_of(self.cause, self.values, self.hint)


@dataclass(frozen=True, slots=True)
class Origin:
    """The place of a row in its file: see :class:`BadCell` for ``record``, ``offset`` and ``line``."""

    record: int
    offset: int | None = None
    line: str | None = None


@dataclass(frozen=True, slots=True)
class SliceAccount:
    """The balance of one slice: ``read = written + quarantined``, ``written = scored + null + nan``.

    ``bad`` are the quarantined rows that count towards ``--max-bad``; the others are there by policy of the model.
    For a CSV, ``begin`` and ``end`` are the offsets of the first record that was read and of the first byte after the
    last one; 0 for Parquet. The end of a slice is the begin of the next one, unless the cut was wrong.
    """

    file: int
    start: int
    stop: int
    read: int
    written: int
    null: int
    nan: int
    quarantined: int = 0
    bad: int = 0
    begin: int = 0
    end: int = 0

    @property
    def scored(self) -> int:
        """Rows with a value in every result."""
        return self.written - self.null - self.nan
