"""Data: the schema over all files, the number of rows and bytes, and the values of the columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline.causes import remedy_of
from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError, NewerOutputError, OutputError, UsageError
from pipeline.inspection.columns import TEXT, ColumnUnion, FileColumn
from pipeline.inspection.contents import Reading, name_counts, names_once, read_whole
from pipeline.inspection.extent import EMPTY, UNKNOWN, extent_between, extent_of_text
from pipeline.inspection.findings import DataInspection, FileError, OutputFacts
from pipeline.inspection.published import is_output, output_facts
from pipeline.publish import LOCAL
from pipeline.scan import ColumnStatistics, column_statistics, discover, field_of, file_summary, try_facts
from pipeline.types.inputs import ColumnFacts, CsvOptions, FileFacts, Need
from pipeline.types.report import FileSummary
from pipeline.types.rows import BadCell
from pipeline.units import escape, format_count, quoted


@dataclass(frozen=True, slots=True)
class _Findings:
    """What was found in one file. ``aside`` names the columns whose values were not looked at, and why."""

    summary: FileSummary
    columns: dict[str, FileColumn]
    aside: tuple[str, ...]
    bad: int = 0
    first_bad: BadCell | None = None


@dataclass(slots=True)
class _Inspected:
    """What is known of all files so far."""

    columns: ColumnUnion
    files: list[FileSummary]
    differences: list[str]
    bad: int = 0

    def add(self, found: _Findings) -> None:
        self.columns.add(found.summary.path, found.columns)
        self.files.append(found.summary)
        self.differences += _own_differences(found)
        self.bad += found.bad


def inspect_data(path: str, *, full: bool, reading: Reading) -> DataInspection:
    """Return what is in the files of a path; see :func:`pipeline.inspection.inspect`."""
    found = discover((path,))
    facts = try_facts(found.files, reading.csv)
    gathering = _Inspected(ColumnUnion(), [], [])
    errors: dict[int, LogitstreamError] = {
        number: each for number, each in enumerate(facts) if isinstance(each, LogitstreamError)
    }
    known = {number: each for number, each in enumerate(facts) if isinstance(each, FileFacts)}
    _check_types(known.values(), reading.csv)
    add = _add_read if full else _add_stated
    errors |= add(known, gathering, reading)
    output, notes = _output(path)
    files = gathering.files
    return DataInspection(
        path=path,
        files=tuple(files),
        rows=sum(file.rows for file in files),
        rows_estimated=any(file.estimated for file in files),
        bytes=sum(file.bytes for file in files),
        row_groups=sum(file.row_groups for file in files),
        full=full,
        bad_records=gathering.bad if full else None,
        columns=tuple(gathering.columns.columns()),
        differences=(*gathering.columns.differences(), *gathering.differences),
        notes=(*found.notes, *_delimiters(known.values()), *notes),
        errors=tuple(FileError(found.files[number].path, errors[number]) for number in sorted(errors)),
        output=output,
        scheduler=reading.how.scheduler if full else None,
        chosen_by=reading.how.cluster.chosen_by if full else None,
    )


def _check_types(files: Iterable[FileFacts], csv: CsvOptions) -> None:
    """Refuse a type that does not exist, or is for a column that no file has."""
    files = [facts for facts in files if facts.columns]
    for name, type_ in csv.types if files else ():
        with_column = [facts for facts in files if name_counts(facts)[name]]
        if not with_column:
            message = f"--type {escape(name)}={escape(type_)}: no file has a column of that name"
            raise UsageError(message, "correct the name, or leave the type out")
        with suppress(LookupError):
            field_of(with_column[0], Need(name, "kept", type_), csv)


def _add_stated(known: Mapping[int, FileFacts], gathering: _Inspected, reading: Reading) -> dict[int, LogitstreamError]:
    """Add what footers and headers state; return why files cannot be read."""
    errors: dict[int, LogitstreamError] = {}
    for number, facts in known.items():
        try:
            told = [] if facts.file.format == "csv" else column_statistics(facts.file)
        except LogitstreamError as error:
            errors[number] = error
            continue
        kinds = _kinds(facts, reading.csv) if facts.file.format == "csv" else {}
        gathering.add(_findings(facts, {column.name: column for column in told}, facts.rows, kinds))
    return errors


def _add_read(known: Mapping[int, FileFacts], gathering: _Inspected, reading: Reading) -> dict[int, LogitstreamError]:
    """Add what all values are; return why files cannot be read."""
    numbers = list(known)
    contents, accounts = read_whole(list(known.values()), reading)
    for position, facts in enumerate(known.values()):
        if position not in contents.errors:
            kinds = _kinds(facts, reading.csv)
            found = _findings(facts, dict.fromkeys(names_once(facts)), int(accounts.rows[position]), kinds)
            bad, first_bad = int(accounts.bad[position]), contents.first_bad.get(position)
            # The values of its columns are added for all files at once.
            gathering.add(replace(found, bad=bad, first_bad=first_bad))
    for name, read in contents.columns.items():
        gathering.columns.add_values(name, read)
    return {numbers[position]: error for position, error in contents.errors.items()}


def _findings(
    facts: FileFacts, told: Mapping[str, ColumnStatistics | None], rows: int | None, kinds: Mapping[str, str]
) -> _Findings:
    """Return what was found in a file: the statistics of its columns, or none where their values are read.

    ``kinds`` are the types of the columns that are read as another type than the file has.
    """
    counts = name_counts(facts)
    columns: dict[str, FileColumn] = {}
    for column in facts.columns:
        name = column.field.name
        known = counts[name] == 1 and name in told
        kind = kinds.get(name, TEXT if facts.file.format == "csv" else _stored_kind(column))
        columns.setdefault(name, _column(column, kind, told.get(name), known=known))
    for name, value in facts.file.partitions:
        columns.setdefault(name, _partition(value, rows))
    summary = file_summary(facts)
    return _Findings(
        summary=summary if rows is None else replace(summary, rows=rows, estimated=False),
        columns=columns,
        aside=tuple(_aside(facts, counts)),
    )


def _kinds(facts: FileFacts, csv: CsvOptions) -> dict[str, str]:
    """Return the type of each column that the options give one, by name."""
    kinds = {}
    for name, type_ in csv.types:
        with suppress(LookupError):
            kinds[name] = str(field_of(facts, Need(name, "kept", type_), csv).type)
    return kinds


def _aside(facts: FileFacts, counts: Mapping[str, int]) -> Iterator[str]:
    stated = {name for name, _ in facts.file.partitions}
    for name, count in counts.items():
        if count == 2 and name in stated:
            yield f"has a column {quoted(name)}, which its path has too"
        elif not name and facts.file.format == "csv":
            yield f"has {'a column' if count == 1 else f'{format_count(count)} columns'} without a name"
        elif count > 1:
            yield f"has several columns {quoted(name)}"


def _column(column: ColumnFacts, kind: str, told: ColumnStatistics | None, *, known: bool) -> FileColumn:
    nullable = column.field.nullable
    if not known:
        return FileColumn(kind, nullable, None, None, None, UNKNOWN, UNKNOWN)
    if told is None:
        return FileColumn(kind, nullable, 0, 0, 0, EMPTY, EMPTY)
    extent = extent_between(told.smallest, told.largest) if told.ranged else UNKNOWN
    return FileColumn(kind, nullable, told.nulls, None, None, extent, UNKNOWN)


def _stored_kind(column: ColumnFacts) -> str:
    """Return the type of a Parquet column, with what its Arrow type does not show: ``string (JSON)``."""
    return f"{column.field.type} ({column.logical})" if column.logical else str(column.field.type)


def _partition(value: str | None, rows: int | None) -> FileColumn:
    """Return a column that the path of a file states: the same value in all rows."""
    if value is None:
        return FileColumn(TEXT, True, rows, 0, 0, EMPTY, UNKNOWN)
    return FileColumn(TEXT, False, 0, 0, 0, extent_of_text(value), UNKNOWN)


def _own_differences(found: _Findings) -> Iterator[str]:
    path = escape(found.summary.path)
    for what in found.aside:
        yield f"{path} {what}: the values are not shown"
    if found.bad and found.first_bad is not None:
        cell = found.first_bad
        column = f"{escape(cell.column)} " if cell.column else ""
        place = "" if cell.offset is None else f" at byte {format_count(cell.offset)}"
        records = f"{format_count(found.bad)} record{'' if found.bad == 1 else 's'}"
        reason = f"{column}{escape(cell.reason, 300)}; {remedy_of(cell.cause, cell.hint, cell.values)}"
        yield f"{path} has {records} that cannot be read, the first{place}: {reason}"


def _delimiters(files: Iterable[FileFacts]) -> list[str]:
    """Return a note about the first file whose header seems to have another delimiter, or not to be one."""
    files = list(files)
    for facts in files:
        if facts.likely_preamble:
            return [f"the first line of {escape(facts.file.path)} may not be its header: {facts.likely_preamble}"]
    found = ((facts.file.path, facts.likely_delimiter) for facts in files)
    return [
        f"the header of {escape(path)} is one field with another delimiter in it: add --delimiter {delimiter}"
        for path, delimiter in found
        if delimiter
    ][:1]


def _output(path: str) -> tuple[OutputFacts | None, list[str]]:
    """Return what the manifest says, if the path is an output, and what is wrong with the manifest."""
    if not is_output(Path(path)):
        return None, []
    try:
        return output_facts(LOCAL.read_manifest(Path(path))), []
    except NewerOutputError:
        raise
    except OutputError as error:
        return None, [error.message]
