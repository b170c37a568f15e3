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
# Another thread that does something else takes the interpreter in between, so that a file may take twice as long
# without a disk.
_TIMES = 4

_turn = threading.Lock()


class Stopwatch:
    """Tells where the time of the thread that made it goes; it may pause."""

    def __init__(self) -> None:
        self._spent = (0.0, 0.0, 0)
        self._since: tuple[float, float, int] | None = _now()

    def pause(self) -> None:
        """Leave out the time from now on."""
        self._spent, self._since = self._total(), None

    def go_on(self) -> None:
        """Count the time from now on; what was not paused before is left out."""
        self._since = _now()

    def waited(self, files: int, times: int) -> bool:
        """Return whether the thread waited for each of some files, and took so many times as long as it worked.

        On a busy machine a thread takes long without waiting for a disk.
        """
        took, worked, waits = self._total()
        return took > times * worked and waits >= files

    def _total(self) -> tuple[float, float, int]:
        took, worked, waits = self._spent
        if self._since is None:
            return self._spent
        now, since = _now(), self._since
        return took + now[0] - since[0], worked + now[1] - since[1], waits + now[2] - since[2]


def _now() -> tuple[float, float, int]:
    """Return the time, how long this thread has worked, and how often it gave up the processor to wait."""
    return time.perf_counter(), time.thread_time(), resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


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
        # Files that have been timed, over several turns if these are short; files to read without a turn.
        self._timed, self._without = 0, 0
        self._stopwatch = Stopwatch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def take(self) -> None:
        """Wait a second at most for a turn before a small file is read, unless the chunk has one or takes none."""
        if not self._wanted:
            return
        if self._timed == TIMED and self._stopwatch.waited(TIMED, _TIMES):
            self.end()
            self._timed, self._without = 0, _UNTIMED
        if not self._has_turn and not self._without:
            self._begin()
        if self._without:
            self._without -= 1
        else:
            self._timed += 1

    def end(self) -> None:
        """End the turn, if the chunk has one."""
        if self._has_turn:
            self._stopwatch.pause()
            self._has_turn = False
            _turn.release()

    def _begin(self) -> None:
        self._has_turn = _turn.acquire(timeout=_PATIENCE)
        if not self._has_turn:
            self._without = _UNTIMED
        elif 0 < self._timed < TIMED:
            self._stopwatch.go_on()
        else:
            self._timed, self._stopwatch = 0, Stopwatch()
