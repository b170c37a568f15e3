"""Any number of solvers over shared passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.fitting.objective import PassRecord, Solution, Solver
from pipeline.fitting.points import Passes, PassSums, Point

# Called after each pass with its number from 1, the points and sums of the models that shared it, and what each solver
# made of them.
Observer = Callable[[int, Sequence[Point], Sequence[PassSums], Sequence[PassRecord | None]], None]


def drive(passes: Passes, solvers: Sequence[Solver], observe: Observer | None = None) -> list[Solution]:
    """Return what each solver finds; those that are not done share each pass."""
    found: dict[int, Solution] = {}
    waiting = {number: next(solver) for number, solver in enumerate(solvers)}
    count = 0
    while waiting:
        numbers, points = list(waiting), list(waiting.values())
        sums = passes.sums(points)
        count += 1
        records: list[PassRecord | None] = []
        for number, answer in zip(numbers, sums, strict=True):
            try:
                waiting[number] = solvers[number].send(answer)
                records.append(waiting[number].record)
            except StopIteration as end:
                del waiting[number]
                found[number] = end.value
                records.append(end.value.records[-1] if end.value.records else None)
        if observe is not None:
            observe(count, points, sums, records)
    return [found[number] for number in range(len(solvers))]
