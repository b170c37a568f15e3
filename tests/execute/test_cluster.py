"""A real scheduler and real workers on loopback."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dask.config
import pytest

from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.execute import cluster as cluster_module
from pipeline.execute import open_scheduler
from pipeline.types import Receipt, Work
from tests.contracts.cluster import Cluster, start_cluster, start_scheduler, wait_for_workers
from tests.contracts.scheduler import Marking, Supply, check_scheduler, no_op, receipt


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that a test may break."""
    with start_cluster(tmp_path) as running:
        yield running


def raise_timeout(work: Work) -> Receipt:
    raise TimeoutError("the task's own")


def end_the_worker(work: Work) -> Receipt:
    if work.chunk == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return receipt(work.chunk)


def slow(work: Work) -> Receipt:
    time.sleep(0.05)
    return receipt(work.chunk)


def _loop_threads() -> int:
    return sum(thread.name.startswith("IO loop") for thread in threading.enumerate())


def test_contract(cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def open_it():
        return open_scheduler(cluster.address, workers=1, wave=128)

    check_scheduler(open_it, tmp_path, wave=128, chunks=1000)
    assert not caplog.records
    assert _loop_threads() == 0


def test_tasks_run_on_every_worker_and_the_window_is_twice_their_threads(cluster: Cluster) -> None:
    supply = Supply.of(40)
    workers = set()

    def done(made: Receipt) -> None:
        workers.add(made.worker)
        supply.done(made)

    with open_scheduler(cluster.address, workers=1, wave=128) as scheduler:
        assert scheduler.name == cluster.address
        scheduler.run(slow, supply.take, done)
    assert len(workers) == 2
    assert supply.largest == 4
    assert supply.delivered == dict.fromkeys(range(40), 1)


def test_nothing_stays_on_the_scheduler_and_the_configuration_is_restored(cluster: Cluster) -> None:
    before = dict(dask.config.config["distributed"]["comm"]["timeouts"])
    level = logging.getLogger("distributed.client").level
    with open_scheduler(cluster.address, workers=1, wave=8) as scheduler:
        supply = Supply.of(50)
        scheduler.run(no_op, supply.take, supply.done)
        deadline = time.monotonic() + 5
        while scheduler.client.run_on_scheduler(_tasks_known) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert scheduler.client.run_on_scheduler(_tasks_known) == 0
        assert not scheduler.client.futures
    assert dask.config.config["distributed"]["comm"]["timeouts"] == before
    assert logging.getLogger("distributed.client").level == level


def _tasks_known(dask_scheduler) -> int:
    return len(dask_scheduler.tasks)


def test_an_error_of_the_task_that_looks_like_ours_is_still_the_tasks(cluster: Cluster) -> None:
    with open_scheduler(cluster.address, workers=1, wave=8) as scheduler:
        with pytest.raises(TimeoutError, match="the task's own"):
            scheduler.run(raise_timeout, Supply.of(5).take, lambda made: None)


def test_an_interrupt_ends_the_run_and_nothing_more_starts(cluster: Cluster, tmp_path: Path) -> None:
    def interrupt() -> None:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    with open_scheduler(cluster.address, workers=1, wave=128) as scheduler:
        sender.start()
        with pytest.raises(KeyboardInterrupt):
            scheduler.run(Marking(str(tmp_path), seconds=0.05), Supply.of(10_000).take, lambda made: None)
    sender.join()
    time.sleep(0.3)
    started = len(list(tmp_path.glob("*.started")))
    time.sleep(0.3)
    assert started == len(list(tmp_path.glob("*.started"))) < 100


def test_a_worker_killed_in_mid_run_loses_no_receipt(own_cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    supply = Supply.of(60)
    killed = []

    def done(made: Receipt) -> None:
        supply.done(made)
        if len(supply.delivered) == 10:
            os.kill(int(made.worker), signal.SIGKILL)
            killed.append(made.worker)

    with open_scheduler(own_cluster.address, workers=1, wave=128) as scheduler:
        scheduler.run(slow, supply.take, done)
    assert killed
    assert set(supply.delivered) == set(range(60))
    assert not caplog.records


def test_a_lost_scheduler_ends_the_run_at_once(own_cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    killed_at = []

    def done(made: Receipt) -> None:
        if not killed_at:
            own_cluster.scheduler.kill()
            killed_at.append(time.monotonic())

    with pytest.raises(UnavailableError, match="connection to the scheduler at tcp://127.0.0.1:.* was lost"):
        with open_scheduler(own_cluster.address, workers=1, wave=128) as scheduler:
            scheduler.run(slow, Supply.of(1000).take, done)
    assert time.monotonic() - killed_at[0] < 5
    assert not caplog.records
    assert _loop_threads() == 0


def test_a_chunk_that_kills_every_worker_is_named(own_cluster: Cluster) -> None:
    with pytest.raises(UnavailableError, match="chunk 3 was given up: 4 workers died"):
        with open_scheduler(own_cluster.address, workers=1, wave=1) as scheduler:
            scheduler.run(end_the_worker, Supply.of(4).take, lambda made: None)


def test_without_workers_the_run_ends_and_begins_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "WORKERS_SECONDS", 1.0)
    with start_scheduler(tmp_path) as lonely:
        with pytest.raises(UnavailableError, match="no worker for 1 seconds"):
            with open_scheduler(lonely.address, workers=1, wave=8):
                pass
        with pytest.raises(UnavailableError, match="no worker for 1 seconds"), lonely.worker("--no-nanny") as worker:
            wait_for_workers(lonely.address, 1)
            with open_scheduler(lonely.address, workers=1, wave=8) as scheduler:
                scheduler.run(slow, Supply.of(100).take, lambda made: worker.kill())


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 1.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(UnavailableError, match="no Dask scheduler answers"):
            with open_scheduler(f"tcp://127.0.0.1:{closed.getsockname()[1]}", workers=1, wave=8):
                pass
    assert _loop_threads() == 0


def test_somebody_else_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with pytest.raises(UnavailableError, match="no Dask scheduler answers"):
            with open_scheduler(f"tcp://127.0.0.1:{mute.getsockname()[1]}", workers=1, wave=8):
                pass
    assert _loop_threads() == 0


def _older_numpy(folder: Path) -> dict[str, str]:
    """An environment in which numpy says of itself that it is another version."""
    about = folder / "numpy-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0\n")
    root = Path(__file__).resolve().parents[2]
    return {"PYTHONPATH": f"{folder}{os.pathsep}{root}"}


def test_a_worker_with_another_numpy_is_refused_before_and_in_mid_run(tmp_path: Path) -> None:
    (logs := tmp_path / "logs").mkdir()
    odd = _older_numpy(tmp_path / "odd")
    with start_scheduler(logs) as own:
        with own.worker():
            wait_for_workers(own.address, 1)
            with open_scheduler(own.address, workers=1, wave=8) as scheduler, own.worker(environment=odd):
                with pytest.raises(ConfigurationError, match=r"worker tcp://\S+ has numpy 1\.0 \(here "):
                    scheduler.run(slow, Supply.of(2000).take, lambda made: None)
        with own.worker(environment=odd):
            wait_for_workers(own.address, 1)
            with pytest.raises(ConfigurationError, match=r"worker tcp://\S+ has numpy 1\.0 \(here "):
                with open_scheduler(own.address, workers=1, wave=8):
                    pass


def test_a_cluster_that_cannot_import_the_task_is_named_so(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    stranger = types.ModuleType("stranger")
    exec("def task(work): return work", stranger.__dict__)
    monkeypatch.setitem(sys.modules, "stranger", stranger)
    with pytest.raises(ConfigurationError, match="No module named 'stranger'"):
        with open_scheduler(cluster.address, workers=1, wave=8) as scheduler:
            scheduler.run(stranger.task, Supply.of(5).take, lambda made: None)


def test_a_worker_that_cannot_import_the_package_is_named_so(tmp_path: Path) -> None:
    with start_scheduler(tmp_path) as own, own.worker(environment={"PYTHONPATH": ""}):
        wait_for_workers(own.address, 1)
        with pytest.raises(ConfigurationError, match="No module named|logitstream not installed"):
            with open_scheduler(own.address, workers=1, wave=8) as scheduler:
                scheduler.run(no_op, Supply.of(5).take, lambda made: None)
