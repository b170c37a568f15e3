"""Writes the table of functions into the README, from the registry and what was measured.

    python -m tests.functions_table

Costs are those of ``tests/benchmarks/functions.json``, which ``python -m tests.benchmarks.functions`` measures:
nanoseconds an element into an array that stands there, and those of the NumPy one-liner.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from pipeline.registry import FUNCTIONS, Function

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
MEASURED = ROOT / "tests" / "benchmarks" / "functions.json"
MARKED = re.compile(r"(<!-- functions: [^>]* -->\n).*?(<!-- end of functions -->)", re.DOTALL)

HEADS = ("function", "formula", "range", "derivative", "it vanishes", "error", "best use")
COST = "ns an element (of the one-liner)"


def table() -> str:
    """Return the table in Markdown, a row for each function."""
    costs = json.loads(MEASURED.read_text())["functions"]
    rows = [(*HEADS, COST), ("---",) * (len(HEADS) + 1)]
    rows += [(*_row(entry), _cost(costs.get(entry.name, {}))) for entry in FUNCTIONS.values()]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def _row(entry: Function) -> tuple[str, ...]:
    formulas = (entry.signature(), entry.formula, entry.range, entry.derivative)
    return *(f"`{formula}`" for formula in formulas), entry.vanishing, entry.error, entry.best_use


def _cost(measured: dict[str, float]) -> str:
    """Return what was measured; nothing where it was not, as of a function that is new."""
    one_liner = f" ({measured['one_liner_ns']:.2g})" if "one_liner_ns" in measured else ""
    return f"{measured['ns']:.2g}{one_liner}" if measured else ""


def current(text: str) -> str:
    """Return the text of a README with the table that belongs into it."""
    changed, count = MARKED.subn(lambda match: match[1] + table() + match[2], text)
    if count != 1:
        raise SystemExit("README.md has not one place for the table of functions")
    return changed


if __name__ == "__main__":
    README.write_text(current(README.read_text()))
