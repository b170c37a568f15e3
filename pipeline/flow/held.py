"""Memory that a process has used and its allocators hold ready, and when it goes back to the system."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from pipeline import memory

_TASKS = 64


def give_back() -> None:
    """Give back what Arrow and the C library hold ready."""
    pa.default_memory_pool().release_unused()
    memory.give_back()


_TASKS = 64


class Held:
    """Gives memory back behind a task where the peak has grown, and behind every 64th.

    So neither the peak nor what the heaps keep between grows with the number of chunks. After each chunk of two threads
    it would take a tenth of the time: pages have to be cleared again, ten thousand for a chunk of a million rows. Safe
    for use from several threads at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = self._peak = self._since = 0

    @contextmanager
    def behind(self, *, at_rest: bool) -> Iterator[None]:
        """Give memory back behind the ``with`` block if it is due; ``at_rest``: also if no other task is under way."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                peak = memory.peak_bytes()
                self._since += 1
                due = peak > self._peak or self._since >= _TASKS or (at_rest and not self._under_way)
                self._peak = peak
                if due:
                    self._since = 0
            if due:
                give_back()


held = Held()
