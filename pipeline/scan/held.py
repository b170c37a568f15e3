"""Memory that allocators of this process hold ready, and when it is returned to the system."""

from __future__ import annotations

import threading

import pyarrow as pa

from pipeline import memory


def give_back() -> None:
    """Return to the system what Arrow and the C library hold ready."""
    pa.default_memory_pool().release_unused()
    memory.give_back()


class Held:
    """Returns memory after a task where the peak has grown, or no other task is under way; entered by each task.

    Without it the peak would grow with the number of chunks, and an idle worker of a cluster would keep all memory
    that it ever used. Doing it after every chunk, with two threads, would take a tenth of the time, because pages have
    to be cleared again: ten thousand for a chunk of a million rows. May be entered by several threads at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = self._peak = 0

    def __enter__(self) -> None:
        with self._lock:
            self._under_way += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._under_way -= 1
            peak = memory.peak_bytes()
            due = peak > self._peak or not self._under_way
            self._peak = peak
        if due:
            give_back()


held = Held()
