"""The flow: opens, plans, executes and publishes a job. The one place where the rooms meet.

prepare   inputs -> facts -> plan, resources, identities   refuses what cannot work
task      one chunk: read, block function, write, receipt  runs in the workers
agenda    what is to do, and which receipts stand          in the driver
ledger    the accounts                                     in the driver
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from pipeline import memory
from pipeline.errors import StorageError
from pipeline.execute import open_scheduler
from pipeline.flow.agenda import Agenda
from pipeline.flow.ledger import Ledger
from pipeline.flow.preparation import CODEC, Preparation, prepare
from pipeline.flow.task import ChunkTask
from pipeline.publish import Manifest, Part, Staging, free_bytes, open_staging
from pipeline.types import Event, Job, Noted, Observer, PerChunk, Planned, PlanSummary, Published, Report, Totals, Work
from pipeline.units import escape, format_bytes

__all__ = ["plan", "run"]


def _unobserved(_: Event) -> None:
    """Observe nothing."""


def plan(job: Job) -> PlanSummary:
    """Return what :func:`run` would do, or raise what it would raise before work; nothing is written.

    Footers, headers and the ends of files are read, no rows.

    Raises
    ------
    LogitstreamError
        As :func:`run`, for every reason that is known before the first row is read.
    """
    preparation = prepare(job)
    if not preparation.stands:
        _check_free_space(preparation)
    return preparation.summary()


def run(job: Job, observe: Observer = _unobserved) -> Report:
    """Carry out a job and publish its result in one step.

    Either the whole output stands under its name, verified and durable, when this returns, or an error is raised and
    whatever stood there before stands there still. What a failed run leaves is in a hidden folder beside the output.
    Where this very job stands published and intact already, nothing is done.

    Parameters
    ----------
    job : Job
    observe : Observer, optional
        Is told what happens, on the calling thread.

    Raises
    ------
    LogitstreamError
        With the exit code of its class.
    """
    started = time.monotonic()
    preparation = prepare(job)
    _tell_plan(preparation, observe)
    with open_staging(Path(job.output), preparation.job_id, if_exists=job.if_exists, codec=CODEC) as staging:
        if isinstance(staging, Manifest):
            return _already(preparation, staging, time.monotonic() - started, observe)
        _check_free_space(preparation)
        ledger = _execute(preparation, staging, observe)
        report = Report(
            plan=preparation.summary(),
            totals=ledger.totals,
            seconds=time.monotonic() - started,
            peak_bytes=max(memory.peak_bytes(), ledger.totals.peak_bytes),
            published=True,
            manifest_digest="",
        )
        digest = _publish(preparation, staging, ledger, report)
    report = replace(report, manifest_digest=digest, seconds=time.monotonic() - started)
    observe(Published(report))
    return report


def _tell_plan(preparation: Preparation, observe: Observer) -> None:
    summary = preparation.summary()
    observe(Planned(summary))
    for note in summary.notes:
        observe(Noted(note, warning=False))
    for note in summary.resources.notes:
        observe(Noted(note))


def _already(preparation: Preparation, manifest: Manifest, seconds: float, observe: Observer) -> Report:
    """Report on the output that stands, with the accounts that its manifest proves."""
    report = Report(
        plan=preparation.summary(),
        totals=Totals(**cast("dict[str, Any]", manifest.body["totals"]), chunks=manifest.parts),
        seconds=seconds,
        peak_bytes=memory.peak_bytes(),
        published=False,
        manifest_digest=manifest.digest,
        notes=(f"{escape(preparation.job.output)} holds the result of this very job: there was nothing to do",),
    )
    observe(Published(report))
    return report


def _execute(preparation: Preparation, staging: Staging, observe: Observer) -> Ledger:
    """Carry out every chunk, and return the accounts once they balance."""
    job, resources = preparation.job, preparation.resources
    path, digest = staging.write_job(preparation.job_file(staging.directory, staging.file_mode).to_bytes())
    ledger = Ledger(preparation, lambda receipt: staging.append(asdict(receipt)), observe)
    agenda = Agenda(preparation.plan, ledger.book)
    with open_scheduler(
        job.scheduler, workers=resources.workers, wave=resources.wave, insecure=job.insecure
    ) as scheduler:
        scheduler.run(ChunkTask(str(path), digest), _taking(agenda, ledger, job), agenda.deliver)
    ledger.close(agenda.complete)
    return ledger


def _taking(agenda: Agenda, ledger: Ledger, job: Job) -> Callable[[int], Sequence[Work]]:
    """Return how the scheduler asks for work: none that is new once a bad cell stands."""
    block = job.block

    def take(limit: int) -> Sequence[Work]:
        if ledger.failed:
            agenda.stop()
        works = agenda.take(limit)
        if isinstance(block, PerChunk):
            return [replace(work, block=block.of_chunk(work.chunk)) for work in works]
        return works

    return take


def _publish(preparation: Preparation, staging: Staging, ledger: Ledger, report: Report) -> str:
    """Put the parts in place in one step and return the digest of the manifest."""

    def parts() -> Iterator[Part]:
        for chunk in range(len(preparation.plan)):
            yield Part(preparation.part_name(chunk), ledger.parts[chunk], ledger.accounts[chunk])

    return staging.publish(preparation.manifest(ledger.totals), parts(), observed=_observed(report))


def _observed(report: Report) -> dict[str, object]:
    """Return what the manifest says outside its digest: it may differ between two runs of the same job."""
    totals, resources = report.totals, report.plan.resources
    return {
        "finished_unix": time.time(),
        "seconds": report.seconds,
        "peak_bytes": report.peak_bytes,
        "bytes_read": totals.bytes_read,
        "scheduler": report.plan.scheduler,
        "workers": resources.workers,
        "batch_rows": resources.batch_rows,
    }


def _check_free_space(preparation: Preparation) -> None:
    needed, free = preparation.least_output_bytes, free_bytes(Path(preparation.job.output).absolute().parent)
    if needed > free:
        raise StorageError(
            f"{escape(preparation.job.output)}: the output takes about {format_bytes(needed)}, "
            f"{format_bytes(free)} are free there",
            "free some space, or choose another --output",
        )
