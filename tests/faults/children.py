"""Work in a forked child: whatever happens to it, the parent continues with everything imported."""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

_SECONDS = 60.0
_FAILED = 99


class Child:
    """Work under way in a child. The result is JSON; a child that raises ends with 99 and its traceback."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._reading, writing = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            _in_the_child(work, self._reading, writing)
        os.close(writing)

    def end(self, seconds: float | None = None) -> tuple[int, Any]:
        """Wait; return how it ended, by exit code or minus the signal, and its result.

        A child that takes longer than it may is killed, and counts as ended by SIGALRM.
        """
        content, over = b"", False
        until = None if seconds is None else time.monotonic() + seconds
        while not over:
            left = None if until is None else max(0.0, until - time.monotonic())
            over = not select.select([self._reading], [], [], left)[0]
            block = b"" if over else os.read(self._reading, 2**16)
            if not block:
                break
            content += block
        os.close(self._reading)
        if over:
            os.kill(self._process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])
        return -signal.SIGALRM if over else status, json.loads(content) if content else None


def forked(work: Callable[[], object]) -> tuple[int, Any]:
    """Do work in a child that may take a minute; return how it ended and its result, as ``Child.end`` does."""
    return Child(work).end(_SECONDS)


def _in_the_child(work: Callable[[], object], reading: int, writing: int) -> None:
    code = _FAILED
    try:
        os.close(reading)
        try:
            result, code = work(), 0
        except BaseException:  # noqa: BLE001  # the parent is told
            result = traceback.format_exc()
        content = json.dumps(result).encode()
        while content:
            content = content[os.write(writing, content) :]
    finally:
        os._exit(code)


def shared_out(work: Callable[[int, int], object]) -> list[Any]:
    """Do work in as many children as there are cores; each is told its number and how many there are."""
    count = len(os.sched_getaffinity(0))
    children = [Child(partial(work, number, count)) for number in range(count)]
    return [_checked(*child.end()) for child in children]


def result_of(work: Callable[[], object]) -> Any:
    """Do work in an undisturbed child, and return its result as JSON."""
    return _checked(*forked(work))


def _checked(status: int, result: Any) -> Any:
    if status != 0:
        raise RuntimeError(f"a child ended with {status}: {result}")
    return result
