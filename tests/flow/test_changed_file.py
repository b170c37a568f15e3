"""A run of which most parts are published already: what is left has all cores."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources import THREADED_ROWS
from tests.flow.conftest import Bench

pytestmark = pytest.mark.usefixtures("two_in_the_pool")

ROWS = THREADED_ROWS + 1
MODEL = [{"column": "x", "kind": "numeric", "coefficient": 1.0}]


@contextmanager
def started_threads() -> Iterator[set[str]]:
    """Yield what the threads that start meanwhile are called, without their numbers."""
    names: set[str] = set()

    def note(*_: object) -> None:
        names.add(threading.current_thread().name.rpartition("_")[0])
        sys.setprofile(None)

    threading.setprofile(note)
    try:
        yield names
    finally:
        threading.setprofile(None)


@pytest.mark.parametrize(("changed", "apart"), [([2], True), ([1, 3], False)])
def test_the_only_chunk_that_is_left_is_decoded_on_the_cores_left_over(
    bench: Bench, changed: list[int], apart: bool
) -> None:
    def put(number: int, start: float) -> None:
        bench.put(f"f{number}.parquet", pa.table({"x": np.arange(start, start + ROWS) / ROWS}))

    def score() -> str:
        report = bench.score(model=model, scheduler="threads", workers=2, chunk_size=ROWS, if_exists="replace")
        return str(report.notes)

    model = bench.model(MODEL)
    for number in range(4):
        put(number, 0.0)
    with started_threads() as names:
        score()
    assert "logitstream-decode" not in names
    for number in changed:
        put(number, 5.0)
    with started_threads() as names:
        assert f"{4 - len(changed)} reused" in score()
    assert ("logitstream-decode" in names) == apart
    again = bench.table()
    bench.score(model=model, output=bench.folder / "anew", chunk_size=ROWS)
    anew = pa.concat_tables([pq.read_table(part) for part in sorted((bench.folder / "anew").glob("*.parquet"))])
    assert again.num_rows == 4 * ROWS
    assert again.equals(anew)
