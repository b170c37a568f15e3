"""Trees of a model as SQL, one small function for each kind of node."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.conversion.formula import Formula
from pipeline.conversion.sql.levels import by_level, lacks
from pipeline.conversion.sql.writer import LARGEST, LIMIT, SMALLEST, SqlWriter
from pipeline.models.logistic.expression import (
    Arithmetic,
    Bins,
    Clipped,
    ColumnValue,
    Constant,
    Expression,
    FiniteOnly,
    FunctionCall,
    IsMissing,
    Lookup,
)
from pipeline.units import escape

# Terms that are added in one expression.
_DEEP = 200


def raw_prediction(writer: SqlWriter, whole: Formula) -> str:
    """Return the sum of a formula whose numbers are floats."""
    return _sum(writer, writer.number(scalar(whole.base)), [term(writer, tree) for _, tree in whole.contributions])


def _sum(writer: SqlWriter, first: str, terms: Sequence[str]) -> str:
    """Return a sum from left to right; parsers have a limit to how deep an expression is."""
    some, others = terms[:_DEEP], terms[_DEEP:]
    total = "(" + "\n  + ".join([first, *some]) + ")"
    return writer.let(total, lambda sofar: _sum(writer, sofar, others)) if others else total


def term(writer: SqlWriter, node: Expression) -> str:
    """Return what is added, of which no sum overflows."""
    if not writer.dialect.raises or isinstance(node, Lookup | Bins | Constant):
        return tree(writer, node)
    factor = _factor(node)
    if isinstance(node, Arithmetic) and factor is not None:
        left = tree(writer, node.left)
        return writer.let(left, lambda x: by_constant(writer, node.operator, x, factor, LIMIT))
    return writer.let(tree(writer, node), lambda x: _bounded(writer, x))


def tree(writer: SqlWriter, node: Expression) -> str:
    """Return a tree as an expression."""
    return _NODES[type(node)](writer, node)


def scalar(number: object) -> float:
    """Return a number of a model without classes, or of one class."""
    assert isinstance(number, float | int)
    return float(number)


def _bounded(writer: SqlWriter, x: str) -> str:
    infinity = writer.number(math.inf)
    return f"CASE WHEN abs({x}) > {writer.exactly(LIMIT)} THEN {x} * {infinity} ELSE {x} END"


def _cell(writer: SqlWriter, node: ColumnValue) -> str:
    name = writer.dialect.name(node.name)
    nan = writer.number(math.nan)
    number = _boolean(writer, node) if node.boolean else f"CAST({name} AS {writer.dialect.double})"
    value = f"NULLIF({number}, {nan})"
    if node.missing not in {"null", "quarantine"}:
        value = f"COALESCE({value}, {writer.settled(node.missing, node.name, 'missing')})"
    return writer.cell(value)


def _boolean(writer: SqlWriter, node: ColumnValue) -> str:
    name, spelled = writer.dialect.name(node.name), f"lower({writer.dialect.spelled(node.name)})"
    one, zero, nan = (writer.number(value) for value in (1.0, 0.0, math.nan))
    bad = writer.dialect.failure(f"column {escape(node.name)}: not a boolean", name)
    return (
        f"CASE WHEN {name} IS NULL OR {spelled} = 'nan' THEN {nan} WHEN {spelled} IN ('true', '1', '1.0') THEN {one} "
        f"WHEN {spelled} IN ('false', '0', '0.0', '-0', '-0.0') THEN {zero} ELSE {bad} END"
    )


def _constant(writer: SqlWriter, node: Constant) -> str:
    return writer.number(scalar(node.value))


def _arithmetic(writer: SqlWriter, node: Arithmetic) -> str:
    left, factor = tree(writer, node.left), _factor(node)
    if factor is not None:
        return writer.let(left, lambda x: by_constant(writer, node.operator, x, factor))
    right = tree(writer, node.right)
    if not writer.dialect.raises:
        return f"({left} {node.operator} {right})"
    return writer.lets([left, right], lambda values: _product(writer, *values))


def _factor(node: Expression) -> float | None:
    if isinstance(node, Arithmetic) and isinstance(node.right, Constant):
        return scalar(node.right.value)
    return None


def by_constant(writer: SqlWriter, operator: str, x: str, constant: float, largest: float = LARGEST) -> str:
    """Return a number and a constant joined; more than the largest result is infinite, an underflow 0."""
    joined = f"{x} {operator} {writer.exactly(constant)}"
    if not writer.dialect.raises:
        return f"({joined})"
    highest, lowest, sign = _RANGES[operator](abs(constant), largest)
    infinite = f"{x} * {writer.number(math.copysign(math.inf, constant if sign else 1.0))}"
    cases = [f"WHEN abs({x}) > {writer.exactly(highest)} THEN {infinite}"] if highest < LARGEST else []
    cases += [f"WHEN abs({x}) < {writer.number(lowest)} THEN {writer.number(0.0)}"] if lowest > 0 else []
    return f"CASE {' '.join(cases)} ELSE {joined} END" if cases else f"({joined})"


# For the size of a constant and the largest result: the largest number with which it is joined, the least, and whether
# the sign of the constant counts.
_RANGES: Mapping[str, Callable[[float, float], tuple[float, float, bool]]] = {
    "*": lambda c, most: (most / max(c, most / LARGEST), SMALLEST / c if 0 < c < 1 else 0.0, True),
    "/": lambda c, most: (most * min(c, LARGEST / most), SMALLEST * c if c > 1 else 0.0, True),
    "+": lambda c, most: (most - min(c, most), 0.0, False),
    "-": lambda c, most: (most - min(c, most), 0.0, False),
}


def _product(writer: SqlWriter, a: str, b: str) -> str:
    limit, tiny, one, zero = (writer.exactly(value) for value in (LARGEST, SMALLEST, 1.0, 0.0))
    return (
        f"CASE WHEN abs({b}) > {limit} / GREATEST(abs({a}), {one}) THEN ({a} * {writer.number(math.inf)}) * sign({b}) "
        f"WHEN abs({b}) < {tiny} / GREATEST(LEAST(abs({a}), {one}), {tiny}) THEN {a} * {zero} ELSE {a} * {b} END"
    )


def _function(writer: SqlWriter, node: FunctionCall) -> str:
    return writer.let(tree(writer, node.argument), lambda x: _FUNCTIONS[node.name](writer, x))


def _log(writer: SqlWriter, x: str) -> str:
    zero, pole, nan = (writer.number(value) for value in (0.0, -math.inf, math.nan))
    return f"CASE WHEN {x} > {zero} THEN ln({x}) WHEN {x} = {zero} THEN {pole} WHEN {x} < {zero} THEN {nan} END"


def log1p(writer: SqlWriter, x: str) -> str:
    """Return log(1 + x) of a number that is written several times, as accurate where it is near 0."""
    # W. Kahan: the error of 1 + x cancels in the quotient.
    one, low, pole, nan, infinity = (writer.number(value) for value in (1.0, -1.0, -math.inf, math.nan, math.inf))
    return (
        f"CASE WHEN {x} < {low} THEN {nan} WHEN {x} = {low} THEN {pole} WHEN {x} + {one} = {one} THEN {x} "
        f"WHEN {x} = {infinity} THEN {x} ELSE ln({x} + {one}) * ({x} / (({x} + {one}) - {one})) END"
    )


def _sqrt(writer: SqlWriter, x: str) -> str:
    zero, nan = writer.number(0.0), writer.number(math.nan)
    return f"CASE WHEN {x} >= {zero} THEN sqrt({x}) WHEN {x} < {zero} THEN {nan} END"


def _square(writer: SqlWriter, x: str) -> str:
    if not writer.dialect.raises:
        return f"({x} * {x})"
    high, low, zero, infinity = (writer.number(value) for value in (1.34e154, 1.6e-162, 0.0, math.inf))
    return (
        f"CASE WHEN abs({x}) > {high} THEN abs({x}) * {infinity} WHEN abs({x}) < {low} THEN {zero} ELSE {x} * {x} END"
    )


_FUNCTIONS: Mapping[str, Callable[[SqlWriter, str], str]] = {
    "log": _log,
    "log1p": log1p,
    "sqrt": _sqrt,
    "square": _square,
}


def _clip(writer: SqlWriter, node: Clipped) -> str:
    def body(x: str) -> str:
        cases = [] if node.low is None else [f"WHEN {x} < {writer.number(node.low)} THEN {writer.number(node.low)}"]
        if node.high is not None:
            # NaN is above every number.
            high = writer.number(node.high)
            cases.append(f"WHEN {x} > {high} AND {x} <= {writer.number(math.inf)} THEN {high}")
        return f"CASE {' '.join(cases)} ELSE {x} END" if cases else x

    return writer.let(tree(writer, node.argument), body)


def _checked(writer: SqlWriter, node: FiniteOnly) -> str:
    cell, infinity = tree(writer, node.column), writer.number(math.inf)
    name, dialect = node.column.name, writer.dialect
    # The column itself may be out of reach here.
    shown = cell if dialect.cells_first else dialect.name(name)
    bad = dialect.failure(f"column {escape(name)}: outside the domain", shown)
    return writer.let(
        tree(writer, node.result),
        lambda r: (
            f"CASE WHEN abs({r}) < {infinity} OR abs({cell}) = {infinity} THEN {r} "
            f"WHEN {cell} IS NOT NULL THEN {bad} END"
        ),
    )


def _bins(writer: SqlWriter, node: Bins) -> str:
    column = ColumnValue(node.column, "error" if node.missing == "error" else "null")
    missing = "NULL" if isinstance(node.missing, str) else writer.number(scalar(node.missing))

    def body(x: str) -> str:
        bins = (
            f"WHEN {x} < {writer.number(edge)} THEN {writer.number(scalar(value))}"
            for edge, value in zip(node.edges, node.values, strict=False)
        )
        last = writer.number(scalar(node.values[-1]))
        return f"CASE WHEN {x} IS NULL THEN {missing} {' '.join(bins)} ELSE {last} END"

    return writer.let(tree(writer, column), body)


def _is_missing(writer: SqlWriter, node: IsMissing) -> str:
    one, zero = writer.number(1.0), writer.number(0.0)
    return writer.cell(f"CASE WHEN {lacks(writer, node.column)} THEN {one} ELSE {zero} END")


def _lookup(writer: SqlWriter, node: Lookup) -> str:
    if len(node.keys) == 1:
        (key,) = node.keys
        values = {level: writer.number(scalar(node.values[level,])) for level in key.levels}
        return writer.cell(by_level(writer, key, values, writer.number(0.0)))
    sizes = [len(key.levels) + 1 for key in node.keys]
    codes = [
        writer.cell(by_level(writer, key, {level: str(place) for place, level in enumerate(key.levels, 1)}, "0"))
        for key in node.keys
    ]
    code = codes[0]
    for size, each in zip(sizes[1:], codes[1:], strict=True):
        code = f"({code} * {size} + {each})"
    return writer.let(code, lambda found: _combined(writer, node, sizes, found))


def _combined(writer: SqlWriter, node: Lookup, sizes: list[int], found: str) -> str:
    places = [{level: place for place, level in enumerate(key.levels, 1)} for key in node.keys]
    cases = []
    for levels, value in node.values.items():
        code = 0
        for size, place, level in zip(sizes, places, levels, strict=True):
            code = code * size + place[level]
        cases.append(f"WHEN {code} THEN {writer.number(scalar(value))}")
    return f"CASE WHEN {found} IS NOT NULL THEN CASE {found} {' '.join(cases)} ELSE {writer.number(0.0)} END END"


_NODES: Mapping[type, Callable[[SqlWriter, Any], str]] = {
    ColumnValue: _cell,
    Constant: _constant,
    Arithmetic: _arithmetic,
    FunctionCall: _function,
    Clipped: _clip,
    FiniteOnly: _checked,
    Bins: _bins,
    IsMissing: _is_missing,
    Lookup: _lookup,
}
