"""Read the columns of files, value by value: the step, and how its results are joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace

import numpy as np
import pyarrow as pa

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError, MemoryBudgetError
from pipeline.inspection.extent import EMPTY, UNKNOWN, Extent, extent_of
from pipeline.plan import Plan, make_plan
from pipeline.scan import Batch, ChunkContext, HowToScan, Needs, PreparedScan, StepCosts, open_scan, prepare_scan
from pipeline.types.inputs import CsvOptions, FileFacts, Integers, Need
from pipeline.types.report import Noted
from pipeline.types.rows import BadCell, Slice
from pipeline.types.work import Outcome
from pipeline.units import KIB, escape

# One column in an outcome: some numbers and the ends of its range, which may be texts of 200 bytes.
_COLUMN_BYTES = 2 * KIB
# One column at a time: its values as doubles, and as flags.
_MADE_BYTES = 16.0
_TEXT = "string"
_MORE_MEMORY = "raise --memory, or leave out --full"


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: the options for CSV, rows or bytes of a chunk, and where and with what the scan runs.

    ``tell`` is told what a person should know of a cluster meanwhile.
    """

    csv: CsvOptions
    chunk_size: str
    how: HowToScan
    tell: Callable[[Noted], None]


@dataclass(slots=True)
class Read:
    """What was read of one column; ``numbers`` is the range of text that is all numbers, unknown otherwise."""

    nulls: int = 0
    nan: int = 0
    infinite: int = 0
    extent: Extent = EMPTY
    numbers: Extent = UNKNOWN

    def add(self, array: pa.Array) -> None:
        """Add the values of one batch."""
        self.nulls += _count(array.is_null())
        if pa.types.is_dictionary(array.type):
            # A dictionary of a few long texts could take any memory once decoded.
            array = array.dictionary.take(pc.unique(array.indices.drop_null()))
        if pa.types.is_floating(array.type):
            floats = array.cast(pa.float64())
            self.nan += _count(pc.is_nan(floats))
            self.infinite += _count(pc.is_inf(floats))
        if self.extent.known:
            self.extent = self.extent.plus(extent_of(array))
        if self.numbers.known:
            self.numbers = self.numbers.plus(_numbers(array))

    def join(self, other: Read) -> None:
        """Add what was read of the same column elsewhere; the order does not matter."""
        self.nulls += other.nulls
        self.nan += other.nan
        self.infinite += other.infinite
        self.extent = self.extent.plus(other.extent)
        self.numbers = self.numbers.plus(other.numbers)


@dataclass(slots=True)
class FileContents:
    """What was read of some slices of a file; ``error`` says why the first unreadable slice could not be read."""

    columns: dict[str, Read]
    slices: int
    read: int = 1
    error: LogitstreamError | None = None

    def join(self, other: FileContents) -> None:
        """Add what was read of later slices."""
        self.read += other.read
        self.error = self.error or other.error
        for name, read in other.columns.items():
            self.columns[name].join(read)


@dataclass(slots=True)
class Contents:
    """What was read of some chunks.

    Attributes
    ----------
    columns : dict of str to Read
        By name, over all files that were read whole.
    parts : dict of int to FileContents
        By file number, the files with slices still to come.
    errors : dict of int to LogitstreamError
        By file number, the files that cannot be read; their values are not in ``columns``.
    first_bad : dict of int to BadCell
        By file number, the first record that cannot be read.
    """

    columns: dict[str, Read] = field(default_factory=dict)
    parts: dict[int, FileContents] = field(default_factory=dict)
    errors: dict[int, LogitstreamError] = field(default_factory=dict)
    first_bad: dict[int, BadCell] = field(default_factory=dict)

    def add(self, number: int, file: FileContents) -> None:
        """Add slices of a file, after those that are here; a complete file is closed."""
        if number in self.parts:
            self.parts[number].join(file)
        else:
            self.parts[number] = file
        if self.parts[number].read < file.slices:
            return
        whole = self.parts.pop(number)
        if whole.error is not None:
            self.errors[number] = whole.error
        else:
            self.add_columns(whole.columns)

    def add_columns(self, columns: Mapping[str, Read]) -> None:
        """Add columns of files that were read whole."""
        for name, read in columns.items():
            if name in self.columns:
                self.columns[name].join(read)
            else:
                self.columns[name] = read


def combine(left: Contents, right: Contents) -> Contents:
    """Return what was read of both."""
    for number, file in right.parts.items():
        left.add(number, file)
    left.add_columns(right.columns)
    left.errors |= right.errors
    left.first_bad = right.first_bad | left.first_bad
    return left


def look(context: ChunkContext) -> Outcome[Contents]:
    """Return what all values of a chunk are: the step. A slice that cannot be read is noted; the others are read."""
    look_at = _Looking(context)
    for batch in context.batches(set_aside=look_at.set_aside, failed=look_at.failed):
        look_at.add(batch)
    return context.outcome(look_at.ended())


class _Looking:
    """The files of a chunk while it is read: one is open, and closed when the next one begins."""

    def __init__(self, context: ChunkContext) -> None:
        self._context = context
        self._contents = Contents()
        self._slices = context.chunk.slices
        self._position = -1
        self._file: FileContents
        self._errors: dict[int, LogitstreamError] = {}

    def add(self, batch: Batch) -> None:
        """Look at the values of a batch."""
        self._move_to(batch.position)
        for column, array in zip(self._file.columns.values(), batch.data.columns, strict=True):
            column.add(array)

    def set_aside(self, piece: Slice, cell: BadCell) -> None:
        """Note the first record of a file that cannot be read."""
        self._contents.first_bad.setdefault(piece.file, replace(cell, line=None))

    def failed(self, position: int, error: LogitstreamError) -> None:
        """Note why a slice cannot be read; drop the traceback, which would keep data in memory."""
        error.__cause__ = error.__context__ = None
        self._errors[position] = error.with_traceback(None)

    def ended(self) -> Contents:
        """Return what was found, with every slice added."""
        self._move_to(len(self._slices))
        return self._contents

    def _move_to(self, position: int) -> None:
        while self._position < position:
            if self._position >= 0:
                self._file.error = self._errors.pop(self._position, None)
                self._contents.add(self._slices[self._position].file, self._file)
            self._position += 1
            if self._position < len(self._slices):
                number = self._slices[self._position].file
                self._file = FileContents(_columns(self._context, number), _slices(self._context.job.plan, number))


def _columns(context: ChunkContext, number: int) -> dict[str, Read]:
    csv = context.job.files[number][0].format == "csv"
    return {need.name: Read(numbers=EMPTY if csv and need.type == _TEXT else UNKNOWN) for need in context.needs(number)}


def _slices(plan: Plan, file: int) -> int:
    """Return how many slices of a file there are; those of all files are in the order of the files."""
    first, last = (int(np.searchsorted(plan.slice_file, file, side)) for side in ("left", "right"))
    return last - first


def _numbers(array: pa.Array) -> Extent:
    try:
        return extent_of(array.cast(pa.float64()))
    except pa.ArrowInvalid:
        return UNKNOWN


def _count(mask: pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)


@dataclass(slots=True)
class Accounts:
    """What was counted of each file, by its number: rows, and records that cannot be read."""

    rows: Integers
    bad: Integers

    @classmethod
    def of(cls, files: int) -> Accounts:
        """Return the accounts of so many files, with nothing read."""
        return cls(np.zeros(files, dtype=np.int64), np.zeros(files, dtype=np.int64))

    def add(self, outcome: Outcome[Contents]) -> None:
        """Add a chunk."""
        for account in outcome.accounts:
            self.rows[account.file] += account.written
            self.bad[account.file] += account.quarantined


def read_whole(files: Sequence[FileFacts], reading: Reading) -> tuple[Contents, Accounts]:
    """Return what every value of every file is, read by all workers together.

    Files that cannot be read are among the errors, and so are those that do not fit the budget.

    Raises
    ------
    UsageError, ConfigurationError, UnavailableError
        The scheduler cannot be used.
    """
    prepared, refused = _fitting(files, reading)
    numbers = [number for number in range(len(files)) if number not in refused]
    contents, accounts = Contents(), Accounts.of(len(numbers))
    if prepared is not None:
        with open_scan(prepared, show=reading.tell) as scan:
            contents = scan.reduce(look, combine, confirmed=accounts.add) or contents
    back = Accounts.of(len(files))
    back.rows[numbers], back.bad[numbers] = accounts.rows, accounts.bad
    contents.first_bad = {numbers[number]: cell for number, cell in contents.first_bad.items()}
    contents.errors = {numbers[number]: error for number, error in contents.errors.items()} | refused
    return contents, back


def _fitting(files: Sequence[FileFacts], reading: Reading) -> tuple[PreparedScan | None, dict[int, LogitstreamError]]:
    """Return a scan of the files that fit the budget, if any, and why the others do not, by number."""
    try:
        return _prepared(files, reading), {}
    except MemoryBudgetError:
        refused: dict[int, LogitstreamError] = {}
        for number, facts in enumerate(files):
            try:
                _prepared([facts], reading)
            except MemoryBudgetError as error:
                refused[number] = MemoryBudgetError(f"{escape(facts.file.path, 1000)}: {error.message}", _MORE_MEMORY)
    fitting = [facts for number, facts in enumerate(files) if number not in refused]
    return _prepared(fitting, reading) if fitting else None, refused


def _prepared(files: Sequence[FileFacts], reading: Reading) -> PreparedScan:
    types = dict(reading.csv.types)
    lists: dict[tuple[Need, ...], int] = {}
    of_file = [lists.setdefault(_needs(facts, types), len(lists)) for facts in files]
    columns = len({need.name for needs in lists for need in needs})
    return prepare_scan(
        files,
        Needs(tuple(lists), np.array(of_file, dtype=np.int64)),
        make_plan(files, chunk_size=reading.chunk_size),
        reading.csv,
        StepCosts(made_bytes=_MADE_BYTES, payload_bytes=columns * _COLUMN_BYTES, travels=True),
        reading.how,
    )


def _needs(facts: FileFacts, types: Mapping[str, str]) -> tuple[Need, ...]:
    """Return a need for every column of a file. Those of a CSV are not ``kept``, so that spellings of null are null."""
    if facts.file.format == "csv":
        return tuple(Need(name, "categorical", types.get(name, _TEXT)) for name in names_once(facts))
    return tuple(Need(name, "kept", types.get(name)) for name in names_once(facts))


def names_once(facts: FileFacts) -> list[str]:
    """Return the names that exactly one column of a file has; not the empty name of a column of a CSV."""
    counts = name_counts(facts)
    return [
        column.field.name
        for column in facts.columns
        if counts[column.field.name] == 1 and (column.field.name or facts.file.format == "parquet")
    ]


def name_counts(facts: FileFacts) -> Counter[str]:
    """Return how many columns of a file, and of its path, have each name."""
    return Counter([*(column.field.name for column in facts.columns), *(name for name, _ in facts.file.partitions)])
