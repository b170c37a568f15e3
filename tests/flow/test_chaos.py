"""Runs in which a random worker is killed again and again: the output is that of a run without a cluster."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.types.report import Event, Progressed
from tests.contracts.cluster import Cluster, start_scheduler, wait_for_workers
from tests.flow import slowness
from tests.flow.test_cluster_run import check_same
from tests.seeds import seeds

WORKERS, CHUNKS = 2, 40
# Each death of a worker counts against every chunk that it was handed.
SETTINGS = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "20"}


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, list[subprocess.Popen[bytes]]]]:
    """A scheduler, and nannies that start their workers again."""
    with ExitStack() as stack:
        running = stack.enter_context(start_scheduler(tmp_path_factory.mktemp("cluster"), SETTINGS))
        nannies = [stack.enter_context(running.worker("--nanny")) for _ in range(WORKERS)]
        wait_for_workers(running, WORKERS)
        yield running, nannies


class Killer:
    """Kills a random worker again and again, once some chunks were done in between; observes the run."""

    def __init__(self, nannies: list[subprocess.Popen[bytes]], draw: random.Random) -> None:
        self.nannies, self.draw = nannies, draw
        self.over, self.done, self.killed = threading.Event(), 0, []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self.done += 1

    def kill(self) -> None:
        before = 0
        while not self.over.wait(self.draw.uniform(0.2, 1)):
            workers = self.workers()
            if workers and self.done >= before + 12:
                before = self.done
                self.killed.append(self.draw.choice(workers))
                os.kill(self.killed[-1], signal.SIGKILL)

    def workers(self) -> list[int]:
        found = []
        for nanny in self.nannies:
            for each in psutil.Process(nanny.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if "spawn_main" in " ".join(each.cmdline()):
                        found.append(each.pid)
        return found

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.kill)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


@pytest.mark.parametrize("seed", seeds(20, slow=2))
def test_random_deaths_lose_and_double_nothing(
    cluster: tuple[Cluster, list[subprocess.Popen[bytes]]], tmp_path: Path, seed: int
) -> None:
    running, nannies = cluster
    rows = pa.table({"id": np.arange(CHUNKS * 50), "x": np.linspace(0, 9, CHUNKS * 50)})
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=50)
    dataset = pipeline.open_dataset(tmp_path / "rows.parquet", chunk_size=50)
    root = dataset.to_dask_array(["x"])[:, 0].map_blocks(slowness.root)
    options = {"keep": ["id"], "identity": "roots"}
    with Killer(nannies, random.Random(seed)) as killer:
        dataset.write({"root": root}, tmp_path / "out", scheduler=running.address, observe=killer, **options)
    dataset.write({"root": root}, tmp_path / "local", scheduler="threads", workers=8, **options)
    print(f"{len(killer.killed)} workers killed")
    assert killer.killed
    here, there = (pq.read_table(tmp_path / name) for name in ("local", "out"))
    assert here == there
    assert there["id"].to_pylist() == list(range(CHUNKS * 50))
    check_same(tmp_path / "out", tmp_path / "local", "threads")
