"""Many runs in a row leave nothing behind; more data takes no more memory."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

import pipeline
from tests.faults.data import command, write_model, write_rows
from tests.faults.frame import Campaign

TIMES = 20
GROWTH = 0.01
# One kind of run after the other, on three outputs: every output meets every kind, and is replaced each time.
KINDS: list[dict[str, Any]] = [
    {"precision": "fast", "workers": 2},
    {"precision": "accurate", "workers": 2},
    {"precision": "reproducible", "scheduler": "sync"},
    {"precision": "accurate", "workers": 1, "durability": "none"},
]
PROCESSES: dict[str, Any] = {"precision": "fast", "workers": 2, "scheduler": "processes"}


def run(campaign: Campaign) -> None:
    model = write_model(campaign.scratch / "model.json")
    with _own_temporary_folder(campaign.scratch / "tmp") as temporary:
        _row(campaign, model, temporary, 30 if campaign.bounded else 200)
    _growth(campaign, model)


@contextmanager
def _own_temporary_folder(folder: Path) -> Iterator[Path]:
    """Have this process and its children put their temporary files where nobody else puts any."""
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    environment, os.environ["TMPDIR"] = os.environ.get("TMPDIR"), str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        del os.environ["TMPDIR"]
        if environment is not None:
            os.environ["TMPDIR"] = environment


def _row(campaign: Campaign, model: Path, temporary: Path, runs: int) -> None:
    """Run many times in one process, and compare what is open before and after."""
    data = write_rows(campaign.scratch / "row.parquet", 3_000, 1, missing=3)
    outputs = campaign.scratch / "outputs"
    outputs.mkdir()
    pooled = runs if campaign.bounded else 10

    def once(number: int) -> None:
        kind = PROCESSES if number % pooled == pooled - 1 else KINDS[number % len(KINDS)]
        pipeline.score(data, model, outputs / f"out{number % 3}", chunk_size=1_000, if_exists="replace", **kind)
        campaign.count(f"runs in a row on {kind.get('scheduler', 'threads')}")

    def left() -> dict[str, int]:
        return _open_things() | {
            f"files {kind}": count for kind, count in (_kinds(outputs) + _kinds(temporary)).items()
        }

    # What a process makes only once: its imports, the tracker of its children, a version of each output.
    for number in range(12):
        once(number)
    once(pooled - 1)
    campaign.counts.clear()
    before = left()
    for number in range(runs):
        once(number)
    for what, count in left().items():
        if count > before.get(what, 0):
            campaign.violated("Nothing left", f"{what}: {before.get(what, 0)} before {runs} runs, {count} after")


def _open_things() -> dict[str, int]:
    return {
        "file descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": threading.active_count(),
        "threads of the system": psutil.Process().num_threads(),
        "processes": len(psutil.Process().children(recursive=True)),
    }


def _kinds(folder: Path) -> Counter[str]:
    """Count the files below a folder by kind: digests and numbers of versions are left out of the names."""
    paths = (str(path.relative_to(folder.parent)) for path in folder.rglob("*"))
    return Counter(re.sub("[0-9a-f]{7,}", "*", path) for path in paths)


def _growth(campaign: Campaign, model: Path) -> None:
    """Compare peaks over one file with those over a file twenty times as long, and over twenty like it."""
    rows = 60_000 if campaign.bounded else 1_000_000
    one = write_rows(campaign.scratch / "one.parquet", rows, 1, row_group_size=rows // 10)
    longer = campaign.scratch / "longer.parquet"
    table = pq.read_table(one)
    with pq.ParquetWriter(longer, table.schema) as writer:
        for _ in range(TIMES):
            writer.write_table(table, row_group_size=rows // 10)
    more = campaign.scratch / "more"
    more.mkdir()
    for number in range(TIMES):
        (more / f"{number}.parquet").hardlink_to(one)
    repeats = 1 if campaign.bounded else 5
    found: dict[Path, list[int]] = {one: [], longer: [], more: []}
    for number in range(repeats):
        # In turn: other work on the machine affects all of them alike.
        for data, peaks in found.items():
            peaks.append(_peak(campaign, model, data, number, rows // 10))
    peak, *others = (statistics.median(peaks) / 1024 for peaks in found.values())
    campaign.count("runs each compared", repeats)
    campaign.count("KiB at the peak", round(peak))
    # A single pair of short runs differs by more than the promise allows.
    whats = (f"{TIMES} times the rows", f"{TIMES} times the files")
    for other, what in zip(others, whats, strict=True):
        campaign.count(f"KiB over {what}", round(other))
        if other / peak - 1 > (0.05 if campaign.bounded else GROWTH):
            campaign.violated("Memory is an input", f"{what} took {other / peak - 1:.1%} more memory: {found}")


def _peak(campaign: Campaign, model: Path, data: Path, number: int, chunk_rows: int) -> int:
    output = campaign.scratch / f"peak-{data.stem}-{number}"
    options = ("--json", "-q", "--chunk-size", chunk_rows, "--workers", 1, "--memory", "1GiB")
    driver = command("score", data, "--model", model, "--output", output, *options, stdout=subprocess.PIPE)
    out, err = driver.communicate(timeout=600)
    if driver.returncode:
        raise RuntimeError(err.decode())
    return int(json.loads(out)["peak_bytes"])
