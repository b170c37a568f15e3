"""Many chunks that do nothing: what the scheduler keeps of them, how fast they are, and that memory is flat."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.execute import open_scheduler
from pipeline.execute.labels import Label
from pipeline.types.outputs import Receipt
from pipeline.types.work import Work
from pipeline.units import MIB
from tests.contracts.cluster import Cluster, start_cluster
from tests.contracts.tasks import receipt


class Labelling:
    """Does nothing, with labels as a command has them."""

    def __call__(self, work: Work) -> Receipt:
        return receipt(work.chunk)

    def label_of(self, work: Work) -> Label:
        return Label("score", work.chunk, f"flights/{work.chunk % 100:02}.parquet")


def what_is_kept(dask_scheduler: Any) -> tuple[int, int, int]:
    """Return how many prefixes, groups and tasks a scheduler knows; runs there."""
    ours = [name for name in dask_scheduler.task_prefixes if not name.startswith("_")]
    return len(ours), len(dask_scheduler.task_groups), len(dask_scheduler.tasks)


class Many:
    """Runs chunks, and notes how much memory client and scheduler take after each tenth of them."""

    def __init__(self, cluster: Cluster, chunks: int) -> None:
        self.cluster, self.chunks = cluster, chunks
        self.given, self.seen, self.done = 0, bytearray(chunks), 0
        self.client, self.scheduler = psutil.Process(), psutil.Process(cluster.scheduler.pid)
        self.sizes: list[tuple[int, int]] = []

    def take(self, most: int) -> list[Work]:
        first, self.given = self.given, min(self.chunks, self.given + most)
        return [Work(number) for number in range(first, self.given)]

    def deliver(self, made: Receipt) -> None:
        self.seen[made.chunk] += 1
        self.done += 1
        if self.done % (self.chunks // 10) == 0:
            self.sizes.append((self.client.memory_info().rss, self.scheduler.memory_info().rss))

    def run(self) -> float:
        """Return how many chunks were done a second."""
        with open_scheduler(self.cluster.address, workers=1, wave=1024) as scheduler:
            begun = time.monotonic()
            scheduler.run(Labelling(), self.take, self.deliver)
            seconds = time.monotonic() - begun
            deadline = time.monotonic() + 30
            while (kept := scheduler.client.run_on_scheduler(what_is_kept))[2] and time.monotonic() < deadline:
                time.sleep(0.05)
            self.kept = kept
        assert self.seen == bytes([1]) * self.chunks
        return self.chunks / seconds

    def growth(self, tenth: int) -> tuple[float, float]:
        """Return by how many MiB client and scheduler have grown since a tenth of the chunks."""
        before, after = self.sizes[tenth - 1], self.sizes[-1]
        return (after[0] - before[0]) / MIB, (after[1] - before[1]) / MIB


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with start_cluster(tmp_path, "--no-nanny") as running:
        yield running


@pytest.mark.slow
def test_20_000_chunks_leave_one_prefix_and_memory_is_flat(cluster: Cluster) -> None:
    many = Many(cluster, 20_000)
    print(f"{many.run():,.0f} chunks a second")
    prefixes, groups, tasks = many.kept
    assert (prefixes, tasks) == (1, 0)
    assert groups <= 1
    client, scheduler = many.growth(5)
    assert client < 16
    # The scheduler keeps the last 100,000 transitions of tasks, about 10 for each chunk.
    assert scheduler < 64


@pytest.mark.campaign
def test_a_million_chunks(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    many = Many(cluster, 1_000_000)
    rate = many.run()
    client, scheduler = many.growth(2)
    peaks = [max(sizes) / MIB for sizes in zip(*many.sizes, strict=True)]
    with capsys.disabled():
        print(
            f"\n1,000,000 chunks: {rate:,.0f} a second; from the 200,000th to the last the client grew by {client:.0f}"
            f" MiB to {peaks[0]:.0f}, the scheduler by {scheduler:.0f} MiB to {peaks[1]:.0f}"
        )
    assert many.kept[0] == 1
    assert client < 32
    assert scheduler < 32
