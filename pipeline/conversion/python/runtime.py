"""What a model written as Python brings along: the source of this file is part of each such module."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
INTEGER = re.compile(r"([+-]?)([0-9]+)(?:\.0*)?")
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")

# A word and the level that is used; the words are error, null, quarantine, zero and level.
Policy = tuple[str, str | None]


class RowCells:
    """The values of a row; ``is_null`` becomes true where one of them leaves the row without a score."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self.is_null = False

    def lacks(self, name: str) -> bool:
        """Return whether a value is None or NaN."""
        value = self.row[name]
        return value is None or bool(value != value)  # noqa: PLR0124 - NaN

    def without(self, policy: str, name: str, lack: str) -> float:
        """Do what a policy says where there is no number; return what cannot be wrong in later steps."""
        if policy == "error":
            raise ValueError(f"column {name!r}: {lack} value: {self.row[name]!r}")
        self.is_null = True
        return math.nan

    def number(self, name: str, missing: str | float, boolean: bool = False) -> float:
        """Return a value as a float."""
        if self.lacks(name):
            return self.without(missing, name, "missing") if isinstance(missing, str) else missing
        value = self.row[name]
        if isinstance(value, str | bytes) or not is_exact(value):
            raise ValueError(f"column {name!r}: {value!r} is not a number that a float holds")
        number = float(value)
        if boolean and number not in {0.0, 1.0}:
            raise ValueError(f"column {name!r}: {value!r} is not a boolean")
        return number

    def missing(self, name: str) -> float:
        """Return 1 where a value is missing, else 0."""
        return 1.0 if self.lacks(name) else 0.0

    def checked(self, name: str, value: float, result: float) -> float:
        """Return the transform of a value, which must not be infinite or NaN by itself."""
        if math.isfinite(value) and not math.isfinite(result):
            raise ValueError(f"column {name!r}: {value!r} is outside the domain of the transform")
        return result

    def binned(self, name: str, edges: tuple[float, ...], values: tuple[float, ...], missing: str | float) -> float:
        """Return the value of the bin of a value."""
        if self.lacks(name):
            return self.without(missing, name, "missing") if isinstance(missing, str) else missing
        return values[bisect_right(edges, self.number(name, "null"))]

    def level(self, name: str, known: RowLevels, missing: Policy, unseen: Policy) -> str | None:
        """Return the level of a value, by its spelling or else by its type; None for none."""
        if self.lacks(name):
            return self.replaced(missing, name, "missing")
        value = self.row[name]
        text = spelled(value)
        if text in known.spelled:
            return text
        found = known.by_value.get(read(digits(value, text), known.type))
        return self.replaced(unseen, name, "unseen") if found is None else found

    def replaced(self, policy: Policy, name: str, lack: str) -> str | None:
        """Return the level that a policy names; None for none."""
        word, level = policy
        if word not in {"level", "zero"}:
            self.without(word, name, lack)
        return level


class RowLevels:
    """The levels of a column by spelling, and by value where they have another type than text."""

    def __init__(self, type_: str, by_spelling: tuple[str, ...], by_value: dict[Any, str]) -> None:
        self.type = type_
        self.spelled = frozenset(by_spelling)
        self.by_value = by_value


def is_exact(value: Any) -> bool:
    """Return whether a float holds a number, or the digits of a decimal."""
    if isinstance(value, Decimal):
        return value in {Decimal(float(value)), Decimal(repr(float(value)))}
    return not hasattr(value, "__index__") or abs(int(value)) <= 2**53


def spelled(value: Any) -> str:
    """Return a value as a model file spells its level."""
    text = str(value)
    return text.lower() if text in {"True", "False"} and not isinstance(value, str) else text


def digits(value: Any, text: str) -> str:
    """Return a float without an exponent, a whole number without a fraction, and other values as they are spelled."""
    if not isinstance(value, float):
        return text
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) else format(Decimal(repr(float(value))), "f")


def read(text: str, type_: str) -> Any:
    """Return what a text means as a value of a type, None where it is no such value."""
    if type_ == "boolean":
        return BOOLEANS.get(text.lower())
    if type_ == "number":
        return float(text) if NUMBER.fullmatch(text) else None
    found = INTEGER.fullmatch(text) if type_ == "integer" else None
    if found is None:
        return None
    whole = found[2].lstrip("0") or "0"
    return f"-{whole}" if found[1] == "-" and whole != "0" else whole


def chosen(table: Mapping[Any, Any], levels: tuple[str | None, ...], k: int | None = None) -> float:
    """Return the number of a combination of levels, 0 where there is none; with classes, that of class k."""
    number = table.get(levels)
    if number is None:
        return 0.0
    return float(number if k is None else number[k])


def log(x: float) -> float:
    """Return the natural logarithm: minus infinity at 0, NaN below."""
    if x == 0.0:
        return -math.inf
    return math.log(x) if not x < 0.0 else math.nan


def log1p(x: float) -> float:
    """Return log(1 + x): minus infinity at -1, NaN below."""
    if x == -1.0:
        return -math.inf
    return math.log1p(x) if not x < -1.0 else math.nan


def sqrt(x: float) -> float:
    """Return the square root, NaN of a negative number."""
    return math.sqrt(x) if not x < 0.0 else math.nan


def square(x: float) -> float:
    """Return x * x."""
    return x * x


def clip(x: float, low: float | None, high: float | None) -> float:
    """Return the nearer end of a range outside of it."""
    if low is not None and x < low:
        return low
    return high if high is not None and x > high else x


def sigmoid(z: float) -> float:
    """Return 1 / (1 + exp(-z)) without overflow."""
    return math.exp(z) if z < -700.0 else 1.0 / (1.0 + math.exp(-z))


def probit(z: float) -> float:
    """Return the probability of the normal distribution below z."""
    return math.erfc(-z / math.sqrt(2.0)) / 2.0


def cloglog(z: float) -> float:
    """Return 1 - exp(-exp(z))."""
    return -math.expm1(-math.exp(min(z, 7.0))) if z == z else z  # noqa: PLR0124 - NaN


def loglog(z: float) -> float:
    """Return exp(-exp(-z))."""
    return math.exp(-math.exp(min(-z, 7.0))) if z == z else z  # noqa: PLR0124 - NaN


def cauchit(z: float) -> float:
    """Return 1/2 + atan(z) / pi, with all digits where it is small."""
    return math.atan(-1.0 / z) / math.pi if z < -1.0 else 0.5 + math.atan(z) / math.pi


def added(base: float, terms: Iterable[float]) -> float:
    """Return a number to which others were added one by one; since Python 3.12 ``sum`` rounds otherwise."""
    for term in terms:
        base += term
    return base


def softmax(raw: Sequence[float], temperature: float) -> list[float]:
    """Return the shares of exp(raw / temperature); NaN where the largest is infinite or one is NaN."""
    largest = max(raw)
    if not math.isfinite(largest) or any(map(math.isnan, raw)):
        return [math.nan] * len(raw)
    powers = [math.exp((each - largest) / temperature) for each in raw]
    total = added(0.0, powers)
    return [power / total for power in powers]


def one_vs_rest(raw: Sequence[float], _: float) -> list[float]:
    """Return each sigmoid's share of their sum; equal shares where all are 0, NaN where one is NaN."""
    shares = [sigmoid(each) for each in raw]
    total = added(0.0, shares)
    return [share / total for share in shares] if total != 0.0 else [1.0 / len(raw)] * len(raw)


def first_largest(raw: Sequence[float], probabilities: Sequence[float], classes: Sequence[Any]) -> Any:
    """Return the first class with the largest raw prediction, None where the probabilities are NaN."""
    return None if any(map(math.isnan, probabilities)) else classes[raw.index(max(raw))]


def log_sigmoid(z: float) -> float:
    """Return the logarithm of the sigmoid."""
    return min(z, 0.0) - math.log1p(math.exp(-abs(z)))


def beta(z: float, a: float, b: float, c: float) -> float:
    """Return the sigmoid of a log(s) - b log(1 - s) + c, with s the sigmoid of z."""
    total = c + a * log_sigmoid(z) if a else c
    return sigmoid(total - b * log_sigmoid(-z) if b else total)


def stepped(z: float, ends: Sequence[float], values: Sequence[Any]) -> Any:
    """Return the value of the interval that a number is in, NaN for NaN."""
    return values[bisect_right(ends, z)] if z == z else z  # noqa: PLR0124 - NaN


def banded(value: float, ends: Sequence[float], names: Sequence[str]) -> str | None:
    """Return the name of the interval that a number is in, None for NaN."""
    return names[bisect_right(ends, value)] if value == value else None  # noqa: PLR0124 - NaN


def rounded(value: float) -> float:
    """Return the nearest whole number, a half to the even one."""
    return float(round(value)) if math.isfinite(value) else value


def integer(value: float) -> int | None:
    """Return a whole number, None where it is not finite or beyond 64 bits."""
    return int(value) if abs(value) < 2.0**63 else None


def points_of_terms(terms: Iterable[float], shares: Sequence[float], slope: float) -> list[float]:
    """Return the points of what was added to the raw prediction."""
    return [term * slope + share for term, share in zip(terms, shares, strict=True)]


def reached(raw: float, cut: float, is_rising: bool) -> bool:
    """Return whether the probability is at least a threshold, which it is from a raw prediction on, or up to it."""
    return raw >= cut if is_rising else raw <= cut


def decided(raw: float, cut: float, is_rising: bool, negative: Any, positive: Any) -> Any:
    """Return the decision, None for NaN."""
    if math.isnan(raw):
        return None
    return positive if reached(raw, cut, is_rising) else negative


def banded_at(raw: float, cuts: Sequence[float], is_rising: bool, names: Sequence[str]) -> str | None:
    """Return the name of the interval that the probability is in, None for NaN."""
    return None if math.isnan(raw) else names[sum(reached(raw, cut, is_rising) for cut in cuts)]
