"""From a task and items to results, on Dask.

sync       one task after the other on the calling thread; the specification of all other schedulers
threads    a pool of threads in this process
processes  processes of this machine, each with a memory limit if one is given
local      a Dask cluster on this machine, which the run starts and ends
tcp://     a Dask cluster that is running already; likewise tls:// and inproc://
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from pipeline.errors import UsageError
from pipeline.execute.choosing import find_scheduler
from pipeline.execute.deaths import Named
from pipeline.execute.labels import Label
from pipeline.execute.securing import access_of, check_access, check_extra, check_folder
from pipeline.execute.terms import USUAL_TERMS, ClusterPatience, ClusterTerms, WorkerNeeds
from pipeline.schedulers import ClusterWishes, is_cluster, kind_of
from pipeline.types.work import Scheduler
from pipeline.units import quoted

__all__ = [
    "USUAL_TERMS",
    "ClusterPatience",
    "ClusterTerms",
    "Label",
    "Named",
    "WorkerNeeds",
    "check_scheduler",
    "choose_scheduler",
    "open_scheduler",
    "patience_of",
    "running_cluster",
    "scheduler_notes",
]

LOCAL = ("sync", "threads")
_NO_WISHES = ClusterWishes()


def choose_scheduler(asked: Mapping[str, Any]) -> tuple[str, ClusterWishes]:
    """Return the name of the scheduler to use, and what is wanted of it if it is a cluster; nothing is connected.

    See :mod:`pipeline.execute.choosing`.

    Raises
    ------
    UsageError, ConfigurationError, UnavailableError
        As :func:`open_scheduler`; or the choice cannot be made.
    TypeError
        The scheduler is of another type.
    """
    name, cluster = find_scheduler(asked)
    check_scheduler(name, cluster=cluster)
    return name, cluster


def check_scheduler(name: str, *, cluster: ClusterWishes = _NO_WISHES) -> None:
    """Refuse, without connecting, a name that :func:`open_scheduler` would refuse.

    Raises
    ------
    UsageError, ConfigurationError, UnavailableError
        As :func:`open_scheduler`; or a package of the extra ``cluster`` is not installed.
    OutputError
        The folder of the performance report does not exist.
    """
    if not is_cluster(name):
        return
    if cluster.performance_report is not None:
        check_extra("bokeh", "--performance-report")
        check_folder(cluster.performance_report)
    if cluster.start is not None:
        if not cluster.start.maker:
            check_extra("cryptography", "--scheduler local")
        if cluster.start.dashboard:
            check_extra("bokeh", "--dashboard")
    elif cluster.trusted or kind_of(name) == "address":
        check_access(name, cluster)
    else:
        raise _unknown(name)


@contextmanager
def running_cluster(
    name: str,
    cluster: ClusterWishes,
    *,
    workers: int,
    limits: WorkerNeeds = USUAL_TERMS.needs,
    dashboard: Callable[[str], None] = USUAL_TERMS.note,
    check: Callable[[], None] = USUAL_TERMS.check,
) -> Iterator[tuple[str, ClusterWishes]]:
    """Start the cluster that a run wants to start, and end it with the block; yield how it is reached.

    Any other scheduler is yielded as it is. Dask's report of what the cluster did in the block is written at its end.

    Parameters
    ----------
    name : str
    cluster : ClusterWishes
    workers : int
        How many tasks a cluster on this machine carries out at once.
    limits : WorkerNeeds
        What the processes of a cluster on this machine may take; one that takes 64 MiB more is ended and started again.
        Zeros set no limit.
    dashboard : callable
        Told where the dashboard of the cluster is, if one is shown, in a sentence.
    check : callable
        Called again and again while the cluster starts; raises what ends the run.

    Raises
    ------
    ConfigurationError, UnavailableError
        The cluster cannot be started; or as :func:`open_scheduler`.
    """
    if not is_cluster(name) or (cluster.start is None and cluster.performance_report is None):
        yield name, cluster
        return
    from pipeline.execute.starting import started_cluster  # noqa: PLC0415 - loads distributed

    starting = started_cluster(name, cluster, workers=workers, limits=limits, dashboard=dashboard, check=check)
    with starting as found:
        yield found


def open_scheduler(
    name: str,
    *,
    workers: int,
    wave: int,
    cluster: ClusterWishes = _NO_WISHES,
    share_bytes: int | None = None,
    terms: ClusterTerms = USUAL_TERMS,
) -> AbstractContextManager[Scheduler]:
    """Return a scheduler that is ready for work inside the ``with`` block.

    Parameters
    ----------
    name : str
        ``sync``, ``threads``, ``processes`` or the address of a cluster.
    workers : int
        Threads of ``threads``, processes of ``processes``. A cluster has the threads that its workers were started
        with.
    wave : int
        The most pieces of work that Dask knows at the same time.
    cluster : ClusterWishes
        How a cluster is reached; it is running already, see :func:`running_cluster`.
    share_bytes : int or None
        Memory that a task may take in a process of ``processes``, on top of what the process takes when idle. A task
        that takes 64 MiB more ends with a ``MemoryBudgetError``. ``None`` sets no limit.
    terms : ClusterTerms
        How a cluster is used: how long one waits for it, and what its workers need.

    Raises
    ------
    UsageError
        There is no scheduler with this name.
    ConfigurationError
        The address is neither on this machine nor encrypted, there is no certificate for it, or a worker has other
        versions than this process.
    UnavailableError
        No scheduler answers at the address.
    """
    # Each branch imports only what it needs: distributed costs a quarter of a second and many threads.
    if name in LOCAL:
        from pipeline.execute.local import open_local  # noqa: PLC0415

        return open_local(name, workers=workers, wave=wave)
    if name == "processes":
        from pipeline.execute.processes import open_processes  # noqa: PLC0415

        return open_processes(workers=workers, wave=wave, share_bytes=share_bytes)
    if cluster.start is not None or not (cluster.trusted or kind_of(name) == "address"):
        raise _unknown(name)
    from pipeline.execute.cluster.opening import open_cluster  # noqa: PLC0415

    check_access(name, cluster)
    return open_cluster(access_of(name, cluster), wave=wave, terms=terms)


def scheduler_notes(name: str, cluster: ClusterWishes) -> tuple[str, ...]:
    """Return what a plan says about a cluster; nothing of any other scheduler.

    Raises
    ------
    ConfigurationError, UnavailableError
        As :func:`open_scheduler`.
    """
    if not is_cluster(name):
        return ()
    from pipeline.execute.cluster.outlook import cluster_notes, started_notes  # noqa: PLC0415 - loads distributed

    if cluster.start is not None:
        return started_notes()
    return cluster_notes(access_of(name, cluster), ClusterTerms(patience_of(cluster)))


def patience_of(cluster: ClusterWishes) -> ClusterPatience:
    """Return how long a run waits for a cluster."""
    return ClusterPatience(cluster.wait_workers, cluster.scheduler_timeout)


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"there is no scheduler {quoted(name)}",
        "write threads, processes, sync or the address of a cluster: tcp://host:port",
    )
