"""Prints two files of results side by side, so that a change shows what it cost.

python -m tests.benchmarks.compare OLD.json NEW.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.table import VERDICTS, headline, ranged, rows, target

CIRCUMSTANCES = ("machine", "versions", "scale", "cache")
MEASURES = ("wall", "CPU", "peak")
# Two ranges of fewer rounds lie apart by chance.
MARKED_ROUNDS = 3

Rows = dict[tuple[str, str], Mapping[str, Any]]


def figures(found: Mapping[str, Any]) -> Rows:
    """Return every figure by case and name."""
    return {(name, each["name"]): each for name, case in found["cases"].items() for each in case["figures"]}


def measures(found: Mapping[str, Any]) -> Rows:
    """Return what every contender took, by case and name."""
    return {
        (name, f"{measure}, {each['name']}"): each[measure]
        for name, case in found["cases"].items()
        for each in case["contenders"]
        for measure in MEASURES
    }


def change(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return new over old in per cent, and whether the ranges of enough rounds share nothing: less is better in all."""
    if old["median"] <= 0:
        return ""
    per_cent = f"{100 * (new['median'] / old['median'] - 1):+.0f} %"
    if min(len(old["values"]), len(new["values"])) < MARKED_ROUNDS:
        return per_cent
    if new["least"] > old["most"]:
        return f"{per_cent} **worse**"
    return f"{per_cent} better" if new["most"] < old["least"] else per_cent


def side_by_side(old: Rows, new: Rows) -> Iterator[tuple[str, ...]]:
    """Yield case, name, old, new, change, target and verdict of all that stands in either."""
    for case, name in dict.fromkeys([*old, *new]):
        before, after = old.get((case, name)), new.get((case, name))
        differs = change(before, after) if before and after else "new" if after else "gone"
        verdicts = [VERDICTS[each["met"]] if each else "" for each in (before, after)]
        verdict = verdicts[1] if verdicts[0] == verdicts[1] else " → ".join(verdicts)
        shown = (ranged(each) if each else "" for each in (before, after))
        yield case, name, *shown, differs, target(after or before or {"target": None}), verdict


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return both side by side as Markdown, under what they do not have in common."""
    lines = ["old: " + "; ".join(headline(old)), "new: " + "; ".join(headline(new)), ""]
    different = [name for name in CIRCUMSTANCES if old[name] != new[name]]
    if different:
        lines += [f"NOT COMPARABLE: {', '.join(different)} differ.", ""]
    heads = ("case", "", "old", "new", "change", "target", "")
    lines += rows(heads, list(side_by_side(figures(old), figures(new))))
    lines += ["", *rows(heads[:5], [cells[:5] for cells in side_by_side(measures(old), measures(new))])]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read both and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.compare", description=__doc__.split("\n\n")[0])
    parser.add_argument("old", type=Path, help="results of python -m tests.benchmarks.suite")
    parser.add_argument("new", type=Path, help="the same, of another revision")
    given = parser.parse_args(arguments)
    print(compare(json.loads(given.old.read_text()), json.loads(given.new.read_text())))


if __name__ == "__main__":
    main()
