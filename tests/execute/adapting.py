"""A cluster that adapts from zero, in a process of its own: prints its address, and ends with its standard input."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.contracts.cluster import ROOT


@contextmanager
def adaptive_cluster(folder: Path, most: int = 2) -> Iterator[str]:
    """Run a LocalCluster that has no worker until there is work, and yield its address."""
    line = [sys.executable, "-m", "tests.execute.adapting", str(folder), str(most)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(line, cwd=ROOT, text=True, **pipes) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(timeout=60)


def main(folder: str, most: str) -> None:
    from distributed import LocalCluster

    options = {"host": "127.0.0.1", "dashboard_address": None, "local_directory": folder}
    with LocalCluster(n_workers=0, threads_per_worker=1, **options) as cluster:
        cluster.adapt(minimum=0, maximum=int(most), interval="200ms")
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
