"""Memory that allocators of this process hold ready, and when it is returned to the system."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from pipeline import memory

# While a scan runs, memory goes back after so many tasks.
_TASKS = 16
# Nearer than this to its budget, a scan gives memory back after every task.
_NEAR = 0.75


def give_back() -> None:
    """Return to the system what Arrow and the C library hold ready."""
    pa.default_memory_pool().release_unused()
    memory.give_back()


class Held:
    """Returns memory after tasks; entered by each of them, and by each scan of this process's own threads.

    Without it the peak would grow with the number of chunks, and an idle worker of a cluster would keep all memory
    that it ever used. Each time costs, because pages have to be cleared again: ten thousand for a chunk of a million
    rows. So memory goes back after every sixteenth task. While scans of this process run, it also does after any task
    that ends near the budget, and when a scan ends; elsewhere, when no task is under way. May be entered by several
    threads at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = self._tasks = 0
        self._budgets: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            self._under_way += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._under_way -= 1
            self._tasks += 1
            due = self._tasks >= _TASKS or (self._is_near() if self._budgets else not self._under_way)
            if due:
                self._tasks = 0
        if due:
            give_back()

    @contextmanager
    def within(self, budget: int) -> Iterator[None]:
        """Let tasks keep what they used, as far as a budget in bytes allows, until the block ends."""
        with self._lock:
            self._budgets.append(budget)
        try:
            yield
        finally:
            with self._lock:
                self._budgets.remove(budget)
            give_back()

    def _is_near(self) -> bool:
        return memory.current_bytes() > _NEAR * min(self._budgets)


held = Held()
