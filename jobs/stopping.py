"""How a run stops: in good order first, at once if necessary.

a signal before work begins     ends the run at once
a signal, or the deadline       no new chunk starts; those under way may finish within the grace period
a second signal                 ends the process at once
the end of the grace period     chunks under way are given up: ``Abandoned``
a few seconds later             the process ends, whatever it is waiting for
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from types import FrameType
from typing import TYPE_CHECKING, Any

from jobs.show import console
from pipeline.dataclass import dataclass
from pipeline.errors import Abandoned, LogitstreamError
from pipeline.units import format_seconds

if TYPE_CHECKING:
    from pipeline.flow import Stop

INTERRUPTED, TERMINATED = 130, 143

# timeout(1) sends its signal both to the process and to its group: one request arrives twice, microseconds apart.
_SAME_REQUEST_SECONDS = 0.25
# How long a thread that hangs, such as one that reads from a dead file system, may delay the end of the process.
_PATIENCE_SECONDS = 5.0

Handler = Callable[[int, FrameType | None], None]


class Terminated(BaseException):
    """The process was asked to end (SIGTERM). ``except Exception`` does not catch it."""

    message = "stopped by a request to end (SIGTERM)"
    exit_code = TERMINATED


def exit_code(error: BaseException | None) -> int:
    """Return the exit code for what stopped a run."""
    return error.exit_code if isinstance(error, LogitstreamError | Terminated) else INTERRUPTED


def described(error: BaseException | None) -> str:
    """Return in words what stopped a run."""
    return error.message if isinstance(error, LogitstreamError | Terminated) else "stopped by an interrupt (SIGINT)"


def how_to_go_on(error: BaseException | None) -> str:
    """Return what to do after a run was stopped; empty if it was not a run that was stopped."""
    if isinstance(error, LogitstreamError):
        return error.remedy
    return str(error.args[0]) if error is not None and error.args else ""


def handle(number: signal.Signals, handler: Handler) -> Any:
    """Install a handler and return the previous one, or ``None`` if the signal is left alone."""
    # A parent that ignores the signal, as nohup does with others, wants it ignored.
    if signal.getsignal(number) is signal.SIG_IGN:
        return None
    try:
        return signal.signal(number, handler)
    except ValueError:
        # Not the main thread: a program that embeds the command line keeps its own signals.
        return None


@contextmanager
def stopped_with(again: str) -> Iterator[None]:
    """Let a signal that stops the ``with`` block say how to resume what was stopped; nothing where that is empty."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as error:
        error.args = (again,) if again else ()
        raise


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a run must stop, in seconds from its start, and the error that reports it."""

    seconds: float
    error: LogitstreamError


@contextmanager
def stoppable(stop: Stop, *, grace: float, deadline: Deadline | None, again: str) -> Iterator[Callable[[], None]]:
    """Let signals and the deadline stop a run inside the ``with`` block.

    Yields a function to call when work begins. Outside the main thread no handlers are installed.

    Parameters
    ----------
    stop : Stop
    grace : float
        Seconds.
    deadline : Deadline or None
    again : str
        How to resume a run that a signal has stopped: the first argument of the exception.
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
    """The state of a request to stop. Its handlers run in the main thread."""

    stop: Stop
    grace: float
    deadline: Deadline | None
    again: str
    under_way: bool = field(default=False, init=False)
    since: float | None = field(default=None, init=False)
    abandoned: bool = field(default=False, init=False)

    def work_begins(self) -> None:
        """Note that work has begun: from now on a signal lets chunks under way finish."""
        self.under_way = True

    def signalled(self, number: int, _: FrameType | None) -> None:
        """Handle SIGTERM or SIGINT."""
        error = (Terminated if number == signal.SIGTERM else KeyboardInterrupt)(self.again)
        if self.since is None and self.under_way:
            self._begin(error)
        elif self.since is None:
            # Python drops an exception that is raised in the callback of a weak reference; the request stays.
            self.stop.request(error)
            signal.signal(number, signal.SIG_DFL)
            raise error
        elif time.monotonic() - self.since >= _SAME_REQUEST_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def timed_out(self, _: int, __: FrameType | None) -> None:
        """Handle the timer: the deadline, then the end of the grace period, then the end of the process."""
        if self.since is None and self.deadline is not None:
            self._begin(self.deadline.error)
        elif not self.abandoned:
            self.abandoned = True
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_SECONDS)
            raise Abandoned from self.stop.error
        else:
            console.tell_at_once("error: stopped while something was still blocking")
            os._exit(exit_code(self.stop.error))

    def _begin(self, error: BaseException) -> None:
        self.since = time.monotonic()
        self.stop.request(error)
        signal.setitimer(signal.ITIMER_REAL, self.grace)
        why = f"{error.message}; " if isinstance(error, LogitstreamError) else ""
        shown = f"{self.grace:g} s" if self.grace < 60 else format_seconds(self.grace)
        console.tell_at_once(f"stopping: {why}chunks under way have {shown} to finish; a second signal stops at once")
