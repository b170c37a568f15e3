"""What the functions cost, as the guide page about functions has it, and the limits that they keep.

    python -m tests.benchmarks.functions [--check] [--size N] [--rounds N] [--output FILE]

Measures every function in float64 with one thread, 10 million elements unless told otherwise, and writes the file that
``python -m tests.functions_table`` reads: nanoseconds an element into an array that stands there, and of the one-liner
whose last step writes there too. With ``--check`` each ratio of times (ours over theirs, the median of the rounds) and
the memory of each function stand on stdout beside their limits, and the exit code is 3 where one is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.bench import ONE_LINER_OUT, OURS, SCIPY, Bench, bench_functions

OUTPUT = Path(__file__).with_name("functions.json")

MIB = 2**20
LIMIT = 1.05

# The one-liners of loglog and cauchit lose all digits in the tails; ours keep them, and cost more.
OTHER_LIMITS = {
    "sigmoid": {SCIPY: 0.4, ONE_LINER_OUT: 0.7},
    "inverse_probit": {SCIPY: 2.0},
    "inverse_loglog": {ONE_LINER_OUT: 3.0},
    "inverse_cauchit": {ONE_LINER_OUT: 6.0},
}
PAST_A_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Checked:
    """A number beside its limit; ``None`` where there was nothing to measure against."""

    what: str
    number: float | None
    limit: float

    @property
    def is_met(self) -> bool:
        return self.number is not None and self.number <= self.limit

    def __str__(self) -> str:
        number = "not measured" if self.number is None else f"{self.number:.3f}"
        return f"{self.what:<48} {number:>12}  limit {self.limit:g}  {'met' if self.is_met else 'MISSED'}"


def checked(bench: Bench) -> Iterator[Checked]:
    """Yield every number that has a limit."""
    for each in bench.functions:
        limits = OTHER_LIMITS.get(each.name, {ONE_LINER_OUT: LIMIT})
        for who, limit in limits.items():
            ratio = each.costs[who].ratio if who in each.costs else None
            yield Checked(f"{each.name}: time over that of {who}", ratio, limit)
        yield Checked(f"{each.name}: extra memory in MiB", each.costs[OURS].traced_bytes / MIB, 1)


def content(bench: Bench) -> dict[str, object]:
    """Return what is written."""
    versions = ", ".join(f"{name} {version}" for name, version in bench.versions.items())
    functions = {}
    for each in bench.functions:
        functions[each.name] = {"ns": round(each.costs[OURS].ns, 3)}
        if ONE_LINER_OUT in each.costs:
            functions[each.name]["one_liner_ns"] = round(each.costs[ONE_LINER_OUT].ns, 3)
            functions[each.name]["ratio"] = round(each.costs[ONE_LINER_OUT].ratio, 3)
    return {
        "machine": f"{bench.machine}, {versions}; {bench.size:,} elements of {bench.dtype}, 1 thread",
        "functions": functions,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and, where asked, check."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.functions", description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--size", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    bench = bench_functions(size=options.size, rounds=options.rounds, told=lambda name: print(name, file=sys.stderr))
    options.output.write_text(json.dumps(content(bench), indent=2) + "\n")
    print(options.output)
    if not options.check:
        return 0
    found = list(checked(bench))
    print(*found, sep="\n")
    return 0 if all(each.is_met for each in found) else PAST_A_LIMIT


if __name__ == "__main__":
    sys.exit(main())
