"""What a feature adds to the raw prediction, as nodes of a graph: one method for each kind of node of its tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pipeline.conversion.onnx.construction import NAN, Construction
from pipeline.conversion.onnx.graph import BOOL, DOUBLE, INT64, STRING
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.logistic.expression import (
    Arithmetic,
    Bins,
    Clipped,
    ColumnValue,
    Expression,
    FiniteOnly,
    FunctionCall,
    IsMissing,
    Key,
    Lookup,
    Numbers,
)
from pipeline.models.logistic.expression import Constant as Number
from pipeline.models.logistic.policies import Level
from pipeline.units import EXACT_INTEGER, escape, format_count

_ARITHMETIC = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div"}
_TABLE_LIMIT = 10_000_000
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class _Positions:
    """Where the levels of a key are in a table: known ones first, then (if needed) 0, then NaN.

    ``zero`` and ``none`` are ``None`` where no policy needs them.
    """

    levels: Mapping[str, int]
    missing: int
    unseen: int
    zero: int | None
    none: int | None

    @property
    def length(self) -> int:
        return len(self.levels) + (self.zero is not None) + (self.none is not None)


class TermWriter:
    """Writes trees into a graph.

    Parameters
    ----------
    made : Construction
        Gets the nodes.
    types : mapping of str to int
        The type of each input.
    """

    def __init__(self, made: Construction, types: Mapping[str, int]) -> None:
        self._made = made
        self._types = types
        self._name = ""

    def write(self, name: str, tree: Expression) -> str:
        """Return the value of a tree, of shape (rows, 1) or (rows, classes); ``name`` is that of its feature."""
        self._name = name
        return self._value(tree)

    def _value(self, tree: Expression) -> str:
        return _WRITERS[type(tree)](self, tree)

    def _column(self, column: ColumnValue) -> str:
        value = self._number(column.name)
        if isinstance(column.missing, str):
            return value
        return self._made.add("Where", self._made.add("IsNaN", value), self._made.row(column.missing), value)

    def _number(self, column: str) -> str:
        return column if self._types[column] == DOUBLE else self._made.number(column)

    def _constant(self, number: Number) -> str:
        return self._made.row(number.value)

    def _arithmetic(self, tree: Arithmetic) -> str:
        return self._made.add(_ARITHMETIC[tree.operator], self._value(tree.left), self._value(tree.right))

    def _function(self, tree: FunctionCall) -> str:
        value = self._value(tree.argument)
        if tree.name == "square":
            return self._made.add("Mul", value, value)
        if tree.name == "log1p":
            return self._log1p(value)
        return self._made.add({"log": "Log", "sqrt": "Sqrt"}[tree.name], value)

    def _log1p(self, x: str) -> str:
        """Return log(1 + x) within a few units in the last place.

        The error of u = 1 + x is undone by the factor x / (u - 1): W. Kahan, after Goldberg 1991, theorem 4.
        """
        made = self._made
        sum_ = made.add("Add", x, made.row(1.0))
        rest = made.add("Sub", sum_, made.row(1.0))
        plain = made.add("Log", sum_)
        mended = made.add("Mul", plain, made.add("Div", x, rest))
        small = made.add("Where", made.add("Equal", rest, made.row(0.0)), x, mended)
        return made.add("Where", made.add("Equal", rest, x), plain, small)

    def _clip(self, tree: Clipped) -> str:
        value = self._value(tree.argument)
        for operator, bound in (("Less", tree.low), ("Greater", tree.high)):
            if bound is not None:
                end = self._made.row(bound)
                value = self._made.add("Where", self._made.add(operator, value, end), end, value)
        return value

    def _checked(self, tree: FiniteOnly) -> str:
        made = self._made
        value = self._value(tree.result)
        given = made.add("Not", made.add("IsInf", self._column(tree.column)))
        overflows = made.add("And", made.add("IsInf", value), given)
        return made.add("Where", overflows, made.row(NAN), value)

    def _bins(self, tree: Bins) -> str:
        made = self._made
        value = self._number(tree.column)
        edges = made.constant(np.array([tree.edges], dtype=np.float64))
        place = made.counted(made.add("GreaterOrEqual", value, edges))
        place = made.add("Where", made.add("IsNaN", value), made.whole(len(tree.values)), place)
        missing = NAN if isinstance(tree.missing, str) else tree.missing
        return made.chosen(
            _table((len(tree.values) + 1,), {(i,): v for i, v in enumerate((*tree.values, missing))}), place
        )

    def _is_missing(self, tree: IsMissing) -> str:
        if self._types[tree.column] == STRING:
            return self._made.number(self._made.label(tree.column, {"keys_strings": [""]}, [1], 0))
        return self._made.number(self._made.add("IsNaN", self._number(tree.column)))

    def _lookup(self, tree: Lookup) -> str:
        positions = [_positions(key) for key in tree.keys]
        shape = tuple(each.length for each in positions)
        if (size := int(np.prod(shape, dtype=np.float64))) > _TABLE_LIMIT:
            raise ModelError(
                f'the levels of "{escape(self._name)}" make {format_count(size)} combinations, '
                f"more than the {format_count(_TABLE_LIMIT)} that a graph may list",
                "export it as sql or python",
            )
        places = [self._place(key, each) for key, each in zip(tree.keys, positions, strict=True)]
        return self._made.chosen(_table_of_levels(tree, positions), *places)

    def _place(self, key: Key, positions: _Positions) -> str:
        if key.type == "text":
            return self._text_place(key, positions)
        type_ = self._types[key.column]
        values = {value: positions.levels[level] for value, level in key.by_value.items()}
        if not values:
            raise self._refused(key, f"has no level that is spelled as {key.type}", "correct the levels")
        if key.type == "boolean":
            place = self._boolean_place(key.column, values, positions)
        elif type_ == INT64:
            place = self._integer_place(key, {int(value): place for value, place in values.items()}, positions)
        else:
            place = self._number_place(key, values, positions)
        if type_ != DOUBLE:
            return place
        is_missing = self._made.add("IsNaN", key.column)
        return self._made.add("Where", is_missing, self._made.whole(positions.missing), place)

    def _text_place(self, key: Key, positions: _Positions) -> str:
        keys = {"": positions.missing, **positions.levels}
        if keys[""] != positions.missing:
            raise self._refused(
                key, 'has the level "", which is how a graph gets missing text', 'give it "missing": {"level": ""}'
            )
        return self._made.label(key.column, {"keys_strings": list(keys)}, list(keys.values()), positions.unseen)

    def _boolean_place(self, column: str, values: Mapping[Any, int], positions: _Positions) -> str:
        made = self._made
        flag = column if self._types[column] == BOOL else made.flag(column)
        true, false = (values.get(value, positions.unseen) for value in (True, False))
        return made.add("Where", flag, made.whole(true), made.whole(false))

    def _integer_place(self, key: Key, values: Mapping[int, int], positions: _Positions) -> str:
        if beyond := next((value for value in values if value not in _INT64), None):
            raise self._refused(key, f"has the level {beyond}, which is beyond int64", "leave the level out")
        return self._made.label(key.column, {"keys_int64s": list(values)}, list(values.values()), positions.unseen)

    def _number_place(self, key: Key, values: Mapping[Any, int], positions: _Positions) -> str:
        if key.type == "integer" and any(abs(int(value)) > EXACT_INTEGER for value in values):
            raise self._refused(
                key, "has levels beyond 2**53 and is float64 in the graph", "let no policy give missing values a level"
            )
        made = self._made
        equal = made.add("Equal", key.column, made.constant(np.array([[float(each) for each in values]])))
        # Positions from that of what is unseen: at most one of the flags is true.
        steps = made.whole(*(place - positions.unseen for place in values.values()))
        moved = made.total(made.add("Mul", made.cast(equal, INT64), steps))
        return made.add("Add", made.whole(positions.unseen), moved)

    def _refused(self, key: Key, why: str, remedy: str) -> ModelError:
        return ModelError(f'column "{escape(key.column)}" {why}', remedy)


def _positions(key: Key) -> _Positions:
    levels = {level: position for position, level in enumerate(key.levels)}
    words = {policy for policy in (key.missing, key.unseen) if isinstance(policy, str)}
    zero = len(levels) if "zero" in words else None
    none = len(levels) + (zero is not None) if words - {"zero"} else None

    def place(policy: str | Level) -> int:
        if isinstance(policy, Level):
            return levels[policy.level]
        return cast("int", zero if policy == "zero" else none)

    return _Positions(levels, place(key.missing), place(key.unseen), zero, none)


def _table_of_levels(tree: Lookup, positions: list[_Positions]) -> npt.NDArray[np.float64]:
    """Return a table of all levels; where any of them is that of NaN the entry is NaN."""
    entries = {
        tuple(each.levels[level] for each, level in zip(positions, levels, strict=True)): value
        for levels, value in tree.values.items()
    }
    table = _table(tuple(each.length for each in positions), entries)
    for axis, each in enumerate(positions):
        if each.none is not None:
            np.moveaxis(table, axis, 0)[each.none] = NAN
    return table


def _table(shape: tuple[int, ...], entries: Mapping[tuple[int, ...], Numbers]) -> npt.NDArray[np.float64]:
    """Return a table with a last axis for the classes, 0 where there is no entry."""
    width = max(len(value) if isinstance(value, tuple) else 1 for value in entries.values())
    table = np.zeros((*shape, width))
    for place, value in entries.items():
        table[place] = value
    return table


_WRITERS: Mapping[type[Any], Callable[[TermWriter, Any], str]] = {
    ColumnValue: TermWriter._column,  # noqa: SLF001 - the table of the class above
    Number: TermWriter._constant,  # noqa: SLF001
    Arithmetic: TermWriter._arithmetic,  # noqa: SLF001
    FunctionCall: TermWriter._function,  # noqa: SLF001
    Clipped: TermWriter._clip,  # noqa: SLF001
    FiniteOnly: TermWriter._checked,  # noqa: SLF001
    Bins: TermWriter._bins,  # noqa: SLF001
    IsMissing: TermWriter._is_missing,  # noqa: SLF001
    Lookup: TermWriter._lookup,  # noqa: SLF001
}
