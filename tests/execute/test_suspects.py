"""Chunks that end the workers they run on, beside chunks that do not: which of them is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import TemporaryError, UnavailableError
from pipeline.execute import ClusterPatience, ClusterTerms, open_scheduler
from pipeline.execute.cluster import window
from pipeline.types.outputs import Receipt
from pipeline.types.work import Work
from tests.contracts.cluster import Cluster, start_scheduler, wait_for_workers
from tests.contracts.scheduler import Supply
from tests.execute.misfits import Poison, unsociable

pytestmark = pytest.mark.slow


@contextmanager
def one_worker(folder: Path, *options: str, deaths: int) -> Iterator[Cluster]:
    """Run a cluster with a worker, so that all chunks meet on it; so many deaths are allowed."""
    settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(deaths)}
    with start_scheduler(folder, settings) as cluster, cluster.worker(*options):
        wait_for_workers(cluster, 1)
        yield cluster


def run(cluster: Cluster, task: Callable[[Work], Receipt], chunks: range, terms: ClusterTerms) -> list[int]:
    """Return the chunks that were done, in order of their numbers."""
    supply = Supply([Work(chunk) for chunk in chunks])
    with open_scheduler(cluster.address, workers=1, wave=32, terms=terms) as scheduler:
        scheduler.run(task, supply.take, supply.done)
    return sorted(supply.delivered)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_chunk_that_ended_the_workers_is_named_and_not_those_beside_it(tmp_path: Path, threads: int) -> None:
    notes: list[str] = []
    with (
        one_worker(tmp_path, "--nanny", "--nthreads", str(threads), deaths=1) as cluster,
        pytest.raises(TemporaryError, match=r"^flights.parquet, row group 3 was given up: 3 workers died"),
    ):
        run(cluster, Poison(), range(3, 6), ClusterTerms(note=notes.append))
    assert all(note.endswith("it is carried out once more, alone") for note in notes)
    suspects = {int(note.partition(":")[0].split()[-1]) for note in notes}
    assert 3 in suspects
    assert len(suspects) > 1


def test_chunks_that_end_workers_only_together_are_done_alone_until_it_happens_too_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "ROUNDS", 1)
    with one_worker(tmp_path, "--nanny", "--nthreads", "2", deaths=0) as cluster:
        assert run(cluster, unsociable, range(2), ClusterTerms()) == [0, 1]
        message = r"^chunk \d+: 1 worker died with it and other chunks\. Such .* 2 times, .* succeeded alone"
        with pytest.raises(TemporaryError, match=message):
            run(cluster, unsociable, range(60), ClusterTerms())


def test_chunks_after_which_no_worker_is_left_are_named(tmp_path: Path) -> None:
    terms = ClusterTerms(ClusterPatience(wait_workers=0.5))
    named = r"no worker for 0\.50 s\. Before that, workers died with .* row group 3\b"
    with (
        one_worker(tmp_path, "--no-nanny", "--nthreads", "2", deaths=0) as cluster,
        pytest.raises(UnavailableError, match=named),
    ):
        run(cluster, Poison(), range(3, 5), terms)
