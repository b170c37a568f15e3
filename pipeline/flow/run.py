"""A run from its preparation to the published output."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from pipeline import memory
from pipeline.choices import Done
from pipeline.dataclass import dataclass
from pipeline.errors import InputChangedError, LogitstreamError
from pipeline.flow.ending import end_of, go_on
from pipeline.flow.features import features_of, judge_of, told
from pipeline.flow.ledger import Ledger, excess_error
from pipeline.flow.manifest import CODEC, format_version, observed, spelled_in, totals_in, warnings_of_files_in
from pipeline.flow.preparation import Preparation, check_free_space, prepare
from pipeline.flow.receipts import entry_of, part_of, resumed, reused
from pipeline.flow.sample import sampled
from pipeline.flow.write import WriteStep
from pipeline.logs import logged
from pipeline.plan import FORMAT_VERSION
from pipeline.publish import LOCAL, Busy, Manifest, Part, Staging
from pipeline.scan import Agenda, Clock, StagedJob, Stop, content_digest, exceeds, open_scan, record_of
from pipeline.types.blocks import PerChunk, ReadsFiles
from pipeline.types.features import FeatureWarning
from pipeline.types.job import Job
from pipeline.types.outputs import Receipt, Written
from pipeline.types.report import Event, Noted, Observer, Planned, Published, Report, Totals, log_text
from pipeline.types.work import Work
from pipeline.units import escape, format_bytes, format_count

_OLDER = "the previous version was made by an older logitstream, whose answers may differ: nothing of it was reused"


def _unobserved(_: Event) -> None:
    """Observe nothing."""


def run(job: Job, observe: Observer = _unobserved, stop: Stop | None = None) -> Report:
    """Carry out a job and publish its result in one step.

    When this returns, the whole output is under its name, verified and durable. If an error is raised, whatever was
    there before is still there. A failed run leaves a hidden folder next to the output, and the same job resumes from
    it. If this same job is already published and intact, nothing is done.

    Parameters
    ----------
    job : Job
    observe : Observer, optional
        Is told what happens, on the calling thread.
    stop : Stop, optional
        Lets another thread or a signal stop the run: chunks under way are finished and kept, then the error that was
        given to it is raised.

    Raises
    ------
    LogitstreamError
        With the exit code of its class.
    """
    watched, observe = observe is not _unobserved, logged("run", observe, log_text)
    clock = Clock(stop or Stop(), job.conduct.deadline_seconds, go_on(job))
    started = clock.started
    preparation = prepare(job)
    _tell_plan(preparation, observe)
    _tell_sample(preparation, observe)
    with LOCAL.open_staging(
        Path(job.output),
        preparation.job_id,
        if_exists=job.if_exists,
        codec=CODEC,
        conduct=job.conduct,
        while_waiting=clock.check,
        merge=preparation.merger,
        chunks=len(preparation.plan),
    ) as staging:
        if isinstance(staging, Manifest):
            return _already(preparation, staging, time.monotonic() - started, observe)
        if isinstance(staging, Busy):
            return _skipped(preparation, staging, time.monotonic() - started, observe)
        with _noting_the_end(staging):
            attempt = _Try(preparation, staging, observe, clock, watched)
            ledger = attempt.carry_out()
            warnings = ledger.judge_features()
            report = Report(
                plan=preparation.summary(),
                totals=ledger.totals,
                seconds=time.monotonic() - started,
                started_unix=clock.started_unix,
                peak_bytes=max(memory.peak_bytes(), ledger.totals.peak_bytes),
                published=True,
                manifest_digest="",
                warnings=warnings,
            )
            digest = _publish(preparation, staging, ledger, report)
            _remember(preparation, staging)
        former = staging.published
    notes = _notes(report.totals, job.if_exists == "replace", Path(job.output).parent / staging.quarantine)
    if former is not None and format_version(former) < FORMAT_VERSION:
        notes = (_OLDER, *notes)
    report = replace(report, manifest_digest=digest, seconds=time.monotonic() - started, notes=notes)
    observe(Published(report))
    return report


def _tell_plan(preparation: Preparation, observe: Observer) -> None:
    summary = preparation.summary()
    observe(Planned(summary))
    for note in summary.notes:
        observe(Noted(note, warning=False))
    for note in summary.resources.notes:
        observe(Noted(note))


def _tell_sample(preparation: Preparation, observe: Observer) -> None:
    """Tell an observer what the first rows of some files show, if they are to be sampled."""
    if preparation.is_published:
        return
    sample = sampled(preparation)
    for note in sample.notes:
        observe(Noted(note, warning=False))
    for warning in sample.warnings:
        observe(Noted(warning.text, always=True))


@contextmanager
def _noting_the_end(staging: Staging) -> Iterator[None]:
    """Leave in the journal why a run ended without its output."""
    try:
        yield
    except BaseException as error:
        staging.note_end(*end_of(error))
        raise


def _already(preparation: Preparation, manifest: Manifest, seconds: float, observe: Observer) -> Report:
    """Report on the output that is already published, with the accounts in its manifest."""
    totals, job = totals_in(manifest), preparation.job
    if exceeds(job.max_bad, totals.bad, totals.read):
        raise excess_error(job.max_bad, totals)
    warnings = _warnings_again(preparation, manifest, totals, observe)
    note = f"{escape(job.output)} already holds the result of this job: there was nothing to do"
    report = _undone(preparation, totals, manifest.digest, note, seconds)
    report = replace(report, warnings=warnings)
    observe(Published(report))
    return report


def _warnings_again(
    preparation: Preparation, manifest: Manifest, totals: Totals, observe: Observer
) -> tuple[FeatureWarning, ...]:
    """Return the warnings about an output that is published, judged by the limits of this run."""
    judge = judge_of(preparation.job, preparation.files)
    counts = spelled_in(manifest, totals.features)
    found = [*judge.warnings(features_of(preparation.job), counts), *warnings_of_files_in(manifest)]
    # It was made by a run with other limits.
    return told(found, judge, observe, end="the output that is published stays")


def _skipped(preparation: Preparation, busy: Busy, seconds: float, observe: Observer) -> Report:
    note = f"{busy.text}: nothing was done (--if-running skip)"
    observe(Noted(note))
    report = _undone(preparation, Totals(), "", note, seconds, skipped=busy.text)
    observe(Published(report))
    return report


def _undone(
    preparation: Preparation,
    totals: Totals,
    digest: str,
    note: str,
    seconds: float,
    skipped: str = "",
) -> Report:
    return Report(
        plan=preparation.summary(),
        totals=totals,
        seconds=seconds,
        started_unix=time.time() - seconds,
        peak_bytes=memory.peak_bytes(),
        published=False,
        manifest_digest=digest,
        notes=(note,),
        skipped=skipped,
    )


@dataclass(frozen=True, slots=True)
class _Try:
    """One try at the chunks of a job."""

    preparation: Preparation
    staging: Staging
    observe: Observer
    clock: Clock
    watched: bool

    def carry_out(self) -> Ledger:
        """Compute the chunks that are not done yet, and return the accounts once they balance."""
        preparation, staging = self.preparation, self.staging
        ledger = Ledger(preparation, lambda receipt: staging.append(entry_of(receipt)), self.observe)
        agenda = Agenda(preparation.plan, ledger.book, preparation.scan.begins)
        for receipt, how in self._carried_over(ledger):
            ledger.book(receipt, how)
            agenda.mark_done(receipt)
        carried_over = ledger.totals.chunks
        check_free_space(preparation, done=carried_over)
        settings = preparation.settings(staging.attempts).to_json()
        path, digest = staging.write_job(preparation.scan.job_file(settings, ledger.missing()).to_bytes())
        if carried_over < len(preparation.plan):
            told = ledger.reach if self.watched else None
            staged = StagedJob(str(path), digest)
            opening = open_scan(
                preparation.scan,
                staged=staged,
                check=self.clock.check,
                check_grace=self.clock.check_grace,
                note=self._note,
                show=self.observe,
            )
            with opening as opened:
                opened.run(WriteStep(), agenda, take=self._taking(agenda, ledger), told=told)
        if not agenda.complete:
            staging.sync()
            self.clock.check()
        ledger.close(agenda.complete)
        if preparation.job.fingerprint == "full":
            self._compare_inputs()
        return ledger

    def _note(self, text: str) -> None:
        self.observe(Noted(text))

    def _carried_over(self, ledger: Ledger) -> Iterator[tuple[Receipt, Done]]:
        """Yield the receipts of what need not be computed, each to be booked before the next one is asked for."""
        preparation, staging = self.preparation, self.staging
        for receipt in resumed(staging.receipts(), preparation.plan):
            if not ledger.has(receipt.chunk):
                yield receipt, "resumed"
        if done := ledger.totals.chunks:
            self.observe(Noted(f"resuming: {done:,} of {_chunks(len(preparation.plan))} done before", warning=False))
        elif staging.notes:
            for note in staging.notes:
                self.observe(Noted(note, warning=False))
        elif staging.others():
            text = "inputs, model, options or logitstream changed since the unfinished run: starting over"
            self.observe(Noted(text, warning=False))
        if preparation.job.conduct.reuse:
            for receipt in reused(preparation, staging, ledger.missing()):
                yield receipt, "reused"

    def _taking(self, agenda: Agenda[Written], ledger: Ledger) -> Callable[[int], Sequence[Work]]:
        """Return the function that hands out work; it stops when the run has failed or was asked to stop."""
        block = self.preparation.job.block

        def take(limit: int) -> Sequence[Work]:
            if self.clock.is_over():
                agenda.give_up()
            if ledger.failed:
                agenda.stop()
            works = agenda.take(limit)
            if isinstance(block, PerChunk):
                return [replace(work, argument=block.of_chunk(work.chunk)) for work in works]
            return works

        return take

    def _compare_inputs(self) -> None:
        for facts in self.preparation.files:
            if content_digest(facts.file) != facts.identity.content:
                raise InputChangedError(
                    f"{escape(facts.file.path, 1000)} was edited while the run read it, but its size and time are "
                    "as before",
                    "run again when nothing writes to the file",
                )


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts to publish, in order, read from the journal on each iteration; never all in memory."""

    preparation: Preparation
    staging: Staging

    def __iter__(self) -> Iterator[Part]:
        for chunk in range(len(self.preparation.plan)):
            yield part_of(self.staging.receipt(chunk), self.preparation.part_name(chunk))


def _publish(preparation: Preparation, staging: Staging, ledger: Ledger, report: Report) -> str:
    """Put the parts in place in one step and return the digest of the manifest."""
    job = preparation.job
    beside = job.block.beside() if isinstance(job.block, ReadsFiles) else {}
    noted = observed(report, job.output, job.inputs, job.conduct.durability, ledger.counts, beside)
    return staging.publish(preparation.manifest(ledger.totals), _Parts(preparation, staging), observed=noted)


def _remember(preparation: Preparation, staging: Staging) -> None:
    """Leave for the next run what this one has read in footers. Never fails: the output is published."""
    with suppress(LogitstreamError, MemoryError, pa.ArrowException):
        staging.remember(record_of(preparation.files))


def _notes(totals: Totals, replacing: bool, quarantine: Path) -> tuple[str, ...]:
    """Return what a person should know about a run that succeeded, apart from its rows."""
    notes = []
    if totals.resumed or totals.reused or replacing:
        computed = totals.chunks - totals.resumed - totals.reused
        ways = [f"{totals.resumed:,} resumed"] if totals.resumed else []
        ways += [f"{totals.reused:,} reused"] if totals.reused or replacing else []
        ways.append(f"{computed:,} computed")
        notes.append(f"{_chunks(totals.chunks)}: {', '.join(ways)}; {format_bytes(totals.bytes_read)} read")
    if totals.quarantined:
        policy = totals.quarantined - totals.bad
        notes.append(
            f"{_rows(totals.quarantined)} in the quarantine ({totals.bad:,} bad, {policy:,} set aside by the model): "
            f"logitstream inspect {shlex.quote(escape(str(quarantine), 1000))}"
        )
    return tuple(notes)


def _chunks(count: int) -> str:
    return f"{format_count(count)} chunk{'' if count == 1 else 's'}"


def _rows(count: int) -> str:
    return f"{format_count(count)} row{'' if count == 1 else 's'}"
