"""The report of ``score``: what ran, what became of the rows, and what a person must look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from jobs.show.html import Params, ran, took
from pipeline.pages import Fact, Page, PageSection, PageTable
from pipeline.report.text import file_rows
from pipeline.schedulers import CHOSEN_BY
from pipeline.types.report import Report, event_facts
from pipeline.units import format_bytes, format_count


def score_page(report: Report, params: Params) -> Page:
    """Return the report of a run that ended well."""
    plan = report.plan
    fields = [(name, kind, "allowed" if nullable else "never") for name, kind, nullable in plan.fields]
    parts = (
        PageTable.filled("Columns of the output", ("column", "type", "null"), fields),
        PageTable.filled(
            "Input files", ("file", "format", "rows", "row groups", "size"), file_rows(plan.files), (2, 3, 4)
        ),
    )
    return Page(
        title=f"Scores: {PurePath(plan.output).name}",
        ran=(*ran("score", params), *_run(report)),
        accounts=tuple(_accounts(report)),
        warnings=tuple(warning.text for warning in report.warnings),
        notes=(*report.notes, *plan.resources.notes),
        sections=(PageSection("Input and output", parts),),
    )


def _run(report: Report) -> Iterator[Fact]:
    plan = report.plan
    yield "job", plan.job_id
    yield "manifest", report.manifest_digest
    yield "published", "by this run" if report.published else "before this run, which had nothing to do"
    yield "workers", f"{plan.workers}, on {plan.scheduler}, {CHOSEN_BY[plan.chosen_by]}"
    yield from took(report.seconds, report.peak_bytes, started=report.started_unix)
    yield "bytes read", format_bytes(report.totals.bytes_read)
    yield "bytes written", format_bytes(report.totals.bytes_written)


def _accounts(report: Report) -> Iterator[Fact]:
    totals = report.totals
    yield "read", format_count(totals.read)
    counts = (
        ("scored", totals.scored),
        ("null", totals.null),
        ("NaN", totals.nan),
        ("quarantined", totals.quarantined),
    )
    for name, count in counts:
        yield name, format_count(count)
    if totals.quarantined:
        yield "of these, bad", format_count(totals.bad)
    yield "written", format_count(totals.written)
    carried = (("resumed", totals.resumed), ("reused", totals.reused))
    chunks = [format_count(totals.chunks), *(f"{format_count(number)} {how}" for how, number in carried if number)]
    yield "chunks", ", ".join(chunks)
    yield from event_facts(totals.events)
