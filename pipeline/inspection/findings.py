"""The results of an inspection, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError
from pipeline.schedulers import CHOSEN_BY, ChosenBy
from pipeline.types.report import FileSummary
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import format_bytes, format_count

# A time, a decimal and bytes are text.
Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class FileError:
    """A file that could not be inspected, and why."""

    path: str
    error: LogitstreamError


@dataclass(frozen=True, slots=True)
class Column:
    """A column over all files.

    Attributes
    ----------
    name : str
    types : tuple of (type, files)
        Its Arrow types, and the number of files with each, the most frequent first; ``text`` for a column of a CSV
        that was given no type, and for one that the path states.
    nullable : bool
        Whether some file allows null.
    nulls, nan, infinite : int or None
        ``None`` if a file does not state it.
    smallest, largest : Value or None
        Of the values that are neither null nor NaN; text is compared by its bytes. ``None`` if there are no values, a
        file does not state it, or the types of the files cannot be compared.
    smallest_number, largest_number : float or None
        Of a text column in which every cell is a number or null; only where all data was read.
    """

    name: str
    types: tuple[tuple[str, int], ...]
    nullable: bool
    nulls: int | None
    nan: int | None
    infinite: int | None
    smallest: Value | None
    largest: Value | None
    smallest_number: float | None
    largest_number: float | None

    @property
    def files(self) -> int:
        """The number of files that have it."""
        return sum(count for _, count in self.types)


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """What its manifest says about an output.

    Attributes
    ----------
    job_id, manifest_digest : str
    function : str
        The function that made it, in words.
    finished_unix : float or None
    totals : mapping of str to int
        Rows read, written, scored, null, nan, quarantined, bad.
    """

    job_id: str
    manifest_digest: str
    function: str
    finished_unix: float | None
    totals: Mapping[str, int]


@dataclass(frozen=True, slots=True, repr=False)
class DataInspection(Tabular):
    """What is in data: as footers and headers state it, or as read.

    Attributes
    ----------
    path : str
    files : tuple of FileSummary
        Those that could be read.
    rows, bytes, row_groups : int
    rows_estimated : bool
        Whether ``rows`` is an estimate: the rows of a CSV are known only after reading.
    full : bool
        Whether all data was read; otherwise nulls and ranges are those that the writers of the files stored.
    bad_records : int or None
        Records of CSV files that cannot be read, and are not among the rows; ``None`` unless all data was read.
    columns : tuple of Column
        In the order in which the files have them.
    differences : tuple of str
        Differences between the files, in sentences.
    notes : tuple of str
    errors : tuple of FileError
    output : OutputFacts or None
        Where the data is an output.
    scheduler, chosen_by : str or None
        What read all data, and the rule that chose it, a key of :data:`pipeline.schedulers.CHOSEN_BY`; ``None`` unless
        all data was read.
    """

    path: str
    files: tuple[FileSummary, ...]
    rows: int
    rows_estimated: bool
    bytes: int
    row_groups: int
    full: bool
    bad_records: int | None
    columns: tuple[Column, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]
    errors: tuple[FileError, ...]
    output: OutputFacts | None
    scheduler: str | None = field(default=None, compare=False)
    chosen_by: ChosenBy | None = field(default=None, compare=False)

    @property
    def scheduling(self) -> str | None:
        """What read all data, and which rule chose it, for a person; ``None`` unless all data was read."""
        if self.scheduler is None or self.chosen_by is None:
            return None
        return f"{self.scheduler}, {CHOSEN_BY[self.chosen_by]}"

    def _summary(self) -> Summary:
        about = "~" if self.rows_estimated else ""
        facts = [
            ("path", self.path),
            ("files", f"{format_count(len(self.files))}, {format_bytes(self.bytes)}"),
            ("rows", f"{about}{format_count(self.rows)}"),
            ("read", "all of the data" if self.full else "footers and headers"),
            *([("scheduler", self.scheduling)] if self.scheduling else []),
            *(("difference", text) for text in self.differences),
            *(("note", text) for text in self.notes),
            *(("error", f"{each.path}: {each.error.message}") for each in self.errors),
        ]
        rows = [
            (
                column.name,
                ", ".join(kind for kind, _ in column.types),
                "" if column.nulls is None else format_count(column.nulls),
                "" if column.smallest is None else str(column.smallest),
                "" if column.largest is None else str(column.largest),
            )
            for column in self.columns
        ]
        return Summary(facts, ("column", "type", "nulls", "smallest", "largest"), rows)


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a quarantine.

    Attributes
    ----------
    file : str
        The input.
    slice : int
        First byte (CSV) or row group (Parquet) of the slice.
    record : int
        Its number, from 1: within the file, else within the slice; the header of a CSV is not a record.
    record_in_file : bool
        Whether ``record`` counts from the beginning of the file.
    byte : int or None
        Offset of the record in a CSV.
    cell : str
        The text of the cell; at most 200 characters.
    line : str or None
        The record, or the row as JSON; at most 200 characters.
    """

    file: str
    slice: int
    record: int
    record_in_file: bool
    byte: int | None
    cell: str
    line: str | None


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason, with its column; the column is empty where the whole record is bad.

    ``by_policy`` rows are in the quarantine because the model sends them there; the others are bad rows.
    """

    reason: str
    column: str
    by_policy: bool
    rows: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True, repr=False)
class QuarantineInspection(Tabular):
    """What is in a quarantine: its reasons, the most frequent first.

    ``other_rows`` have reasons beyond the first 1,000.
    """

    path: str
    files: int
    rows: int
    bad: int
    bytes: int
    reasons: tuple[Reason, ...]
    other_rows: int
    notes: tuple[str, ...]
    errors: tuple[FileError, ...]
    output: OutputFacts | None

    def _summary(self) -> Summary:
        facts = [
            ("path", self.path),
            ("files", f"{format_count(self.files)}, {format_bytes(self.bytes)}"),
            ("rows", f"{format_count(self.rows)}, {format_count(self.bad)} of them bad"),
            *(("note", text) for text in self.notes),
            *(("error", f"{each.path}: {each.error.message}") for each in self.errors),
        ]
        rows = [(format_count(each.rows), each.column or "(record)", each.reason) for each in self.reasons]
        rows += [(format_count(self.other_rows), "", "other reasons")] if self.other_rows else []
        return Summary(facts, ("rows", "column", "reason"), rows)
