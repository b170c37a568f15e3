"""A Dask cluster of processes on loopback, as a person would start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Cluster:
    """A scheduler that listens at ``address``; its log and those of its workers are files in ``folder``."""

    address: str
    folder: Path
    scheduler: subprocess.Popen[bytes]

    @contextmanager
    def worker(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        memory: str = "0",
        below: Sequence[str] = (),
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker of one thread, under a nanny unless an option says otherwise.

        ``below`` is a command that runs the command which follows it.
        """
        arguments = ["worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", *options]
        with _dask([*arguments, "--memory-limit", memory], self.folder, environment or {}, below) as process:
            yield process


@contextmanager
def start_scheduler(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Run a scheduler without workers on a free port."""
    about = folder / "scheduler.json"
    options = [
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--dashboard-address",
        "127.0.0.1:0",
        "--no-show",
        "--scheduler-file",
        str(about),
    ]
    with _dask(["scheduler", *options], folder, environment or {}) as process:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, "the scheduler ended"
            assert time.monotonic() < deadline, "the scheduler does not start"
            try:
                address = json.loads(about.read_text())["address"]
                break
            except (FileNotFoundError, ValueError):
                time.sleep(0.02)
        yield Cluster(address, folder, process)


@contextmanager
def start_cluster(
    folder: Path, *options: str, workers: int = 2, environment: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Run a scheduler and some workers of one thread each, and wait until all have joined."""
    with ExitStack() as stack:
        cluster = stack.enter_context(start_scheduler(folder, environment))
        for _ in range(workers):
            stack.enter_context(cluster.worker(*options))
        wait_for_workers(cluster, workers)
        yield cluster


def wait_for_workers(cluster: Cluster, workers: int) -> None:
    """Read it in the logs: a client would cost two seconds of imports."""
    deadline = time.monotonic() + 120
    while sum("Registered to:" in log.read_text() for log in cluster.folder.glob("worker-*.log")) < workers:
        assert time.monotonic() < deadline, "the workers do not start"
        time.sleep(0.05)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def _dask(
    arguments: list[str], folder: Path, environment: Mapping[str, str], below: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    number = len(list(folder.glob("*.log")))
    scratch = folder / f"scratch-{number}"
    scratch.mkdir()
    with (folder / f"{arguments[0]}-{number}.log").open("wb") as log:
        process = subprocess.Popen(
            [*below, sys.executable, "-m", "dask", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            env=_environment({"DASK_TEMPORARY_DIRECTORY": str(scratch), **environment}),
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its children: a nanny that may say goodbye takes two seconds."""
    # A nanny that goes on might start a worker while its children are listed.
    process.send_signal(signal.SIGSTOP)
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    process.wait()
    for child in family:
        with suppress(psutil.NoSuchProcess):
            child.kill()
