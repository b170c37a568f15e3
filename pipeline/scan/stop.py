"""A request to end in good order, from whoever has a reason: a signal, a deadline."""

from __future__ import annotations

import time

from pipeline.errors import TemporaryError
from pipeline.units import format_seconds


class Stop:
    """Set once, seen by whatever drives a scan whenever a worker asks for more.

    From then on no chunk is started; those under way end and are journalled, and then the flow raises what it was
    given. May be set from a signal handler or another thread.
    """

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def request(self, error: BaseException) -> None:
        """Ask for the end; the first request counts."""
        if self._error is None:
            self._error = error

    @property
    def error(self) -> BaseException | None:
        """What the flow is to raise, ``None`` where nobody asked for an end."""
        return self._error


class Clock:
    """Says when a run is over before its work is done: somebody asked for it, or its time has passed.

    Parameters
    ----------
    stop : Stop
    deadline_seconds : float or None
        From now.
    again : str
        What to do when it has passed.
    """

    def __init__(self, stop: Stop, deadline_seconds: float | None, again: str) -> None:
        self.started = time.monotonic()
        self.started_unix = time.time()
        self._stop = stop
        self._deadline = deadline_seconds
        self._again = again

    def is_over(self) -> bool:
        """Return whether no more work is to be started."""
        if self._deadline is not None and time.monotonic() - self.started > self._deadline:
            self._stop.request(deadline_error(self._deadline, self._again))
        return self._stop.error is not None

    def check(self) -> None:
        """Raise what ends the run, if it is over."""
        if self.is_over() and self._stop.error is not None:
            raise self._stop.error


def deadline_error(seconds: float, again: str) -> TemporaryError:
    """Return what ends a run whose time has passed."""
    return TemporaryError(f"stopped by its deadline of {format_seconds(seconds)}", again)
