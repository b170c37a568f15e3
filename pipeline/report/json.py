"""A plan and a run as plain values for programs, ready for :func:`json.dumps`.

Both have ``schema_version`` and ``kind``. Within one schema version keys are added, never renamed, removed or given
another meaning. Sizes are bytes, durations seconds, counts whole numbers.

``kind: "plan"``
    ``job_id``, ``output``, ``scheduler``; ``files``, each with ``path``, ``format``, ``bytes``, ``rows``,
    ``rows_estimated``, ``row_groups``; ``rows``, ``rows_estimated``, ``bytes_to_read``, ``chunks``, ``chunk_rows``,
    ``row_group_rows``; ``fields`` of the output, each with ``name``, ``type`` (of Arrow), ``nullable``;
    ``resources`` with ``workers``, ``batch_rows``, ``column_threads`` (whether columns are decoded on threads of
    Arrow's), ``allowed_bytes``, ``reserved_bytes``, ``projected_bytes``; ``notes``.

``kind: "report"``
    ``published`` (false where the same job was published already, or nothing was done), ``skipped`` (whom the output
    was left to, empty unless ``--if-running skip`` did so), ``output``, ``job_id``, ``manifest_digest``; ``rows`` with
    ``read``, ``written``, ``scored``, ``null``, ``nan``, ``quarantined`` and, of these, ``bad``; ``events``, a count by
    name; ``chunks``, of these ``chunks_resumed`` and ``chunks_reused``; ``bytes_read`` and ``bytes_written`` by this
    run, ``peak_bytes``, ``seconds``; ``notes``; ``plan``, as above.
"""

from __future__ import annotations

from pipeline.types.report import PlanSummary, Report

SCHEMA_VERSION = 1

Json = dict[str, object]


def plan_json(plan: PlanSummary) -> Json:
    """Return a plan under the keys that the module documents."""
    resources = plan.resources
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "plan",
        "job_id": plan.job_id,
        "output": plan.output,
        "scheduler": plan.scheduler,
        "files": [
            {
                "path": file.path,
                "format": file.format,
                "bytes": file.bytes,
                "rows": file.rows,
                "rows_estimated": file.estimated,
                "row_groups": file.row_groups,
            }
            for file in plan.files
        ],
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
            "allowed_bytes": resources.allowed_bytes,
            "reserved_bytes": resources.reserved_bytes,
            "projected_bytes": resources.projected_bytes,
        },
        "notes": [*resources.notes, *plan.notes],
    }


def report_json(report: Report) -> Json:
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
        "seconds": round(report.seconds, 6),
        "notes": list(report.notes),
        "plan": plan_json(report.plan),
    }
