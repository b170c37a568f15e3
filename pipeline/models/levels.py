"""Levels as values: what a text means as a boolean, an integer or a number, and the levels of a model by that value."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Literal

from pipeline.dataclass import dataclass
from pipeline.units import number_pattern

LevelType = Literal["text", "boolean", "integer", "number"]
# A boolean, the canonical spelling of an integer, or a float.
Value = bool | str | float

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_SPELLED_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_SPELLED_NUMBER = re.compile(r"0(?:\.0)?|-?(?:[1-9][0-9]*|0(?=\.[0-9]*[1-9]))(?:\.(?:0|[0-9]*[1-9]))?")


def value_of(text: str, type_: LevelType, decimal: str = ".") -> Value | None:
    """Return what a text means as a value of a type, ``None`` where it is no such value.

    A boolean is ``true`` or ``false`` in any case, or 1 or 0. An integer may have a sign, leading zeros and a fraction
    of zeros. A number is finite and has no exponent. Blanks are not trimmed. ``decimal`` is the decimal sign.
    """
    if type_ == "boolean":
        return _BOOLEANS.get(text.lower())
    integer, number, _ = _patterns(decimal)
    if type_ == "integer":
        return _canonical(found[1], found[2]) if (found := integer.fullmatch(text)) else None
    return _finite(text.replace(decimal, ".")) if type_ == "number" and number.fullmatch(text) else None


def level_value(level: str, type_: LevelType) -> Value | None:
    """Return what a level of a model file means as a value of a type; other than a cell, a number may have an exponent.

    Floats are spelled with one where they are very small or large.
    """
    if type_ == "number":
        return _finite(level) if _patterns(".")[2].fullmatch(level) else None
    return value_of(level, type_)


def spelled_type(levels: Collection[str]) -> LevelType:
    """Return the type that the spellings of levels mean: text, unless all are canonical spellings of another type."""
    if not levels:
        return "text"
    if all(level in {"true", "false"} for level in levels):
        return "boolean"
    if all(map(_SPELLED_INTEGER.fullmatch, levels)):
        return "integer"
    if all(map(_SPELLED_NUMBER.fullmatch, levels)) and len({float(level) for level in levels}) == len(levels):
        return "number"
    return "text"


@dataclass(frozen=True, eq=False)
class LevelTable:
    """The positions of the levels of a feature, by spelling and by value.

    Attributes
    ----------
    positions : mapping of str to int
        By spelling. Must not change.
    type : {"text", "boolean", "integer", "number"}
        What a cell is read as whose spelling is not there; text is not read.
    named : collection of str
        Levels that a policy names, which need not be of the type.
    decimal : str
        The decimal sign of cells that are text.
    """

    positions: Mapping[str, int]
    type: LevelType = "text"
    named: Collection[str] = ()
    decimal: str = "."

    @cached_property
    def by_value(self) -> Mapping[Value, int]:
        """The positions by the value of their level."""
        found: dict[Value, int] = {}
        for level in sorted(self.positions, key=self.named.__contains__):
            if (value := level_value(level, self.type)) is not None:
                found.setdefault(value, self.positions[level])
        return found

    def read(self, cells: Iterable[str], *, decimal: str | None = None) -> list[int | None]:
        """Return the positions of the levels that cells are by value, ``None`` where a cell is none of them."""
        sign = self.decimal if decimal is None else decimal
        values = (value_of(cell, self.type, sign) for cell in cells)
        return [None if value is None else self.by_value.get(value) for value in values]


@lru_cache(maxsize=8)
def _patterns(decimal: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of an integer, of a number, and of a number that may have an exponent."""
    return (
        re.compile(rf"([+-]?)([0-9]+)(?:{re.escape(decimal)}0*)?"),
        re.compile(number_pattern(decimal, exponent=False)),
        re.compile(number_pattern(decimal)),
    )


def _canonical(sign: str, digits: str) -> str:
    """Return the one spelling of an integer: texts compare exactly, and int() refuses thousands of digits."""
    digits = digits.lstrip("0") or "0"
    return f"-{digits}" if sign == "-" and digits != "0" else digits


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
