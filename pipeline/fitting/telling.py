"""What a fit tells while it runs: its passes, and notes for a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import field, replace

from pipeline.dataclass import dataclass
from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.report import EpochDone, FitReport, NetworkReport, PassDone, row_accounts
from pipeline.fitting.solving.objective import PassRecord
from pipeline.logs import log_notes
from pipeline.types.report import Noted
from pipeline.units import escape, format_count, format_seconds

Observe = Callable[[PassDone | EpochDone | Noted], None]


def log_text(event: PassDone | EpochDone | Noted) -> str:
    """Return what is logged about an event of a fit."""
    if isinstance(event, Noted):
        return event.text
    did = f"{format_count(event.rows)} rows in {format_seconds(event.seconds)}"
    if isinstance(event, EpochDone):
        held_out = "" if event.held_out_log_loss is None else f", held out {event.held_out_log_loss:.6g}"
        return f"epoch {event.number}: {did}, log loss {event.log_loss:.6g}{held_out}"
    return f"pass {event.number} ({event.what}): {did}"


def log_end(target: str, report: FitReport | NetworkReport) -> None:
    """Log what became of the rows of a fit."""
    log_notes("fit", [f"fitted {escape(target)}: {row_accounts(report.rows)}, in {format_seconds(report.seconds)}"])


@dataclass(eq=False)
class FitTeller:
    """Numbers and times the passes, and keeps the notes.

    Attributes
    ----------
    observe : callable
        Receives each pass and each note.
    seconds : list of float or None
        What each pass took, in order; ``None`` for one that an earlier try made.
    notes : list of str
    replays : callable
        Returns whether the last pass of a solver was made by an earlier try.
    """

    observe: Observe
    seconds: list[float | None] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    replays: Callable[[], bool] = bool
    _ended: float = field(default_factory=time.monotonic)

    @property
    def passes(self) -> int:
        """How many passes there were."""
        return len(self.seconds)

    def note(self, *texts: str) -> None:
        """Tell notes."""
        for text in texts:
            self.notes.append(text)
            self.observe(Noted(text, warning=False))

    def warn(self, text: str) -> None:
        """Tell a note as a warning."""
        self.notes.append(text)
        self.observe(Noted(text))

    def begin(self) -> None:
        """Begin the time of the next pass now."""
        self._ended = time.monotonic()

    def count(self, done: PassDone) -> None:
        """Tell of a pass that knows how long it took."""
        self.seconds.append(done.seconds)
        self.observe(replace(done, number=self.passes))

    def count_earlier(self, passes: int = 1) -> None:
        """Count passes that an earlier try made."""
        self.seconds += [None] * passes

    def tell(self, done: PassDone, *, replayed: bool = False) -> None:
        """Tell of a pass, which began when the one before it ended; of one that an earlier try made only count it."""
        now = time.monotonic()
        if replayed:
            self.count_earlier()
        else:
            self.count(replace(done, seconds=now - self._ended))
        self._ended = now

    def watch(
        self, _: int, points: Sequence[Point], sums: Sequence[PassSums], records: Sequence[PassRecord | None]
    ) -> None:
        """Tell of a pass that solvers shared, by the record of the first of them."""
        record = records[0]
        done = PassDone(0, "fit", sums[0].rows + sums[0].held_rows, 0.0, models=len(points))
        if record is not None:
            done = replace(done, objective=record.objective, decrement=record.decrement, gradient=record.gradient)
        self.tell(done, replayed=self.replays())
