"""A scan under way: one scheduler, one job file, and pass after pass over the same chunks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

from pipeline.dataclass import dataclass
from pipeline.execute import USUAL_TERMS, ClusterTerms, WorkerNeeds, open_scheduler, patience_of, running_cluster
from pipeline.process import SharedChange
from pipeline.scan.agenda import Agenda
from pipeline.scan.blocks import BlockAgenda, BlockOutcome, BlockTask, block_level, knows_begins
from pipeline.scan.context import Step
from pipeline.scan.held import give_back, held
from pipeline.scan.jobfile import SharedJob, StagedJob, forget_job_files
from pipeline.scan.ordering import OrderedAgenda
from pipeline.scan.prepared import PreparedScan
from pipeline.scan.task import ChunkTask
from pipeline.scan.tree import ReduceTree
from pipeline.sources import forget_footers
from pipeline.types.report import Noted
from pipeline.types.work import Outcome, Reached, Scheduler, Work

Payload = TypeVar("Payload")

# Chunks for each worker that are under way, or wait for their turn, where outcomes have an order.
CHUNKS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Scan:
    """A prepared scan and the scheduler that carries it out. For one thread.

    What a pass learns about the files, and what workers have read of the job, is reused by the next pass.
    """

    prepared: PreparedScan
    job: StagedJob | SharedJob
    scheduler: Scheduler

    def _task(self, step: Step[Payload], parameters: str) -> ChunkTask[Payload]:
        return ChunkTask(step, self.job, parameters, self.prepared.how.command)

    def agenda(self, confirmed: Callable[[Outcome[Payload]], None], *, bounded: bool = False) -> Agenda[Payload]:
        """Return the agenda of one pass; ``bounded`` where outcomes have payloads that must not pile up."""

        def ahead() -> int:
            return self.prepared.ahead(self.scheduler.workers)

        return Agenda(self.prepared.plan, confirmed, self.prepared.begins, ahead if bounded else None)

    def run(
        self,
        step: Step[Payload],
        agenda: Agenda[Payload],
        *,
        take: Callable[[int], Sequence[Work]] | None = None,
        told: Callable[[Reached], None] | None = None,
        parameters: bytes = b"",
    ) -> None:
        """Carry out a step on the chunks that an agenda hands out, until none is left or under way.

        Parameters
        ----------
        step : Step
        agenda : Agenda
        take : callable, optional
            Hands out work in place of ``agenda.take``, so that a caller can stop the pass or add to the work.
        told : callable, optional
            Is told a few times a second how far each chunk under way is, on the calling thread.
        parameters : bytes
            Bytes that the step finds as ``context.parameters``; they travel once to each worker.

        Raises
        ------
        LogitstreamError
            The first error of a chunk.
        """
        with self.scheduler.share(parameters) if parameters else nullcontext("") as digest:
            self.scheduler.run(self._task(step, digest), take or agenda.take, agenda.deliver, told)

    def reduce(
        self,
        step: Step[Payload],
        combine: Callable[[Payload, Payload], Payload],
        *,
        confirmed: Callable[[Outcome[Payload]], None] | None = None,
        parameters: bytes = b"",
    ) -> Payload | None:
        """Return the payloads of all chunks, combined in a fixed binary tree over their numbers.

        The result has the same bits on every scheduler, with any number of workers. A chunk that gave up adds nothing.

        Parameters
        ----------
        step : Step
        combine : callable
            Takes a payload and the one to its right.
        confirmed : callable, optional
            Receives each outcome once, in any order.
        parameters : bytes

        Raises
        ------
        BalanceError
            A chunk was not read.
        """
        tree = ReduceTree(len(self.prepared.plan), combine)

        def confirm(outcome: Outcome[Payload]) -> None:
            tree.add(outcome.chunk, outcome.payload)
            if confirmed is not None:
                confirmed(outcome)

        agenda = self.agenda(confirm, bounded=True)
        self.run(step, agenda, parameters=parameters)
        agenda.require_complete()
        return tree.total()

    def reduce_blocks(
        self,
        step: Step[Payload],
        combine: Callable[[Payload, Payload], Payload],
        *,
        confirmed: Callable[[Outcome[Any]], None] | None = None,
        parameters: bytes = b"",
    ) -> Payload | None:
        """Return what :meth:`reduce` returns, with the same bits; workers combine the payloads of neighbouring chunks.

        So fewer payloads travel and wait. Where it is not known yet at which byte each chunk of a CSV begins, each
        payload travels by itself. ``combine`` must be picklable.
        """
        plan, begins = self.prepared.plan, self.prepared.begins
        if not knows_begins(plan, begins):
            return self.reduce(step, combine, confirmed=confirmed, parameters=parameters)
        # Where nothing travels, blocks would only make workers keep more payloads.
        travels = not self.prepared.demand.threads_share_process
        level = block_level(len(plan), self.scheduler.workers) if travels else 0
        tree = ReduceTree(len(plan), combine)

        def confirm(found: BlockOutcome[Payload]) -> None:
            tree.add(found.number, found.payload, level)
            if confirmed is not None:
                for outcome in found.outcomes:
                    confirmed(outcome)

        agenda = BlockAgenda(plan, begins, level, confirm)
        with self.scheduler.share(parameters) if parameters else nullcontext("") as digest:
            task = BlockTask(self._task(step, digest), combine)
            self.scheduler.run(task, agenda.take, agenda.deliver)
        agenda.require_complete()
        return tree.total()

    def follow(
        self,
        step: Step[Payload],
        order: Sequence[int],
        confirmed: Callable[[Outcome[Payload]], None],
        *,
        parameters: bytes = b"",
    ) -> None:
        """Carry out a step on chunks, and pass on their outcomes in a given order, whatever workers there are.

        Twice as many chunks as workers are under way or wait for their turn. An earlier pass has read all chunks, so
        that it is known where each of a CSV begins.

        Parameters
        ----------
        step : Step
        order : sequence of int
            The chunks, each once.
        confirmed : callable
            Receives each outcome, on the calling thread.
        parameters : bytes

        Raises
        ------
        BalanceError
            A chunk was not read.
        """

        def ahead() -> int:
            return CHUNKS_AHEAD * self.scheduler.workers

        agenda = OrderedAgenda(order, self.prepared.begins, confirmed, ahead)
        with self.scheduler.share(parameters) if parameters else nullcontext("") as digest:
            self.scheduler.run(self._task(step, digest), agenda.take, agenda.deliver)
        agenda.require_complete()


def _nobody(_: Noted) -> None:
    """Show nobody."""


@contextmanager
def on_one_cluster(
    prepared: PreparedScan,
    show: Callable[[Noted], None] = _nobody,
    *,
    limits: WorkerNeeds = USUAL_TERMS.needs,
    check: Callable[[], None] = USUAL_TERMS.check,
) -> Iterator[PreparedScan]:
    """Start the cluster that a scan wants to start; yield the scan, which then uses it, and so may scans made of it.

    Any other scheduler is used as before.

    Parameters
    ----------
    prepared : PreparedScan
    show : callable
        Told where the dashboard of the cluster is, if there is one.
    limits : WorkerNeeds
        What a process of the cluster may take, and each of its threads besides. Without it nothing is limited: scans
        that are made of this one may need more.
    check : callable
        Called again and again while the cluster starts; raises what ends the run.

    Raises
    ------
    ConfigurationError, UnavailableError
        As :func:`pipeline.execute.running_cluster`.
    """
    how, workers = prepared.how, prepared.resources.workers

    def dashboard(text: str) -> None:
        show(Noted(text, warning=False))

    running = running_cluster(
        how.scheduler, how.cluster, workers=workers, limits=limits, dashboard=dashboard, check=check
    )
    with running as (name, cluster):
        same = cluster is how.cluster
        yield prepared if same else replace(prepared, how=replace(how, scheduler=name, cluster=cluster))


@contextmanager
def open_scan(
    prepared: PreparedScan,
    settings: Mapping[str, Any] | None = None,
    *,
    staged: StagedJob | None = None,
    check: Callable[[], None] = USUAL_TERMS.check,
    check_grace: Callable[[], None] = USUAL_TERMS.check_grace,
    note: Callable[[str], None] | None = None,
    show: Callable[[Noted], None] = _nobody,
) -> Iterator[Scan]:
    """Open a scheduler for a prepared scan; the end of the block frees everything in this process.

    Parameters
    ----------
    prepared : PreparedScan
    settings : mapping, optional
        What the step needs, as JSON; it travels with the job file, once to each worker.
    staged : StagedJob, optional
        The job file, with its settings, where it is in staging. Without it the bytes travel through the scheduler.
    check : callable
        Called again and again while a cluster is waited for; raises what ends the run.
    check_grace : callable
        Called again and again while workers may still finish what they have; raises what ends the run once they have
        had enough time for it.
    note : callable, optional
        Told what a person should know about a cluster. Without it ``show`` is told, as a warning.
    show : callable
        Told where the dashboard of a cluster is that this starts, if there is one.

    Raises
    ------
    UsageError, ConfigurationError, UnavailableError
        As :func:`pipeline.execute.open_scheduler`.
    """
    with ExitStack() as stack:
        stack.enter_context(_remembering)
        if prepared.demand.threads_share_process:
            stack.enter_context(held.within(prepared.resources.allowed_bytes))
        if staged is not None and prepared.demand.threads_share_process:
            # Otherwise all threads of the first wave would read it at the same time.
            staged.read()
        prepared = stack.enter_context(on_one_cluster(prepared, show, limits=prepared.worker_limits, check=check))
        opened = open_scheduler(
            prepared.how.scheduler,
            workers=prepared.resources.workers,
            wave=prepared.resources.wave,
            cluster=prepared.how.cluster,
            share_bytes=prepared.worker_share,
            terms=ClusterTerms(
                patience=patience_of(prepared.how.cluster),
                needs=prepared.worker_needs,
                shares_memory=bool(prepared.how.cluster.tasks_at_once),
                check=check,
                check_grace=check_grace,
                note=note or (lambda text: show(Noted(text))),
            ),
        )
        scheduler = stack.enter_context(opened)
        job: StagedJob | SharedJob
        if staged is None:
            content = prepared.job_file(settings or {}).to_bytes()
            job = SharedJob(stack.enter_context(scheduler.share(content)))
        else:
            job = staged
        yield Scan(prepared, job, scheduler)


@contextmanager
def _remembered() -> Iterator[None]:
    """Free what scans have left in this process when the last one has ended."""
    try:
        yield
    finally:
        forget()


_remembering = SharedChange(_remembered)


def settings_bytes(settings: Mapping[str, Any]) -> int:
    """Return about how many bytes settings add to a job file."""
    return len(json.dumps(settings))


def forget() -> None:
    """Free what a scan has left in this process: job files and footers that were read, and memory held ready."""
    forget_job_files()
    forget_footers()
    give_back()
