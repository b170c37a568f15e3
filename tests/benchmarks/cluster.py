"""What a chunk costs on a cluster besides its work: very many chunks that do nothing, on a scheduler and its workers.

    python -m tests.benchmarks.cluster [--chunks 1000000] [--workers 2] [--threads 128] [--json]

Scheduler and workers are processes of this machine. Looked at are the client, which is this process, and the scheduler:
the CPU time of each, and its memory after each tenth of the chunks. What a chunk costs them is for the most part
messages. More under way is said in one message, so with ``--threads 1`` a chunk costs most.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pipeline.execute import open_scheduler
from pipeline.types.outputs import Receipt
from pipeline.types.work import Work
from pipeline.units import MIB
from tests.benchmarks import meter
from tests.contracts.cluster import Cluster, start_cluster
from tests.contracts.tasks import Labelling

# The most tasks that a run has under way on a cluster.
WAVE = 1_024
WORKERS, THREADS = 2, 128
# Otherwise the scheduler keeps the last 1,000 messages to each worker, and in them all their tasks.
SHORT_LOGS = {"DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "10"}
TENTHS = 10
_SETTLING_SECONDS = 5


@dataclass(slots=True)
class Watched:
    """A process that is looked at: the CPU time that it took, and how much of it was resident after each tenth."""

    process: psutil.Process
    cpu_seconds: float = 0.0
    resident_bytes: list[int] = field(default_factory=list)

    def begin(self) -> None:
        """Count CPU time from now on."""
        self.cpu_seconds = -self._used()

    def look(self) -> None:
        """Note how much is resident."""
        self.resident_bytes.append(self.process.memory_info().rss)

    def end(self) -> None:
        """Count CPU time until now."""
        self.cpu_seconds += self._used()

    def _used(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def growth(self, tenth: int) -> float:
        """Return by how many MiB the process has grown from the end of a tenth to the last chunk."""
        return (self.resident_bytes[-1] - self.resident_bytes[tenth - 1]) / MIB


class ManyChunks:
    """Runs chunks that do nothing.

    Attributes
    ----------
    client, scheduler : Watched
    seconds : float
        What the chunks took.
    prefixes, groups, tasks : int
        What the scheduler knows at the end.
    """

    def __init__(self, cluster: Cluster, chunks: int) -> None:
        self.cluster, self.chunks = cluster, chunks
        self.client, self.scheduler = Watched(psutil.Process()), Watched(psutil.Process(cluster.scheduler.pid))
        self.seconds = 0.0
        self.prefixes = self.groups = self.tasks = 0
        self._given, self._done, self._times = 0, 0, bytearray(chunks)

    def run(self) -> None:
        """Run all chunks, and see that each was delivered once."""
        with open_scheduler(self.cluster.address, workers=1, wave=WAVE) as scheduler:
            for each in (self.client, self.scheduler):
                each.begin()
            begun = time.monotonic()
            scheduler.run(Labelling(), self._take, self._deliver)
            self.seconds = time.monotonic() - begun
            for each in (self.client, self.scheduler):
                each.end()
            # The scheduler forgets a task a moment after the client has released it.
            deadline = time.monotonic() + _SETTLING_SECONDS
            while (known := scheduler.client.run_on_scheduler(what_is_known))[2] and time.monotonic() < deadline:
                time.sleep(0.05)
        self.prefixes, self.groups, self.tasks = known
        assert self._times == bytes([1]) * self.chunks

    def _take(self, most: int) -> list[Work]:
        first, self._given = self._given, min(self.chunks, self._given + most)
        return [Work(number) for number in range(first, self._given)]

    def _deliver(self, made: Receipt) -> None:
        self._times[made.chunk] += 1
        self._done += 1
        if self._done % (self.chunks // TENTHS) == 0:
            self.client.look()
            self.scheduler.look()

    def as_json(self) -> dict[str, Any]:
        """Return what was found."""
        return {
            "chunks": self.chunks,
            "seconds": self.seconds,
            "chunks_a_second": self.chunks / self.seconds,
            "client": self._of(self.client),
            "scheduler": self._of(self.scheduler),
        }

    def _of(self, watched: Watched) -> dict[str, Any]:
        return {
            "chunk_cpu_ms": 1000 * watched.cpu_seconds / self.chunks,
            "resident_bytes": watched.resident_bytes,
        }


def what_is_known(dask_scheduler: Any) -> tuple[int, int, int]:
    """Return how many prefixes, groups and tasks a scheduler knows; runs there."""
    ours = [name for name in dask_scheduler.task_prefixes if not name.startswith("_")]
    return len(ours), len(dask_scheduler.task_groups), len(dask_scheduler.tasks)


def table(found: Mapping[str, Any]) -> str:
    """Return what was found as Markdown."""
    lines = [
        (
            f"{found['chunks']:,} chunks that do nothing took {found['seconds']:.0f} s: "
            f"{found['chunks_a_second']:,.0f} a second."
        ),
        "",
        "| process | CPU time a chunk | resident after each tenth, MiB |",
        "|---|---|---|",
    ]
    for name in ("client", "scheduler"):
        each = found[name]
        sizes = ", ".join(f"{size / MIB:.0f}" for size in each["resident_bytes"])
        lines.append(f"| {name} | {each['chunk_cpu_ms']:.2f} ms | {sizes} |")
    return "\n".join(lines)


@contextmanager
def started(folder: Path, workers: int = WORKERS, threads: int = THREADS) -> Iterator[Cluster]:
    """Run a cluster for chunks that do nothing."""
    options = ("--no-nanny", "--nthreads", str(threads))
    with start_cluster(folder, *options, workers=workers, environment=SHORT_LOGS) as cluster:
        yield cluster


def measured(chunks: int, workers: int, threads: int) -> dict[str, Any]:
    """Return what chunks cost on a cluster that is started for them."""
    with tempfile.TemporaryDirectory() as scratch, started(Path(scratch), workers, threads) as cluster:
        many = ManyChunks(cluster, chunks)
        many.run()
    return {"workers": workers, "threads": threads} | many.as_json()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.cluster", description=__doc__.split("\n\n", maxsplit=1)[0]
    )
    parser.add_argument("--chunks", type=int, default=1_000_000, help="at least 10")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--threads", type=int, default=THREADS, help="of each worker [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args(arguments)
    found = {"machine": meter.machine()} | measured(given.chunks, given.workers, given.threads)
    print(json.dumps(found, indent=2) if given.json else f"{found['machine']}\n\n{table(found)}")


if __name__ == "__main__":
    main()
