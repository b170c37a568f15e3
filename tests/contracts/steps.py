"""Steps for the tests of scans, in a module that every worker can import."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import LogitstreamError, TransientError
from pipeline.scan import Batch, ChunkContext, JoinedBatch
from pipeline.types.blocks import Values
from pipeline.types.features import FeatureCount
from pipeline.types.rows import BadCell, Slice
from pipeline.types.work import Outcome


def add_up(context: ChunkContext) -> Outcome[float]:
    """Return the sum of the first column times the factor of the settings and that of the parameters."""
    factor = float(context.settings.get("factor", 1.0)) * float(context.parameters or b"1")
    total = 0.0
    for batch in context.batches():
        total += factor * float(np.nansum(batch.data.column(0).cast(pa.float64()).to_numpy(zero_copy_only=False)))
    return context.outcome(total)


def describe(context: ChunkContext) -> Outcome[list[Any]]:
    """Return what became of each slice of the chunk, and what was set aside."""
    rows: dict[int, int] = {}
    sizes: list[int] = []
    aside: list[tuple[int, int]] = []
    failed: list[tuple[int, str]] = []

    def set_aside(piece: Slice, cell: BadCell) -> None:
        aside.append((piece.file, cell.record))

    def fail(position: int, error: LogitstreamError) -> None:
        failed.append((context.chunk.slices[position].file, type(error).__name__))

    for batch in context.batches(set_aside=set_aside, failed=fail):
        rows[batch.file] = rows.get(batch.file, 0) + batch.data.num_rows
        sizes.append(batch.data.num_rows)
        assert [need.name for need in context.needs(batch.file)] == batch.data.schema.names
    context.count({"batches": len(sizes)})
    return context.outcome([rows, max(sizes, default=0), aside, failed])


def reject_odd(context: ChunkContext) -> Outcome[int]:
    """Reject the rows whose first value is odd; return how many rows were used."""
    return context.outcome(sum(map(_without_odd, context.batches())))


def reject_odd_of_all(context: ChunkContext) -> Outcome[int]:
    """Do the same with the rows of small files together."""
    return context.outcome(sum(map(_without_odd, context.joined())))


def _without_odd(batch: Batch | JoinedBatch) -> int:
    values = batch.data.column(0).to_pylist()
    odd = tuple(
        BadCell(row, "x", str(value), "unseen refused")
        for row, value in enumerate(values)
        if value is not None and value % 2
    )
    found = Values((), null=values.count(None), rejected=odd)
    if isinstance(batch, JoinedBatch) and not batch.tells_apart(found):
        return sum(map(_without_odd, batch.apart()))
    mask = batch.settle(found)
    return int(batch.data.num_rows if mask is None else mask.true_count)


def rows_of_batches(context: ChunkContext) -> Outcome[list[int]]:
    """Return the rows of each batch, those of small files together."""
    return context.outcome([batch.data.num_rows for batch in context.joined()])


def rows_taken_apart(context: ChunkContext) -> Outcome[list[int]]:
    """Return the rows of each batch, and after those of joined files the rows of each of them."""
    sizes: list[int] = []
    for batch in context.joined():
        sizes.append(batch.data.num_rows)
        if isinstance(batch, JoinedBatch):
            sizes.extend(each.data.num_rows for each in batch.apart())
    return context.outcome(sizes)


def tells_levels_apart(context: ChunkContext) -> Outcome[list[bool]]:
    """Return of each batch of joined files whether the unseen level "z" and null are known by file."""
    found: list[bool] = []
    for batch in context.joined():
        cells = batch.data.column(0).to_pylist()
        lack = FeatureCount(cells.count(None), cells.count("z"))
        found.append(isinstance(batch, JoinedBatch) and batch.tells_apart(Values((), features={"x": lack})))
    return context.outcome(found)


def process_of(context: ChunkContext) -> Outcome[int]:
    """Return the process, prepared once, that worked."""
    prepared = context.once("process", _process)
    for _ in context.batches():
        pass
    return context.outcome(prepared)


def _process(_: Mapping[str, Any]) -> int:
    return os.getpid()


def fail_once(context: ChunkContext) -> Outcome[int]:
    """Fail with a temporary error the first time that a chunk is tried."""
    folder = context.settings["folder"]
    mark = os.path.join(folder, str(context.chunk.index))  # noqa: PTH118 - a name of a test
    rows = sum(batch.data.num_rows for batch in context.batches())
    if not os.path.exists(mark):  # noqa: PTH110
        with open(mark, "w") as file:  # noqa: PTH123
            json.dump(rows, file)
        raise TransientError("try again")
    return context.outcome(rows)
