"""Holds memory against a budget where data is made to exceed it, and against itself after run upon run.

    python -m tests.benchmarks.limits FOLDER [--scale 1.0] [--case NAME]... [--memory 512MiB] [--json]

Each case ends within the budget, or is refused with 71 before it exceeds it and names what takes the memory. The case
``process`` scores a narrow file and one with a large footer again and again in one process: afterwards it holds what it
held before the first run, within 50 MB. Ends with 1 where a case does neither.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.units import KIB, MIB, parse_bytes
from tests.benchmarks import meter

NO_MEMORY = 71
RETURNS_WITHIN_BYTES = 50_000_000
RUNS = 200
GROUP_ROWS = 1 << 20
MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": -0.5,
    "features": [{"column": "x", "kind": "numeric", "coefficient": 0.5}],
}
_AGAIN = """
import sys
import pipeline
import pipeline.execute.local
from pipeline.memory import current_bytes

narrow, wide, model, output, runs = sys.argv[1:]
score = pipeline.score
before = current_bytes()
for number in range(int(runs)):
    data = wide if number % 2 else narrow
    score(data, model, output, keep=["k0000"], chunk_size="20000", if_exists="replace", reuse=False)
print(before, current_bytes())
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A file that is hard on memory, and the columns that are kept of it."""

    what: str
    keep: Sequence[str]
    make: Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended: its peak, or the growth over runs in one process, and what it was refused with.

    ``names`` has to stand in the refusal.
    """

    name: str
    what: str
    measured_bytes: int
    allowed_bytes: int
    refusal: str = ""
    names: str = ""

    @property
    def holds(self) -> bool:
        """Whether it stayed within what it may take and, where it was refused, said what takes the memory."""
        return self.measured_bytes <= self.allowed_bytes and (not self.refusal or self.names in self.refusal)


def cases(scale: float) -> dict[str, Case]:
    """Return the cases; at scale 1 each file holds about 1 GB decoded, and more."""

    def rows(count: int) -> int:
        return max(8, round(count * scale))

    numbers, many = _names(15), _names(2000)
    return {
        "row group": Case(
            "one row group of 1 GiB", numbers, partial(_numbers, names=numbers, rows=rows(8 * GROUP_ROWS))
        ),
        "columns": Case("2,000 kept columns", many, partial(_numbers, names=many, rows=rows(65_536), groups=8)),
        "strings": Case("strings of a megabyte", ["text"], partial(_strings, rows=rows(1000))),
        "dictionary": Case("text of 1 MB by its footer", ["text"], partial(_dictionary, rows=rows(GROUP_ROWS // 4))),
    }


def _names(count: int) -> list[str]:
    return [f"k{number:04d}" for number in range(count)]


def _numbers(path: Path, names: Sequence[str], rows: int, groups: int = 1) -> None:
    random = np.random.default_rng(7)
    schema = pa.schema([(name, pa.float64()) for name in ("x", *names)])
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        for _ in range(groups):
            count = max(1, rows // groups)
            columns = [random.standard_normal(count) for _ in schema]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=count)


def _strings(path: Path, rows: int) -> None:
    """Write a different text of a megabyte in every row."""
    with pq.ParquetWriter(path, pa.schema([("x", pa.float64()), ("text", pa.string())]), compression="none") as writer:
        for start in range(0, rows, 100):
            texts = [f"{number:08d}" * (MIB // 8) for number in range(start, min(start + 100, rows))]
            writer.write_table(pa.table({"x": np.ones(len(texts)), "text": texts}))


def _dictionary(path: Path, rows: int) -> None:
    """Write 14 texts of 64 KiB again and again behind short ones: a megabyte of dictionary, and a few bits a row.

    The first rows do not tell of the others.
    """
    short = rows // 16
    texts = pa.array(["short", *(f"{number:08d}" * (8 * KIB) for number in range(14))])
    codes = np.arange(rows, dtype=np.int32) % 14 + 1
    codes[:short] = 0
    table = pa.table({"x": np.ones(rows), "text": pa.DictionaryArray.from_arrays(pa.array(codes), texts)})
    pq.write_table(table, path, row_group_size=rows, use_dictionary=["text"], store_schema=False)


def measure(name: str, case: Case, folder: Path, memory: str) -> Outcome:
    """Score the file of a case within a budget. The file is removed again."""
    data = folder / f"{name.replace(' ', '-')}.parquet"
    case.make(data)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        job = [str(data), "--model", _model(scratch), "--keep", ",".join(case.keep), "--output", f"{scratch}/out", "-q"]
        code, peak, _, errors = _run([*meter.command("score"), *job, "--memory", memory])
    data.unlink()
    if code not in {0, NO_MEMORY}:
        raise meter.CommandFailedError(f"{name} ended with {code}:\n{errors[-4000:]}")
    names = case.keep[0] if len(case.keep) == 1 else "columns"
    return Outcome(name, case.what, peak, parse_bytes(memory), errors.strip() if code else "", names)


def process(folder: Path, scale: float, runs: int) -> Outcome:
    """Score two files in turn in one process, and compare what is resident after the last run and before the first."""
    narrow, wide = folder / "narrow.parquet", folder / "wide.parquet"
    _numbers(narrow, _names(15), max(8, round(GROUP_ROWS * scale)), groups=4)
    _numbers(wide, _names(1000), 2000, groups=20)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        words = [str(narrow), str(wide), _model(scratch), f"{scratch}/out", str(runs)]
        code, _, output, errors = _run([sys.executable, "-c", _AGAIN, *words])
    narrow.unlink()
    wide.unlink()
    if code != 0:
        raise meter.CommandFailedError(f"runs in one process ended with {code}:\n{errors[-4000:]}")
    before, after = map(int, output.split())
    return Outcome("process", f"growth over {runs} runs in one process", after - before, RETURNS_WITHIN_BYTES)


def _model(scratch: str) -> str:
    path = Path(scratch) / "model.json"
    path.write_text(json.dumps(MODEL))
    return str(path)


def _run(words: Sequence[str]) -> tuple[int, int, str, str]:
    found = meter.run(words, codes=(0, NO_MEMORY))
    return found.code, found.peak_bytes, found.output, found.errors


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a Markdown table."""
    lines = ["| case | data | measured | allowed | |", "|---|---|---|---|---|"]
    for each in outcomes:
        verdict = ("refused: " + each.refusal.splitlines()[0] if each.refusal else "holds") if each.holds else "BROKEN"
        measured, allowed = each.measured_bytes / MIB, each.allowed_bytes / MIB
        lines.append(f"| {each.name} | {each.what} | {measured:.0f} MiB | {allowed:.0f} MiB | {verdict} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 where memory is not kept to."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.limits", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="where data is made")
    parser.add_argument("--scale", type=float, default=1.0, help="times the rows of each case")
    parser.add_argument("--case", action="append", choices=(*cases(1.0), "process"), help="this one alone; repeatable")
    parser.add_argument("--memory", default="512MiB", help="budget of each case [default: 512MiB]")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs in one process [default: {RUNS}]")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    chosen = given.case or [*cases(given.scale), "process"]
    outcomes = [
        process(given.folder, given.scale, given.runs)
        if name == "process"
        else measure(name, cases(given.scale)[name], given.folder, given.memory)
        for name in chosen
    ]
    rows = [asdict(each) | {"holds": each.holds} for each in outcomes]
    print(json.dumps(rows, indent=2) if given.json else table(outcomes))
    return 0 if all(each.holds for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
