"""How far a run is, and how fast it goes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.types.report import PlanSummary, Progressed
from pipeline.units import format_bytes, format_count, format_seconds


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


def _coarse(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 60 else format_seconds(seconds)
