"""The bad rows of a pass: how many there may be, where the first one is, and the error that names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from pipeline.causes import MISSING_VALUE, remedy_of
from pipeline.errors import BadCellsError, DataError
from pipeline.plan import Plan
from pipeline.scan.shapes import shown_names
from pipeline.types.inputs import FileFacts
from pipeline.types.job import BadLimit
from pipeline.types.rows import BadCell, SliceAccount
from pipeline.units import escape, format_count, quoted

Error = TypeVar("Error", bound=DataError)


class BadRows:
    """Finds the first bad row of the chunks that were read, and where it is in its file. For one thread.

    Parameters
    ----------
    files : sequence of FileFacts
    plan : Plan
    limit : BadLimit
    """

    def __init__(self, files: Sequence[FileFacts], plan: Plan, limit: BadLimit) -> None:
        self._files, self._plan, self._limit = files, plan, limit
        self._first: tuple[int, int, BadCell] | None = None
        # Of each chunk of a CSV that was read, one more than its records. For Parquet they stay 0: pages that are never
        # written to take no memory.
        self._records = np.zeros(len(plan), dtype=np.int64)

    def add(self, chunk: int, accounts: Sequence[SliceAccount], bad: Sequence[tuple[int, BadCell]]) -> None:
        """Add a chunk that was read, with the first of its bad rows, each with the position of its slice."""
        if accounts[-1].end:
            self._records[chunk] = 1 + sum(account.read for account in accounts)
        found = ((chunk, position, cell) for position, cell in bad)
        known = () if self._first is None else (self._first,)
        self._first = min((*known, *found), key=lambda bad: (bad[0], bad[1], bad[2].record), default=None)

    def are_too_many(self, bad: int) -> bool:
        """Return whether so many bad rows are more than a run may have at all."""
        return self._limit.rows is not None and bad > self._limit.rows

    def error(self, bad: int, read: int, *, allow: str, end: str) -> BadCellsError | None:
        """Return the error for too many bad rows, which names the first; ``None`` where no place of one is known.

        Parameters
        ----------
        bad, read : int
            How many rows are bad, of how many.
        allow : str
            What a limit would do, as the end of a remedy.
        end : str
            How the run ended, as a clause.
        """
        if self._first is None:
            return None
        _, _, cell = self._first
        message = ""
        if others := bad - 1:
            message = (
                f"\n{others:,} more bad row{' was' if others == 1 else 's were'} found in the chunks that were read"
            )
        if self._limit != BadLimit():
            message += f"\n{allowed_text(self._limit, bad, read)}"
        more = "" if self._limit != BadLimit() else f"; {allow}"
        return self._located(BadCellsError, *self._first, message, f"{_remedy(cell)}{more}; {end}")

    def refusal(self, chunk: int, position: int, cell: BadCell, end: str) -> DataError:
        """Return the error for a row that ends a run whatever the limit is."""
        return self._located(DataError, chunk, position, cell, "", f"{_remedy(cell)}; {end}")

    def _located(self, kind: type[Error], chunk: int, position: int, cell: BadCell, more: str, remedy: str) -> Error:
        piece = self._plan.chunk(chunk).slices[position]
        column = f", column {escape(cell.column)}" if cell.column else ""
        place = f"{shown_names(self._files)[piece.file]}: {self._place(chunk, position, cell)}{column}"
        error = kind(f"{place}: {_shown(cell)} {cell.reason}{more}", remedy)
        row = self._row(chunk, position, cell)
        return error.at(self._files[piece.file].file.path, column=cell.column or None, row=row, byte=cell.offset)

    def _row(self, chunk: int, position: int, cell: BadCell) -> int | None:
        """Return the number of a bad row in its file, from 1; ``None`` where not everything before it was read."""
        piece = self._plan.chunk(chunk).slices[position]
        facts = self._files[piece.file]
        parquet = facts.file.format == "parquet"
        before = int(facts.group_rows[: piece.start].sum()) if parquet else self._rows_before(chunk)
        return None if before is None else before + cell.record + 1

    def _place(self, chunk: int, position: int, cell: BadCell) -> str:
        """Return where a bad row is in its file; its number where everything before it was read."""
        row = self._row(chunk, position, cell)
        if self._files[self._plan.chunk(chunk).slices[position].file].file.format == "parquet":
            return f"row {row:,}"
        at = f"byte {cell.offset:,}" if cell.offset is not None else ""
        if row is None:
            return f"the record at {at}"
        return f"record {row:,}" + (f" ({at})" if at else "")

    def _rows_before(self, chunk: int) -> int | None:
        """Return how many records of a file come before a chunk, ``None`` if a chunk before it was not read.

        A file that is cut shares no chunk, and one that shares a chunk is not cut.
        """
        rows = 0
        while self._plan.continues(chunk):
            chunk -= 1
            if not self._records[chunk]:
                return None
            rows += int(self._records[chunk]) - 1
        return rows


def exceeds(limit: BadLimit, bad: int, read: int) -> bool:
    """Return whether a finished run has more bad rows than are allowed."""
    if limit.rows is not None:
        return bad > limit.rows
    return bad > (limit.share or 0.0) * read


def allowed_text(limit: BadLimit, bad: int, read: int) -> str:
    """Return how many rows are bad, and how many may be, as a sentence."""
    allowed = format_count(limit.rows) if limit.rows is not None else f"{100 * (limit.share or 0.0):g}%"
    return f"{bad:,} of {read:,} rows read are bad, --max-bad allows {allowed}"


def _shown(cell: BadCell) -> str:
    # In quotes it would look like a text that is in the file.
    return cell.text if cell.text == "null" and cell.cause in MISSING_VALUE else quoted(cell.text)


def _remedy(cell: BadCell) -> str:
    return remedy_of(cell.cause, cell.hint, cell.values)
