"""What a column of a tensor is, as a function of the input columns: small symbols that are compared, never computed.

Sums of multiples are kept flat and exact, as :class:`LinearSum`, so that a coefficient is rounded once, at the end.
Others are :class:`Operation`; a few forms that mean one thing are recognised as they are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field, replace
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.errors import ModelError

CellType = Literal["number", "integer", "boolean", "text"]


@dataclass(frozen=True, slots=True)
class InputCell:
    """The value of an input column."""

    name: str
    type: CellType


@dataclass(frozen=True, slots=True)
class Filled:
    """A column in which a number is put for NaN."""

    cell: InputCell
    value: float


@dataclass(frozen=True, slots=True)
class Numeral:
    """A constant; NaN and infinities too."""

    value: float


@dataclass(frozen=True, slots=True)
class LinearSum:
    """The sum of constants and of symbols times weights, in the order in which the graph adds them.

    ``depth`` is that of its deepest symbol; it is counted where it is not given. ``steps`` are the subtractions and
    divisions by numbers that made it of its only symbol, each of which rounds; ``None`` where it was made otherwise.
    """

    constants: tuple[Fraction, ...]
    terms: tuple[tuple[Symbol, Fraction], ...]
    depth: int = field(default=-1, compare=False)
    steps: tuple[tuple[str, float], ...] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if len(self.terms) > MOST_TERMS:
            raise ModelError(f"the graph adds up more than {MOST_TERMS:,} terms", "convert a smaller model")
        if self.depth < 0:
            object.__setattr__(self, "depth", max((depth_of(atom) for atom, _ in self.terms), default=0))


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on symbols; ``depth`` is how many are nested in each other."""

    operator: str
    arguments: tuple[Symbol, ...]
    depth: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        # Symbols that share parts are compared part by part: twice as long with every level.
        object.__setattr__(self, "depth", 1 + max(map(depth_of, self.arguments), default=0))
        if self.depth > DEEPEST:
            raise ModelError(
                f"the graph nests more than {DEEPEST} operations in each other, as no logistic model does",
                "convert the model in the tool that made it",
            )


@dataclass(frozen=True, slots=True)
class RawOutput:
    """The raw prediction of a class, where the graph has it as an output of its own."""

    position: int


@dataclass(frozen=True, slots=True)
class EncodedLevels:
    """The number that a level stands for: ``values[i]`` for ``keys[i]``, else ``default``."""

    cell: InputCell
    keys: tuple[str | int | float, ...]
    values: tuple[float, ...]
    default: float


@dataclass(frozen=True, slots=True)
class OneHotLevel:
    """1 where a column has a level, else 0; ``keys`` are all levels of the encoder that is node ``encoder``."""

    cell: InputCell
    keys: tuple[str | int, ...]
    position: int
    encoder: str
    is_strict: bool


@dataclass(frozen=True, eq=False, slots=True)
class TableLookup:
    """The number at positions of a table, one position for each axis."""

    places: tuple[Symbol, ...]
    table: npt.NDArray[np.float64]


Symbol = InputCell | Filled | Numeral | LinearSum | Operation | RawOutput | EncodedLevels | OneHotLevel | TableLookup

MOST_TERMS = 1_000_000
DEEPEST = 20


def depth_of(symbol: Symbol) -> int:
    """Return how many operations are nested in a symbol."""
    return symbol.depth if isinstance(symbol, Operation | LinearSum) else 0


_ONE = Fraction(1)
ZERO, ONE = Numeral(0.0), Numeral(1.0)
# Whose values are 0 or 1.
FLAGS = frozenset(
    {"equal", "at_least", "less", "greater", "greater_equal", "less_equal", "isnan", "isinf", "not", "and", "flag"}
)
# Steps: flags whose two sides are apart at one number.
_STEPS = frozenset({"less", "less_equal", "greater", "greater_equal", "equal", "not"})
_NOT_NEGATIVE = frozenset({"sigmoid", "exp", "share", "abs"}) | FLAGS


def linear(symbol: Symbol) -> LinearSum:
    """Return a symbol as a sum; a number that is not finite is a term."""
    if isinstance(symbol, LinearSum):
        return symbol
    if isinstance(symbol, Numeral) and math.isfinite(symbol.value):
        return LinearSum((Fraction(symbol.value),), (), 0)
    return LinearSum((), ((symbol, _ONE),), depth_of(symbol))


def plain(sum_: LinearSum) -> Symbol:
    """Return a sum of one symbol as that symbol, a sum of none as a number."""
    if not sum_.terms:
        return Numeral(float(sum(sum_.constants)))
    if len(sum_.terms) == 1 and not any(sum_.constants) and sum_.terms[0][1] == 1:
        return sum_.terms[0][0]
    return sum_


def add(left: Symbol, right: Symbol) -> Symbol:
    """Return the sum of two symbols."""
    first, second = linear(left), linear(right)
    depth = max(first.depth, second.depth)
    return plain(LinearSum(first.constants + second.constants, first.terms + second.terms, depth))


def times(symbol: Symbol, factor: Fraction) -> Symbol:
    """Return a multiple of a symbol."""
    sum_ = linear(symbol)
    constants = tuple(each * factor for each in sum_.constants)
    return plain(LinearSum(constants, tuple((atom, weight * factor) for atom, weight in sum_.terms), sum_.depth))


def negative(symbol: Symbol) -> Symbol:
    """Return a symbol with the other sign."""
    return times(symbol, Fraction(-1))


def subtract(left: Symbol, right: Symbol) -> Symbol:
    """Return the difference of two symbols."""
    if isinstance(right, Operation) and right.operator == "largest":
        return Operation("below", (left, right))
    difference = add(left, negative(right))
    return _stepped(left, "-", right.value, difference) if isinstance(right, Numeral) else difference


def _stepped(before: Symbol, operator: str, number: float, after: Symbol) -> Symbol:
    """Return what a step with a number made, with the steps before it and this one."""
    earlier = before.steps if isinstance(before, LinearSum) else ()
    if isinstance(after, LinearSum) and len(after.terms) == 1 and earlier is not None:
        return replace(after, steps=(*earlier, (operator, number)))
    return after


def multiply(left: Symbol, right: Symbol) -> Symbol:
    """Return the product of two symbols."""
    for factor, other in ((left, right), (right, left)):
        if isinstance(factor, Numeral) and math.isfinite(factor.value):
            return times(other, Fraction(factor.value))
    # A product of many is one operation; the square of a symbol stays apart.
    if isinstance(left, Operation) and left.operator == "multiply" and left != right:
        return Operation("multiply", (*left.arguments, right))
    return Operation("multiply", (left, right))


def divide(left: Symbol, right: Symbol) -> Symbol:
    """Return the quotient of two symbols: a multiple, a sigmoid, a share of a sum, or what it is."""
    if isinstance(right, Numeral) and right.value != 0 and math.isfinite(right.value):
        if right.value != 1 and _of_raw(left):
            return Operation("divide", (left, right))
        return _stepped(left, "/", right.value, times(left, 1 / Fraction(right.value)))
    for form in (_sigmoid, _share, _share_or_equal):
        if (found := form(left, right)) is not None:
            return found
    return Operation("divide", (left, right))


def _sigmoid(left: Symbol, right: Symbol) -> Symbol | None:
    """Return the sigmoid that ``1 / (1 + exp(-z))`` is, or ``exp(min(z, 0)) / (1 + exp(-abs(z)))``."""
    power = _one_and_power(right)
    if power is not None and left == ONE:
        return Operation("sigmoid", (negative(power),))
    if power is not None and (z := _exp_of_lower(left)) is not None and power == negative(apply("abs", z)):
        return Operation("sigmoid", (z,))
    return None


def _share(left: Symbol, right: Symbol) -> Symbol | None:
    """Return the share of a symbol in a sum that has it."""
    if isinstance(right, Operation) and right.operator == "sum" and any(left is each for each in right.arguments):
        return left if _sums_to_1(right) else Operation("share", (left, right))
    return None


def _sums_to_1(total: Operation) -> bool:
    """Return whether a sum is that of the sigmoids of a symbol and of its negative."""
    inner = [
        each.arguments[0] for each in total.arguments if isinstance(each, Operation) and each.operator == "sigmoid"
    ]
    return len(inner) == len(total.arguments) == 2 and linear(inner[0]) == linear(negative(inner[1]))


def _share_or_equal(left: Symbol, right: Symbol) -> Symbol | None:
    """Return the share p of ``(p + none) / (sum + classes * none)``, in which ``none`` is 1 where the sum is 0."""
    parts, whole = linear(left), linear(right)
    if len(parts.terms) != 2 or len(whole.terms) != 2 or any((*parts.constants, *whole.constants)):
        return None
    (part, _), (none, _) = parts.terms
    (total, _), (also_none, _) = whole.terms
    if none == also_none == Operation("not", (Operation("flag", (total,)),)):
        return divide(part, total)
    return None


def _of_raw(symbol: Symbol) -> bool:
    terms = linear(symbol).terms
    return bool(terms) and all(isinstance(atom, RawOutput) for atom, _ in terms)


def _one_and_power(symbol: Symbol) -> Symbol | None:
    """Return t of ``1 + exp(t)``."""
    if not isinstance(symbol, LinearSum) or sum(symbol.constants) != 1 or len(symbol.terms) != 1:
        return None
    atom, weight = symbol.terms[0]
    return atom.arguments[0] if weight == 1 and isinstance(atom, Operation) and atom.operator == "exp" else None


def _exp_of_lower(symbol: Symbol) -> Symbol | None:
    """Return z of ``exp(min(z, 0))``."""
    if isinstance(symbol, Operation) and symbol.operator == "exp":
        inner = symbol.arguments[0]
        if isinstance(inner, Operation) and inner.operator == "min" and inner.arguments[1] == ZERO:
            return inner.arguments[0]
    return None


def apply(operator: str, *arguments: Symbol) -> Symbol:
    """Return an operation on symbols, in its simplest form."""
    if operator == "abs" and isinstance(arguments[0], Operation) and arguments[0].operator in _NOT_NEGATIVE:
        return arguments[0]
    if operator == "sum":
        return _sum(arguments)
    if operator == "where":
        return _where(*arguments)
    if operator == "not" and isinstance(arguments[0], Operation) and arguments[0].operator == "not":
        return arguments[0].arguments[0]
    return Operation(operator, arguments)


def _sum(arguments: tuple[Symbol, ...]) -> Symbol:
    if len(arguments) == 1:
        return arguments[0]
    sums = [linear(each) for each in arguments]
    if all(is_flag(atom) or isinstance(atom, OneHotLevel) for each in sums for atom, _ in each.terms):
        constants = tuple(each for sum_ in sums for each in sum_.constants)
        return LinearSum(constants, tuple(term for each in sums for term in each.terms))
    return Operation("sum", arguments)


def is_flag(symbol: Symbol) -> bool:
    """Return whether a symbol is 0 or 1 by its operation."""
    return isinstance(symbol, Operation) and symbol.operator in FLAGS


def _where(condition: Symbol, yes: Symbol, no: Symbol) -> Symbol:
    is_step = isinstance(condition, Operation) and condition.operator in _STEPS
    if is_step and isinstance(yes, Numeral) and isinstance(no, Numeral) and _are_finite(yes, no):
        # A choice between two numbers is a step from one to the other.
        return add(no, times(condition, Fraction(yes.value) - Fraction(no.value)))
    if isinstance(condition, Operation) and (rule := _CHOICES.get(condition.operator)) is not None:
        found = rule(condition.arguments, yes, no)
        if found is not None:
            return found
    return Operation("where", (condition, yes, no))


def _are_finite(*symbols: Symbol) -> bool:
    return all(isinstance(each, Numeral) and math.isfinite(each.value) for each in symbols)


def _where_nan(arguments: tuple[Symbol, ...], yes: Symbol, no: Symbol) -> Symbol | None:
    (x,) = arguments
    if isinstance(yes, Numeral) and math.isfinite(yes.value) and isinstance(x, InputCell) and x == no:
        return Filled(x, yes.value)
    return None


def _where_below(arguments: tuple[Symbol, ...], yes: Symbol, no: Symbol) -> Symbol | None:
    x, bound = arguments
    return Operation("max", (x, bound)) if yes == bound and no == x and isinstance(bound, Numeral) else None


def _where_above(arguments: tuple[Symbol, ...], yes: Symbol, no: Symbol) -> Symbol | None:
    x, bound = arguments
    return Operation("min", (x, bound)) if yes == bound and no == x and isinstance(bound, Numeral) else None


def _where_overflow(arguments: tuple[Symbol, ...], yes: Symbol, no: Symbol) -> Symbol | None:
    """Return y of ``where(isinf(y) and not isinf(x), NaN, y)``, marked as a transform."""
    is_nan = isinstance(yes, Numeral) and math.isnan(yes.value)
    return Operation("checked", (no,)) if is_nan and arguments[0] == Operation("isinf", (no,)) else None


def _where_equal(arguments: tuple[Symbol, ...], yes: Symbol, no: Symbol) -> Symbol | None:
    left, right = arguments
    if right == ZERO and isinstance(no, Operation) and no.operator == "share" and no.arguments[1] is left:
        return no
    if isinstance(yes, Operation) and yes.operator == "log":
        x = right
        total = add(x, ONE)
        rest = subtract(total, ONE)
        mended = multiply(Operation("log", (total,)), divide(x, rest))
        if no == Operation("where", (Operation("equal", (rest, ZERO)), x, mended)) and left == rest:
            return Operation("log1p", (x,))
    return None


_CHOICES: dict[str, Callable[[tuple[Symbol, ...], Symbol, Symbol], Symbol | None]] = {
    "isnan": _where_nan,
    "less": _where_below,
    "greater": _where_above,
    "and": _where_overflow,
    "equal": _where_equal,
}
