"""The command ``python -m tests.fuzz``.

Ends with 0 where nothing was found, 1 where something was, 2 where it cannot run.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.targets import MODULES
from tests.fuzz.watch import Outcome, run

SAVED = Path("build/fuzz")


def main(words: Sequence[str] | None = None) -> int:
    """Run the targets, print a table in their order, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(MODULES)}; all unless named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices (1)")
    parser.add_argument("--at-once", type=int, default=1, help="targets that run at the same time (1)")
    parser.add_argument("--corpus", type=Path, help="folder that keeps what reached new code, from run to run")
    asked = parser.parse_args(words)
    if unknown := sorted(set(asked.targets) - MODULES.keys()):
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(MODULES)}")
    if asked.seconds < 1 or asked.at_once < 1:
        parser.error("--seconds and --at-once must be at least 1")
    if not _has_atheris():
        print("fuzzing needs atheris: pip install '.[fuzz]'", file=sys.stderr)
        return 2
    print(f"{'target':<10} {'inputs':>10} {'seconds':>8}  found", flush=True)

    def fuzz(name: str) -> Outcome:
        corpus = asked.corpus / name if asked.corpus else None
        return run(name, ["--seconds", str(asked.seconds)], asked.seed, SAVED, corpus)

    found = 0
    with ThreadPoolExecutor(asked.at_once) as pool:
        for outcome in pool.map(fuzz, asked.targets or MODULES):
            print(_line(outcome), flush=True)
            found += len(outcome.findings)
    return 1 if found else 0


def _has_atheris() -> bool:
    try:
        return importlib.util.find_spec("atheris") is not None
    except ValueError:
        return False


def _line(outcome: Outcome) -> str:
    count = len(outcome.findings) or "nothing"
    lines = [f"{outcome.target:<10} {outcome.inputs:>10,} {outcome.seconds:>8.1f}  {count}"]
    lines += [f"    {finding.path}: {finding.reason}" for finding in outcome.findings]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
