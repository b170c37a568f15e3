"""Which chunks have their columns decoded on cores that no worker uses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
)
from pipeline.sources import THREADED_ROWS
from pipeline.types.inputs import CsvOptions, Need
from pipeline.types.work import Outcome

ROWS = THREADED_ROWS + 1


@pytest.fixture(autouse=True)
def two_in_the_pool() -> Iterator[None]:
    before = pa.cpu_count()
    pa.set_cpu_count(2)
    yield
    pa.set_cpu_count(before)


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
    assert scan_of(tmp_path, chunks, workers, scheduler).threaded_from == first


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
