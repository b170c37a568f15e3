"""What is in the columns of files, value by value: the step that looks, and how what it finds is put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LogitstreamError, MemoryBudgetError
from pipeline.inspection.extent import EMPTY, UNKNOWN, Extent, extent_of
from pipeline.plan import Plan, make_plan
from pipeline.scan import Batch, ChunkContext, HowToScan, Needs, PreparedScan, StepCosts, open_scan, prepare_scan
from pipeline.types.inputs import CsvOptions, FileFacts, Integers, Need
from pipeline.types.rows import BadCell, Slice
from pipeline.types.work import Outcome
from pipeline.units import KIB, escape

# Of one column, in an outcome: some numbers and the values at the ends of its range, texts of 200 bytes among them.
_COLUMN_BYTES = 2 * KIB
# Of one column at a time: its values as doubles, and as flags.
_MADE_BYTES = 16.0


@dataclass(slots=True)
class Read:
    """What was read of one column; ``numbers`` is the range of text all of which are numbers, unknown for others."""

    nulls: int = 0
    nan: int = 0
    infinite: int = 0
    extent: Extent = EMPTY
    numbers: Extent = UNKNOWN

    def add(self, array: pa.Array) -> None:
        """Add the values of one batch."""
        self.nulls += _count(array.is_null())
        if pa.types.is_dictionary(array.type):
            # Decoded, a dictionary of a few long texts could take any memory.
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
        """Add what was read of the same column elsewhere, in whatever order."""
        self.nulls += other.nulls
        self.nan += other.nan
        self.infinite += other.infinite
        self.extent = self.extent.plus(other.extent)
        self.numbers = self.numbers.plus(other.numbers)


@dataclass(slots=True)
class FileContents:
    """What was read of some of the slices of a file; ``error`` is why one could not be read, the first in order."""

    columns: dict[str, Read]
    slices: int
    read: int = 1
    error: LogitstreamError | None = None

    def join(self, other: FileContents) -> None:
        """Add what was read behind it."""
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
        By file number, the files of which slices are missing.
    errors : dict of int to LogitstreamError
        By file number, the files that cannot be read; nothing of their values is in ``columns``.
    first_bad : dict of int to BadCell
        By file number, the first record that cannot be read.
    """

    columns: dict[str, Read] = field(default_factory=dict)
    parts: dict[int, FileContents] = field(default_factory=dict)
    errors: dict[int, LogitstreamError] = field(default_factory=dict)
    first_bad: dict[int, BadCell] = field(default_factory=dict)

    def add(self, number: int, file: FileContents) -> None:
        """Take in slices of a file, behind those that are here; a file of which none is missing is closed."""
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
        """Take in columns of files that were read whole."""
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
    """Read all values of a chunk: the step. A slice that cannot be read is noted, and the others are read."""
    look_at = _Looking(context)
    for batch in context.batches(set_aside=look_at.set_aside, failed=look_at.failed):
        look_at.add(batch)
    return context.outcome(look_at.ended())


class _Looking:
    """The files of a chunk on their way: one is open, and taken in when the next one begins."""

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
        """Note why a slice cannot be read, without what its frames hold."""
        error.__cause__ = error.__context__ = None
        self._errors[position] = error.with_traceback(None)

    def ended(self) -> Contents:
        """Return what was found, every slice taken in."""
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
    file, _ = context.job.files[number]
    numbers = EMPTY if file.format == "csv" else UNKNOWN
    return {need.name: Read(numbers=numbers) for need in context.needs(number)}


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
        """Return the accounts of so many files before anything was read."""
        return cls(np.zeros(files, dtype=np.int64), np.zeros(files, dtype=np.int64))

    def add(self, outcome: Outcome[Contents]) -> None:
        """Book a chunk."""
        for account in outcome.accounts:
            self.rows[account.file] += account.written
            self.bad[account.file] += account.quarantined


def read_whole(files: Sequence[FileFacts], chunk_size: str, how: HowToScan) -> tuple[Contents, Accounts]:
    """Read every value of every file, the chunks of each spread over all workers.

    Files that cannot be read are among the errors, and so are those that cannot be read within the budget.

    Raises
    ------
    UsageError, ConfigurationError, UnavailableError
        The scheduler cannot be used.
    """
    prepared, refused = _fitting(files, chunk_size, how)
    numbers = [number for number in range(len(files)) if number not in refused]
    contents, accounts = Contents(), Accounts.of(len(numbers))
    if prepared is not None:
        with open_scan(prepared) as scan:
            contents = scan.reduce(look, combine, confirmed=accounts.add) or contents
    back = Accounts.of(len(files))
    back.rows[numbers], back.bad[numbers] = accounts.rows, accounts.bad
    contents.first_bad = {numbers[number]: cell for number, cell in contents.first_bad.items()}
    contents.errors = {numbers[number]: error for number, error in contents.errors.items()} | refused
    return contents, back


def _fitting(
    files: Sequence[FileFacts], chunk_size: str, how: HowToScan
) -> tuple[PreparedScan | None, dict[int, LogitstreamError]]:
    """Return a scan of the files that can be read within the budget, if any, and why the others cannot, by number."""
    try:
        return _prepared(files, chunk_size, how), {}
    except MemoryBudgetError:
        refused: dict[int, LogitstreamError] = {}
        for number, facts in enumerate(files):
            try:
                _prepared([facts], chunk_size, how)
            except MemoryBudgetError as error:
                refused[number] = MemoryBudgetError(f"{escape(facts.file.path, 1000)}: {error.message}", error.remedy)
    fitting = [facts for number, facts in enumerate(files) if number not in refused]
    return _prepared(fitting, chunk_size, how) if fitting else None, refused


def _prepared(files: Sequence[FileFacts], chunk_size: str, how: HowToScan) -> PreparedScan:
    lists: dict[tuple[Need, ...], int] = {}
    of_file = [lists.setdefault(_needs(facts), len(lists)) for facts in files]
    columns = len({need.name for needs in lists for need in needs})
    return prepare_scan(
        files,
        Needs(tuple(lists), np.array(of_file, dtype=np.int64)),
        make_plan(files, chunk_size=chunk_size),
        CsvOptions(),
        StepCosts(made_bytes=_MADE_BYTES, payload_bytes=columns * _COLUMN_BYTES, travels=True),
        how,
    )


def _needs(facts: FileFacts) -> tuple[Need, ...]:
    return tuple(Need(name, "kept") for name in names_once(facts))


def names_once(facts: FileFacts) -> list[str]:
    """Return the names that one column of a file has, and one alone; a column of a CSV without a name has none."""
    counts = name_counts(facts)
    return [
        column.field.name
        for column in facts.columns
        if counts[column.field.name] == 1 and (column.field.name or facts.file.format == "parquet")
    ]


def name_counts(facts: FileFacts) -> Counter[str]:
    """Return how many columns of a file, and of its path, have each name."""
    return Counter([*(column.field.name for column in facts.columns), *(name for name, _ in facts.file.partitions)])
