"""The one task of a chunk: read, apply the block function, write the part, return a receipt.

No rows leave the task. It is a module-level callable of plain values, so that it travels to any worker; what it needs
besides stands in the job file, which a worker reads once.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import memory, models
from pipeline.errors import BalanceError, ConfigurationError, MemoryBudgetError
from pipeline.flow.jobfile import JobFile, read_job_file
from pipeline.kernels import arithmetic_tag
from pipeline.publish import open_attempt
from pipeline.sinks import extension, open_sink
from pipeline.sources import source_for
from pipeline.types import (
    BadCell,
    BlockFunction,
    Chunk,
    Precision,
    Receipt,
    Sink,
    Slice,
    SliceAccount,
    SliceReader,
    Values,
    Work,
)
from pipeline.units import format_bytes

_BAD_KEPT = 10
_PROBE_ROWS = 1_024
_SECOND_TRY = 16


class _BatchTooLargeError(Exception):
    """A decoded batch takes more than its share; carries the widest column and the bytes."""

    def __init__(self, column: str, size: int) -> None:
        super().__init__(column, size)
        self.column = column
        self.size = size


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """Carries out one chunk of a job and returns its receipt.

    Picklable. May run in several threads and processes at once, and more than once for the same chunk: each time it
    writes a file of its own. It raises an error of :mod:`pipeline.errors`; what it had written then is never used.

    Parameters
    ----------
    job_file, digest : str
        Path and SHA-256 of the job file.
    """

    job_file: str
    digest: str

    def __call__(self, work: Work) -> Receipt:
        """Read, transform, write, account."""
        started = time.monotonic()
        job = read_job_file(self.job_file, self.digest)
        block = work.block or _block(self.job_file, self.digest)
        _check_arithmetic(job)
        try:
            account = _Run(job, block, job.batch_rows).chunk(work)
        except _BatchTooLargeError:
            try:
                account = _Run(job, block, max(1, job.batch_rows // _SECOND_TRY)).chunk(work)
            except _BatchTooLargeError as error:
                raise _too_large(error, job) from None
        pa.default_memory_pool().release_unused()
        return replace(account, seconds=time.monotonic() - started, peak_bytes=memory.peak_bytes())


@lru_cache(maxsize=4)
def _block(job_file: str, digest: str) -> BlockFunction:
    description = read_job_file(job_file, digest).block
    if description is None:
        raise BalanceError("the job file describes no block function, and none came with the work")
    return models.restore(description)


def _check_arithmetic(job: JobFile) -> None:
    precision = cast("Precision", job.arithmetic.partition("-")[0])
    if job.arithmetic and (here := arithmetic_tag(precision)) != job.arithmetic:
        raise ConfigurationError(
            f"worker {_worker()} computes with {here}, the job was planned for {job.arithmetic}: the bits would differ",
            "use workers with one kind of CPU, one numpy and one logitstream; CPU and numpy may differ with "
            "--precision reproducible",
        )


def _too_large(error: _BatchTooLargeError, job: JobFile) -> MemoryBudgetError:
    rows = max(1, job.batch_rows // _SECOND_TRY)
    return MemoryBudgetError(
        f"column {error.column}: a batch of {rows:,} rows takes {format_bytes(error.size)} decoded, "
        f"its share is {format_bytes(job.batch_bytes)}",
        "raise --memory, or lower --workers",
    )


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(slots=True)
class _Tally:
    """What accumulates over the slices of a chunk."""

    accounts: list[SliceAccount] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, BadCell]] = field(default_factory=list)
    bad_count: int = 0
    bytes_read: int = 0

    def close_slice(
        self, position: int, piece: Slice, reader: SliceReader, counts: tuple[int, int, int], limit: int | None
    ) -> None:
        """Book a slice that was read to its end, or to a limit: rows written, and of these null and NaN."""
        written, null, nan = counts
        unreadable, unreadable_count = _unreadable(reader, limit)
        self.add_bad(position, unreadable, unreadable_count)
        self.bytes_read += reader.bytes_read
        self.accounts.append(
            SliceAccount(
                file=piece.file,
                start=piece.start,
                stop=piece.stop,
                read=written + unreadable_count,
                written=written,
                null=null,
                nan=nan,
                begin=reader.begin,
                end=reader.end,
            )
        )

    def skip_slice(self, piece: Slice) -> None:
        """Book a slice that lies behind the limit and was not opened."""
        self.accounts.append(SliceAccount(piece.file, piece.start, piece.stop, read=0, written=0, null=0, nan=0))

    def add_bad(self, position: int, cells: Iterable[BadCell], count: int) -> None:
        self.bad.extend((position, cell) for cell in cells)
        self.bad_count += count


@dataclass(frozen=True, slots=True)
class _Run:
    """One try at a chunk, with a number of rows to a batch."""

    job: JobFile
    block: BlockFunction
    batch_rows: int

    def chunk(self, work: Work) -> Receipt:
        job = self.job
        chunk = job.plan.chunk(work.chunk)
        tally = _Tally()
        name = extension(job.format, job.compression)
        with open_attempt(Path(job.staging), chunk.index, name, job.file_mode) as attempt:
            sink = open_sink(job.format, attempt.file, job.schema, chunk.row_group_rows, job.compression)
            read = self._at_once if self.block.whole_chunk else self._in_batches
            read(chunk, work.begin, sink, tally)
            sink.close()
            part = attempt.finish(sum(account.written for account in tally.accounts))
        return Receipt(
            chunk=chunk.index,
            accounts=tuple(tally.accounts),
            files=() if tally.bad_count else (part,),
            events=dict(tally.events),
            bad=tuple(sorted(tally.bad, key=lambda b: (b[0], b[1].record))[:_BAD_KEPT]),
            bad_count=tally.bad_count,
            bytes_read=tally.bytes_read,
            peak_bytes=0,
            seconds=0.0,
            worker=_worker(),
        )

    def _in_batches(self, chunk: Chunk, begin: int | None, sink: Sink, tally: _Tally) -> None:
        left = chunk.limit
        for position, piece in enumerate(chunk.slices):
            if left == 0:
                tally.skip_slice(piece)
                continue
            read = null = nan = 0
            barred: list[BadCell] = []
            with self._open(piece, begin if position == 0 else None) as reader:
                for batch in self._batches(reader, left):
                    values = self.block.block(batch.columns[: self.job.features])
                    tally.events.update(values.events)
                    barred += _moved(values.bad, read)
                    tally.bad_count += values.bad_count
                    sink.write(self._output(batch, values))
                    read, null, nan = read + batch.num_rows, null + values.null, nan + values.nan
            tally.add_bad(position, _numbered(barred, reader), 0)
            tally.close_slice(position, piece, reader, (read, null, nan), left)
            left = None if left is None else left - read

    def _at_once(self, chunk: Chunk, begin: int | None, sink: Sink, tally: _Tally) -> None:
        """Give the block function all rows of the chunk in one piece; the accounts stay slice by slice."""
        left = chunk.limit
        batches: list[pa.RecordBatch] = []
        reads: list[tuple[Slice, SliceReader, int, int | None]] = []
        for position, piece in enumerate(chunk.slices):
            with self._open(piece, begin if position == 0 else None) as reader:
                new = list(self._batches(reader, left))
            rows = sum(batch.num_rows for batch in new)
            batches += new
            reads.append((piece, reader, rows, left))
            left = None if left is None else left - rows
        values = Values(())
        if any(rows for _, _, rows, _ in reads):
            whole = pa.concat_batches(batches)
            values = self.block.block(whole.columns[: self.job.features])
            tally.events.update(values.events)
            tally.add_bad(0, values.bad, values.bad_count)
            sink.write(self._output(whole, values))
        first = 0
        for position, (piece, reader, rows, limit) in enumerate(reads):
            null, nan = _outcomes(values.arrays, first, rows)
            tally.close_slice(position, piece, reader, (rows, null, nan), limit)
            first += rows

    def _output(self, batch: pa.RecordBatch, values: Values) -> pa.RecordBatch:
        arrays = [*batch.columns[self.job.features :], *values.arrays]
        return pa.RecordBatch.from_arrays(arrays, schema=self.job.schema)

    def _open(self, piece: Slice, begin: int | None) -> SliceReader:
        return self._reader(piece, begin, self._fitting_rows(piece))

    def _reader(self, piece: Slice, begin: int | None, rows: int) -> SliceReader:
        file, identity = self.job.files[piece.file]
        source = source_for(file.format, self.job.csv)
        return source.read(file, identity, piece, self.job.needs, rows, begin)

    def _batches(self, reader: SliceReader, limit: int | None) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a slice up to a number of rows; none larger than its share of memory."""
        left = limit
        for batch in reader:
            if batch.nbytes > self.job.batch_bytes and batch.num_rows > 1:
                widest = max(range(batch.num_columns), key=lambda i: batch.column(i).nbytes)
                raise _BatchTooLargeError(self.job.needs[widest].name, batch.nbytes)
            if left is None:
                yield batch
                continue
            if left > 0:
                yield batch.slice(0, left)
            left -= batch.num_rows
            if left <= 0:
                return

    def _fitting_rows(self, piece: Slice) -> int:
        """Return the rows of a batch: fewer than planned where the first rows show wide text or nested values."""
        job = self.job
        kept = [job.schema.field(i) for i in range(len(job.needs) - job.features)]
        file, _ = job.files[piece.file]
        if file.format != "parquet" or self.block.whole_chunk or all(_fixed_width(f.type) for f in kept):
            return self.batch_rows
        with self._reader(piece, None, min(_PROBE_ROWS, self.batch_rows)) as reader:
            first = next((batch for batch in reader if batch.num_rows), None)
        if first is None:
            return self.batch_rows
        return int(max(1, min(self.batch_rows, job.batch_bytes * first.num_rows // max(1, first.nbytes))))


def _fixed_width(type_: pa.DataType) -> bool:
    try:
        return bool(type_.bit_width)
    except ValueError:
        return False


def _unreadable(reader: SliceReader, limit: int | None) -> tuple[Sequence[BadCell], int]:
    """Return the records that could not be read, and how many; those behind a limit were not asked for."""
    if limit is None or all(cell.record < limit for cell in reader.bad):
        return reader.bad, reader.bad_count
    within = [cell for cell in reader.bad if cell.record < limit]
    return within, len(within)


def _numbered(cells: Iterable[BadCell], reader: SliceReader) -> Iterator[BadCell]:
    """Yield cells, whose records are counted among those that could be read, with their numbers in the slice.

    Of the records that could not be read the first 10 are known. That is enough, for the first of all bad cells is
    the one that is shown.
    """
    left_out = sorted(cell.record for cell in reader.bad)
    for cell in cells:
        record = cell.record
        for other in left_out:
            record += other <= record
        yield replace(cell, record=record)


def _moved(cells: Iterable[BadCell], rows: int) -> Iterator[BadCell]:
    return (replace(cell, record=cell.record + rows) for cell in cells)


def _outcomes(arrays: Sequence[pa.Array], first: int, rows: int) -> tuple[int, int]:
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
