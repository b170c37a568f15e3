"""The one task of a chunk: read, apply the block function, write the part, return a receipt.

No rows leave the task. It is a module-level callable of plain values, so that it travels to any worker; what it needs
besides stands in the job file, which a worker reads once.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import pyarrow as pa

from pipeline import memory, models
from pipeline.choices import Precision
from pipeline.errors import BalanceError, ConfigurationError, MemoryBudgetError, TransientError
from pipeline.flow.held import give_back, held
from pipeline.flow.jobfile import JobFile, read_job_file
from pipeline.flow.slices import SliceBook, Tally, outcomes
from pipeline.kernels import arithmetic_tag
from pipeline.publish import QUARANTINE_EXTENSION, open_attempt
from pipeline.sinks import QuarantineSink, RowGroups, extension, open_sink
from pipeline.sources import forget_footers, source_for
from pipeline.types.blocks import BlockFunction, Values
from pipeline.types.outputs import PartFile, Receipt, Sink, Written
from pipeline.types.rows import BadCell, Chunk, Slice
from pipeline.types.sources import SliceReader
from pipeline.types.work import Outcome, Work
from pipeline.units import escape, format_bytes

_PROBE_ROWS = 1_024
_SECOND_TRY = 16
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.1, 30.0, 4


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
        block = cast("BlockFunction | None", work.argument) or _block(self.job_file, self.digest)
        _check_arithmetic(job)
        with held:
            receipt = _patiently(job.retries, lambda: _in_memory(job, block, work))
        return replace(receipt, seconds=time.monotonic() - started, peak_bytes=memory.peak_bytes())

    def name_of(self, work: Work) -> str:
        """Return what a piece of work reads, for a message."""
        job = read_job_file(self.job_file, self.digest)
        pieces = job.plan.chunk(work.chunk).slices
        names = dict.fromkeys(escape(job.files[piece.file][0].path, 1000) for piece in pieces)
        shown = ", ".join(list(names)[:3]) + (f" and {len(names) - 3:,} more files" if len(names) > 3 else "")
        first = pieces[0]
        if len(pieces) > 1:
            return f"chunk {work.chunk}: {shown}"
        unit = "row groups" if job.files[first.file][0].format == "parquet" else "bytes"
        return f"chunk {work.chunk}: {shown}, {unit} {first.start:,} to {first.stop - 1:,}"


def _patiently(retries: int, attempt: Callable[[], Receipt]) -> Receipt:
    """Try a chunk again, after growing pauses, while what went wrong may pass."""
    pause = _FIRST_PAUSE
    for _ in range(retries):
        try:
            return attempt()
        except TransientError:
            time.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
    return attempt()


def _in_memory(job: JobFile, block: BlockFunction, work: Work) -> Receipt:
    """Carry out a chunk; where a batch proves too large, once more with smaller ones."""
    try:
        return _Run(job, block, job.batch_rows).chunk(work)
    except _BatchTooLargeError:
        try:
            return _Run(job, block, max(1, job.batch_rows // _SECOND_TRY)).chunk(work)
        except _BatchTooLargeError as error:
            raise _too_large(error, job) from None


@lru_cache(maxsize=4)
def _block(job_file: str, digest: str) -> BlockFunction:
    description = read_job_file(job_file, digest).block
    if description is None:
        raise BalanceError("the job file describes no block function, and none came with the work")
    return models.restore(description)


def forget() -> None:
    """Let go of what a run has left in this process: job files and footers that were read, and memory held ready."""
    read_job_file.cache_clear()
    _block.cache_clear()
    forget_footers()
    give_back()


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


class _Quarantine:
    """The quarantine file of one try at a chunk: made with the first row that goes there."""

    def __init__(self, job: JobFile, chunk: int, stack: ExitStack) -> None:
        self._job, self._chunk, self._stack = job, chunk, stack
        self._sink: QuarantineSink | None = None

    def add(self, piece: Slice, cell: BadCell) -> None:
        """Add a row of a slice."""
        job = self._job
        if self._sink is None:
            opened = open_attempt(
                Path(job.staging), self._chunk, QUARANTINE_EXTENSION, job.file_mode, durable=job.durable
            )
            self._attempt = self._stack.enter_context(opened)
            self._sink = QuarantineSink(self._attempt.file)
        self._sink.add(job.files[piece.file][0].path, piece.start, cell)

    def finish(self) -> PartFile | None:
        """Make the file durable and return what stands in it, ``None`` where no row went there."""
        if self._sink is None:
            return None
        self._sink.close()
        return self._attempt.finish(self._sink.rows)


@dataclass(frozen=True, slots=True)
class _Run:
    """One try at a chunk, with a number of rows to a batch."""

    job: JobFile
    block: BlockFunction
    batch_rows: int

    def chunk(self, work: Work) -> Receipt:
        job = self.job
        chunk = job.plan.chunk(work.chunk)
        name = extension(job.format, job.compression)
        part = set_aside = None
        with ExitStack() as stack:
            quarantine = _Quarantine(job, chunk.index, stack)
            tally = Tally(job.bad_rows, quarantine.add)
            opened = open_attempt(Path(job.staging), chunk.index, name, job.file_mode, durable=job.durable)
            attempt = stack.enter_context(opened)
            layout = RowGroups(chunk.row_group_rows, job.row_group_bytes)
            sink = open_sink(job.format, attempt.file, job.schema, layout, job.compression)
            read = self._at_once if self.block.whole_chunk else self._in_batches
            read(chunk, work.begin, sink, tally)
            if not tally.given_up:
                sink.close()
                part = attempt.finish(sum(account.written for account in tally.accounts))
                set_aside = quarantine.finish()
        return Outcome(
            chunk=chunk.index,
            accounts=tuple(tally.accounts),
            payload=None if part is None else Written(part, set_aside),
            events=dict(tally.events),
            bad=tuple(tally.bad),
            bytes_read=tally.bytes_read,
            peak_bytes=0,
            seconds=0.0,
            worker=_worker(),
        )

    def _in_batches(self, chunk: Chunk, begin: int | None, sink: Sink, tally: Tally) -> None:
        left = chunk.limit
        for position, piece in enumerate(chunk.slices):
            if left == 0 or tally.given_up:
                tally.skip(piece)
                continue
            with self._open(piece, begin if position == 0 else None) as reader:
                book = SliceBook(piece, position, reader, left, [need.name for need in self.job.needs], tally)
                for batch in self._checked(reader):
                    self._write(book, book.within_limit(batch), sink)
                    if tally.given_up or book.reached_limit(batch):
                        break
            book.close()
            left = None if left is None else left - book.read

    def _write(self, book: SliceBook, batch: pa.RecordBatch, sink: Sink) -> None:
        if not batch.num_rows:
            book.take_bad()
            return
        values = self.block.block(batch.columns[: self.job.features])
        written = book.rejects(batch, values)
        output = self._output(batch, values)
        sink.write(output if written is None else output.filter(written))

    def _at_once(self, chunk: Chunk, begin: int | None, sink: Sink, tally: Tally) -> None:
        """Give the block function all rows of the chunk in one piece; the accounts stay slice by slice."""
        left = chunk.limit
        batches: list[pa.RecordBatch] = []
        books: list[tuple[SliceBook, int]] = []
        names = [need.name for need in self.job.needs]
        for position, piece in enumerate(chunk.slices):
            with self._open(piece, begin if position == 0 else None) as reader:
                book = SliceBook(piece, position, reader, left, names, tally)
                new = []
                for batch in self._checked(reader):
                    new.append(book.within_limit(batch))
                    book.take_bad()
                    if book.reached_limit(batch):
                        break
            rows = sum(batch.num_rows for batch in new)
            batches += new
            books.append((book, rows))
            left = None if left is None else left - rows - book.read
        values = Values(())
        if any(rows for _, rows in books):
            whole = pa.concat_batches(batches)
            values = self.block.block(whole.columns[: self.job.features])
            tally.events.update(values.events)
            sink.write(self._output(whole, values))
        first = 0
        for book, rows in books:
            book.add(rows, *outcomes(values.arrays, first, rows))
            book.close()
            first += rows

    def _output(self, batch: pa.RecordBatch, values: Values) -> pa.RecordBatch:
        arrays = [*batch.columns[self.job.features :], *values.arrays]
        return pa.RecordBatch.from_arrays(arrays, schema=self.job.schema)

    def _open(self, piece: Slice, begin: int | None) -> SliceReader:
        return self._reader(piece, begin, self._fitting_rows(piece))

    def _reader(self, piece: Slice, begin: int | None, rows: int) -> SliceReader:
        file, identity = self.job.files[piece.file]
        source = source_for(file.format, self.job.csv, column_threads=self.job.column_threads)
        return source.read(file, identity, piece, self.job.needs, rows, begin)

    def _checked(self, reader: SliceReader) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a slice; none larger than its share of memory."""
        for batch in reader:
            if batch.nbytes > self.job.batch_bytes and batch.num_rows:
                widest = max(range(batch.num_columns), key=lambda i: batch.column(i).nbytes)
                raise _BatchTooLargeError(self.job.needs[widest].name, batch.nbytes)
            yield batch

    def _fitting_rows(self, piece: Slice) -> int:
        """Return the rows of a batch: fewer than planned where the first rows show wide text or nested values."""
        job = self.job
        kept = [job.schema.field(i) for i in range(len(job.needs) - job.features)]
        file, _ = job.files[piece.file]
        if file.format != "parquet" or self.block.whole_chunk or all(_fixed_width(f.type) for f in kept):
            return self.batch_rows
        if piece.rows is not None and piece.rows <= _PROBE_ROWS and self.batch_rows == job.batch_rows:
            # The first rows are all there are; should they prove too wide, the second try looks first.
            return min(_PROBE_ROWS, self.batch_rows)
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
