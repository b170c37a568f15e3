"""How far a run is, and how fast it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipeline.dataclass import dataclass
from pipeline.types.report import PassBegun, PassReached, PlanSummary, Progressed
from pipeline.units import format_bytes, format_count, format_seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """How far a run, or a pass, is. ``fraction`` is of the rows where their number is known, else of the bytes."""

    plan: PlanSummary | PassBegun
    began: float
    rows: int = 0
    input_bytes: int = 0

    def moved(self, event: Progressed | PassReached) -> Pace:
        """Return the state after more rows were read."""
        return replace(self, rows=event.rows, input_bytes=event.input_bytes)

    @property
    def fraction(self) -> float:
        """The part that is done, from 0 to 1."""
        done, of = self._amounts()
        return min(1.0, done / of) if of else 0.0

    def rate(self, now: float, count: Callable[[int], str] = format_count) -> str:
        """Return rows a second, or bytes a second where only bytes are known beforehand; empty at first."""
        done, seconds = self._amounts()[0], now - self.began
        if not done or seconds <= 0:
            return ""
        if self.plan.rows_estimated:
            return f"{format_bytes(done / seconds)}/s"
        return f"{count(round(done / seconds))} rows/s"

    def left(self, now: float) -> str:
        """Return the time left at the speed so far; empty at first."""
        if not 0 < self.fraction < 1:
            return ""
        return f"{_coarse((now - self.began) * (1 / self.fraction - 1))} left"

    def done(self, count: Callable[[int], str] = format_count) -> str:
        """Return the rows read, of how many."""
        about = "~" if self.plan.rows_estimated else ""
        return f"{count(self.rows)} of {about}{count(self.plan.rows)} rows"

    def line(self, now: float, memory_bytes: int) -> str:
        """Return rows, percentage, rate, time left and memory in a line."""
        return _joined(f"{self.done()} ({self.fraction:.0%})", self.rate(now), self.left(now), _memory(memory_bytes))

    def figures(self, now: float, memory_bytes: int, width: int) -> str:
        """Return rows, rate, time left and memory in a width.

        Where they do not fit, memory is left out, then counts are shortened to three digits (``12.3M``).
        """
        exact = _joined(self.done(), self.rate(now), self.left(now))
        short = _joined(self.done(_short), self.rate(now, _short), self.left(now))
        candidates = (_joined(exact, _memory(memory_bytes)), exact)
        return next((text for text in candidates if len(text) <= width), short)

    def _amounts(self) -> tuple[int, int]:
        if self.plan.rows_estimated:
            return self.input_bytes, self.plan.bytes_to_read
        return self.rows, self.plan.rows


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _memory(size: int) -> str:
    return f"memory {format_bytes(size)}"


def _short(count: int) -> str:
    """Return a count with three digits at most and a unit: ``950``, ``12.3k``, ``1.23M``."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        # What rounds to 1,000 of the unit below.
        if count >= 0.9995 * factor:
            return f"{count / factor:.3g}{unit}"
    return str(count)


def _coarse(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 60 else format_seconds(seconds)
