"""Evaluates probabilities as whole processes in turn: ours against scikit-learn, and a model against scoring alone.

    python -m tests.benchmarks.evaluate FOLDER [--case NAME]... [--scale 1.0] [--runs 5] [--without scikit-learn]
                                               [--memory 800MiB] [--json FILE]

Data is made in FOLDER once. Ratios are of ours over theirs in the same round. What is promised of ours is printed with
what was found and whether it holds; measures must be those of scikit-learn, within the bounds that ours states.
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

from pipeline.units import parse_bytes
from tests.benchmarks import files, meter, models, promises
from tests.benchmarks.data import CHUNK_ROWS
from tests.benchmarks.fit import TARGET, Fitted
from tests.benchmarks.meter import Measured
from tests.benchmarks.promises import Target
from tests.benchmarks.turns import Bench, clear, say

PEER = Path(__file__).parent / "peers" / "evaluate_peer.py"
PROBABILITY = "p"
SEED = 1950
# What sums of float64 may differ by, as a part of them.
ROUNDING = 1e-10


@dataclass(frozen=True, slots=True)
class Observed:
    """Rows with a probability and what was observed, which follows it but for a slope of 0.9 of its logit."""

    rows: int

    def make(self, folder: Path) -> Path:
        """Return the path of the file in a folder, made now unless it is there."""
        path = folder / f"evaluate-{self.rows}.parquet"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"unfinished-{path.name}")
            files.write_parquet(unfinished, self.tables(), CHUNK_ROWS, "snappy")
            unfinished.rename(path)
        return path

    def tables(self) -> Iterator[pa.Table]:
        """Yield all rows."""
        for start in range(0, self.rows, CHUNK_ROWS):
            random = np.random.default_rng((SEED, start))
            raw = random.normal(-1, 1.5, min(CHUNK_ROWS, self.rows - start))
            observed = random.random(raw.size) < 1 / (1 + np.exp(-0.9 * raw))
            yield pa.table({PROBABILITY: 1 / (1 + np.exp(-raw)), TARGET: observed.astype(np.int8)})


@dataclass(frozen=True, slots=True)
class EvaluationCase:
    """Rows, what they are compared with, and the most of its wall time and of memory that ours may take."""

    about: str
    data: Observed | Fitted
    peer: str
    most: float
    most_bytes: int | None = None


CASES: Mapping[str, EvaluationCase] = {
    "PROBABILITY": EvaluationCase(
        "20 million rows of probability and target, one Parquet file",
        Observed(20_000_000),
        "scikit-learn",
        0.12,
        300_000_000,
    ),
    "MODEL": EvaluationCase("20 million rows x 20, scored in the pass", Fitted(20_000_000), "score", 1.25),
}


@dataclass(slots=True)
class Contest:
    """The runs of both, and what they found."""

    ours: list[Measured] = field(default_factory=list)
    theirs: list[Measured] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The median of the ratios of wall times, ours over theirs in the same round."""
        pairs = list(zip(self.ours, self.theirs, strict=False))
        return statistics.median(mine.seconds / its.seconds for mine, its in pairs) if pairs else None


def commands(case: EvaluationCase, data: Path, folder: Path, memory: str) -> tuple[list[str], list[str]]:
    """Return our command and that of the peer; what that writes goes to ``{out}``."""
    ours = [*meter.command("evaluate"), str(data), "--target", TARGET, "--memory", memory, "--json"]
    if isinstance(case.data, Observed):
        return [*ours, "--probability", PROBABILITY], [sys.executable, str(PEER), str(data), "{out}"]
    model = folder / "evaluated_model.json"
    model.write_text(json.dumps(models.model(case.data.mixture)))
    scoring = [*meter.command("score"), str(data), "--model", str(model), "--memory", memory, "-q", "-o", "{out}"]
    return [*ours, "--model", str(model)], scoring


def run(name: str, case: EvaluationCase, bench: Bench, memory: str) -> dict[str, Any]:
    """Run a case and return its figures."""
    data, out = case.data.make(bench.folder), bench.folder / "evaluated"
    ours, theirs = commands(case, data, bench.folder, memory)
    contest = Contest()
    for number in range(bench.rounds + 1):
        mine = bench.run(ours, out)
        contest.found = json.loads(mine.output)["measures"]
        if case.peer not in bench.without:
            its = bench.run(theirs, out)
            if case.peer == "scikit-learn":
                contest.expected = json.loads(out.read_text())
            clear(out)
            contest.theirs += [its] if number else []
        contest.ours += [mine] if number else []
        say(f"{name} round {number}")
    checked = promises.checked(targets(case, contest, parse_bytes(memory)))
    return {"about": case.about, "scale": bench.scale, **figures(case, contest), "targets": checked}


def figures(case: EvaluationCase, contest: Contest) -> dict[str, Any]:
    """Return the medians of both."""
    runs = {"logitstream": contest.ours, case.peer: contest.theirs}
    of_all = {
        contender: {
            "wall": statistics.median(each.seconds for each in measured),
            "cpu": statistics.median(each.cpu_seconds for each in measured),
            "peak_mib": max(each.peak_bytes for each in measured) / 2**20,
        }
        for contender, measured in runs.items()
        if measured
    }
    return {"contenders": of_all, "ours_over_it": contest.ratio}


def targets(case: EvaluationCase, contest: Contest, memory: int) -> Iterator[Target]:
    """Yield what is promised of ours, with what was found."""
    peak = max(each.peak_bytes for each in contest.ours)
    yield Target("peak / --memory", peak / memory, 1.0)
    if case.most_bytes is not None:
        yield Target("peak / 300 MB", peak / case.most_bytes, 1.0)
    if contest.ratio is not None:
        yield Target(f"wall / {case.peer}", contest.ratio, case.most)
    for name, expected in contest.expected.items():
        bound = contest.found.get(f"{name}_bound") or 0.0
        difference = abs(contest.found[name] - expected)
        yield Target(f"difference of {name}", difference, bound + ROUNDING * abs(expected))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parameters."""
    parser = promises.parser_of("evaluate", str(__doc__), CASES, ("scikit-learn", "score"), "800MiB")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases and print a table."""
    given = parse(arguments)
    bench, results = promises.bench_of(given), {}
    for name, case in CASES.items():
        if promises.is_asked(given, name):
            scaled = replace(case, data=replace(case.data, rows=bench.rows(case.data.rows)))
            results[name] = run(name, scaled, bench, given.memory)
            promises.keep(given, results)
    promises.show(results, table)


def table(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a case."""
    yield f"{name}: {found['about']}"
    for contender, of in found["contenders"].items():
        yield f"  {contender:12} wall {of['wall']:7.2f} s  CPU {of['cpu']:7.2f} s  peak {of['peak_mib']:6.0f} MiB"
    yield from promises.verdicts(found)


if __name__ == "__main__":
    main(sys.argv[1:])
