"""Whole runs that wait for a cluster, and workers that cannot do the work: how they end, and what is said."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from distributed import Client

import pipeline
from jobs.cli import run as run_command
from pipeline import flow, interface
from pipeline.errors import ConfigurationError, TemporaryError, UnavailableError
from tests.contracts.cluster import ROOT, Cluster, start_scheduler, wait_for_workers
from tests.execute.adapting import adaptive_cluster
from tests.flow.conftest import tree

pytestmark = pytest.mark.slow

MODEL = ROOT / "sample_data" / "delay_model.json"
SETTINGS = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "7s"}


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler without workers."""
    with start_scheduler(tmp_path_factory.mktemp("cluster"), SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flights")
    path = next((ROOT / "sample_data" / "flights").glob("*.parquet"))
    pq.write_table(pq.read_table(path).slice(0, 2_000), folder / "a.parquet", row_group_size=300)
    return folder


def score(flights: Path, output: Path, address: str, *words: object) -> int:
    line = ["score", flights, "--model", MODEL, "--output", output, "--scheduler", address, "--chunk-size", 300, *words]
    return run_command([str(word) for word in line])


def test_a_deadline_ends_a_run_that_waits_for_a_worker(
    lonely: Cluster, flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Nothing can finish without a worker, so the grace period is not waited for: that would end with 69.
    patience = ("--grace", "10m", "--wait-workers", "60s")
    assert score(flights, tmp_path / "out", lonely.address, "--deadline", "2s", *patience) == 75
    assert "stopped by its deadline of 2.00 s" in capfd.readouterr().err
    with pytest.raises(TemporaryError, match="stopped by its deadline"):
        pipeline.score(flights, MODEL, tmp_path / "out", scheduler=lonely.address, chunk_size=300, deadline=1)
    assert not (tmp_path / "out").exists()


def test_a_deadline_ends_a_run_whose_only_worker_hangs(
    lonely: Cluster, flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with lonely.worker("--no-nanny") as worker:
        wait_for_workers(lonely, len(list(lonely.folder.glob("worker-*.log"))))
        worker.send_signal(signal.SIGSTOP)
        assert score(flights, tmp_path / "out", lonely.address, "--deadline", "1s") == 75
    assert "stopped by its deadline of 1.00 s" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_deadline_ends_a_run_in_python_whose_worker_is_busy_for_another_client(
    lonely: Cluster, flights: Path, tmp_path: Path
) -> None:
    job = interface.score_job(flights, MODEL, tmp_path / "out", scheduler=lonely.address, chunk_size=300, deadline=1)
    with lonely.worker("--no-nanny"), Client(lonely.address, set_as_default=False) as other:
        other.wait_for_workers(1)
        busy = other.submit(time.sleep, 60)
        with pytest.raises(TemporaryError, match="stopped by its deadline"):
            flow.run(job, stop=flow.Stop(grace_seconds=0.5))
        busy.release()
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_falls_silent_ends_a_run_after_the_time_that_the_option_says(
    lonely: Cluster, flights: Path, tmp_path: Path
) -> None:
    def stop(event: object) -> None:
        if type(event).__name__ == "Progressed":
            lonely.scheduler.send_signal(signal.SIGSTOP)

    options = {"scheduler": lonely.address, "scheduler_timeout": 2, "observe": stop, "chunk_size": 300}
    with lonely.worker("--no-nanny"):
        try:
            with pytest.raises(UnavailableError, match=r"not answered for 2\.00 s\n.*--scheduler-timeout") as caught:
                pipeline.score(flights, MODEL, tmp_path / "out", **options)
        finally:
            lonely.scheduler.send_signal(signal.SIGCONT)
    assert caught.value.exit_code == 69
    assert not (tmp_path / "out").exists()


def test_a_run_without_workers_ends_when_it_has_waited_for_them(
    lonely: Cluster, flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Longer than the time between two questions whether there is one.
    patience = ("--wait-workers", "3s", "--deadline", "2m")
    assert score(flights, tmp_path / "out", lonely.address, *patience) == 69
    said = capfd.readouterr().err
    assert "has had no worker for 3.00 s" in said
    assert "--wait-workers" in said


def test_a_plan_says_after_which_silence_a_worker_counts_as_dead(
    lonely: Cluster, flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert score(flights, tmp_path / "out", lonely.address, "--dry-run") == 0
    said = capfd.readouterr().out
    assert "a worker that is silent for 7.00 s counts as dead" in said
    assert "the cluster has no worker yet" in said


def test_a_worker_that_sees_another_file_is_named(lonely: Cluster, flights: Path, tmp_path: Path) -> None:
    """The input is touched once the run is planned, so that the first worker finds another one."""

    def touch(event: object) -> None:
        if type(event).__name__ == "Planned":
            os.utime(flights / "a.parquet", (1, 1))

    before = (flights / "a.parquet").stat()
    try:
        with lonely.worker("--no-nanny"), pytest.raises(ConfigurationError) as caught:
            pipeline.score(
                flights,
                MODEL,
                tmp_path / "out",
                scheduler=lonely.address,
                chunk_size=300,
                observe=touch,
            )
    finally:
        os.utime(flights / "a.parquet", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert caught.value.message.startswith("worker tcp://127.0.0.1:")
    assert "a.parquet is not the file that was planned" in caught.value.message


def test_a_worker_whose_threads_may_take_more_than_its_memory_is_named_with_the_option_to_change(
    lonely: Cluster, flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with lonely.worker("--no-nanny", "--nthreads", "8", memory="350MiB"):
        assert score(flights, tmp_path / "out", lonely.address) == 71
    said = capfd.readouterr().err
    assert re.search(
        r"worker tcp://\S+: its memory limit is 350 MiB, but the job may take [\d.,]+ [MG]iB in its 8 threads", said
    )
    assert "lower --memory" in said
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_adapts_from_zero_gives_the_same_bytes_and_says_nothing(
    flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert score(flights, tmp_path / "here", "sync", "-q") == 0
    with adaptive_cluster(tmp_path / "workers") as address:
        assert score(flights, tmp_path / "there", address, "-q") == 0
    # With -q the end of a good run is silent, and so is distributed.
    assert capfd.readouterr() == ("", "")
    here, there = (tree(tmp_path / name) for name in ("here", "there"))
    assert {name: here[name] for name in here if name != "_manifest.json"} == {
        name: there[name] for name in there if name != "_manifest.json"
    }
