"""What an observer learns of a run while chunks are under way."""

from __future__ import annotations

import gzip
import os
import signal
import threading
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import pyarrow as pa
import pytest

from jobs.show.pace import Pace
from pipeline import memory
from pipeline.execute import telling
from pipeline.types.report import Event, Planned, Progressed, Report
from tests.flow.conftest import Bench

ROWS = 200_000
LOCAL = ("sync", "threads", "processes")


@dataclass
class Watch:
    """Keeps how far the bar was at each event, and on which threads it was told."""

    fractions: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    pace: Pace | None = None

    def __call__(self, event: Event) -> None:
        self.threads.add(threading.get_ident())
        if isinstance(event, Planned):
            self.pace = Pace(event.summary, 0.0)
        if isinstance(event, Progressed) and self.pace is not None:
            self.pace = self.pace.moved(event)
            self.fractions.append(self.pace.fraction)
            self.rows.append(event.rows)
            self.moved(event)

    def moved(self, event: Progressed) -> None:
        """Do more with an event."""


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches, and news of each, so that few rows make a long run."""
    monkeypatch.setattr(memory, "LARGEST_BATCH", 4_096)
    monkeypatch.setattr(telling, "INTERVAL", 0.0)


def fill(bench: Bench, kind: str) -> None:
    random = np.random.default_rng(5)
    x, c = random.normal(size=ROWS).round(6), random.choice(["a", "b", "z"], size=ROWS)
    if kind == "parquet":
        bench.put("rows.parquet", pa.table({"x": x, "c": c}))
        return
    rows = enumerate(zip(x.tolist(), c.tolist(), strict=True))
    text = "x,c,note\n" + "".join(f"{value},{level},{row:060d}\n" for row, (value, level) in rows)
    bench.put(*(("rows.csv.gz", gzip.compress(text.encode(), 1)) if kind == "csv.gz" else ("rows.csv", text)))


def score(bench: Bench, watch: Watch, **options: Any) -> Report:
    return bench.score(observe=watch, workers=2, **options)


@pytest.mark.parametrize(
    ("kind", "scheduler"),
    [
        *(("parquet", scheduler) for scheduler in LOCAL),
        *((kind, "threads") for kind in ("csv", "csv.gz")),
        *(pytest.param(kind, other, marks=pytest.mark.slow) for kind in ("csv", "csv.gz") for other in LOCAL[::2]),
    ],
)
def test_the_bar_moves_within_a_single_chunk(bench: Bench, kind: str, scheduler: str) -> None:
    fill(bench, kind)
    watch = Watch()
    report = score(bench, watch, scheduler=scheduler)
    assert report.totals.chunks == 1
    within = [fraction for fraction in watch.fractions if 0 < fraction < 1]
    assert len(set(within)) > 10
    assert watch.fractions == sorted(watch.fractions)
    assert watch.fractions[-1] == 1
    assert watch.rows[-1] == report.totals.read == ROWS
    assert watch.threads == {threading.get_ident()}


@pytest.mark.parametrize("scheduler", LOCAL)
@pytest.mark.slow
def test_many_chunks_at_a_time_add_up(bench: Bench, scheduler: str) -> None:
    fill(bench, "parquet")
    (bench.inputs / "rows.parquet").rename(bench.inputs / "a.parquet")
    bench.put("b.parquet", pa.table({"x": [0.5] * 50_000, "c": ["a"] * 50_000}))
    watch = Watch()
    report = score(bench, watch, scheduler=scheduler, chunk_size=60_000)
    assert report.totals.chunks == 2
    assert watch.fractions == sorted(watch.fractions)
    assert watch.rows[-1] == report.totals.read == ROWS + 50_000


def test_small_files_of_one_chunk_count_one_after_the_other(bench: Bench) -> None:
    for number in range(30):
        bench.put(f"{number:02d}.csv", "x,c\n" + "0.5,a\n" * 100)
    watch = Watch()
    report = score(bench, watch)
    assert report.totals.chunks == 1
    assert watch.fractions == sorted(watch.fractions)
    assert len(set(watch.fractions)) >= 30


def test_a_chunk_that_is_tried_again_does_not_move_the_bar_back(bench: Bench) -> None:
    fill(bench, "csv")
    reads = 0
    read = os.preadv

    def fail_once(*arguments: Any) -> int:
        nonlocal reads
        reads += 1
        if reads == 15:
            raise OSError(5, "Input/output error")
        return read(*arguments)

    watch = Watch()
    with patch.object(os, "preadv", fail_once), patch("pipeline.scan.task.time.sleep") as pause:
        report = score(bench, watch)
    pause.assert_called_once()
    assert watch.fractions == sorted(watch.fractions)
    assert watch.rows[-1] == report.totals.read == ROWS
    assert watch.fractions[-1] == 1


class Kill(Watch):
    """Kills the process that works on a chunk when half of it is done, and no child of this process beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.others = {child.pid for child in psutil.Process().children()}
        self.killed = 0

    def moved(self, event: Progressed) -> None:
        if not self.killed and self.fractions[-1] >= 0.5:
            for child in psutil.Process().children():
                if child.pid not in self.others:
                    child.send_signal(signal.SIGKILL)
                    self.killed += 1


@pytest.mark.slow
def test_a_chunk_whose_process_was_killed_does_not_move_the_bar_back(bench: Bench) -> None:
    fill(bench, "parquet")
    watch = Kill()
    report = score(bench, watch, scheduler="processes")
    assert watch.killed == 1
    assert watch.fractions == sorted(watch.fractions)
    assert watch.rows[-1] == report.totals.read == ROWS


@pytest.mark.parametrize("scheduler", LOCAL)
def test_where_nobody_observes_nothing_is_told(bench: Bench, scheduler: str) -> None:
    fill(bench, "parquet")
    with patch.object(telling, "Teller", side_effect=AssertionError("a teller was made")):
        assert bench.score(scheduler=scheduler).totals.read == ROWS
