"""A request to end a run in good order, from a signal or a deadline."""

from __future__ import annotations

import time

from pipeline.errors import TemporaryError
from pipeline.units import format_seconds

GRACE_SECONDS = 25.0


class Stop:
    """A request to end, which the driver of a scan checks whenever a worker asks for more.

    Once it is made, no chunk is started. Chunks under way end and are journalled, then the flow raises the error of
    the request. May be made from a signal handler or another thread.

    Parameters
    ----------
    grace_seconds : float
        How long a cluster may take to finish the chunks that are under way when the request is made.
    """

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace = grace_seconds
        self._since = 0.0
        self._error: BaseException | None = None

    def request(self, error: BaseException) -> None:
        """Ask for the end; the first request counts."""
        if self._error is None:
            self._since = time.monotonic()
            self._error = error

    @property
    def error(self) -> BaseException | None:
        """The error to raise, ``None`` where no end was requested."""
        return self._error

    def is_overdue(self) -> bool:
        """Return whether an end was requested and the grace period has passed since."""
        return self._error is not None and time.monotonic() - self._since > self._grace


class Clock:
    """Tells when a run must end before its work is done: on request, or because its time has passed.

    Parameters
    ----------
    stop : Stop
    deadline_seconds : float or None
        Counted from now.
    again : str
        The remedy when it has passed.
    """

    def __init__(self, stop: Stop, deadline_seconds: float | None, again: str) -> None:
        self.started = time.monotonic()
        self.started_unix = time.time()
        self._stop = stop
        self._deadline = deadline_seconds
        self._again = again

    def is_over(self) -> bool:
        """Return whether no more work may be started."""
        if self._deadline is not None and time.monotonic() - self.started > self._deadline:
            self._stop.request(deadline_error(self._deadline, self._again))
        return self._stop.error is not None

    def check(self) -> None:
        """Raise what ends the run, if it is over."""
        if self.is_over() and self._stop.error is not None:
            raise self._stop.error

    def check_grace(self) -> None:
        """Raise what ends the run, if the grace period has passed since the run was over."""
        if self.is_over() and self._stop.is_overdue():
            self.check()


def deadline_error(seconds: float, again: str) -> TemporaryError:
    """Return the error of a run whose time has passed."""
    return TemporaryError(f"stopped by its deadline of {format_seconds(seconds)}", again)
