"""Whole processes in turn: round after round, each of them once, so that what drifts on the machine hits all alike."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.benchmarks import files, meter
from tests.benchmarks.meter import Measured

OURS = "logitstream"
BEFORE = "before"
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
# The faster form of a peer is the one with the least of so many uncounted runs.
REHEARSALS = 2


@dataclass(frozen=True, slots=True)
class Contender:
    """A name and, by form, a command; ``{out}`` in it stands for what it writes. ``scores``: results are checked."""

    name: str
    forms: dict[str, Sequence[str]]
    scores: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender in one form, with its runs in the order of the rounds, and what the other forms took, uncounted.

    ``before`` is the same command of ours as the other checkout runs it, where there is one.
    """

    name: str
    form: str
    command: Sequence[str]
    runs: list[Measured] = field(default_factory=list)
    rehearsed: dict[str, float] = field(default_factory=dict)
    before: Entry | None = None

    @property
    def label(self) -> str:
        """The name, and the form where there are several."""
        return f"{self.name}, {self.form}" if self.form else self.name


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how cases are run; ``without`` are the peers to leave out, ``before`` another checkout of ours."""

    folder: Path
    scale: float = 1.0
    rounds: int = 5
    without: frozenset[str] = frozenset()
    cold: bool = False
    before: Path | None = None

    def entry(self, name: str, form: str, command: Sequence[str], rehearsed: dict[str, float] | None = None) -> Entry:
        """Return an entry; with another checkout, both run our command from source."""
        seconds = rehearsed or {}
        words = meter.words_of(command)
        if self.before is None or words is None:
            return Entry(name, form, command, rehearsed=seconds)
        other = Entry(BEFORE if name == OURS else f"{name}, {BEFORE}", form, meter.command_of(self.before, *words))
        return Entry(name, form, meter.command_of(meter.ROOT, *words), rehearsed=seconds, before=other)

    def rows(self, count: int) -> int:
        """Return a number of rows, or of what grows with them, at this scale."""
        return max(1, round(count * self.scale))

    def run(self, command: Sequence[str], out: Path) -> Measured:
        """Run once. What earlier runs wrote is on disk before the clock starts, so that nobody pays for another."""
        os.sync()
        if self.cold:
            DROP_CACHES.write_text("3\n")
        return meter.run([part.replace("{out}", str(out)) for part in command])


def say(text: str) -> None:
    """Tell the person who waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def can_drop_caches() -> bool:
    """Return whether this process may drop the page cache."""
    try:
        with DROP_CACHES.open("w"):
            return True
    except OSError:
        return False


def rehearse(
    bench: Bench, contenders: Sequence[Contender], scratch: Path, check: Callable[[Path], float]
) -> list[Entry]:
    """Run every form uncounted, which warms the cache; check what it writes; return each contender's faster form."""
    entries = []
    for contender in contenders:
        seconds = {}
        for form, command in contender.forms.items():
            for entry in with_before([bench.entry(contender.name, form, command)]):
                took = bench.run(entry.command, scratch / "out").seconds
                seconds.setdefault(form, took)
                checked = f"largest difference {check(scratch / 'out'):.1e}, " if contender.scores else ""
                say(f"{entry.label}: {checked}{took:.2f} s")
                clear(scratch / "out")
        for form in (form for _ in range(1, REHEARSALS) for form in contender.forms if len(contender.forms) > 1):
            seconds[form] = min(seconds[form], bench.run(contender.forms[form], scratch / "out").seconds)
            clear(scratch / "out")
        fastest = min(seconds, key=seconds.__getitem__)
        entries.append(bench.entry(contender.name, fastest, contender.forms[fastest], seconds))
    return entries


def measure(bench: Bench, entries: Sequence[Entry], scratch: Path) -> None:
    """Run all in turn, round after round, and keep what was measured with each."""
    every = list(with_before(entries))
    for number in range(bench.rounds):
        for entry in every:
            entry.runs.append(replace(bench.run(entry.command, scratch / "out"), output="", errors=""))
            clear(scratch / "out")
        took = ", ".join(f"{entry.name} {entry.runs[-1].seconds:.2f} s" for entry in every)
        say(f"round {number + 1} of {bench.rounds}: {took}")


def with_before(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield every entry, and behind each of ours the one of the other checkout."""
    for entry in entries:
        yield entry
        if entry.before is not None:
            yield entry.before


def clear(out: Path) -> None:
    """Remove an output, file or folder, and what a run keeps beside it."""
    files.remove(out)
    files.remove(out.with_name(f".{out.name}.logitstream"))
