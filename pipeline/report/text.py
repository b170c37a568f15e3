"""A plan and a run as lines of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pipeline.schedulers import CHOSEN_BY, is_cluster
from pipeline.types.report import FileSummary, PlanSummary, Report, event_facts
from pipeline.units import escape, format_bytes, format_count, format_seconds


def account(report: Report) -> str:
    """Return the line that sums up a run: rows by outcome, time, memory, output.

    In it ``rows = scored + null + NaN + quarantined``. If there was nothing to do, the numbers are those of the
    published output.
    """
    totals, output = report.totals, escape(report.plan.output)
    rows = (
        f"{_many(totals.read, 'row')}: {format_count(totals.scored)} scored, "
        f"{format_count(totals.null)} null, {format_count(totals.nan)} NaN"
    )
    if totals.quarantined:
        rows += f", {format_count(totals.quarantined)} quarantined"
    if not report.published:
        return f"{output} holds {rows}; {format_seconds(report.seconds)}"
    rate = f" ({format_count(round(totals.read / report.seconds))} rows/s)" if report.seconds else ""
    memory = f"{format_bytes(report.peak_bytes)}{' (largest process)' if _on_cluster(report.plan) else ''}"
    return f"read {rows}; {format_seconds(report.seconds)}{rate}; peak memory {memory}; output {output}"


def outcome_lines(report: Report) -> list[str]:
    """Return the lines for a run that ended well: counts, notes, when it ran, and the account."""
    if report.skipped:
        return []
    counted = "; ".join(f"{what}: {counts}" for what, counts in event_facts(report.totals.events))
    lines = [counted] if counted else []
    lines += (f"note: {escape(note, 1000)}" for note in report.notes)
    lines += (
        f"scheduler: {_scheduler(report.plan)}{_started(report.plan)}",
        f"started {_utc(report.started_unix)}, finished {_utc(report.finished_unix)}",
    )
    return [*lines, account(report)]


def plan_lines(plan: PlanSummary) -> list[str]:
    """Return a plan as aligned lines of label and text; a number after ``~`` is an estimate."""
    resources = plan.resources
    rows = _rows(plan.rows, plan.rows_estimated)
    pairs = [
        ("inputs", f"{_many(len(plan.files), 'file')}, {rows} rows, {format_bytes(plan.bytes_to_read)} to read"),
        ("output", escape(plan.output)),
        ("chunks", f"{format_count(plan.chunks)}, chunk size {format_count(plan.chunk_rows)} rows"),
        ("scheduler", _scheduler(plan)),
        ("workers", _workers(plan)),
        ("batch", f"{format_count(_batch_rows(plan))} rows at a time inside a chunk"),
        ("memory", f"{format_bytes(resources.projected_bytes)} of the {format_bytes(resources.allowed_bytes)} allowed"),
        ("row groups", f"of {format_count(plan.row_group_rows)} rows in the output"),
        ("job", plan.job_id[:12]),
    ]
    pairs += [("column", _field(*field)) for field in plan.fields]
    pairs += [("note", escape(note, 1000)) for note in (*resources.notes, *plan.notes)]
    return aligned(pairs)


def aligned(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return lines of label and text in two columns; a label is not repeated on the next line."""
    pairs = list(pairs)
    width = max((len(label) for label, _ in pairs), default=0)
    before = [""] + [label for label, _ in pairs]
    return [
        f"{'' if label == above else label:{width}}  {text}"
        for (label, text), above in zip(pairs, before, strict=False)
    ]


def file_rows(files: Sequence[FileSummary]) -> list[tuple[str, str, str, str, str]]:
    """Return path, format, rows, row groups and size of each input, as text."""
    return [
        (
            escape(file.path),
            file.format,
            _rows(file.rows, file.estimated),
            format_count(file.row_groups) if file.format == "parquet" else "",
            format_bytes(file.bytes),
        )
        for file in files
    ]


def _scheduler(plan: PlanSummary) -> str:
    return f"{escape(plan.scheduler)}, {CHOSEN_BY[plan.chosen_by]}"


def _started(plan: PlanSummary) -> str:
    return "" if plan.resources.processes is None else f"; workers: {plan.workers}"


def _workers(plan: PlanSummary) -> str:
    if _on_cluster(plan):
        return plan.workers
    text = f"{plan.workers}, on {escape(plan.scheduler)}"
    return f"{text}; columns are decoded on more threads" if plan.resources.column_threads else text


def _batch_rows(plan: PlanSummary) -> int:
    # A chunk has whole row groups, and may be larger than --chunk-size.
    mean = -(-plan.rows // max(1, plan.chunks))
    return min(plan.resources.batch_rows, max(plan.chunk_rows, mean), max(1, plan.rows))


def _on_cluster(plan: PlanSummary) -> bool:
    return is_cluster(plan.scheduler)


def _rows(rows: int, estimated: bool) -> str:
    return f"{'~' if estimated else ''}{format_count(rows)}"


def _field(name: str, kind: str, nullable: bool) -> str:
    return f"{escape(name)}: {escape(kind, 1000)}{'' if nullable else ', never null'}"


def _utc(unix: float) -> str:
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _many(count: int, noun: str) -> str:
    return f"{format_count(count)} {noun}{'' if count == 1 else 's'}"
