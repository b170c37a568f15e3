"""Any number of solvers over shared passes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

from pipeline.errors import DataError
from pipeline.fitting.passes.points import Passes, PassSums, Point
from pipeline.fitting.solving.objective import PassRecord

# Called after each pass with its number from 1, the points and sums of the models that shared it, and what each solver
# made of them.
Observer = Callable[[int, Sequence[Point], Sequence[PassSums], Sequence[PassRecord | None]], None]


class Recorded(Protocol):
    """What solvers return: it has the records of their passes."""

    @property
    def records(self) -> tuple[PassRecord, ...]:
        """The records, in order."""
        ...


Found = TypeVar("Found", bound=Recorded)


def drive(
    passes: Passes,
    solvers: Sequence[Generator[Point, PassSums, Found]],
    observe: Observer | None = None,
    *,
    together: int | None = None,
) -> list[Found]:
    """Return what each solver finds; those that are not done share each pass.

    Parameters
    ----------
    passes : Passes
    solvers : sequence of generator
    observe : callable, optional
    together : int, optional
        How many share a pass at most: the next one begins when one is done. What each finds does not depend on it.

    Raises
    ------
    DataError
        No row that is fitted has a weight.
    """
    found: dict[int, Found] = {}
    queue, waiting = deque(range(len(solvers))), dict[int, Point]()
    count = 0
    while queue or waiting:
        while queue and (together is None or len(waiting) < max(1, together)):
            waiting[queue[0]] = next(solvers[queue[0]])
            queue.popleft()
        points = list(waiting.values())
        sums = passes.sums(points)
        count += 1
        records: list[PassRecord | None] = []
        for number, answer in zip(list(waiting), sums, strict=True):
            records.append(_told(number, solvers[number], answer, waiting, found))
        if observe is not None:
            observe(count, points, sums, records)
    return [found[number] for number in range(len(solvers))]


def _told(
    number: int,
    solver: Generator[Point, PassSums, Found],
    sums: PassSums,
    waiting: dict[int, Point],
    found: dict[int, Found],
) -> PassRecord | None:
    """Tell a solver the sums of its point, note its next point or what it found, and return its record of the pass."""
    if not sums.weight > 0:
        raise DataError(f"no row with a positive weight is left to fit, of {sums.rows:,} rows")
    try:
        waiting[number] = solver.send(sums)
    except StopIteration as end:
        del waiting[number]
        found[number] = end.value
        return found[number].records[-1] if found[number].records else None
    return waiting[number].record
