"""Data: the schema over all files, how much there is of it, and what its columns hold."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline import memory
from pipeline.choices import Format
from pipeline.errors import LogitstreamError, NewerOutputError, OutputError
from pipeline.inspection.columns import TEXT, ColumnUnion, FileColumn
from pipeline.inspection.extent import EMPTY, UNKNOWN, extent_between, extent_of_text
from pipeline.inspection.findings import DataInspection, FileError, OutputFacts
from pipeline.inspection.published import is_output, output_facts
from pipeline.inspection.reading import Contents, Read, read_whole
from pipeline.publish import read_manifest
from pipeline.sources import ColumnStatistics, column_statistics, discover, source_for
from pipeline.types.inputs import ColumnFacts, CsvOptions, FileFacts, InputFile
from pipeline.types.report import FileSummary
from pipeline.types.rows import BadCell
from pipeline.units import escape, format_count, quoted

_FACT_READERS = 8
_SKIPPED = 3


@dataclass(frozen=True, slots=True)
class _Findings:
    """What was found of one file. ``repeated`` are names of several of its columns: nothing is said of their values."""

    summary: FileSummary
    columns: dict[str, FileColumn]
    repeated: tuple[str, ...]
    bad: int
    first_bad: BadCell | None


def inspect_data(path: str, *, full: bool) -> DataInspection:
    """Look at the files of a path; see :func:`pipeline.inspection.inspect`."""
    found = discover((path,))
    columns, bad = ColumnUnion(), 0
    files: list[FileSummary] = []
    differences: list[str] = []
    errors: list[FileError] = []
    stop = threading.Event()
    for each in _in_turn(found.files, lambda file: _examine(file, full, stop), stop, full=full):
        if isinstance(each, FileError):
            errors.append(each)
            continue
        columns.add(each.summary.path, each.columns)
        files.append(each.summary)
        differences += _own_differences(each)
        bad += each.bad
    output, notes = _output(path)
    return DataInspection(
        path=path,
        files=tuple(files),
        rows=sum(file.rows for file in files),
        rows_estimated=any(file.estimated for file in files),
        bytes=sum(file.bytes for file in files),
        row_groups=sum(file.row_groups for file in files),
        full=full,
        bad_records=bad if full else None,
        columns=tuple(columns.columns()),
        differences=(*columns.differences(), *differences),
        notes=(*_skipped(found.skipped), *notes),
        errors=tuple(errors),
        output=output,
    )


def _in_turn(
    files: Sequence[InputFile],
    examine: Callable[[InputFile], _Findings | FileError],
    stop: threading.Event,
    *,
    full: bool,
) -> Iterator[_Findings | FileError]:
    """Examine several files at once, and yield what was found in the order of the files."""
    threads = max(1, memory.usable_cores()) if full else _FACT_READERS
    pool = ThreadPoolExecutor(min(threads, max(1, len(files))), "logitstream-inspect")
    try:
        yield from pool.map(examine, files)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _examine(file: InputFile, full: bool, stop: threading.Event) -> _Findings | FileError:
    try:
        facts = source_for(file.format, CsvOptions()).facts(file)
        if full:
            contents = read_whole(facts, _names_once(facts), stop)
            return _findings(facts, contents.columns, contents)
        stated = {} if file.format == "csv" else {column.name: column for column in column_statistics(file)}
        return _findings(facts, stated, None)
    except LogitstreamError as error:
        return FileError(file.path, error)


def _names_once(facts: FileFacts) -> list[str]:
    counts = _name_counts(facts)
    return [column.field.name for column in facts.columns if counts[column.field.name] == 1]


def _name_counts(facts: FileFacts) -> Counter[str]:
    return Counter([*(column.field.name for column in facts.columns), *(name for name, _ in facts.file.partitions)])


def _findings(facts: FileFacts, told: Mapping[str, ColumnStatistics | Read], contents: Contents | None) -> _Findings:
    """Return what was found of a file: what is told of its columns, by its footer or by reading them."""
    file, counts = facts.file, _name_counts(facts)
    rows = facts.rows if contents is None else contents.rows
    columns: dict[str, FileColumn] = {}
    for column in facts.columns:
        name = column.field.name
        columns.setdefault(name, _column(column, file.format, told.get(name) if counts[name] == 1 else None))
    for name, value in file.partitions:
        columns.setdefault(name, _partition(value, rows))
    return _Findings(
        summary=FileSummary(
            path=file.path,
            format=file.format,
            bytes=facts.identity.size,
            rows=facts.estimated_rows if rows is None else rows,
            estimated=rows is None,
            row_groups=len(facts.group_rows),
        ),
        columns=columns,
        repeated=tuple(name for name, count in counts.items() if count > 1),
        bad=0 if contents is None else contents.bad,
        first_bad=None if contents is None else contents.first_bad,
    )


def _column(column: ColumnFacts, format_: Format, told: ColumnStatistics | Read | None) -> FileColumn:
    kind = TEXT if format_ == "csv" else str(column.field.type)
    nullable = column.field.nullable
    if told is None:
        return FileColumn(kind, nullable, None, None, None, UNKNOWN, UNKNOWN)
    if isinstance(told, Read):
        numbers = told.numbers if told.is_text else UNKNOWN
        return FileColumn(kind, nullable, told.nulls, told.nan, told.infinite, told.extent, numbers)
    extent = extent_between(told.smallest, told.largest) if told.ranged else UNKNOWN
    return FileColumn(kind, nullable, told.nulls, None, None, extent, UNKNOWN)


def _partition(value: str | None, rows: int | None) -> FileColumn:
    """Return the column that the path of a file states: the same value in all of its rows."""
    if value is None:
        return FileColumn(TEXT, True, rows, 0, 0, EMPTY, UNKNOWN)
    return FileColumn(TEXT, False, 0, 0, 0, extent_of_text(value), UNKNOWN)


def _own_differences(found: _Findings) -> Iterator[str]:
    path = escape(found.summary.path)
    for name in found.repeated:
        yield f"{path} has several columns {quoted(name)}: their values were left aside"
    if found.bad and found.first_bad is not None:
        cell = found.first_bad
        column = f"{escape(cell.column)} " if cell.column else ""
        place = "" if cell.offset is None else f" at byte {format_count(cell.offset)}"
        records = f"{format_count(found.bad)} record{'' if found.bad == 1 else 's'}"
        yield f"{path} has {records} that cannot be read, the first{place}: {column}{escape(cell.reason, 300)}"


def _skipped(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    some = ", ".join(escape(name) for name in names[:_SKIPPED]) + (", ..." if len(names) > _SKIPPED else "")
    files = f"{format_count(len(names))} file{'' if len(names) == 1 else 's'}"
    return [f"skipped {files} neither Parquet nor CSV by name: {some}"]


def _output(path: str) -> tuple[OutputFacts | None, list[str]]:
    """Return what the manifest says where the path is an output, and what is wrong with it."""
    if not is_output(Path(path)):
        return None, []
    try:
        return output_facts(read_manifest(Path(path))), []
    except NewerOutputError:
        raise
    except OutputError as error:
        return None, [error.message]
