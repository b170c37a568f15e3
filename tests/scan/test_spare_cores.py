"""Which chunks have their columns decoded on cores that no worker uses."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.memory import COLUMN_THREADS_BYTES
from pipeline.plan import make_plan
from pipeline.scan import (
    ChunkContext,
    HowToScan,
    Needs,
    PreparedScan,
    StepCosts,
    discover,
    gather_facts,
    open_scan,
    prepare_scan,
    within,
)
from pipeline.sources import THREADED_ROWS
from pipeline.types.inputs import CsvOptions, Need
from pipeline.types.work import Outcome

pytestmark = pytest.mark.usefixtures("two_in_the_pool")

ROWS = THREADED_ROWS + 1


def scan_of(folder: Path, chunks: int, workers: int, scheduler: str = "threads") -> PreparedScan:
    path = folder / "x.parquet"
    pq.write_table(pa.table({"x": np.arange(float(chunks * ROWS))}), path, row_group_size=ROWS)
    facts = gather_facts(discover((str(path),)).files, CsvOptions())
    plan = make_plan(facts, chunk_size=str(ROWS))
    how = HowToScan(scheduler=scheduler, workers=workers)
    return prepare_scan(facts, Needs.of([Need("x", "numeric")]), plan, CsvOptions(), StepCosts(), how)


@pytest.mark.parametrize(
    ("chunks", "workers", "scheduler", "first"),
    [
        (1, 2, "threads", 0),
        (4, 2, "threads", 4),
        (5, 2, "threads", 4),
        (5, 3, "threads", 3),
        (5, 1, "threads", 5),
        (5, 2, "processes", 5),
        (5, 2, "sync", 5),
    ],
)
def test_those_left_when_each_worker_has_had_as_many_as_the_others(
    tmp_path: Path, chunks: int, workers: int, scheduler: str, first: int
) -> None:
    assert scan_of(tmp_path, chunks, workers, scheduler).threaded_from() == first


@pytest.mark.parametrize(("left", "first"), [([], 6), ([2], 2), ([2, 4], 6), ([0, 2, 5], 5)])
def test_of_those_that_are_still_to_do(tmp_path: Path, left: list[int], first: int) -> None:
    assert scan_of(tmp_path, 6, 2).threaded_from(np.array(left, dtype=np.int64)) == first


@pytest.mark.parametrize(("chunks", "without", "with_room"), [(1, 1, 0), (3, 3, 2)])
def test_none_where_the_budget_has_no_room_for_more_threads(
    tmp_path: Path, chunks: int, without: int, with_room: int
) -> None:
    scan = scan_of(tmp_path, chunks, 2)
    needed = scan.demand.projected_bytes(scan.resources.workers, scan.resources.batch_rows)
    tight, enough = (within(scan, needed + COLUMN_THREADS_BYTES - missing) for missing in (1, 0))
    assert (tight.threaded_from(), enough.threaded_from()) == (without, with_room)
    assert not tight.resources.column_threads
    assert tight.resources.projected_bytes == needed
    assert enough.resources.column_threads == (chunks == 1)
    assert enough.resources.projected_bytes == needed + (COLUMN_THREADS_BYTES if chunks == 1 else 0)


def _decoding(context: ChunkContext) -> Outcome[bool]:
    """Return whether a thread decodes what comes next while rows of the chunk are used."""
    found = False
    for _ in context.batches():
        names = {thread.name.rpartition("_")[0] for thread in threading.enumerate()}
        found = found or "logitstream-decode" in names
    return context.outcome(found)


@pytest.mark.parametrize(("chunks", "apart"), [(2, []), (3, [2])])
def test_only_their_columns_are_decoded_apart(tmp_path: Path, chunks: int, apart: list[int]) -> None:
    found: dict[int, bool | None] = {}
    with open_scan(scan_of(tmp_path, chunks, 2)) as opened:
        opened.follow(_decoding, range(chunks), lambda outcome: found.update({outcome.chunk: outcome.payload}))
    assert set(found) == set(range(chunks))
    # Chunks under way at the same time see each other's threads.
    assert all(found[chunk] for chunk in apart)
    assert apart or not any(found.values())
