"""What ``--scheduler`` takes, and what a run wants of a cluster: plain values, read without loading Dask."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Final, Literal

from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.units import quoted

ChosenBy = Literal["option", "file", "object", "environment", "configuration", "active client", "task", "default"]
Kind = Literal["here", "address", "file", "active client", "local"]

# What plans and reports say of the rule that chose a scheduler.
CHOSEN_BY: Final[dict[ChosenBy, str]] = {
    "option": "as asked",
    "file": "from the scheduler file",
    "object": "of the Client or Cluster that was passed",
    "environment": "from DASK_SCHEDULER_ADDRESS",
    "configuration": "from scheduler-address in Dask's configuration",
    "active client": "of the active client",
    "task": "inside a Dask task",
    "default": "by default",
}

HERE: Final = ("threads", "processes", "sync")
LOCAL: Final = "local"
ACTIVE: Final = "client"

# Seconds, unless options say otherwise.
WAIT_WORKERS: Final = 300.0
SCHEDULER_TIMEOUT: Final = 60.0

_REMEDY = (
    "write threads, processes, sync, local, client, an address (tcp://HOST:PORT, tls://HOST:PORT) or the path of a"
    " scheduler file (scheduler.json)"
)
_HOST_AND_PORT = r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):\d{1,5}"
_ADDRESS = re.compile(rf"(tcp|tls)://{_HOST_AND_PORT}|inproc://\S+")
_WITHOUT_PROTOCOL = re.compile(_HOST_AND_PORT)
_LOCAL = re.compile(rf"{LOCAL}(?:\[:?(?P<inside>.*)\]|:(?P<behind>.*))?")
_RANGE = re.compile(r"(\d{1,6})\.\.(\d{1,6})")
_LOCAL_REMEDY = "write local, local:processes=4 or local:processes=4,threads=1"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for a connection to a cluster: the authority that both ends trust, a certificate and its key."""

    ca: str
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class StartedCluster:
    """A cluster that a run starts, and ends.

    Attributes
    ----------
    maker : str
        ``module:Class``; empty for one of processes on this machine.
    options : str or None
        A TOML file with the arguments of the class.
    adapt : (int, int) or None
        Between how many workers the cluster adapts.
    dashboard : bool
        Whether Dask's dashboard is shown.
    processes, threads : int or None
        Of a cluster on this machine; ``None`` for as many processes as there are workers, of one thread each.
    """

    maker: str = ""
    options: str | None = None
    adapt: tuple[int, int] | None = None
    dashboard: bool = False
    processes: int | None = None
    threads: int | None = None

    def threads_of_processes(self, workers: int) -> list[int]:
        """Return how many threads each process of a cluster on this machine has, for so many tasks at once.

        One that adapts has processes of one size, and never more tasks at once than ``workers``.
        """
        each = min(self.threads or 1, workers)
        whole, rest = divmod(workers, each)
        return [each] * whole + ([rest] if rest and self.adapt is None else [])

    def limited(self, workers: int) -> int:
        """Return how many tasks a cluster on this machine has at once, if the options did not say more."""
        threads = self.threads or 1
        processes = self.adapt[1] if self.adapt else self.processes
        return workers if processes is None else max(1, processes * threads)


@dataclass(frozen=True, slots=True)
class ClusterWishes:
    """What a run wants of a cluster. Never changes a result.

    Attributes
    ----------
    chosen_by : str
        The rule that chose the scheduler, a key of :data:`CHOSEN_BY`.
    insecure : bool
        Whether an unencrypted connection beyond this machine is used all the same.
    trusted : bool
        Whether the caller has connected already: the address is then used as it is.
    security : object or None
        Dask's ``Security`` of the connection; ``None`` for that of ``tls`` or of Dask's configuration.
    tls : TlsFiles or None
    start : StartedCluster or None
        The cluster to start; ``None`` if it is running already.
    tasks_at_once : int
        How many tasks at once the cluster carries out that the run has started on this machine; 0 for any other.
    performance_report : str or None
        The file for Dask's report.
    wait_workers : float
        How many seconds there may be no worker while work waits.
    scheduler_timeout : float
        How many seconds the scheduler may not answer.
    """

    chosen_by: ChosenBy = "default"
    insecure: bool = False
    trusted: bool = False
    security: object = field(default=None, repr=False)
    tls: TlsFiles | None = None
    start: StartedCluster | None = None
    tasks_at_once: int = 0
    performance_report: str | None = None
    wait_workers: float = WAIT_WORKERS
    scheduler_timeout: float = SCHEDULER_TIMEOUT


def is_cluster(name: str) -> bool:
    """Return whether a scheduler of this name is a Dask cluster, started by the run or not."""
    return name not in {*HERE, "stream"}


def kind_of(text: str) -> Kind:
    """Return what a value of ``--scheduler`` is.

    Raises
    ------
    UsageError
        It is nothing that can be a scheduler.
    """
    if text in HERE:
        return "here"
    if text == ACTIVE:
        return "active client"
    if _LOCAL.fullmatch(text):
        parse_local(text)
        return "local"
    if _ADDRESS.fullmatch(text):
        return "address"
    if "://" in text:
        raise UsageError(
            f"{quoted(text)} is not the address of a scheduler", "write tcp://HOST:PORT or tls://HOST:PORT"
        )
    if _WITHOUT_PROTOCOL.fullmatch(text):
        raise UsageError(f"{quoted(text)} lacks the protocol of the scheduler", f"write tcp://{text} or tls://{text}")
    if text.endswith(".json") or "/" in text:
        return "file"
    raise UsageError(f"there is no scheduler {quoted(text)}", _REMEDY)


def parse_local(text: str) -> StartedCluster:
    """Return the cluster that ``local`` or ``local:processes=P,threads=T`` describes.

    Raises
    ------
    UsageError
        Something else is written there.
    """
    found = _LOCAL.fullmatch(text)
    inside = "" if found is None else (found["inside"] or found["behind"] or "")
    numbers: dict[str, int] = {}
    for part in filter(None, inside.split(",")):
        name, _, number = (each.strip() for each in part.partition("="))
        good = name in {"processes", "threads"} and name not in numbers and re.fullmatch(r"[1-9]\d{0,4}", number)
        if not good:
            raise UsageError(f"{quoted(text)}: {quoted(part)} cannot be used", _LOCAL_REMEDY)
        numbers[name] = int(number)
    return StartedCluster(processes=numbers.get("processes"), threads=numbers.get("threads"))


def parse_maker(text: str) -> tuple[str, str]:
    """Return the module and the name of a class, written ``MODULE:CLASS``.

    Raises
    ------
    UsageError
        It is something else.
    """
    module, _, name = text.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise UsageError(f"{quoted(text)} is not the name of a class", "write MODULE:CLASS")
    return module, name


def parse_range(text: str) -> tuple[int, int]:
    """Return the least and the most workers of ``--adapt``, written ``0..40``.

    Raises
    ------
    UsageError
        It is not a range, or an empty one.
    """
    found = _RANGE.fullmatch(text)
    least, most = map(int, found.groups()) if found else (1, 0)
    if most < max(1, least):
        raise UsageError(f"{quoted(text)} is not a range of workers", "write the least and the most, such as 0..40")
    return least, most
