"""The bar that a person sees of a run on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from jobs.show import console
from jobs.show.displays import Silent
from jobs.show.pace import Pace
from pipeline.memory import current_bytes

# "100 %" and a space on either side.
_PERCENTAGE = 7


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
        # On a narrow terminal the bar is short, so that the figures have room.
        bar = max(8, min(30, self._console.width - 80))
        self._progress = Progress(
            BarColumn(bar_width=bar),
            TextColumn("{task.percentage:>3.0f} %"),
            _Figures(lambda: self._console.width - bar - _PERCENTAGE),
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._progress.add_task("", total=1.0, visible=False)

    def start(self, pace: Pace) -> None:
        """Draw the bar."""
        self._progress.update(self._task, visible=True, completed=pace.fraction, pace=pace)
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
    """Rows, rate, time left and memory, as they are when the bar is drawn, in one line.

    Parameters
    ----------
    width : callable
        Returns how many columns of the terminal they may take now.
    """

    def __init__(self, width: Callable[[], int]) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis"))
        self._width = width

    def render(self, task: Task) -> Text:
        pace: Pace | None = task.fields.get("pace")
        return Text(pace.figures(time.monotonic(), current_bytes(), self._width()) if pace else "")
