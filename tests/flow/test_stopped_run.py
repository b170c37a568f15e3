"""Runs on a cluster that they have started themselves, and that are told to end."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from tests.flow.test_cluster_run import receipts_so_far
from tests.flow.test_started_run import SAMPLE, command, ended, listening, parts

pytestmark = pytest.mark.slow

MODEL = SAMPLE / "delay_model.json"
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
CHUNKS = 120
LOCAL = "local:processes=2,threads=1"


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of many row groups, each a chunk: no run ends before it is told to."""
    path = tmp_path_factory.mktemp("flights") / "flights.parquet"
    rows = pq.read_table(SAMPLE / "flights").slice(0, 200)
    pq.write_table(pa.concat_tables([rows] * CHUNKS), path, row_group_size=len(rows))
    return path


@pytest.fixture(scope="module")
def expected(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | None]:
    output = tmp_path_factory.mktemp("sync") / "out"
    pipeline.score(flights, MODEL, output, chunk_size=200, scheduler="sync")
    return parts(output)


def wait_for(what: Callable[[], object], process: psutil.Process) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert process.is_running(), "the run has ended"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_served(host: str, port: int) -> bool:
    with socket.socket() as plain:
        return plain.connect_ex((host, port)) == 0


@pytest.mark.parametrize(
    ("number", "when", "resumed_on"),
    [(signal.SIGINT, "working", LOCAL), (signal.SIGTERM, "working", "sync"), (signal.SIGINT, "starting", "sync")],
    ids=["interrupted", "told to end", "interrupted while its workers start"],
)
def test_a_run_that_is_stopped_ends_its_cluster_and_is_resumed(
    number: signal.Signals,
    when: str,
    resumed_on: str,
    flights: Path,
    expected: dict[str, bytes | None],
    tmp_path: Path,
) -> None:
    """As from a terminal or a service manager, the signal reaches every process of the run."""
    pytest.importorskip("cryptography", reason="the extra cluster is not installed")
    output = tmp_path / "out"
    job = ("score", flights, "--model", MODEL, "--output", output, "--chunk-size", 200)
    job = (*job, "--progress", "none", "--scheduler")
    running = command(*job, LOCAL, in_group=True)
    process = psutil.Process(running.pid)
    wait_for(lambda: len(receipts_so_far(output)) >= 3 if when == "working" else listening(process), process)
    served, family = listening(process), process.children(recursive=True)
    os.killpg(running.pid, number)
    code, said = ended(running)
    assert code == CODES[number], said
    assert "Traceback" not in said
    assert "distributed" not in said
    assert not output.exists()
    assert served
    assert not psutil.wait_procs(family, timeout=10)[1]
    assert not any(is_served(*where) for where in served)
    done = len(receipts_so_far(output))
    assert (done > 0) == (when == "working")
    assert done < CHUNKS
    code, said = ended(command(*job, resumed_on))
    assert code == 0, said
    assert f"resuming: {done} of {CHUNKS} chunks done before" in said or not done
    assert parts(output) == expected
