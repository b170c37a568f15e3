"""What a plan says about a cluster."""

from __future__ import annotations

from typing import Any, cast

import dask.config
from dask.utils import parse_timedelta
from distributed import Client
from distributed.comm.core import CommClosedError

from pipeline.execute.access import ClusterAccess
from pipeline.execute.cluster.connecting import open_link
from pipeline.execute.cluster.link import ClusterLink
from pipeline.execute.terms import ClusterTerms
from pipeline.units import format_seconds


def cluster_notes(access: ClusterAccess, terms: ClusterTerms) -> tuple[str, ...]:
    """Return what a person should know of a cluster before a run; raises as :func:`open_link` does."""
    with open_link(access, terms) as link:
        return link.ask(_notes(link))


def started_notes() -> tuple[str, ...]:
    """Return what a person should know of a cluster that a run will start."""
    return (_silence(parse_timedelta(dask.config.get("distributed.scheduler.worker-ttl")), "Dask's configuration"),)


async def _notes(link: ClusterLink) -> tuple[str, ...]:
    workers, threads = link.pulse.workers, link.pulse.threads
    notes = [
        f"the cluster has {_counted(workers, 'worker')} with {_counted(threads, 'thread')} at the moment"
        if workers
        else "the cluster has no worker yet"
    ]
    try:
        silent = await _worker_ttl(link.client)
    except (OSError, CommClosedError, ValueError):
        # A scheduler may be told to run no functions.
        return tuple(notes)
    return (*notes, _silence(silent, "the cluster"))


def _silence(seconds: float | None, where: str) -> str:
    if seconds is None:
        return f"a worker that hangs is waited for without end: worker-ttl of {where} is not set"
    return f"a worker that is silent for {format_seconds(seconds)} counts as dead (worker-ttl of {where})"


async def _worker_ttl(client: Client) -> float | None:
    seconds: float | None = await cast("Any", client).run_on_scheduler(worker_ttl)
    return seconds


def worker_ttl(dask_scheduler: Any) -> float | None:
    """Return after how many seconds of silence a scheduler takes a worker for dead; runs there."""
    seconds: float | None = dask_scheduler.worker_ttl
    return seconds


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
