"""Sums of symbols as the features of a model file: one function for each kind of symbol."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from pipeline.conversion.onnx.places import Place, labelled, place_of, spelling
from pipeline.conversion.onnx.symbols import (
    Applied,
    Cell,
    Filled,
    Labels,
    Level,
    Linear,
    Lookup,
    Number,
    Symbol,
)
from pipeline.errors import ModelError
from pipeline.units import escape

Feature = dict[str, Any]
# One number for each class: exact, or NaN where a row has no score.
Amounts = tuple[Fraction | float, ...]

_REMEDY = "leave the step out, or convert the model in the tool that made it"
_MISSING, _OTHER = "(missing)", "(other)"
_THRESHOLDS = frozenset({"at_least", "greater", "greater_equal", "less", "less_equal"})


@dataclass(frozen=True, slots=True)
class Term:
    """What stands at one place of the sums of all classes."""

    symbols: tuple[Symbol, ...]
    weights: tuple[Fraction, ...]

    @property
    def symbol(self) -> Symbol:
        """The symbol of the first class; that of the others differs in a table at most."""
        return self.symbols[0]


def features(sums: Sequence[Linear]) -> list[Feature]:
    """Return the features of a model file for sums, one for each class, in the order of the sums.

    Raises
    ------
    ModelError
        A model file cannot express a symbol, or a number is beyond float64.
    """
    return [_feature(group) for group in _grouped(_aligned(sums))]


def number(amounts: Iterable[Fraction | float]) -> float | list[float]:
    """Return numbers as a model file has them, each rounded once: one, or a list with one for each class."""
    try:
        rounded = [float(each) for each in amounts]
    except OverflowError as error:
        raise ModelError("a coefficient of the graph is beyond float64", "scale the columns before fitting") from error
    return rounded[0] if len(rounded) == 1 else rounded


def _aligned(sums: Sequence[Linear]) -> list[Term]:
    """Return the terms of sums side by side; a sum without a term has the weight 0 there."""
    found: dict[Hashable, dict[int, tuple[Symbol, Fraction]]] = {}
    for position, sum_ in enumerate(sums):
        seen: Counter[Hashable] = Counter()
        for atom, weight in sum_.terms:
            key = _signature(atom)
            seen[key] += 1
            found.setdefault((key, seen[key]), {})[position] = (atom, weight)
    terms = []
    for by_class in found.values():
        other = next(iter(by_class.values()))[0]
        pairs = [by_class.get(position, (other, Fraction(0))) for position in range(len(sums))]
        terms.append(Term(tuple(atom for atom, _ in pairs), tuple(weight for _, weight in pairs)))
    return terms


def _signature(symbol: Symbol) -> Hashable:
    if isinstance(symbol, Lookup):
        return Lookup, symbol.places
    if isinstance(symbol, Applied) and symbol.operator == "multiply":
        return "multiply", tuple(map(_signature, symbol.arguments))
    return symbol


def _grouped(terms: Sequence[Term]) -> list[list[Term]]:
    """Return the terms that one feature expresses together, in the order of the first of them."""
    groups: dict[Hashable, list[Term]] = {}
    for position, term in enumerate(terms):
        symbol = term.symbol
        key: Hashable = position
        if isinstance(symbol, Level):
            key = (symbol.cell, symbol.keys, symbol.encoder)
        elif (step := _threshold(symbol)) is not None:
            key = ("bins", step[0])
        groups.setdefault(key, []).append(term)
    return list(groups.values())


def _feature(group: Sequence[Term]) -> Feature:
    symbol = group[0].symbol
    if isinstance(symbol, Applied) and (made := _APPLIED.get(symbol.operator)) is not None:
        return made(group)
    if (made := _KINDS.get(type(symbol))) is not None:
        return made(group)
    raise _inexpressible(symbol)


def _inexpressible(symbol: Symbol) -> ModelError:
    name = symbol.operator if isinstance(symbol, Applied) else type(symbol).__name__.lower()
    column = next(iter(_columns(symbol)), "")
    return ModelError(
        f'the graph takes "{escape(name)}" of what it makes of column "{escape(column)}": no feature can express that',
        _REMEDY,
    )


def _columns(symbol: Symbol) -> Iterable[str]:
    if isinstance(symbol, Cell):
        yield symbol.name
    elif isinstance(symbol, Filled | Labels | Level):
        yield symbol.cell.name
    elif isinstance(symbol, Applied):
        for each in symbol.arguments:
            yield from _columns(each)
    elif isinstance(symbol, Linear):
        for atom, _ in symbol.terms:
            yield from _columns(atom)


def _scaled(value: float | Fraction, weights: Sequence[Fraction]) -> Amounts:
    if isinstance(value, float) and math.isnan(value):
        return (math.nan,) * len(weights)
    return tuple(Fraction(value) * weight for weight in weights)


def _numeric(group: Sequence[Term]) -> Feature:
    (term,) = group
    column, steps = _steps(term.symbol)
    kind = (
        {"kind": "transformed", "transform": steps[0] if len(steps) == 1 else steps} if steps else {"kind": "numeric"}
    )
    return {**_base(column), **kind, "coefficient": number(term.weights)}


def _base(column: Cell | Filled) -> Feature:
    """Return the keys of a feature that reads a number of a column."""
    if isinstance(column, Filled):
        return {"column": column.cell.name, "missing": {"impute": column.value}}
    if column.type == "text":
        raise ModelError(f'the graph counts with the text of column "{escape(column.name)}"', _REMEDY)
    return {"column": column.name} | ({"boolean": True} if column.type == "boolean" else {})


def _steps(symbol: Symbol) -> tuple[Cell | Filled, list[Any]]:
    """Return the column that a number comes from, and its transform."""
    if isinstance(symbol, Cell | Filled):
        return symbol, []
    if isinstance(symbol, Linear) and len(symbol.terms) == 1:
        column, steps = _steps(symbol.terms[0][0])
        return column, [*steps, *_standardised(symbol)]
    if not isinstance(symbol, Applied):
        raise _inexpressible(symbol)
    first, *rest = symbol.arguments
    if symbol.operator == "checked":
        return _steps(first)
    if symbol.operator in {"log", "log1p", "sqrt"}:
        column, steps = _steps(first)
        return column, [*steps, symbol.operator]
    if symbol.operator == "multiply" and rest == [first]:
        column, steps = _steps(first)
        return column, [*steps, "square"]
    if symbol.operator in {"min", "max"} and isinstance(bound := rest[0], Number):
        column, steps = _steps(first)
        return column, _clipped(steps, symbol.operator, bound.value)
    raise _inexpressible(symbol)


def _standardised(sum_: Linear) -> list[dict[str, float]]:
    """Return the steps ``(x - center) / scale`` of a multiple of a symbol plus a constant."""
    if sum_.steps is not None:
        return _paired(sum_.steps)
    weight = sum_.terms[0][1]
    if not weight:
        raise ModelError("the graph multiplies a column by 0 before it goes on with it", _REMEDY)
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


def _indicator(group: Sequence[Term]) -> Feature:
    (term,) = group
    (column,) = term.symbol.arguments if isinstance(term.symbol, Applied) else ()
    if not isinstance(column, Cell):
        raise _inexpressible(term.symbol)
    return {"column": column.name, "kind": "indicator", "coefficient": number(term.weights)}


def _one_hot(group: Sequence[Term]) -> Feature:
    first = group[0].symbol
    assert isinstance(first, Level)
    nothing: Amounts = (Fraction(0),) * len(group[0].weights)
    amounts = dict.fromkeys(range(len(first.keys)), nothing)
    for term in group:
        assert isinstance(term.symbol, Level)
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


def spelled(cell: Cell, keys: Sequence[str | int | float]) -> list[str]:
    """Return how a model file spells the levels of a column."""
    return [str(key) for key in keys] if cell.type == "text" else spelling(list(keys))


def _categorical(cell: Cell, levels: Mapping[str, Amounts], missing: Any, unseen: Any, type_: str = "") -> Feature:
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


def _labels(group: Sequence[Term]) -> Feature:
    (term,) = group
    labels = term.symbol
    assert isinstance(labels, Labels)
    if labels.keys == ("",) and not labels.default:
        return {
            "column": labels.cell.name,
            "kind": "indicator",
            "coefficient": number(_scaled(labels.values[0], term.weights)),
        }
    # The values stand in a table at the positions of their keys.
    counted = Labels(labels.cell, labels.keys, tuple(map(float, range(len(labels.keys)))), float(len(labels.keys)))
    values = [_scaled(value, term.weights) for value in (*labels.values, labels.default)]
    return _of_levels(labelled(counted), lambda position: values[position])


def _lookup(group: Sequence[Term]) -> Feature:
    (term,) = group
    tables = [symbol.table for symbol in term.symbols if isinstance(symbol, Lookup)]
    places = [place_of(each) for each in term.symbol.places] if isinstance(term.symbol, Lookup) else []
    _check_positions(places, tables[0].shape)

    def amounts(*positions: int) -> Amounts:
        values = [float(table[positions]) for table in tables]
        if not all(map(math.isfinite, values)):
            return (math.nan,) * len(values)
        return tuple(Fraction(value) * weight for value, weight in zip(values, term.weights, strict=True))

    if len(places) > 1:
        return _product_of(term, [])
    return _of_bins(places[0], amounts) if places[0].type == "bins" else _of_levels(places[0], amounts)


def _check_positions(places: Sequence[Place], shape: tuple[int, ...]) -> None:
    for place, length in zip(places, shape, strict=True):
        ends = [
            each for each in (place.missing, place.unseen, *place.keys.values(), len(place.edges)) if each is not None
        ]
        if not all(0 <= each < length for each in ends):
            raise ModelError(
                f'the graph looks up column "{escape(place.cell.name)}" beyond a table of {length} rows', _REMEDY
            )


def _of_bins(place: Place, amounts: Callable[[int], Amounts]) -> Feature:
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


def _of_levels(place: Place, amounts: Callable[[int], Amounts]) -> Feature:
    levels, missing, unseen = _policies(place, amounts)
    return _categorical(place.cell, levels, missing, unseen, place.type)


def _policies(place: Place, amounts: Callable[[int], Amounts]) -> tuple[dict[str, Amounts], Any, Any]:
    """Return the levels with their amounts, and the policies for missing and unseen ones."""
    levels = {level: amounts(position) for level, position in place.keys.items()}
    known = {level: each for level, each in levels.items() if not _is_nan(each)}
    if len(known) < len(levels) and place.unseen is not None and not _is_nan(amounts(place.unseen)):
        raise ModelError(
            f'a level of column "{escape(place.cell.name)}" has no number in the graph, but unseen ones have', _REMEDY
        )
    if not known:
        raise ModelError(f'no level of column "{escape(place.cell.name)}" has a number in the graph', _REMEDY)
    unseen = _policy(place, place.unseen, amounts, known, _OTHER, zero="zero")
    missing = _policy(place, place.missing, amounts, known, _MISSING)
    return known, missing, unseen


def _policy(
    place: Place,
    position: int | None,
    amounts: Callable[[int], Amounts],
    levels: dict[str, Amounts],
    name: str,
    zero: str = "",
) -> Any:
    """Return the policy that gives a row what stands at a position; it may add a level."""
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


def _threshold(symbol: Symbol) -> tuple[Cell | Filled, float, bool] | None:
    """Return column, edge and whether it is 1 from the edge on, of a symbol that is 1 or 0 on its two sides."""
    if not isinstance(symbol, Applied) or symbol.operator not in _THRESHOLDS:
        return None
    column, bound = symbol.arguments
    if not isinstance(column, Cell | Filled) or not isinstance(bound, Number) or not math.isfinite(bound.value):
        return None
    is_beyond = symbol.operator in {"greater", "less_equal"}
    edge = float(np.nextafter(bound.value, math.inf)) if is_beyond else bound.value
    return column, edge, not symbol.operator.startswith("less")


def _thresholds(group: Sequence[Term]) -> Feature:
    steps = [_threshold(term.symbol) for term in group]
    known = [step for step in steps if step is not None]
    if not known:
        raise _inexpressible(group[0].symbol)
    column = known[0][0]
    edges = sorted({edge for _, edge, _ in known})
    coefficients = []
    for bin_ in range(len(edges) + 1):
        # The bin begins at an edge, the first one below all of them.
        begin = edges[bin_ - 1] if bin_ else -math.inf
        chosen = [t.weights for t, (_, edge, above) in zip(group, known, strict=True) if (begin >= edge) == above]
        coefficients.append(number(map(sum, zip(*chosen, strict=True))) if chosen else _zeros(group))
    is_known = not any(isinstance(t.symbol, Applied) and t.symbol.operator == "at_least" for t in group)
    missing: Any = {"coefficient": _zeros(group)} if is_known else "null"
    missing = {"impute": column.value} if isinstance(column, Filled) else missing
    cell = column.cell if isinstance(column, Filled) else column
    return {"column": cell.name, "kind": "binned", "edges": edges, "coefficients": coefficients, "missing": missing}


def _zeros(group: Sequence[Term]) -> float | list[float]:
    return number((Fraction(0),) * len(group[0].weights))


def _equal(group: Sequence[Term]) -> Feature:
    """Return a column of numbers with one level."""
    (term,) = group
    column, value = term.symbol.arguments if isinstance(term.symbol, Applied) else (term.symbol, term.symbol)
    if not isinstance(column, Cell) or not isinstance(value, Number):
        raise _inexpressible(term.symbol)
    labels = Labels(column, (value.value,), (1.0,), 0.0)
    return _labels([Term((labels,) * len(term.symbols), term.weights)])


def _multiplied(group: Sequence[Term]) -> Feature:
    (term,) = group
    checked = term.symbol
    assert isinstance(checked, Applied)
    return _product_of(term, list(_factors(checked)))


def _factors(symbol: Symbol) -> Iterable[Symbol]:
    if isinstance(symbol, Applied) and symbol.operator == "multiply":
        for each in symbol.arguments:
            yield from _factors(each)
    else:
        yield symbol


def _product_of(term: Term, factors: Sequence[Symbol]) -> Feature:
    """Return a product: of numeric terms in their order, then of categorical ones."""
    factors = factors or [term.symbol]
    weights = list(term.weights)
    numbers: list[Feature] = []
    for factor in factors:
        if not isinstance(factor, Level | Labels | Lookup):
            said, by = _numeric_term(factor)
            numbers.append(said)
            weights = [weight * by for weight in weights]
    by_class = [[f for f in _all_factors(symbol) if isinstance(f, Level | Labels | Lookup)] for symbol in term.symbols]
    if not by_class[0]:
        return {"kind": "product", "terms": numbers, "coefficient": number(weights)}
    terms, nested = _nested(by_class, weights)
    return {"kind": "product", "terms": [*numbers, *terms], "coefficients": nested}


def _all_factors(symbol: Symbol) -> list[Symbol]:
    return list(_factors(symbol))


def _numeric_term(symbol: Symbol) -> tuple[Feature, Fraction]:
    """Return a numeric term, and what its coefficient is multiplied by: a scale that no float is."""
    if isinstance(symbol, Applied) and symbol.operator == "checked":
        (symbol,) = symbol.arguments
    by, last = Fraction(1), {}
    before: list[Any] = []
    if isinstance(symbol, Linear) and len(symbol.terms) == 1:
        atom, weight = symbol.terms[0]
        if symbol.steps is None and not any(symbol.constants) and weight and Fraction(float(1 / weight)) != 1 / weight:
            by = weight
        else:
            *before, last = _standardised(symbol)
        symbol = atom
    column, steps = _steps(symbol)
    steps = [*steps, *before]
    transform = {"transform": steps[0] if len(steps) == 1 else steps} if steps else {}
    return {"kind": "numeric", **_base(column), **last, **transform}, by


def _nested(by_class: Sequence[Sequence[Symbol]], weights: Sequence[Fraction]) -> tuple[list[Feature], Any]:
    """Return categorical terms and their coefficients, nested in the order of the terms."""
    axes = [axis for factor in by_class[0] for axis in _axes_of(factor)]
    tables = [_joined([_table_of(factor) for factor in factors]) for factors in by_class]
    _check_positions(axes, tables[0].shape)
    axes = [_with_numbers(place, tables[0], axis) for axis, place in enumerate(axes)]
    terms = [_categorical_term(place, tables[0], axis) for axis, place in enumerate(axes)]
    nested: dict[str, Any] = {}
    for levels in product(*(place.keys for place in axes)):
        positions = tuple(place.keys[level] for place, level in zip(axes, levels, strict=True))
        values = [float(table[positions]) for table in tables]
        if not all(map(math.isfinite, values)):
            raise ModelError(
                f'levels of column "{escape(axes[0].cell.name)}" have no number in the graph, but are known', _REMEDY
            )
        inner = nested
        for level in levels[:-1]:
            inner = inner.setdefault(level, {})
        inner[levels[-1]] = number(Fraction(v) * weight for v, weight in zip(values, weights, strict=True))
    return terms, nested


def _with_numbers(place: Place, table: Any, axis: int) -> Place:
    """Return a place without the levels that have no number; these are unseen, which has none either."""
    rows = np.moveaxis(table, axis, 0)
    known = {level: position for level, position in place.keys.items() if not np.isnan(rows[position]).all()}
    if len(known) == len(place.keys) or (place.unseen is not None and not np.isnan(rows[place.unseen]).all()):
        return place
    return replace(place, keys=known)


def _axes_of(factor: Symbol) -> list[Place]:
    if isinstance(factor, Lookup):
        return [place_of(each) for each in factor.places]
    if isinstance(factor, Level):
        (key,) = spelled(factor.cell, [factor.keys[factor.position]])
        missing = 1 if factor.cell.type == "text" else None
        return [Place(factor.cell, "text" if factor.cell.type == "text" else "integer", {key: 0}, missing, 1)]
    raise _inexpressible(factor)


def _table_of(factor: Symbol) -> Any:
    return factor.table if isinstance(factor, Lookup) else np.array([1.0, 0.0])


def _joined(tables: Sequence[Any]) -> Any:
    found = tables[0]
    for each in tables[1:]:
        found = np.multiply.outer(found, each)
    return found


def _categorical_term(place: Place, table: Any, axis: int) -> Feature:
    """Return a categorical term; its policies are read from the rows of the table beside those of its levels."""
    if place.type == "bins":
        raise ModelError(f'the graph multiplies bins of column "{escape(place.cell.name)}" by something', _REMEDY)

    def policy(position: int | None, *, zero: bool) -> Any:
        if position is None:
            return "null"
        level = next((level for level, each in place.keys.items() if each == position), None)
        if level is not None:
            return {"level": level}
        row = np.take(table, position, axis=axis)
        if np.isnan(row).all():
            return "null"
        if zero and not np.nan_to_num(row).any():
            return "zero"
        name = escape(place.cell.name)
        raise ModelError(f'missing or unseen levels of column "{name}" have numbers of their own in a product', _REMEDY)

    return {
        "kind": "categorical",
        "column": place.cell.name,
        "levels": place.type,
        "missing": policy(place.missing, zero=False),
        "unseen": policy(place.unseen, zero=True),
    }


_KINDS: Mapping[type[Any], Callable[[Sequence[Term]], Feature]] = {
    Cell: _numeric,
    Filled: _numeric,
    Level: _one_hot,
    Labels: _labels,
    Lookup: _lookup,
}
_APPLIED: Mapping[str, Callable[[Sequence[Term]], Feature]] = {
    **dict.fromkeys(("checked", "log", "log1p", "sqrt", "min", "max"), _numeric),
    **dict.fromkeys(_THRESHOLDS, _thresholds),
    "isnan": _indicator,
    "equal": _equal,
    "multiply": _multiplied,
}
