"""What a person sees of a run: a bar on a terminal, otherwise a line every 10 seconds; the runner knows neither.

An observer never hurts a run: a message that cannot be written is lost, and nothing else.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from jobs.show import console
from pipeline.memory import current_bytes
from pipeline.report.text import plan_lines
from pipeline.types.report import Event, Noted, Observer, Planned, PlanSummary, Progressed
from pipeline.units import escape, format_bytes, format_count, format_seconds

Mode = Literal["auto", "bar", "log", "none"]

LOG_INTERVAL = 10.0
_LINE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Pace:
    """How far a run is. ``fraction`` is of the rows where their number is known, else of the bytes."""

    plan: PlanSummary
    began: float
    rows: int = 0
    input_bytes: int = 0

    def moved(self, event: Progressed) -> Pace:
        """Return the state after one more chunk."""
        return replace(self, rows=event.totals.read, input_bytes=event.input_bytes)

    @property
    def fraction(self) -> float:
        """The part that is done, from 0 to 1."""
        done, of = self._amounts()
        return min(1.0, done / of) if of else 0.0

    def rate(self, now: float) -> str:
        """Return rows a second, or bytes a second where only bytes are known beforehand; empty at first."""
        done, seconds = self._amounts()[0], now - self.began
        if not done or seconds <= 0:
            return ""
        if self.plan.rows_estimated:
            return f"{format_bytes(done / seconds)}/s"
        return f"{format_count(round(done / seconds))} rows/s"

    def left(self, now: float) -> str:
        """Return the time that is left if the run goes on as it went so far; empty at first."""
        if not 0 < self.fraction < 1:
            return ""
        return f"{_coarse((now - self.began) * (1 / self.fraction - 1))} left"

    def done(self) -> str:
        """Return the rows read, of how many."""
        about = "~" if self.plan.rows_estimated else ""
        return f"{format_count(self.rows)} of {about}{format_count(self.plan.rows)} rows"

    def line(self, now: float, memory_bytes: int) -> str:
        """Return all of it in a line."""
        share = f"{self.done()} ({self.fraction:.0%})"
        memory = f"memory {format_bytes(memory_bytes)}"
        return ", ".join(part for part in (share, self.rate(now), self.left(now), memory) if part)

    def _amounts(self) -> tuple[int, int]:
        if self.plan.rows_estimated:
            return self.input_bytes, self.plan.bytes_to_read
        return self.rows, self.plan.rows


class Display(Protocol):
    """Shows a pace while it changes, and lines of text beside it."""

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
    """Shows lines of text alone."""

    def start(self, pace: Pace) -> None:
        """Show nothing."""

    def move(self, pace: Pace) -> None:
        """Show nothing."""

    def say(self, line: str) -> None:
        """Write the line to stderr."""
        console.tell(line)

    def stop(self) -> None:
        """Have nothing to end."""


class Log(Silent):
    """Writes a line with the time (UTC) at a fixed interval, whether or not a chunk was done in between.

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
        """Have the next line show this state."""
        self._pace = pace

    def stop(self) -> None:
        """End the writing thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _write(self) -> None:
        while not self._ended.wait(self._interval):
            if self._pace is not None:
                stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                console.tell(f"{stamp} {self._pace.line(time.monotonic(), current_bytes())}")


@dataclass
class Person:
    """The observer of a run for a person: passes on to a display what is worth knowing, once.

    Parameters
    ----------
    display : Display
    verbose : bool
        Whether the plan is shown before work begins.
    show_files : callable
        Shows the inputs of a plan as a table, where ``verbose`` is set.
    """

    display: Display
    verbose: bool
    show_files: Callable[[PlanSummary], None]
    _pace: Pace | None = field(default=None, init=False)
    _said: set[str] = field(default_factory=set, init=False)

    def __call__(self, event: Event) -> None:
        """Take in an event. Called on one thread."""
        if isinstance(event, Planned):
            self._begin(event.summary)
        elif isinstance(event, Progressed) and self._pace is not None:
            self._pace = self._pace.moved(event)
            self.display.move(self._pace)
        elif isinstance(event, Noted) and event.text not in self._said:
            self._said.add(event.text)
            self.display.say(f"{'warning' if event.warning else 'note'}: {escape(event.text, _LINE_LIMIT)}")

    def _begin(self, plan: PlanSummary) -> None:
        if self.verbose and self._pace is None:
            self.show_files(plan)
            for line in plan_lines(plan):
                self.display.say(line)
            self._said.update(plan.notes, plan.resources.notes)
        self._pace = Pace(plan, time.monotonic())
        self.display.start(self._pace)


@contextmanager
def observer(
    mode: Mode, *, quiet: bool = False, verbose: bool = False, show_files: Callable[[PlanSummary], None] | None = None
) -> Iterator[Observer]:
    """Give the observer that a person asked for, and end its display however the run ends."""
    if quiet:
        yield _nothing
        return
    display = display_for(mode)
    person = Person(display, verbose, show_files or _nothing)
    try:
        yield person
    finally:
        display.stop()


def display_for(mode: Mode) -> Display:
    """Return the display for a mode; ``auto`` is a bar where stderr is a terminal that can draw one."""
    if mode == "bar" or (mode == "auto" and sys.stderr.isatty()):
        from jobs.show import bar  # noqa: PLC0415 - a run without a terminal starts sooner without rich

        return bar.Bar() if mode == "bar" or bar.can_draw() else Log()
    return Silent() if mode == "none" else Log()


def _nothing(_: object) -> None:
    """Take in an event and do nothing."""


def _coarse(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 60 else format_seconds(seconds)
