"""What ``inspect`` and ``verify`` find, as text or as JSON, and the error if something is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jobs.show import console, document
from jobs.show.progress import observer
from jobs.show.tables import emit_columns, emit_differences, emit_reasons
from pipeline.errors import DataError, LogitstreamError, MemoryBudgetError, ThresholdError
from pipeline.inspection import DataInspection, Example, FileError, OutputFacts, QuarantineInspection, Reason, inspect
from pipeline.inspection.json import inspection_json
from pipeline.report.text import aligned
from pipeline.units import escape, format_bytes, format_count, quoted
from pipeline.verification import Verification, verify
from pipeline.verification.json import verification_json

_LINE = 160
_DIFFERENCES = 20
_ERRORS = 20


def show_inspection(path: str, *, full: bool, as_json: bool, how: Mapping[str, Any]) -> None:
    """Look at a path and show what is there; ``how`` has options of :func:`pipeline.inspect`.

    Raises
    ------
    LogitstreamError
        A file cannot be read; the others have been shown.
    """
    with observer("none", quiet=console.is_quiet()) as watch:
        found = inspect(path, full=full, observe=watch, **how)
    if as_json:
        document.write(inspection_json(found))
    elif isinstance(found, DataInspection):
        _show_data(found)
    else:
        _show_quarantine(found)
    if found.errors:
        raise _unread(found.errors)


def show_verification(output: str, *, inputs: bool, sample: int, as_json: bool) -> None:
    """Check an output and show what was found.

    Raises
    ------
    ThresholdError
        Something differs; the differences have been shown.
    """
    found = verify(output, inputs=inputs, sample=sample)
    if as_json:
        document.write(verification_json(found))
    elif found.differences:
        emit_differences(found)
    else:
        console.confirm(_as_published(found))
    if found.differences:
        raise _differing(found, escape(output, 1000))


def _differing(found: Verification, shown: str) -> ThresholdError:
    changed = found.inputs_changed
    inputs = f"; {_many(changed, 'input')} {'has' if changed == 1 else 'have'} changed since" if changed else ""
    if found.as_published:
        remedy = "repeat the command that made it, adding --if-exists replace, to use the inputs as they are now"
        return ThresholdError(f"the output {shown} is as published{inputs}", remedy)
    in_output = [each for each in found.differences if not each.of_input]
    in_parts = any(each.subject.startswith("part-") for each in in_output)
    remedy = "repeat the command that made it, adding --if-exists replace --no-reuse, to make every part again"
    differences = _many(len(in_output), "difference")
    return ThresholdError(f"{shown} is not what was published: {differences}{inputs}", remedy if in_parts else "")


def _as_published(found: Verification) -> str:
    parts = f"{_many(found.parts, 'part')}, {_many(found.rows, 'row')}, {format_bytes(found.bytes)}, as published"
    inputs = f"; inputs: {format_count(found.inputs)} unchanged" if found.inputs else ""
    scored = f"; {_many(found.chunks_scored, 'chunk')} scored again: the same bits" if found.chunks_scored else ""
    return f"{escape(found.output, 1000)}: {parts}{inputs}{scored}"


def _show_data(found: DataInspection) -> None:
    formats = Counter(file.format for file in found.files)
    pairs = [
        ("files", ", ".join(f"{format_count(count)} {name}" for name, count in sorted(formats.items())) or "0"),
        ("rows", f"{'~' if found.rows_estimated else ''}{format_count(found.rows)}"),
        *([("row groups", format_count(found.row_groups))] if found.row_groups else []),
        ("size", format_bytes(found.bytes)),
        *([("scheduler", escape(found.scheduling, 1000))] if found.scheduling else []),
        *([("unreadable", _many(found.bad_records, "record"))] if found.bad_records else []),
        *_output_pairs(found.output),
        *(("note", escape(note, 1000)) for note in found.notes),
        *(("differs", difference) for difference in found.differences[:_DIFFERENCES]),
        *([("differs", more)] if (more := _more(len(found.differences))) else []),
        *([("values", _provenance(found))] if found.columns else []),
    ]
    console.emit("\n".join(aligned(pairs)))
    if found.columns:
        console.emit("")
        emit_columns(found.columns)


def _more(differences: int) -> str:
    return f"... and {format_count(differences - _DIFFERENCES)} more: --json" if differences > _DIFFERENCES else ""


def _provenance(found: DataInspection) -> str:
    if found.full:
        return "nulls and ranges of all rows"
    if any(file.format == "parquet" for file in found.files):
        return "nulls and ranges from the statistics in the files; --full reads the rows"
    return "--full reads the rows and shows nulls and ranges"


def _show_quarantine(found: QuarantineInspection) -> None:
    kinds = f"{format_count(found.bad)} bad, {format_count(found.rows - found.bad)} set aside by the model"
    pairs = [
        ("files", format_count(found.files)),
        ("rows", f"{format_count(found.rows)}: {kinds}"),
        ("size", format_bytes(found.bytes)),
        *_output_pairs(found.output),
        *(("note", escape(note, 1000)) for note in found.notes),
    ]
    if found.other_rows:
        pairs.append(("note", f"{_many(found.other_rows, 'row')} more, for other reasons that are not listed"))
    console.emit("\n".join(aligned(pairs)))
    if found.reasons:
        console.emit("")
        emit_reasons(found.reasons)
    for reason in found.reasons:
        console.emit("\n".join(("", _heading(reason), *_examples(reason))))


def _heading(reason: Reason) -> str:
    column = f"{escape(reason.column)} " if reason.column else "the record "
    return f"{column}{escape(reason.reason, 300)} ({_many(reason.rows, 'row')}), for instance"


def _examples(reason: Reason) -> Iterator[str]:
    for example in reason.examples:
        yield f"  {escape(example.file)}, {_place_of(example)}: {quoted(example.cell)}"
        if example.line is not None and example.line != example.cell:
            yield f"    {escape(example.line, _LINE)}"


def _place_of(example: Example) -> str:
    record = f"record {format_count(example.record)}"
    if not example.record_in_file:
        where = "row group" if example.byte is None else "byte"
        record += f" of the range that begins at {where} {format_count(example.slice)}"
    return record if example.byte is None else f"{record}, byte {format_count(example.byte)}"


def _output_pairs(output: OutputFacts | None) -> list[tuple[str, str]]:
    if output is None:
        return []
    counts = ", ".join(f"{format_count(count)} {name}" for name, count in output.totals.items() if count)
    pairs = [("job", output.job_id[:12]), ("made by", output.function), ("accounts", counts or "no rows")]
    if output.finished_unix is not None:
        when = datetime.fromtimestamp(output.finished_unix, UTC)
        pairs.insert(2, ("finished", f"{when:%Y-%m-%d %H:%M:%S} UTC"))
    return pairs


def _unread(errors: Sequence[FileError]) -> LogitstreamError:
    """Return one error for all files that could not be inspected: of their kind, a damaged file before any other."""
    if len(errors) == 1:
        return errors[0].error
    first = next((each.error for each in errors if isinstance(each.error, DataError)), errors[0].error)
    kind = DataError if isinstance(first, DataError) else type(first)
    too_large = sum(isinstance(each.error, MemoryBudgetError) for each in errors)
    unread = len(errors) - too_large
    counts = [
        *([f"{_many(unread, 'file')} cannot be read"] if unread else []),
        *([f"{_many(too_large, 'file')} {'does' if too_large == 1 else 'do'} not fit the memory"] if too_large else []),
    ]
    remedies = dict.fromkeys(each.error.remedy for each in errors if each.error.remedy)
    lines = [", ".join(counts), *(each.error.message for each in errors[:_ERRORS])]
    if len(errors) > _ERRORS:
        lines.append(f"... and {format_count(len(errors) - _ERRORS)} more (--json shows all)")
    return kind("\n".join(lines), "\n".join(remedies)).at(first.file)


def _many(count: int, noun: str) -> str:
    return f"{format_count(count)} {noun}{'' if count == 1 else 's'}"
