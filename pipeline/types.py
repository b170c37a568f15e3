"""The arrows between the rooms, and the protocols that the rooms fulfil.

    inputs -> source --FileFacts--> plan --Chunk--> block --Receipt--> publish -> Report

Every arrow is a frozen dataclass; every room that can have a second implementation is a protocol with one contract
test. Nothing here opens a file, and Arrow is imported for its types alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol, Self, overload, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

Integers = npt.NDArray[np.int64]

Format = Literal["parquet", "csv"]
Role = Literal["numeric", "categorical", "kept"]
Precision = Literal["fast", "accurate", "reproducible"]
IfExists = Literal["fail", "replace"]
IfRunning = Literal["fail", "skip", "wait"]
Durability = Literal["full", "none"]
Fingerprint = Literal["ends", "full"]
Done = Literal["computed", "resumed", "reused"]


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file found under an INPUT argument.

    Attributes
    ----------
    path : str
        Relative to the INPUT argument, ``/`` between parts: the name of the file in plans, messages and identities.
    location : str
        Absolute path, for opening only; it never enters an identity.
    position : int
        Which INPUT argument it came from.
    format : {"parquet", "csv"}
    partitions : tuple of (name, value)
        Constants that the path states (``country=NL``), ``None`` for ``__HIVE_DEFAULT_PARTITION__``.
    """

    path: str
    location: str
    position: int
    format: Format
    partitions: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one state of a file from another: the part of its facts that enters ``job_id``.

    Attributes
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Nanoseconds since the epoch.
    digest : str
        SHA-256, in hexadecimal, of the footer (Parquet) or of the first and last 64 KiB (other).
    content : str
        SHA-256, in hexadecimal, of all bytes where they were asked for (``--fingerprint full``), else empty.
    """

    size: int
    mtime_ns: int
    digest: str
    content: str = ""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One top-level column of a file: its Arrow field, and its bytes in the file and decoded (0 where unknown)."""

    field: pa.Field
    encoded_bytes: int
    decoded_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Columns(Sequence[ColumnFacts]):
    """The facts of many columns, each made when it is asked for: files written alike share their fields.

    Attributes
    ----------
    fields : tuple of pyarrow.Field
    encoded, decoded : ndarray of int64, shape (columns,)
    """

    fields: tuple[pa.Field, ...]
    encoded: Integers
    decoded: Integers

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.fields)

    @overload
    def __getitem__(self, number: int) -> ColumnFacts: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[ColumnFacts]: ...
    def __getitem__(self, number: int | slice) -> ColumnFacts | Sequence[ColumnFacts]:
        """Return the facts of a column, or of some."""
        if isinstance(number, slice):
            return Columns(self.fields[number], self.encoded[number], self.decoded[number])
        return ColumnFacts(self.fields[number], int(self.encoded[number]), int(self.decoded[number]))


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What planning needs to know of a file, read without reading its rows.

    Attributes
    ----------
    file : InputFile
    identity : Identity
    columns : sequence of ColumnFacts
        In file order. The columns of a CSV are text until a :class:`Need` says otherwise.
    rows : int or None
        Exact, or ``None`` where only reading can tell (CSV).
    row_bytes : float
        Mean encoded bytes of a row; an estimate where ``rows`` is ``None``. At least 1.
    group_rows : ndarray of int64, shape (row groups,)
        Rows of each row group of a Parquet file; empty for a CSV.
    data_start : int
        Offset of the first byte behind the header of a CSV; 0 for Parquet.
    cuttable : bool
        Whether slices may be byte ranges of the file (an uncompressed CSV in an encoding that allows it).
    """

    file: InputFile
    identity: Identity
    columns: Sequence[ColumnFacts]
    rows: int | None
    row_bytes: float
    group_rows: Integers
    data_start: int = 0
    cuttable: bool = False

    @property
    def estimated_rows(self) -> int:
        """Rows, exact where they are known, else the bytes behind the header over the mean row."""
        if self.rows is not None:
            return self.rows
        return int(max(0, self.identity.size - self.data_start) / self.row_bytes)


@dataclass(frozen=True, slots=True)
class Need:
    """A column that the job reads, and for what.

    ``numeric`` and ``categorical`` columns are features; ``kept`` columns are copied to the output unchanged. A
    column that is both stands twice. ``type`` is the Arrow type named by ``--type NAME=TYPE``, else ``None``.
    """

    name: str
    role: Role
    type: str | None = None


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How the CSV inputs are written.

    ``columns`` names the columns of files that have no header; ``nulls`` are the unquoted spellings of null, the
    empty field always among them; ``types`` maps a column name to the name of an Arrow type.
    """

    delimiter: str = ","
    quote: str = '"'
    nulls: tuple[str, ...] = ("",)
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = None
    types: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of one input file: row groups ``[start, stop)`` of a Parquet file, bytes ``[start, stop)`` of a CSV.

    Of a CSV these are the records whose first byte lies in the range. ``rows`` is ``None`` where only reading tells.
    """

    file: int
    start: int
    stop: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of work, of accounting and of output: one part is written from it.

    ``row_group_rows`` are the rows of a row group of its part. ``limit`` bounds the rows read from the slices, taken
    in order; ``None`` reads all.
    """

    index: int
    slices: tuple[Slice, ...]
    row_group_rows: int
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A chunk to execute.

    ``begin`` is the offset of its first record where a guess has proven wrong; ``block`` is the block function of
    this chunk alone, where the job file describes none.
    """

    chunk: int
    begin: int | None = None
    block: BlockFunction | None = None


@dataclass(frozen=True, slots=True)
class BadCell:
    """A cell, or a record, that keeps its row out of the output.

    Attributes
    ----------
    record : int
        Number of the record within its slice, from 0, bad ones counted; of a row within its batch where a block
        function states it.
    column : str
        Empty where the whole record is at fault (ragged, unterminated quote).
    text : str
        What was found, unescaped; at most 200 characters.
    reason : str
        Why it cannot be used, as a clause ("is not a number").
    offset : int or None
        Offset of the first byte of the record in the file; ``None`` for Parquet, and where a block function states it.
    line : str or None
        The record as it stands in a CSV, at most 64 KiB of it; ``None`` where ``offset`` is.
    by_policy : bool
        Whether the model file sends such rows to the quarantine: then the row is not a bad one.
    """

    record: int
    column: str
    text: str
    reason: str
    offset: int | None = None
    line: str | None = None
    by_policy: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row of a batch comes from: see :class:`BadCell` for ``record``, ``offset`` and ``line``."""

    record: int
    offset: int | None = None
    line: str | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """What a block function makes of one batch.

    Attributes
    ----------
    arrays : tuple of pyarrow.Array
        One for each of its fields, all as long as the batch; what stands in a rejected row means nothing.
    null, nan : int
        Rows without a result because a value was missing; rows whose arithmetic ended in NaN. No row counts twice, and
        none that is rejected.
    events : mapping of str to int
        What a report counts, by name (``"missing dep_delay"``, ``"unseen carrier"``, ``"infinite distance"``).
    rejected : tuple of BadCell
        The rows that must not be written, ascending, one cell a row: the first bad one in the order of the columns,
        else the first that the model sends to the quarantine. Records are counted from the start of the batch.
    """

    arrays: tuple[pa.Array, ...]
    null: int = 0
    nan: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[BadCell, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceAccount:
    """The balance of one slice: ``read = written + quarantined``, ``written = scored + null + nan``.

    ``bad`` are those of the quarantined rows that count towards ``--max-bad``; the others are there by policy.
    ``begin`` and ``end`` are, for a CSV, the offset of the first record that was read and of the first byte behind
    the last one; 0 for Parquet. The end of a slice is the begin of the next one, or the cut was wrong.
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


@dataclass(frozen=True, slots=True)
class PartFile:
    """A file that a task wrote: its path relative to the staging folder, size, SHA-256 and rows."""

    path: str
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a task hands back for a chunk; nothing else travels.

    ``part`` is ``None`` where the task gave up, because the chunk has more bad rows than the run allows; the slices
    behind that place are then booked with no rows. ``quarantine`` is the file of the rows that are not in the part,
    ``None`` where there are none. ``bad`` holds (slice position in the chunk, cell) of the first 10 bad rows.
    """

    chunk: int
    accounts: tuple[SliceAccount, ...]
    part: PartFile | None
    quarantine: PartFile | None
    events: Mapping[str, int]
    bad: tuple[tuple[int, BadCell], ...]
    bytes_read: int
    peak_bytes: int
    seconds: float
    worker: str

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(account.read for account in self.accounts)

    @property
    def bad_rows(self) -> int:
        """Rows that count towards ``--max-bad``."""
        return sum(account.bad for account in self.accounts)

    @property
    def files(self) -> tuple[PartFile, ...]:
        """The files that were written: the part, and the quarantine where there is one."""
        return tuple(file for file in (self.part, self.quarantine) if file is not None)


@dataclass(frozen=True, slots=True)
class Resources:
    """How a plan is carried out on this machine. Never enters ``job_id``, never changes a byte of a part.

    Attributes
    ----------
    workers : int
    batch_rows : int
        Rows decoded at a time inside a chunk.
    wave : int
        Chunks whose tasks exist at the same time.
    allowed_bytes, reserved_bytes, projected_bytes : int
        The budget; what the process takes before any row is read; the most that the run is expected to take.
    notes : tuple of str
        What was lowered to fit, in words for a person.
    column_threads : bool
        Whether Arrow decodes the columns of a batch on threads of its own: where cores are left over.
    """

    workers: int
    batch_rows: int
    wave: int
    allowed_bytes: int
    reserved_bytes: int
    projected_bytes: int
    notes: tuple[str, ...] = ()
    column_threads: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over receipts.

    ``resumed`` of the chunks were done by an earlier try of the same job, ``reused`` taken over from the published
    version; ``bytes_read`` are those of this run alone.
    """

    chunks: int = 0
    resumed: int = 0
    reused: int = 0
    read: int = 0
    written: int = 0
    scored: int = 0
    null: int = 0
    nan: int = 0
    quarantined: int = 0
    bad: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    peak_bytes: int = 0
    events: Mapping[str, int] = field(default_factory=dict)

    def plus(self, receipt: Receipt, how: Done = "computed") -> Totals:
        """Return the totals with one more receipt."""
        events = dict(self.events)
        for name, count in receipt.events.items():
            events[name] = events.get(name, 0) + count
        accounts = receipt.accounts
        computed = how == "computed"
        return Totals(
            chunks=self.chunks + 1,
            resumed=self.resumed + (how == "resumed"),
            reused=self.reused + (how == "reused"),
            read=self.read + sum(a.read for a in accounts),
            written=self.written + sum(a.written for a in accounts),
            scored=self.scored + sum(a.scored for a in accounts),
            null=self.null + sum(a.null for a in accounts),
            nan=self.nan + sum(a.nan for a in accounts),
            quarantined=self.quarantined + sum(a.quarantined for a in accounts),
            bad=self.bad + receipt.bad_rows,
            bytes_read=self.bytes_read + (receipt.bytes_read if computed else 0),
            bytes_written=self.bytes_written + (sum(f.bytes for f in receipt.files) if computed else 0),
            peak_bytes=max(self.peak_bytes, receipt.peak_bytes) if computed else self.peak_bytes,
            events=events,
        )


@dataclass(frozen=True, slots=True)
class FileSummary:
    """One input as ``plan`` and the report show it. ``rows`` is exact unless ``estimated``."""

    path: str
    format: Format
    bytes: int
    rows: int
    estimated: bool
    row_groups: int


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a run is going to do, in numbers that a person or a program reads.

    ``fields`` are (name, Arrow type, nullable) of the output; ``notes`` are remarks in words.
    """

    job_id: str
    output: str
    files: tuple[FileSummary, ...]
    rows: int
    rows_estimated: bool
    bytes_to_read: int
    chunks: int
    chunk_rows: int
    row_group_rows: int
    fields: tuple[tuple[str, str, bool], ...]
    resources: Resources
    scheduler: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a run that ended well.

    ``published`` is False where nothing had to be done, because the same job already stands published, or nothing was
    done, because another run holds the output and the caller said to skip then: ``skipped`` names that run.
    """

    plan: PlanSummary
    totals: Totals
    seconds: float
    peak_bytes: int
    published: bool
    manifest_digest: str
    notes: tuple[str, ...] = ()
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan stands; work begins."""

    summary: PlanSummary


@dataclass(frozen=True, slots=True)
class Progressed:
    """A chunk is done. ``input_bytes`` are the bytes of input covered so far, of ``PlanSummary.bytes_to_read``."""

    totals: Totals
    input_bytes: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a person should know, in a sentence. A warning where ``warning`` is set."""

    text: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class Published:
    """The output stands under its name and is durable."""

    report: Report


Event = Planned | Progressed | Noted | Published
Observer = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Field:
    """A column that a block function makes."""

    name: str
    type: pa.DataType
    nullable: bool


@runtime_checkable
class BlockFunction(Protocol):
    """A function of named columns, applied block by block.

    It is picklable, has no state that a call changes, and may be called from several threads at once. Equal rows give
    equal bits, whatever batch they come in, unless ``whole_chunk`` says that it wants all rows of a chunk at once; such
    a function rejects no rows.
    """

    @property
    def whole_chunk(self) -> bool:
        """Whether it must see a chunk in one piece."""
        ...

    def columns(self) -> Sequence[Need]:
        """Return the features that it reads; no ``kept`` ones."""
        ...

    def fields(self) -> Sequence[Field]:
        """Return the columns that it makes, in order."""
        ...

    def check(self, fields: Sequence[pa.Field]) -> Sequence[str]:
        """Return, for Arrow fields that stand for ``columns()``, one sentence for each that is unfit."""
        ...

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the values for arrays that stand for ``columns()``, each of the same length."""
        ...

    def describe(self) -> Mapping[str, object] | None:
        """Return JSON that says what the function is, or ``None`` where it has no identity."""
        ...


@dataclass(frozen=True, slots=True)
class BadLimit:
    """How many bad rows a run may have: a number of rows, or a share of the rows read (0.01 for 1 %)."""

    rows: int | None = 0
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a run goes about its work. Never enters ``job_id``, never changes a byte of a part.

    Attributes
    ----------
    resume : bool
        Whether the chunks that an earlier try of the same job has done are taken as done.
    reuse : bool
        Whether the parts of the published version that would be the same are taken over. If not, ``replace`` does a
        job again that stands published already.
    if_running : {"fail", "skip", "wait"}
        What to do where another run holds the output.
    wait_seconds : float or None
        How long to wait for it under ``wait``; ``None`` as long as it takes.
    deadline_seconds : float or None
        When to stop in good order.
    retries : int
        How often a chunk is tried again after an error that may pass.
    durability : {"full", "none"}
        Whether everything is synced before the output takes its name.
    keep_versions : int
        How many former versions are kept.
    """

    resume: bool = True
    reuse: bool = True
    if_running: IfRunning = "fail"
    wait_seconds: float | None = None
    deadline_seconds: float | None = None
    retries: int = 3
    durability: Durability = "full"
    keep_versions: int = 1


@runtime_checkable
class PerChunk(Protocol):
    """A block function that cannot be made again from its description: a chunk's share of it travels with the work."""

    def of_chunk(self, chunk: int) -> BlockFunction:
        """Return the block function of one chunk, no larger than that chunk needs."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What a caller asks for. Everything that the flow needs, and nothing that it finds out by itself.

    Attributes
    ----------
    inputs : tuple of str
        Files, folders or glob patterns.
    output : str
        The folder to publish; the file, where the name ends in ``.parquet`` or ``.csv``.
    block : BlockFunction
    keep : tuple of str
        Columns copied to the output, ``("*",)`` for all.
    chunk_size : str
        Rows (``500000``) or bytes (``64MiB``).
    limit : int or None
        Read no more rows than this, in input order.
    memory : str or None
        The budget; half of what is free unless given.
    workers : int or None
        As many as there are cores this process may use, unless given.
    scheduler : str
        ``threads``, ``sync``, ``processes`` or a cluster address.
    arithmetic : str
        The tag of the arithmetic that makes the bits of the scores.
    max_bad : BadLimit
        How many bad rows may go to the quarantine before the run fails. Decides whether a run ends well, never what it
        writes: it does not enter ``job_id``.
    fingerprint : {"ends", "full"}
        Whether the identity of an input holds a digest of all of its bytes.
    conduct : Conduct
    """

    inputs: tuple[str, ...]
    output: str
    block: BlockFunction
    keep: tuple[str, ...] = ()
    csv: CsvOptions = CsvOptions()
    format: Format = "parquet"
    compression: str | None = None
    if_exists: IfExists = "fail"
    allow_empty: bool = False
    chunk_size: str = "1048576"
    limit: int | None = None
    memory: str | None = None
    workers: int | None = None
    scheduler: str = "threads"
    insecure: bool = False
    arithmetic: str = ""
    max_bad: BadLimit = BadLimit()
    fingerprint: Fingerprint = "ends"
    conduct: Conduct = Conduct()


class SliceReader(Protocol):
    """The rows of one slice, as record batches; used once, as a context manager that closes the file.

    Each batch has one column for each need, in order, and at most the rows asked for; none, where only bad records
    were met since the batch before, so that they can be taken while they are few. After the last batch ``rows`` (those
    of the batches), ``begin`` and ``end`` state what was read (see :class:`SliceAccount`); ``bad_count`` is the number
    of records left out so far because a cell could not be read. ``events`` is what a report counts besides, by name
    (``"odd quoting"``), of the records numbered below ``limit``, good and bad; who reads no further sets that before
    the first batch. What a damaged file raises is a :class:`~pipeline.errors.DataError` that names the file; what the
    system refuses, a ``StorageError``.
    """

    rows: int
    begin: int
    end: int
    bytes_read: int
    bad_count: int
    events: Mapping[str, int]
    limit: int | None

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def take_bad(self) -> list[BadCell]:
        """Return the records that were left out and not yet taken, in the order of the file, one cell a record.

        Those before the last row of the batch given last are among them; some behind it may be.
        """
        ...

    def record(self, row: int) -> int:
        """Return the number, within the slice and bad records counted, of a row of the batch given last."""
        ...

    def origins(self, rows: Sequence[int]) -> list[Origin]:
        """Return where rows of the batch given last come from."""
        ...


class Source(Protocol):
    """How rows come in from one kind of file. Holds options only; may be shared between threads."""

    def facts(self, file: InputFile, *, full: bool = False) -> FileFacts:
        """Return the facts of a file without reading its rows; ``full`` has its ``content`` digested.

        Raises
        ------
        DataError
            The file is damaged or not of this kind.
        InputChangedError
            It changed while it was digested.
        """
        ...

    def field(self, facts: FileFacts, need: Need) -> pa.Field:
        """Return the name, type and nullability with which a needed column will come.

        Raises
        ------
        LookupError
            The file has no such column, or several; the message is a clause for a person.
        """
        ...

    def read(
        self,
        file: InputFile,
        identity: Identity,
        piece: Slice,
        needs: Sequence[Need],
        batch_rows: int,
        begin: int | None = None,
    ) -> SliceReader:
        """Open a slice for reading.

        ``begin`` is the offset of the first record where the caller knows it. The file is compared with ``identity``,
        but for its ``content``, on the open descriptor before the first row and after the last; a difference is an
        ``InputChangedError``.
        """
        ...


class Sink(Protocol):
    """Writes one part into an open binary file. The bytes depend on the rows alone, not on how they were batched."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; the batch has the schema that the sink was made with."""
        ...

    def close(self) -> None:
        """Write what is buffered and the end of the format; the file itself stays open."""
        ...


class OpenAttempt(Protocol):
    """A new file under a name never used before, open for writing."""

    file: BinaryIO

    def finish(self, rows: int) -> PartFile:
        """Sync and close the file, and return what stands in it."""
        ...


Task = Callable[[Work], Receipt]


class Scheduler(Protocol):
    """Carries out chunk tasks.

    ``run`` asks ``take(n)`` for at most ``n`` pieces of work whenever there is room, and hands each receipt to
    ``done`` as soon as the task has ended, in any order, always on the calling thread. It returns when ``take`` gives
    an empty sequence while no task is under way. A piece of work may be executed more than once and its receipt
    delivered more than once; it is never lost. The first error of a task, of ``take`` or of ``done`` is raised when
    the tasks under way have ended or were abandoned with their processes; no thread or process of the scheduler's
    own making is left.
    """

    @property
    def name(self) -> str:
        """How a person calls it: ``threads``, ``sync``, ``tcp://host:port``."""
        ...

    def run(self, task: Task, take: Callable[[int], Sequence[Work]], done: Callable[[Receipt], None]) -> None:
        """Carry out work until there is none."""
        ...
