"""Inspections as plain values for programs, ready for :func:`json.dumps`.

They have ``schema_version`` and ``kind``; the rules for both are those of :mod:`pipeline.report.json`. A time, a
decimal and bytes are text, and so are infinities (``"inf"``, ``"-inf"``); ``null`` means unknown, or nothing.

``kind: "data"``
    ``path``; ``files``, each with ``path``, ``format``, ``bytes``, ``rows``, ``rows_estimated``, ``row_groups``;
    ``rows``, ``rows_estimated``, ``bytes``, ``row_groups``; ``values``, ``"statistics"`` if nulls and ranges are those
    that the footers state, or ``"read"``; ``scheduler`` and ``chosen_by``, which read them and why, as in a plan, null
    unless all were read; ``bad_records`` of CSV files, which are not among the rows;
    ``columns``, each with ``name``, ``types`` (each with ``type`` and ``files``), ``nullable``, ``files``, ``nulls``,
    ``nan``, ``infinite``, ``smallest``, ``largest``, ``smallest_number``, ``largest_number``; ``differences``;
    ``notes``; ``errors``, each with ``path``, ``error``, ``remedy``, ``exit_code``; ``output``, as below.

``kind: "quarantine"``
    ``path``; ``files``, ``rows``, ``bytes``; how many rows are ``bad`` and how many ``by_policy``; ``reasons``, each
    with ``reason``, ``column``, ``by_policy``, ``rows`` and ``examples``, each with ``file``, ``slice``, ``record``,
    ``record_in_file``, ``byte``, ``cell``, ``line``; ``other_rows``; ``notes``; ``errors``, as above; ``output``, as
    below.

``output``
    ``null`` if the data is not an output, otherwise ``job_id``, ``manifest_digest``, ``function``, ``finished_unix``
    and ``rows`` with ``read``, ``written``, ``scored``, ``null``, ``nan``, ``quarantined``, ``bad``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from pipeline.inspection.findings import (
    Column,
    DataInspection,
    FileError,
    OutputFacts,
    QuarantineInspection,
    Reason,
    Value,
)
from pipeline.report.json import SCHEMA_VERSION, Json


def inspection_json(found: DataInspection | QuarantineInspection) -> Json:
    """Return an inspection under the keys that this module documents."""
    kind, body = ("data", _data(found)) if isinstance(found, DataInspection) else ("quarantine", _quarantine(found))
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "path": found.path,
        **body,
        "notes": list(found.notes),
        "errors": _errors(found.errors),
        "output": _output(found.output),
    }


def _data(found: DataInspection) -> Json:
    return {
        "files": [
            {
                "path": file.path,
                "format": file.format,
                "bytes": file.bytes,
                "rows": file.rows,
                "rows_estimated": file.estimated,
                "row_groups": file.row_groups,
            }
            for file in found.files
        ],
        "rows": found.rows,
        "rows_estimated": found.rows_estimated,
        "bytes": found.bytes,
        "row_groups": found.row_groups,
        "values": "read" if found.full else "statistics",
        "scheduler": found.scheduler,
        "chosen_by": found.chosen_by,
        "bad_records": found.bad_records,
        "columns": [_column(column) for column in found.columns],
        "differences": list(found.differences),
    }


def _column(column: Column) -> Json:
    return {
        "name": column.name,
        "types": [{"type": kind, "files": count} for kind, count in column.types],
        "nullable": column.nullable,
        "files": column.files,
        "nulls": column.nulls,
        "nan": column.nan,
        "infinite": column.infinite,
        "smallest": _value(column.smallest),
        "largest": _value(column.largest),
        "smallest_number": _value(column.smallest_number),
        "largest_number": _value(column.largest_number),
    }


def _value(value: Value | None) -> Value | None:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _quarantine(found: QuarantineInspection) -> Json:
    return {
        "files": found.files,
        "rows": found.rows,
        "bytes": found.bytes,
        "bad": found.bad,
        "by_policy": found.rows - found.bad,
        "reasons": [_reason(reason) for reason in found.reasons],
        "other_rows": found.other_rows,
    }


def _reason(reason: Reason) -> Json:
    return {
        "reason": reason.reason,
        "column": reason.column,
        "by_policy": reason.by_policy,
        "rows": reason.rows,
        "examples": [asdict(example) for example in reason.examples],
    }


def _errors(errors: Sequence[FileError]) -> list[Json]:
    return [
        {
            "path": each.path,
            "error": each.error.message,
            "remedy": each.error.remedy,
            "exit_code": each.error.exit_code,
        }
        for each in errors
    ]


def _output(output: OutputFacts | None) -> Json | None:
    if output is None:
        return None
    return {
        "job_id": output.job_id,
        "manifest_digest": output.manifest_digest,
        "function": output.function,
        "finished_unix": output.finished_unix,
        "rows": dict(output.totals),
    }
