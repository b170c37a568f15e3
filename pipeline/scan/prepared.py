"""A scan that can start: its files, the columns to read, the chunks, and workers and batches that fit the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipeline import memory
from pipeline.dataclass import dataclass
from pipeline.execute import WorkerNeeds
from pipeline.memory import COLUMN_THREADS_BYTES, Demand
from pipeline.plan import Plan, identity_of
from pipeline.scan.agenda import unknown_begins
from pipeline.scan.demand import StepCosts, batch_share, demand_of, joined_rows
from pipeline.scan.facts import field_of
from pipeline.scan.jobfile import JobFile, Needs
from pipeline.scan.shapes import ColumnNumbers, shape_of
from pipeline.schedulers import CHOSEN_BY, ClusterWishes
from pipeline.sources import THREADED_ROWS
from pipeline.sources.column_types import is_fixed_width
from pipeline.types.inputs import CsvOptions, FileFacts, Integers
from pipeline.types.report import FileSummary, Resources, plan_text
from pipeline.units import escape, parse_bytes

_CLUSTER_WAVE = 1_024
_NO_WISHES = ClusterWishes()
# Chunks for each worker that a chunk of a CSV may be ahead of the oldest unconfirmed one.
AHEAD = 4


@dataclass(frozen=True, slots=True)
class HowToScan:
    """Where and with which resources a scan runs. Never changes its result.

    Attributes
    ----------
    memory : str or None
        The budget (``2GiB``); half of what is free unless given.
    workers : int or None
        As many as there are cores this process may use, unless given.
    scheduler : str
        ``threads``, ``sync``, ``processes``, a cluster address, or the name of a cluster that the run starts.
    cluster : ClusterWishes
        How a cluster is reached, or started.
    retries : int
        How often a chunk is retried after an error that may be temporary.
    bad_rows : int or None
        More bad rows than this in one chunk end it.
    command : str
        What the whole run does, for whoever watches a cluster.
    """

    memory: str | None = None
    workers: int | None = None
    scheduler: str = "threads"
    cluster: ClusterWishes = _NO_WISHES
    retries: int = 3
    bad_rows: int | None = None
    command: str = "scan"

    @property
    def notes(self) -> tuple[str, ...]:
        """For a person: which rule chose the scheduler, unless it was named or is the default."""
        by = self.cluster.chosen_by
        return () if by in {"option", "default"} else (f"scheduler: {escape(self.scheduler)}, {CHOSEN_BY[by]}",)


@dataclass(frozen=True)
class PreparedScan:
    """A scan that can start. What a pass learns about the files is kept here for the next pass.

    Attributes
    ----------
    files : tuple of FileFacts
        In input order; their positions are the file numbers of the plan.
    needs : Needs
    plan : Plan
    csv : CsvOptions
    how : HowToScan
    demand : Demand
        How much memory the plan needs.
    resources : Resources
    begins : ndarray of int64, shape (chunks,)
        Where chunks begin inside a CSV, 0 where no pass has found it.
    kept_bytes : int
        What the driver keeps of the rows that the first pass gathers.
    """

    files: tuple[FileFacts, ...]
    needs: Needs
    plan: Plan
    csv: CsvOptions
    how: HowToScan
    demand: Demand
    resources: Resources
    begins: Integers = field(repr=False, compare=False)
    kept_bytes: int = 0

    @cached_property
    def inputs(self) -> list[object]:
        """The identities of the files, by file number."""
        return [identity_of(facts.file, facts.identity) for facts in self.files]

    @property
    def bytes_to_read(self) -> int:
        """Encoded bytes of the needed columns of Parquet files, and all bytes of the others."""
        return sum(self.bytes_of(facts) for facts in self.files)

    def bytes_of(self, facts: FileFacts) -> int:
        """Return how many bytes of one file will be read."""
        if facts.file.format == "csv":
            return facts.identity.size
        return self._needed.encoded(facts)

    @cached_property
    def _needed(self) -> ColumnNumbers:
        return ColumnNumbers(self.needs.names)

    @property
    def expected_rows(self) -> int:
        """Rows that will be read, exact where footers state them, else estimated."""
        rows = sum(facts.estimated_rows for facts in self.files)
        return rows if self.plan.limit is None else min(rows, self.plan.limit)

    @property
    def worker_share(self) -> int:
        """Bytes that the budget leaves to one worker, on top of what a process takes before any row is read."""
        resources = self.resources
        room = self.demand.worker_room(resources.allowed_bytes, resources.workers)
        return max(0, int(room + self.demand.step_bytes))

    @property
    def worker_needs(self) -> WorkerNeeds:
        """What a process that works for a cluster takes, and each of its threads besides."""
        return WorkerNeeds(self.demand.process_bytes, self.demand.thread_bytes(self.resources.batch_rows))

    @property
    def worker_limits(self) -> WorkerNeeds:
        """What the budget leaves to a process that works for a cluster, and to each of its threads besides."""
        return WorkerNeeds(self.demand.process_bytes, self.worker_share + self.demand.payload_bytes)

    def log_text(self, what: str) -> str:
        """Return what is logged when a job begins: ``planned an evaluation: 6 chunks, 2 workers on threads``."""
        return plan_text(what, len(self.plan), self.resources, self.how.scheduler)

    def ahead(self, workers: int) -> int:
        """Return how far a chunk of a CSV may be ahead of the oldest one that is not confirmed.

        Four times the workers; fewer where so many payloads would not fit the budget in the driver.
        """
        room = self.resources.allowed_bytes - self.demand.process_bytes
        fitting = room // self.demand.payload_bytes if self.demand.payload_bytes else workers
        return AHEAD * max(1, min(workers, fitting))

    def threaded_from(self, left: Integers | None = None) -> int:
        """Return the first of the chunks for which cores are left over; the number of chunks if there are none.

        Those are all chunks where fewer are at work than there are cores, else what remains at the end when each worker
        has had as many chunks as the others; none where the budget has no room for more threads. That holds of a pass
        over the chunks in order. In another pass they may not be the last ones; then more threads share the cores, and
        the rows are the same.

        Parameters
        ----------
        left : ndarray of int64, optional
            The chunks that are still to do, in order; all of them unless given.
        """
        if self.resources.column_threads:
            return 0
        chunks, workers = len(self.plan), self.resources.workers
        to_do = range(chunks) if left is None else left
        # Arrow's pool is used unless it has more threads than were asked for.
        is_used = self.how.scheduler == "threads" and pa.cpu_count() <= workers
        over = len(to_do) % workers if is_used and _have_room(self.resources) else 0
        return int(to_do[-over]) if over else chunks

    @property
    def file_summaries(self) -> tuple[FileSummary, ...]:
        """The inputs as plans and reports show them."""
        absent = [tuple(dict.fromkeys(n.name for n in needs if n.absent)) for needs in self.needs.lists]
        return tuple(file_summary(facts, absent[self.needs.number(number)]) for number, facts in enumerate(self.files))

    def job_file(self, settings: Mapping[str, Any], left: Integers | None = None) -> JobFile:
        """Return the job file for the workers, with the settings of a step; see :meth:`threaded_from`."""
        return JobFile(
            files=tuple((facts.file, facts.identity) for facts in self.files),
            plan=self.plan,
            needs=self.needs,
            variable=_variable(self),
            csv=self.csv,
            batch_rows=self.resources.batch_rows,
            batch_bytes=batch_share(self.demand, self.resources),
            joined_rows=joined_rows(self.demand, self.resources),
            threaded_from=self.threaded_from(left),
            bad_rows=self.how.bad_rows,
            retries=self.how.retries,
            settings=settings,
        )


def file_summary(facts: FileFacts, absent: tuple[str, ...] = ()) -> FileSummary:
    """Return one input as plans and reports show it, with the columns that it lacks."""
    return FileSummary(
        path=facts.file.path,
        format=facts.file.format,
        bytes=facts.identity.size,
        rows=facts.estimated_rows,
        estimated=facts.rows is None,
        row_groups=len(facts.group_rows),
        absent=absent,
    )


def prepare_scan(
    files: Sequence[FileFacts],
    needs: Needs,
    plan: Plan,
    csv: CsvOptions,
    costs: StepCosts,
    how: HowToScan,
) -> PreparedScan:
    """Return a scan that fits the budget; no file is opened.

    Raises
    ------
    MemoryBudgetError
        One worker with batches of one row does not fit. The message has both numbers and names what to change.
    """
    cores = how.workers or memory.usable_cores()
    demand = demand_of(
        csv, files, needs, plan, costs, threads_share_process=how.scheduler in {"threads", "sync"}, ahead=AHEAD
    )
    allowed = parse_bytes(how.memory) if how.memory else memory.default_budget()
    resources = _resources(how, files, demand, len(plan), cores, allowed)
    begins = unknown_begins(plan)
    return PreparedScan(tuple(files), needs, plan, csv, how, demand, resources, begins, costs.gathered_bytes)


def with_costs(prepared: PreparedScan, costs: StepCosts, allowed_bytes: int | None = None) -> PreparedScan:
    """Return the same scan for a pass that follows: what passes have learnt about the files is shared.

    Parameters
    ----------
    prepared : PreparedScan
    costs : StepCosts
    allowed_bytes : int, optional
        The budget; that of the other scan unless given.

    Raises
    ------
    MemoryBudgetError
        As :func:`prepare_scan`.
    """
    how, files, plan = prepared.how, prepared.files, prepared.plan
    sharing = prepared.demand.threads_share_process
    demand = demand_of(prepared.csv, files, prepared.needs, plan, costs, threads_share_process=sharing, ahead=AHEAD)
    # What the process holds by now for later passes is not part of what it takes before any row is read.
    demand = replace(
        demand,
        reserved_bytes=prepared.demand.reserved_bytes,
        gathered_bytes=demand.gathered_bytes + prepared.kept_bytes,
    )
    allowed = prepared.resources.allowed_bytes if allowed_bytes is None else allowed_bytes
    resources = _resources(how, files, demand, len(plan), how.workers or memory.usable_cores(), allowed)
    return replace(prepared, demand=demand, resources=resources)


def within(prepared: PreparedScan, allowed_bytes: int) -> PreparedScan:
    """Return the same scan with another budget.

    Raises
    ------
    MemoryBudgetError
        As :func:`prepare_scan`.
    """
    how, files = prepared.how, prepared.files
    cores = how.workers or memory.usable_cores()
    resources = _resources(how, files, prepared.demand, len(prepared.plan), cores, allowed_bytes)
    return replace(prepared, resources=resources)


def _variable(prepared: PreparedScan) -> tuple[bool, ...]:
    """Return for each list of needs whether a kept column of a Parquet file has values of varying width."""
    variable = [False] * len(prepared.needs.lists)
    if prepared.demand.whole_chunk:
        return tuple(variable)
    seen: set[tuple[int, object]] = set()
    for number, facts in enumerate(prepared.files):
        of_list = prepared.needs.number(number)
        shape = shape_of(facts)
        if facts.file.format != "parquet" or variable[of_list] or (shape is not None and (of_list, shape) in seen):
            continue
        seen.add((of_list, shape))
        kept = (need for need in prepared.needs[number] if need.role == "kept")
        variable[of_list] = not all(is_fixed_width(field_of(facts, need, prepared.csv).type) for need in kept)
    return tuple(variable)


def _resources(
    how: HowToScan, files: Sequence[FileFacts], demand: Demand, chunks: int, most: int, allowed: int
) -> Resources:
    """Return workers and rows of a batch; on a cluster, those of one thread of a worker."""
    if how.scheduler in {"threads", "processes"}:
        found = memory.choose_resources(demand, allowed, most, chunks)
        # Arrow has one pool for the whole process. It is used unless it has more threads than were asked for.
        spare = how.scheduler == "threads" and found.workers < pa.cpu_count() <= most
        if not spare or not _have_room(found) or not any(map(_pays_threads, files)):
            return found
        return replace(found, column_threads=True, projected_bytes=found.projected_bytes + COLUMN_THREADS_BYTES)
    start = how.cluster.start
    if start is not None and not start.maker:
        # Its processes share the memory of this machine, however many there are.
        found = memory.choose_resources(demand, allowed, start.limited(most), chunks)
        threads, wave = start.threads_of_processes(found.workers), max(1, min(_CLUSTER_WAVE, chunks))
        processes = len(threads)
        least = processes if start.adapt is None else min(start.adapt[0], processes)
        return replace(found, workers=sum(threads), wave=wave, processes=(least, processes))
    if at_once := how.cluster.tasks_at_once:
        found = memory.choose_resources(demand, allowed, at_once, chunks)
        # Its processes are there already: where fewer fit, fewer tasks are handed to them.
        fits = found.workers == min(at_once, chunks)
        return replace(found, wave=max(1, min(_CLUSTER_WAVE, chunks)) if fits else found.workers)
    one = memory.choose_resources(demand, allowed, 1, chunks)
    return one if how.scheduler == "sync" else replace(one, wave=max(1, min(_CLUSTER_WAVE, chunks)))


def _have_room(resources: Resources) -> bool:
    """Return whether the budget has room for threads that decode columns."""
    return resources.projected_bytes + COLUMN_THREADS_BYTES <= resources.allowed_bytes


def _pays_threads(facts: FileFacts) -> bool:
    return facts.file.format == "parquet" and (facts.rows or 0) >= THREADED_ROWS
