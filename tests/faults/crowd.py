"""Several at once: drivers on one output, outputs in one folder, a reader while versions are replaced."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import pipeline
from tests.faults.data import command, write_model, write_rows
from tests.faults.frame import Campaign


def run(campaign: Campaign) -> None:
    model = write_model(campaign.scratch / "model.json")
    _race(campaign, model, 2 if campaign.bounded else 20)
    _neighbours(campaign, model)
    _reader(campaign, model, 40 if campaign.bounded else 200)


def _race(campaign: Campaign, model: Path, races: int) -> None:
    """Start two different jobs on one output at the same time; one wins whole, the other is told to come again."""
    data = write_rows(campaign.scratch / "race.parquet", 20_000, 1, missing=5)
    for race in range(races):
        output = campaign.scratch / f"race-{race}"
        waits = race % 2
        more = ["--if-exists", "replace", "--chunk-size", 4_000, *(["--if-running", "wait=60s"] if waits else [])]
        drivers = [
            command("score", data, "--model", model, "--output", output, "-q", *more, *keep)
            for keep in ([], ["--keep", "version"])
        ]
        codes = sorted(driver.wait(120) for driver in drivers)
        for driver in drivers:
            assert driver.stderr is not None
            driver.stderr.close()
        campaign.count("races of two drivers")
        if codes not in ([[0, 0]] if waits else [[0, 0], [0, 75]]):
            campaign.violated("Exclusive", f"two drivers ended with {codes}")
        if differences := pipeline.verify(output).differences:
            campaign.violated("Concurrent", f"after a race: {differences[0]}")


def _neighbours(campaign: Campaign, model: Path) -> None:
    """Publish two outputs into one folder at the same time."""
    data = write_rows(campaign.scratch / "neighbours.parquet", 20_000, 2)
    outputs = [campaign.scratch / "left", campaign.scratch / "left.logitstream"]
    drivers = [command("score", data, "--model", model, "--output", output, "-q") for output in outputs]
    codes = [driver.wait(120) for driver in drivers]
    for driver in drivers:
        assert driver.stderr is not None
        driver.stderr.close()
    campaign.count("outputs beside each other", 2)
    if codes != [0, 0] or any(pipeline.verify(output).differences for output in outputs):
        campaign.violated("Concurrent", f"two outputs in one folder: {codes}")


def _reader(campaign: Campaign, model: Path, replacements: int) -> None:
    """Read by glob, without pause, while the output is replaced; every read is one whole version."""
    folder, output = campaign.scratch / "versions", campaign.scratch / "read"
    folder.mkdir()
    for part in range(4):
        write_rows(folder / f"{part}.parquet", 100, 0)
    options: dict[str, Any] = {"keep": ["version"], "if_exists": "replace", "chunk_size": 100, "durability": "none"}
    pipeline.score(folder, model, output, **options)
    context = multiprocessing.get_context("spawn")
    ended, results = context.Event(), context.SimpleQueue()
    reader = context.Process(target=_read, args=(str(output), ended, results))
    reader.start()
    try:
        for version in range(1, replacements + 1):
            for part in range(4):
                write_rows(folder / f"{part}.parquet", 100 + version, version)
            pipeline.score(folder, model, output, **options)
    finally:
        ended.set()
        reads, wrong = results.get()
        reader.join(30)
    campaign.count("replacements under a reader", replacements)
    campaign.count("reads of a whole version", reads)
    if wrong or not reads:
        campaign.violated("Complete", f"a reader saw {wrong[:3]}")


def _read(output: str, ended: Event, results: Any) -> None:
    reads, wrong = 0, []
    while not ended.is_set():
        try:
            tables = [pq.read_table(path, columns=["version"]) for path in sorted(Path(output).glob("*.parquet"))]
        except FileNotFoundError:
            # The version that was listed has just been replaced: what a reader has to do is to list again.
            continue
        versions = [version for table in tables for version in table["version"].to_pylist()]
        if len(set(versions)) != 1 or len(versions) != 4 * (100 + versions[0]):
            wrong.append((sorted(set(versions)), len(versions)))
        reads += 1
        time.sleep(0)
    results.put((reads, wrong))
