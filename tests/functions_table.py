"""Writes the table of functions into the README, from the registry and what was measured.

    python -m tests.functions_table

Costs are those of ``tests/benchmarks/functions.json`` (nanoseconds an element, and those of the NumPy one-liner);
without that file the table has no such column.
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
COST = "ns an element (one-liner)"


def table() -> str:
    """Return the table in Markdown, a row for each function."""
    costs = json.loads(MEASURED.read_text())["functions"] if MEASURED.exists() else None
    rows = [HEADS if costs is None else (*HEADS, COST)]
    rows.append(("---",) * len(rows[0]))
    rows += [_row(entry) if costs is None else (*_row(entry), _cost(costs.get(entry.name))) for entry in _entries()]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def _entries() -> list[Function]:
    return list(FUNCTIONS.values())


def _row(entry: Function) -> tuple[str, ...]:
    formulas = (entry.signature(), entry.formula, entry.range, entry.derivative)
    return *(f"`{formula}`" for formula in formulas), entry.vanishing, entry.error, entry.best_use


def _cost(measured: dict[str, float] | None) -> str:
    return "" if measured is None else f"{measured['ns']:.2g} ({measured['one_liner_ns']:.2g})"


def current(text: str) -> str:
    """Return the text of a README with the table that belongs into it."""
    changed, count = MARKED.subn(lambda match: match[1] + table() + match[2], text)
    if count != 1:
        raise SystemExit("README.md has not one place for the table of functions")
    return changed


if __name__ == "__main__":
    README.write_text(current(README.read_text()))
