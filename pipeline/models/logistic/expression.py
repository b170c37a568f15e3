"""Features as small trees: what an exporter writes, one small function for each kind of node.

A model is ``((base + offset) + contribution_1) + contribution_2 + ...``, every step in float64 and in this order;
:func:`pipeline.conversion.formula.formula` returns these parts. A tree says literally what is computed: the numbers
are those that the scorer uses, after its own rounding, so a target that rounds each step once gives the same bits.

A number of the model is a float, or a tuple with one float for each class; :func:`for_class` leaves those of one class.

What reads a cell has the policy for a missing value: a word (``null``: the row has no score; ``error``: the row is an
error; ``quarantine``: the row is set aside and has no score), or what to use in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial, reduce
from typing import Any, Literal, cast

from pipeline.dataclass import dataclass
from pipeline.kernels import Affine, Clip, Step
from pipeline.models.levels import LevelTable, LevelType, Value
from pipeline.models.logistic.lookup import LevelLookup
from pipeline.models.logistic.policies import Impute, Level, UnseenWord, Word

# One number, or one for each class.
Numbers = float | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ColumnValue:
    """The number in a column; booleans are 1 and 0.

    Attributes
    ----------
    name : str
    missing : str or float
        The policy for null and NaN: a word, or the number to use, in units of the column.
    boolean : bool
        Whether every other number than 1 and 0 is an error.
    """

    name: str
    missing: Word | float = "null"
    boolean: bool = False

    @property
    def column(self) -> str:
        """The name, under which the other nodes that read a cell have it."""
        return self.name


@dataclass(frozen=True, slots=True)
class Constant:
    """A number of the model."""

    value: Numbers


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers joined by ``operator``, rounded once; except in products the one on the right is a constant."""

    operator: Literal["+", "-", "*", "/"]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function of a number: natural logarithm, log(1 + x), square root, x * x.

    Outside its domain the value is NaN, at a pole infinite, as IEEE 754 has it; see :class:`FiniteOnly`.
    """

    name: Literal["log", "log1p", "sqrt", "square"]
    argument: Expression


@dataclass(frozen=True, slots=True)
class Clipped:
    """A number, or the nearer end of a range; ``None`` is an open end."""

    argument: Expression
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class FiniteOnly:
    """The value of ``result``, a transform of ``column``; it is an error where only the column is finite."""

    column: ColumnValue
    result: Expression


@dataclass(frozen=True, slots=True)
class Bins:
    """The value of the bin that a number of a column is in.

    Bin 0 is ``x < edges[0]``, bin i ``edges[i-1] <= x < edges[i]``, the last one ``x >= edges[-1]``.

    Attributes
    ----------
    column : str
    edges : tuple of float
    values : tuple of float or of tuples
        One more than edges.
    missing : str, float or tuple of float
        The policy for null and NaN: a word, or the value to use.
    """

    column: str
    edges: tuple[float, ...]
    values: tuple[Numbers, ...]
    missing: Word | Numbers = "null"


@dataclass(frozen=True, slots=True)
class IsMissing:
    """1 where a column is null or NaN, else 0."""

    column: str


@dataclass(frozen=True, slots=True)
class Key:
    """A column whose level chooses a number.

    A cell is looked up as it is spelled, then by its value of the type; see :class:`pipeline.models.levels.LevelTable`.

    Attributes
    ----------
    column : str
    levels : tuple of str
        The levels that are known, spelled as in the file.
    type : {"text", "boolean", "integer", "number"}
    missing : str or Level
        The policy for null and NaN: a word, or a level.
    unseen : str or Level
        The policy for a level that is not known: a word, ``zero`` (the whole lookup is 0), or a level.
    """

    column: str
    levels: tuple[str, ...]
    type: LevelType = "text"
    missing: Word | Level = "null"
    unseen: UnseenWord | Level = "null"

    @property
    def by_value(self) -> dict[Value, str]:
        """The spelling of each level by its value; levels that only a policy names give way to others."""
        named = [policy.level for policy in (self.missing, self.unseen) if isinstance(policy, Level)]
        table = LevelTable({level: place for place, level in enumerate(self.levels)}, self.type, named)
        return {value: self.levels[place] for value, place in table.by_value.items()}


@dataclass(frozen=True, slots=True)
class Lookup:
    """The number that the levels of one or more columns choose together; 0 for levels without one.

    Attributes
    ----------
    keys : tuple of Key
    values : mapping of tuple of str to float or tuple of float
        By the levels, one for each key, in the order of the file.
    """

    keys: tuple[Key, ...]
    values: Mapping[tuple[str, ...], Numbers]


Expression = ColumnValue | Constant | Arithmetic | FunctionCall | Clipped | FiniteOnly | Bins | IsMissing | Lookup

# What reads a cell.
Cell = ColumnValue | Bins | IsMissing | Key


def number(column: str, missing: Word | Impute, *, boolean: bool = False) -> ColumnValue:
    """Return the number of a column, with the policy of the file."""
    return ColumnValue(column, missing.impute if isinstance(missing, Impute) else missing, boolean)


def key_of(lookup: LevelLookup) -> Key:
    """Return how a column chooses a number."""
    missing, unseen = cast("Word | Level", lookup.missing), cast("UnseenWord | Level", lookup.unseen)
    return Key(lookup.column, tuple(lookup.positions), lookup.type, missing, unseen)


def stepped(column: ColumnValue, steps: Sequence[Step]) -> Expression:
    """Return what some steps make of a column; steps that change no bit are left out."""
    result: Expression = column
    for step in steps:
        if isinstance(step, Clip):
            low, high = (end if math.isfinite(end) else None for end in (step.low, step.high))
            result = Clipped(result, low, high)
        elif isinstance(step, Affine):
            result = standardised(result, step.center, step.scale)
        else:
            result = FunctionCall(step, result)
    return column if result == column else FiniteOnly(column, result)


def multiplied(factors: Sequence[Expression]) -> Expression:
    """Return the product of some factors, from left to right."""
    return reduce(partial(Arithmetic, "*"), factors)


def weighted(coefficient: Numbers, signal: Expression) -> Expression:
    """Return ``coefficient * signal``."""
    return Arithmetic("*", signal, Constant(coefficient))


def standardised(signal: Expression, center: float, scale: float) -> Expression:
    """Return ``(signal - center) / scale``; a center of 0 and a scale of 1 change no bit and are left out."""
    shifted = signal if center == 0 else Arithmetic("-", signal, Constant(center))
    return shifted if scale == 1 else Arithmetic("/", shifted, Constant(scale))


def for_class(expression: Expression, position: int) -> Expression:
    """Return the tree with the numbers of one class, which are then floats."""
    pick = _of(position)
    if isinstance(expression, Constant):
        return Constant(pick(expression.value))
    if isinstance(expression, Bins):
        missing = expression.missing if isinstance(expression.missing, str) else pick(expression.missing)
        return replace(expression, values=tuple(map(pick, expression.values)), missing=missing)
    if isinstance(expression, Lookup):
        return replace(expression, values={key: pick(value) for key, value in expression.values.items()})
    return with_children(expression, partial(for_class, position=position))


def with_children(expression: Expression, function: Callable[[Expression], Expression]) -> Expression:
    """Return the node with what a function makes of each node that it is made of."""
    inner = {name: function(child) for name, child in _children(expression)}
    return cast("Expression", replace(cast("Any", expression), **inner)) if inner else expression


def nodes(expression: Expression) -> Iterator[Expression]:
    """Yield a tree's nodes, each before what it is made of."""
    yield expression
    for _, child in _children(expression):
        yield from nodes(child)


def cells(expression: Expression) -> Iterator[Cell]:
    """Yield what reads the cells of a row in a tree, from the left."""
    for node in nodes(expression):
        if isinstance(node, Lookup):
            yield from node.keys
        elif isinstance(node, ColumnValue | Bins | IsMissing):
            yield node


def _of(position: int) -> Callable[[Numbers], float]:
    return lambda number: number[position] if isinstance(number, tuple) else number


def _children(expression: Expression) -> Iterator[tuple[str, Expression]]:
    for field in fields(expression):
        child = getattr(expression, field.name)
        if is_dataclass(child):
            yield field.name, cast("Expression", child)
