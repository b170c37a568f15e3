"""What is promised of ours, and what cases that print it have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.turns import Bench

Results = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: what was found is at most this."""

    name: str
    found: float
    most: float

    @property
    def is_met(self) -> bool:
        """Whether it holds."""
        return self.found <= self.most


def checked(targets: Iterable[Target]) -> list[dict[str, Any]]:
    """Return promises with whether they hold, as JSON."""
    return [{**asdict(each), "is_met": each.is_met} for each in targets]


def verdicts(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each promise of a case."""
    for each in found["targets"]:
        verdict = "met" if each["is_met"] else "MISSED"
        yield f"  {verdict:6} {each['name']} {each['found']:.3g}, at most {each['most']:.3g}"


def parser_of(
    module: str, about: str, cases: Iterable[str], peers: Iterable[str], memory: str
) -> argparse.ArgumentParser:
    """Return a parser of the parameters that all such benchmarks take."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.benchmarks.{module}", description=about.split("\n\n", maxsplit=1)[0]
    )
    parser.add_argument("folder", type=Path, help="where data is made and kept")
    parser.add_argument("--case", type=str.upper, action="append", choices=tuple(cases), help="repeatable")
    parser.add_argument("--scale", type=float, default=1.0, help="times the rows of each case [default: 1]")
    parser.add_argument("--runs", type=int, default=5, help="rounds that count [default: 5]")
    parser.add_argument("--without", action="append", default=[], choices=tuple(peers))
    parser.add_argument("--memory", default=memory, help=f"the budget of ours [default: {memory}]")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


def bench_of(given: argparse.Namespace) -> Bench:
    """Return where and how often the cases run."""
    return Bench(given.folder.resolve(), given.scale, given.runs, frozenset(given.without))


def is_asked(given: argparse.Namespace, name: str) -> bool:
    """Return whether a case is to run."""
    return given.case is None or name in given.case


def keep(given: argparse.Namespace, results: Results) -> None:
    """Write what was found so far, if that is asked."""
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


def show(results: Results, table: Callable[[str, Mapping[str, Any]], Iterable[str]]) -> None:
    """Print the lines of all cases."""
    for name, found in results.items():
        print("\n".join(table(name, found)))
