"""Runs the benchmarks: named cases as whole processes in turn, ours and theirs, at a chosen scale.

    python -m tests.benchmarks.suite FOLDER [--scale 1.0] [--case NAME]... [--without PEER]... [--runs 5] [--cold]
                                            [--before CHECKOUT] [--json FILE]

Data is made in FOLDER once. With ``--before``, every command of ours also runs as another checkout has it, in the same
rounds; both then start from their source folders. Bytecode is compiled first. In an uncounted round every form of every
contender runs and what it writes is compared with the true scores, on every row, by ``id``; of each peer the faster
form goes on. Ratios are of ours over theirs in the same round. A Markdown table is printed, and the JSON file is
written anew after each case.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks import contenders, meter, turns
from tests.benchmarks.cases import CASES
from tests.benchmarks.checking import WrongOutputError
from tests.benchmarks.table import table
from tests.benchmarks.turns import Bench, say

FORMAT = 1
PACKAGES = ("pyarrow", "numpy", "dask", "polars", "duckdb", "scikit-learn", "pandas")


def circumstances(bench: Bench) -> dict[str, Any]:
    """Return what a result depends on beside the code."""
    return {
        "format": FORMAT,
        "revision": _revision(meter.ROOT),
        "before": bench.before and _revision(bench.before),
        "command": " ".join(Path(part).name for part in meter.command("score")),
        "machine": meter.machine(),
        "versions": {name: number for name in PACKAGES if (number := _version(name))},
        "scale": bench.scale,
        "rounds": bench.rounds,
        "cache": "cold" if bench.cold else "warm",
        "without": sorted(bench.without),
        "cases": {},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _revision(checkout: Path) -> str | None:
    told = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(told, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parameters."""
    names = "\n".join(f"  {name:<11} {case.about}" for name, case in CASES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.suite",
        description=__doc__.split("\n\n")[0],
        epilog=f"cases:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where data is made and kept")
    parser.add_argument("--scale", type=float, default=1.0, help="times the rows of each case [default: 1]")
    parser.add_argument(
        "--case", type=str.upper, action="append", choices=tuple(CASES), help="repeatable [default: all]"
    )
    parser.add_argument(
        "--without", action="append", default=[], choices=contenders.CHOICES, help="a peer to leave out"
    )
    parser.add_argument("--runs", type=int, default=5, help="rounds that count [default: 5]")
    parser.add_argument(
        "--cold", action="store_true", help="drop the page cache before each run, where that is allowed"
    )
    parser.add_argument(
        "--before",
        type=_checkout,
        metavar="CHECKOUT",
        help="a folder of another revision, which runs in turn with this one",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="[default: results.json in FOLDER]")
    return parser.parse_args(arguments)


def _checkout(text: str) -> Path:
    found = Path(text).resolve()
    if not (found / "jobs" / "logitstream.py").is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a checkout of logitstream: it has no jobs/logitstream.py")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases, write the file, print the table.

    Raises
    ------
    SystemExit
        A peer is missing and was not waived, a command failed, or what one wrote is wrong.
    """
    given = parse(arguments)
    cold = given.cold and turns.can_drop_caches()
    if given.cold and not cold:
        say(f"the page cache cannot be dropped here ({turns.DROP_CACHES}): the cache is WARM")
    bench = Bench(given.folder.resolve(), given.scale, given.runs, frozenset(given.without), cold, given.before)
    chosen = {name: case for name, case in CASES.items() if given.case is None or name in given.case}
    target = given.json or bench.folder / "results.json"
    try:
        contenders.refuse_missing(
            [peer for case in chosen.values() for peer in case.against if peer not in bench.without]
        )
        for checkout in filter(None, (meter.ROOT, bench.before)):
            meter.compile_bytecode(checkout)
        bench.folder.mkdir(parents=True, exist_ok=True)
        found = circumstances(bench)
        for name, case in chosen.items():
            say(f"{name}: {case.about}")
            found["cases"][name] = {"about": case.about} | case.run(bench).as_json()
            target.write_text(json.dumps(found, indent=2) + "\n")
    except (contenders.MissingPeerError, meter.CommandFailedError, WrongOutputError) as error:
        raise SystemExit(f"{error}") from error
    print(table(found))


if __name__ == "__main__":
    main(sys.argv[1:])
