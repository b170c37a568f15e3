"""Errors for work that ends its own process."""

from __future__ import annotations

import signal
from typing import Any, Protocol, runtime_checkable

from pipeline.errors import DataError, LogitstreamError, MemoryBudgetError, TemporaryError, UnavailableError
from pipeline.units import escape

_FROM_OUTSIDE = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
_LESS_MEMORY = "lower --memory, so that batches are smaller, or --workers; or end other programs on this machine"


@runtime_checkable
class Named(Protocol):
    """A task that knows a name for its items."""

    def name_of(self, item: Any, /) -> str:
        """Return the input that an item reads, for a message: ``flights.parquet, row groups 3 to 7``."""
        ...


def name_of(task: object, item: object) -> str:
    """Return the name of an item: from the task where it knows one, else from the item."""
    return task.name_of(item) if isinstance(task, Named) else str(item)


def out_of_memory(name: str, error: MemoryError) -> MemoryBudgetError:
    """Return the error for work that was refused memory in a process that survived."""
    what = f": {escape(str(error), 300)}" if str(error) else ""
    return MemoryBudgetError(
        f"{name} needs more memory than one worker process may use{what}", "raise --memory, or lower --workers"
    )


def ended_again(name: str, exit_code: int, *, loaded: bool) -> LogitstreamError:
    """Return the error for work whose process ended twice, the second time as the only one.

    ``exit_code`` is negative for a signal; ``loaded`` says whether the process had begun the work.
    """
    how = _how(exit_code)
    if exit_code == -signal.SIGKILL:
        return MemoryBudgetError(
            f"{name}: the worker process was killed twice, the second time with no other worker running: most often"
            " memory ran out",
            _LESS_MEMORY,
        )
    if -exit_code in _FROM_OUTSIDE:
        return TemporaryError(f"{name}: the worker process was ended twice from outside, by {how}", "run again")
    if not loaded:
        return UnavailableError(f"a worker process ended with {how} while it was starting", "use --scheduler threads")
    return DataError(
        f"{name}: the worker process that read it ended with {how} twice, the second time with no other worker running",
        "write the file again, or leave it out: most often it is damaged. If it is intact, raise --memory",
    )


def ended_too_often(name: str, exit_code: int, times: int) -> LogitstreamError:
    """Return the error for a run whose processes end again and again at work that succeeds when it is repeated."""
    message = f"worker processes ended {times} times, the last with {_how(exit_code)} at {name}, which succeeded alone"
    if exit_code == -signal.SIGKILL:
        return MemoryBudgetError(f"{message}: most often memory ran out", _LESS_MEMORY)
    return UnavailableError(f"{message}: this machine does not run the job reliably", "run again to resume")


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"
