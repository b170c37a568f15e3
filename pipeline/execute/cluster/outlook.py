"""What a plan says about a cluster."""

from __future__ import annotations

from typing import Any, cast

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
    if silent is None:
        notes.append("a worker that hangs is waited for without end: worker-ttl of the cluster is not set")
    else:
        notes.append(f"a worker that is silent for {format_seconds(silent)} counts as dead (worker-ttl of the cluster)")
    return tuple(notes)


async def _worker_ttl(client: Client) -> float | None:
    seconds: float | None = await cast("Any", client).run_on_scheduler(worker_ttl)
    return seconds


def worker_ttl(dask_scheduler: Any) -> float | None:
    """Return after how many seconds of silence a scheduler takes a worker for dead; runs there."""
    seconds: float | None = dask_scheduler.worker_ttl
    return seconds


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
