"""Requests to end, which a terminal, timeout(1) and systemd send to every process of a run.

The process that started the others handles them: it lets what is under way end, and ends its workers.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

REQUESTS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Block requests to end in this thread, and in the threads and processes that it starts, for good in these."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
