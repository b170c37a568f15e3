"""Where a number of a column crosses a border: the tables of comparisons and of intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.floats import least_floats
from pipeline.conversion.pmml.elements import Element, refused
from pipeline.conversion.pmml.values import INVALID, MISSING, ColumnNumber, ColumnTable, Polynomial, Step, Value
from pipeline.kernels import Affine, Clip

# A number for a value of its column: a float64, or an exact one.
Curve = Callable[[float], Any]
Interval = tuple[float | None, float | None, bool, bool, Any]


def compare(element: Element, operator: str, value: Polynomial, with_: float) -> ColumnTable | bool:
    """Return whether a number of a column compares so with a constant."""
    known = value.constant
    if known is not None:
        return COMPARISONS[operator](float(known), with_)
    return table(element, value, [with_], lambda number: COMPARISONS[operator](number, with_), MISSING)


def partition(element: Element, value: Value, bins: Sequence[Interval], default: Any, missing: Any) -> Value:
    """Return the value of the first interval that a number of a column is in."""
    if not isinstance(value, Polynomial):
        raise refused(element, "its field is not a number of one column")
    borders = [border for low, high, *_ in bins for border in (low, high) if border is not None]

    def find(number: float) -> Any:
        return next((each[4] for each in bins if _holds(number, each)), default)

    return table(element, value, borders, find, missing)


def _holds(number: float, interval: Interval) -> bool:
    low, high, with_low, with_high, _ = interval
    above = low is None or number > low or (with_low and number == low)
    return above and (high is None or number < high or (with_high and number == high))


COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "equal": lambda left, right: left == right,
    "notEqual": lambda left, right: left != right,
    "lessThan": lambda left, right: left < right,
    "lessOrEqual": lambda left, right: left <= right,
    "greaterThan": lambda left, right: left > right,
    "greaterOrEqual": lambda left, right: left >= right,
}


def table(
    element: Element, value: Polynomial, borders: Sequence[float], function: Callable[[float], Any], missing: Any
) -> ColumnTable:
    """Return a function of a number of a column that changes at borders only, as a table.

    Every border is where the number reaches or passes a given one: the least float64 of the column for which it does,
    found by bisection where the column went through steps.
    """
    number, curve = _curve(value)
    if number is None:
        raise refused(element, "compares what is not a number of one column", "derive the column before scoring")
    if curve is None:
        raise refused(element, "compares a number that falls where its column rises", "multiply by a positive number")
    is_column = value.number is not None and not number.steps
    edges = {_least(curve, is_column, border, passes) for border in borders for passes in (False, True)}
    kept = sorted(edge for edge in edges if math.isfinite(edge))
    starts = [-math.inf, *kept]
    bins = tuple(function(curve(start)) for start in starts)
    at_missing = number.missing
    found = function(curve(at_missing)) if isinstance(at_missing, float) else None
    absent = missing if at_missing is MISSING else INVALID if at_missing is INVALID else found
    return merged(ColumnTable(number.column, absent, tuple(kept), bins))


def merged(made: ColumnTable) -> ColumnTable:
    """Return a table of a number without the edges at which nothing changes."""
    edges, bins = [], [made.bins[0]]
    for edge, value in zip(made.edges, made.bins[1:], strict=True):
        if value != bins[-1] or type(value) is not type(bins[-1]):
            edges.append(edge)
            bins.append(value)
    return ColumnTable(made.column, made.missing, tuple(edges), tuple(bins))


def _curve(value: Polynomial) -> tuple[ColumnNumber | None, Curve | None]:
    """Return the column of a number and how it depends on it; no curve where it falls somewhere."""
    number = value.number
    if number is not None:
        return number, partial(apply, number) if is_increasing(number) else None
    parts = [(factors[0], weight) for factors, weight in value.terms if len(factors) == 1]
    columns = [factor for factor, _ in parts if isinstance(factor, ColumnNumber) and factor.steps in {(), ("abs",)}]
    if not columns or any(len(factors) > 1 for factors, _ in value.terms) or len(columns) < len(parts):
        return None, None
    if len({(each.column, each.missing) for each in columns}) > 1:
        return None, None
    weights = {each.steps: weight for each, (_, weight) in zip(columns, parts, strict=True)}
    slope, bend = weights.get((), Fraction(0)), weights.get(("abs",), Fraction(0))
    level = next((weight for factors, weight in value.terms if not factors), Fraction(0))
    bent = partial(_bent, slope, bend, level)
    return ColumnNumber(columns[0].column, columns[0].missing), bent if slope > abs(bend) else None


def _bent(slope: Fraction, bend: Fraction, level: Fraction, value: float) -> Any:
    """Return ``slope * x + bend * |x| + level``, exactly."""
    if math.isinf(value):
        return value
    exact = Fraction(value)
    return slope * exact + bend * abs(exact) + level


def is_increasing(number: ColumnNumber) -> bool:
    """Return whether a number never falls where its column rises."""
    falling = {"square", "abs"}
    return all(step not in falling and not (isinstance(step, Affine) and step.scale < 0) for step in number.steps)


def _least(curve: Curve, is_column: bool, border: float, passes: bool) -> float:
    """Return the least float64 of a column at which its curve reaches a border, or passes it; infinite if none."""
    if is_column:
        return math.nextafter(border, math.inf) if passes else border

    def is_there(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        found = [curve(value) for value in values.tolist()]
        return np.array([each > border or (not passes and each == border) for each in found])

    return float(least_floats(is_there)[0])


def apply(number: ColumnNumber, value: float) -> float:
    """Return a number for a value of its column; below every number where a step has no value."""
    for step in number.steps:
        value = _STEPS[step](value) if isinstance(step, str) else _moved(step, value)
    return value


def _moved(step: Step, value: float) -> float:
    if isinstance(step, Affine):
        return (value - step.center) / step.scale
    return min(max(value, step.low), step.high) if isinstance(step, Clip) else value


_STEPS: dict[str, Callable[[float], float]] = {
    "log": lambda value: math.log(value) if value > 0 else -math.inf,
    "log1p": lambda value: math.log1p(value) if value > -1 else -math.inf,
    "sqrt": lambda value: math.sqrt(value) if value >= 0 else -math.inf,
    "square": lambda value: value * value,
}
