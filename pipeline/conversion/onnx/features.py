"""Sums of symbols as the features of a model file: one function for each kind of symbol."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from pipeline.conversion.onnx.levels import (
    THRESHOLDS,
    check_positions,
    equal,
    of_bins,
    of_labels,
    of_levels,
    one_hot,
    threshold,
    thresholds,
)
from pipeline.conversion.onnx.numbers import (
    Amounts,
    Feature,
    Term,
    indicator,
    inexpressible,
    numeric,
)
from pipeline.conversion.onnx.places import place_of
from pipeline.conversion.onnx.products import multiplied, product_of
from pipeline.conversion.onnx.symbols import (
    EncodedLevels,
    Filled,
    InputCell,
    LinearSum,
    OneHotLevel,
    Operation,
    Symbol,
    TableLookup,
)


def features(sums: Sequence[LinearSum]) -> list[Feature]:
    """Return the features of a model file for sums, one for each class, in the order of the sums.

    Raises
    ------
    ModelError
        A model file cannot express a symbol, or a number is beyond float64.
    """
    return [_feature(group) for group in _grouped(_aligned(sums))]


def _aligned(sums: Sequence[LinearSum]) -> list[Term]:
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
    if isinstance(symbol, TableLookup):
        return TableLookup, symbol.places
    if isinstance(symbol, Operation) and symbol.operator == "multiply":
        return "multiply", tuple(map(_signature, symbol.arguments))
    return symbol


def _grouped(terms: Sequence[Term]) -> list[list[Term]]:
    """Return the terms that one feature expresses together, in the order of the first of them."""
    groups: dict[Hashable, list[Term]] = {}
    for position, term in enumerate(terms):
        symbol = term.symbol
        key: Hashable = position
        if isinstance(symbol, OneHotLevel):
            key = (symbol.cell, symbol.keys, symbol.encoder)
        elif (step := threshold(symbol)) is not None:
            key = ("bins", step[0])
        groups.setdefault(key, []).append(term)
    return list(groups.values())


def _feature(group: Sequence[Term]) -> Feature:
    symbol = group[0].symbol
    if isinstance(symbol, Operation) and (made := _APPLIED.get(symbol.operator)) is not None:
        return made(group)
    if (made := _KINDS.get(type(symbol))) is not None:
        return made(group)
    raise inexpressible(symbol)


def _lookup(group: Sequence[Term]) -> Feature:
    (term,) = group
    tables = [symbol.table for symbol in term.symbols if isinstance(symbol, TableLookup)]
    places = [place_of(each) for each in term.symbol.places] if isinstance(term.symbol, TableLookup) else []
    check_positions(places, tables[0].shape)

    def amounts(*positions: int) -> Amounts:
        values = [float(table[positions]) for table in tables]
        if not all(map(math.isfinite, values)):
            return (math.nan,) * len(values)
        return tuple(Fraction(value) * weight for value, weight in zip(values, term.weights, strict=True))

    if len(places) > 1:
        return product_of(term, [])
    return of_bins(places[0], amounts) if places[0].type == "bins" else of_levels(places[0], amounts)


_KINDS: Mapping[type[Any], Callable[[Sequence[Term]], Feature]] = {
    InputCell: numeric,
    Filled: numeric,
    OneHotLevel: one_hot,
    EncodedLevels: of_labels,
    TableLookup: _lookup,
}

_APPLIED: Mapping[str, Callable[[Sequence[Term]], Feature]] = {
    **dict.fromkeys(("checked", "log", "log1p", "sqrt", "min", "max"), numeric),
    **dict.fromkeys(THRESHOLDS, thresholds),
    "isnan": indicator,
    "equal": equal,
    "multiply": multiplied,
}
