"""Rows as parts of a run: each with the same number of rows however the blocks were cut, and with its account."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pyarrow as pa

from pipeline import memory
from pipeline.canonical import digest
from pipeline.choices import Format
from pipeline.errors import BalanceError
from pipeline.flow.receipts import entry_of, part_of
from pipeline.plan import part_name
from pipeline.publish import Part, Staging
from pipeline.scan import missing_and_nan, worker
from pipeline.sinks import RowGroups, extension, open_sink
from pipeline.types.outputs import Receipt, Sink, Written
from pipeline.types.report import Totals
from pipeline.types.rows import SliceAccount
from pipeline.types.work import Outcome

# Rows of small blocks are joined to batches of this many: writing a single row costs as much as writing a thousand.
_TOGETHER = 8_192


class PartWriter:
    """Writes rows into one part after the other, each of exactly ``part_rows`` rows except the last.

    As a context manager it closes an unfinished part. For one thread.

    Parameters
    ----------
    staging : Staging
    schema : pyarrow.Schema
    made : int
        How many of the columns are results; they are the last ones.
    format, compression : str
    part_rows, group_rows : int
        Rows of a part, and of a row group in it.
    told : callable
        Is called with the totals whenever a part is finished.
    """

    def __init__(
        self,
        staging: Staging,
        schema: pa.Schema,
        made: int,
        format_: Format,
        compression: str | None,
        part_rows: int,
        group_rows: int,
        told: Callable[[Totals], None],
    ) -> None:
        self._staging = staging
        self._schema = schema
        self._made = made
        self._format = format_
        self._compression = compression
        self._part_rows = part_rows
        self._group_rows = group_rows
        self._told = told
        self._stack = ExitStack()
        self._sink: Sink | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._rows = self._null = self._nan = self._first = 0
        self._events: Counter[str] = Counter()
        self._started = time.monotonic()
        self.receipts: list[Receipt] = []
        self.totals = Totals()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, batch: pa.RecordBatch, events: Mapping[str, int]) -> None:
        """Add rows; a full part is finished and entered in the journal."""
        self._events.update(events)
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= _TOGETHER:
            self._write_waiting()

    def _write_waiting(self) -> None:
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        for batch in _joined(waiting):
            self._write(batch)

    def _write(self, batch: pa.RecordBatch) -> None:
        while batch.num_rows:
            head = batch.slice(0, self._part_rows - self._rows)
            batch = batch.slice(head.num_rows)
            sink = self._sink or self._open()
            null, nan = missing_and_nan(head.columns[len(self._schema) - self._made :], 0, head.num_rows)
            sink.write(head)
            self._rows, self._null, self._nan = self._rows + head.num_rows, self._null + null, self._nan + nan
            if self._rows == self._part_rows:
                self._finish()

    def close(self, rows: int) -> None:
        """Finish the last part and check the balance: ``rows`` were read from the stream.

        Raises
        ------
        BalanceError
            Another number of rows was written.
        """
        self._write_waiting()
        if self._sink is not None:
            self._finish()
        written = sum(receipt.payload.part.rows for receipt in self.receipts if receipt.payload)
        if not rows == self.totals.read == self.totals.written == written:
            raise BalanceError(f"{rows:,} rows were read from the stream, but {written:,} were written")

    def parts(self, meaning: str) -> Iterator[Part]:
        """Yield the parts with their final names; ``meaning`` is unique to this run."""
        name = extension(self._format, self._compression)
        for receipt in self.receipts:
            named = digest([meaning, receipt.chunk])[:16]
            yield part_of(entry_of(receipt), part_name(receipt.chunk, named, name))

    def _open(self) -> Sink:
        staging, name = self._staging, extension(self._format, self._compression)
        self._attempt = self._stack.enter_context(staging.attempts.open(len(self.receipts), name))
        groups = RowGroups(self._group_rows)
        self._sink = open_sink(self._format, self._attempt.file, self._schema, groups, self._compression)
        return self._sink

    def _finish(self) -> None:
        assert self._sink is not None
        self._sink.close()
        part = self._attempt.finish(self._rows)
        first, stop = self._first, self._first + self._rows
        receipt = Outcome(
            chunk=len(self.receipts),
            accounts=(SliceAccount(0, first, stop, self._rows, self._rows, self._null, self._nan),),
            payload=Written(part),
            events=dict(self._events),
            bad=(),
            bytes_read=0,
            peak_bytes=memory.peak_bytes(),
            seconds=time.monotonic() - self._started,
            worker=worker(),
        )
        self._staging.append(entry_of(receipt))
        self.receipts.append(receipt)
        self.totals = self.totals.plus(receipt)
        self._sink = None
        self._rows = self._null = self._nan = 0
        self._events.clear()
        self._first, self._started = stop, time.monotonic()
        self._told(self.totals)


def _joined(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Return batches joined to one; as they are if their joined dictionary would not fit its index."""
    if len(batches) < 2:
        return batches
    try:
        joined: list[pa.RecordBatch] = pa.Table.from_batches(batches).combine_chunks().to_batches()
    except pa.ArrowInvalid:
        return batches
    return joined
