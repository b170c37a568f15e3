"""Whether a thread that reads small files works or waits for the disk; turns at reading them, where it works."""

from __future__ import annotations

import resource
import threading
import time
from typing import Self

# So many files tell whether the disk has to be waited for.
TIMED = 4
# A chunk of fewer files takes no turns: where the disk is slow, those that are timed would be many of its files.
_FILES = 256
# Where the disk is slow, so many files are read by all threads until a few are timed again.
_UNTIMED = 512
# A thread whose turn does not come in so many seconds reads without one: whoever has it may wait for a disk that hangs.
_PATIENCE = 1.0
# Threads that do something else take the interpreter in between, so that a file may take twice as long without a disk.
_TIMES = 4

_turn = threading.Lock()


class Stopwatch:
    """Tells where the time of the thread that made it went since then."""

    def __init__(self) -> None:
        self._began, self._worked, self._waits = time.perf_counter(), time.thread_time(), _waits()

    def waited(self, files: int, times: int) -> bool:
        """Return whether the thread waited for each of some files, and took so many times as long as it worked.

        On a busy machine a thread takes long without waiting for a disk.
        """
        took, worked = time.perf_counter() - self._began, time.thread_time() - self._worked
        return took > times * worked and _waits() - self._waits >= files


def _waits() -> int:
    """Return how often this thread gave up the processor to wait for something."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


class ReadingTurns:
    """Lets one thread at a time read small files, as long as that is work; for one chunk of one thread.

    To read a small file is Python between many short calls of the system. At each of them the interpreter passes to
    another thread that reads small files, which takes longer than the call: two threads take longer than one. Where the
    disk is slow they do not, so a chunk takes no turns for a while when it had to wait for its files.

    The context manager ends a turn. While rows are handed on there must be none.
    """

    def __init__(self, files: int) -> None:
        self._wanted = files >= _FILES
        self._has_turn = False
        self._files, self._stopwatch = 0, Stopwatch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def take(self) -> None:
        """Wait a second at most for a turn before a small file is read, unless the chunk has one or takes none."""
        if self._has_turn and self._files == TIMED and self._stopwatch.waited(TIMED, _TIMES):
            self.end()
            self._files = -_UNTIMED
        if self._wanted and not self._has_turn and self._files >= 0:
            self._has_turn = _turn.acquire(timeout=_PATIENCE)
            self._files, self._stopwatch = 0 if self._has_turn else -_UNTIMED, Stopwatch()
        self._files += 1

    def end(self) -> None:
        """End the turn, if the chunk has one."""
        if self._has_turn:
            self._has_turn = False
            _turn.release()
