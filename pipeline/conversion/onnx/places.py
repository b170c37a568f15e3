"""Positions in a table: which levels or bins of which column they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Literal

from pipeline.conversion.onnx.symbols import EncodedLevels, InputCell, LinearSum, Numeral, Operation, Symbol, linear
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import EXACT_INTEGER


@dataclass(frozen=True, slots=True)
class TablePlace:
    """A position that a column decides.

    Attributes
    ----------
    cell : InputCell
    type : {"text", "boolean", "integer", "number", "bins"}
    keys : mapping of str to int
        The position of each level, as a model file spells it.
    missing, unseen : int or None
        ``None`` where a cell cannot be so.
    edges : tuple of float
        Of bins, which have the positions 0, 1, ...
    """

    cell: InputCell
    type: Literal["text", "boolean", "integer", "number", "bins"]
    keys: Mapping[str, int] = field(default_factory=dict)
    missing: int | None = None
    unseen: int | None = None
    edges: tuple[float, ...] = ()


def without_empty(place: TablePlace, has_number: Callable[[int], bool]) -> TablePlace:
    """Return a place without the empty text as a level where that only says that missing text has no number."""
    if "" not in place.keys or has_number(place.keys[""]):
        return place
    return replace(place, keys={level: position for level, position in place.keys.items() if level})


def place_of(symbol: Symbol) -> TablePlace:
    """Return what decides a position.

    Raises
    ------
    ModelError
        It is no position that levels or bins of one column decide.
    """
    found = _place(symbol)
    if found is None:
        raise ModelError(
            "the graph looks up a table at positions that are not levels or bins of a column",
            "encode columns with LabelEncoder or OneHotEncoder",
        )
    return found


def _place(symbol: Symbol) -> TablePlace | None:
    if isinstance(symbol, EncodedLevels):
        return labelled(symbol)
    if isinstance(symbol, Operation) and symbol.operator == "where":
        condition, yes, no = symbol.arguments
        if isinstance(condition, Operation) and condition.operator == "isnan" and isinstance(yes, Numeral):
            inner = _place(no)
            return None if inner is None else replace(inner, missing=_position(yes.value))
        return _boolean(condition, yes, no)
    return _of_flags(linear(symbol))


def labelled(labels: EncodedLevels) -> TablePlace:
    """Return the levels of an encoder; the empty text is missing text."""
    values = map(_position, labels.values)
    return _levels(labels.cell, dict(zip(labels.keys, values, strict=True)), _position(labels.default))


def _position(number: float) -> int:
    """Return a number as a position; one that no table has, if it is not whole."""
    return int(number) if number.is_integer() else -1


def _levels(cell: InputCell, keys: Mapping[str | int | float, int], unseen: int) -> TablePlace:
    if cell.type == "text":
        named = {str(key): position for key, position in keys.items()}
        missing = named.get("", unseen)
        if [*named.values()].count(missing) > 1:
            # Missing text counts as another level, and the empty text is none.
            named.pop("", None)
        return TablePlace(cell, "text", named, missing, unseen)
    spelled = spelling(list(keys))
    of_float = None if cell.type == "integer" else unseen
    whole = all(float(key).is_integer() for key in keys)
    return TablePlace(
        cell, "integer" if whole else "number", dict(zip(spelled, keys.values(), strict=True)), of_float, unseen
    )


def spelling(keys: list[str | int | float]) -> list[str]:
    """Return how a model file spells levels: whole numbers without a fraction if all are."""
    if all(isinstance(key, int) or (float(key).is_integer() and abs(float(key)) <= EXACT_INTEGER) for key in keys):
        return [str(int(key)) for key in keys]
    return [repr(float(key)) for key in keys]


def _boolean(condition: Symbol, yes: Symbol, no: Symbol) -> TablePlace | None:
    is_flag = isinstance(condition, Operation) and condition.operator == "flag"
    cell = condition.arguments[0] if is_flag and isinstance(condition, Operation) else condition
    if isinstance(cell, InputCell) and isinstance(yes, Numeral) and isinstance(no, Numeral):
        return TablePlace(cell, "boolean", {"true": _position(yes.value), "false": _position(no.value)})
    return None


def _of_flags(sum_: LinearSum) -> TablePlace | None:
    """Return levels that are ``unseen + step * (x == key) + ...``, or bins that count ``x >= edge``."""
    parts = [_flag(atom) for atom, _ in sum_.terms]
    known = [each for each in parts if each is not None]
    if not known or len(known) < len(parts) or len({(cell, operator) for operator, cell, _ in known}) != 1:
        return None
    operator, cell, _ = known[0]
    numbers = [number for *_, number in known]
    base = int(sum(sum_.constants))
    if operator == "equal":
        steps = [int(weight) for _, weight in sum_.terms]
        return _levels(cell, {key: base + step for key, step in zip(numbers, steps, strict=True)}, base)
    if not base and all(weight == 1 for _, weight in sum_.terms) and numbers == sorted(set(numbers)):
        return TablePlace(cell, "bins", missing=0, edges=tuple(numbers))
    return None


def _flag(symbol: Symbol) -> tuple[str, InputCell, float] | None:
    if isinstance(symbol, Operation) and symbol.operator in {"equal", "greater_equal"}:
        cell, number = symbol.arguments
        if isinstance(cell, InputCell) and isinstance(number, Numeral):
            return symbol.operator, cell, number.value
    return None
