"""Writes what is known of the functions into their guide page, from the registry and what was measured.

    python -m tests.functions_table

Costs are those of ``tests/benchmarks/functions.json``, which ``python -m tests.benchmarks.functions`` measures:
nanoseconds an element into an array that exists already, and those of the NumPy one-liner.

A table shows what each function is for and what it costs; a list below it has the rest. One wide table could not be
read on a terminal of 80 columns.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from pipeline.registry import FUNCTIONS, Function

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "jobs" / "guide" / "functions.md"
MEASURED = ROOT / "tests" / "benchmarks" / "functions.json"
MARKED = re.compile(r"(<!-- functions: [^>]* -->\n).*?(<!-- end of functions -->)", re.DOTALL)

HEADS = ("function", "best use", "ns an element (of the one-liner)")


def table() -> str:
    """Return the table and the list below it in Markdown."""
    costs = json.loads(MEASURED.read_text())["functions"]
    rows = [HEADS, ("---",) * len(HEADS)]
    rows += [(f"`{each.name}`", each.best_use, _cost(costs.get(each.name, {}))) for each in FUNCTIONS.values()]
    lines = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)
    return "".join((*lines, *map(_details, FUNCTIONS.values())))


def _details(entry: Function) -> str:
    return (
        f"\n### `{entry.signature()}`\n\n"
        f"- formula: `{entry.formula}`\n"
        f"- range: `{entry.range}`\n"
        f"- derivative: `{entry.derivative}`\n"
        f"- the derivative vanishes: {entry.vanishing.replace(':', ';')}\n"
        f"- error: {entry.error}\n"
    )


def _cost(measured: dict[str, float]) -> str:
    """Return what was measured; nothing where it was not, as of a function that is new."""
    one_liner = f" ({measured['one_liner_ns']:.2g})" if "one_liner_ns" in measured else ""
    return f"{measured['ns']:.2g}{one_liner}" if measured else ""


def current(text: str) -> str:
    """Return the text of the page with the table and the list that belong into it."""
    changed, count = MARKED.subn(lambda match: match[1] + table() + "\n" + match[2], text)
    if count != 1:
        raise SystemExit("jobs/guide/functions.md must have one place for the table of functions")
    return changed


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text()))
