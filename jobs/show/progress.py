"""What a person sees of a run: a bar on a terminal, otherwise a line every 10 seconds; the runner knows neither.

An observer never harms a run: a message that cannot be written is lost, and the run continues.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import Literal

from jobs.show import console
from jobs.show.displays import Display, Log, Silent
from jobs.show.pace import Pace
from pipeline.dataclass import dataclass
from pipeline.report.text import plan_lines
from pipeline.types.report import (
    Event,
    Noted,
    Observer,
    PassBegun,
    PassReached,
    Planned,
    PlanSummary,
    Progressed,
)
from pipeline.units import escape

Mode = Literal["auto", "bar", "log", "none"]

_LINE_LIMIT = 2000


@dataclass
class Person:
    """Observer of a run that shows a person the progress, and each note once.

    Parameters
    ----------
    display : Display
    verbose : bool
        Whether the plan is shown before work begins.
    show_files : callable
        Shows the inputs of a plan as a table, where ``verbose`` is set.
    line : callable
        Returns what is said of an event that no run has; empty where nothing is.
    """

    display: Display
    verbose: bool
    show_files: Callable[[PlanSummary], None]
    line: Callable[[object], str]
    _pace: Pace | None = field(default=None, init=False)
    _said: set[str] = field(default_factory=set, init=False)

    def __call__(self, event: Event) -> None:
        """Show an event. Called on one thread."""
        if isinstance(event, Planned):
            self._show_plan(event.summary)
            self._begin(event.summary)
        elif isinstance(event, PassBegun):
            self._begin(event)
        elif isinstance(event, Progressed | PassReached):
            self._move(event)
        elif isinstance(event, Noted):
            self._note(event)
        elif line := self.line(event):
            self.display.say(line)

    def _show_plan(self, plan: PlanSummary) -> None:
        if self.verbose and self._pace is None:
            self.show_files(plan)
            for line in plan_lines(plan):
                self.display.say(line)
            self._said.update(plan.notes, plan.resources.notes)

    def _begin(self, expected: PlanSummary | PassBegun) -> None:
        self._pace = Pace(expected, time.monotonic())
        self.display.start(self._pace)

    def _move(self, event: Progressed | PassReached) -> None:
        if self._pace is not None:
            self._pace = self._pace.moved(event)
            self.display.move(self._pace)

    def _note(self, event: Noted) -> None:
        if event.text not in self._said:
            self._said.add(event.text)
            self.display.say(f"{'warning' if event.warning else 'note'}: {escape(event.text, _LINE_LIMIT)}")


@dataclass
class Quiet:
    """Observer of a run of which only errors are shown, and warnings that no silence may hide."""

    _said: set[str] = field(default_factory=set, init=False)

    def __call__(self, event: Event) -> None:
        """Show an event, if it must be shown."""
        if isinstance(event, Noted) and event.always and event.text not in self._said:
            self._said.add(event.text)
            console.warn(event.text)


@contextmanager
def observer(
    mode: Mode,
    *,
    quiet: bool = False,
    verbose: bool = False,
    show_files: Callable[[PlanSummary], None] | None = None,
    line: Callable[[object], str] | None = None,
) -> Iterator[Observer]:
    """Yield the observer that the options ask for; its display ends with the block, however the run ends.

    ``line`` returns what is said of an event that no run has, such as a pass that has ended; empty where nothing is.
    """
    if quiet:
        yield Quiet()
        return
    display = display_for(mode)
    person = Person(display, verbose, show_files or _nothing, line or _no_line)
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
    """Ignore an event."""


def _no_line(_: object) -> str:
    """Say nothing of an event."""
    return ""
