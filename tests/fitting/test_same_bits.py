"""The model file of a fit has the same bytes however it was carried out, and whatever ended it on the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import memory
from pipeline.units import MIB
from tests.contracts.cluster import ROOT, Cluster, start_scheduler, wait_for_workers

ROWS, CHUNK_ROWS = 12_000, 2_500
FEATURES = "x, log1p(e), C(c), C(c):x, x:e, B(e, bins=4), M(u), u"
OPTIONS: dict[str, Any] = {
    "target": "y",
    "features": FEATURES,
    "weight": "w",
    "missing": {"u": "impute-median", "c": "indicator"},
    "chunk_size": CHUNK_ROWS,
}
# Each with other means, which change no bit.
MEANS: dict[str, dict[str, Any]] = {
    "one thread": {"workers": 1},
    "three threads": {"workers": 3},
    "on the calling thread": {"scheduler": "sync"},
    "little memory": {"memory": "{memory}", "workers": 1},
    "scratch files": {"scratch": "{scratch}", "memory": "{memory}"},
    "read again": {"scratch": "none", "memory": "{memory}"},
}


def table() -> pa.Table:
    draw = np.random.default_rng(17)
    x, e = draw.normal(size=ROWS), draw.exponential(size=ROWS)
    levels = np.array(["a", "b", "c", "d"])[draw.integers(0, 4, ROWS)]
    u = draw.normal(3.0, 2.0, ROWS)
    raw = 0.3 * x - 0.4 * np.log1p(e) + 0.5 * (levels == "b") - 0.2 * x * (levels == "c") + 0.1 * u
    return pa.table(
        {
            "x": x,
            "e": e,
            "c": pa.array(levels, mask=draw.random(ROWS) < 0.05),
            "u": pa.array(u, mask=draw.random(ROWS) < 0.1),
            "w": draw.integers(1, 4, ROWS),
            "y": draw.random(ROWS) < 1 / (1 + np.exp(-raw)),
        }
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(table(), path, row_group_size=1_250)
    return path


@pytest.fixture(scope="module")
def expected(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("expected") / "model.json"
    pipeline.fit(rows, output=out, workers=2, **OPTIONS)
    return out.read_bytes()


def given(means: dict[str, Any], folder: Path) -> dict[str, Any]:
    # What this process has taken so far counts, too.
    little = f"{(max(memory.current_bytes(), 160 * MIB) + 256 * MIB) // MIB}MiB"
    words = {"{scratch}": str(folder), "{memory}": little}
    return {name: words.get(value, value) for name, value in means.items()}


@pytest.mark.parametrize("name", MEANS)
def test_no_means_change_a_bit(name: str, rows: Path, expected: bytes, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    pipeline.fit(rows, output=tmp_path / "model.json", **OPTIONS, **given(MEANS[name], tmp_path / "scratch"))
    assert (tmp_path / "model.json").read_bytes() == expected
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["model.json", "scratch"]


@pytest.mark.slow
def test_processes_change_no_bit(rows: Path, expected: bytes, tmp_path: Path) -> None:
    pipeline.fit(rows, output=tmp_path / "model.json", scheduler="processes", workers=2, **OPTIONS)
    assert (tmp_path / "model.json").read_bytes() == expected


def test_another_chunk_size_changes_only_the_last_digits(rows: Path, expected: bytes, tmp_path: Path) -> None:
    ours = pipeline.fit(rows, **{**OPTIONS, "chunk_size": 5_000})
    (tmp_path / "expected.json").write_bytes(expected)
    there = pipeline.LogisticModel.load(tmp_path / "expected.json")
    data = table()
    np.testing.assert_allclose(
        ours.model.raw_prediction(data), there.raw_prediction(data), rtol=1e-12, atol=1e-12, equal_nan=True
    )


def test_a_csv_gives_the_model_of_a_parquet_file(rows: Path, tmp_path: Path) -> None:
    pa.csv.write_csv(table(), tmp_path / "rows.csv")
    ours = pipeline.fit(tmp_path / "rows.csv", **{**OPTIONS, "chunk_size": "64KiB"})
    there = pipeline.fit(rows, **OPTIONS)
    data = table()
    np.testing.assert_allclose(
        ours.model.raw_prediction(data), there.model.raw_prediction(data), rtol=1e-10, atol=1e-10, equal_nan=True
    )


COMMAND = """
import sys, pipeline
from tests.fitting.test_same_bits import OPTIONS
pipeline.fit(sys.argv[1], output=sys.argv[2], workers=2, scratch=sys.argv[3], **OPTIONS)
"""


def started(rows: Path, out: Path, scratch: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(rows), str(out), str(scratch)], cwd=ROOT, env=environment
    )


def killed_until_done(rows: Path, folder: Path, kills: int, seed: int) -> bytes:
    """Kill a fit at random moments, then let it end; return the bytes of its model file."""
    draw = random.Random(seed)
    out, scratch = folder / "model.json", folder / "scratch"
    scratch.mkdir()
    begun = time.monotonic()
    whole = started(rows, folder / "whole.json", scratch)
    assert whole.wait() == 0
    seconds = time.monotonic() - begun
    for _ in range(kills):
        process = started(rows, out, scratch)
        try:
            process.wait(draw.uniform(0.2, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        if out.exists():
            break
    if not out.exists():
        assert started(rows, out, scratch).wait() == 0
    assert not list(scratch.iterdir())
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "scratch", "whole.json"]
    return out.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_fit_that_was_killed_ends_with_the_same_bytes(seed: int, rows: Path, expected: bytes, tmp_path: Path) -> None:
    assert killed_until_done(rows, tmp_path, 3, seed) == expected


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(5, 55))
def test_fifty_fits_that_were_killed_end_with_the_same_bytes(
    seed: int, rows: Path, expected: bytes, tmp_path: Path
) -> None:
    assert killed_until_done(rows, tmp_path, 3, seed) == expected


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with start_scheduler(tmp_path_factory.mktemp("cluster")) as running, running.worker("--no-nanny"):
        yield running


@pytest.mark.slow
def test_a_cluster_changes_no_bit_and_nor_does_a_worker_that_is_killed(
    cluster: Cluster, rows: Path, expected: bytes, tmp_path: Path
) -> None:
    wait_for_workers(cluster, 1)
    pipeline.fit(rows, output=tmp_path / "model.json", scheduler=cluster.address, **OPTIONS)
    assert (tmp_path / "model.json").read_bytes() == expected
    with cluster.worker("--no-nanny") as worker:
        wait_for_workers(cluster, 2)
        passes = 0

        def observe(_: object) -> None:
            nonlocal passes
            passes += 1
            if passes == 3:
                worker.kill()

        pipeline.fit(rows, output=tmp_path / "again.json", scheduler=cluster.address, observe=observe, **OPTIONS)
    assert (tmp_path / "again.json").read_bytes() == expected
