"""The accounts of a chunk: what became of the rows of each slice.

A row that cannot be read or used is set aside, in the order of the records, however they were batched. So two tries
at a chunk set aside the same rows in the same order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace

import numpy as np
import pyarrow as pa

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.sources import row_text
from pipeline.types.blocks import Values
from pipeline.types.features import NO_COUNTS, FeatureCounts
from pipeline.types.inputs import Integers, Need
from pipeline.types.rows import BadCell, Slice, SliceAccount
from pipeline.types.sources import SliceReader

SHOWN_BAD = 10


SetAside = Callable[[Slice, BadCell], None]
# Events, number of bad cells kept, bad rows.
Mark = tuple[dict[str, int], int, int]


def _nowhere(_: Slice, __: BadCell) -> None:
    """Drop a row that is set aside."""


@dataclass(slots=True)
class ChunkBook:
    """Accounts, events and bad rows of a chunk, added up over its slices.

    With more bad rows than ``limit`` the chunk is given up; ``set_aside`` takes each row that is set aside, in order.
    """

    limit: int | None
    set_aside: SetAside = _nowhere
    accounts: list[SliceAccount] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, BadCell]] = field(default_factory=list)
    bad_rows: int = 0
    bytes_read: int = 0
    features: FeatureCounts = NO_COUNTS
    unknown: list[tuple[int, str, int]] = field(default_factory=list)

    @property
    def given_up(self) -> bool:
        """Whether there are more bad rows than the run allows."""
        return self.limit is not None and self.bad_rows > self.limit

    def skip(self, piece: Slice) -> None:
        """Book a slice that was not opened, because it is after a limit or the chunk was given up."""
        self.accounts.append(SliceAccount(piece.file, piece.start, piece.stop, read=0, written=0, null=0, nan=0))

    def fail(self, piece: Slice, begin: int | None, before: Mark) -> None:
        """Book a slice that could not be read: none of its rows count, and the next slice begins where it ends.

        ``begin`` is where reading was to start, if that was known; ``before`` is the mark set before the slice.
        """
        events, bad, self.bad_rows = before
        self.events = Counter(events)
        del self.bad[bad:]
        ends = (piece.start if begin is None else begin, piece.stop) if piece.rows is None else (0, 0)
        self.accounts.append(SliceAccount(piece.file, piece.start, piece.stop, 0, 0, 0, 0, 0, 0, *ends))

    def mark(self) -> Mark:
        """Return the state so far, for :meth:`fail`."""
        return dict(self.events), len(self.bad), self.bad_rows

    def counted(self) -> FeatureCounts:
        """Return what was counted of the features, as a receipt keeps it."""
        columns = {name: count.shortened() for name, count in self.features.columns.items()}
        return FeatureCounts(self.features.rows, columns, tuple(self.unknown))

    def correct(self, position: int, null: int, nan: int) -> None:
        """Count rows of a slice that was read to its end as null or NaN."""
        account = self.accounts[position]
        self.accounts[position] = replace(account, null=account.null + null, nan=account.nan + nan)


class SliceBook:
    """Keeps the account of one slice, batch by batch.

    It is told what became of the rows of each batch. Where it is not told, all of them count as used.

    Parameters
    ----------
    piece : Slice
    position : int
        Position of the slice in its chunk.
    reader : SliceReader
    limit : int or None
        Most records to read, including bad ones.
    needs : sequence of Need
        The columns that are read: their names are for the text of a row that comes without a line.
    book : ChunkBook
    """

    def __init__(
        self,
        piece: Slice,
        position: int,
        reader: SliceReader,
        limit: int | None,
        needs: Sequence[Need],
        book: ChunkBook,
    ) -> None:
        self._piece, self._position, self._reader = piece, position, reader
        self._limit, self._needs, self._book = limit, needs, book
        reader.limit = limit
        self._pending: list[BadCell] = []
        self._written = self._null = self._nan = self._quarantined = self._bad = 0
        self._features = NO_COUNTS

    def within_limit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of the reader's last batch whose records are within the limit."""
        if self._limit is None or not batch.num_rows or self._reader.record(batch.num_rows - 1) < self._limit:
            return batch
        return batch.slice(0, bisect_left(range(batch.num_rows), self._limit, key=self._reader.record))

    def reached_limit(self, batch: pa.RecordBatch) -> bool:
        """Return whether no record after the reader's last batch is within the limit."""
        if self._limit is None or not batch.num_rows:
            return False
        return self._reader.record(batch.num_rows - 1) >= self._limit - 1

    def places(self, rows: int) -> Integers:
        """Return the places in the file of the first rows of the reader's last batch."""
        return self._reader.places()[:rows]

    def rejects(self, batch: pa.RecordBatch, values: Values) -> pa.Array | None:
        """Book what became of a batch; return a mask of the rows to write, ``None`` where all are."""
        self._book.events.update(values.events)
        if values.features is not None:
            self._features = self._features.plus(FeatureCounts(batch.num_rows, values.features))
        rejected = self._traced(batch, values.rejected)
        self._settle(rejected, self._reader.record(batch.num_rows - 1))
        self._add(batch.num_rows - len(rejected), values.null, values.nan)
        if not rejected:
            return None
        written = np.ones(batch.num_rows, dtype=np.bool_)
        written[[cell.record for cell in values.rejected]] = False
        return pa.array(written)

    def accept(self, batch: pa.RecordBatch) -> None:
        """Book a batch whose rows are all used; for a batch without rows, the bad records found so far."""
        self._settle((), self._reader.record(batch.num_rows - 1) if batch.num_rows else None)
        self._add(batch.num_rows, 0, 0)

    def _add(self, written: int, null: int, nan: int) -> None:
        self._written += written
        self._null += null
        self._nan += nan

    def close(self) -> None:
        """Book the slice, which was read to its end or to a limit."""
        self._settle((), None)
        book, piece, reader = self._book, self._piece, self._reader
        book.bytes_read += reader.bytes_read
        book.events.update(reader.events)
        book.features = book.features.plus(self._features)
        if self.read:
            columns = (need.name for need in self._needs if need.role == "categorical")
            book.unknown += ((self._position, *each) for each in self._features.unknown_of(columns))
        book.accounts.append(
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
                # Where reading stopped early, no record begins: the rest of the CSV is not asked for.
                end=0 if book.given_up else reader.end,
            )
        )
        for name in dict.fromkeys(need.name for need in self._needs if need.absent):
            book.events[f"absent {name}"] += self.read

    def skip(self) -> None:
        """Book the slice as one that was not opened."""
        self._book.skip(self._piece)

    @property
    def read(self) -> int:
        """Records read so far."""
        return self._written + self._quarantined

    def _traced(self, batch: pa.RecordBatch, rejected: Sequence[BadCell]) -> list[BadCell]:
        """Return rejected rows with their places in the file."""
        if not rejected:
            return []
        rows = [cell.record for cell in rejected]
        return [
            replace(
                cell,
                record=origin.record,
                offset=origin.offset,
                line=row_text(batch, row, [need.name for need in self._needs]) if origin.line is None else origin.line,
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
            self._book.set_aside(self._piece, cell)
            self._quarantined += 1
            if not cell.by_policy:
                self._note_bad(cell)

    def _note_bad(self, cell: BadCell) -> None:
        self._bad += 1
        self._book.bad_rows += 1
        if len(self._book.bad) < SHOWN_BAD:
            self._book.bad.append((self._position, replace(cell, line=None)))


def missing_and_nan(arrays: Sequence[pa.Array], first: int, rows: int) -> tuple[int, int]:
    """Return how many rows have a null, and how many have a NaN but no null."""
    null = np.zeros(rows, dtype=bool)
    nan = np.zeros(rows, dtype=bool)
    for array in arrays:
        part = array.slice(first, rows)
        if part.null_count:
            null |= part.is_null().to_numpy(zero_copy_only=False)
        if pa.types.is_floating(part.type):
            nan |= pc.is_nan(part).fill_null(False).to_numpy(zero_copy_only=False)
    return int(null.sum()), int((nan & ~null).sum())
