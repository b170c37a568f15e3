"""A scan under way: one scheduler, one job file, and pass after pass over the same chunks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.execute import open_scheduler
from pipeline.scan.agenda import Agenda
from pipeline.scan.context import Step
from pipeline.scan.held import give_back
from pipeline.scan.jobfile import SharedJob, StagedJob, forget_job_files
from pipeline.scan.prepared import PreparedScan
from pipeline.scan.task import ChunkTask
from pipeline.scan.tree import ReduceTree
from pipeline.sources import forget_footers
from pipeline.types.work import Outcome, Scheduler, Work

Payload = TypeVar("Payload")


@dataclass(frozen=True, slots=True)
class Scan:
    """A prepared scan and the scheduler that carries it out. For one thread.

    What a pass has found out of the files, and what workers have read of the job, serves the next pass.
    """

    prepared: PreparedScan
    job: StagedJob | SharedJob
    scheduler: Scheduler

    def agenda(self, confirmed: Callable[[Outcome[Payload]], None], *, bounded: bool = False) -> Agenda[Payload]:
        """Return what is to be done in one pass; ``bounded`` where outcomes hold something that must not pile up."""
        ahead = self.prepared.ahead(self.scheduler.workers) if bounded else None
        return Agenda(self.prepared.plan, confirmed, self.prepared.begins, ahead)

    def run(
        self,
        step: Step[Payload],
        agenda: Agenda[Payload],
        *,
        take: Callable[[int], Sequence[Work]] | None = None,
        parameters: bytes = b"",
    ) -> None:
        """Carry out a step on what an agenda hands out, until it hands out nothing while nothing is under way.

        Parameters
        ----------
        step : Step
        agenda : Agenda
        take : callable, optional
            What hands out work instead of ``agenda.take``: who asks it may stop the pass, or add to the work.
        parameters : bytes
            What the step finds as ``context.parameters``; they travel once to each worker.

        Raises
        ------
        LogitstreamError
            The first error of a chunk.
        """
        with self.scheduler.share(parameters) if parameters else nullcontext("") as digest:
            self.scheduler.run(ChunkTask(step, self.job, digest), take or agenda.take, agenda.deliver)

    def reduce(
        self,
        step: Step[Payload],
        combine: Callable[[Payload, Payload], Payload],
        *,
        confirmed: Callable[[Outcome[Payload]], None] | None = None,
        parameters: bytes = b"",
    ) -> Payload | None:
        """Return the payloads of all chunks, combined in a fixed binary tree over their numbers.

        The result has the same bits on every scheduler, with any number of workers. A chunk that gave up is the neutral
        element.

        Parameters
        ----------
        step : Step
        combine : callable
            Of a payload and the one to its right.
        confirmed : callable, optional
            Is told each outcome, once, in no order.
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


@contextmanager
def open_scan(
    prepared: PreparedScan, settings: Mapping[str, Any] | None = None, *, staged: StagedJob | None = None
) -> Iterator[Scan]:
    """Open a scheduler for a prepared scan, and let go of everything in this process at the end of the block.

    Parameters
    ----------
    prepared : PreparedScan
    settings : mapping, optional
        What the step needs, as JSON; it travels with the job file, once to each worker.
    staged : StagedJob, optional
        Where the job file, with its settings, is in staging already. Without it the bytes travel through the scheduler.

    Raises
    ------
    UsageError, ConfigurationError, UnavailableError
        As :func:`pipeline.execute.open_scheduler`.
    """
    how, resources = prepared.how, prepared.resources
    opened = open_scheduler(
        how.scheduler,
        workers=resources.workers,
        wave=resources.wave,
        insecure=how.insecure,
        share_bytes=prepared.worker_share,
    )
    with ExitStack() as stack:
        stack.enter_context(_remembering)
        if staged is not None and prepared.demand.threads_share_process:
            # Once, before all threads of the first wave would read it at the same time.
            staged.read()
        scheduler = stack.enter_context(opened)
        job: StagedJob | SharedJob
        if staged is None:
            content = prepared.job_file(settings or {}).to_bytes()
            job = SharedJob(stack.enter_context(scheduler.share(content)))
        else:
            job = staged
        yield Scan(prepared, job, scheduler)


class _Remembering:
    """Lets go of what scans have left in this process when the last one that is under way has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scans = 0

    def __enter__(self) -> None:
        with self._lock:
            self._scans += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._scans -= 1
            if not self._scans:
                forget()


_remembering = _Remembering()


def settings_bytes(settings: Mapping[str, Any]) -> int:
    """Return about what a job file with these settings takes, beside its plan and its files."""
    return len(json.dumps(settings))


def forget() -> None:
    """Let go of what a scan has left in this process: job files and footers that were read, and memory held ready."""
    forget_job_files()
    forget_footers()
    give_back()
