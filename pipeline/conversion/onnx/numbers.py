"""Numbers of columns as features: numeric, transformed, indicators; and what every kind of feature needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from pipeline.conversion.onnx.symbols import (
    EncodedLevels,
    Filled,
    InputCell,
    LinearSum,
    Numeral,
    OneHotLevel,
    Operation,
    Symbol,
)
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import escape

Feature = dict[str, Any]

# One number for each class: exact, or NaN where a row has no score.
Amounts = tuple[Fraction | float, ...]

LEAVE_OUT = "leave the step out, or convert the model in the tool that made it"


@dataclass(frozen=True, slots=True)
class Term:
    """What is at one place of the sums of all classes."""

    symbols: tuple[Symbol, ...]
    weights: tuple[Fraction, ...]

    @property
    def symbol(self) -> Symbol:
        """The symbol of the first class; that of the others differs in a table at most."""
        return self.symbols[0]


def number(amounts: Iterable[Fraction | float]) -> float | list[float]:
    """Return numbers as a model file has them, each rounded once: one, or a list with one for each class."""
    try:
        rounded = [float(each) for each in amounts]
    except OverflowError as error:
        raise ModelError("a coefficient of the graph is beyond float64", "scale the columns before fitting") from error
    return rounded[0] if len(rounded) == 1 else rounded


def inexpressible(symbol: Symbol) -> ModelError:
    """Return an error that names what no feature can express, and a column of it."""
    name = symbol.operator if isinstance(symbol, Operation) else type(symbol).__name__.lower()
    column = next(iter(_columns(symbol)), "")
    return ModelError(
        f'the graph takes "{escape(name)}" of what it makes of column "{escape(column)}": no feature can express that',
        LEAVE_OUT,
    )


def _columns(symbol: Symbol) -> Iterable[str]:
    if isinstance(symbol, InputCell):
        yield symbol.name
    elif isinstance(symbol, Filled | EncodedLevels | OneHotLevel):
        yield symbol.cell.name
    elif isinstance(symbol, Operation):
        for each in symbol.arguments:
            yield from _columns(each)
    elif isinstance(symbol, LinearSum):
        for atom, _ in symbol.terms:
            yield from _columns(atom)


def scaled(value: float | Fraction, weights: Sequence[Fraction]) -> Amounts:
    """Return a number times the weight of each class."""
    if isinstance(value, float) and math.isnan(value):
        return (math.nan,) * len(weights)
    return tuple(Fraction(value) * weight for weight in weights)


def numeric(group: Sequence[Term]) -> Feature:
    """Return the number of a column, or a function of it."""
    (term,) = group
    column, steps = steps_of(term.symbol)
    kind = (
        {"kind": "transformed", "transform": steps[0] if len(steps) == 1 else steps} if steps else {"kind": "numeric"}
    )
    return {**base(column), **kind, "coefficient": number(term.weights)}


def base(column: InputCell | Filled) -> Feature:
    """Return the keys of a feature that reads a number of a column."""
    if isinstance(column, Filled):
        return {"column": column.cell.name, "missing": {"impute": column.value}}
    if column.type == "text":
        raise ModelError(f'the graph counts with the text of column "{escape(column.name)}"', LEAVE_OUT)
    return {"column": column.name} | ({"boolean": True} if column.type == "boolean" else {})


def steps_of(symbol: Symbol) -> tuple[InputCell | Filled, list[Any]]:
    """Return the column that a number comes from, and its transform."""
    if isinstance(symbol, InputCell | Filled):
        return symbol, []
    if isinstance(symbol, LinearSum) and len(symbol.terms) == 1:
        column, steps = steps_of(symbol.terms[0][0])
        return column, [*steps, *standardised(symbol)]
    if not isinstance(symbol, Operation):
        raise inexpressible(symbol)
    first, *rest = symbol.arguments
    if symbol.operator == "checked":
        return steps_of(first)
    if symbol.operator in {"log", "log1p", "sqrt"}:
        column, steps = steps_of(first)
        return column, [*steps, symbol.operator]
    if symbol.operator == "multiply" and rest == [first]:
        column, steps = steps_of(first)
        return column, [*steps, "square"]
    if symbol.operator in {"min", "max"} and isinstance(bound := rest[0], Numeral):
        column, steps = steps_of(first)
        return column, _clipped(steps, symbol.operator, bound.value)
    raise inexpressible(symbol)


def standardised(sum_: LinearSum) -> list[dict[str, float]]:
    """Return the steps ``(x - center) / scale`` of a multiple of a symbol plus a constant."""
    if sum_.steps is not None:
        return _paired(sum_.steps)
    weight = sum_.terms[0][1]
    if not weight:
        raise ModelError("the graph multiplies a column by 0 before it goes on with it", LEAVE_OUT)
    return [{"center": float(-sum(sum_.constants) / weight), "scale": float(1 / weight)}]


def _paired(steps: Iterable[tuple[str, float]]) -> list[dict[str, float]]:
    """Return subtractions and divisions as steps; a division goes with the subtraction right before it."""
    found: list[dict[str, float]] = []
    is_open = False
    for operator, number in steps:
        if operator == "/" and is_open:
            found[-1]["scale"] = number
        else:
            is_subtraction = operator == "-"
            found.append({"center": number if is_subtraction else 0.0, "scale": 1.0 if is_subtraction else number})
        is_open = operator == "-"
    return found


def _clipped(steps: list[Any], operator: str, bound: float) -> list[Any]:
    last = steps[-1]["clip"] if steps and isinstance(steps[-1], dict) and "clip" in steps[-1] else None
    if operator == "min" and last is not None and last[1] is None and last[0] <= bound:
        return [*steps[:-1], {"clip": [last[0], bound]}]
    return [*steps, {"clip": [bound, None] if operator == "max" else [None, bound]}]


def indicator(group: Sequence[Term]) -> Feature:
    """Return 1 where a column is missing."""
    (term,) = group
    (column,) = term.symbol.arguments if isinstance(term.symbol, Operation) else ()
    if not isinstance(column, InputCell):
        raise inexpressible(term.symbol)
    return {"column": column.name, "kind": "indicator", "coefficient": number(term.weights)}
