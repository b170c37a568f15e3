"""How many rows each chunk of a dataset has, and where chunks begin inside a CSV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.plan import Plan
from pipeline.scan import ChunkContext, HowToScan, Needs, StepCosts, open_scan, prepare_scan
from pipeline.types.inputs import CsvOptions, FileFacts, Integers
from pipeline.types.work import Outcome


@dataclass(frozen=True, slots=True)
class Counted:
    """The rows of each chunk, and where it begins inside a CSV: 0 if at the start of a file, or in Parquet."""

    rows: tuple[int, ...]
    begins: Integers


def count_rows(files: Sequence[FileFacts], plan: Plan, csv: CsvOptions) -> Counted:
    """Return the rows of each chunk: from footers if possible, else from one pass over the data."""
    if all(facts.rows is not None for facts in files):
        rows = tuple(sum(piece.rows or 0 for piece in chunk.slices) for chunk in plan.chunks())
        return Counted(rows, np.zeros(len(plan), dtype=np.int64))
    found = np.zeros(len(plan), dtype=np.int64)

    def keep(outcome: Outcome[None]) -> None:
        found[outcome.chunk] = outcome.rows

    prepared = prepare_scan(files, Needs.of(()), plan, csv, StepCosts(travels=True), HowToScan())
    with open_scan(prepared) as scan:
        agenda = scan.agenda(keep)
        scan.run(count, agenda)
        agenda.require_complete()
    return Counted(tuple(found.tolist()), prepared.begins)


def count(context: ChunkContext) -> Outcome[None]:
    """Read a chunk to its end, only to count its rows."""
    for _ in context.batches():
        pass
    return context.outcome(None)
