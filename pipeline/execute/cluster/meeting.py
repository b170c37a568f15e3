"""What a worker answers with its first task: its versions, its memory, and whether it reaches the files.

A worker may join a cluster at any time, so nobody can ask all of them before work begins. With its first task of a
connection each worker proves that it can do the work, and is named if it cannot.
"""

from __future__ import annotations

import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic

from distributed import Worker, get_worker

from pipeline.dataclass import dataclass
from pipeline.errors import FunctionError, LogitstreamError, MemoryBudgetError
from pipeline.execute.child import without_cause
from pipeline.execute.cluster.versions import Versions, check_own
from pipeline.execute.labels import probe
from pipeline.execute.terms import WorkerNeeds
from pipeline.types.work import Item, Result
from pipeline.units import format_bytes

# Connections that this process remembers to have met.
_REMEMBERED = 64

_meeting = threading.Lock()
_met: OrderedDict[str, None] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Met(Generic[Item, Result]):
    """A task that a worker of a connection carries out once it has proved that it can.

    Attributes
    ----------
    task : callable
    versions : tuple of (str, str)
        Those of the process that sent it.
    needs : WorkerNeeds
    run : str
        The name of the connection.
    """

    task: Callable[[Item], Result]
    versions: Versions
    needs: WorkerNeeds
    run: str

    def __call__(self, item: Item) -> Result:
        """Execute the task, or raise an error that names this worker."""
        if self.run not in _met:
            self._meet(item)
        try:
            return self.task(item)
        except FunctionError as error:
            cause = error.__cause__
            if cause is not None and not _can_travel(error):
                cause.add_note(f"on a worker:\n{''.join(traceback.format_exception(cause))}")
                without_cause(error)
            raise

    def _meet(self, item: Item) -> None:
        # Other threads of this worker wait for the proof.
        with _meeting:
            if self.run in _met:
                return
            self._prove(get_worker(), item)
            _met[self.run] = None
            while len(_met) > _REMEMBERED:
                _met.popitem(last=False)

    def _prove(self, worker: Worker, item: Item) -> None:
        check_own(worker.address, self.versions)
        try:
            _check_memory(worker, self.needs)
            probe(self.task, item)
        except LogitstreamError as error:
            error.message = f"worker {worker.address}: {error.message}"
            raise


def _can_travel(error: FunctionError) -> bool:
    """Return whether an error arrives as it is; of one that does not, Dask sends the text alone."""
    from distributed.protocol.pickle import dumps, loads  # noqa: PLC0415 - needed only where a function has failed

    try:
        loads(dumps(error))
    except Exception:  # noqa: BLE001 - whatever a foreign exception does when it is pickled
        return False
    return True


def _check_memory(worker: Worker, needs: WorkerNeeds) -> None:
    """Refuse a worker whose limit is below what its threads may take."""
    limit, threads = worker.memory_manager.memory_limit, worker.state.nthreads
    needed = needs.process_bytes + threads * needs.thread_bytes
    if limit and needs.thread_bytes and needed > limit:
        raise MemoryBudgetError(
            f"its memory limit is {format_bytes(limit)}, but the job may take {format_bytes(needed)} in its "
            f"{threads} thread{'' if threads == 1 else 's'}",
            "lower --memory, which makes batches smaller; or start the worker with a larger --memory-limit or fewer"
            " --nthreads",
        )
