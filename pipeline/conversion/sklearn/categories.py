"""Categories that a scikit-learn encoder was fitted on, as levels of a model file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.conversion.algebra import (
    Encoding,
    Number,
    Signal,
    UnfoldableError,
    Value,
    lookup,
    map_states,
    states,
)
from pipeline.dataclass import dataclass
from pipeline.models.levels import LevelType
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class Table:
    """A column that an encoder makes: a value for the place of each category, 0 where there is none.

    ``unseen`` is for what is none of the categories; also for a missing value, unless that is a category itself.
    """

    values: Mapping[int, Value]
    unseen: Value


def encode(signal: Signal, categories: Any, tables: Sequence[Table]) -> list[Signal]:
    """Return what an encoder makes of a signal, one for each table.

    Raises
    ------
    UnfoldableError
        The signal is neither a column as it is nor one with finitely many values.
    """
    number = signal.number
    if number is not None and not number.steps and signal.scaled == (0.0, 1.0):
        return _of_column(signal, number, categories, tables)
    if not states(signal):
        names = ", ".join(f'"{escape(name)}"' for name in signal.columns[:3])
        raise UnfoldableError(f"it encodes what was computed of column {names}", "encode the column as it is")
    return [_of_states(signal, categories, table) for table in tables]


def _of_column(signal: Signal, number: Number, categories: Any, tables: Sequence[Table]) -> list[Signal]:
    values = list(categories)
    spelled = {place: _text(value, number) for place, value in enumerate(values) if not is_missing_value(value)}
    lacks = [place for place, value in enumerate(values) if is_missing_value(value)]
    if len(set(spelled.values())) < len(spelled) or len(lacks) > 1:
        raise UnfoldableError(
            f'two categories of column "{escape(number.column)}" are the same when written as text',
            "make the column text, numbers or booleans before fitting",
        )
    # None is no missing value for an imputer, but a category; in a file both are null.
    is_filled = number.fill is not None and not lacks
    fill = _filled(number, [(values[place], text) for place, text in spelled.items()]) if is_filled else None
    type_ = _level_type(categories.dtype, [values[place] for place in spelled])
    encoding = Encoding(number.column, number.position, tuple(spelled.values()), type_, fill)
    made = []
    for table in tables:
        given = {spelled[place]: float(value) for place, value in table.values.items() if place in spelled}
        missing = table.values.get(lacks[0], 0.0) if lacks else table.unseen
        # A step before has refused what is missing.
        refuses = not signal.absent and number.fill is None
        found = lookup(encoding, given, "refused" if refuses else missing, table.unseen)
        made.append(replace(found, guards=found.guards | signal.guards))
    return made


def _of_states(signal: Signal, categories: Any, table: Table) -> Signal:
    values = [plain(value) for value in categories]
    lacks = [place for place, value in enumerate(values) if is_missing_value(value)]
    # A MissingIndicator makes booleans.
    known = [place for place, value in enumerate(values) if is_number(value) or _is_boolean(value)]
    places = {float(values[place]): place for place in known if place not in lacks}

    def value_of(value: float | None) -> Value:
        if value is None:
            return table.values.get(lacks[0], 0.0) if lacks else table.unseen
        return table.values.get(places[value], 0.0) if value in places else table.unseen

    return map_states(signal, value_of)


def _filled(number: Number, spelled: Sequence[tuple[Any, str]]) -> str | None:
    """Return the level of the value that an imputer fills in, ``None`` if the encoder does not know it."""
    for value, text in spelled:
        # The imputer writes it into a column of the type of the categories: 0 is 0.0 there.
        fill = type(value)(number.fill) if isinstance(value, np.floating) and is_number(number.fill) else number.fill
        if value == fill and _is_boolean(value) == _is_boolean(fill):
            return text
    return None


def _level_type(dtype: Any, values: Sequence[Any]) -> LevelType:
    """Return the type of categories: that of their array, or that of the values in an array of objects."""
    if dtype.kind == "f":
        return "number"
    if values and all(map(_is_boolean, values)):
        return "boolean"
    if values and all(map(is_number, values)):
        return "integer" if all(isinstance(value, int | np.integer) for value in values) else "number"
    return "text"


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def is_number(value: Any) -> bool:
    """Return whether a value is a number and no boolean."""
    return isinstance(value, int | float | np.integer | np.floating) and not _is_boolean(value)


def is_missing_value(value: Any) -> bool:
    """Return whether a value is None, NaN or the missing value of pandas."""
    is_float = isinstance(value, float | np.floating)
    return value is None or type(value).__name__ == "NAType" or (is_float and math.isnan(value))


def plain(value: Any) -> Any:
    """Return a value of NumPy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def _text(value: Any, number: Number) -> str:
    """Return a category as a model file spells it: a float by the fewest digits of its own width."""
    if _is_boolean(value):
        return "true" if value else "false"
    if isinstance(value, str) or is_number(value):
        return str(value)
    raise UnfoldableError(
        f'column "{escape(number.column)}" has {escape(repr(value), 40)} as a category, a {type(value).__name__}',
        "make the column text, numbers or booleans before fitting",
    )
