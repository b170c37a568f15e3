"""The rows of one slice through the block function: what is written, what goes to the quarantine, and the account.

A row that cannot be read or used is not written. It goes to the quarantine of its chunk, in the order of the records,
whatever the batches were; so that two tries at a chunk give the same files.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.types.blocks import Values
from pipeline.types.rows import BadCell, Slice, SliceAccount
from pipeline.types.sources import SliceReader
from pipeline.units import KIB

SHOWN_BAD = 10
_LINE_BYTES = 64 * KIB


@dataclass(slots=True)
class Tally:
    """What accumulates over the slices of a chunk.

    ``limit`` is the number of bad rows beyond which there is no use in going on; ``set_aside`` takes each row that goes
    to the quarantine, in order.
    """

    limit: int | None
    set_aside: Callable[[Slice, BadCell], None]
    accounts: list[SliceAccount] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, BadCell]] = field(default_factory=list)
    bad_rows: int = 0
    bytes_read: int = 0

    @property
    def given_up(self) -> bool:
        """Whether there are more bad rows than the run allows."""
        return self.limit is not None and self.bad_rows > self.limit

    def skip(self, piece: Slice) -> None:
        """Book a slice that was not opened: it lies behind a limit, or the chunk was given up."""
        self.accounts.append(SliceAccount(piece.file, piece.start, piece.stop, read=0, written=0, null=0, nan=0))


class SliceBook:
    """Keeps the account of one slice while its batches go by.

    Parameters
    ----------
    piece : Slice
    position : int
        Of the slice in its chunk.
    reader : SliceReader
    limit : int or None
        Most records to read, bad ones counted.
    names : sequence of str
        Of the needed columns, for the text of a row that has no line of its own.
    tally : Tally
    """

    def __init__(
        self,
        piece: Slice,
        position: int,
        reader: SliceReader,
        limit: int | None,
        names: Sequence[str],
        tally: Tally,
    ) -> None:
        self._piece, self._position, self._reader = piece, position, reader
        self._limit, self._names, self._tally = limit, names, tally
        reader.limit = limit
        self._pending: list[BadCell] = []
        self._written = self._null = self._nan = self._quarantined = self._bad = 0

    def within_limit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of a batch, the reader's last, whose records lie within the limit."""
        if self._limit is None or not batch.num_rows or self._reader.record(batch.num_rows - 1) < self._limit:
            return batch
        return batch.slice(0, bisect_left(range(batch.num_rows), self._limit, key=self._reader.record))

    def reached_limit(self, batch: pa.RecordBatch) -> bool:
        """Return whether no record behind the reader's last batch lies within the limit."""
        if self._limit is None or not batch.num_rows:
            return False
        return self._reader.record(batch.num_rows - 1) >= self._limit - 1

    def rejects(self, batch: pa.RecordBatch, values: Values) -> pa.Array | None:
        """Book what became of a batch; return which of its rows are written, ``None`` where all are."""
        self._tally.events.update(values.events)
        rejected = self._traced(batch, values.rejected)
        self._settle(rejected, self._reader.record(batch.num_rows - 1))
        self.add(batch.num_rows - len(rejected), values.null, values.nan)
        if not rejected:
            return None
        written = np.ones(batch.num_rows, dtype=np.bool_)
        written[[cell.record for cell in values.rejected]] = False
        return pa.array(written)

    def add(self, written: int, null: int, nan: int) -> None:
        """Book rows that are written, and how many of them are null and NaN."""
        self._written += written
        self._null += null
        self._nan += nan

    def take_bad(self) -> None:
        """Book the bad records met so far, where no row came with them."""
        self._settle((), None)

    def close(self) -> None:
        """Book the slice, which was read to its end or as far as it was asked for."""
        self._settle((), None)
        tally, piece, reader = self._tally, self._piece, self._reader
        tally.bytes_read += reader.bytes_read
        tally.events.update(reader.events)
        tally.accounts.append(
            SliceAccount(
                file=piece.file,
                start=piece.start,
                stop=piece.stop,
                read=self._written + self._quarantined,
                written=self._written,
                null=self._null,
                nan=self._nan,
                quarantined=self._quarantined,
                bad=self._bad,
                begin=reader.begin,
                end=reader.end,
            )
        )

    @property
    def read(self) -> int:
        """Records read so far."""
        return self._written + self._quarantined

    def _traced(self, batch: pa.RecordBatch, rejected: Sequence[BadCell]) -> list[BadCell]:
        """Return rejected rows with the places that they come from."""
        if not rejected:
            return []
        rows = [cell.record for cell in rejected]
        return [
            replace(
                cell,
                record=origin.record,
                offset=origin.offset,
                line=_row_text(batch, row, self._names) if origin.line is None else origin.line,
            )
            for cell, row, origin in zip(rejected, rows, self._reader.origins(rows), strict=True)
        ]

    def _settle(self, rejected: Iterable[BadCell], last: int | None) -> None:
        """Set rejected rows and unreadable records aside, in the order of their records, up to the record ``last``."""
        self._pending += self._reader.take_bad()
        if self._limit is not None:
            self._pending = [cell for cell in self._pending if cell.record < self._limit]
        count = len(self._pending) if last is None else bisect_left(self._pending, last, key=lambda cell: cell.record)
        ready, self._pending = self._pending[:count], self._pending[count:]
        for cell in sorted((*ready, *rejected), key=lambda cell: cell.record):
            self._tally.set_aside(self._piece, cell)
            self._quarantined += 1
            if not cell.by_policy:
                self._note_bad(cell)

    def _note_bad(self, cell: BadCell) -> None:
        self._bad += 1
        self._tally.bad_rows += 1
        if len(self._tally.bad) < SHOWN_BAD:
            self._tally.bad.append((self._position, replace(cell, line=None)))


def outcomes(arrays: Sequence[pa.Array], first: int, rows: int) -> tuple[int, int]:
    """Return how many of these rows have a null, and how many have no null but a NaN."""
    null = np.zeros(rows, dtype=bool)
    nan = np.zeros(rows, dtype=bool)
    for array in arrays:
        part = array.slice(first, rows)
        if part.null_count:
            null |= part.is_null().to_numpy(zero_copy_only=False)
        if pa.types.is_floating(part.type):
            nan |= pc.is_nan(part).fill_null(False).to_numpy(zero_copy_only=False)
    return int(null.sum()), int((nan & ~null).sum())


def _row_text(batch: pa.RecordBatch, row: int, names: Sequence[str]) -> str:
    """Return the needed columns of a row as JSON: what stands for its line where the file has none."""
    values = {name: batch.column(number)[row].as_py() for number, name in enumerate(names)}
    return json.dumps(values, default=str, ensure_ascii=False)[:_LINE_BYTES]
