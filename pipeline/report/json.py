"""A plan, a run and an error as plain values for programs, ready for :func:`json.dumps`.

Each has ``schema_version`` and ``kind``. Within one schema version keys are added, never renamed, removed or given
another meaning. Sizes are bytes, durations seconds, counts whole numbers, times ISO 8601 in UTC.

``kind: "plan"``
    ``job_id``, ``output``, ``scheduler``, ``chosen_by`` (``option``, ``file``, ``object``, ``environment``,
    ``configuration``, ``active client``, ``task`` or ``default``); ``inputs``, the number of files; with ``-v``
    also ``files``, each with ``path``, ``format``, ``bytes``, ``rows``, ``rows_estimated``, ``row_groups`` and
    ``absent``, the columns that it lacks; ``rows``, ``rows_estimated``,
    ``bytes_to_read``, ``chunks``, ``chunk_rows``, ``row_group_rows``; ``fields`` of the output, each with ``name``,
    ``type`` (of Arrow), ``nullable``; ``resources`` with ``workers``, ``batch_rows``, ``column_threads`` (whether Arrow
    decodes columns on more threads), ``processes`` (the ``least`` and the ``most`` of a cluster that the run starts on
    this machine, else null), ``allowed_bytes``, ``reserved_bytes``, ``projected_bytes``; ``absent``, what
    becomes of a column that a file lacks; ``lacking``, each such ``column`` with the number of ``files`` and the
    ``first`` of them; ``rename``, new names by old ones; ``notes``; ``csv``, the options that say how a CSV is read,
    under their names in the manifest; ``warnings`` about the rows that were sampled.

``kind: "report"``
    ``published`` (false where the same job was published already, or nothing was done), ``skipped`` (the run that holds
    the output, empty unless ``--if-running skip`` left the output to it), ``output``, ``job_id``, ``manifest_digest``;
    ``rows`` with ``read``, ``written``, ``scored``, ``null``, ``nan``, ``quarantined`` and, of these, ``bad``;
    ``events``, a count by name; ``chunks``, of these ``chunks_resumed`` and ``chunks_reused``; ``bytes_read`` and
    ``bytes_written`` by this run, ``peak_bytes``, ``started`` and ``finished``, ``seconds``; ``notes``; ``warnings``;
    ``plan``, as above.

    A warning is about a feature of the model: ``kind`` (``unseen`` or ``missing``), ``column``, ``file`` (null where it
    is about all rows), ``count`` of the values or rows ``of`` which it is a part, ``values`` (the most frequent unseen
    ones, each with ``text`` and ``at_least``, its count), ``levels`` (some that the model knows), ``known_levels`` (how
    many), ``cause`` (the likely one, null where it is not known), ``fails`` (whether a run would end with 65), and
    ``message``.

``kind: "error"``
    What a command prints instead when it fails: ``started`` and ``finished``; ``error`` with ``exit_code``, ``kind``
    (the name of its class), ``message``, ``remedy``, empty where there is none, and the place: ``file``, ``column``,
    ``row`` in the file from 1, ``byte`` where it begins, each null where the message names none.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.errors import LogitstreamError

if TYPE_CHECKING:
    from pipeline.types.report import PlanSummary, Report

SCHEMA_VERSION = 2

Json = dict[str, object]


def plan_json(plan: PlanSummary, *, with_files: bool = False) -> Json:
    """Return a plan under the keys that the module documents; there may be very many files."""
    resources = plan.resources
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "plan",
        "job_id": plan.job_id,
        "output": plan.output,
        "scheduler": plan.scheduler,
        "chosen_by": plan.chosen_by,
        "inputs": len(plan.files),
        **({"files": _files(plan)} if with_files else {}),
        "rows": plan.rows,
        "rows_estimated": plan.rows_estimated,
        "bytes_to_read": plan.bytes_to_read,
        "chunks": plan.chunks,
        "chunk_rows": plan.chunk_rows,
        "row_group_rows": plan.row_group_rows,
        "fields": [{"name": name, "type": kind, "nullable": nullable} for name, kind, nullable in plan.fields],
        "resources": {
            "workers": resources.workers,
            "batch_rows": resources.batch_rows,
            "column_threads": resources.column_threads,
            "processes": None if resources.processes is None else _range(*resources.processes),
            "allowed_bytes": resources.allowed_bytes,
            "reserved_bytes": resources.reserved_bytes,
            "projected_bytes": resources.projected_bytes,
        },
        "absent": plan.absent,
        "lacking": [{"column": each.column, "files": each.files, "first": list(each.first)} for each in plan.lacking],
        "rename": dict(plan.rename),
        "notes": [*resources.notes, *plan.notes],
        "csv": plan.csv,
        "warnings": [warning.to_json() for warning in plan.warnings],
    }


def _range(least: int, most: int) -> Json:
    return {"least": least, "most": most}


def _files(plan: PlanSummary) -> list[Json]:
    return [
        {
            "path": file.path,
            "format": file.format,
            "bytes": file.bytes,
            "rows": file.rows,
            "rows_estimated": file.estimated,
            "row_groups": file.row_groups,
            "absent": list(file.absent),
        }
        for file in plan.files
    ]


def error_json(
    error: LogitstreamError, kind: str, exit_code: int, *, started_unix: float, finished_unix: float
) -> Json:
    """Return an error under the keys that the module documents."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "error",
        "started": utc(started_unix),
        "finished": utc(finished_unix),
        "error": {
            "exit_code": exit_code,
            "kind": kind,
            "message": error.message,
            "remedy": error.remedy,
            "file": error.file,
            "column": error.column,
            "row": error.row,
            "byte": error.byte,
        },
    }


def utc(unix: float) -> str:
    """Return a time as programs read it: ``2013-01-01T05:15:00.123Z``."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def report_json(report: Report, *, with_files: bool = False) -> Json:
    """Return the outcome of a run under the keys that the module documents."""
    totals = report.totals
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "report",
        "published": report.published,
        "skipped": report.skipped,
        "output": report.plan.output,
        "job_id": report.plan.job_id,
        "manifest_digest": report.manifest_digest,
        "rows": {
            "read": totals.read,
            "written": totals.written,
            "scored": totals.scored,
            "null": totals.null,
            "nan": totals.nan,
            "quarantined": totals.quarantined,
            "bad": totals.bad,
        },
        "events": dict(sorted(totals.events.items())),
        "chunks": totals.chunks,
        "chunks_resumed": totals.resumed,
        "chunks_reused": totals.reused,
        "bytes_read": totals.bytes_read,
        "bytes_written": totals.bytes_written,
        "peak_bytes": report.peak_bytes,
        "started": utc(report.started_unix),
        "finished": utc(report.finished_unix),
        "seconds": round(report.seconds, 6),
        "notes": list(report.notes),
        "warnings": [warning.to_json() for warning in report.warnings],
        "plan": plan_json(report.plan, with_files=with_files),
    }
