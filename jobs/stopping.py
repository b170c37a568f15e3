"""How a run is told to stop: in good order first, at once if need be.

before work begins              a signal ends the run at once
a signal, or the deadline       no chunk is started, those under way have the grace to end
a second signal                 ends the process, as the signal does by itself
the end of the grace            chunks under way are given up: ``Abandoned``
a few seconds later             the process ends, whatever it waits for
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from jobs.show import console
from pipeline.errors import Abandoned, LogitstreamError
from pipeline.units import format_seconds

if TYPE_CHECKING:
    from pipeline.flow import Stop

INTERRUPTED, TERMINATED = 130, 143

# timeout(1) sends its signal to the process and to its group: the same request twice, microseconds apart.
_SAME_REQUEST_SECONDS = 0.25
# What may hold up the way out (a thread that reads from a file system that hangs) does not hold it up for longer.
_PATIENCE_SECONDS = 5.0

Handler = Callable[[int, FrameType | None], None]


class Terminated(BaseException):
    """The process was asked to end (SIGTERM). Nothing that an ``except Exception`` may swallow."""

    message = "stopped by a request to end (SIGTERM)"
    exit_code = TERMINATED


def exit_code(error: BaseException | None) -> int:
    """Return the exit code of what a run was stopped by."""
    return error.exit_code if isinstance(error, LogitstreamError | Terminated) else INTERRUPTED


def described(error: BaseException | None) -> str:
    """Return what a run was stopped by, in words."""
    return error.message if isinstance(error, LogitstreamError | Terminated) else "stopped by an interrupt (SIGINT)"


def how_to_go_on(error: BaseException | None) -> str:
    """Return what to do after a run was stopped; empty where what was stopped is no run."""
    if isinstance(error, LogitstreamError):
        return error.remedy
    return str(error.args[0]) if error is not None and error.args else ""


def handle(number: signal.Signals, handler: Handler) -> Any:
    """Install a handler and return the one before it, ``None`` where the signal is left as it is."""
    # A parent that ignores the signal (nohup does so with others) has said what it wants.
    if signal.getsignal(number) is signal.SIG_IGN:
        return None
    try:
        return signal.signal(number, handler)
    except ValueError:
        # Not the main thread: a program that embeds the command line keeps its own signals.
        return None


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a run is to stop, in seconds from its start, and the error that says so."""

    seconds: float
    error: LogitstreamError


@contextmanager
def stoppable(stop: Stop, *, grace: float, deadline: Deadline | None, again: str) -> Iterator[Callable[[], None]]:
    """Have signals and the deadline stop a run inside the ``with`` block.

    Yields what is to be called when work begins. In another thread than the main one nothing is installed.

    Parameters
    ----------
    stop : Stop
    grace : float
        Seconds.
    deadline : Deadline or None
    again : str
        How to go on with a run that a signal has stopped: the first argument of what is raised then.
    """
    request = _Request(stop, grace, deadline, again)
    if threading.current_thread() is not threading.main_thread():
        yield request.work_begins
        return
    before = {number: handle(number, request.signalled) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, request.timed_out)
    signal.setitimer(signal.ITIMER_REAL, deadline.seconds if deadline else 0)
    try:
        yield request.work_begins
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@dataclass(slots=True)
class _Request:
    """The state between a run and those who want it to stop. Its handlers run in the main thread."""

    stop: Stop
    grace: float
    deadline: Deadline | None
    again: str
    under_way: bool = field(default=False, init=False)
    since: float | None = field(default=None, init=False)
    abandoned: bool = field(default=False, init=False)

    def work_begins(self) -> None:
        """From now on there is something that is worth ending in good order."""
        self.under_way = True

    def signalled(self, number: int, _: FrameType | None) -> None:
        """Take in SIGTERM or SIGINT."""
        error = (Terminated if number == signal.SIGTERM else KeyboardInterrupt)(self.again)
        if self.since is None and self.under_way:
            self._begin(error)
        elif self.since is None:
            # Python drops what is raised while it runs the callback of a weak reference; the request stays.
            self.stop.request(error)
            signal.signal(number, signal.SIG_DFL)
            raise error
        elif time.monotonic() - self.since >= _SAME_REQUEST_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def timed_out(self, _: int, __: FrameType | None) -> None:
        """Take in the timer: the deadline, then the end of the grace, then the end of all patience."""
        if self.since is None and self.deadline is not None:
            self._begin(self.deadline.error)
        elif not self.abandoned:
            self.abandoned = True
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_SECONDS)
            raise Abandoned from self.stop.error
        else:
            console.tell_at_once("error: stopped while something did not let go")
            os._exit(exit_code(self.stop.error))

    def _begin(self, error: BaseException) -> None:
        self.since = time.monotonic()
        self.stop.request(error)
        signal.setitimer(signal.ITIMER_REAL, self.grace)
        why = f"{error.message}; " if isinstance(error, LogitstreamError) else ""
        shown = f"{self.grace:g} s" if self.grace < 60 else format_seconds(self.grace)
        console.tell_at_once(f"stopping: {why}chunks under way have {shown} to end; once more stops at once")
