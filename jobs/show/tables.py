"""Tables for a terminal. In a file or a pipe a table is as wide as its longest row, so that nothing is cut."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.show import console
from pipeline.report.text import aligned, file_rows
from pipeline.units import escape, format_bytes, format_count

if TYPE_CHECKING:
    from pipeline.bench import Bench, FunctionCosts
    from pipeline.inspection import Column, Reason, Value
    from pipeline.types.report import PlanSummary, Scorecard, Shown, ShownModel
    from pipeline.verification import Verification

# Names in a benchmark.
OURS, NEW, ONE_LINER, ONE_LINER_OUT = "logitstream", "new array", "numpy", "numpy out="
OTHERS = ("scipy", "torch")

_WIDE = 1000
_VALUE = 36
_GAP, _FOLDED = 2, 8


def tell_files(plan: PlanSummary) -> None:
    """Show the inputs of a plan on stderr."""
    console.tell(_files(plan, sys.stderr))


def emit_files(plan: PlanSummary) -> None:
    """Show the inputs of a plan on stdout."""
    console.emit(_files(plan, sys.stdout))


def emit_model(model: ShownModel, *, all_digits: bool) -> None:
    """Show a model on stdout: its facts, and a table of its numbers; to six digits, or with all of them."""

    def cell(value: Shown) -> str:
        if isinstance(value, tuple):
            return f"{value[0]} {cell(value[1])}"
        if isinstance(value, str):
            return value
        return repr(value) if all_digits else f"{value:.6g}"

    console.emit("\n".join(aligned((name, cell(value)) for name, value in model.facts)) + "\n")
    rows = (tuple(map(cell, row)) for row in model.rows)
    console.emit(_drawn(model.headers, rows, sys.stdout, numbers=model.numbers))


def emit_scorecard(card: Scorecard, *, all_digits: bool) -> None:
    """Show a scorecard on stdout: its facts, and the points of each attribute.

    Points have two decimals, or three digits where those are not enough, or all digits.
    """

    def number(value: float | None) -> str:
        if value is None:
            return "no score"
        if all_digits:
            return repr(value)
        # One more of a large number, such as a distance, has few points.
        return f"{value:.3g}" if 0 < abs(value) < 0.1 else f"{value:.2f}"

    facts = ((name, value if isinstance(value, str) else number(value)) for name, value in card.facts)
    console.emit("\n".join(aligned(facts)) + "\n")
    rows, before = [], ""
    for each in card.attributes:
        contribution = "" if each.contribution is None else f"{each.contribution:{'' if all_digits else '.6g'}}"
        name = "" if each.feature == before else escape(each.feature)
        rows.append((name, escape(each.attribute), contribution, number(each.points)))
        before = each.feature
    console.emit(_drawn(("feature", "attribute", "contribution", "points"), rows, sys.stdout, numbers=(2, 3)))


def emit_columns(columns: Sequence[Column]) -> None:
    """Show the columns of data on stdout; a fact that no column has is left out of the table."""
    headers = ("column", "type", "nulls", "NaN", "infinite", "smallest", "largest")
    # The smallest and the largest value may be long texts.
    emit_filled(headers, [_column(column) for column in columns], range(2, 7), range(2, 5))


def emit_filled(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[int],
    whole: Sequence[int] | None = None,
    spare: Sequence[int] = (),
) -> None:
    """Show a table on stdout, without the columns that are empty in all rows; the first one is always there.

    A terminal that is too narrow is shown fewer columns: those that are ``spare`` go first, in their order.
    """
    whole = numbers if whole is None else whole
    told = [number for number in range(len(headers)) if number == 0 or any(row[number] for row in rows)]
    narrow = []
    for number in spare if sys.stdout.isatty() else ():
        shown = [[row[each] for each in told] for row in (headers, *rows)]
        if number in told and _least_width(shown, _positions(told, whole)) > Console(file=io.StringIO()).width:
            told.remove(number)
            narrow.append(headers[number])
    shown = [[row[number] for number in told] for row in rows]
    chosen = [headers[number] for number in told]
    console.emit(_drawn(chosen, shown, sys.stdout, _positions(told, numbers), _positions(told, whole)))
    if narrow:
        console.tell(f"left out, as the terminal is narrow: {', '.join(narrow)}")


def _positions(told: Sequence[int], chosen: Sequence[int]) -> list[int]:
    return [position for position, number in enumerate(told) if number in chosen]


def emit_reasons(reasons: Sequence[Reason]) -> None:
    """Show the reasons of a quarantine on stdout."""
    rows = [
        (
            format_count(reason.rows),
            escape(reason.column) or "(record)",
            "policy" if reason.by_policy else "bad",
            escape(reason.reason, 300),
        )
        for reason in reasons
    ]
    console.emit(_drawn(("rows", "column", "kind", "reason"), rows, sys.stdout, numbers=(0,)))


def emit_differences(found: Verification) -> None:
    """Show the differences from what was published on stdout."""
    rows = [
        tuple(escape(text, 1000) for text in (each.subject, each.what, each.expected, each.found))
        for each in found.differences
    ]
    console.emit(_drawn(("subject", "what", "expected", "found"), rows, sys.stdout, numbers=()))


def emit_kept(rows: Sequence[tuple[str, ...]]) -> None:
    """Show the runs and previous versions of one output on stdout."""
    headers = ("what", "job", "age", "size", "chunks", "state")
    console.emit(_drawn(headers, rows, sys.stdout, numbers=(2, 3, 4)))


def emit_costs(bench: Bench) -> None:
    """Show what functions cost on stdout."""
    others = [who for who in OTHERS if any(who in each.costs for each in bench.functions)]
    headers = ("function", "ns", "ns new", "numpy", "ratio", "new", *others, "GB/s", "of copy", "memory", "numpy's")
    rows = [_costs(each, others) for each in bench.functions]
    console.emit(_drawn(headers, rows, sys.stdout, numbers=range(1, len(headers))))


def emit_errors(bench: Bench) -> None:
    """Show the largest errors of the forms of the sigmoid, and what they cost, on stdout."""
    forms = list(bench.forms)
    rows = [(f"{each.low:g} to {each.high:g}", *(_units(each.errors[form]) for form in forms)) for each in bench.errors]
    rows.append(("ns per element", *(f"{bench.forms[form].ns:.2f}" for form in forms)))
    console.emit(_drawn(("x", *forms), rows, sys.stdout, numbers=range(1, len(forms) + 1)))


def _costs(measured: FunctionCosts, others: Sequence[str]) -> tuple[str, ...]:
    costs = measured.costs

    def ns(who: str) -> str:
        return f"{costs[who].ns:.2f}" if who in costs else ""

    def memory(who: str) -> str:
        return format_bytes(costs[who].traced_bytes) if who in costs else ""

    return (
        measured.name,
        ns(OURS),
        ns(NEW),
        ns(ONE_LINER_OUT),
        f"{costs[ONE_LINER_OUT].ratio:.2f}" if ONE_LINER in costs else "",
        f"{costs[NEW].ns / costs[ONE_LINER].ns:.2f}" if ONE_LINER in costs else "",
        *map(ns, others),
        f"{measured.gigabytes_per_second(OURS):.1f}",
        f"{100 * measured.share_of_copy:.0f} %",
        memory(OURS),
        memory(ONE_LINER_OUT),
    )


def _units(error: float) -> str:
    if math.isinf(error):
        return "not a number"
    return f"{error:.2f}" if error < 1000 else f"{error:.0e}".replace("e+", "e")


def _column(column: Column) -> tuple[str, ...]:
    if len(column.types) == 1:
        kind = column.types[0][0]
    else:
        kind = ", ".join(f"{kind} ({format_count(files)})" for kind, files in column.types)
    ends = (column.smallest, column.largest)
    if column.smallest_number is not None:
        ends = (column.smallest_number, column.largest_number)
    return (
        escape(column.name) or "(no name)",
        escape(kind) + ("" if column.nullable else ", never null"),
        "" if column.nulls is None else format_count(column.nulls),
        # Few columns can hold these at all.
        *(format_count(count) if count else "" for count in (column.nan, column.infinite)),
        *map(_value, ends),
    )


def _value(value: Value | None) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else escape(str(value), _VALUE)


def _files(plan: PlanSummary, stream: TextIO) -> str:
    headers = ("input", "format", "rows", "row groups", "size")
    return _drawn(headers, file_rows(plan.files), stream, numbers=(2, 3, 4))


def _drawn(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    stream: TextIO,
    numbers: Sequence[int],
    whole: Sequence[int] | None = None,
) -> str:
    """Return a table. The columns ``numbers`` are aligned to the right; those of them that are ``whole`` never fold."""
    whole = numbers if whole is None else whole
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for position, header in enumerate(headers):
        justify: Literal["left", "right"] = "right" if position in numbers else "left"
        table.add_column(header, justify=justify, overflow="fold", no_wrap=position in whole)
    cells = list(rows)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    terminal = stream.isatty()
    text = io.StringIO()
    width = Console(file=text).width
    if not terminal or _least_width([headers, *cells], whole) > width:
        width = _WIDE
    # The encoding decides whether the lines of the table are drawn with more than ASCII.
    drawn = Console(file=text, width=width, force_terminal=terminal, safe_box=True)
    drawn.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _least_width(rows: Sequence[Sequence[str]], whole: Sequence[int]) -> int:
    """Return the width of a table whose columns, except those that are whole, are folded at 8 characters."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    folded = (width if position in whole else min(width, _FOLDED) for position, width in enumerate(widths))
    return sum(folded) + _GAP * (len(widths) - 1)
