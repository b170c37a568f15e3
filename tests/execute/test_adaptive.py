"""Clusters without a worker: those that adapt, and those that never get one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import TemporaryError, UnavailableError
from pipeline.execute import ClusterPatience, ClusterTerms, open_scheduler
from tests.contracts.cluster import Cluster, start_scheduler
from tests.contracts.scheduler import Supply
from tests.contracts.tasks import no_op, receipt
from tests.execute.adapting import adaptive_cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler without workers."""
    with start_scheduler(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def nap(work):
    time.sleep(0.2)
    return receipt(work.chunk)


def test_a_cluster_that_adapts_from_zero_starts_at_the_first_task_and_grows(tmp_path: Path) -> None:
    supply, workers = Supply.of(12), set()

    def done(made) -> None:
        workers.add(made.worker)
        supply.done(made)

    with adaptive_cluster(tmp_path) as address, open_scheduler(address, workers=1, wave=1024) as scheduler:
        assert scheduler.workers == 0
        with scheduler.share(b"for workers that come later"):
            scheduler.run(nap, supply.take, done)
    assert supply.delivered == dict.fromkeys(range(12), 1)
    assert workers


def test_a_run_that_never_gets_a_worker_ends_when_it_has_waited(lonely: Cluster) -> None:
    terms = ClusterTerms(ClusterPatience(wait_workers=0.5))
    with (
        open_scheduler(lonely.address, workers=1, wave=8, terms=terms) as scheduler,
        pytest.raises(UnavailableError, match=r"has had no worker for 0\.50 s\n.*--wait-workers"),
    ):
        scheduler.run(no_op, Supply.of(3).take, lambda made: None)


def test_a_scheduler_that_gives_the_work_up_itself_is_named_with_its_setting(tmp_path: Path) -> None:
    hasty = {"DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT": "200ms"}
    told = r"has had no worker for \S+ m?s and gave the work up\n.*distributed\.scheduler\.no-workers-timeout"
    with (
        start_scheduler(tmp_path, hasty) as cluster,
        open_scheduler(cluster.address, workers=1, wave=8) as scheduler,
        pytest.raises(UnavailableError, match=told),
    ):
        scheduler.run(no_op, Supply.of(3).take, lambda made: None)


def test_what_ends_a_run_ends_it_while_it_waits_for_a_worker(lonely: Cluster) -> None:
    begun = time.monotonic()

    def check() -> None:
        if time.monotonic() - begun > 1:
            raise TemporaryError("stopped by its deadline", "run again")

    terms = ClusterTerms(check=check)
    with (
        pytest.raises(TemporaryError, match="stopped by its deadline"),
        open_scheduler(lonely.address, workers=1, wave=8, terms=terms) as scheduler,
    ):
        scheduler.run(no_op, Supply.of(3).take, lambda made: None)
