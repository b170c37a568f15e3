"""Compares scoring, as whole processes, with Polars, with FLOOR: what reading and writing alone cost, and with itself
without syncs: what it costs that the result survives a power cut.

    python -m tests.benchmarks.score FOLDER [--rows 20000000] [--columns 20] [--kind parquet|csv] [--json]

The dataset and the model are made in FOLDER once. Then the commands run in turn, round after round; before the first
round each runs once uncounted, which warms the file cache, and its scores are compared with the others' and with
matrix products: on every row, by ``id``. Ratios are medians over rounds of ours over theirs in the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds

from tests.benchmarks import meter
from tests.benchmarks.data import CHUNK_ROWS, Dataset, Mixture, model, save_model

PEERS = Path(__file__).resolve().parent / "peers"
TOLERANCE = 1e-12
OURS = "logitstream"
POLARS = "polars"
FLOOR = "floor"
UNSYNCED = "unsynced"


@dataclass(slots=True)
class Contender:
    """A command; ``{out}`` in it stands for what it writes. ``scores`` tells whether that is to be compared."""

    name: str
    command: Sequence[str]
    scores: bool = True
    runs: list[meter.Measured] = field(default_factory=list)

    def run(self, out: Path) -> meter.Measured:
        """Run once. What earlier runs wrote is on disk before the clock starts, so that nobody pays for another."""
        os.sync()
        return meter.run([part.replace("{out}", str(out)) for part in self.command])

    @property
    def seconds(self) -> float:
        """Median wall time."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak_bytes(self) -> float:
        """Median peak."""
        return statistics.median(run.peak_bytes for run in self.runs)


def read_scores(out: Path, rows: int) -> np.ndarray:
    """Return ``probability`` by ``id``; every id from 0 to rows - 1 stands there exactly once, or it is an error."""
    files = sorted(out.glob("*.parquet")) if out.is_dir() else [out]
    scores, seen = np.full(rows, np.nan), np.zeros(rows, dtype=np.int64)
    for batch in ds.dataset(files).to_batches(["id", "probability"], use_threads=False):
        ids = batch["id"].to_numpy()
        scores[ids] = batch["probability"].to_numpy(zero_copy_only=False)
        np.add.at(seen, ids, 1)
    if not (seen == 1).all():
        raise SystemExit(f"{out}: {int((seen != 1).sum()):,} of {rows:,} ids do not stand there exactly once")
    return scores


def largest_difference(left: np.ndarray, right: np.ndarray) -> float:
    """Return the largest absolute difference, infinite where one side alone is null or NaN."""
    one_sided = np.isnan(left) != np.isnan(right)
    return float("inf") if one_sided.any() else float(np.nanmax(np.abs(left - right), initial=0.0))


def contenders(data: Path, model_path: Path, dataset: Dataset, without: Sequence[str]) -> list[Contender]:
    """Return everything that runs, ours first; Polars in both its forms.

    Raises
    ------
    SystemExit
        A peer is not installed and was not waived.
    """
    ours = [*meter.command("score"), str(data), "--model", str(model_path), "--keep", "id", "--output", "{out}"]
    ours += ["--if-exists", "replace", "-q", *(["--type", "id=int64"] if dataset.kind == "csv" else [])]
    found = [Contender(OURS, ours)]
    if UNSYNCED not in without:
        found.append(Contender(UNSYNCED, [*ours, "--durability", "none"]))
    if POLARS not in without:
        if find_spec(POLARS) is None:
            raise SystemExit("polars is not installed: pip install '.[test]', or say --without polars")
        script = str(PEERS / "polars_score.py")
        found += [
            Contender(f"{POLARS} {form}", [sys.executable, script, str(data), str(model_path), "{out}", form])
            for form in ("nested", "horizontal")
        ]
    if FLOOR not in without:
        script = str(PEERS / "floor.py")
        columns = dataset.mixture.numeric
        found.append(Contender(FLOOR, [sys.executable, script, str(data), "{out}", *columns], scores=False))
    return found


def rehearse(every: Sequence[Contender], dataset: Dataset, reference: np.ndarray, folder: Path) -> list[Contender]:
    """Run each once, compare the scores, and return those that go on: of Polars the faster form.

    Raises
    ------
    SystemExit
        Scores differ.
    """
    seconds = {}
    for contender in every:
        out = folder / "out"
        seconds[contender.name] = contender.run(out).seconds
        if contender.scores:
            difference = largest_difference(read_scores(out, dataset.rows), reference)
            print(f"{contender.name}: largest difference {difference:.1e}", file=sys.stderr)
            if not difference <= TOLERANCE:
                raise SystemExit(f"{contender.name}: scores differ by {difference:.1e}, more than {TOLERANCE:.0e}")
        remove(out)
    forms = [each.name for each in every if each.name.startswith(POLARS)]
    slower = sorted(forms, key=seconds.__getitem__)[1:]
    return [each for each in every if each.name not in slower]


def remove(out: Path) -> None:
    """Remove an output, file or folder, and what a run keeps beside it."""
    for path in (out, out.with_name(f".{out.name}.logitstream")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def measure(every: Sequence[Contender], rounds: int, folder: Path) -> None:
    """Run all in turn, round after round."""
    for number in range(rounds):
        for contender in every:
            contender.runs.append(contender.run(folder / "out"))
            remove(folder / "out")
        took = ", ".join(f"{each.name} {each.runs[-1].seconds:.2f} s" for each in every)
        print(f"round {number + 1} of {rounds}: {took}", file=sys.stderr)


def results(every: Sequence[Contender], dataset: Dataset, data: Path) -> dict[str, Any]:
    """Return medians, and paired ratios of ours over each."""
    ours = every[0]
    rows = []
    for each in every:
        seconds = [run.seconds for run in each.runs]
        ratios = [mine.seconds / theirs.seconds for mine, theirs in zip(ours.runs, each.runs, strict=True)]
        rows.append(
            {
                "name": each.name,
                "seconds": each.seconds,
                "seconds_least": min(seconds),
                "seconds_most": max(seconds),
                "peak_bytes": each.peak_bytes,
                "ratio_seconds": statistics.median(ratios),
                "ratio_peak": ours.peak_bytes / each.peak_bytes,
            }
        )
    packages = ["pyarrow", "numpy", "dask", *([POLARS] if find_spec(POLARS) else [])]
    return {
        "machine": meter.machine(),
        "command": " ".join(Path(part).name for part in meter.command("score")),
        "versions": {name: version(name) for name in packages},
        "rows": dataset.rows,
        "columns": len(dataset.mixture.numeric),
        "kind": dataset.kind,
        "bytes": data.stat().st_size,
        "rounds": len(ours.runs),
        "results": rows,
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the results as a Markdown table under two lines that name the data and the machine."""
    shape = f"{found['rows']:,} rows, id and {found['columns']} features"
    file = f"{found['kind']} of {found['bytes'] / 1e9:.2f} GB"
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    lines = [
        f"{shape}, {file}, {found['rounds']} rounds, warm cache",
        f"{found['machine']}; {found['command']}; {versions}",
        "",
        "| | wall, median (range) | ours / it | peak memory, median | ours / it |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['name']} | {row['seconds']:.2f} s ({row['seconds_least']:.2f} to {row['seconds_most']:.2f}) "
        f"| {row['ratio_seconds']:.2f} | {row['peak_bytes'] / 1e6:.0f} MB | {row['ratio_peak']:.2f} |"
        for row in found["results"]
    ]
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parameters."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.score", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="where data is made and kept")
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--columns", type=int, default=20, help="features beside id")
    parser.add_argument("--row-groups", type=int, default=CHUNK_ROWS, metavar="ROWS", help="rows of a row group")
    parser.add_argument("--compression", default="snappy", help="of the Parquet file")
    parser.add_argument("--kind", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--runs", type=int, default=5, help="rounds that count")
    parser.add_argument(
        "--without", action="append", choices=(POLARS, FLOOR, UNSYNCED), default=[], help="a peer to leave out"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = parse(arguments)
    dataset = Dataset(given.rows, Mixture.of(given.columns), given.kind, given.row_groups, given.compression)
    data = dataset.make(given.folder)
    content = model(dataset.mixture)
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        folder = Path(scratch)
        model_path = save_model(content, folder / "model.json")
        every = contenders(data, model_path, dataset, given.without)
        every = rehearse(every, dataset, dataset.reference(content), folder)
        measure(every, given.runs, folder)
    found = results(every, dataset, data)
    print(json.dumps(found, indent=2) if given.json else table(found))


if __name__ == "__main__":
    main()
