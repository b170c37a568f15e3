"""What dies, hangs, joins or leaves in the middle of a run, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.errors import MemoryBudgetError, TemporaryError, UnavailableError
from pipeline.execute import ClusterPatience, ClusterTerms, WorkerNeeds, open_scheduler
from pipeline.execute.cluster import scheduler as module
from pipeline.types.outputs import Receipt
from pipeline.types.work import Work
from pipeline.units import MIB
from tests.contracts.cluster import Cluster, start_scheduler, wait_for_workers
from tests.contracts.scheduler import Supply
from tests.contracts.tasks import no_op, receipt

pytestmark = pytest.mark.slow

ATTENTIVE = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"}
STRICT = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "100ms",
}
# Far above what is waited for, and far below what would be waited for otherwise.
LONG_SECONDS = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and one worker of one thread, which outlives every test."""
    with start_scheduler(tmp_path_factory.mktemp("cluster")) as running, running.worker("--no-nanny"):
        wait_for_workers(running, 1)
        yield running


@contextmanager
def one_more(cluster: Cluster, *options: str, memory: str = "0") -> Iterator[subprocess.Popen[bytes]]:
    with cluster.worker(*options, memory=memory, environment=STRICT) as process:
        wait_for_workers(cluster, len(list(cluster.folder.glob("worker-*.log"))))
        yield process


def slow(work: Work) -> Receipt:
    time.sleep(0.1)
    return receipt(work.chunk)


def run(
    cluster: Cluster, task, chunks: int, done: Callable[[Receipt], None], terms: ClusterTerms | None = None
) -> list[int]:
    """Return the chunks that were delivered, in order of their numbers."""
    found: list[int] = []

    def take(made: Receipt) -> None:
        found.append(made.chunk)
        done(made)

    with open_scheduler(cluster.address, workers=1, wave=32, terms=terms or ClusterTerms()) as scheduler:
        scheduler.run(task, Supply.of(chunks).take, take)
    return sorted(found)


def check_that_one_may_go(cluster: Cluster, number: int) -> None:
    """Send a signal to a worker that holds a chunk; all chunks are done by the other one."""
    with one_more(cluster, "--no-nanny") as victim:
        done_by: list[str] = []

        def done(made: Receipt) -> None:
            done_by.append(made.worker)
            if done_by.count(str(victim.pid)) == 2 and made.worker == str(victim.pid):
                os.kill(victim.pid, number)

        assert run(cluster, slow, 40, done) == list(range(40))
        assert done_by.count(str(victim.pid)) >= 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["dies", "leaves"])
def test_a_worker_that_goes_while_it_holds_a_chunk_costs_nothing_but_time(cluster: Cluster, number: int) -> None:
    check_that_one_may_go(cluster, number)


def test_a_worker_that_hangs_counts_as_dead_after_the_worker_ttl_of_the_cluster(tmp_path: Path) -> None:
    with start_scheduler(tmp_path, ATTENTIVE) as cluster, one_more(cluster, "--no-nanny"):
        check_that_one_may_go(cluster, signal.SIGSTOP)
        assert "failed to heartbeat for " in (cluster.folder / "scheduler-0.log").read_text()


def test_a_worker_that_cannot_keep_the_bytes_of_a_job_is_not_told_as_a_lost_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)
    preload = tmp_path / "odd.py"
    preload.write_text(
        "from pipeline.execute import shared\n"
        "def refuse(content, digest):\n"
        "    raise ValueError('there is no room')\n"
        "def dask_setup(worker):\n"
        "    shared.hold = refuse\n"
    )
    environment = {"DASK_DISTRIBUTED__WORKER__PRELOAD": f'["{preload}"]'}
    with start_scheduler(tmp_path) as odd, odd.worker("--no-nanny", environment=environment):
        wait_for_workers(odd, 1)
        refused = "cannot send the job to its workers: ValueError: there is no room"
        with (
            open_scheduler(odd.address, workers=1, wave=8) as scheduler,
            pytest.raises(UnavailableError, match=refused),
            scheduler.share(b"the job"),
        ):
            pass


def test_a_worker_that_joins_late_gets_work(cluster: Cluster) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    done_by: list[str] = []
    supply = Supply.of(1_000_000)

    def take(most: int) -> Sequence[Work]:
        return supply.take(most) if str(late.pid) not in done_by and time.monotonic() < deadline else ()

    # It needs longer to start than the first chunk takes.
    with cluster.worker("--no-nanny") as late, open_scheduler(cluster.address, workers=1, wave=32) as scheduler:
        scheduler.run(slow, take, lambda made: done_by.append(made.worker))
    assert str(late.pid) in done_by[1:]


@pytest.mark.parametrize("busy", [True, False])
def test_a_scheduler_that_is_stopped_is_noticed_in_time(cluster: Cluster, busy: bool) -> None:
    def stop(made: Receipt) -> None:
        cluster.scheduler.send_signal(signal.SIGSTOP)

    task = slow if busy else no_op
    # With its first task of a kind the scheduler loads a module, and is silent meanwhile.
    assert run(cluster, task, 1, lambda made: None) == [0]
    terms = ClusterTerms(ClusterPatience(scheduler_timeout=3))
    try:
        with pytest.raises(UnavailableError, match=r"has not answered for 3\.00 s\n.*--scheduler-timeout"):
            run(cluster, task, 1000, stop, terms)
    finally:
        cluster.scheduler.send_signal(signal.SIGCONT)
    assert run(cluster, no_op, 3, lambda made: None) == [0, 1, 2]


@dataclass(frozen=True)
class Greedy:
    """Takes 400 MiB at chunk 3, and keeps them until it is killed; only once if ``once`` names a file."""

    once: str = ""

    def __call__(self, work: Work) -> Receipt:
        if work.chunk == 3 and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            taken = bytearray(400 * MIB)
            taken[::4096] = b"x" * len(taken[::4096])
            time.sleep(20)
        return receipt(work.chunk)

    def name_of(self, work: Work) -> str:
        return f"flights.parquet, row group {work.chunk}"


def test_a_worker_that_its_nanny_starts_again_is_reported_with_its_memory_and_its_chunk(tmp_path: Path) -> None:
    notes: list[str] = []
    terms = ClusterTerms(note=notes.append)
    with start_scheduler(tmp_path, STRICT) as cluster, one_more(cluster, "--nanny", memory="450MB"):
        assert run(cluster, Greedy(str(tmp_path / "taken")), 6, lambda made: None, terms) == list(range(6))
        assert len(notes) == 1
        assert "started again: it took" in notes[0]
        assert "while it worked on chunk 3 of" in notes[0]
        assert "lower --memory" in notes[0]
        message = r"flights.parquet, row group 3 was given up: \d workers died .* which had taken [45]\d\d\.?\d* MiB"
        with pytest.raises(TemporaryError, match=message):
            run(cluster, Greedy(), 6, lambda made: None, terms)


def test_a_worker_with_too_little_memory_for_its_threads_is_named(cluster: Cluster) -> None:
    terms = ClusterTerms(needs=WorkerNeeds(process_bytes=200 * MIB, thread_bytes=400 * MIB))
    with one_more(cluster, "--no-nanny", "--nthreads", "2", memory="800MiB"):
        named = r"worker tcp://127\S+: its memory limit is 800 MiB, but the job may take 1,000 MiB in its 2 threads"
        with pytest.raises(MemoryBudgetError, match=named):
            run(cluster, slow, 40, lambda made: None, terms)
