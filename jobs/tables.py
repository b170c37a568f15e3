"""Tables for a terminal. Elsewhere they are as wide as their longest row, so that nothing is cut."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs import console
from pipeline.report.text import aligned, file_rows
from pipeline.units import escape, format_count

if TYPE_CHECKING:
    from pipeline import LogisticModel
    from pipeline.types import PlanSummary

_WIDE = 1000


def tell_files(plan: PlanSummary) -> None:
    """Show the inputs of a plan on stderr."""
    console.tell(_files(plan, sys.stderr))


def emit_files(plan: PlanSummary) -> None:
    """Show the inputs of a plan on stdout."""
    console.emit(_files(plan, sys.stdout))


def emit_model(model: LogisticModel) -> None:
    """Show a model on stdout: what it says of itself, and a row for each of its coefficients."""
    headers = ("column", "kind", "level", "coefficient", "center", "scale", "missing", "unseen")
    rows = [row for feature in model.file.features for row in _coefficients(feature)]
    console.emit("\n".join(aligned(_facts(model))) + "\n")
    console.emit(_drawn(headers, rows, sys.stdout, numbers=(3, 4, 5)))


def _facts(model: LogisticModel) -> list[tuple[str, str]]:
    file, target, output = model.file, model.file.target, model.file.output
    decides = () if output.threshold is None else ("decision",)
    facts = [("kind", file.kind), ("intercept", repr(file.intercept))]
    if target is not None:
        of = f"{escape(target.column)}: " if target.column else ""
        facts.append(("target", f"{of}{_shown(target.negative)} or {_shown(target.positive)}"))
    facts.append(("output", ", ".join(output.columns or ("probability", *decides))))
    if output.threshold is not None:
        facts.append(("threshold", repr(output.threshold)))
    facts.append(("features", format_count(len(file.features))))
    return [*facts, ("digest", file.digest())]


def _coefficients(feature: Any) -> Iterable[tuple[str, ...]]:
    name, missing = escape(feature.column), _policy(feature.missing)
    if feature.kind == "numeric":
        stated = (feature.coefficient, feature.center, feature.scale)
        yield name, feature.kind, "", *(repr(number) for number in stated), missing, ""
        return
    for position, (level, coefficient) in enumerate(feature.coefficients.items()):
        numbers = (escape(level), repr(coefficient), "", "")
        yield (
            ("", "", *numbers, "", "") if position else (name, feature.kind, *numbers, missing, _policy(feature.unseen))
        )


def _policy(policy: object) -> str:
    if isinstance(policy, str):
        return policy
    value = getattr(policy, "impute", None)
    return f"impute {value!r}" if value is not None else f"level {escape(str(getattr(policy, 'level', '')))}"


def _shown(value: object) -> str:
    return escape(json.dumps(value, ensure_ascii=False))


def _files(plan: PlanSummary, stream: TextIO) -> str:
    headers = ("input", "format", "rows", "row groups", "size")
    return _drawn(headers, file_rows(plan.files), stream, numbers=(2, 3, 4))


def _drawn(headers: Sequence[str], rows: Iterable[Sequence[str]], stream: TextIO, numbers: Sequence[int]) -> str:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for position, header in enumerate(headers):
        table.add_column(header, justify="right" if position in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    terminal = stream.isatty()
    text = io.StringIO()
    # The encoding decides whether the lines of the table are drawn with more than ASCII.
    drawn = Console(file=text, width=None if terminal else _WIDE, force_terminal=terminal, safe_box=True)
    drawn.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
