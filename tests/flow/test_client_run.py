"""Runs in a process that uses Dask already: on its clients and clusters, in its event loop, in its tasks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster, secede

import pipeline
from pipeline.errors import UsageError
from pipeline.report.json import report_json
from tests.contracts.cluster import ROOT
from tests.flow.conftest import tree

pytestmark = pytest.mark.slow

SAMPLE = ROOT / "sample_data"


@dataclass(frozen=True)
class Home:
    cluster: LocalCluster
    client: Client

    @property
    def address(self) -> str:
        return self.cluster.scheduler_address


@pytest.fixture
def home() -> Iterator[Home]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Home(cluster, client)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("sync") / "out"
    score(output, scheduler="sync")
    return parts(output)


def score(output: Path, **options: Any) -> Any:
    return pipeline.score(SAMPLE / "flights", SAMPLE / "delay_model.json", output, chunk_size=2_000, **options)


def parts(output: Path) -> dict[str, bytes]:
    return {name: content for name, content in tree(output).items() if name.endswith(".parquet")}


HANDED_OVER: dict[str, Callable[[Home], Any]] = {
    "client": lambda home: home.client,
    "cluster": lambda home: home.cluster,
    "address": lambda home: home.address,
}


@pytest.mark.parametrize("what", HANDED_OVER)
def test_a_client_a_cluster_and_its_address_give_the_bytes_of_a_run_without_dask(
    home: Home, expected: dict[str, bytes], tmp_path: Path, what: str
) -> None:
    report = score(tmp_path / "out", scheduler=HANDED_OVER[what](home))
    assert parts(tmp_path / "out") == expected
    assert (report.plan.scheduler, report.plan.chosen_by) == (home.address, "option" if what == "address" else "object")


def test_the_client_and_its_cluster_stay_as_they_are(home: Home, tmp_path: Path) -> None:
    kept = home.client.submit(sum, [1, 2])
    score(tmp_path / "out", scheduler=home.client)
    assert kept.result() == 3
    assert home.client.status == "running"
    assert len(home.cluster.workers) == len(home.client.scheduler_info()["workers"]) == 2


def test_the_active_client_is_used_where_nothing_else_is_named(home: Home, tmp_path: Path) -> None:
    assert score(tmp_path / "before").plan.scheduler == "threads"
    with home.client.as_current():
        found = [
            score(tmp_path / str(number), **more).plan for number, more in enumerate([{}, {"scheduler": "client"}])
        ]
        assert score(tmp_path / "asked", scheduler="threads").plan.chosen_by == "option"
    assert [(plan.scheduler, plan.chosen_by) for plan in found] == [(home.address, "active client")] * 2


def test_an_address_of_a_file_or_the_environment_comes_before_the_active_client(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": home.address}))
    with LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as other, Client(other):
        of_file = report_json(score(tmp_path / "file", scheduler=file))["plan"]
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", home.address)
        of_environment = report_json(score(tmp_path / "environment"))["plan"]
    assert (of_file["scheduler"], of_file["chosen_by"]) == (home.address, "file")
    assert (of_environment["scheduler"], of_environment["chosen_by"]) == (home.address, "environment")


def test_inside_the_event_loop_of_the_client_a_thread_is_asked_for_at_once(tmp_path: Path) -> None:
    async def inside() -> None:
        async with (
            LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0", asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            for scheduler in (client, cluster, cluster.scheduler_address, "client", None):
                with pytest.raises(UsageError, match=r"asyncio\.to_thread"):
                    score(tmp_path / "out", scheduler=scheduler)
            assert score(tmp_path / "threads", scheduler="threads").plan.scheduler == "threads"
            report = await asyncio.to_thread(score, tmp_path / "out", scheduler=client)
            assert report.plan.scheduler == cluster.scheduler_address

    asyncio.run(inside())


def in_task(output: Path, away: bool, scheduler: str | None) -> tuple[str, str]:
    if away:
        secede()
    plan = score(output, scheduler=scheduler).plan
    return plan.scheduler, plan.chosen_by


def test_inside_a_task_the_default_is_threads(home: Home, tmp_path: Path) -> None:
    assert home.client.submit(in_task, tmp_path / "out", False, None).result() == ("threads", "task")


def test_a_task_uses_the_cluster_only_after_it_has_seceded(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"call distributed\.secede\(\) first"):
        home.client.submit(in_task, tmp_path / "out", False, home.address).result()
    found = home.client.submit(in_task, tmp_path / "out", True, home.address).result()
    assert found == (home.address, "option")


def test_a_task_in_the_event_loop_of_a_worker_is_refused_too(home: Home, tmp_path: Path) -> None:
    async def scores(output: Path, scheduler: str) -> None:
        score(output, scheduler=scheduler)

    with pytest.raises(UsageError, match=r"await asyncio\.to_thread\(FUNCTION, \.\.\.\)"):
        home.client.submit(scores, tmp_path / "out", home.address).result()


def test_a_fit_runs_on_a_client(home: Home) -> None:
    csv = SAMPLE / "flights.csv"
    fitted = [
        pipeline.fit(
            csv,
            target="late",
            features="distance",
            missing_target="drop",
            scheduler=scheduler,
        )
        for scheduler in ("sync", home.client)
    ]
    assert fitted[0].model.digest() == fitted[1].model.digest()
    note = f"scheduler: {home.address}, of the Client or Cluster that was passed"
    assert [note in report.notes for report in fitted] == [False, True]
