"""How a run uses a cluster: how long it waits, what its workers need, and what it asks and tells meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from pipeline.dataclass import dataclass
from pipeline.schedulers import SCHEDULER_TIMEOUT, WAIT_WORKERS


def go_on() -> None:
    """Do not end what waits."""


def _unheard(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class ClusterPatience:
    """How long a run waits for a cluster, in seconds.

    Attributes
    ----------
    wait_workers : float
        How long there may be no worker while work waits.
    scheduler_timeout : float
        How long the scheduler may not answer.
    """

    wait_workers: float = WAIT_WORKERS
    scheduler_timeout: float = SCHEDULER_TIMEOUT


@dataclass(frozen=True, slots=True)
class WorkerNeeds:
    """Memory of a worker, in bytes: before any row is read, and for each of its threads. Zeros need no memory."""

    process_bytes: int = 0
    thread_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ClusterTerms:
    """How a run uses a cluster.

    Attributes
    ----------
    patience : ClusterPatience
    needs : WorkerNeeds
    shares_memory : bool
        Whether the workers share ``--memory``: those of a cluster on this machine that the run has started.
    check : callable
        Called, on the calling thread, whenever the run waits for the cluster; raises what ends the run.
    check_grace : callable
        Called, on the calling thread, while workers may still finish what they have; raises what ends the run once they
        have had enough time for it.
    note : callable
        Told, on the calling thread, what a person should know about the cluster, in a sentence.
    """

    patience: ClusterPatience = ClusterPatience()
    needs: WorkerNeeds = WorkerNeeds()
    shares_memory: bool = False
    check: Callable[[], None] = field(default=go_on, compare=False)
    check_grace: Callable[[], None] = field(default=go_on, compare=False)
    note: Callable[[str], None] = field(default=_unheard, compare=False)

    @property
    def more_memory(self) -> str:
        """What helps a worker that took too much memory, for a person."""
        if self.shares_memory:
            return "raise --memory, or start fewer processes (--scheduler local:processes=1)"
        return "lower --memory, or give the workers more (--memory-limit)"


USUAL_TERMS = ClusterTerms()
