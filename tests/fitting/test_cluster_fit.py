"""Fits on a cluster of real processes: the bits of a fit here, also where a worker is killed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.fitting.running import run
from pipeline.training import fit_job
from tests.contracts.cluster import start_cluster, wait_for_workers
from tests.fitting.scans import numbers_table, write

pytestmark = pytest.mark.slow

ROWS, COLUMNS = 150_000, 4


def model_of(data: Path, scheduler: str, observe: Callable[[object], None] | None = None) -> str:
    job = fit_job(str(data), target="y", features="*", scheduler=scheduler, chunk_size="4000")
    return run(job, observe).model.to_json()


def test_a_cluster_gives_the_bits_of_a_fit_here_also_where_a_worker_is_killed(tmp_path: Path) -> None:
    data = write(numbers_table(ROWS, COLUMNS), tmp_path / "data", groups=2_000)
    expected = model_of(data, "sync")
    with start_cluster(tmp_path, workers=2) as cluster, cluster.worker("--no-nanny") as victim:
        wait_for_workers(cluster, 3)
        timers: list[threading.Timer] = []

        def kill(_: object) -> None:
            # A moment after the first pass: while the second is under way.
            if not timers:
                timers.append(threading.Timer(0.1, victim.kill))
                timers[0].start()

        assert model_of(data, cluster.address, kill) == expected
        timers[0].join()
        assert victim.wait(30) < 0
        assert model_of(data, cluster.address) == expected
