"""News of a task that is under way: from the thread that works to the thread that called ``run``.

A task calls :func:`teller` once and tells its news through it, as often as :meth:`Teller.due` allows. Where nobody
listens there is no teller, and the task has nothing to do.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Seconds between two pieces of news of a task.
INTERVAL = 0.2

Told = Callable[[Any], None]

_here = threading.local()


class Teller:
    """Passes on the news of one task. For the thread of the task.

    Parameters
    ----------
    send : callable
        Takes the news.
    interval : float
        Seconds between two pieces of news.
    """

    def __init__(self, send: Told, interval: float) -> None:
        self.tell = send
        self._interval = interval
        self._next = time.monotonic() + interval

    def due(self) -> bool:
        """Return whether it is time for the next piece of news. One clock reading, so a task may ask at every batch."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._interval
        return True


def teller() -> Teller | None:
    """Return the teller of the task that this thread carries out, ``None`` where nobody listens."""
    found: Teller | None = getattr(_here, "teller", None)
    return found


@contextmanager
def telling(send: Told, interval: float) -> Iterator[None]:
    """Send news of the task that this thread carries out inside the block."""
    before = teller()
    _here.teller = Teller(send, interval)
    try:
        yield
    finally:
        _here.teller = before


class Post:
    """Brings news from the threads of tasks to the thread that waits for Dask's results.

    Dask waits for futures in a queue that it shows to nobody, but it asks each future to be put there when it is done.
    So the queue is known from that request, and the post puts itself there: Dask then calls :meth:`result`, finds that
    no task has ended, and waits on. News that comes before the queue is known is brought as soon as it is, so the news
    of a task always comes before its result.

    Parameters
    ----------
    told : callable
        Takes each piece of news, on the waiting thread.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._letters: deque[Any] = deque()
        self._put: Callable[[Any], object] | None = None

    def send(self, news: Any) -> None:
        """Take a piece of news to be brought. Called by the threads of tasks."""
        self._letters.append(news)
        if self._put is not None:
            self._put(self)

    def result(self) -> tuple[()]:
        """Bring all news. Called by Dask, on the waiting thread, as the result of a future in which no task ended."""
        while self._letters:
            self._told(self._letters.popleft())
        return ()

    def wait_at(self, put: Callable[[Any], object]) -> None:
        """Learn where Dask waits now, before a future is put there."""
        self._put = put
        if self._letters:
            put(self)
