"""Products of symbols as features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from pipeline.conversion.onnx.levels import (
    check_positions,
    spelled,
)
from pipeline.conversion.onnx.numbers import (
    LEAVE_OUT,
    Feature,
    Term,
    base,
    inexpressible,
    number,
    standardised,
    steps_of,
)
from pipeline.conversion.onnx.places import TablePlace, place_of, without_empty
from pipeline.conversion.onnx.symbols import (
    EncodedLevels,
    LinearSum,
    OneHotLevel,
    Operation,
    Symbol,
    TableLookup,
)
from pipeline.errors import ModelError
from pipeline.units import escape


def multiplied(group: Sequence[Term]) -> Feature:
    """Return the product of symbols."""
    (term,) = group
    checked = term.symbol
    assert isinstance(checked, Operation)
    return product_of(term, list(_factors(checked)))


def _factors(symbol: Symbol) -> Iterable[Symbol]:
    if isinstance(symbol, Operation) and symbol.operator == "multiply":
        for each in symbol.arguments:
            yield from _factors(each)
    else:
        yield symbol


def product_of(term: Term, factors: Sequence[Symbol]) -> Feature:
    """Return a product: of numeric terms in their order, then of categorical ones."""
    factors = factors or [term.symbol]
    weights = list(term.weights)
    numbers: list[Feature] = []
    for factor in factors:
        if not isinstance(factor, OneHotLevel | EncodedLevels | TableLookup):
            said, by = _numeric_term(factor)
            numbers.append(said)
            weights = [weight * by for weight in weights]
    by_class = [
        [f for f in _all_factors(symbol) if isinstance(f, OneHotLevel | EncodedLevels | TableLookup)]
        for symbol in term.symbols
    ]
    if not by_class[0]:
        return {"kind": "product", "terms": numbers, "coefficient": number(weights)}
    terms, nested = _nested(by_class, weights)
    return {"kind": "product", "terms": [*numbers, *terms], "coefficients": nested}


def _all_factors(symbol: Symbol) -> list[Symbol]:
    return list(_factors(symbol))


def _numeric_term(symbol: Symbol) -> tuple[Feature, Fraction]:
    """Return a numeric term, and what its coefficient is multiplied by: a scale that no float is."""
    if isinstance(symbol, Operation) and symbol.operator == "checked":
        (symbol,) = symbol.arguments
    by, last = Fraction(1), {}
    before: list[Any] = []
    if isinstance(symbol, LinearSum) and len(symbol.terms) == 1:
        atom, weight = symbol.terms[0]
        if symbol.steps is None and not any(symbol.constants) and weight and Fraction(float(1 / weight)) != 1 / weight:
            by = weight
        else:
            *before, last = standardised(symbol)
        symbol = atom
    column, steps = steps_of(symbol)
    steps = [*steps, *before]
    transform = {"transform": steps[0] if len(steps) == 1 else steps} if steps else {}
    return {"kind": "numeric", **base(column), **last, **transform}, by


def _nested(by_class: Sequence[Sequence[Symbol]], weights: Sequence[Fraction]) -> tuple[list[Feature], Any]:
    """Return categorical terms and their coefficients, nested in the order of the terms."""
    axes = [axis for factor in by_class[0] for axis in _axes_of(factor)]
    tables = [_joined([_table_of(factor) for factor in factors]) for factors in by_class]
    check_positions(axes, tables[0].shape)
    axes = [_with_numbers(place, tables[0], axis) for axis, place in enumerate(axes)]
    terms = [_categorical_term(place, tables[0], axis) for axis, place in enumerate(axes)]
    nested: dict[str, Any] = {}
    for levels in product(*(place.keys for place in axes)):
        positions = tuple(place.keys[level] for place, level in zip(axes, levels, strict=True))
        values = [float(table[positions]) for table in tables]
        if not all(map(math.isfinite, values)):
            raise ModelError(
                f'levels of column "{escape(axes[0].cell.name)}" have no number in the graph, but are known', LEAVE_OUT
            )
        inner = nested
        for level in levels[:-1]:
            inner = inner.setdefault(level, {})
        inner[levels[-1]] = number(Fraction(v) * weight for v, weight in zip(values, weights, strict=True))
    return terms, nested


def _with_numbers(place: TablePlace, table: Any, axis: int) -> TablePlace:
    """Return a place without the levels that have no number; these are unseen, which has none either."""
    rows = np.moveaxis(table, axis, 0)
    place = without_empty(place, lambda position: not np.isnan(rows[position]).all())
    known = {level: position for level, position in place.keys.items() if not np.isnan(rows[position]).all()}
    if place.unseen is not None and not np.isnan(rows[place.unseen]).all():
        return place
    return replace(place, keys=known)


def _axes_of(factor: Symbol) -> list[TablePlace]:
    if isinstance(factor, TableLookup):
        return [place_of(each) for each in factor.places]
    if isinstance(factor, OneHotLevel):
        (key,) = spelled(factor.cell, [factor.keys[factor.position]])
        missing = 1 if factor.cell.type == "text" else None
        return [TablePlace(factor.cell, "text" if factor.cell.type == "text" else "integer", {key: 0}, missing, 1)]
    raise inexpressible(factor)


def _table_of(factor: Symbol) -> Any:
    return factor.table if isinstance(factor, TableLookup) else np.array([1.0, 0.0])


def _joined(tables: Sequence[Any]) -> Any:
    found = tables[0]
    for each in tables[1:]:
        found = np.multiply.outer(found, each)
    return found


def _categorical_term(place: TablePlace, table: Any, axis: int) -> Feature:
    """Return a categorical term; its policies are read from the rows of the table beside those of its levels."""
    if place.type == "bins":
        raise ModelError(f'the graph multiplies bins of column "{escape(place.cell.name)}" by something', LEAVE_OUT)

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
        raise ModelError(f'missing or unseen levels of column "{name}" have their own numbers in a product', LEAVE_OUT)

    return {
        "kind": "categorical",
        "column": place.cell.name,
        "levels": place.type,
        "missing": policy(place.missing, zero=False),
        "unseen": policy(place.unseen, zero=True),
    }
