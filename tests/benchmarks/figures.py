"""What is reported of a case: figures with their ranges and targets, and the medians of every contender."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.benchmarks.meter import Measured
from tests.benchmarks.turns import Entry, with_before

RATIO, SECONDS, BYTES, SHARE = "ratio", "s", "bytes", "share"


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of one value a round, with its range; ``target`` is the most that it should be, where there is one.

    ``over`` are a measure and a contender, where the value is ours over that one's.
    """

    name: str
    values: Sequence[float]
    unit: str = RATIO
    target: float | None = None
    over: tuple[str, str] | None = None

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median is at or under the target; ``None`` without one."""
        return None if self.target is None else self.median <= self.target

    def as_json(self) -> dict[str, Any]:
        """Return what the file of results says of it."""
        return {
            "name": self.name,
            "over": self.over and list(self.over),
            "unit": self.unit,
            "values": list(self.values),
            "median": self.median,
            "least": min(self.values),
            "most": max(self.values),
            "target": self.target,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case that was run: its data in words, its figures, and who ran."""

    text: str
    figures: Sequence[Figure]
    entries: Sequence[Entry] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return what the file of results says of it."""
        return {
            "text": self.text,
            "figures": [figure.as_json() for figure in (*self.figures, *self._since_before())],
            "contenders": [contender(entry) for entry in with_before(self.entries)],
        }

    def _since_before(self) -> Iterator[Figure]:
        for entry in self.entries:
            if entry.before is not None:
                yield from paired(entry, entry.before, None)


MEASURES: Mapping[str, tuple[str, Callable[[Measured], float]]] = {
    "wall": (SECONDS, lambda run: run.seconds),
    "CPU": (SECONDS, lambda run: run.cpu_seconds),
    "peak": (BYTES, lambda run: run.peak_bytes),
}


def contender(entry: Entry) -> dict[str, Any]:
    """Return the measures of an entry, and what its forms took uncounted."""
    found: dict[str, Any] = {"name": entry.name, "form": entry.form, "rehearsed": entry.rehearsed}
    for name, (unit, of) in MEASURES.items():
        found[name] = Figure(name, [of(run) for run in entry.runs], unit).as_json()
    return found


def paired(ours: Entry, other: Entry, target: float | None) -> list[Figure]:
    """Return ours over the other's in the same round: wall with the target, CPU time, peak memory."""
    return [
        Figure(
            f"{name}, ours / {other.name}",
            [of(mine) / of(theirs) for mine, theirs in zip(ours.runs, other.runs, strict=True)],
            target=target if name == "wall" else None,
            over=(name, other.name),
        )
        for name, (_, of) in MEASURES.items()
    ]
