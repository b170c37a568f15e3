"""Levels and bins of columns as features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline.conversion.onnx.numbers import (
    LEAVE_OUT,
    Amounts,
    Feature,
    Term,
    inexpressible,
    number,
    scaled,
)
from pipeline.conversion.onnx.places import TablePlace, labelled, spelling, without_empty
from pipeline.conversion.onnx.symbols import (
    EncodedLevels,
    Filled,
    InputCell,
    Numeral,
    OneHotLevel,
    Operation,
    Symbol,
)
from pipeline.errors import ModelError
from pipeline.units import escape

_MISSING, _OTHER = "(missing)", "(other)"

THRESHOLDS = frozenset({"at_least", "greater", "greater_equal", "less", "less_equal"})


def one_hot(group: Sequence[Term]) -> Feature:
    """Return the levels of an encoder that are 1 or 0 each."""
    first = group[0].symbol
    assert isinstance(first, OneHotLevel)
    nothing: Amounts = (Fraction(0),) * len(group[0].weights)
    amounts = dict.fromkeys(range(len(first.keys)), nothing)
    for term in group:
        assert isinstance(term.symbol, OneHotLevel)
        own = amounts[term.symbol.position]
        amounts[term.symbol.position] = tuple(a + b for a, b in zip(own, term.weights, strict=True))
    by_level = dict(zip(spelled(first.cell, first.keys), amounts.values(), strict=True))
    word = "error" if first.is_strict else "zero"
    missing: Any = "null"
    if first.cell.type == "text" and "" in by_level:
        missing = {"level": ""}
    elif first.cell.type == "text":
        missing = word if first.is_strict else {"level": _added(by_level, _MISSING, nothing)}
    return _categorical(first.cell, by_level, missing, word)


def spelled(cell: InputCell, keys: Sequence[str | int | float]) -> list[str]:
    """Return how a model file spells the levels of a column."""
    return [str(key) for key in keys] if cell.type == "text" else spelling(list(keys))


def _categorical(cell: InputCell, levels: Mapping[str, Amounts], missing: Any, unseen: Any, type_: str = "") -> Feature:
    return {
        "column": cell.name,
        "kind": "categorical",
        "coefficients": {level: number(amounts) for level, amounts in levels.items()},
        "levels": type_ or ("text" if cell.type == "text" else "integer"),
        "missing": missing,
        "unseen": unseen,
    }


def _added(levels: dict[str, Amounts], name: str, amounts: Amounts) -> str:
    """Add a level that no cell has, and return its name."""
    while name in levels:
        name += "_"
    levels[name] = amounts
    return name


def of_labels(group: Sequence[Term]) -> Feature:
    """Return the levels that an encoder gives numbers."""
    (term,) = group
    labels = term.symbol
    assert isinstance(labels, EncodedLevels)
    if labels.keys == ("",) and not labels.default:
        return {
            "column": labels.cell.name,
            "kind": "indicator",
            "coefficient": number(scaled(labels.values[0], term.weights)),
        }
    # The values are in a table at the positions of their keys.
    counted = EncodedLevels(
        labels.cell, labels.keys, tuple(map(float, range(len(labels.keys)))), float(len(labels.keys))
    )
    values = [scaled(value, term.weights) for value in (*labels.values, labels.default)]
    return of_levels(labelled(counted), lambda position: values[position])


def check_positions(places: Sequence[TablePlace], shape: tuple[int, ...]) -> None:
    """Raise an error where a position is beyond its table."""
    for place, length in zip(places, shape, strict=True):
        ends = [
            each for each in (place.missing, place.unseen, *place.keys.values(), len(place.edges)) if each is not None
        ]
        if not all(0 <= each < length for each in ends):
            raise ModelError(
                f'the graph looks up column "{escape(place.cell.name)}" beyond a table of {length} rows', LEAVE_OUT
            )


def of_bins(place: TablePlace, amounts: Callable[[int], Amounts]) -> Feature:
    """Return bins whose coefficients are in a table."""
    missing = amounts(place.missing or 0)
    return {
        "column": place.cell.name,
        "kind": "binned",
        "edges": list(place.edges),
        "coefficients": [number(amounts(position)) for position in range(len(place.edges) + 1)],
        "missing": "null" if _is_nan(missing) else {"coefficient": number(missing)},
    }


def _is_nan(amounts: Amounts) -> bool:
    return any(isinstance(each, float) for each in amounts)


def of_levels(place: TablePlace, amounts: Callable[[int], Amounts]) -> Feature:
    """Return levels whose coefficients are in a table."""
    place = without_empty(place, lambda position: not _is_nan(amounts(position)))
    levels, missing, unseen = _policies(place, amounts)
    return _categorical(place.cell, levels, missing, unseen, place.type)


def _policies(place: TablePlace, amounts: Callable[[int], Amounts]) -> tuple[dict[str, Amounts], Any, Any]:
    """Return the levels with their amounts, and the policies for missing and unseen ones."""
    levels = {level: amounts(position) for level, position in place.keys.items()}
    known = {level: each for level, each in levels.items() if not _is_nan(each)}
    if len(known) < len(levels) and place.unseen is not None and not _is_nan(amounts(place.unseen)):
        raise ModelError(
            f'a level of column "{escape(place.cell.name)}" has no number in the graph, but unseen ones have', LEAVE_OUT
        )
    if not known:
        raise ModelError(f'no level of column "{escape(place.cell.name)}" has a number in the graph', LEAVE_OUT)
    unseen = _policy(place, place.unseen, amounts, known, _OTHER, zero="zero")
    missing = _policy(place, place.missing, amounts, known, _MISSING)
    return known, missing, unseen


def _policy(
    place: TablePlace,
    position: int | None,
    amounts: Callable[[int], Amounts],
    levels: dict[str, Amounts],
    name: str,
    zero: str = "",
) -> Any:
    """Return the policy that gives a row what is at a position; it may add a level."""
    if position is None or _is_nan(own := amounts(position)):
        return "null"
    same_place = (level for level, each in place.keys.items() if each == position and level in levels)
    if (level := next(same_place, None)) is not None:
        return {"level": level}
    if zero and not any(own):
        return zero
    same = (level for level, each in levels.items() if each == own)
    level = next(same, None)
    return {"level": level if level is not None else _added(levels, name, own)}


def threshold(symbol: Symbol) -> tuple[InputCell | Filled, float, bool] | None:
    """Return column, edge and whether it is 1 from the edge on, of a symbol that is 1 or 0 on its two sides."""
    if not isinstance(symbol, Operation) or symbol.operator not in THRESHOLDS:
        return None
    column, bound = symbol.arguments
    if not isinstance(column, InputCell | Filled) or not isinstance(bound, Numeral) or not math.isfinite(bound.value):
        return None
    is_beyond = symbol.operator in {"greater", "less_equal"}
    edge = float(np.nextafter(bound.value, math.inf)) if is_beyond else bound.value
    return column, edge, not symbol.operator.startswith("less")


def thresholds(group: Sequence[Term]) -> Feature:
    """Return a column that is compared with numbers as bins."""
    steps = [threshold(term.symbol) for term in group]
    known = [step for step in steps if step is not None]
    if not known:
        raise inexpressible(group[0].symbol)
    column = known[0][0]
    edges = sorted({edge for _, edge, _ in known})
    coefficients = []
    for bin_ in range(len(edges) + 1):
        # The bin begins at an edge, the first one below all of them.
        begin = edges[bin_ - 1] if bin_ else -math.inf
        chosen = [t.weights for t, (_, edge, above) in zip(group, known, strict=True) if (begin >= edge) == above]
        coefficients.append(number(map(sum, zip(*chosen, strict=True))) if chosen else _zeros(group))
    is_known = not any(isinstance(t.symbol, Operation) and t.symbol.operator == "at_least" for t in group)
    missing: Any = {"coefficient": _zeros(group)} if is_known else "null"
    missing = {"impute": column.value} if isinstance(column, Filled) else missing
    cell = column.cell if isinstance(column, Filled) else column
    return {"column": cell.name, "kind": "binned", "edges": edges, "coefficients": coefficients, "missing": missing}


def _zeros(group: Sequence[Term]) -> float | list[float]:
    return number((Fraction(0),) * len(group[0].weights))


def equal(group: Sequence[Term]) -> Feature:
    """Return a column of numbers with one level."""
    (term,) = group
    column, value = term.symbol.arguments if isinstance(term.symbol, Operation) else (term.symbol, term.symbol)
    if not isinstance(column, InputCell) or not isinstance(value, Numeral):
        raise inexpressible(term.symbol)
    labels = EncodedLevels(column, (value.value,), (1.0,), 0.0)
    return of_labels([Term((labels,) * len(term.symbols), term.weights)])
