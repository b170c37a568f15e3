"""Several at once: drivers on one output, outputs in one folder, a reader while versions are replaced."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import pipeline
from tests.faults.data import command, write_model, write_rows
from tests.faults.frame import Campaign

PARTS = 4

# Seconds that a reader is waited for.
_PATIENCE = 120


def run(campaign: Campaign) -> None:
    model = write_model(campaign.scratch / "model.json")
    _race(campaign, model, 1 if campaign.bounded else 20)
    _neighbours(campaign, model)
    _reader(campaign, model, 20 if campaign.bounded else 200)


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
        campaign.count("drivers told to come again", codes.count(75))
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
    """Read by glob, without pause, while the output is replaced; every read is one whole version.

    A replacement changes one part and carries over the others under their names, or changes all of them. The parts of
    a whole version have consecutive numbers.
    """
    folder, output = campaign.scratch / "versions", campaign.scratch / "read"
    folder.mkdir()
    random = campaign.random
    for number in range(PARTS):
        write_rows(folder / f"{number}.parquet", _rows(number), number)
    options: dict[str, Any] = {"keep": ["version"], "if_exists": "replace", "chunk_size": 100, "durability": "none"}
    pipeline.score(folder, model, output, **options)
    context = multiprocessing.get_context("spawn")
    seen, ended, results = context.Event(), context.Event(), context.SimpleQueue()
    reader = context.Process(target=_read, args=(str(output), seen, ended, results))
    reader.start()
    try:
        # On a busy machine the reader may take longer to start than all replacements together.
        seen.wait(_PATIENCE)
        seen.clear()
        next_number = PARTS
        for _ in range(replacements):
            for _ in range(random.choice([1, PARTS])):
                write_rows(folder / f"{next_number % PARTS}.parquet", _rows(next_number), next_number)
                next_number += 1
            pipeline.score(folder, model, output, **options)
        seen.wait(_PATIENCE)
    finally:
        ended.set()
        reads, again, wrong = results.get()
        reader.join(30)
    campaign.count("replacements under a reader", replacements)
    campaign.count("reads of a whole version", reads)
    campaign.count("reads begun again because a version went away", again)
    for numbers, rows in wrong:
        campaign.violated("Complete", f"a reader saw {rows} rows of the parts {numbers}; seed {campaign.seed}")
    if not reads:
        campaign.violated("Complete", f"a reader never saw anything, within {_PATIENCE} s")


def _rows(number: int) -> int:
    return 100 + number


def _read(output: str, seen: Event, ended: Event, results: Any) -> None:
    reads, again, wrong = 0, 0, []
    while not ended.is_set():
        try:
            tables = [pq.read_table(path, columns=["version"]) for path in sorted(Path(output).glob("*.parquet"))]
        except FileNotFoundError:
            # The version that was listed has just been replaced: the reader must list again.
            again += 1
            continue
        found = [number for table in tables for number in table["version"].to_pylist()]
        newest = max(found, default=PARTS)
        whole = range(newest - PARTS + 1, newest + 1)
        if Counter(found) != Counter({number: _rows(number) for number in whole}):
            wrong.append((sorted(set(found)), len(found)))
        reads += 1
        seen.set()
        time.sleep(0)
    results.put((reads, again, wrong))
