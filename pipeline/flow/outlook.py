"""What a run would do, and what is published already. Nothing is written or locked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline import disk
from pipeline.flow.preparation import Preparation, check_free_space, prepare
from pipeline.publish import LOCAL, MANIFEST
from pipeline.types.job import Job
from pipeline.types.report import PlanSummary
from pipeline.units import escape, format_count


def plan(job: Job) -> PlanSummary:
    """Return what a run would do, or raise what it would raise before work; nothing is written.

    Footers, headers and the ends of files are read, no rows.

    Raises
    ------
    LogitstreamError
        As a run, for every reason that is known before the first row is read, but that another run holds the output.
    """
    preparation = prepare(job)
    if preparation.is_published:
        return _noted(preparation, f"{escape(job.output)} holds the result of this very job: there is nothing to do")
    chunks = len(preparation.plan)
    # By the journal alone: a run also holds the files against it.
    done = min(chunks, LOCAL.chunks_done(Path(job.output), preparation.job_id)) if job.conduct.resume else 0
    check_free_space(preparation, done=done)
    if not done:
        return preparation.summary()
    of = f"{format_count(done)} of {format_count(chunks)} chunks"
    return _noted(preparation, f"an earlier try has done {of}: a run goes on from there")


def _noted(preparation: Preparation, note: str) -> PlanSummary:
    summary = preparation.summary()
    return replace(summary, notes=(*summary.notes, note))


def mark_of(output: str) -> tuple[int, int] | None:
    """Return what tells the manifest under the name of an output, or the file, from the next one; ``None`` without."""
    for path in (Path(output) / MANIFEST, output):
        if (facts := disk.facts(path)) is not None:
            return facts.st_ino, facts.st_mtime_ns
    return None
