"""Runs that start a cluster and end it, and runs on one with certificates."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, ClassVar

import dask.config
import psutil
import pytest
from distributed import Client

import pipeline
from pipeline.errors import ConfigurationError, TemporaryError
from pipeline.execute.certificates import security_of
from pipeline.schedulers import TlsFiles
from tests.contracts.certificates import Certificates, greeting, make_certificates
from tests.contracts.cluster import ROOT, Cluster, start_scheduler, wait_for_workers
from tests.flow.conftest import tree

pytestmark = pytest.mark.slow

SAMPLE = ROOT / "sample_data"
JOB = ("score", SAMPLE / "flights", "--model", SAMPLE / "delay_model.json", "--chunk-size", 1_000)


@pytest.fixture(scope="module", autouse=True)
def tracker() -> None:
    """Start what multiprocessing leaves in a process that starts others, before a test counts its processes."""
    resource_tracker.ensure_running()


def score(output: Path, **options: Any) -> Any:
    return pipeline.score(SAMPLE / "flights", SAMPLE / "delay_model.json", output, chunk_size=1_000, **options)


def parts(output: Path) -> dict[str, bytes | None]:
    return {name: content for name, content in tree(output).items() if name.endswith(".parquet")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | None]:
    output = tmp_path_factory.mktemp("sync") / "out"
    score(output, scheduler="sync")
    return parts(output)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def encrypted(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with (
        start_scheduler(folder, certificates.environment) as running,
        running.worker("--no-nanny", environment=certificates.environment),
    ):
        wait_for_workers(running, 1)
        yield running


def test_a_run_with_certificates_gives_the_same_bytes(
    encrypted: Cluster, certificates: Certificates, expected: dict[str, bytes | None], tmp_path: Path
) -> None:
    assert encrypted.address.startswith("tls://")
    score(tmp_path / "out", scheduler=encrypted.address, **certificates.options)
    assert parts(tmp_path / "out") == expected


def test_certificates_of_the_configuration_of_dask_are_used(
    encrypted: Cluster, certificates: Certificates, expected: dict[str, bytes | None], tmp_path: Path
) -> None:
    tls = {"ca-file": str(certificates.ca), "client.cert": str(certificates.certificate)}
    tls["client.key"] = str(certificates.key)
    with dask.config.set({f"distributed.comm.tls.{name}": value for name, value in tls.items()}):
        score(tmp_path / "out", scheduler=encrypted.address)
    assert parts(tmp_path / "out") == expected


def test_the_certificates_of_a_client_that_was_handed_over_are_used(
    encrypted: Cluster, certificates: Certificates, expected: dict[str, bytes | None], tmp_path: Path
) -> None:
    security = security_of(TlsFiles(*certificates.options.values()))
    with Client(encrypted.address, security=security, set_as_default=False) as client:
        score(tmp_path / "out", scheduler=client)
        assert client.status == "running"
    assert parts(tmp_path / "out") == expected


def test_a_peer_without_a_certificate_or_with_that_of_another_authority_is_refused(
    encrypted: Cluster, certificates: Certificates, tmp_path: Path
) -> None:
    assert greeting(encrypted.address, certificates)
    assert not greeting(encrypted.address, None)
    assert not greeting(encrypted.address, make_certificates(tmp_path))


def command(*words: object, in_group: bool = False) -> subprocess.Popen[str]:
    """Start a command in a process of its own: what clusters leave in a process (a thread, a tracker) ends with it.

    With ``in_group`` its process leads a group of its own, as on a terminal.
    """
    line = [sys.executable, "-m", "jobs.logitstream", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    streams: Any = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, **streams, env=environment, process_group=0 if in_group else None)


def ended(running: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = running.communicate(timeout=300)
    return running.returncode, said


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Return where a process and its children listen."""
    found: set[tuple[str, int]] = set()
    with suppress(psutil.Error):
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                found |= {tuple(one.laddr) for one in each.net_connections() if one.status == psutil.CONN_LISTEN}
    return found


def answer(host: str, port: int) -> str:
    """Return what becomes of somebody who connects without a certificate."""
    with socket.create_connection((host, port), timeout=30) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with suppress(ConnectionError):
            if (line := plain.recv(64)).startswith(b"HTTP/"):
                return line.split(b"\r")[0].decode()
    return "served" if greeting(f"tls://{host}:{port}", None) else "refused"


@pytest.mark.parametrize("more", [(), ("--dashboard",)], ids=str)
def test_a_local_cluster_listens_on_this_machine_alone_and_refuses_whoever_has_no_certificate(
    expected: dict[str, bytes | None], more: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("cryptography", reason="the extra cluster is not installed")
    if more:
        pytest.importorskip("bokeh", reason="the extra cluster is not installed")
    run = ("--output", tmp_path / "out", "--scheduler", "local:processes=1", "-v", "--progress", "none")
    running = command(*JOB, *run, *more)
    process, answers = psutil.Process(running.pid), dict[tuple[str, int], str]()
    while running.poll() is None:
        for host, port in listening(process) - answers.keys():
            # It may have closed since.
            with suppress(ConnectionRefusedError):
                answers[host, port] = answer(host, port)
        time.sleep(0.2)
    code, said = ended(running)
    assert code == 0, said
    assert "local:processes=1, as asked; workers: 1 in 1 process" in said
    assert "distributed" not in said
    shown = re.findall(r"dashboard of Dask: http://127\.0\.0\.1:(\d+)/status", said)
    assert parts(tmp_path / "out") == expected
    # A scheduler, a nanny and a worker, and the HTTP servers of scheduler and worker. That of the worker has no page.
    assert {host for host, _ in answers} == {"127.0.0.1"}
    assert len(shown) == len(more)
    pages = [answers.pop(("127.0.0.1", int(port))) for port in shown]
    assert all(page.startswith(("HTTP/1.1 2", "HTTP/1.1 3")) for page in pages)
    assert sorted(answers.values()) == ["HTTP/1.1 404 Not Found"] * (2 - len(pages)) + ["refused"] * 3


def test_nothing_is_left_of_a_local_cluster_when_its_run_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra cluster is not installed")
    running = command(*JOB, "--output", tmp_path / "out", "--scheduler", "local:processes=1")
    process = psutil.Process(running.pid)
    while running.poll() is None and len(listening(process)) < 4:
        time.sleep(0.02)
    family = process.children(recursive=True)
    running.kill()
    ended(running)
    _, alive = psutil.wait_procs(family, timeout=60)
    assert family
    assert not alive


def test_the_report_of_a_local_cluster_is_written_once_for_all_passes_of_a_fit(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra cluster is not installed")
    pytest.importorskip("bokeh", reason="the extra cluster is not installed")
    words = ("fit", SAMPLE / "flights.csv", "--target", "late", "--features", "distance", "--missing-target", "drop")
    page = tmp_path / "page.html"
    more = ("--scheduler", "local:processes=1", "--dashboard", "--performance-report", page)
    code, said = ended(command(*words, "--output", tmp_path / "there.json", *more))
    assert code == 0, said
    assert "Warning" not in said
    assert ended(command(*words, "--output", tmp_path / "here.json"))[0] == 0
    assert (tmp_path / "there.json").read_bytes() == (tmp_path / "here.json").read_bytes()
    text = page.read_text()
    assert "Dask Performance Report" in text
    assert '<script src="http' not in text


def test_an_inspection_says_where_the_dashboard_of_its_cluster_is() -> None:
    pytest.importorskip("cryptography", reason="the extra cluster is not installed")
    pytest.importorskip("bokeh", reason="the extra cluster is not installed")
    words = ("inspect", SAMPLE / "flights.csv", "--full", "--scheduler", "local:processes=1", "--dashboard")
    code, said = ended(command(*words))
    assert code == 0, said
    assert "note: dashboard of Dask: http://127.0.0.1:" in said


def test_a_local_cluster_adapts_from_no_worker_at_all(expected: dict[str, bytes | None], tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra cluster is not installed")
    code, said = ended(command(*JOB, "--output", tmp_path / "out", "--scheduler", "local", "--adapt", "0..1"))
    assert code == 0, said
    assert parts(tmp_path / "out") == expected


def test_a_class_of_clusters_is_started_adapts_and_ends(expected: dict[str, bytes | None], tmp_path: Path) -> None:
    options = tmp_path / "options.toml"
    options.write_text('n_workers = 1\nthreads_per_worker = 1\nprocesses = false\ndashboard_address = "127.0.0.1:0"\n')
    cluster = ("--cluster", "distributed:LocalCluster", "--cluster-options", options)
    code, said = ended(command(*JOB, "--output", tmp_path / "out", *cluster, "--adapt", "1..2", "-v"))
    assert code == 0, said
    assert "distributed:LocalCluster, as asked" in said
    assert parts(tmp_path / "out") == expected


nameless = partial(int, sails=3)
REFUSED = {
    "a module that is not there": (
        "nowhere:Cluster",
        "",
        "'nowhere:Cluster' cannot be loaded: No module named 'nowhere'",
    ),
    "arguments it does not have": ("distributed:SpecCluster", "sails = 3", "SpecCluster does not take its arguments"),
    "a callable without a name": (f"{__name__}:nameless", "", "partial does not take its arguments"),
    "no cluster": ("builtins:dict", "", "builtins:dict makes no cluster"),
    "no TOML": ("distributed:LocalCluster", "n_workers 1", "cannot be read"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_class_that_cannot_be_used_ends_the_run(why: str, tmp_path: Path) -> None:
    maker, text, message = REFUSED[why]
    options = tmp_path / "options.toml"
    options.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        score(tmp_path / "out", cluster=maker, cluster_options=str(options))
    assert message in caught.value.message
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_argument_that_only_the_workers_refuse_is_named(tmp_path: Path) -> None:
    options = tmp_path / "options.toml"
    options.write_text('n_worker = 2\nn_workers = 1\ndashboard_address = "127.0.0.1:0"\n')
    cluster = ("--cluster", "distributed:LocalCluster", "--cluster-options", options)
    code, said = ended(command(*JOB, "--output", tmp_path / "out", *cluster))
    assert code == 78, said
    assert "LocalCluster does not take its arguments: " in said
    assert "'n_worker'" in said.splitlines()[-2]


@pytest.mark.parametrize(("text", "reason"), [("class", "SyntaxError: "), ("1 / 0", "ZeroDivisionError: division")])
def test_a_module_that_raises_when_it_is_loaded_ends_the_run(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_somebody.py").write_text(f"{text}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        score(tmp_path / "out", cluster="of_somebody:Cluster")
    assert f"'of_somebody:Cluster' cannot be loaded: {reason}" in caught.value.message


@dataclass
class Open:
    """A cluster whose scheduler listens beyond this machine, and which has no security of its own."""

    scheduler_address: str = "tcp://192.0.2.1:8786"
    closed: ClassVar[list[bool]] = []

    def close(self) -> None:
        self.closed.append(True)


def test_a_cluster_that_is_started_with_an_open_port_obeys_insecure_and_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not on this machine"):
        score(tmp_path / "out", cluster="tests.flow.test_started_run:Open")
    assert Open.closed == [True]


class Late:
    """A cluster that starts when it is told to, long after the deadline."""

    may_start: ClassVar[threading.Event] = threading.Event()
    closed: ClassVar[threading.Event] = threading.Event()

    def __init__(self) -> None:
        assert self.may_start.wait(120)

    def close(self) -> None:
        self.closed.set()


def test_a_deadline_ends_a_run_whose_cluster_does_not_start_and_the_cluster_once_it_has(tmp_path: Path) -> None:
    try:
        with pytest.raises(TemporaryError, match="stopped by its deadline"):
            score(tmp_path / "out", cluster="tests.flow.test_started_run:Late", deadline=0.5)
    finally:
        Late.may_start.set()
    assert Late.closed.wait(60)
