"""Fits logistic regressions as whole processes in turn: ours, glum, scikit-learn and polars-ds.

    python -m tests.benchmarks.fit FOLDER [--case NAME]... [--scale 1.0] [--runs 5] [--without PEER]...
                                          [--peers-python PYTHON] [--memory 800MiB] [--json FILE]

Data is made in FOLDER once. Except in the case with levels the optimum is checked in this process: the largest absolute
value of the gradient, for each row, at the coefficients that each contender wrote, summed over the file by plain numpy.
Ratios are of ours over theirs in the same round. What is promised of ours is printed with what was found and whether it
holds. The peers run with the packages of the extra ``peers``, by default in this Python.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from pipeline.units import parse_bytes
from tests.benchmarks import files, meter, promises
from tests.benchmarks.data import CHUNK_ROWS, Mixture, level_names
from tests.benchmarks.meter import Measured
from tests.benchmarks.promises import Target
from tests.benchmarks.turns import Bench, clear, say

PEERS = Path(__file__).parent / "peers" / "fit_peer.py"
TARGET = "y"
SEED = 1958
# A contender whose gradient, for each row, is larger than this has not found the optimum.
LARGEST_GRADIENT = 1e-7


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rows with a target that a logistic model made.

    ``width`` numeric columns of the usual mixture and ``levels`` columns of text, each with so many levels.
    """

    rows: int
    width: int = 20
    levels: tuple[int, ...] = ()
    kind: str = "parquet"

    @property
    def mixture(self) -> Mixture:
        """The columns."""
        return Mixture.of(self.width)

    def make(self, folder: Path) -> Path:
        """Return the path of the file in a folder, made now unless it is there."""
        levels = "".join(f"t{count}" for count in self.levels)
        path = folder / f"fit-{self.rows}-{self.width}{levels}.{self.kind}"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"unfinished-{path.name}")
            if self.kind == "parquet":
                files.write_parquet(unfinished, self.tables(CHUNK_ROWS), CHUNK_ROWS, "snappy")
            else:
                files.write_csv(unfinished, self.tables(CHUNK_ROWS // 8), gzipped=False)
            unfinished.rename(path)
        return path

    def batches(self, path: Path) -> Iterator[pa.RecordBatch]:
        """Yield the numbers and the target of the file."""
        names = [*self.mixture.numeric, TARGET]
        if self.kind == "csv":
            return iter(pc.open_csv(path, convert_options=pc.ConvertOptions(include_columns=names)))
        return pq.ParquetFile(path).iter_batches(CHUNK_ROWS // 8, columns=names)

    def tables(self, rows: int) -> Iterator[pa.Table]:
        """Yield all rows."""
        weights = np.random.default_rng(SEED).uniform(-0.4, 0.4, self.width)
        effects = [
            np.random.default_rng((SEED, number)).normal(0, 0.3, count) for number, count in enumerate(self.levels)
        ]
        for start in range(0, self.rows, rows):
            yield self._table(start, min(rows, self.rows - start), weights, effects)

    def _table(self, start: int, rows: int, weights: np.ndarray, effects: Sequence[np.ndarray]) -> pa.Table:
        random = np.random.default_rng((SEED, start))
        columns: dict[str, Any] = {"id": np.arange(start, start + rows)}
        raw = np.full(rows, -0.5)
        for name, weight in zip(self.mixture.numeric, weights, strict=True):
            match name[0]:
                case "g":
                    values, scaled = (drawn := random.standard_normal(rows)), drawn
                case "d":
                    values = random.integers(0, 1_000_000, rows) / 100
                    scaled = (values - 5000) / 2887
                case _:
                    values = random.integers(0, 100, rows)
                    scaled = (values - 49.5) / 28.9
            columns[name] = values
            raw += weight * scaled
        for number, effect in enumerate(effects):
            codes = random.integers(0, len(effect), rows, dtype=np.int32)
            columns[f"t{number:02d}"] = pa.array(level_names(len(effect))).take(pa.array(codes))
            raw += effect[codes]
        columns[TARGET] = (random.random(rows) < 1 / (1 + np.exp(-raw))).astype(np.int8)
        return pa.table(columns)


@dataclass(frozen=True, slots=True)
class Case:
    """A dataset, the peers, and what is promised of ours.

    ``against`` has, by peer, the most of its wall time that ours may take. ``options`` are those of ours alone.
    ``most_passes`` counts the first pass; ``later_over_first`` is the most of the time of the first pass that a later
    one may take.
    """

    about: str
    data: Fitted
    against: Mapping[str, float | None]
    options: tuple[str, ...] = ()
    most_passes: int | None = None
    later_over_first: float | None = None


CASES: Mapping[str, Case] = {
    "FIT2": Case(
        "2 million rows x 20, one Parquet file",
        Fitted(2_000_000),
        {"polars-ds": 0.8, "glum": 0.4, "scikit-learn": None},
        most_passes=5,
    ),
    "FIT20": Case(
        "20 million rows x 20, one Parquet file",
        Fitted(20_000_000),
        {"glum": 0.4, "scikit-learn": None},
        most_passes=5,
    ),
    "BROAD": Case("1 million rows x 200", Fitted(1_000_000, 200), {"glum": 0.4}),
    "FITCSV": Case("4 million rows x 20, one CSV", Fitted(4_000_000, kind="csv"), {}, later_over_first=0.3),
    "LEVELS": Case(
        "2 million rows, 20 numbers and 6 columns of 5,000 levels, L2",
        Fitted(2_000_000, 20, (5_000,) * 6),
        {},
        options=("--l2", "1e-6"),
        most_passes=80,
    ),
}


@dataclass(slots=True)
class Took:
    """What the runs of one contender took, how good its optimum is, and what ours reported."""

    gradient: float | None = None
    runs: list[Measured] = field(default_factory=list)
    reports: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def is_optimum(self) -> bool | None:
        """Whether it found the optimum; ``None`` where that was not checked."""
        return None if self.gradient is None else self.gradient <= LARGEST_GRADIENT

    def median(self, name: str) -> float:
        """Return the median of a measure."""
        return statistics.median(getattr(run, name) for run in self.runs)


def ours(case: Case, data: Path, memory: str) -> list[str]:
    """Return our command; the model goes to ``{out}``."""
    features = ", ".join((*case.data.mixture.numeric, *(f"C(t{n:02d})" for n in range(len(case.data.levels)))))
    wanted = ["--target", TARGET, "--features", features, "--memory", memory, "--json", *case.options]
    if case.data.levels:
        wanted += ["--max-levels", str(max(case.data.levels))]
    return [*meter.command("fit"), str(data), *wanted, "--output", "{out}"]


def gradient(data: Fitted, path: Path, model: Mapping[str, Any]) -> float:
    """Return the largest absolute value of the gradient for each row, over numeric columns in units of a deviation."""
    total, rows = np.zeros(data.width + 1), 0
    names = data.mixture.numeric
    weights = np.array([model["coefficients"][name] for name in names])
    scales = np.array([{"g": 1.0, "d": 2887.0}.get(name[0], 28.9) for name in names])
    for batch in data.batches(path):
        matrix = np.column_stack([batch[name].to_numpy().astype(np.float64) for name in names])
        raw = model["intercept"] + matrix @ weights
        residual = 1 / (1 + np.exp(-raw)) - batch[TARGET].to_numpy()
        total += [residual.sum(), *(matrix.T @ residual / scales)]
        rows += batch.num_rows
    return float(np.abs(total).max() / rows)


def numbers_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return intercept and coefficients of a model file, in units of the columns."""
    coefficients, shift = {}, 0.0
    for feature in document["features"]:
        own = feature["coefficient"] / feature.get("scale", 1.0)
        coefficients[feature["column"]] = own
        shift += own * feature.get("center", 0.0)
    return {"intercept": document["intercept"] - shift, "coefficients": coefficients}


def run(name: str, case: Case, bench: Bench, python: str, memory: str) -> dict[str, Any]:
    """Run a case and return its figures."""
    path = case.data.make(bench.folder)
    out = bench.folder / "fitted.json"
    commands = {"logitstream": ours(case, path, memory)}
    for peer in case.against:
        if peer not in bench.without:
            commands[peer] = [python, str(PEERS), peer, str(path), "{out}"]
    took = {contender: Took() for contender in commands}
    for number in range(bench.rounds + 1):
        for contender, command in commands.items():
            clear(out)
            measured = bench.run(command, out)
            if number:
                took[contender].runs.append(measured)
                if contender == "logitstream":
                    took[contender].reports.append(json.loads(measured.output))
            elif not case.data.levels:
                written = json.loads(out.read_text())
                found = numbers_of(written) if contender == "logitstream" else written
                took[contender].gradient = gradient(case.data, path, found)
        say(f"{name} round {number}")
    clear(out)
    found = figures(took)
    checked = promises.checked(targets(case, took, parse_bytes(memory)))
    return {"about": case.about, "scale": bench.scale, **found, "targets": checked}


def figures(took: Mapping[str, Took]) -> dict[str, Any]:
    """Return the medians, the ratios in pairs, and what ours reported of its passes in the last round."""
    mine = took["logitstream"]
    last = mine.reports[-1]
    found: dict[str, Any] = {"passes": last["passes"], "pass_seconds": last["pass_seconds"], "contenders": {}}
    for contender, of in took.items():
        found["contenders"][contender] = {
            "wall": of.median("seconds"),
            "cpu": of.median("cpu_seconds"),
            "peak_mib": of.median("peak_bytes") / 2**20,
            "gradient": of.gradient,
            "is_optimum": of.is_optimum,
            "ours_over_it": over(mine, of, "seconds"),
            "ours_over_it_cpu": over(mine, of, "cpu_seconds"),
        }
    return found


def over(mine: Took, of: Took, name: str) -> float:
    """Return the median of the ratios of a measure, ours over theirs in the same round."""
    return statistics.median(getattr(a, name) / getattr(b, name) for a, b in zip(mine.runs, of.runs, strict=True))


def targets(case: Case, took: Mapping[str, Took], memory: int) -> Iterator[Target]:
    """Yield what is promised of ours, with what was found."""
    mine = took["logitstream"]
    yield Target("peak / --memory", max(run.peak_bytes for run in mine.runs) / memory, 1.0)
    if mine.gradient is not None:
        yield Target("gradient", mine.gradient, LARGEST_GRADIENT)
    for peer, most in case.against.items():
        if most is not None and peer in took:
            yield Target(f"wall / {peer}", over(mine, took[peer], "seconds"), most)
    if case.most_passes is not None:
        yield Target("passes", max(each["passes"] for each in mine.reports), case.most_passes)
    if case.later_over_first is not None:
        slowest = [max(later) / first for first, *later in (each["pass_seconds"] for each in mine.reports)]
        yield Target("slowest later pass / first", statistics.median(slowest), case.later_over_first)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parameters."""
    parser = promises.parser_of("fit", str(__doc__), CASES, ("glum", "scikit-learn", "polars-ds"), "800MiB")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has the peers")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases and print a table."""
    given = parse(arguments)
    bench, results = promises.bench_of(given), {}
    for name, case in CASES.items():
        if promises.is_asked(given, name):
            scaled = replace(case, data=replace(case.data, rows=bench.rows(case.data.rows)))
            results[name] = run(name, scaled, bench, given.peers_python, given.memory)
            promises.keep(given, results)
    promises.show(results, table)


def table(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a case."""
    seconds = ", ".join(f"{each:.2f}" for each in found["pass_seconds"])
    yield f"{name}: {found['about']}; passes {found['passes']}, seconds of each {seconds}"
    for contender, of in found["contenders"].items():
        gradient = "not checked" if of["gradient"] is None else f"{of['gradient']:.1e}"
        yield (
            f"  {contender:12} wall {of['wall']:7.2f} s  CPU {of['cpu']:7.2f} s  peak {of['peak_mib']:6.0f} MiB"
            f"  gradient {gradient}  ours/it {of['ours_over_it']:.3f} (CPU {of['ours_over_it_cpu']:.3f})"
        )
    yield from promises.verdicts(found)


if __name__ == "__main__":
    main(sys.argv[1:])
