"""What a step sees of its chunk: batches that fit the memory, with their origins, and the accounts of the chunk."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import pyarrow as pa

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError, MemoryBudgetError, TransientError
from pipeline.execute import shared
from pipeline.execute.telling import teller
from pipeline.scan.books import ChunkBook, SetAside, SliceBook
from pipeline.scan.delivered import Batch, JoinedBatch, Joining
from pipeline.scan.jobfile import JobFile
from pipeline.scan.stated import with_stated_checked
from pipeline.scan.turns import ReadingTurns
from pipeline.sources import source_for
from pipeline.types.inputs import Identity, InputFile, Need
from pipeline.types.rows import Chunk, Slice
from pipeline.types.sources import SliceReader
from pipeline.types.work import Outcome, Payload_co, Reached, Work
from pipeline.units import escape, format_bytes

Made = TypeVar("Made")
Payload = TypeVar("Payload")

PROBE_ROWS = 1_024
_MORE_MEMORY = "raise --memory, or lower --workers"

# Receives (slice position in the chunk, error) of a slice that cannot be read.
Failed = Callable[[int, LogitstreamError], None]


class Step(Protocol[Payload_co]):
    """What a worker does with the rows of a chunk. A picklable, module-level callable of plain values.

    It may run in several threads and processes at once, and more than once for the same chunk. It iterates over
    :meth:`ChunkContext.batches` once, to the end, and returns the outcome that :meth:`ChunkContext.outcome` makes of
    its payload.
    """

    def __call__(self, context: ChunkContext, /) -> Outcome[Payload_co]:
        """Read the chunk and return its outcome."""
        ...


@runtime_checkable
class ProbingStep(Protocol):
    """A step that can try, before its first chunk in a process, what it needs besides the inputs."""

    def probe(self, job: JobFile, chunk: int, /) -> None:
        """Try it, and raise the error of what is lacking."""
        ...


class BatchTooLargeError(Exception):
    """A decoded batch takes more memory than its share, and smaller batches have not been tried."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """How a chunk is attempted.

    With ``final`` smaller batches are tried only if they have lists, whose lengths may differ much from row to row; any
    other one that is too large is refused. With ``last`` even an error that may be temporary ends the chunk.
    """

    batch_rows: int
    worker: str
    final: bool
    last: bool


class _LongestList(NamedTuple):
    """The longest list of a column in a batch: its row, how many members it has, and their decoded bytes."""

    row: int
    members: int
    bytes: int


def _longest_list(array: pa.Array) -> _LongestList | None:
    """Return the longest list of a column, ``None`` where it has no lists."""
    type_ = array.type
    if not (pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)):
        return None
    members = pc.list_value_length(array).fill_null(0).to_numpy()
    row = int(members.argmax())
    return _LongestList(row, int(members[row]), array.slice(row, 1).nbytes)


class ChunkContext:
    """A chunk, as one try of a step sees it; for one thread.

    It enforces the limits of rows, of bad rows, and of the memory of a batch.

    Attributes
    ----------
    job : JobFile
    chunk : Chunk
    argument : object
        What came with the work for this chunk only.
    """

    def __init__(self, job: JobFile, work: Work, parameters: str, attempt: Attempted) -> None:
        self.job = job
        self.chunk: Chunk = job.plan.chunk(work.chunk)
        self.argument = work.argument
        self._begin = work.begin
        self._parameters = parameters
        self._attempt = attempt
        self._book = ChunkBook(job.bad_rows)
        self._teller = teller()
        self._walk: Generator[Batch | JoinedBatch, None, None] | None = None

    @property
    def begin(self) -> int | None:
        """The offset of the first record where the chunk begins inside a CSV and that is known, else ``None``."""
        return self._begin

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the step in the job file."""
        return self.job.settings

    @property
    def parameters(self) -> bytes:
        """The parameters of this pass, empty where it has none."""
        return shared.content(self._parameters) if self._parameters else b""

    @property
    def given_up(self) -> bool:
        """Whether the chunk has more bad rows than the run allows; then the slices that follow are not read."""
        return self._book.given_up

    def once(self, name: str, make: Callable[[Mapping[str, Any]], Made]) -> Made:
        """Return what ``make`` returns for the settings, called once in this process for the whole scan."""
        return self.job.once(name, make)

    def needs(self, file: int) -> Sequence[Need]:
        """Return the columns that are read of a file, by its number, as its batches have them."""
        return self.job.needs[file]

    def batches(self, *, set_aside: SetAside | None = None, failed: Failed | None = None) -> Iterator[Batch]:
        """Iterate over the rows of the chunk, slice by slice, in order.

        A batch may have no rows, where only bad records were found. The accounts of a batch are closed when the next
        one is asked for.

        Parameters
        ----------
        set_aside : callable, optional
            Receives (slice, cell) for each row that is not used, in the order of the records.
        failed : callable, optional
            Receives the error of a slice that cannot be read; the other slices are still read. Without it the error
            is raised.

        Raises
        ------
        LogitstreamError
            A slice cannot be read.
        """
        if set_aside is not None:
            self._book.set_aside = set_aside
        walk = self._walk = self._batches(failed)
        return walk

    def joined(self, *, set_aside: SetAside | None = None) -> Iterator[Batch | JoinedBatch]:
        """Iterate over the rows of the chunk as :meth:`batches` does, with those of small files that follow together.

        Accounts, rows that are set aside and errors are those of one file after the other.
        """
        if self.chunk.limit is not None or len(self.chunk.slices) == 1:
            return self.batches(set_aside=set_aside)
        if set_aside is not None:
            self._book.set_aside = set_aside
        walk = self._walk = self._joined()
        return walk

    def correct(self, position: int, null: int, nan: int) -> None:
        """Count rows of a slice as null and NaN, where that is known only after the whole chunk was read."""
        self._book.correct(position, null, nan)

    def count(self, events: Mapping[str, int]) -> None:
        """Add to the events that a report counts."""
        self._book.events.update(events)

    def outcome(self, payload: Payload | None) -> Outcome[Payload]:
        """Return the outcome of the chunk, after its last batch."""
        book = self._book
        return Outcome(
            chunk=self.chunk.index,
            accounts=tuple(book.accounts),
            payload=None if book.given_up else payload,
            events=dict(book.events),
            bad=tuple(book.bad),
            bytes_read=book.bytes_read,
            worker=self._attempt.worker,
            features=book.counted(),
        )

    def close(self) -> None:
        """Close open inputs, whatever the step did."""
        if self._walk is not None:
            self._walk.close()

    def _batches(self, failed: Failed | None) -> Generator[Batch, None, None]:
        left = self.chunk.limit
        for position, piece in enumerate(self.chunk.slices):
            if left == 0 or self.given_up:
                self._book.skip(piece)
                continue
            before = self._book.mark()
            try:
                read = yield from self._slice(position, piece, left)
            except LogitstreamError as error:
                if failed is None or (isinstance(error, TransientError) and not self._attempt.last):
                    raise
                failed(position, error)
                self._book.fail(piece, self._begin if position == 0 else None, before)
                read = 0
            left = None if left is None else left - read

    def _joined(self) -> Generator[Batch | JoinedBatch, None, None]:
        job = self.job
        # The second try is for batches that take too much.
        is_first = self._attempt.batch_rows == job.batch_rows
        joining = Joining(self._book, job.joined_rows if is_first else 0, job.batch_bytes)
        small_rows = min(self._attempt.batch_rows, joining.small_rows)
        with ReadingTurns(len(self.chunk.slices)) as turns:
            for position, piece in enumerate(self.chunk.slices):
                small, error, needs = None, None, job.needs[piece.file]
                if self._is_small(piece, small_rows) and not self.given_up:
                    turns.take()
                    try:
                        small = self._whole(position, piece)
                    except LogitstreamError as found:
                        # The rows before it come first: too many bad ones among them end the run with another error.
                        error = found
                if small is None or not joining.fits(small, needs):
                    turns.end()
                    yield from self._taken(joining, position)
                if self.given_up:
                    self._book.skip(piece)
                elif error is not None:
                    raise error
                elif small is None:
                    yield from self._slice(position, piece, None)
                else:
                    joining.add(small, needs)
        yield from self._taken(joining, len(self.chunk.slices))

    def _taken(self, joining: Joining, position: int) -> Iterator[Batch | JoinedBatch]:
        """Yield the rows of the small files before a slice."""
        yield from joining.take()
        if position and self._teller is not None and self._teller.due():
            self._teller.tell(Reached(self.chunk.index, self._rows_booked(), position - 1, 1.0))

    def _is_small(self, piece: Slice, small_rows: int) -> bool:
        """Return whether a slice has so few rows that it comes in one batch, whose width is not looked at first."""
        if piece.rows is None or not 0 < piece.rows <= small_rows or piece.stop - piece.start > 1:
            return False
        return piece.rows <= PROBE_ROWS or not self.job.variable[self.job.needs.number(piece.file)]

    def _whole(self, position: int, piece: Slice) -> Batch | None:
        """Return the rows of a small slice, ``None`` where they do not come in one batch that fits."""
        file, identity = self.job.files[piece.file]
        needs = self.job.needs[piece.file]
        try:
            with self._reader(file, identity, piece, None, self._attempt.batch_rows) as reader:
                book = SliceBook(piece, position, reader, None, needs, self._book)
                first, *more = islice(reader, 2)
        except LogitstreamError as error:
            error.at(file.path)
            raise
        found = Batch(first, position, piece.file, book, first.get_total_buffer_size())
        # A buffer that two columns share counts once.
        return None if more or 2 * found.bytes > self.job.batch_bytes else found

    def _slice(self, position: int, piece: Slice, left: int | None) -> Generator[Batch, None, int]:
        file, identity = self.job.files[piece.file]
        needs = self.job.needs[piece.file]
        begin = self._begin if position == 0 else None
        try:
            rows = self._fitting_rows(file, identity, piece)
            with self._reader(file, identity, piece, begin, rows) as reader:
                book = SliceBook(piece, position, reader, left, needs, self._book)
                for data in self._checked(reader, needs, file.path):
                    batch = Batch(book.within_limit(data), position, piece.file, book)
                    yield batch
                    batch.close()
                    if self._teller is not None and self._teller.due():
                        self._teller.tell(self._reached(position, reader, book.read))
                    if self.given_up or book.reached_limit(data):
                        break
            book.close()
        except LogitstreamError as error:
            error.at(file.path)
            raise
        return book.read

    def _rows_booked(self) -> int:
        return sum(account.read for account in self._book.accounts)

    def _reached(self, position: int, reader: SliceReader, rows: int) -> Reached:
        """Return how far the chunk is, by the rows read of a slice."""
        piece = self.chunk.slices[position]
        done, of = (reader.bytes_read, piece.stop - piece.start) if piece.rows is None else (reader.rows, piece.rows)
        return Reached(self.chunk.index, self._rows_booked() + rows, position, min(1.0, done / max(1, of)))

    def _reader(self, file: InputFile, identity: Identity, piece: Slice, begin: int | None, rows: int) -> SliceReader:
        job = self.job
        source = source_for(file.format, job.csv, column_threads=self.chunk.index >= job.threaded_from)
        needs = job.needs[piece.file]
        return with_stated_checked(source.read(file, identity, piece, needs, rows, begin), file, needs)

    def _checked(self, reader: SliceReader, needs: Sequence[Need], path: str) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a slice, and refuse one that takes more than its share of memory."""
        most = self.job.batch_bytes
        for batch in reader:
            if batch.nbytes > most and batch.num_rows:
                raise self._too_large(batch, [need.name for need in needs], reader, path)
            yield batch

    def _too_large(self, batch: pa.RecordBatch, names: Sequence[str], reader: SliceReader, path: str) -> Exception:
        """Return the error of a batch that takes more than its share, or the wish for smaller ones."""
        widest = max(range(batch.num_columns), key=lambda i: batch.column(i).nbytes)
        name, longest = names[widest], _longest_list(batch.column(widest))
        few = f"may take only {format_bytes(self.job.batch_bytes)}"
        if longest is not None and longest.bytes > self.job.batch_bytes:
            row = int(reader.places()[longest.row]) + 1
            takes = f"{longest.members:,} members, which take {format_bytes(longest.bytes)} decoded"
            message = f"{escape(path)}: row {row:,}, column {escape(name)}: a list of {takes}, but {few}"
            return MemoryBudgetError(message, _MORE_MEMORY).at(column=name, row=row)
        if not self._attempt.final or (longest is not None and self._attempt.batch_rows > 1):
            return BatchTooLargeError()
        rows, size = self._attempt.batch_rows, format_bytes(batch.nbytes)
        message = f"column {name}: a batch of {rows:,} rows takes {size} decoded, but {few}"
        return MemoryBudgetError(message, _MORE_MEMORY).at(column=name)

    def _fitting_rows(self, file: InputFile, identity: Identity, piece: Slice) -> int:
        """Return the rows of a batch: fewer than planned where the first rows have wide text or nested values."""
        job = self.job
        if file.format != "parquet" or not job.variable[job.needs.number(piece.file)]:
            return self._attempt.batch_rows
        if piece.rows is not None and piece.rows <= PROBE_ROWS and self._attempt.batch_rows == job.batch_rows:
            # The slice has no more rows than would be looked at. If they are too wide, the second try looks first.
            return min(PROBE_ROWS, self._attempt.batch_rows)
        with self._reader(file, identity, piece, None, min(PROBE_ROWS, self._attempt.batch_rows)) as reader:
            first = next((batch for batch in reader if batch.num_rows), None)
        if first is None:
            return self._attempt.batch_rows
        return int(max(1, min(self._attempt.batch_rows, job.batch_bytes * first.num_rows // max(1, first.nbytes))))
