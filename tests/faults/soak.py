"""Many runs in a row leave nothing behind; more data takes no more memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import threading
from pathlib import Path

import psutil

import pipeline
from tests.faults.data import command, write_model, write_rows
from tests.faults.frame import Campaign

GROWTH = 0.01


def run(campaign: Campaign) -> None:
    model = write_model(campaign.scratch / "model.json")
    _row(campaign, model, 30 if campaign.bounded else 200)
    _growth(campaign, model)


def _row(campaign: Campaign, model: Path, runs: int) -> None:
    """Run many times in one process, and compare what is open before and after."""
    data = write_rows(campaign.scratch / "row.parquet", 3_000, 1, missing=3)
    outputs = campaign.scratch / "outputs"
    outputs.mkdir()

    def once(number: int) -> None:
        options = {"chunk_size": 1_000, "if_exists": "replace", "workers": 2}
        pipeline.score(data, model, outputs / f"out{number % 3}", precision=("fast", "accurate")[number % 2], **options)

    for number in range(6):
        once(number)
    before, files = _open_things(), _names(outputs)
    for number in range(runs):
        once(number)
    after = _open_things()
    campaign.count("runs in a row", runs)
    for what, count in before.items():
        if after[what] > count:
            campaign.violated("Nothing left", f"{what}: {count} before {runs} runs, {after[what]} after")
    if left := _names(outputs) - files:
        campaign.violated("Nothing left", f"{len(left)} more files, {min(left)} among them")


def _open_things() -> dict[str, int]:
    return {
        "file descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": threading.active_count(),
        "processes": len(psutil.Process().children(recursive=True)),
        "temporary files": sum(1 for _ in Path(tempfile.gettempdir()).iterdir()),
    }


def _names(folder: Path) -> set[str]:
    # The job of the other precision has other digests: names of parts come and go, the rest stays.
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "part-" not in path.name and path.is_file()}


def _growth(campaign: Campaign, model: Path) -> None:
    """Compare peaks over one file with those over twenty like it."""
    rows = 200_000 if campaign.bounded else 1_000_000
    one, twenty = campaign.scratch / "one", campaign.scratch / "twenty"
    one.mkdir()
    twenty.mkdir()
    data = write_rows(one / "0.parquet", rows, 1, row_group_size=100_000)
    for number in range(20):
        (twenty / f"{number}.parquet").hardlink_to(data)
    repeats = 1 if campaign.bounded else 5
    peaks = {
        folder: statistics.median(_peak(campaign, model, folder, n) for n in range(repeats)) for folder in (one, twenty)
    }
    growth = peaks[twenty] / peaks[one] - 1
    campaign.count("times the data", 20)
    campaign.count("per mille of growth", max(0, round(1000 * growth)))
    # A single pair of short runs differs by more than the promise allows.
    if growth > (0.05 if campaign.bounded else GROWTH):
        campaign.violated("Memory is an input", f"20 times the data took {growth:.1%} more memory")


def _peak(campaign: Campaign, model: Path, folder: Path, number: int) -> int:
    output = campaign.scratch / f"peak-{folder.name}-{number}"
    options = ("--json", "-q", "--chunk-size", 100_000, "--workers", 1, "--memory", "1GiB")
    driver = command("score", folder, "--model", model, "--output", output, *options, stdout=subprocess.PIPE)
    out, err = driver.communicate(timeout=600)
    if driver.returncode:
        raise RuntimeError(err.decode())
    return int(json.loads(out)["peak_bytes"])
