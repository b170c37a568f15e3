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

import pipeline
from tests.faults.data import command, write_model, write_rows
from tests.faults.frame import Campaign

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

    # What is made once in the life of a process: its imports, the tracker of its children, a version of each output.
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
    """Count the files below a folder by what they are: digests and numbers of versions are left out of the names."""
    paths = (str(path.relative_to(folder.parent)) for path in folder.rglob("*"))
    return Counter(re.sub("[0-9a-f]{7,}", "*", path) for path in paths)


def _growth(campaign: Campaign, model: Path) -> None:
    """Compare peaks over one file with those over twenty like it."""
    rows = 60_000 if campaign.bounded else 1_000_000
    one, twenty = campaign.scratch / "one", campaign.scratch / "twenty"
    one.mkdir()
    twenty.mkdir()
    data = write_rows(one / "0.parquet", rows, 1, row_group_size=rows // 10)
    for number in range(20):
        (twenty / f"{number}.parquet").hardlink_to(data)
    repeats = 1 if campaign.bounded else 7
    peaks: dict[Path, list[int]] = {one: [], twenty: []}
    for number in range(repeats):
        # In turn: whatever else the machine does meets both alike.
        for folder, found in peaks.items():
            found.append(_peak(campaign, model, folder, number, rows // 10))
    growth = statistics.median(peaks[twenty]) / statistics.median(peaks[one]) - 1
    campaign.count("pairs of runs compared", repeats)
    campaign.count("KiB at the peak", round(statistics.median(peaks[one])) // 1024)
    campaign.count("KiB at the peak over 20 times the data", round(statistics.median(peaks[twenty])) // 1024)
    # A single pair of short runs differs by more than the promise allows.
    if growth > (0.05 if campaign.bounded else GROWTH):
        campaign.violated("Memory is an input", f"20 times the data took {growth:.1%} more memory: {peaks}")


def _peak(campaign: Campaign, model: Path, folder: Path, number: int, chunk_rows: int) -> int:
    output = campaign.scratch / f"peak-{folder.name}-{number}"
    options = ("--json", "-q", "--chunk-size", chunk_rows, "--workers", 1, "--memory", "1GiB")
    driver = command("score", folder, "--model", model, "--output", output, *options, stdout=subprocess.PIPE)
    out, err = driver.communicate(timeout=600)
    if driver.returncode:
        raise RuntimeError(err.decode())
    return int(json.loads(out)["peak_bytes"])
