"""The bar that a person sees of a run on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from jobs.show import console
from jobs.show.displays import Silent
from jobs.show.pace import Pace
from pipeline.memory import current_bytes


def can_draw() -> bool:
    """Return whether stderr is a terminal on which a bar can be drawn."""
    terminal = Console(stderr=True)
    return terminal.is_terminal and not terminal.is_dumb_terminal


class Bar(Silent):
    """A bar of rich on stderr that vanishes when the run ends."""

    def __init__(self) -> None:
        self._console = Console(
            file=cast("TextIO", console.Forgiving(sys.stderr)), force_terminal=True, highlight=False
        )
        self._progress = Progress(
            # On a narrow terminal the figures have the room, and what is too long is cut rather than wrapped.
            BarColumn(bar_width=max(8, min(30, self._console.width - 80))),
            TextColumn("{task.percentage:>3.0f} %"),
            _Figures(Column(no_wrap=True, overflow="ellipsis")),
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._progress.add_task("", total=1.0, visible=False)

    def start(self, pace: Pace) -> None:
        """Draw the bar."""
        self._progress.update(self._task, visible=True, pace=pace)
        self._progress.start()

    def move(self, pace: Pace) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=pace.fraction, pace=pace)

    def say(self, line: str) -> None:
        """Write the line above the bar."""
        self._console.print(Text(line), soft_wrap=True)

    def stop(self) -> None:
        """Wipe the bar away."""
        self._progress.stop()


class _Figures(ProgressColumn):
    """Rows, rate, time left and memory, as they are when the bar is drawn."""

    def render(self, task: Task) -> Text:
        pace: Pace | None = task.fields.get("pace")
        return Text(pace.line(time.monotonic(), current_bytes()).replace(f" ({pace.fraction:.0%})", "") if pace else "")
