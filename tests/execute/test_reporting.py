"""Dask's report of what a cluster did, from a scheduler that does not write it."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
from distributed.versions import VersionMismatchWarning

from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.execute import running_cluster
from pipeline.schedulers import ClusterWishes
from tests.contracts.cluster import Cluster, start_scheduler

pytestmark = pytest.mark.slow


def odd_scheduler(folder: Path, question: str, answer: str) -> dict[str, str]:
    """An environment in which a scheduler answers a question in its own way."""
    preload = folder / "odd.py"
    preload.write_text(
        "import asyncio\n"
        "async def dask_setup(scheduler):\n"
        "    async def answer(comm=None, **about):\n"
        f"        {answer}\n"
        f"    scheduler.handlers[{question!r}] = answer\n"
    )
    return {"DASK_DISTRIBUTED__SCHEDULER__PRELOAD": f'["{preload}"]'}


def report(cluster: Cluster, page: Path) -> None:
    wishes = ClusterWishes(performance_report=str(page), scheduler_timeout=0.5)
    with running_cluster(cluster.address, wishes, workers=1):
        pass


@pytest.mark.parametrize("question", ["get_task_stream", "performance_report"])
def test_a_scheduler_that_falls_silent_is_not_waited_for_longer_than_the_option_says(
    question: str, tmp_path: Path
) -> None:
    environment = odd_scheduler(tmp_path, question, "await asyncio.sleep(600)")
    silent = r"has not answered for 0\.50 s\n.*--scheduler-timeout"
    with start_scheduler(tmp_path, environment) as cluster, pytest.raises(UnavailableError, match=silent):
        report(cluster, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_scheduler_without_bokeh_is_told_what_to_install(tmp_path: Path) -> None:
    error = "raise ModuleNotFoundError(\"No module named 'bokeh'\", name='bokeh')"
    environment = odd_scheduler(tmp_path, "performance_report", error)
    with start_scheduler(tmp_path, environment) as cluster, pytest.raises(ConfigurationError) as caught:
        report(cluster, tmp_path / "page.html")
    assert caught.value.message.endswith("cannot write a performance report: No module named 'bokeh'")
    assert caught.value.remedy.startswith("install bokeh for the scheduler")


def test_a_scheduler_without_this_package_is_not_told_to_install_bokeh(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").touch()
    environment = {"PYTHONPATH": str(tmp_path)}
    with start_scheduler(tmp_path, environment) as cluster, pytest.raises(ConfigurationError) as caught:
        report(cluster, tmp_path / "page.html")
    assert "No module named 'pipeline.execute'" in caught.value.message
    assert caught.value.remedy.startswith("install logitstream")


def test_the_report_of_a_running_cluster_is_written_and_distributed_says_nothing_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("bokeh", reason="the extra cluster is not installed")
    wishes = ClusterWishes(performance_report=str(tmp_path / "page.html"))
    with (
        start_scheduler(tmp_path) as cluster,
        running_cluster(cluster.address, wishes, workers=1),
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.warn("other versions", VersionMismatchWarning, stacklevel=1)
        logging.getLogger("distributed.client").error("the scheduler has gone")
    assert not told
    assert not caplog.records
    assert "Dask Performance Report" in (tmp_path / "page.html").read_text()
