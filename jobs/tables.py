"""Tables for a terminal. Elsewhere they are as wide as their longest row, so that nothing is cut."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs import console
from pipeline.models import ScoreBlock
from pipeline.report.text import aligned, file_rows
from pipeline.units import escape, format_count

if TYPE_CHECKING:
    from pipeline.models.file import Feature, ModelFile
    from pipeline.types import PlanSummary

_WIDE = 1000
_RIGHT, _LEFT = "right", "left"


def tell_files(plan: PlanSummary) -> None:
    """Show the inputs of a plan on stderr."""
    console.tell(_files(plan, sys.stderr))


def emit_files(plan: PlanSummary) -> None:
    """Show the inputs of a plan on stdout."""
    console.emit(_files(plan, sys.stdout))


def emit_model(model: ModelFile) -> None:
    """Show a model on stdout: what it says of itself, and a row for each of its coefficients."""
    headers = ("column", "kind", "level", "coefficient", "center", "scale", "missing", "unseen")
    rows = [row for feature in model.features for row in _coefficients(feature)]
    console.emit("\n".join(aligned(_facts(model))) + "\n")
    console.emit(_drawn(headers, rows, sys.stdout, numbers=(3, 4, 5)))


def _facts(model: ModelFile) -> list[tuple[str, str]]:
    target, output = model.target, model.output
    facts = [("kind", model.kind), ("intercept", repr(model.intercept))]
    if target is not None:
        of = f"{escape(target.column)}: " if target.column else ""
        facts.append(("target", f"{of}{_shown(target.negative)} or {_shown(target.positive)}"))
    facts.append(("output", ", ".join(field.name for field in ScoreBlock.of(model).fields())))
    if output.threshold is not None:
        facts.append(("threshold", repr(output.threshold)))
    facts.append(("features", format_count(len(model.features))))
    return [*facts, ("digest", model.digest())]


def _coefficients(feature: Feature) -> Iterable[tuple[str, ...]]:
    name, missing = escape(feature.column), _policy(feature.missing)
    if feature.kind == "numeric":
        numbers = (repr(number) for number in (feature.coefficient, feature.center, feature.scale))
        yield name, "numeric", "", *numbers, missing, ""
        return
    cells = (name, feature.kind)
    for level, coefficient in feature.coefficients.items():
        last = (missing, _policy(feature.unseen)) if cells[0] else ("", "")
        yield *cells, escape(level), repr(coefficient), "", "", *last
        cells = ("", "")


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
        table.add_column(header, justify=_RIGHT if position in numbers else _LEFT, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    terminal = stream.isatty()
    text = io.StringIO()
    # The encoding decides whether the lines of the table are drawn with more than ASCII.
    drawn = Console(file=text, width=None if terminal else _WIDE, force_terminal=terminal, safe_box=True)
    drawn.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
