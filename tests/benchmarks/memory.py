"""Compares the memory that ``logitstream plan`` projects with the peak that ``logitstream score`` reaches.

    python -m tests.benchmarks.memory FOLDER [--scale 1.0] [--job NAME]... [--json]
    python -m tests.benchmarks.memory FOLDER --ten-times [--memory 512MiB]

The promise is measured <= projected <= 1.5 x measured + 64 MiB, on six named jobs. With ``--ten-times`` one dataset of
ten times the budget, decoded, is scored within the budget. Ends with 1 where a promise does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.units import MIB, parse_bytes
from tests.benchmarks import meter
from tests.benchmarks.data import Dataset, Mixture
from tests.benchmarks.models import model, save_model

SLACK = 1.5
SLACK_BYTES = 64 * MIB
TIMES = 10


def jobs(scale: float) -> dict[str, Dataset]:
    """Return the six named jobs; at scale 1 their files take about 3 GB."""

    def rows(count: int) -> int:
        return max(1, round(count * scale))

    huge = rows(4_000_000)
    return {
        "narrow": Dataset(rows(10_000_000), Mixture(2, 0, 1)),
        "wide": Dataset(rows(300_000), Mixture.of(200), row_group_rows=131_072),
        "strings": Dataset(rows(2_000_000), Mixture(1, 0, 0, levels=(1000, 1000), note=2)),
        "huge row group": Dataset(huge, Mixture.of(10), row_group_rows=huge),
        "csv": Dataset(rows(2_000_000), Mixture.of(10), "csv"),
        "gzip csv": Dataset(rows(2_000_000), Mixture.of(10), "csv.gz"),
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job's peak: projected, measured, and the budget where one was given."""

    name: str
    rows: int
    projected_bytes: int
    measured_bytes: int
    workers: int
    seconds: float
    budget_bytes: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the promise holds."""
        if self.budget_bytes is not None:
            return self.measured_bytes <= self.budget_bytes
        return self.measured_bytes <= self.projected_bytes <= SLACK * self.measured_bytes + SLACK_BYTES


def measure(name: str, dataset: Dataset, folder: Path, memory: str | None) -> Outcome:
    """Plan and score a dataset with the installed command."""
    data = dataset.make(folder)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        model_path = save_model(model(dataset.mixture), Path(scratch) / "model.json")
        keep = ",".join(["id", *dataset.mixture.notes])
        job = [str(data), "--model", str(model_path), "--keep", keep, "--output", f"{scratch}/out"]
        job += ["--memory", memory] if memory else []
        plan: Mapping[str, Any] = json.loads(meter.run([*meter.command("plan"), *job, "--json"]).output)
        scored = meter.run([*meter.command("score"), *job, "-q"])
    resources = plan["resources"]
    return Outcome(
        name=name,
        rows=dataset.rows,
        projected_bytes=resources["projected_bytes"],
        measured_bytes=scored.peak_bytes,
        workers=resources["workers"],
        seconds=scored.seconds,
        budget_bytes=parse_bytes(memory) if memory else None,
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a Markdown table."""
    lines = [
        meter.machine(),
        "",
        "| job | rows | workers | measured | projected | projected / measured | budget | seconds | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in outcomes:
        measured, projected = each.measured_bytes / MIB, each.projected_bytes / MIB
        budget = f"{each.budget_bytes / MIB:.0f} MiB" if each.budget_bytes else "default"
        lines.append(
            f"| {each.name} | {each.rows:,} | {each.workers} | {measured:.0f} MiB | {projected:.0f} MiB "
            f"| {projected / measured:.2f} | {budget} | {each.seconds:.1f} | {'holds' if each.holds else 'BROKEN'} |"
        )
    return "\n".join(lines)


def as_json(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as one JSON object."""
    names = ("name", "rows", "workers", "measured_bytes", "projected_bytes", "budget_bytes", "seconds", "holds")
    rows = [{name: getattr(each, name) for name in names} for each in outcomes]
    return json.dumps({"machine": meter.machine(), "jobs": rows}, indent=2)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parameters."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.memory", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="where data is made and kept")
    parser.add_argument("--scale", type=float, default=1.0, help="times the rows of each job")
    parser.add_argument("--job", action="append", choices=tuple(jobs(1.0)), help="this job alone; repeatable")
    parser.add_argument("--ten-times", action="store_true", help="one dataset of ten times the budget, within it")
    parser.add_argument("--memory", help="budget of each run [default: the command's own, 512MiB with --ten-times]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 where a promise does not hold."""
    given = parse(arguments)
    if given.ten_times:
        given.memory = given.memory or "512MiB"
        mixture = Mixture()
        row_bytes = 8 * (1 + len(mixture.numeric))
        chosen = {"ten times": Dataset(TIMES * parse_bytes(given.memory) // row_bytes, mixture)}
    else:
        chosen = {name: each for name, each in jobs(given.scale).items() if given.job is None or name in given.job}
    outcomes = []
    for name, dataset in chosen.items():
        outcomes.append(measure(name, dataset, given.folder.resolve(), given.memory))
        print(f"{name}: {outcomes[-1].measured_bytes / MIB:.0f} MiB", file=sys.stderr)
    print(as_json(outcomes) if given.json else table(outcomes))
    return 0 if all(each.holds for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
