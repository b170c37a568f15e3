"""What jobs change in the process that they run in: the first one sets it, the last one puts it back.

Several jobs may run at once, in threads of a program that is not ours. A change that each of them made and put back by
itself would be put back too early, or to what another job had set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


class SharedChange:
    """A change of the process that lasts as long as anybody holds it; a context manager for any number of threads.

    Parameters
    ----------
    change : callable
        Returns a context manager that makes the change, and undoes it when the last holder has left.
    """

    def __init__(self, change: Callable[[], AbstractContextManager[object]]) -> None:
        self._change = change
        # Garbage that is collected in the block may hold a change that its end undoes.
        self._lock = threading.RLock()
        self._holders = 0
        self._made: AbstractContextManager[object] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._made is None:
                made = self._change()
                made.__enter__()
                self._made = made
            self._holders += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders and self._made is not None:
                made, self._made = self._made, None
                made.__exit__(None, None, None)


_lock = threading.RLock()
_jobs = 0
_kept: list[SharedChange] = []


@contextmanager
def job() -> Iterator[None]:
    """Count a job inside the block; jobs may overlap, and a job may be a part of another one.

    At the end of the last job, what :func:`keep` has kept is undone.
    """
    global _jobs  # noqa: PLW0603 - the process has one number of jobs
    with _lock:
        _jobs += 1
    try:
        yield
    finally:
        with _lock:
            _jobs -= 1
            if not _jobs:
                while _kept:
                    _kept.pop().__exit__()


def keep(change: SharedChange) -> None:
    """Make a change that lasts until the last job of the process has ended; nothing happens if it is made already.

    Only inside :func:`job`.
    """
    with _lock:
        if change not in _kept:
            change.__enter__()
            _kept.append(change)
