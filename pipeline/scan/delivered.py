"""What a step is handed: rows of one slice, or of several small files together, and where to book them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.scan.books import ChunkBook, SliceBook
from pipeline.types.blocks import Values
from pipeline.types.inputs import Integers, Need
from pipeline.units import MIB

# What a call costs besides its rows no longer matters with so many of them, or with so many bytes.
_MOST_ROWS, _MOST_BYTES = 16_384, 4 * MIB
# Each file that waits takes memory for each of its columns, however few rows it has.
_MOST_FILES = 64
# Of larger files there are too few to a batch: joining them costs as much as it saves.
_SMALL_SHARE = 4


@dataclass(slots=True, eq=False)
class Batch:
    """Rows of one slice, as many as fit the memory. They may be settled until the next batch is asked for.

    Attributes
    ----------
    data : pyarrow.RecordBatch
        One column for each need of the file, in order.
    position : int
        Position of the slice in the chunk.
    file : int
        Number of the file.
    bytes : int
        The bytes of the buffers, where they were counted.
    """

    data: pa.RecordBatch
    position: int
    file: int
    _book: SliceBook
    bytes: int = 0
    _settled: bool = False

    def settle(self, values: Values) -> pa.Array | None:
        """Book what became of the rows; return a mask of the rows that are used, ``None`` where all are.

        A batch that is not settled counts as used, with all its rows.
        """
        self._settled = True
        return self._book.rejects(self.data, values)

    def places(self) -> Integers:
        """Return the place of each row in its file; see :class:`~pipeline.types.sources.SliceReader`."""
        return self._book.places(self.data.num_rows)

    def close(self) -> None:
        """Book the rows, unless they are settled."""
        if not self._settled:
            self._book.accept(self.data)

    def finish(self) -> None:
        """Book the slice, of which this was the only batch."""
        self.close()
        self._book.close()

    def skip(self) -> None:
        """Book the slice as one that was not read."""
        self._book.skip()


@dataclass(slots=True, eq=False)
class JoinedBatch:
    """The rows of several small files that are stored and read alike. The accounts are those of each file by itself.

    Attributes
    ----------
    data : pyarrow.RecordBatch
        The rows of all of them, in order.
    file : int
        Number of the first file.
    was_apart : bool
        Whether the files, if they are several, were asked for one by one.
    """

    data: pa.RecordBatch
    file: int
    _needs: Sequence[Need]
    _book: ChunkBook
    _left: list[Batch]
    was_apart: bool = False

    def tells_apart(self, values: Values) -> bool:
        """Return whether it is known what became of the rows of each file.

        In which of them the model knows no level is not, unless fewer cells lack a level than each file has rows.
        """
        found = values.features or {}
        lacks = (found[need.name] for need in self._needs if need.role == "categorical" and need.name in found)
        fewest = min((batch.data.num_rows for batch in self._left if batch.data.num_rows), default=0)
        return (
            (values.null_rows is not None or not values.null)
            and (values.nan_rows is not None or not values.nan)
            and all(lack.missing + lack.unseen < fewest for lack in lacks)
        )

    def settle(self, values: Values) -> pa.Array | None:
        """Book what became of the rows, where :meth:`tells_apart` says that it is known; return as a batch does."""
        for batch, part in zip(tuple(self._left), self._parts(values), strict=True):
            if self._book.given_up:
                break
            if batch.data.num_rows:
                batch.settle(part)
            self._left.pop(0).finish()
        if not values.rejected:
            return None
        used = np.ones(self.data.num_rows, dtype=np.bool_)
        used[[cell.record for cell in values.rejected]] = False
        return pa.array(used)

    def apart(self) -> Iterator[Batch]:
        """Yield the rows of file after file, each a batch of its own, instead of all together."""
        self.was_apart = len(self._left) > 1
        while self._left and not self._book.given_up:
            yield self._left[0]
            self._left.pop(0).finish()

    def close(self) -> None:
        """Book the rows, unless they are settled; after too many bad rows the files count as not read."""
        for batch in self._left:
            if self._book.given_up:
                batch.skip()
            else:
                batch.finish()
        self._left = []

    def _parts(self, values: Values) -> Iterator[Values]:
        """Yield what became of the rows of each file; what is counted of all is booked with the first that has rows."""
        start, events, features = 0, values.events, values.features
        for batch in tuple(self._left):
            stop = start + batch.data.num_rows
            first, last = (bisect_left(values.rejected, row, key=lambda cell: cell.record) for row in (start, stop))
            yield Values(
                (),
                0 if values.null_rows is None else int(np.count_nonzero(values.null_rows[start:stop])),
                0 if values.nan_rows is None else int(np.count_nonzero(values.nan_rows[start:stop])),
                events,
                tuple(replace(cell, record=cell.record - start) for cell in values.rejected[first:last]),
                features,
            )
            if start < stop:
                events, features = {}, None if features is None else {}
            start = stop


class Joining:
    """Collects the batches of small files until the next one does not fit, and joins them.

    Parameters
    ----------
    book : ChunkBook
    most_rows : int
        The rows that may be joined.
    most_bytes : int
        The bytes that a batch may take; what is collected and its copy together take no more, even where two columns
        share each buffer.

    Attributes
    ----------
    small_rows : int
        A file of so few rows is small.
    """

    def __init__(self, book: ChunkBook, most_rows: int, most_bytes: int) -> None:
        self._book = book
        self._most_rows = min(_MOST_ROWS, most_rows)
        self._most_bytes = min(_MOST_BYTES, most_bytes // 3)
        self.small_rows = self._most_rows // _SMALL_SHARE
        self._batches: list[Batch] = []
        self._needs: Sequence[Need] = ()
        self._rows = self._bytes = 0
        self._apart = False

    def fits(self, batch: Batch, needs: Sequence[Need]) -> bool:
        """Return whether a batch, the only one of its slice, can be added."""
        return not self._batches or (
            needs is self._needs
            and len(self._batches) < _MOST_FILES
            and self._rows + batch.data.num_rows <= self._most_rows
            and self._bytes + batch.bytes <= self._most_bytes
            and batch.data.schema.equals(self._batches[0].data.schema)
        )

    def add(self, batch: Batch, needs: Sequence[Need]) -> None:
        """Add a batch."""
        self._batches.append(batch)
        self._needs = needs
        self._rows += batch.data.num_rows
        self._bytes += batch.bytes

    def take(self) -> Iterator[Batch | JoinedBatch]:
        """Yield what was collected, several files in one batch where Arrow can join the columns, and book it."""
        if not self._batches:
            return
        found = JoinedBatch(self._batches[0].data, self._batches[0].file, self._needs, self._book, self._batches)
        # After files that could not stay together: the next ones are probably like them.
        joined = None if self._apart else _joined([batch.data for batch in self._batches])
        self._batches, self._rows, self._bytes = [], 0, 0
        if joined is None:
            yield from found.apart()
        else:
            found.data = joined
            yield found
        found.close()
        self._apart = self._apart or found.was_apart


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch | None:
    """Return the rows of several batches in one, ``None`` for a single one and where Arrow cannot join them."""
    if len(batches) == 1:
        return None
    try:
        columns = [pa.concat_arrays(arrays) for arrays in zip(*(batch.columns for batch in batches), strict=True)]
    except pa.ArrowException:
        return None
    return pa.RecordBatch.from_arrays(columns, schema=batches[0].schema) if columns else None
