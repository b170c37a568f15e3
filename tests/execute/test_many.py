"""Many chunks that do nothing: each is delivered once, the scheduler forgets them, and memory is flat."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from pipeline.execute import open_scheduler
from pipeline.types.work import Work
from pipeline.units import MIB
from tests.benchmarks.cluster import ManyChunks, started, table
from tests.contracts.cluster import Cluster
from tests.contracts.tasks import no_op


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with started(tmp_path) as running:
        yield running


@pytest.mark.slow
def test_20_000_chunks_leave_one_prefix_and_memory_is_flat(cluster: Cluster) -> None:
    many = ManyChunks(cluster, 20_000)
    many.run()
    assert (many.prefixes, many.tasks) == (1, 0)
    assert many.groups <= 1
    assert many.client.growth(5) < 16
    # Dask remembers what the last 100,000 keys are called, half a kilobyte each.
    assert many.scheduler.growth(5) < 16


@pytest.mark.slow
def test_the_client_forgets_what_it_has_sent(tmp_path: Path) -> None:
    left = [Work(chunk) for chunk in range(600)]

    def take(most: int) -> Sequence[Work]:
        taken = [Work(work.chunk, argument=os.urandom(100_000)) for work in left[:most]]
        del left[:most]
        return taken

    process = psutil.Process()
    with (
        started(tmp_path, workers=1, threads=1) as cluster,
        open_scheduler(cluster.address, workers=1, wave=8) as scheduler,
    ):
        before = process.memory_info().rss
        scheduler.run(no_op, take, lambda _: None)
        assert process.memory_info().rss - before < 30 * MIB


@pytest.mark.campaign
def test_a_million_chunks(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    many = ManyChunks(cluster, 1_000_000)
    many.run()
    with capsys.disabled():
        print(f"\n{table(many.as_json())}")
    assert (many.prefixes, many.tasks) == (1, 0)
    assert many.client.growth(2) < 32
    assert many.scheduler.growth(2) < 32
