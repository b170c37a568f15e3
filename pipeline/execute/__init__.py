"""From a task and items to results, on Dask.

sync       one task after the other on the calling thread; the specification of all other schedulers
threads    a pool of threads in this process
processes  processes of this machine, each with a memory limit if one is given
tcp://     a Dask cluster that is running already
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from pipeline.errors import UsageError
from pipeline.execute.access import ClusterAccess
from pipeline.execute.address import check_address
from pipeline.execute.deaths import Named
from pipeline.execute.labels import Label
from pipeline.execute.terms import USUAL_TERMS, ClusterPatience, ClusterTerms, WorkerNeeds
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
    "open_scheduler",
]

LOCAL = ("sync", "threads")


def check_scheduler(name: str, *, insecure: bool) -> None:
    """Refuse, without connecting, a name that :func:`open_scheduler` would refuse.

    Raises
    ------
    UsageError, ConfigurationError, UnavailableError
        As :func:`open_scheduler`.
    """
    if name.startswith("tcp://"):
        check_address(name, insecure=insecure)
    elif name not in (*LOCAL, "processes"):
        raise _unknown(name)


def open_scheduler(
    name: str,
    *,
    workers: int,
    wave: int,
    insecure: bool = False,
    share_bytes: int | None = None,
    terms: ClusterTerms = USUAL_TERMS,
) -> AbstractContextManager[Scheduler]:
    """Return a scheduler that is ready for work inside the ``with`` block.

    Parameters
    ----------
    name : str
        ``sync``, ``threads``, ``processes`` or ``tcp://host:port``.
    workers : int
        Threads of ``threads``, processes of ``processes``. A cluster has the threads that its workers were started
        with.
    wave : int
        The most pieces of work that Dask knows at the same time.
    insecure : bool
        Whether to accept an unencrypted cluster address beyond this machine.
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
        The address is neither on this machine nor encrypted, or a worker has other versions than this process.
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
    if name.startswith("tcp://"):
        from pipeline.execute.cluster.opening import open_cluster  # noqa: PLC0415

        check_address(name, insecure=insecure)
        return open_cluster(ClusterAccess(name, chosen_by="--scheduler"), wave=wave, terms=terms)
    raise _unknown(name)


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"there is no scheduler {quoted(name)}",
        "write threads, processes, sync or the address of a cluster: tcp://host:port",
    )
