"""What the functions cost, as the table in the README has it.

    python -m tests.benchmarks.functions [--size N] [--rounds N] [--output FILE]

Measures every function in float64 with one thread, 10 million elements unless told otherwise, and writes the file that
``python -m tests.functions_table`` reads: nanoseconds an element into an array that stands there, and of the one-liner.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.bench import ONE_LINER, OURS, Bench, bench_functions

OUTPUT = Path(__file__).with_name("functions.json")


def content(bench: Bench) -> dict[str, object]:
    """Return what is written."""
    versions = ", ".join(f"{name} {version}" for name, version in bench.versions.items())
    functions = {}
    for each in bench.functions:
        functions[each.name] = {"ns": round(each.costs[OURS].ns, 3)}
        if ONE_LINER in each.costs:
            functions[each.name]["one_liner_ns"] = round(each.costs[ONE_LINER].ns, 3)
    return {
        "machine": f"{bench.machine}, {versions}; {bench.size:,} elements of {bench.dtype}, 1 thread",
        "functions": functions,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.functions", description=__doc__)
    parser.add_argument("--size", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    bench = bench_functions(size=options.size, rounds=options.rounds, told=lambda name: print(name, file=sys.stderr))
    options.output.write_text(json.dumps(content(bench), indent=2) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()
