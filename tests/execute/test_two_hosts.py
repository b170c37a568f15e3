"""Two hosts in network namespaces, and a network between them that is cut and heals.

Needs the right to make network namespaces; nothing of the network of this machine is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from tests.contracts.cluster import ROOT
from tests.flow import slowness
from tests.flow.test_cluster_run import check_same, listed

pytestmark = pytest.mark.campaign

SETTINGS = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "8s", "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "15s"}
CHUNKS = 150
# Otherwise a worker would load them with its first task, and be deaf meanwhile.
PRELOADED = ("--preload", "pipeline.flow.write", "--preload", "tests.flow.slowness")
SCHEDULER = "10.213.71.1"
SCRIPT = """
import sys
from tests.execute.test_two_hosts import write
write(*sys.argv[1:])
"""


def write(source: str, output: str, scheduler: str) -> None:
    """Publish an expression that takes its time for each chunk."""
    dataset = pipeline.open_dataset(source, chunk_size=50)
    values = dataset.to_dask_array(["x"])[:, 0].map_blocks(slowness.root)
    insecure = scheduler.startswith("tcp")
    dataset.write({"d": values}, output, keep=["id"], identity="slow", scheduler=scheduler, insecure=insecure)


@dataclass
class Hosts:
    """Two hosts, one with a scheduler and a worker, the other with a worker."""

    names: tuple[str, str]
    folder: Path
    address: str

    @contextmanager
    def running(self, host: int, log: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **SETTINGS}
        with (self.folder / log).open("wb") as file:
            line = ["ip", "netns", "exec", self.names[host], sys.executable, *arguments]
            process = subprocess.Popen(
                line, cwd=self.folder, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            yield process
        finally:
            with ExitStack() as last:
                last.callback(process.wait)
                if process.poll() is None:
                    os.killpg(process.pid, 9)

    def cut(self, state: str) -> None:
        """Put the wire between the hosts ``down`` or ``up``."""
        _ip("-n", self.names[0], "link", "set", "wire0", state)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    names = (f"ls{os.getpid()}a", f"ls{os.getpid()}b")
    if shutil.which("ip") is None:
        pytest.skip("the command ip is not here")
    try:
        _ip("netns", "add", names[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not allowed here: {error.stderr.decode().strip()}")
    with ExitStack() as stack:
        stack.callback(_ip, "netns", "del", names[0])
        _ip("netns", "add", names[1])
        stack.callback(_ip, "netns", "del", names[1])
        _ip("-n", names[0], "link", "add", "wire0", "type", "veth", "peer", "name", "wire1", "netns", names[1])
        for number, name in enumerate(names):
            _ip("-n", name, "addr", "add", f"10.213.71.{number + 1}/24", "dev", f"wire{number}")
            _ip("-n", name, "link", "set", f"wire{number}", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield Hosts(names, tmp_path, f"tcp://{SCHEDULER}:8786")


@contextmanager
def cluster_on(hosts: Hosts) -> Iterator[None]:
    with ExitStack() as stack:
        start = ["-m", "dask", "scheduler", "--host", SCHEDULER, "--port", "8786", "--no-dashboard", "--no-show"]
        stack.enter_context(hosts.running(0, "scheduler.log", *start))
        for host in (0, 1):
            worker = ["-m", "dask", "worker", hosts.address, "--host", f"10.213.71.{host + 1}", "--nthreads", "1"]
            options = ["--no-dashboard", "--memory-limit", "0", "--no-nanny", *PRELOADED]
            stack.enter_context(hosts.running(host, f"worker-{host}.log", *worker, *options))
        deadline = time.monotonic() + 90
        while not all("Registered to:" in (hosts.folder / f"worker-{host}.log").read_text() for host in (0, 1)):
            assert time.monotonic() < deadline, "the workers do not start"
            time.sleep(0.1)
        yield


def receipts(output: Path) -> list[str]:
    """Return the workers of the receipts so far."""
    journals = output.parent.glob(f".{output.name}.logitstream/jobs/*/journal")
    lines = [line for path in journals for line in path.read_bytes().split(b"\n")[:-1]]
    return [entry["worker"] for line in lines if "worker" in (entry := json.loads(line.rpartition(b" ")[0]))]


@pytest.mark.parametrize("seconds", [2, 20], ids=["shorter than worker-ttl", "longer than worker-ttl"])
def test_a_network_that_is_cut_and_heals_changes_nothing(hosts: Hosts, seconds: int) -> None:
    source, output = hosts.folder / "rows.parquet", hosts.folder / "out"
    rows = pa.table({"id": np.arange(CHUNKS * 50), "x": np.linspace(0, 9, CHUNKS * 50)})
    pq.write_table(rows, source, row_group_size=50)
    with cluster_on(hosts), hosts.running(0, "run.log", "-c", SCRIPT, str(source), str(output), hosts.address) as run:
        deadline = time.monotonic() + 90
        while len(set(receipts(output))) < 2 or len(receipts(output)) < 6:
            assert run.poll() is None, (hosts.folder / "run.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        before = len(receipts(output))
        hosts.cut("down")
        time.sleep(seconds)
        assert run.poll() is None
        hosts.cut("up")
        assert run.wait(timeout=120) == 0, (hosts.folder / "run.log").read_text()
    write(str(source), str(hosts.folder / "local"), "threads")
    check_same(output, hosts.folder / "local", "threads")
    assert 6 <= before < len(listed(output))
