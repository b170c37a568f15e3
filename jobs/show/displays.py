"""Displays of a pace: none, or a line every 10 seconds. The bar of a terminal is in :mod:`jobs.show.bar`."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol

from jobs.show import console
from jobs.show.pace import Pace
from pipeline.memory import current_bytes

LOG_INTERVAL = 10.0


class Display(Protocol):
    """Shows a pace while it changes, and lines of text in between."""

    def start(self, pace: Pace) -> None:
        """Begin to show."""
        ...

    def move(self, pace: Pace) -> None:
        """Show a new state."""
        ...

    def say(self, line: str) -> None:
        """Show a line of text."""
        ...

    def stop(self) -> None:
        """Show nothing more. May be called without a start, and twice."""
        ...


class Silent:
    """Shows lines of text only."""

    def start(self, pace: Pace) -> None:
        """Show nothing."""

    def move(self, pace: Pace) -> None:
        """Show nothing."""

    def say(self, line: str) -> None:
        """Write the line to stderr."""
        console.tell(line)

    def stop(self) -> None:
        """Do nothing."""


class Log(Silent):
    """Writes a line with the time (UTC) at a fixed interval, whether or not rows were read in between.

    Parameters
    ----------
    interval : float
        Seconds.
    """

    def __init__(self, interval: float = LOG_INTERVAL) -> None:
        self._interval = interval
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._pace: Pace | None = None

    def start(self, pace: Pace) -> None:
        """Begin to write."""
        self._pace = pace
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._write, name="logitstream-log", daemon=True)
        self._thread.start()

    def move(self, pace: Pace) -> None:
        """Show this state in the next line."""
        self._pace = pace

    def stop(self) -> None:
        """End the thread that writes."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _write(self) -> None:
        while not self._ended.wait(self._interval):
            if self._pace is not None:
                stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                console.tell(f"{stamp} {self._pace.line(time.monotonic(), current_bytes())}")
