"""The one task of a chunk: a step, retried after errors that may be temporary, and with smaller batches if needed.

No rows leave the task. It is a module-level callable of plain values, so that it travels to any worker; everything
else that it needs is in the job file, which a worker reads once.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Generic, TypeVar

from pipeline import memory
from pipeline.dataclass import dataclass
from pipeline.errors import TransientError
from pipeline.execute import Label
from pipeline.scan.context import Attempted, BatchTooLargeError, ChunkContext, ProbingStep, Step
from pipeline.scan.held import held
from pipeline.scan.jobfile import JobFile, SharedJob, StagedJob
from pipeline.sources import check_reached
from pipeline.types.work import Outcome, Work
from pipeline.units import escape

Payload = TypeVar("Payload")

_SMALLER = 16
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.1, 30.0, 4


@dataclass(frozen=True, slots=True)
class ChunkTask(Generic[Payload]):
    """Carries out a step on one chunk of a job and returns its outcome.

    Picklable. May run in several threads and processes at once, and more than once for the same chunk. It raises an
    error of :mod:`pipeline.errors`; what the step made before the error is never used.

    Parameters
    ----------
    step : Step
    job : StagedJob or SharedJob
        Where the job file is.
    parameters : str
        The digest of the parameters of this pass; empty where it has none.
    command : str
        What the whole run does, for whoever watches a cluster: ``score``.
    """

    step: Step[Payload]
    job: StagedJob | SharedJob
    parameters: str = ""
    command: str = "scan"

    def __call__(self, work: Work) -> Outcome[Payload]:
        """Carry out the step."""
        started = time.monotonic()
        job = self.job.read()
        with held:
            outcome = _patiently(job.retries, lambda last: self._in_memory(job, work, last=last))
        return replace(outcome, seconds=time.monotonic() - started, peak_bytes=memory.peak_bytes())

    def name_of(self, work: Work, /) -> str:
        """Return the files and ranges that a piece of work reads, for a message."""
        job = self.job.read()
        pieces = job.plan.chunk(work.chunk).slices
        names = dict.fromkeys(escape(job.files[piece.file][0].path, 1000) for piece in pieces)
        shown = ", ".join(list(names)[:3]) + (f" and {len(names) - 3:,} more files" if len(names) > 3 else "")
        first = pieces[0]
        if len(pieces) > 1:
            return f"chunk {work.chunk}: {shown}"
        unit = "row groups" if job.files[first.file][0].format == "parquet" else "bytes"
        return f"chunk {work.chunk}: {shown}, {unit} {first.start:,} to {first.stop - 1:,}"

    def label_of(self, work: Work, /) -> Label:
        """Return what a piece of work is called where a person watches a cluster."""
        job = self.job.read()
        file, _ = job.files[int(job.plan.slice_file[job.plan.offsets[work.chunk]])]
        return Label(self.command, work.chunk, escape(file.path, 1000))

    def probe(self, work: Work, /) -> None:
        """Read both ends of the first file of a piece of work, and let the step try what it needs.

        Raises
        ------
        ConfigurationError
            The file is not there, or is another one.
        LogitstreamError
            The step cannot be carried out in this process.
        """
        job = self.job.read()
        check_reached(*job.files[int(job.plan.slice_file[job.plan.offsets[work.chunk]])])
        if isinstance(self.step, ProbingStep):
            self.step.probe(job, work.chunk)

    def _in_memory(self, job: JobFile, work: Work, *, last: bool) -> Outcome[Payload]:
        """Carry out the step; if a batch proves too large, carry it out again with smaller ones."""
        rows = job.batch_rows
        while True:
            final = rows == 1 or rows < job.batch_rows
            try:
                return self._try(job, work, Attempted(rows, worker(), final=final, last=last))
            except BatchTooLargeError:
                rows = max(1, rows // _SMALLER)

    def _try(self, job: JobFile, work: Work, attempt: Attempted) -> Outcome[Payload]:
        with closing(ChunkContext(job, work, self.parameters, attempt)) as context:
            return self.step(context)


def worker() -> str:
    """Return the name of this process in reports and messages."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _patiently(retries: int, attempt: Callable[[bool], Outcome[Payload]]) -> Outcome[Payload]:
    """Retry a chunk, after growing pauses, while its error may be temporary; tell ``attempt`` which try is the last."""
    pause = _FIRST_PAUSE
    for _ in range(retries):
        try:
            return attempt(False)
        except TransientError:
            time.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
    return attempt(True)
