"""A real scheduler and real workers on loopback."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
import types
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dask.config
import pytest
from distributed import get_worker

from pipeline.errors import Abandoned, ConfigurationError, TemporaryError, UnavailableError, UsageError
from pipeline.execute import ClusterPatience, ClusterTerms, open_scheduler
from pipeline.execute.cluster import connecting, pulse
from pipeline.types.outputs import Receipt
from pipeline.types.work import Scheduler, Work
from tests.contracts.cluster import ROOT, Cluster, start_cluster, start_scheduler, wait_for_workers
from tests.contracts.scheduler import Supply, check_all_ended, check_scheduler
from tests.contracts.tasks import Marking, no_op, receipt
from tests.execute.leaving import Leave

pytestmark = pytest.mark.slow

WAVE = 32  # more than the window of two workers


def raise_timeout(work: Work) -> Receipt:
    raise TimeoutError("the task's own")


def end_the_worker(work: Work) -> Receipt:
    if work.chunk == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return receipt(work.chunk)


def slow(work: Work) -> Receipt:
    time.sleep(0.05)
    return receipt(work.chunk)


def long(work: Work) -> Receipt:
    time.sleep(0.6)
    return receipt(work.chunk)


def tasks_known(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def open_it(cluster: Cluster, wave: int = WAVE, **patience: float) -> AbstractContextManager[Scheduler]:
    terms = ClusterTerms(ClusterPatience(**patience))
    return open_scheduler(cluster.address, workers=1, wave=wave, terms=terms)


def run(cluster: Cluster, task, chunks: int, done=lambda made: None, wave: int = WAVE, **patience: float) -> None:
    with open_it(cluster, wave, **patience) as scheduler:
        scheduler.run(task, Supply.of(chunks).take, done)


def loop_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(("IO loop", "logitstream"))]


def test_contract(cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check_scheduler(lambda: open_it(cluster), tmp_path, wave=WAVE, chunks=300)
    assert not caplog.records
    assert not loop_threads()


def test_tasks_run_on_every_worker_and_the_window_is_twice_their_threads_if_they_take_long(cluster: Cluster) -> None:
    supply = Supply.of(8)
    workers = set()

    def done(made: Receipt) -> None:
        workers.add(made.worker)
        supply.done(made)

    with open_it(cluster) as scheduler:
        assert scheduler.name == cluster.address
        scheduler.run(long, supply.take, done)
    assert len(workers) == 2
    assert supply.largest == 4
    assert supply.delivered == dict.fromkeys(range(8), 1)


def test_nothing_stays_on_the_scheduler_and_what_was_set_is_restored(cluster: Cluster) -> None:
    with dask.config.set({"distributed.comm.retry.count": 7}):
        level = logging.getLogger("distributed.client").level
        with open_it(cluster, wave=8) as scheduler:
            scheduler.run(no_op, Supply.of(50).take, lambda made: None)
            deadline = time.monotonic() + 30
            while (known := scheduler.client.run_on_scheduler(tasks_known)) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert known == 0
            sender = scheduler.client.scheduler_comm
        assert sender.stopped.is_set()  # or asyncio logs an error now and then, when a timer of it is left
        assert dask.config.get("distributed.comm.retry.count") == 7
        assert logging.getLogger("distributed.client").level == level


def test_a_run_that_ends_while_it_connects_leaves_nothing_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    begun = time.monotonic()

    def check() -> None:
        if time.monotonic() - begun > 0.5:
            raise TemporaryError("stopped by its deadline", "run again")

    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen()
        address = f"tcp://127.0.0.1:{port.getsockname()[1]}"
        scheduler = open_scheduler(address, workers=1, wave=8, terms=ClusterTerms(check=check))
        with pytest.raises(TemporaryError, match="stopped by its deadline"), scheduler:
            pass
    gc.collect()
    assert not told
    assert not loop_threads()


def test_an_error_of_the_task_that_looks_like_one_of_the_network_is_the_tasks(cluster: Cluster) -> None:
    with pytest.raises(TimeoutError, match="the task's own"):
        run(cluster, raise_timeout, 5)


def test_an_interrupt_ends_the_run_and_nothing_more_starts(cluster: Cluster, tmp_path: Path) -> None:
    with open_it(cluster) as scheduler, pytest.raises(KeyboardInterrupt), Leave(KeyboardInterrupt, tmp_path, tasks=6):
        scheduler.run(Marking(str(tmp_path), seconds=0.05), Supply.of(10_000).take, lambda made: None)
    check_all_ended(tmp_path)
    assert len(list(tmp_path.glob("*.started"))) < 1000


def test_an_abandoned_run_leaves_a_cluster_that_does_not_answer(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "CLOSE_SECONDS", 60.0)
    supply = Supply.of(1000)

    def done(made: Receipt) -> None:
        supply.done(made)
        if len(supply.delivered) == 3:
            cluster.scheduler.send_signal(signal.SIGSTOP)
            Path(tmp_path, "stopped").mkdir()

    leave = Leave(Abandoned, tmp_path, tasks=1)
    try:
        with pytest.raises(Abandoned), leave:
            run(cluster, slow, 1000, done)
    finally:
        cluster.scheduler.send_signal(signal.SIGCONT)
    assert leave.seconds < 20
    run(cluster, no_op, 1)


def test_a_task_that_the_cluster_cannot_import(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = types.ModuleType("stranger")
    exec("def task(work): return work", stranger.__dict__)
    monkeypatch.setitem(sys.modules, "stranger", stranger)
    with pytest.raises(
        ConfigurationError, match=r"worker .* cannot load the task: ModuleNotFoundError: No module named 'str"
    ):
        run(cluster, stranger.task, 5)


def test_a_task_that_cannot_travel(cluster: Cluster) -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match="the task cannot be sent to another process: cannot pickle") as caught:
        run(cluster, lambda work: lock, 5)
    assert type(caught.value.__cause__) is TypeError


def test_a_worker_with_a_package_of_the_same_name_is_named_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").touch()
    own = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with (
        start_scheduler(tmp_path) as theirs,
        open_it(theirs) as scheduler,
        scheduler.share(b"of a run that was there before the worker"),
        theirs.worker("--no-nanny", environment=own),
    ):
        wait_for_workers(theirs, 1)
        # The second run shows that the worker is still there.
        for _ in range(2):
            with (
                scheduler.share(b"the job"),
                pytest.raises(ConfigurationError, match=r"worker tcp://[\d.:]+ cannot load the task: .*'pipeline\."),
            ):
                scheduler.run(no_op, Supply.of(5).take, lambda made: None)


def test_a_worker_that_has_lost_the_bytes_of_a_job_does_not_hide_the_error_of_the_run(cluster: Cluster) -> None:
    def forget_and_fail(work: Work) -> Receipt:
        plugins = get_worker().plugins
        for name in [name for name in plugins if name.startswith("logitstream-")]:
            del plugins[name]
        raise ConfigurationError("the error of the run")

    with (
        open_it(cluster) as scheduler,
        pytest.raises(ConfigurationError, match="the error of the run"),
        scheduler.share(b"the job"),
    ):
        scheduler.run(forget_and_fail, Supply.of(1).take, lambda made: None)


def test_a_worker_with_another_numpy_is_refused_in_mid_run_and_before(cluster: Cluster, tmp_path: Path) -> None:
    odd = _other_numpy(tmp_path)
    named = r"worker tcp://127\.0\.0\.1:\d+ has numpy 1\.0 \(here \d"
    with open_it(cluster) as scheduler, cluster.worker("--no-nanny", environment=odd):
        with pytest.raises(ConfigurationError, match=named):
            scheduler.run(slow, Supply.of(2000).take, lambda made: None)
        with pytest.raises(ConfigurationError, match=named):
            run(cluster, no_op, 1)
    _run_when_it_is_gone(cluster)


def _other_numpy(folder: Path) -> dict[str, str]:
    """An environment in which numpy states another version."""
    about = folder / "numpy-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0\n")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


def _run_when_it_is_gone(cluster: Cluster) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            return run(cluster, no_op, 1)
        except ConfigurationError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_deaths(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cluster, with nannies that restart dead workers, dies piece by piece; three would take longer."""
    one_death_allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with start_cluster(tmp_path, "--nanny", environment=one_death_allowed) as mortal:
        _a_worker_killed_in_mid_run_loses_no_receipt(mortal)
        _a_chunk_that_kills_every_worker_is_named(mortal)
        monkeypatch.setattr(connecting, "CLOSE_SECONDS", 0.3)  # a client without a scheduler takes two to close
        _a_lost_scheduler_ends_the_run(mortal)
    assert not caplog.records
    assert not loop_threads()


def _a_worker_killed_in_mid_run_loses_no_receipt(cluster: Cluster) -> None:
    seen = set()
    killed = []

    def done(made: Receipt) -> None:
        seen.add(made.chunk)
        if len(seen) == 10:
            os.kill(int(made.worker), signal.SIGKILL)
            killed.append(made.worker)

    run(cluster, slow, 40, done)
    assert killed
    assert seen == set(range(40))


def _a_chunk_that_kills_every_worker_is_named(cluster: Cluster) -> None:
    with pytest.raises(TemporaryError, match="chunk 3 was given up: 2 workers died"):
        run(cluster, end_the_worker, 4, wave=1)


def _a_lost_scheduler_ends_the_run(cluster: Cluster) -> None:
    lost = r"the connection to the scheduler at tcp://127\.\S+ was lost"
    with pytest.raises(UnavailableError, match=lost):
        run(cluster, slow, 1000, lambda made: cluster.scheduler.kill())


def test_without_workers_a_run_does_not_begin_and_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "WATCH_SECONDS", 0.1)
    with start_scheduler(tmp_path) as lonely:
        with lonely.worker("--no-nanny") as worker:
            wait_for_workers(lonely, 1)
            with pytest.raises(UnavailableError, match=r"has had no worker for 0\.60 s"):
                run(lonely, slow, 100, lambda made: worker.kill(), wait_workers=0.6)
        with pytest.raises(UnavailableError, match=r"has had no worker for 0\.60 s"):
            run(lonely, no_op, 1, wait_workers=0.6)


@pytest.mark.parametrize("listens", [True, False])
def test_no_scheduler_at_the_address(listens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, or a server that never answers."""
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 0.3)
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        if listens:
            port.listen()
        address = f"tcp://127.0.0.1:{port.getsockname()[1]}"
        scheduler = open_scheduler(address, workers=1, wave=8)
        with pytest.raises(UnavailableError, match=f"no Dask scheduler answers at {address}"), scheduler:
            pass
    assert not loop_threads()
