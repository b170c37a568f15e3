"""Whole runs of which the process, or one worker after another, is killed: what they leave, and how they resume."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client

import pipeline
from pipeline.errors import TemporaryError
from tests.contracts.cluster import ROOT, Cluster, start_cluster
from tests.flow import slowness
from tests.flow.test_cluster_run import check_nothing_published, check_same, home_of, receipts_so_far

pytestmark = pytest.mark.slow

CHUNKS, ROWS = 30, 50
# The block that a test holds back, or that ends its workers.
VALUE = 10.0 * ROWS
KILLED = """
import sys
from tests.flow.test_cluster_deaths import write
write(*sys.argv[1:])
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A worker with two threads."""
    with start_cluster(tmp_path_factory.mktemp("cluster"), "--no-nanny", "--nthreads", "2", workers=1) as running:
        yield running


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    numbers = np.arange(CHUNKS * ROWS)
    pq.write_table(pa.table({"id": numbers, "x": numbers.astype(float)}), path, row_group_size=ROWS)
    return path


def write(source: str, output: str, scheduler: str, kind: str, **more: Any) -> Any:
    """Publish an expression of a kind."""
    dataset = pipeline.open_dataset(source, chunk_size=ROWS)
    function = getattr(slowness, kind)(str(Path(source).parent), VALUE)
    values = dataset.to_dask_array(["x"])[:, 0].map_blocks(function, meta=np.empty(0))
    return dataset.write({"root": values}, output, keep=["id"], identity="roots", scheduler=scheduler, **more)


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def known(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def running(dask_worker: Any) -> int:
    return len(dask_worker.state.all_running_tasks)


@pytest.mark.parametrize("late", [False, True], ids=["while it is resumed", "after it is published"])
def test_a_killed_run_is_resumed_on_the_same_cluster_whatever_its_last_tasks_do(
    cluster: Cluster, rows: Path, tmp_path: Path, late: bool
) -> None:
    """A task of the killed run ends only when the next run is under way, or has published."""
    output, held, go = (tmp_path / name for name in ("out", "held", "go"))

    def release(_: object) -> None:
        if not late:
            go.touch()

    line = [sys.executable, "-c", KILLED, str(rows), str(output), cluster.address, "Held"]
    with subprocess.Popen(line, env={**os.environ, "PYTHONPATH": str(ROOT)}) as killed:
        wait_until(lambda: held.exists() and len(receipts_so_far(output)) >= 6)
        killed.kill()
    done = len(receipts_so_far(output))
    check_nothing_published(output)
    report = write(str(rows), str(output), cluster.address, "Held", observe=release)
    go.touch()
    assert 6 <= report.totals.resumed == done < CHUNKS
    with Client(cluster.address, set_as_default=False) as client:
        wait_until(lambda: not any(client.run(running).values()))
        wait_until(lambda: client.run_on_scheduler(known) == 0)
    write(str(rows), str(tmp_path / "local"), "threads", "Held", workers=8)
    check_same(output, tmp_path / "local", "threads")
    assert not list(home_of(output).glob("jobs/*"))


def test_a_chunk_that_ends_its_workers_is_named_and_the_run_resumes_once_it_does_so_no_longer(
    rows: Path, tmp_path: Path
) -> None:
    output, deadly = tmp_path / "out", tmp_path / "deadly"
    deadly.touch()
    no_death = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with start_cluster(tmp_path, "--nanny", workers=1, environment=no_death) as cluster:
        named = r"^chunk 10: rows\.parquet, row groups 10 to 10 was given up"
        with pytest.raises(TemporaryError, match=named) as caught:
            write(str(rows), str(output), cluster.address, "Deadly")
        assert caught.value.exit_code == 75
        check_nothing_published(output)
        deadly.unlink()
        report = write(str(rows), str(output), cluster.address, "Deadly")
    assert 8 <= report.totals.resumed < CHUNKS
    write(str(rows), str(tmp_path / "local"), "threads", "Deadly", workers=8)
    check_same(output, tmp_path / "local", "threads")
