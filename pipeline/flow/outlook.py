"""What a run would do, and what is already published. Nothing is written or locked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline import disk
from pipeline.execute import scheduler_notes
from pipeline.flow.preparation import Preparation, check_free_space, prepare
from pipeline.flow.sample import sampled
from pipeline.publish import LOCAL, MANIFEST
from pipeline.types.job import Job
from pipeline.types.report import PlanSummary
from pipeline.units import escape, format_count


def plan(job: Job) -> PlanSummary:
    """Return what a run would do, or raise what it would raise before work; nothing is written.

    Footers, headers and the ends of files are read, but no rows, except those of a sample that the job asks for. A
    cluster that is running already is asked for its workers.

    Raises
    ------
    LogitstreamError
        As a run does, for every reason that is known before the first row is read, except that another run holds the
        output.
    """
    preparation = prepare(job)
    if preparation.is_published:
        return _noted(preparation, f"{escape(job.output)} already holds the result of this job: there is nothing to do")
    chunks = len(preparation.plan)
    # As the journal says: a run also checks the files.
    done = min(chunks, LOCAL.chunks_done(Path(job.output), preparation.job_id)) if job.conduct.resume else 0
    check_free_space(preparation, done=done)
    sample = sampled(preparation)
    notes = [*sample.notes, *scheduler_notes(job.scheduler, job.cluster)]
    if done:
        of = f"{format_count(done)} of {format_count(chunks)} chunks"
        notes.append(f"an earlier run finished {of}: the next run resumes there")
    return replace(_noted(preparation, *notes), warnings=sample.warnings)


def _noted(preparation: Preparation, *notes: str) -> PlanSummary:
    summary = preparation.summary()
    return replace(summary, notes=(*summary.notes, *notes))


def mark_of(output: str) -> tuple[int, int] | None:
    """Return a value that changes when another version is published; ``None`` if nothing is."""
    for path in (Path(output) / MANIFEST, output):
        if (facts := disk.facts(path)) is not None:
            return facts.st_ino, facts.st_mtime_ns
    return None
